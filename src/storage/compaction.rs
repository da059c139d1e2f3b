//! Many small blocks of a day become one: what to merge, and merging.
//!
//! Only neighbours in the order of arrival are merged, so that the result can stand where they stood and last write
//! wins stays true. Rows are streamed, a series at a time; a merge's memory does not grow with its blocks.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::aside::verify;
use super::block::{About, Block, BlockIndex, BlockWriter, Cursor, Effort, block_order};
use super::deletes::{Hidden, Tombstones};
use super::error::{BlockError, FlushError};
use super::files::Files;
use super::layout::Layout;
use super::manifest::BlockEntry;
use super::merge::merge;
use crate::series::{Key, TimeRange};

/// Which of one day's blocks, in order of arrival, to merge now.
///
/// At most `max_blocks` stay. Rather than always merging everything, it takes the youngest blocks as long as they are
/// of about one size with what they are merged into: each sample is rewritten only logarithmically often. A settled
/// day, to which nothing has come for a while, becomes a single block.
pub(super) fn pick(n_samples: &[u64], max_blocks: usize, is_settled: bool) -> Option<Range<usize>> {
    let n_blocks = n_samples.len();
    if is_settled && n_blocks > 1 {
        return Some(0..n_blocks);
    }
    let max_blocks = max_blocks.max(2);
    if n_blocks <= max_blocks {
        return None;
    }
    let (mut start, mut sum) = (n_blocks - 1, n_samples[n_blocks - 1]);
    while start > 0 && n_samples[start - 1] <= sum.saturating_mul(2) {
        start -= 1;
        sum += n_samples[start];
    }
    if n_blocks - start > max_blocks / 2 {
        return Some(start..n_blocks);
    }
    // No such tail: the cheapest neighbours that bring the number down.
    let len = n_blocks - max_blocks + 1;
    let cost = |start: usize| n_samples[start..start + len].iter().sum::<u64>();
    (0..=n_blocks - len).min_by_key(|start| cost(*start)).map(|start| start..start + len)
}

/// One block that is being merged.
struct Source<'a> {
    // What of it is deleted and must not be copied.
    hidden: Hidden<'a>,
    path: PathBuf,
    index: Arc<BlockIndex>,
    cursor: Cursor,
    next_run: usize,
}

impl<'a> Source<'a> {
    fn open(files: &dyn Files, block: &Block, tombstones: &'a Tombstones) -> Result<Source<'a>, FlushError> {
        verify(block).map_err(FlushError::block(block.path()))?;
        let index = block.index(files).map_err(FlushError::block(block.index_path()))?;
        let cursor = block.cursor(files).map_err(FlushError::block(block.path()))?;
        let hidden = tombstones.of_block(&block.entry().id);
        Ok(Source { hidden, path: block.path().to_owned(), index, cursor, next_run: 0 })
    }

    fn next_key(&self) -> Option<&Key> {
        self.index.runs().get(self.next_run).map(|run| &run.key)
    }
}

/// Merges `blocks`, of one day and in order of arrival, into a new one, without what is deleted.
///
/// # Errors
/// When a source cannot be read, the new block not be written, or the store is closed meanwhile; the sources are
/// untouched.
pub(super) fn merge_blocks(
    files: &dyn Files,
    layout: &Layout,
    blocks: &[Arc<Block>],
    wal_upto: u64,
    is_closed: &AtomicBool,
    tombstones: &Tombstones,
) -> Result<Option<BlockEntry>, FlushError> {
    let Some(last) = blocks.last() else { return Ok(None) };
    let about = About {
        date: last.entry().date.clone(),
        sequence: last.entry().sequence,
        wal_upto,
        sources: blocks.iter().map(|block| block.entry().id.clone()).collect(),
        effort: Effort::Merged,
    };
    let mut sources =
        blocks.iter().map(|block| Source::open(files, block, tombstones)).collect::<Result<Vec<_>, _>>()?;
    let mut writer = BlockWriter::create(files, layout, about).map_err(FlushError::block(&layout.tmp))?;
    let path = writer.path().to_owned();
    while let Some(key) = sources.iter().filter_map(Source::next_key).min_by(|a, b| block_order(a, b)).cloned() {
        if is_closed.load(Ordering::Relaxed) {
            // A shutdown does not wait for what can be done again later.
            return Err(FlushError::Closed);
        }
        let mut runs = Vec::new();
        for source in sources.iter_mut().filter(|source| source.next_key() == Some(&key)) {
            let n_rows = usize::try_from(source.index.runs()[source.next_run].n_rows)
                .map_err(|_| BlockError::Damaged("a row number does not fit this machine".to_owned()));
            let samples = n_rows.and_then(|n_rows| source.cursor.take(n_rows, TimeRange::ALL));
            let mut samples = samples.map_err(FlushError::block(&source.path))?;
            source.hidden.take_from(&key, &mut samples);
            runs.push(samples);
            source.next_run += 1;
        }
        writer.push(&key, &merge(runs)).map_err(FlushError::block(&path))?;
    }
    writer.finish().map_err(FlushError::block(&path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(n_samples: &[u64], expected: &[Range<usize>]) {
        assert_eq!(pick(n_samples, 4, false).as_slice(), expected, "{n_samples:?}");
    }

    #[test]
    fn few_blocks_are_left_alone_and_young_ones_merged_first() {
        check(&[1, 1, 1, 1], &[]);
        check(&[1, 1, 1, 1, 1], std::slice::from_ref(&(0..5)));
        check(&[1000, 10, 10, 10, 10], std::slice::from_ref(&(1..5)));
        check(&[1000, 500, 200, 90, 10], std::slice::from_ref(&(3..5)));
        assert_eq!(pick(&[1, 1], 4, true), Some(0..2));
        assert_eq!(pick(&[1], 4, true), None);
    }

    #[test]
    fn steady_flushing_rewrites_each_sample_a_few_times_only() {
        let (mut blocks, mut n_rewritten) = (Vec::new(), 0);
        for _ in 0..2_000 {
            blocks.push(1);
            while let Some(range) = pick(&blocks, 8, false) {
                let sum = blocks[range.clone()].iter().sum::<u64>();
                n_rewritten += sum;
                blocks.splice(range, [sum]);
            }
            assert!(blocks.len() <= 8);
        }
        // Merging everything whenever there are nine blocks would rewrite each sample 125 times on average.
        assert!(n_rewritten < 2_000 * 10, "{n_rewritten}");
    }
}
