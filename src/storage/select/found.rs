//! Series by id and labels, while something is gathered for each.

use hashbrown::HashMap;

use crate::series::{Key, SeriesId};

/// The series found so far; equal keys are found by id without making a key for each block that has the series.
pub(in crate::storage) struct Found<T> {
    series: HashMap<SeriesId, Vec<(Key, T)>>,
}

impl<T: Default> Found<T> {
    pub(in crate::storage) fn new() -> Found<T> {
        Found { series: HashMap::new() }
    }

    /// What belongs to the series with this id and these labels.
    pub(in crate::storage) fn entry<'a, E>(
        &mut self,
        id: SeriesId,
        labels: impl Iterator<Item = (&'a str, &'a str)> + Clone,
        key: impl FnOnce() -> Result<Key, E>,
    ) -> Result<&mut T, E> {
        let same_id = self.series.entry(id).or_default();
        let place = match same_id.iter().position(|(key, _)| has_labels(key, labels.clone())) {
            Some(place) => place,
            None => {
                same_id.push((key()?, T::default()));
                same_id.len() - 1
            }
        };
        Ok(&mut same_id[place].1)
    }

    pub(in crate::storage) fn of_key(&mut self, key: &Key) -> &mut T {
        let same_id = self.series.entry(key.id()).or_default();
        let place = same_id.iter().position(|(known, _)| known == key).unwrap_or_else(|| {
            same_id.push((key.clone(), T::default()));
            same_id.len() - 1
        });
        &mut same_id[place].1
    }

    pub(in crate::storage) fn into_series(self) -> impl Iterator<Item = (Key, T)> {
        self.series.into_values().flatten()
    }
}

fn has_labels<'a>(key: &Key, mut labels: impl Iterator<Item = (&'a str, &'a str)>) -> bool {
    key.labels().iter().all(|(name, value)| labels.next().is_some_and(|label| label.0 == name && label.1 == value))
        && labels.next().is_none()
}
