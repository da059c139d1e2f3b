//! What may go: blocks past their age, the oldest of too many bytes, and what was deleted.

use std::sync::atomic::Ordering;

use super::block::{Block, Effort, new_id};
use super::compaction::merge_blocks;
use super::deletes::Delete;
use super::error::FlushError;
use super::files;
use super::keeper::Keeper;
use super::layout::{END_TIME, FIRST_TIME};
use super::manifest::{BlockEntry, Manifest};
use super::parallel::alone;
use super::select::left;
use super::shared::Shared;
use crate::series::{Key, Millis, Selector, TimeRange};

/// What a delete did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// Series that had samples to delete, as far as the blocks' indexes tell.
    pub n_series: u64,
    /// Blocks in which samples are hidden from now on, and which are rewritten without them.
    pub n_blocks: u64,
}

/// The entries that have outlived `retention`.
///
/// A clock that jumps ahead must not delete everything: age also counts from the newest sample there is.
pub(super) fn expired(entries: &[BlockEntry], retention: Millis, now: Millis) -> Vec<BlockEntry> {
    let newest = entries.iter().map(|entry| entry.max_time).max();
    let cutoff = newest.map_or(now, |newest| newest.min(now)).saturating_sub(retention);
    let mut in_order: Vec<&BlockEntry> = entries.iter().filter(|entry| entry.max_time < cutoff).collect();
    in_order.sort_by_key(|entry| entry.sequence);
    let mut gone: Vec<BlockEntry> = Vec::new();
    for entry in in_order {
        if !overrules(entry, entries, &gone) {
            gone.push(entry.clone());
        }
    }
    gone
}

/// Whether an earlier block of the same time would stay, whose values, written over by `entry`'s, would come back.
fn overrules(entry: &BlockEntry, entries: &[BlockEntry], gone: &[BlockEntry]) -> bool {
    let overlaps = |other: &BlockEntry| other.min_time <= entry.max_time && entry.min_time <= other.max_time;
    let is_gone = |other: &BlockEntry| gone.iter().any(|entry| entry.id == other.id);
    entries.iter().any(|other| other.sequence < entry.sequence && overlaps(other) && !is_gone(other))
}

/// The oldest entries, as many as bring `total` bytes down to `limit`; the one with the newest sample stays.
///
/// `n_bytes` is what an entry's files take.
fn beyond(entries: &[BlockEntry], mut total: u64, limit: u64, n_bytes: impl Fn(&BlockEntry) -> u64) -> Vec<BlockEntry> {
    let mut oldest_first: Vec<&BlockEntry> = entries.iter().collect();
    oldest_first.sort_by_key(|entry| (entry.max_time, entry.sequence));
    oldest_first.pop();
    let mut gone = Vec::new();
    while total > limit
        && let Some(place) = oldest_first.iter().position(|entry| !overrules(entry, entries, &gone))
    {
        let entry = oldest_first.remove(place);
        total = total.saturating_sub(n_bytes(entry));
        gone.push(entry.clone());
    }
    gone
}

/// The time of the newest sample that goes with these entries.
fn newest(entries: &[BlockEntry]) -> Option<Millis> {
    entries.iter().map(|entry| entry.max_time).max()
}

impl Keeper {
    /// Deletes blocks whose newest sample is older than the retention, then the oldest while all are too large.
    ///
    /// What is only in the log is never touched: the log counts as taken space, and goes when it is in blocks.
    pub(super) fn retire(&self, now: Millis) -> Result<(), FlushError> {
        let settings = &self.shared.settings;
        if settings.retention.is_none() && settings.retention_size.is_none() {
            return Ok(());
        }
        let _merging = self.merging.lock();
        let mut entries = self.state.lock().manifest.blocks.clone();
        let mut gone = settings.retention.map_or_else(Vec::new, |retention| expired(&entries, retention, now));
        if !gone.is_empty() {
            let newest_sample = newest(&gone);
            tracing::info!(n_blocks = gone.len(), newest_sample, "deleting blocks older than the retention");
        }
        if let Some(limit) = settings.retention_size {
            entries.retain(|entry| !gone.contains(entry));
            let too_large = self.beyond(&entries, limit);
            if !too_large.is_empty() {
                let (n_blocks, newest_sample) = (too_large.len(), newest(&too_large));
                tracing::info!(n_blocks, limit, newest_sample, "deleting the oldest blocks to keep within the size");
            }
            gone.extend(too_large);
        }
        if gone.is_empty() {
            return Ok(());
        }
        // What must still be made from a block that is out of reach is made another time.
        let needs_samples = settings.tiers().next().is_some();
        gone.retain(|entry| !needs_samples || self.is_within_reach(entry));
        if gone.is_empty() {
            return Ok(());
        }
        self.downsample_before_the_end(&gone)?;
        let change = |manifest: &mut Manifest| {
            // What was made from these blocks is from now on all there is of them.
            for tier in manifest.tiers.iter_mut().filter(|tier| gone.iter().any(|entry| entry.id == tier.source)) {
                tier.is_final = true;
            }
        };
        self.publish_with(&[], &gone, None, change, |_| {})
    }

