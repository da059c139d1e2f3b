//! What the store says about itself.

/// Counts and sizes for `/metrics`; counters count from the opening of the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Active series: with a sample since the flush before last.
    pub n_series: u64,
    /// Samples in memory, frozen memtables included.
    pub n_memtable_samples: u64,
    /// Bytes of memory they take.
    pub memtable_bytes: u64,
    /// Bytes of memory that active series take beside their samples: keys, numbers, lists by label.
    pub series_bytes: u64,
    /// Bytes of memory that indexes of blocks take, as far as they are kept.
    pub index_bytes: u64,
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
    /// Blocks in a bucket, and how that goes; all zero without one.
    pub remote: RemoteFigures,
}

/// What the store says about its bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RemoteFigures {
    /// Whether the last request to the bucket went through.
    pub is_reachable: bool,
    /// Live blocks that are in the bucket and here.
    pub n_both: u64,
    /// Live blocks that are in the bucket only.
    pub n_bucket_only: u64,
    /// Bytes of blocks that are in the bucket only.
    pub bucket_only_bytes: u64,
    /// Blocks that are due for an upload.
    pub n_backlog: u64,
    /// Bytes of them.
    pub backlog_bytes: u64,
    /// Blocks whose objects are still to be deleted.
    pub n_superseded: u64,
    /// Blocks uploaded and verified.
    pub n_uploads: u64,
    /// Bytes of them.
    pub n_upload_bytes: u64,
    /// Passes over the bucket that failed and are tried again.
    pub n_upload_errors: u64,
    /// Files of blocks removed here because the bucket has them.
    pub n_drops: u64,
    /// Blocks whose objects were deleted.
    pub n_deletes: u64,
    /// Pieces of blocks found in the cache.
    pub n_cache_hits: u64,
    /// Pieces of blocks that had to be fetched.
    pub n_cache_misses: u64,
    /// Bytes of pieces in the cache.
    pub cache_bytes: u64,
    /// Bytes read from the bucket.
    pub n_read_bytes: u64,
    /// Reads from the bucket that failed.
    pub n_read_errors: u64,
}
