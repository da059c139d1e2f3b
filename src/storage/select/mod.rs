//! Finding series in memtables and blocks together.

use std::path::Path;
use std::sync::Arc;

use super::block::{Block, BlockIndex};
use super::deletes::Hidden;
use super::error::{BlockError, SelectError};
use super::shared::Shared;
use super::view::View;
use crate::series::{Key, Millis, Selector, Series, TimeRange};

mod found;
mod gather;
mod list;
mod plan;

pub(super) use found::Found;
pub(super) use list::{estimate, label_names, label_values, n_about};
use plan::Plan;

/// Why a view could not be read.
pub(super) enum Failed {
    /// A block was replaced by a merge since the view was taken: take another view.
    Outdated(SelectError),
    /// Numbers of series were given to others since the view was taken: take another view.
    Renumbered,
    /// It will not get better by trying again.
    Lasting(SelectError),
}

/// Fails when numbers of series have been given to others since the view was taken.
///
/// To be asked when the lists of labels and the memtables have been looked at: then both meant the same series.
fn check_numbers(shared: &Shared, view: &View) -> Result<(), Failed> {
    if shared.table.epoch() == view.epoch { Ok(()) } else { Err(Failed::Renumbered) }
}

fn failed(path: &Path) -> impl FnOnce(BlockError) -> Failed {
    move |source| {
        let is_gone = source.is_gone();
        let error = SelectError::Block { path: path.to_owned(), source };
        if is_gone { Failed::Outdated(error) } else { Failed::Lasting(error) }
    }
}

/// The series that `selector` means with their samples in `range`, sorted by key; none without a sample.
///
/// Fails when there are about more than `max_samples` of them, before any is read.
pub(super) fn select(
    shared: &Shared,
    view: &View,
    selector: &Selector,
    range: TimeRange,
    max_samples: u64,
) -> Result<Vec<Series>, Failed> {
    let plan = Plan::new(shared, view, selector, range, |_| true)?;
    let n_samples = plan.n_samples();
    if n_samples > max_samples {
        return Err(Failed::Lasting(SelectError::TooMany { n_samples, limit: max_samples }));
    }
    gather::gather(&plan, &*shared.files, range)
}

/// As [`select`] without a limit, of the blocks that `is_wanted` and all memtables.
pub(super) fn select_where(
    shared: &Shared,
    view: &View,
    selector: &Selector,
    range: TimeRange,
    is_wanted: impl Fn(&Block) -> bool,
) -> Result<Vec<Series>, Failed> {
    gather::gather(&Plan::new(shared, view, selector, range, is_wanted)?, &*shared.files, range)
}

/// Shows the series that `selector` means with their samples in `range`, some at a time, in no order.
pub(super) fn show(
    shared: &Shared,
    view: &View,
    selector: &Selector,
    range: TimeRange,
    show: impl FnMut(Vec<Series>),
) -> Result<(), Failed> {
    gather::show(&Plan::new(shared, view, selector, range, |_| true)?, &*shared.files, range, show)
}

/// As [`keys`], in no order, each with when its newest sample before the end of `range` is, or a little later.
pub(super) fn newest(
    shared: &Shared,
    view: &View,
    selector: &Selector,
    range: TimeRange,
) -> Result<Vec<(Key, Millis)>, Failed> {
    gather::newest(&Plan::new(shared, view, selector, range, |_| true)?, range)
}

/// The series that `selector` means whose first and last sample enclose a part of `range`, sorted.
pub(super) fn keys(shared: &Shared, view: &View, selector: &Selector, range: TimeRange) -> Result<Vec<Key>, Failed> {
    gather::keys(&Plan::new(shared, view, selector, range, |_| true)?)
}

/// Those of the runs of which not every sample is deleted.
pub(super) fn left(index: &BlockIndex, mut runs: Vec<usize>, hidden: &Hidden<'_>) -> Result<Vec<usize>, BlockError> {
    if hidden.is_empty() {
        return Ok(runs);
    }
    let mut outcome = Ok(());
    runs.retain(|number| {
        let run = index.run(*number);
        match index.key(&run) {
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
    let is_near = move |block: &&Arc<Block>| range.overlaps(block.entry().min_time, block.entry().max_time);
    view.blocks.iter().filter(is_near).filter(|block| !block.is_condemned())
}