    fn beyond(&self, entries: &[BlockEntry], limit: u64) -> Vec<BlockEntry> {
        let Shared { files, layout, segments, .. } = &*self.shared;
        let wal_bytes: u64 = segments.lock().values().sum();
        let block_bytes: u64 = entries.iter().map(|entry| entry.n_bytes).sum();
        // Sidecars are the smaller part: while the blocks alone are far below the limit nobody lists them.
        if wal_bytes + block_bytes <= limit / 2 {
            return Vec::new();
        }
        let sidecars = files.list(&layout.index).unwrap_or_default();
        let n_bytes = |entry: &BlockEntry| {
            let path = layout.sidecar(&entry.id);
            let sidecar = sidecars.binary_search_by(|sidecar| sidecar.path.cmp(&path)).ok();
            entry.n_bytes + sidecar.map_or(0, |idx| sidecars[idx].n_bytes)
        };
        let total = wal_bytes + entries.iter().map(n_bytes).sum::<u64>();
        beyond(entries, total, limit, n_bytes)
    }

    /// Hides every sample in `range` of the series that `selector` means, of those acknowledged before; durable on
    /// return. The space comes back when the blocks are rewritten.
    ///
    /// # Errors
    /// When the memtable cannot be flushed or the delete not be written down; nothing is deleted then.
    pub(super) fn delete(&self, selector: &Selector, range: TimeRange) -> Result<Deleted, FlushError> {
        let Shared { files, layout, .. } = &*self.shared;
        // A merge under way would bring back what it has read already.
        let _merging = self.merging.lock();
        // After this every sample acknowledged so far is in a block, and while the lock is held no other becomes one.
        let _flushing = self.flushing.lock();
        self.cut()?;
        self.flush_all_frozen()?;
        let range = TimeRange::new(range.start().max(FIRST_TIME), range.end().min(END_TIME));
        let Ok(range) = range else { return Ok(Deleted::default()) };
        let view = self.shared.view();
        let (mut keys, mut blocks) = (hashbrown::HashSet::<Key>::new(), Vec::new());
        let is_near = |block: &Block| range.overlaps(block.entry().min_time, block.entry().max_time);
        for block in view.blocks.iter().filter(|block| is_near(block)) {
            let index = block.index(&**files).map_err(FlushError::block(block.index_path()))?;
            let mut is_in = false;
            let hidden = view.tombstones.of_block(&block.entry().id);
            let runs = left(&index, index.matching(selector, range), &hidden);
            for number in runs.map_err(FlushError::block(block.index_path()))? {
                is_in = true;
                keys.insert(index.key(&index.run(number)).map_err(FlushError::block(block.index_path()))?);
            }
            if is_in {
                blocks.push(block.entry().id.clone());
            }
        }
        // A block that is missing may be put back, and nobody knows what is in it until then.
        let live = self.state.lock().manifest.blocks.clone();
        let is_missing = |entry: &&BlockEntry| !view.blocks.iter().any(|block| block.entry().id == entry.id);
        let near = live.iter().filter(|entry| range.overlaps(entry.min_time, entry.max_time));
        blocks.extend(near.filter(is_missing).map(|entry| entry.id.clone()));
        // In the same delete, so that both are hidden at the same instant.
        blocks.extend(self.tiers_with(&view, selector, range, &mut keys)?);
        if blocks.is_empty() {
            // Perhaps because it is deleted already: then that must be durable.
            self.ensure_durable()?;
            return Ok(Deleted::default());
        }
        let deleted = Deleted { n_series: keys.len() as u64, n_blocks: blocks.len() as u64 };
        let wal_upto = self.state.lock().manifest.wal_covered;
        let delete = Delete::new(new_id(), selector, range, wal_upto, blocks);
        let path = layout.delete(&delete.id);
        let dir = files::make_dir(&**files, &layout.deletes).map_err(FlushError::io("create", &layout.deletes));
        let written =
            dir.and_then(|()| delete.write(&**files, &layout.tmp, &path).map_err(FlushError::io("write", &path)));
        let published = written.and_then(|()| {
            let add = |manifest: &mut Manifest| manifest.deletes.push(delete.clone());
            self.publish_with(&[], &[], None, add, |_| {})
        });
        if published.is_err() {
            // Not named by a manifest, it hides nothing; what cannot be removed now goes at the next start.
            let _ = files.remove(&path);
        }
        published?;
        self.ensure_durable()?;
        tracing::info!(%selector, n_series = deleted.n_series, n_blocks = deleted.n_blocks, "samples are deleted");
        Ok(deleted)
    }

