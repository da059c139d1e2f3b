//! Finding series in memtables and blocks together.

use std::path::Path;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use super::block::{Block, BlockIndex, Run};
use super::deletes::Hidden;
use super::error::{BlockError, SelectError};
use super::files::Files;
use super::merge::{merge, share_within};
use super::view::View;
use crate::series::{Key, Sample, Selector, Series, SeriesId, TimeRange};

/// Why a view could not be read.
pub(super) enum Failed {
    /// A block was replaced by a merge since the view was taken: take another view.
    Outdated(SelectError),
    /// It will not get better by trying again.
    Lasting(SelectError),
}

fn failed(path: &Path) -> impl FnOnce(BlockError) -> Failed {
    move |source| {
        let is_gone = source.is_gone();
        let error = SelectError::Block { path: path.to_owned(), source };
        if is_gone { Failed::Outdated(error) } else { Failed::Lasting(error) }
    }
}

/// The series found so far; equal keys are found by id without making a key for each block that has the series.
pub(super) struct Found<T> {
    series: HashMap<SeriesId, Vec<(Key, T)>>,
}

impl<T: Default> Found<T> {
    pub(super) fn new() -> Found<T> {
        Found { series: HashMap::new() }
    }

    /// What belongs to the series with this id and these labels.
    pub(super) fn entry<'a, E>(
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

    pub(super) fn of_key(&mut self, key: &Key) -> &mut T {
        let same_id = self.series.entry(key.id()).or_default();
        let place = same_id.iter().position(|(known, _)| known == key).unwrap_or_else(|| {
            same_id.push((key.clone(), T::default()));
            same_id.len() - 1
        });
        &mut same_id[place].1
    }

    pub(super) fn into_series(self) -> impl Iterator<Item = (Key, T)> {
        self.series.into_values().flatten()
    }
}

fn has_labels<'a>(key: &Key, mut labels: impl Iterator<Item = (&'a str, &'a str)>) -> bool {
    key.labels().iter().all(|(name, value)| labels.next().is_some_and(|label| label.0 == name && label.1 == value))
        && labels.next().is_none()
}

/// The series that `selector` means with their samples in `range`, sorted by key; none without a sample.
pub(super) fn select(
    view: &View,
    files: &dyn Files,
    selector: &Selector,
    range: TimeRange,
) -> Result<Vec<Series>, Failed> {
    select_where(view, files, selector, range, |_| true)
}

/// As [`select`], of the blocks that `is_wanted` and all memtables.
pub(super) fn select_where(
    view: &View,
    files: &dyn Files,
    selector: &Selector,
    range: TimeRange,
    is_wanted: impl Fn(&Block) -> bool,
) -> Result<Vec<Series>, Failed> {
    // For each series its runs, in order of arrival.
    let mut found: Found<Vec<Vec<Sample>>> = Found::new();
    for block in overlapping(view, range).filter(|block| is_wanted(block)) {
        let index = block.index(files).map_err(failed(block.index_path()))?;
        let hidden = view.tombstones.of_block(&block.entry().id);
        let runs = left(&index, index.matching(selector, range), &hidden).map_err(failed(block.index_path()))?;
        if runs.is_empty() {
            continue;
        }
        let mut reader = block.reader(files).map_err(failed(block.path()))?;
        for number in runs {
            let mut samples = reader.run(number, range).map_err(failed(block.path()))?;
            let run = &index.runs()[number];
            if !hidden.is_empty() {
                hidden.take_from(&index.key(run).map_err(failed(block.index_path()))?, &mut samples);
            }
            if samples.is_empty() {
                continue;
            }
            let entry = found.entry(run.id, index.labels(run), || index.key(run));
            entry.map_err(failed(block.index_path()))?.push(samples);
        }
    }
    for memtable in view.memtables() {
        memtable.for_each(selector, range, |column| found.of_key(column.key()).push(column.samples(range)));
    }
    let merged = found.into_series().map(|(key, runs)| Series { key, samples: merge(runs) });
    let mut series: Vec<Series> = merged.filter(|series| !series.samples.is_empty()).collect();
    series.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    Ok(series)
}

