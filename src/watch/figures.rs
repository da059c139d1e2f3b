//! What the standing loop says about itself.

/// Counts and sizes, for `/metrics`. Counts only grow while the program runs; the rest says how it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct WatchFigures {
    /// Whether the stored history has been scored after the start.
    pub is_backfilled: bool,
    /// Series that are watched.
    pub n_watched: u64,
    /// Series that are not, because there is no memory left for them.
    pub n_unwatched: u64,
    /// Bytes of memory that scorers take, as far as it is reckoned.
    pub scorer_bytes: u64,
    /// Bytes of memory that the list of series takes.
    pub roster_bytes: u64,
    /// Series that fell silent and are not watched any more.
    pub n_forgotten: u64,
    /// Series whose forecasts are not kept, because there are more than `max_forecasts`.
    pub n_unforecast: u64,
    /// Samples that wait to be scored.
    pub n_queued: u64,
    /// Bytes of memory that they take.
    pub queue_bytes: u64,
    /// Samples that were scored, stored history included.
    pub n_scored: u64,
    /// Samples that found the queue full, and were left to be read back from the store.
    pub n_overflowed: u64,
    /// Samples that stayed unscored: after an overflow larger than what is read back, or late by their timestamp.
    pub n_unscored: u64,
    /// Samples that were not scored because they come from the future.
    pub n_ahead: u64,
    /// Anomalies that were opened.
    pub n_opened: u64,
    /// Anomalies that are open now.
    pub n_open: u64,
    /// Incidents in memory.
    pub n_incidents: u64,
    /// Models fitted.
    pub n_fits: u64,
    /// Forecasts answered from a fitted model.
    pub n_warm_forecasts: u64,
    /// Forecasts for which a model had to be fitted first.
    pub n_cold_forecasts: u64,
    /// Forecasts kept on disk.
    pub n_kept_forecasts: u64,
    /// Values of kept forecasts that were judged by what came.
    pub n_judged: u64,
    /// Values of kept forecasts that could not be: no sample came, or they found no place to wait.
    pub n_unjudged: u64,
    /// Values of kept forecasts that wait to be judged.
    pub n_waiting: u64,
    /// Rows written to results.
    pub n_result_rows: u64,
    /// Writes of results that failed; they are tried again.
    pub n_failed_writes: u64,
    /// Seconds of CPU that scoring took.
    pub scoring_seconds: f64,
    /// Seconds of CPU that refreshing took.
    pub refresh_seconds: f64,
}
