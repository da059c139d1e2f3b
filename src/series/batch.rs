//! What arrived together, as columns.

use hashbrown::HashMap;

use super::key::Key;
use super::sample::Sample;
use super::time::Millis;

/// Three columns of equal length: whose sample, when, what.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Columns {
    /// Index into the batch's keys.
    pub key_idx: Vec<u32>,
    /// Timestamps in milliseconds.
    pub at: Vec<Millis>,
    /// Values, any `f64`.
    pub value: Vec<f64>,
}

/// Samples of one or more series, in arrival order.
///
/// The order matters: of two samples with the same key and timestamp the later one wins.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    keys: Vec<Key>,
    columns: Columns,
}

impl Batch {
    /// An empty batch with room for `n_samples`.
    pub fn with_capacity(n_samples: usize) -> Batch {
        Batch {
            keys: Vec::new(),
            columns: Columns {
                key_idx: Vec::with_capacity(n_samples),
                at: Vec::with_capacity(n_samples),
                value: Vec::with_capacity(n_samples),
            },
        }
    }

    /// Gathers `(key, sample)` pairs, storing each key once.
    pub fn from_samples(samples: impl IntoIterator<Item = (Key, Sample)>) -> Batch {
        let mut known: HashMap<Key, u32> = HashMap::new();
        let mut batch = Batch::default();
        for (key, sample) in samples {
            let key_idx = *known.entry(key).or_insert_with_key(|key| batch.add_key(key.clone()));
            batch.push(key_idx, sample);
        }
        batch
    }

    /// Adds a key and answers its index; the caller keeps from adding it twice.
    pub fn add_key(&mut self, key: Key) -> u32 {
        self.keys.push(key);
        u32::try_from(self.keys.len() - 1).expect("a batch is bounded by the request body, far below 2^32 keys")
    }

    /// Adds a sample of the key at `key_idx`, which [`add_key`](Batch::add_key) answered.
    pub fn push(&mut self, key_idx: u32, sample: Sample) {
        debug_assert!((key_idx as usize) < self.keys.len());
        self.columns.key_idx.push(key_idx);
        self.columns.at.push(sample.at);
        self.columns.value.push(sample.value);
    }

    /// The keys, in order of their indices.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// The samples as columns.
    pub fn columns(&self) -> &Columns {
        &self.columns
    }

    /// How many samples there are.
    pub fn len(&self) -> usize {
        self.columns.at.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.columns.at.is_empty()
    }

    /// Bytes of memory it takes, the keys themselves excepted, which others have too.
    pub fn n_bytes(&self) -> usize {
        let Columns { key_idx, at, value } = &self.columns;
        self.keys.capacity() * size_of::<Key>()
            + key_idx.capacity() * size_of::<u32>()
            + at.capacity() * size_of::<Millis>()
            + value.capacity() * size_of::<f64>()
    }

    /// Every sample with its key, in arrival order.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, Sample)> {
        let Columns { key_idx, at, value } = &self.columns;
        key_idx
            .iter()
            .zip(at)
            .zip(value)
            .map(|((&key_idx, &at), &value)| (&self.keys[key_idx as usize], Sample { at, value }))
    }

    /// Keeps the first `n_samples` samples; keys stay.
    pub fn truncate(&mut self, n_samples: usize) {
        self.columns.key_idx.truncate(n_samples);
        self.columns.at.truncate(n_samples);
        self.columns.value.truncate(n_samples);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_is_stored_once_and_order_is_kept() {
        let (a, b) = (Key::from_pairs("a", &[]).unwrap(), Key::from_pairs("b", &[]).unwrap());
        let samples = [(a.clone(), 1, 1.0), (b.clone(), 1, 2.0), (a.clone(), 1, 3.0)];
        let batch = Batch::from_samples(
            samples.iter().map(|(key, at, value)| (key.clone(), Sample { at: *at, value: *value })),
        );
        assert_eq!(batch.keys(), [a, b]);
        let back: Vec<_> = batch.iter().map(|(key, sample)| (key.clone(), sample.at, sample.value)).collect();
        assert_eq!(back, samples);
    }
}
