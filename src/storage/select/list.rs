//! What is told without reading a sample: which label names and values there are, and how many samples.

use std::sync::Arc;

use hashbrown::HashSet;

use super::super::block::{Block, BlockIndex, Run};
use super::super::memtable::{Look, Memtable};
use super::super::merge::share_within;
use super::super::parallel::each;
use super::super::postings::Postings;
use super::super::shared::Shared;
use super::super::texts::TextId;
use super::super::view::View;
use super::super::wal::record::SeriesRef;
use super::plan::{matched, n_threads_for};
use super::{Failed, overlapping};
use crate::series::{Selector, TimeRange};

/// About how many samples [`select`](super::select) would read: by proportion where a block's run reaches beyond the
/// range.
pub(in crate::storage) fn estimate(
    shared: &Shared,
    view: &View,
    selector: &Selector,
    range: TimeRange,
) -> Result<u64, Failed> {
    let share = |run: &Run| share_within(u64::from(run.n_rows), run.min_time, run.max_time, range);
    let count = |index: &BlockIndex, runs: &[usize]| runs.iter().map(|number| share(&index.runs()[*number])).sum();
    let counts: Vec<(_, u64)> = of_blocks(shared, view, selector, range, count)?;
    let mut n_samples = counts.into_iter().map(|(_, n_samples)| n_samples).sum();
    let numbers = shared.table.matching(selector);
    for memtable in view.memtables() {
        memtable.for_each(numbers.as_ref(), range, |_, column| n_samples += column.n_about(range));
    }
    Ok(n_samples)
}

/// The names of those series' labels, the metric's name among them, sorted.
pub(in crate::storage) fn label_names(
    shared: &Shared,
    view: &View,
    selector: &Selector,
    range: TimeRange,
) -> Result<Vec<String>, Failed> {
    let in_blocks = of_blocks(shared, view, selector, range, |index, runs| index.names_of(runs))?;
    Ok(joined(shared, view, selector, range, &in_blocks, |postings, has| postings.names(has).collect()))
}

/// The values that the label `name` has among those series, sorted.
pub(in crate::storage) fn label_values(
    shared: &Shared,
    view: &View,
    name: &str,
    selector: &Selector,
    range: TimeRange,
) -> Result<Vec<String>, Failed> {
    let in_blocks = of_blocks(shared, view, selector, range, |index, runs| index.values_of(name, runs))?;
    Ok(joined(shared, view, selector, range, &in_blocks, |postings, has| postings.values(name, has).collect()))
}

/// What `tell` says of each block with matching runs, shown their numbers, with the block's index.
fn of_blocks<T: Send>(
    shared: &Shared,
    view: &View,
    selector: &Selector,
    range: TimeRange,
    tell: impl Fn(&BlockIndex, &[usize]) -> T + Sync,
) -> Result<Vec<(Arc<BlockIndex>, T)>, Failed> {
    let blocks: Vec<&Block> = overlapping(view, range).map(|block| &**block).collect();
    let look = |_: &mut (), number: usize| {
        let (index, runs, _) = matched(view, &*shared.files, blocks[number], selector, range)?;
        let told = tell(&index, &runs);
        Ok((index, told))
    };
    each(blocks.len(), n_threads_for(&blocks), || (), look).into_iter().collect()
}

/// Texts of blocks and those that `listed` knows of the series in memory, each once, sorted.
fn joined(
    shared: &Shared,
    view: &View,
    selector: &Selector,
    range: TimeRange,
    in_blocks: &[(Arc<BlockIndex>, Vec<TextId>)],
    listed: impl for<'a> Fn(&'a Postings, &'a dyn Fn(SeriesRef) -> bool) -> Vec<&'a str>,
) -> Vec<String> {
    let postings = shared.table.postings();
    let numbers = postings.matching(selector);
    let memtables: Vec<Look<'_>> = view.memtables().map(Memtable::look).collect();
    let is_in = |number: SeriesRef| {
        numbers.as_ref().is_none_or(|numbers| numbers.contains(number))
            && memtables.iter().any(|memtable| memtable.is_in(number, range))
    };
    let mut texts: HashSet<&str> = listed(&postings, &is_in).into_iter().collect();
    for (index, ids) in in_blocks {
        texts.extend(ids.iter().map(|id| index.text(*id)));
    }
    sorted(texts.into_iter().collect())
}

/// Sorts texts, which mostly begin alike and differ soon after.
fn sorted(texts: Vec<&str>) -> Vec<String> {
    let alike = |a: &str, b: &str| a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    let first = texts.first().copied().unwrap_or_default();
    let n_alike = texts.iter().map(|text| alike(first, text)).min().unwrap_or(0);
    let next_eight = |text: &str| {
        let (mut eight, next) = ([0; 8], &text.as_bytes()[n_alike..]);
        let n = next.len().min(8);
        eight[..n].copy_from_slice(&next[..n]);
        u64::from_be_bytes(eight)
    };
    let mut keyed: Vec<(u64, &str)> = texts.into_iter().map(|text| (next_eight(text), text)).collect();
    keyed.sort_unstable();
    keyed.into_iter().map(|(_, text)| text.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn texts_are_sorted_as_texts_are(texts in prop::collection::vec("(ab)?[a-c\0]{0,12}", 0..40)) {
            let mut expected = texts.clone();
            expected.sort();
            prop_assert_eq!(sorted(texts.iter().map(String::as_str).collect()), expected);
        }
    }
}