    /// Rewrites the blocks that hold deleted samples, one after the other.
    pub(super) fn carry_out_deletes(&self) -> Result<(), FlushError> {
        let Shared { files, layout, is_closed, .. } = &*self.shared;
        loop {
            if is_closed.load(Ordering::Relaxed) {
                return Ok(());
            }
            let _merging = self.merging.lock();
            let view = self.shared.view();
            let has_hidden = |block: &&std::sync::Arc<Block>| {
                self.is_within_reach(block.entry()) && !view.tombstones.of_block(&block.entry().id).is_empty()
            };
            let Some(block) = view.blocks.iter().find(has_hidden) else { return self.carry_out_deletes_in_tiers() };
            let block = &self.at_home(block)?;
            let sources = std::slice::from_ref(block);
            let wal_upto = self.state.lock().manifest.wal_covered;
            let effort = if block.entry().is_lasting { Effort::Lasting } else { Effort::Fresh };
            let tombstones = &view.tombstones;
            let added = alone(|| merge_blocks(&**files, layout, sources, wal_upto, effort, is_closed, tombstones))?;
            let added: Vec<BlockEntry> = added.into_iter().collect();
            let published = self.publish(&added, std::slice::from_ref(block.entry()), None, |_| {});
            if published.is_err() {
                self.remove_unpublished(&added);
            }
            published?;
            self.shared.counters.n_compactions.add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::manifest::Place;
    use super::*;
    use crate::series::DAY;

    fn entries(days: &[(i64, u64)]) -> Vec<BlockEntry> {
        let entry = |(sequence, (day, n_bytes)): (u64, &(i64, u64))| BlockEntry {
            id: format!("{sequence}"),
            date: String::new(),
            sequence,
            n_samples: 1,
            n_series: 1,
            min_time: day * DAY,
            max_time: day * DAY + 5,
            n_bytes: *n_bytes,
            crc32: None,
            is_lasting: false,
            place: Place::Local,
        };
        (0..).zip(days).map(entry).collect()
    }

    fn ids(entries: &[BlockEntry]) -> Vec<&str> {
        entries.iter().map(|entry| entry.id.as_str()).collect()
    }

    #[test]
    fn the_oldest_go_until_the_rest_is_within_the_size() {
        let entries = entries(&[(3, 10), (1, 10), (2, 10), (1, 10)]);
        let check = |total, limit, expected: &[&str]| {
            assert_eq!(ids(&beyond(&entries, total, limit, |entry| entry.n_bytes)), expected, "{total} of {limit}");
        };
        check(40, 40, &[]);
        check(41, 40, &["1"]);
        check(50, 30, &["1", "3"]);
        // The log alone is over the limit: all goes but the newest block.
        check(1_000, 1, &["1", "3", "2"]);
        assert_eq!(beyond(&[], 1_000, 1, |entry| entry.n_bytes), []);
    }

    #[test]
    fn a_value_that_was_written_over_does_not_come_back() {
        let mut entries = entries(&[(1, 10), (1, 10), (9, 10)]);
        // The first is of all ten days, and the second has later values for its first day.
        entries[0].max_time = 10 * DAY;
        assert_eq!(expired(&entries, 5 * DAY, 11 * DAY), Vec::new());
        assert_eq!(beyond(&entries, 30, 20, |entry| entry.n_bytes), Vec::new());
        entries[0].max_time = 2 * DAY;
        assert_eq!(ids(&expired(&entries, 5 * DAY, 11 * DAY)), ["0", "1"]);
        assert_eq!(ids(&beyond(&entries, 30, 20, |entry| entry.n_bytes)), ["0"]);
        assert_eq!(ids(&beyond(&entries, 30, 10, |entry| entry.n_bytes)), ["0", "1"]);
    }

    #[test]
    fn age_counts_from_the_clock_or_the_newest_sample_whichever_is_earlier() {
        let entries = entries(&[(1, 1), (5, 1), (12, 1)]);
        assert_eq!(ids(&expired(&entries, 10 * DAY, 10_000 * DAY)), ["0"]);
        assert_eq!(ids(&expired(&entries, 10 * DAY, 11 * DAY)), Vec::<&str>::new());
        assert_eq!(ids(&expired(&entries, 10 * DAY, -5 * DAY)), Vec::<&str>::new());
        assert_eq!(ids(&expired(&entries, 3 * DAY, 9 * DAY)), ["0", "1"]);
    }
}
