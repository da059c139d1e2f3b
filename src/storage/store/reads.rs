//! The questions that a store answers. Each is asked of one [`View`], and again of a newer one when a merge or the
//! quarantine came in between.

use super::Store;
use crate::series::{Key, Millis, Selector, Series, TimeRange};
use crate::storage::aside::Fate;
use crate::storage::error::SelectError;
use crate::storage::select::{self, Failed};
use crate::storage::shared::Shared;
use crate::storage::tiers::{Downsampled, estimate_downsampled, select_downsampled, select_retired};
use crate::storage::view::View;

// A select that meets a block which a merge has just replaced starts over, and so often at most.
const MAX_OUTDATED: usize = 10;

impl Store {
    /// The matching series with their samples in `range`, sorted by key; series without one are left out.
    ///
    /// # Errors
    /// When a block cannot be read.
    pub fn select(&self, selector: &Selector, range: TimeRange) -> Result<Vec<Series>, SelectError> {
        self.select_up_to(selector, range, u64::MAX)
    }

    /// As [`select`](Store::select), unless there are more than about `max_samples` samples, as
    /// [`estimate`](Store::estimate) counts them.
    ///
    /// # Errors
    /// [`SelectError::TooMany`], before any is read; when a block cannot be read.
    pub fn select_up_to(
        &self,
        selector: &Selector,
        range: TimeRange,
        max_samples: u64,
    ) -> Result<Vec<Series>, SelectError> {
        self.read(|view| select::select(&self.shared, view, selector, range, max_samples))
    }

    /// Shows the matching series with their samples in `range`, some at a time, in no order, so that not all of them are
    /// in memory together. A series is shown twice when a merge comes in between.
    ///
    /// # Errors
    /// When a block cannot be read; some series were shown then.
    pub fn show(
        &self,
        selector: &Selector,
        range: TimeRange,
        mut show: impl FnMut(Vec<Series>),
    ) -> Result<(), SelectError> {
        self.read(|view| select::show(&self.shared, view, selector, range, &mut show))
    }

    /// The matching series whose samples, from a block's or the memtable's first to last, reach into `range`, in no order;
    /// each with when its newest sample before the end of `range` is, or a little later where it has others after it.
    ///
    /// # Errors
    /// When a block's index cannot be read.
    pub fn newest(&self, selector: &Selector, range: TimeRange) -> Result<Vec<(Key, Millis)>, SelectError> {
        self.read(|view| select::newest(&self.shared, view, selector, range))
    }

    /// The matching series as windows of about `step`, with what each was read from, sorted by key.
    ///
    /// The coarsest [`Tier`](crate::storage::Tier) that is fine enough answers for the blocks it was made from, and samples
    /// answer for the others; where retention has deleted the samples, the finest tier there is. The windows are those
    /// that the range touches, as wide as the answer's `width` says. A sample that was sent twice counts twice while
    /// one of the two is not merged.
    ///
    /// # Errors
    /// When a block or a tier's file cannot be read.
    pub fn select_downsampled(
        &self,
        selector: &Selector,
        range: TimeRange,
        step: Millis,
    ) -> Result<Downsampled, SelectError> {
        self.read(|view| select_downsampled(&self.shared, view, selector, range, step))
    }

    /// Of what retention has deleted, the windows that are kept, for the matching series: of the coarsest tier that is
    /// fine enough for `step`, or of the finest there is. No series when no sample of the range was deleted by retention.
    ///
    /// # Errors
    /// When a tier's file cannot be read.
    pub fn select_retired(
        &self,
        selector: &Selector,
        range: TimeRange,
        step: Millis,
    ) -> Result<Downsampled, SelectError> {
        let Shared { files, layout, .. } = &*self.shared;
        self.read(|view| select_retired(view, &**files, layout, selector, range, step))
    }

    /// About how many windows and samples [`select_downsampled`](Store::select_downsampled) would read.
    ///
    /// # Errors
    /// When an index cannot be read.
    pub fn estimate_downsampled(
        &self,
        selector: &Selector,
        range: TimeRange,
        step: Millis,
    ) -> Result<u64, SelectError> {
        self.read(|view| estimate_downsampled(&self.shared, view, selector, range, step))
    }

    /// The matching series whose samples, from a block's or the memtable's first to last, reach into `range`; sorted.
    ///
    /// # Errors
    /// When a block's index cannot be read.
    pub fn keys(&self, selector: &Selector, range: TimeRange) -> Result<Vec<Key>, SelectError> {
        self.read(|view| select::keys(&self.shared, view, selector, range))
    }

    /// About how many samples of all series lie in `range`: the sum of what each block has, by proportion where it reaches
    /// beyond the range, and of what is in memory. Needs no block's index, unlike [`estimate`](Store::estimate).
    pub fn n_about(&self, range: TimeRange) -> u64 {
        select::n_about(&self.shared.view(), range)
    }

    /// About how many samples [`select`](Store::select) would read, without reading them.
    ///
    /// # Errors
    /// When a block's index cannot be read.
    pub fn estimate(&self, selector: &Selector, range: TimeRange) -> Result<u64, SelectError> {
        self.read(|view| select::estimate(&self.shared, view, selector, range))
    }

    fn read<T>(&self, mut read: impl FnMut(&View) -> Result<T, Failed>) -> Result<T, SelectError> {
        let (mut n_outdated, mut mended) = (0, Vec::new());
        loop {
            match read(&self.shared.view()) {
                Ok(found) => return Ok(found),
                Err(Failed::Outdated(_)) if n_outdated < MAX_OUTDATED => n_outdated += 1,
                Err(Failed::Renumbered) => {}
                // Nothing here is damaged, and what is cached stays good.
                Err(Failed::Lasting(error)) if error.is_for_want_of_a_bucket() => return Err(error),
                Err(Failed::Lasting(SelectError::Block { path, source })) => match self.keeper.look_into(&path) {
                    // Each block once at most.
                    Fate::Out => {}
                    Fate::Mended if !mended.contains(&path) => mended.push(path),
                    Fate::Mended | Fate::Stays => return Err(SelectError::Block { path, source }),
                },
                Err(Failed::Outdated(error) | Failed::Lasting(error)) => return Err(error),
            }
        }
    }

    /// The label names of the matching series, `__name__` among them, sorted.
    ///
    /// # Errors
    /// As [`keys`](Store::keys).
    pub fn label_names(&self, selector: &Selector, range: TimeRange) -> Result<Vec<String>, SelectError> {
        self.read(|view| select::label_names(&self.shared, view, selector, range))
    }

    /// The values the label `name` takes among the matching series, sorted.
    ///
    /// # Errors
    /// As [`keys`](Store::keys).
    pub fn label_values(&self, name: &str, selector: &Selector, range: TimeRange) -> Result<Vec<String>, SelectError> {
        self.read(|view| select::label_values(&self.shared, view, name, selector, range))
    }
}
