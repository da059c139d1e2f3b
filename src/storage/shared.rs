//! What the store's threads have in common.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::{Mutex, RwLock};

use super::block::index_bytes;
use super::figures::Figures;
use super::files::Files;
use super::layout::Layout;
use super::remote::Remote;
use super::settings::StoreSettings;
use super::table::SeriesTable;
use super::view::View;
use crate::series::Millis;

/// Everything that more than one thread of a store looks at.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) settings: StoreSettings,
    pub(super) files: Arc<dyn Files>,
    pub(super) layout: Layout,
    /// The bucket, when one is configured.
    pub(super) remote: Option<Arc<Remote>>,
    pub(super) table: SeriesTable,
    pub(super) view: RwLock<View>,
    /// The log's segments and their sizes.
    pub(super) segments: Mutex<BTreeMap<u64, u64>>,
    pub(super) counters: Counters,
    pub(super) is_closed: AtomicBool,
    /// The last flush failed for want of space.
    pub(super) is_full: AtomicBool,
}

impl Shared {
    /// What is readable now; cheap, and unmoved by what happens after.
    pub(super) fn view(&self) -> View {
        self.view.read().clone()
    }

    pub(super) fn figures(&self) -> Figures {
        let view = self.view();
        let entries = || view.blocks.iter().map(|block| block.entry());
        let segments = self.segments.lock();
        let counters = &self.counters;
        Figures {
            n_series: self.table.n_active() as u64,
            n_memtable_samples: view.n_memtable_samples(),
            memtable_bytes: view.n_memtable_bytes(),
            series_bytes: self.table.n_bytes() as u64,
            index_bytes: index_bytes(&view.blocks) as u64,
            n_blocks: view.blocks.len() as u64,
            block_bytes: entries().map(|entry| entry.n_bytes).sum(),
            n_block_samples: entries().map(|entry| entry.n_samples).sum(),
            n_segments: segments.len() as u64,
            wal_bytes: segments.values().sum(),
            n_appended: counters.n_appended.get(),
            n_rejected: counters.n_rejected.get(),
            n_commits: counters.n_commits.get(),
            n_fsyncs: counters.n_fsyncs.get(),
            n_append_errors: counters.n_append_errors.get(),
            n_flushes: counters.n_flushes.get(),
            n_flush_errors: counters.n_flush_errors.get(),
            n_compactions: counters.n_compactions.get(),
            n_replayed: counters.n_replayed.get(),
            n_quarantined: counters.n_quarantined.get(),
            remote: self.remote.as_ref().map(|remote| remote.figures(&view, now())).unwrap_or_default(),
        }
    }
}

/// The counters behind [`Figures`], whose fields say what each counts.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) n_appended: Counter,
    pub(super) n_rejected: Counter,
    pub(super) n_commits: Counter,
    pub(super) n_fsyncs: Counter,
    pub(super) n_append_errors: Counter,
    pub(super) n_flushes: Counter,
    pub(super) n_flush_errors: Counter,
    pub(super) n_compactions: Counter,
    pub(super) n_replayed: Counter,
    pub(super) n_quarantined: Counter,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The wall clock. It may jump; nothing that matters is decided by it alone.
pub(super) fn now() -> Millis {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis::try_from(since_epoch.as_millis()).unwrap_or(Millis::MAX)
}
