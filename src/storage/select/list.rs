//! What is told without reading a sample: which label names and values there are, and how many samples.

use std::cmp::Ordering;
use std::sync::Arc;

use super::super::block::{Block, BlockIndex, BlockKeys, Run};
use super::super::manifest::BlockEntry;
use super::super::memtable::{Look, Memtable};
use super::super::merge::share_within;
use super::super::parallel::each;
use super::super::postings::Postings;
use super::super::shared::Shared;
use super::super::texts::{self, TextId};
use super::super::view::View;
use super::super::wal::record::SeriesRef;
use super::plan::{matched, n_threads_for};
use super::{Failed, check_numbers, failed, overlapping};
use crate::series::{Selector, TimeRange};

/// About how many samples there are in `range`, as the manifest and the memtables tell: by proportion where a block
/// reaches beyond the range.
pub(in crate::storage) fn n_about(view: &View, range: TimeRange) -> u64 {
    let share = |entry: &BlockEntry| share_within(entry.n_samples, entry.min_time, entry.max_time, range);
    let mut n_samples = overlapping(view, range).map(|block| share(block.entry())).sum();
    for memtable in view.memtables() {
        memtable.for_each(None, range, |_, column| n_samples += column.n_about(range));
    }
    n_samples
}

/// About how many samples [`select`](super::select) would read: by proportion where a block's run reaches beyond the
/// range.
pub(in crate::storage) fn estimate(
    shared: &Shared,
    view: &View,
    selector: &Selector,
    range: TimeRange,
) -> Result<u64, Failed> {
    let share = |run: &Run| share_within(u64::from(run.n_rows), run.min_time, run.max_time, range);
    let count = |index: &BlockIndex, runs: &[usize]| runs.iter().map(|number| share(&index.run(*number))).sum();
    let blocks: Vec<&Block> = overlapping(view, range).map(|block| &**block).collect();
    let counts: Vec<(_, u64)> = of_blocks(shared, view, selector, range, &blocks, count)?;
    let mut n_samples = counts.into_iter().map(|(_, n_samples)| n_samples).sum();
    let numbers = shared.table.postings().matching(selector);
    for memtable in view.memtables() {
        memtable.for_each(numbers.as_ref(), range, |_, column| n_samples += column.n_about(range));
    }
    check_numbers(shared, view)?;
    Ok(n_samples)
}

/// The names of those series' labels, the metric's name among them, sorted.
pub(in crate::storage) fn label_names(
    shared: &Shared,
    view: &View,
    selector: &Selector,
    range: TimeRange,
) -> Result<Vec<String>, Failed> {
    let blocks = unlike(shared, view, range)?;
    let in_blocks = of_blocks(shared, view, selector, range, &blocks, |index, runs| index.names_of(runs))?;
    joined(shared, view, selector, range, &in_blocks, |postings, has| postings.names(has).collect())
}

/// The values that the label `name` has among those series, sorted.
pub(in crate::storage) fn label_values(
    shared: &Shared,
    view: &View,
    name: &str,
    selector: &Selector,
    range: TimeRange,
) -> Result<Vec<String>, Failed> {
    let blocks = unlike(shared, view, range)?;
    let in_blocks = of_blocks(shared, view, selector, range, &blocks, |index, runs| index.values_of(name, runs))?;
    joined(shared, view, selector, range, &in_blocks, |postings, has| postings.values(name, has).collect())
}

/// Blocks with a sample in `range`; of those that have the same series and nothing outside of it, one is enough to tell
/// which labels there are.
fn unlike<'a>(shared: &Shared, view: &'a View, range: TimeRange) -> Result<Vec<&'a Block>, Failed> {
    let blocks: Vec<&Block> = overlapping(view, range).map(|block| &**block).collect();
    let load = |_: &mut (), number: usize| {
        let block = blocks[number];
        let index = block.index(&*shared.files).map_err(failed(block.index_path()))?;
        Ok(Arc::clone(index.keys()))
    };
    let keys: Vec<Arc<BlockKeys>> =
        each(blocks.len(), n_threads_for(&blocks), || (), load).into_iter().collect::<Result<_, Failed>>()?;
    let (mut unlike, mut told): (Vec<&Block>, Vec<&Arc<BlockKeys>>) = Default::default();
    for (block, keys) in blocks.iter().zip(&keys) {
        let BlockEntry { id, min_time, max_time, .. } = block.entry();
        let is_whole = range.contains(*min_time) && range.contains(*max_time);
        if is_whole && view.tombstones.of_block(id).is_empty() {
            if told.iter().any(|other| Arc::ptr_eq(other, keys)) {
                continue;
            }
            told.push(keys);
        }
        unlike.push(block);
    }
    Ok(unlike)
}

