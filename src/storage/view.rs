//! What is readable at one instant: the memtables and the blocks, swapped together.
//!
//! A flush moves samples from a memtable to blocks; because both are in one view, a reader meets them in one place or
//! in the other, never in neither.

use std::sync::Arc;

use super::block::Block;
use super::deletes::Tombstones;
use super::memtable::Memtable;
use super::tiers::TierEntry;

/// A memtable that is on its way to blocks.
#[derive(Clone, Debug)]
pub(super) struct Frozen {
    pub(super) memtable: Arc<Memtable>,
    /// Its samples are in segments up to this number, and those hold nothing younger.
    pub(super) wal_upto: u64,
}

/// Everything there is to read, in order of arrival: blocks, frozen memtables, the active one.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// By sequence.
    pub(super) blocks: Arc<Vec<Arc<Block>>>,
    /// Oldest first.
    pub(super) frozen: Vec<Frozen>,
    pub(super) active: Arc<Memtable>,
    /// What of the blocks is deleted; memtables hold nothing that is.
    pub(super) tombstones: Tombstones,
    /// The files of the tiers.
    pub(super) tiers: Arc<Vec<TierEntry>>,
    /// In which the numbers of the memtables' series hold good.
    pub(super) epoch: u32,
}

impl View {
    /// The memtables, earliest arrivals first.
    pub(super) fn memtables(&self) -> impl Iterator<Item = &Memtable> {
        self.frozen.iter().map(|frozen| &*frozen.memtable).chain([&*self.active])
    }

    /// Bytes of memory that the memtables take.
    pub(super) fn n_memtable_bytes(&self) -> u64 {
        self.memtables().map(Memtable::n_bytes).sum()
    }

    pub(super) fn n_memtable_samples(&self) -> u64 {
        self.memtables().map(Memtable::n_samples).sum()
    }
}
