//! What one question may read into memory.
//!
//! Asked before anything is read, so that `{__name__=~".+"}` over a year is an error in words instead of a store in
//! memory. How many samples there are is told by the blocks' indexes and the memtables, at the cost of listing the
//! series; a block that the range cuts counts by proportion.

use super::error::QueryError;
use crate::series::{Millis, Selector, Series, TimeRange};
use crate::storage::{Downsampled, SelectError, Store};

/// The most samples that one question may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    limit: u64,
}

impl Budget {
    /// At most so many samples.
    pub const fn samples(limit: u64) -> Budget {
        Budget { limit }
    }

    /// As [`Store::select`], once it is known to be within the budget.
    ///
    /// # Errors
    /// [`QueryError::TooManySamples`] when it is not; when the store cannot read.
    pub fn select(self, store: &Store, selector: &Selector, range: TimeRange) -> Result<Vec<Series>, QueryError> {
        store.select_up_to(selector, range, self.limit).map_err(|error| match error {
            SelectError::TooMany { n_samples, limit } => QueryError::TooManySamples { n_samples, limit },
            error @ SelectError::Block { .. } => error.into(),
        })
    }

    /// As [`Store::select_downsampled`], once what it reads, a window counting as a sample, is known to be within the
    /// budget.
    ///
    /// # Errors
    /// As [`select`](Budget::select).
    pub fn select_downsampled(
        self,
        store: &Store,
        selector: &Selector,
        range: TimeRange,
        step: Millis,
    ) -> Result<Downsampled, QueryError> {
        let n_samples = store.estimate_downsampled(selector, range, step)?;
        if n_samples > self.limit {
            return Err(QueryError::TooManySamples { n_samples, limit: self.limit });
        }
        Ok(store.select_downsampled(selector, range, step)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::{Batch, Key, Sample};
    use crate::storage::StoreSettings;

    #[test]
    fn what_is_too_much_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), StoreSettings::default()).unwrap();
        let record = |metric: &str, from: i64| {
            let key = Key::from_pairs(metric, &[]).unwrap();
            let sample = |i: i64| (key.clone(), Sample { at: from + i * 1_000, value: 0.0 });
            store.append(&Batch::from_samples((0..1_000).map(sample))).unwrap();
        };
        record("a", 0);
        record("b", 0);
        store.flush().unwrap();
        record("a", 1_000_000);
        let (a, all) = (Selector::metric("a"), Selector::all());
        let half = TimeRange::new(500_000, 1_500_000).unwrap();
        // Memory to the sample, blocks by proportion.
        for (selector, range, n) in
            [(&a, TimeRange::ALL, 2_000), (&all, TimeRange::ALL, 3_000), (&a, half, 1_000), (&all, half, 1_500)]
        {
            let estimate = store.estimate(selector, range).unwrap();
            assert!(estimate.abs_diff(n) <= 5, "{selector} has {n} samples, estimated as {estimate}");
            assert!(Budget::samples(n + 5).select(&store, selector, range).is_ok());
            let refused = Budget::samples(n - 10).select(&store, selector, range).unwrap_err();
            assert!(matches!(refused, QueryError::TooManySamples { limit, .. } if limit == n - 10), "{refused}");
            assert!(refused.to_string().contains("max_query_samples"), "{refused}");
        }
    }
}