/// The series that `selector` means whose first and last sample enclose a part of `range`, sorted.
pub(super) fn keys(view: &View, files: &dyn Files, selector: &Selector, range: TimeRange) -> Result<Vec<Key>, Failed> {
    let mut found: Found<()> = Found::new();
    each_index(view, files, selector, range, |index, runs| {
        for number in runs {
            let run = &index.runs()[*number];
            found.entry(run.id, index.labels(run), || index.key(run))?;
        }
        Ok(())
    })?;
    for memtable in view.memtables() {
        memtable.for_each(selector, range, |column| {
            found.of_key(column.key());
        });
    }
    let mut keys: Vec<Key> = found.into_series().map(|(key, ())| key).collect();
    keys.sort_unstable();
    Ok(keys)
}

/// About how many samples [`select`] would read: by proportion where a block's run reaches beyond the range.
pub(super) fn estimate(view: &View, files: &dyn Files, selector: &Selector, range: TimeRange) -> Result<u64, Failed> {
    let mut n_samples = 0;
    each_index(view, files, selector, range, |index, runs| {
        let run = |number: &usize| &index.runs()[*number];
        let share = |run: &Run| share_within(u64::from(run.n_rows), run.min_time, run.max_time, range);
        n_samples += runs.iter().map(run).map(share).sum::<u64>();
        Ok(())
    })?;
    for memtable in view.memtables() {
        memtable.for_each(selector, range, |column| n_samples += column.n_about(range));
    }
    Ok(n_samples)
}

/// The names of those series' labels, the metric's name among them, sorted.
pub(super) fn label_names(
    view: &View,
    files: &dyn Files,
    selector: &Selector,
    range: TimeRange,
) -> Result<Vec<String>, Failed> {
    let mut names: HashSet<String> = HashSet::new();
    each_index(view, files, selector, range, |index, runs| {
        gather(&mut names, index.names_of(runs));
        Ok(())
    })?;
    for memtable in view.memtables() {
        memtable
            .for_each(selector, range, |column| gather(&mut names, column.key().labels().iter().map(|(name, _)| name)));
    }
    Ok(sorted(names))
}

/// The values that the label `name` has among those series, sorted.
pub(super) fn label_values(
    view: &View,
    files: &dyn Files,
    name: &str,
    selector: &Selector,
    range: TimeRange,
) -> Result<Vec<String>, Failed> {
    let mut values: HashSet<String> = HashSet::new();
    each_index(view, files, selector, range, |index, runs| {
        gather(&mut values, index.values_of(name, runs));
        Ok(())
    })?;
    for memtable in view.memtables() {
        memtable.for_each(selector, range, |column| gather(&mut values, column.key().labels().get(name)));
    }
    Ok(sorted(values))
}

fn gather<'a>(texts: &mut HashSet<String>, more: impl IntoIterator<Item = &'a str>) {
    for text in more {
        texts.get_or_insert_with(text, str::to_owned);
    }
}

fn sorted(texts: HashSet<String>) -> Vec<String> {
    let mut texts: Vec<String> = texts.into_iter().collect();
    texts.sort_unstable();
    texts
}

/// Shows the index of every block with matching runs, and the numbers of those.
fn each_index(
    view: &View,
    files: &dyn Files,
    selector: &Selector,
    range: TimeRange,
    mut show: impl FnMut(&BlockIndex, &[usize]) -> Result<(), BlockError>,
) -> Result<(), Failed> {
    for block in overlapping(view, range) {
        let index = block.index(files).map_err(failed(block.index_path()))?;
        let hidden = view.tombstones.of_block(&block.entry().id);
        let runs = left(&index, index.matching(selector, range), &hidden).map_err(failed(block.index_path()))?;
        show(&index, &runs).map_err(failed(block.index_path()))?;
    }
    Ok(())
}

/// Those of the runs of which not every sample is deleted.
pub(super) fn left(index: &BlockIndex, mut runs: Vec<usize>, hidden: &Hidden<'_>) -> Result<Vec<usize>, BlockError> {
    if hidden.is_empty() {
        return Ok(runs);
    }
    let mut outcome = Ok(());
    runs.retain(|number| {
        let run = &index.runs()[*number];
        match index.key(run) {
            Ok(key) => !hidden.covers(&key, run.min_time, run.max_time),
            Err(error) => {
                outcome = Err(error);
                false
            }
        }
    });
    outcome.map(|()| runs)
}

fn overlapping(view: &View, range: TimeRange) -> impl Iterator<Item = &Arc<Block>> {
    view.blocks.iter().filter(move |block| range.overlaps(block.entry().min_time, block.entry().max_time))
}
