//! Finding series in memtables and blocks together.

use std::path::Path;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use super::block::{Block, Run};
use super::error::{BlockError, SelectError};
use super::files::Files;
use super::merge::{merge, share_within};
use super::view::View;
use crate::series::{Key, Sample, Selector, Series, TimeRange};

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
    let mut found: HashMap<Key, Vec<Vec<Sample>>> = HashMap::new();
    for block in overlapping(view, range).filter(|block| is_wanted(block)) {
        let index = block.index(files).map_err(failed(block.index_path()))?;
        let hidden = view.tombstones.of_block(&block.entry().id);
        let is_left = |run: &&Run| !hidden.covers(&run.key, run.min_time, run.max_time);
        let runs: Vec<_> = index.matching(selector, range).filter(is_left).collect();
        if runs.is_empty() {
            continue;
        }
        let columns = block.read(files, &runs, range).map_err(failed(block.path()))?;
        for (run, mut samples) in runs.iter().zip(columns) {
            hidden.take_from(&run.key, &mut samples);
            found.entry(run.key.clone()).or_default().push(samples);
        }
    }
    for memtable in view.memtables() {
        memtable.for_each(selector, range, |column| {
            found.entry(column.key().clone()).or_default().push(column.samples(range));
        });
    }
    let merged = found.into_iter().map(|(key, runs)| Series { key, samples: merge(runs) });
    let mut series: Vec<Series> = merged.filter(|series| !series.samples.is_empty()).collect();
    series.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    Ok(series)
}

/// The series that `selector` means whose first and last sample enclose a part of `range`, sorted.
pub(super) fn keys(view: &View, files: &dyn Files, selector: &Selector, range: TimeRange) -> Result<Vec<Key>, Failed> {
    let mut found: HashSet<Key> = HashSet::new();
    for block in overlapping(view, range) {
        let index = block.index(files).map_err(failed(block.index_path()))?;
        let hidden = view.tombstones.of_block(&block.entry().id);
        let is_left = |run: &&Run| !hidden.covers(&run.key, run.min_time, run.max_time);
        for run in index.matching(selector, range).filter(is_left) {
            found.get_or_insert_with(&run.key, Key::clone);
        }
    }
    for memtable in view.memtables() {
        memtable.for_each(selector, range, |column| {
            found.get_or_insert_with(column.key(), Key::clone);
        });
    }
    let mut keys: Vec<Key> = found.into_iter().collect();
    keys.sort_unstable();
    Ok(keys)
}

/// About how many samples [`select`] would read: by proportion where a block's run reaches beyond the range.
pub(super) fn estimate(view: &View, files: &dyn Files, selector: &Selector, range: TimeRange) -> Result<u64, Failed> {
    let mut n_samples = 0;
    for block in overlapping(view, range) {
        let index = block.index(files).map_err(failed(block.index_path()))?;
        let share = |run: &Run| share_within(run.n_rows, run.min_time, run.max_time, range);
        n_samples += index.matching(selector, range).map(share).sum::<u64>();
    }
    for memtable in view.memtables() {
        memtable.for_each(selector, range, |column| n_samples += column.n_about(range));
    }
    Ok(n_samples)
}

fn overlapping(view: &View, range: TimeRange) -> impl Iterator<Item = &Arc<Block>> {
    view.blocks.iter().filter(move |block| range.overlaps(block.entry().min_time, block.entry().max_time))
}
