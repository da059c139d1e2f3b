//! Who a series is: its labels, shared, with the id that stands for them on disk.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use hashbrown::HashSet;
use xxhash_rust::xxh3::Xxh3Default;

use super::labels::{LabelError, LabelLimits, Labels};

/// The 64-bit name of a series on disk: xxh3 of its sorted labels, the same in every process and version.
///
/// Signed because Parquet readers such as Spark know no unsigned 64-bit column.
pub type SeriesId = i64;

struct Inner {
    id: SeriesId,
    labels: Labels,
}

/// A series' labels, cheap to clone and to compare.
///
/// Two keys are equal when their labels are; the id is only their hash.
#[derive(Clone)]
pub struct Key(Arc<Inner>);

impl Key {
    /// The key of these labels.
    pub fn new(labels: Labels) -> Key {
        let id = id_of(&labels);
        Key(Arc::new(Inner { id, labels }))
    }

    /// A key from label pairs with the default limits; for tests, presets and command lines.
    ///
    /// # Errors
    /// As [`Labels::new`].
    pub fn from_pairs<'a>(metric: &'a str, pairs: &[(&'a str, &'a str)]) -> Result<Key, LabelError> {
        let all = std::iter::once((super::METRIC_NAME, metric)).chain(pairs.iter().copied());
        Labels::new(all, &LabelLimits::default()).map(Key::new)
    }

    /// The labels, the metric name among them.
    pub fn labels(&self) -> &Labels {
        &self.0.labels
    }

    /// The metric's name.
    pub fn metric(&self) -> &str {
        self.0.labels.metric()
    }

    /// The id that stands for these labels in blocks and in the WAL.
    pub fn id(&self) -> SeriesId {
        self.0.id
    }
}

// Length-prefixed, so that no two label sets run together to the same bytes.
fn id_of(labels: &Labels) -> SeriesId {
    let mut hasher = Xxh3Default::new();
    for (name, value) in labels.iter() {
        for text in [name, value] {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
    }
    hasher.digest().cast_signed()
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || (self.0.id == other.0.id && self.0.labels == other.0.labels)
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Key) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    /// By metric, then by the other labels: the order in which people read lists of series.
    fn cmp(&self, other: &Key) -> std::cmp::Ordering {
        self.metric().cmp(other.metric()).then_with(|| self.0.labels.cmp(&other.0.labels))
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_i64(self.0.id);
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.labels.fmt(f)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.labels.fmt(f)
    }
}

/// Keeps one copy of each label text and of each key.
///
/// A fleet repeats the same few thousand names and values over a hundred thousand series.
#[derive(Debug, Default)]
pub struct Interner {
    texts: HashSet<Arc<str>>,
    keys: HashSet<Key>,
}

impl Interner {
    /// The shared key for these labels.
    pub fn intern(&mut self, labels: &Labels) -> Key {
        let pairs = labels.pairs().iter().map(|(name, value)| (self.text(name), self.text(value))).collect();
        let key = Key::new(Labels::from_interned(pairs));
        self.keys.get_or_insert_with(&key, Key::clone).clone()
    }

    /// How many distinct keys were interned.
    pub fn n_keys(&self) -> usize {
        self.keys.len()
    }

    fn text(&mut self, text: &Arc<str>) -> Arc<str> {
        self.texts.get_or_insert_with(text, Arc::clone).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_stable_across_versions() {
        // Changing this number orphans every block ever written.
        let key = Key::from_pairs("up", &[("job", "node")]).unwrap();
        assert_eq!(key.id(), 357_186_861_501_308_161);
        assert_ne!(key.id(), Key::from_pairs("up", &[("jo", "bnode")]).unwrap().id());
    }

    #[test]
    fn equal_labels_intern_to_one_key() {
        let mut interner = Interner::default();
        let a = interner.intern(Key::from_pairs("up", &[("job", "a")]).unwrap().labels());
        let b = interner.intern(Key::from_pairs("up", &[("job", "a")]).unwrap().labels());
        assert!(Arc::ptr_eq(&a.0, &b.0));
        assert_eq!(interner.n_keys(), 1);
    }

    #[test]
    fn keys_sort_by_metric_first() {
        let mut keys = [
            Key::from_pairs("b", &[]).unwrap(),
            Key::from_pairs("a", &[("A", "2")]).unwrap(),
            Key::from_pairs("a", &[("A", "1")]).unwrap(),
        ];
        keys.sort();
        assert_eq!(keys.map(|key| key.to_string()), ["a{A=\"1\"}", "a{A=\"2\"}", "b"]);
    }
}
