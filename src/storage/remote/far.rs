//! A block that is in the bucket only, as something a reader reads from: ranged requests, through the cache.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use parking_lot::Mutex;

use super::cache::PIECE;
use super::error::RemoteError;
use super::{Remote, block_name};
use crate::storage::block::Source;
use crate::storage::error::BlockError;
use crate::storage::manifest::BlockEntry;

// Pieces that a reader keeps in memory: it goes back and forth between a few pages.
const MAX_HELD: usize = 8;
// Neighbouring pieces are asked for together, up to so many.
const MAX_PIECES_PER_REQUEST: u64 = 32;

/// The bytes of one block in the bucket.
pub(in crate::storage) struct Far {
    remote: Arc<Remote>,
    id: Arc<str>,
    name: String,
    n_bytes: u64,
    held: Mutex<VecDeque<(u64, Arc<Vec<u8>>)>>,
}

impl Far {
    pub(in crate::storage) fn new(remote: Arc<Remote>, entry: &BlockEntry) -> Far {
        let (id, name) = (entry.id.as_str().into(), block_name(&entry.date, &entry.id));
        Far { remote, id, name, n_bytes: entry.n_bytes, held: Mutex::default() }
    }

    fn len_of(&self, number: u64) -> usize {
        usize::try_from(PIECE.min(self.n_bytes.saturating_sub(number * PIECE))).unwrap_or(0)
    }

    fn held(&self, number: u64) -> Option<Arc<Vec<u8>>> {
        let held = self.held.lock();
        held.iter().find(|(known, _)| *known == number).map(|(_, piece)| Arc::clone(piece))
    }

    fn hold(&self, number: u64, piece: Vec<u8>) -> Arc<Vec<u8>> {
        let piece = Arc::new(piece);
        let mut held = self.held.lock();
        held.retain(|(known, _)| *known != number);
        held.push_back((number, Arc::clone(&piece)));
        if held.len() > MAX_HELD {
            held.pop_front();
        }
        piece
    }

    fn piece(&self, number: u64) -> Result<Arc<Vec<u8>>, RemoteError> {
        if let Some(piece) = self.held(number) {
            return Ok(piece);
        }
        let counters = &self.remote.counters;
        if let Some(piece) = self.remote.cache.get(&self.id, number, self.len_of(number)) {
            counters.n_cache_hits.add(1);
            return Ok(self.hold(number, piece));
        }
        let run = number..number + 1;
        self.fetch(std::slice::from_ref(&run))?.ok_or_else(|| RemoteError::Damaged {
            object: self.remote.bucket.url(&self.name),
            reason: "it ends before the place that is asked for".to_owned(),
        })
    }

    /// Fetches runs of pieces; answers the last one.
    fn fetch(&self, runs: &[Range<u64>]) -> Result<Option<Arc<Vec<u8>>>, RemoteError> {
        let Remote { bucket, cache, counters, .. } = &*self.remote;
        bucket.check_reachable()?;
        let bytes = |run: &Range<u64>| run.start * PIECE..(run.end * PIECE).min(self.n_bytes);
        let ranges: Vec<Range<u64>> = runs.iter().map(bytes).filter(|range| !range.is_empty()).collect();
        let fetched = bucket.get_ranges(&self.name, ranges).inspect_err(|_| counters.n_read_errors.add(1))?;
        let mut last = None;
        for (run, bytes) in runs.iter().zip(fetched) {
            for (number, piece) in run.clone().zip(bytes.chunks(PIECE as usize)) {
                counters.n_cache_misses.add(1);
                counters.n_read_bytes.add(piece.len() as u64);
                cache.put(&self.id, number, piece);
                last = Some(self.hold(number, piece.to_vec()));
            }
        }
        Ok(last)
    }
}

impl Source for Far {
    fn read_exact_at(&self, into: &mut [u8], offset: u64) -> Result<(), BlockError> {
        let mut at = offset;
        let mut into = into;
        while !into.is_empty() {
            let piece = self.piece(at / PIECE)?;
            let rest = piece.get((at % PIECE) as usize..).unwrap_or_default();
            let n = rest.len().min(into.len());
            if n == 0 {
                return Err(BlockError::Damaged("the block ends before the place that its index says".to_owned()));
            }
            into[..n].copy_from_slice(&rest[..n]);
            into = &mut into[n..];
            at += n as u64;
        }
        Ok(())
    }

    fn is_far(&self) -> bool {
        true
    }

    fn expect(&self, stretches: &[Range<u64>]) -> Result<(), BlockError> {
        let mut numbers: Vec<u64> = Vec::new();
        // No more than half of the cache: the rest is fetched when it is read.
        let most = usize::try_from(self.remote.cache.limit() / PIECE / 2).unwrap_or(usize::MAX);
        for stretch in stretches.iter().filter(|stretch| !stretch.is_empty()) {
            numbers.extend(stretch.start / PIECE..=(stretch.end - 1) / PIECE);
        }
        numbers.sort_unstable();
        numbers.dedup();
        numbers.truncate(most);
        numbers.retain(|number| self.held(*number).is_none() && !self.remote.cache.has(&self.id, *number));
        let mut runs: Vec<Range<u64>> = Vec::new();
        for number in numbers {
            match runs.last_mut() {
                Some(run) if run.end == number && run.end - run.start < MAX_PIECES_PER_REQUEST => run.end += 1,
                _ => runs.push(number..number + 1),
            }
        }
        // A few requests at a time, so that what is in memory at once is bounded.
        for runs in runs.chunks(4) {
            self.fetch(runs)?;
        }
        Ok(())
    }
}
