//! What the store says about itself.

/// Counts and sizes for `/metrics`; counters count from the opening of the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Active series: with a sample since the flush before last.
    pub n_series: u64,
    /// Samples in memory, frozen memtables included.
    pub n_memtable_samples: u64,
    /// Live blocks.
    pub n_blocks: u64,
    /// Bytes of live blocks.
    pub block_bytes: u64,
    /// Samples in live blocks, before duplicates are merged.
    pub n_block_samples: u64,
    /// Segments of the log.
    pub n_segments: u64,
    /// Bytes of the log.
    pub wal_bytes: u64,
    /// Samples acknowledged.
    pub n_appended: u64,
    /// Samples rejected, each with a reason.
    pub n_rejected: u64,
    /// Group commits written to the log.
    pub n_commits: u64,
    /// Times the log was synced.
    pub n_fsyncs: u64,
    /// Group commits that failed.
    pub n_append_errors: u64,
    /// Memtables flushed to blocks.
    pub n_flushes: u64,
    /// Flushes, merges and retention runs that failed and will be tried again.
    pub n_flush_errors: u64,
    /// Merges of blocks.
    pub n_compactions: u64,
    /// Samples replayed from the log when the store was opened.
    pub n_replayed: u64,
    /// Files, or parts of files, set aside as damaged when the store was opened.
    pub n_quarantined: u64,
}
