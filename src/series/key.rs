//! Who a series is: its labels, shared, with the id that stands for them on disk.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use xxhash_rust::xxh3::Xxh3Default;

use super::labels::{LabelError, LabelLimits, Labels};

/// The 64-bit name of a series on disk: xxh3 of its sorted labels, the same in every process and version.
///
/// Signed because Parquet readers such as Spark know no unsigned 64-bit column.
pub type SeriesId = i64;

struct Inner {
    id: SeriesId,
    labels: Labels,
    // See `Key::set_number`: the owner in the high half, its number in the low one; 0 is no owner.
    numbered: AtomicU64,
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
        Key(Arc::new(Inner { id, labels, numbered: AtomicU64::new(0) }))
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

    /// Bytes of memory it takes, whoever else shares it.
    pub fn n_bytes(&self) -> usize {
        // The counts of those who share it, and what an allocation costs.
        size_of::<Inner>() + 32 + self.0.labels.n_bytes()
    }

    /// The number that `owner` left here last; `None` when another did since, or nobody.
    ///
    /// A hint and not part of the key: clones share it, equal keys that were made apart do not.
    pub fn number(&self, owner: u32) -> Option<u32> {
        let numbered = self.0.numbered.load(Ordering::Relaxed);
        ((numbered >> 32) as u32 == owner && owner != 0).then_some(numbered as u32)
    }

    /// Leaves a number, so that `owner`, which is not 0, need not look this key up again.
    pub fn set_number(&self, owner: u32, number: u32) {
        self.0.numbered.store(u64::from(owner) << 32 | u64::from(number), Ordering::Relaxed);
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

/// The order of keys of one metric: of each its place in `keys`, those that sort first first.
///
/// The same as sorting by the keys, with their texts looked at once each rather than at every comparison.
pub fn order_of(keys: &[&Key]) -> Vec<u32> {
    const N: usize = 16;
    let labels = || keys.iter().map(|key| &key.0.labels);
    let Some(first) = labels().next() else { return Vec::new() };
    // As far as names and values have the same lengths, and one further, comparing parts is comparing bytes.
    let n_parts = labels().map(|labels| first.n_alike(labels)).min().unwrap_or(0);
    let head = first.head(n_parts);
    let n_alike = |other: &[u8]| head.iter().zip(other).take_while(|(a, b)| a == b).count();
    let n_alike = labels().map(|labels| n_alike(labels.head(n_parts))).min().unwrap_or(0);
    let next = |labels: &Labels| {
        let (mut next, left) = ([0; N], &labels.head(n_parts)[n_alike..]);
        let n = left.len().min(N);
        next[..n].copy_from_slice(&left[..n]);
        u128::from_be_bytes(next)
    };
    let mut order: Vec<(u128, u32)> = labels().map(next).zip(0..).collect();
    order.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| keys[a.1 as usize].cmp(keys[b.1 as usize])));
    order.into_iter().map(|(_, place)| place).collect()
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
        // Lower case sorts behind the metric's name, which is then the first label of both.
        if self.0.labels.begins_with_metric() && other.0.labels.begins_with_metric() {
            return self.0.labels.cmp(&other.0.labels);
        }
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
    fn a_number_is_its_owners() {
        let key = Key::from_pairs("up", &[]).unwrap();
        assert_eq!((key.number(0), key.number(1)), (None, None));
        let twins = [key.clone(), key.clone()];
        twins[0].set_number(1, 7);
        assert_eq!((key.number(1), key.number(2)), (Some(7), None));
        twins[1].set_number(2, 0);
        assert_eq!((key.number(1), key.number(2)), (None, Some(0)));
    }

    #[test]
    fn keys_of_a_metric_are_ordered_as_they_compare() {
        let values =
            ["a", "b", "ab", "aa", "a\0", "abcdefghijklmnopqrstuvwxyz", "abcdefghijklmnopqrstuvwxya", "é", "_"];
        let mut keys = Vec::new();
        for (idx, one) in values.iter().enumerate() {
            for (other, name) in values.iter().zip(["x", "xy", "x", "X", "host", "host", "zz", "__a", "a"]) {
                keys.push(
                    Key::from_pairs(
                        "up",
                        &[("host", one), (["job", "k"][idx % 2], "j"), (&*format!("{name}_"), other)],
                    )
                    .unwrap(),
                );
            }
        }
        for part in [&keys[..], &keys[..9], &keys[30..50], &keys[..1], &keys[..0]] {
            let part: Vec<&Key> = part.iter().collect();
            let mut expected = part.clone();
            expected.sort();
            let ordered: Vec<&Key> = order_of(&part).into_iter().map(|place| part[place as usize]).collect();
            assert_eq!(ordered, expected);
        }
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
