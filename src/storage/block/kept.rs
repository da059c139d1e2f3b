//! How much memory the indexes of blocks take that are kept, and which of them are let go of.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Block, BlockIndex, BlockKeys};

/// Bytes of indexes that are kept beyond what was used just now.
const MAX_BYTES: usize = 32 << 20;
/// For so long an index is kept in any case, for the questions that come in a row.
const IN_USE: Duration = Duration::from_secs(10);

/// Adds up what indexes take: what they share counts once.
#[derive(Default)]
struct Sum {
    n_bytes: usize,
    // By where they are, how many indexes have them.
    keys: BTreeMap<*const BlockKeys, usize>,
}

impl Sum {
    fn add(&mut self, index: &BlockIndex) {
        let n_sharing = self.keys.entry(Arc::as_ptr(index.keys())).or_default();
        *n_sharing += 1;
        self.n_bytes += index.n_own_bytes() + if *n_sharing == 1 { index.keys().n_bytes() } else { 0 };
    }

    fn remove(&mut self, index: &BlockIndex) {
        let Some(n_sharing) = self.keys.get_mut(&Arc::as_ptr(index.keys())) else { return };
        *n_sharing -= 1;
        self.n_bytes -= index.n_own_bytes() + if *n_sharing == 0 { index.keys().n_bytes() } else { 0 };
    }
}

/// An index that is kept.
struct Kept<'a> {
    block: &'a Block,
    index: Arc<BlockIndex>,
    last_used: Instant,
}

fn sum(blocks: &[Arc<Block>]) -> (Sum, Vec<Kept<'_>>) {
    let (mut sum, mut kept) = (Sum::default(), Vec::new());
    for block in blocks {
        let cached = block.index.lock();
        if let (Some(index), Some(last_used)) = (&cached.index, cached.last_used) {
            sum.add(index);
            kept.push(Kept { block, index: Arc::clone(index), last_used });
        }
    }
    (sum, kept)
}

/// Bytes of memory that the indexes of these blocks take, as far as they are kept.
pub(in crate::storage) fn index_bytes(blocks: &[Arc<Block>]) -> usize {
    sum(blocks).0.n_bytes
}

/// Lets go of the indexes that were not used for longest, as long as all together take too much.
pub(in crate::storage) fn let_go(blocks: &[Arc<Block>]) {
    let_go_beyond(blocks, MAX_BYTES, IN_USE);
}

fn let_go_beyond(blocks: &[Arc<Block>], max_bytes: usize, in_use: Duration) {
    let (mut sum, mut kept) = sum(blocks);
    kept.sort_unstable_by_key(|kept| kept.last_used);
    for Kept { block, index, last_used } in kept {
        if sum.n_bytes <= max_bytes || last_used.elapsed() < in_use {
            return;
        }
        sum.remove(&index);
        let mut cached = block.index.lock();
        if cached.last_used == Some(last_used) {
            cached.index = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::files::Disk;
    use super::super::Effort;
    use super::super::tests::{series, sorted, write};
    use super::*;

    #[test]
    fn what_was_not_used_for_longest_goes_first_and_what_is_shared_counts_once() {
        let contents = [(0, 7), (0, 7), (100, 7), (100, 7)]
            .map(|(first, n_samples)| sorted((first..first + 50).map(|number| series(number, 3, n_samples)).collect()));
        let written = contents.map(|content| write(&content, Effort::Fresh));
        let blocks = written.each_ref().map(|written| Arc::clone(&written.block));
        assert_eq!(index_bytes(&blocks), 0);
        let all = blocks.each_ref().map(|block| block.index(&Disk).unwrap());
        assert!(Arc::ptr_eq(all[0].keys(), all[1].keys()) && !Arc::ptr_eq(all[1].keys(), all[2].keys()));
        let own: usize = all.iter().map(|index| index.n_own_bytes()).sum();
        let (a, b) = (all[0].keys().n_bytes(), all[2].keys().n_bytes());
        assert_eq!(index_bytes(&blocks), own + a + b);
        drop(all);

        let is_kept = || blocks.each_ref().map(|block| block.index.lock().index.is_some());
        let_go_beyond(&blocks, 0, Duration::from_secs(60));
        assert_eq!(is_kept(), [true; 4], "they are in use");
        // Used again, and so the last to go.
        blocks[0].index(&Disk).unwrap();
        let_go_beyond(&blocks, index_bytes(&blocks) - 1, Duration::ZERO);
        assert_eq!(is_kept(), [true, false, true, true]);
        let_go_beyond(&blocks, index_bytes(&blocks) - b, Duration::ZERO);
        assert_eq!(is_kept(), [true, false, false, false], "only without both is there less by their keys");
        let_go_beyond(&blocks, 0, Duration::ZERO);
        assert_eq!((is_kept(), index_bytes(&blocks)), ([false; 4], 0));
    }
}