/// What `tell` says of each of these blocks, shown the numbers of its matching runs, with the block's index.
fn of_blocks<T: Send>(
    shared: &Shared,
    view: &View,
    selector: &Selector,
    range: TimeRange,
    blocks: &[&Block],
    tell: impl Fn(&BlockIndex, &[usize]) -> T + Sync,
) -> Result<Vec<(Arc<BlockIndex>, T)>, Failed> {
    let look = |_: &mut (), number: usize| {
        let (index, runs, _) = matched(view, &*shared.files, blocks[number], selector, range)?;
        let told = tell(&index, &runs);
        Ok((index, told))
    };
    each(blocks.len(), n_threads_for(blocks), || (), look).into_iter().collect()
}

/// Texts of blocks and those that `listed` knows of the series in memory, each once, sorted.
fn joined(
    shared: &Shared,
    view: &View,
    selector: &Selector,
    range: TimeRange,
    in_blocks: &[(Arc<BlockIndex>, Vec<TextId>)],
    listed: impl for<'a> Fn(&'a Postings, &'a dyn Fn(SeriesRef) -> bool) -> Vec<&'a str>,
) -> Result<Vec<String>, Failed> {
    let postings = shared.table.postings();
    let numbers = postings.matching(selector);
    let memtables: Vec<Look<'_>> = view.memtables().map(Memtable::look).collect();
    let is_in = |number: SeriesRef| {
        numbers.as_ref().is_none_or(|numbers| numbers.contains(number))
            && memtables.iter().any(|memtable| memtable.is_in(number, range))
    };
    let mut in_memory: Vec<(&str, ())> = listed(&postings, &is_in).into_iter().map(|text| (text, ())).collect();
    check_numbers(shared, view)?;
    texts::sort(&mut in_memory);
    let mut lists = vec![in_memory.into_iter().map(|(text, ())| text).collect::<Vec<_>>()];
    // Blocks of the same series number their texts alike: then numbers are compared, not texts.
    let mut alike: Vec<(&BlockIndex, Vec<bool>)> = Vec::new();
    for (index, ids) in in_blocks {
        let known = alike.iter().position(|(other, _)| index.has_texts_of(other));
        let place = known.unwrap_or_else(|| {
            alike.push((index, vec![false; index.n_texts()]));
            alike.len() - 1
        });
        let is_met = &mut alike[place].1;
        ids.iter().for_each(|id| is_met[*id as usize] = true);
    }
    for (index, is_met) in alike {
        // In the order of their numbers texts are sorted.
        let met = (0..).zip(is_met).filter(|(_, is_met)| *is_met);
        lists.push(met.map(|(id, _)| index.text(id)).collect());
    }
    while lists.len() > 1 {
        lists = lists.chunks(2).map(|pair| merged(&pair[0], pair.get(1).map_or(&[], |other| other))).collect();
    }
    Ok(lists.into_iter().flatten().map(str::to_owned).collect())
}

/// What is in one or both of two sorted lists, sorted.
fn merged<'a>(a: &[&'a str], b: &[&'a str]) -> Vec<&'a str> {
    let (mut a, mut b) = (a.iter().copied().peekable(), b.iter().copied().peekable());
    let next = || {
        let order = match (a.peek(), b.peek()) {
            (Some(one), Some(other)) => one.cmp(other),
            (Some(_), None) => Ordering::Less,
            (None, _) => Ordering::Greater,
        };
        match order {
            Ordering::Less => a.next(),
            Ordering::Greater => b.next(),
            Ordering::Equal => a.next().and(b.next()),
        }
    };
    std::iter::from_fn(next).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_merged_and_what_is_in_both_is_in_once() {
        assert_eq!(merged(&["a", "c", "d"], &["b", "c", "e", "f"]), ["a", "b", "c", "d", "e", "f"]);
        assert_eq!(merged(&["x"], &[]), ["x"]);
        assert_eq!(merged(&[], &["x"]), ["x"]);
        assert!(merged(&[], &[]).is_empty());
    }
}
