//! `GET /metrics`: what the server says about itself.
//!
//! Requests and samples are counted here as they pass; the store's and the standing loop's own figures are read when
//! asked. prometheus-client writes OpenMetrics; for scrapers that did not ask for it the few lines in which the older
//! text format differs are rewritten.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

use super::answer::{Answer, with_body};
use super::error::Error;
use super::params::Params;
use super::routes::Accepts;
use super::state::App;
use crate::ingest::RemoteWriteDecoder;
use crate::storage::Store;
use crate::watch::Watch;

/// Seconds; from a warm forecast to the longest query.
const BUCKETS: [f64; 13] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

type Labels = Vec<(&'static str, String)>;

#[derive(Clone)]
struct NewHistogram;

impl MetricConstructor<Histogram> for NewHistogram {
    fn new_metric(&self) -> Histogram {
        Histogram::new(BUCKETS)
    }
}

/// Counters and the registry that writes them.
pub(super) struct Metrics {
    registry: Registry,
    requests: Family<Labels, Counter>,
    durations: Family<Labels, Histogram, NewHistogram>,
    accepted: Counter,
    rejected: Counter,
}

impl Metrics {
    pub(super) fn new(store: Arc<Store>, watch: Arc<Watch>, remote_write: Arc<RemoteWriteDecoder>) -> Metrics {
        let mut registry = Registry::default();
        let requests = Family::<Labels, Counter>::default();
        let durations = Family::<Labels, Histogram, NewHistogram>::new_with_constructor(NewHistogram);
        let (accepted, rejected) = (Counter::default(), Counter::default());
        registry.register("barograph_http_requests", "Requests answered", requests.clone());
        registry.register("barograph_http_request_duration_seconds", "Seconds from head to answer", durations.clone());
        registry.register("barograph_samples_accepted", "Samples made durable", accepted.clone());
        registry.register("barograph_samples_rejected", "Samples rejected with a reason", rejected.clone());
        registry.register_collector(Box::new(Figures { store, watch, remote_write }));
        Metrics { registry, requests, durations, accepted, rejected }
    }

    pub(super) fn answered(&self, route: &'static str, method: &Method, status: StatusCode, took: Duration) {
        // Methods are free text on the wire; a label must not be.
        let method = [Method::GET, Method::HEAD, Method::POST].into_iter().find(|known| known == method);
        let method = method.map_or_else(|| "other".to_owned(), |method| method.to_string());
        let status = status.as_u16().to_string();
        let labels = vec![("route", route.to_owned()), ("method", method), ("status", status)];
        self.requests.get_or_create(&labels).inc();
        self.durations.get_or_create(&vec![("route", route.to_owned())]).observe(took.as_secs_f64());
    }

    pub(super) fn accepted(&self, n_samples: usize) {
        self.accepted.inc_by(n_samples as u64);
    }

    pub(super) fn rejected(&self, n_samples: usize) {
        self.rejected.inc_by(n_samples as u64);
    }
}

pub(super) fn answer(app: &App, _: &Params, accepts: Accepts) -> Answer {
    let mut text = String::new();
    encode(&mut text, &app.metrics.registry).map_err(|error| Error::internal(&error.to_string()))?;
    Ok(match accepts {
        Accepts::OpenMetrics => {
            with_body(StatusCode::OK, "application/openmetrics-text; version=1.0.0; charset=utf-8", text.into_bytes())
        }
        Accepts::Any => {
            with_body(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", plain(&text).into_bytes())
        }
    })
}

/// OpenMetrics as the older text format has it: a counter's name ends in `_total` in its comments too, and neither
/// units nor an end mark exist.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut help = None;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = Some(rest);
            continue;
        }
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap_or((rest, "untyped"));
            let suffix = if kind == "counter" { "_total" } else { "" };
            if let Some((_, words)) = help.take().and_then(|help| help.split_once(' ')) {
                out.push_str(&format!("# HELP {name}{suffix} {words}\n"));
            }
            out.push_str(&format!("# TYPE {name}{suffix} {kind}\n"));
        } else if !line.starts_with("# UNIT ") && line != "# EOF" {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

/// Reads the figures of store, standing loop and process when the metrics are asked for.
struct Figures {
    store: Arc<Store>,
    watch: Arc<Watch>,
    remote_write: Arc<RemoteWriteDecoder>,
}

impl fmt::Debug for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Figures")
    }
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (store, watch, process) = (self.store.figures(), self.watch.figures(), Process::read());
        let remote = store.remote;
        let gauges = [
            ("barograph_store_series", "Active series", store.n_series as f64),
            ("barograph_store_memtable_samples", "Samples in memory", store.n_memtable_samples as f64),
            ("barograph_store_blocks", "Live blocks", store.n_blocks as f64),
            ("barograph_store_block_bytes", "Bytes of live blocks", store.block_bytes as f64),
            ("barograph_store_block_samples", "Samples in live blocks", store.n_block_samples as f64),
            ("barograph_store_wal_bytes", "Bytes of the log", store.wal_bytes as f64),
            ("barograph_store_wal_segments", "Segments of the log", store.n_segments as f64),
            ("barograph_store_quarantined", "Damaged files set aside at the start", store.n_quarantined as f64),
            (
                "barograph_s3_up",
                "1 when the last request to the bucket went through",
                f64::from(u8::from(remote.is_reachable)),
            ),
            ("barograph_s3_blocks", "Live blocks in the bucket and here", remote.n_both as f64),
            ("barograph_s3_only_blocks", "Live blocks in the bucket only", remote.n_bucket_only as f64),
            ("barograph_s3_only_bytes", "Bytes of live blocks in the bucket only", remote.bucket_only_bytes as f64),
            ("barograph_s3_backlog_blocks", "Blocks due for an upload", remote.n_backlog as f64),
            ("barograph_s3_backlog_bytes", "Bytes of blocks due for an upload", remote.backlog_bytes as f64),
            ("barograph_s3_superseded_blocks", "Blocks whose objects wait to be deleted", remote.n_superseded as f64),
            ("barograph_s3_cache_bytes", "Bytes of the bucket's blocks in the local cache", remote.cache_bytes as f64),
            ("barograph_store_replayed_samples", "Samples replayed from the log at the start", store.n_replayed as f64),
            (
                "barograph_watch_backfilled",
                "1 when stored history has been scored after the start",
                f64::from(u8::from(watch.is_backfilled)),
            ),
            ("barograph_watch_series", "Series that are watched", watch.n_watched as f64),
            (
                "barograph_watch_unwatched_series",
                "Series that there is no memory left to watch",
                watch.n_unwatched as f64,
            ),
            ("barograph_watch_scorer_bytes", "Memory that the scorers take, as reckoned", watch.scorer_bytes as f64),
            (
                "barograph_watch_unforecast_series",
                "Series beyond the most whose forecasts are kept",
                watch.n_unforecast as f64,
            ),
            ("barograph_watch_queued_samples", "Samples that wait to be scored", watch.n_queued as f64),
            ("barograph_watch_open_anomalies", "Anomalies that are open now", watch.n_open as f64),
            ("barograph_watch_incidents", "Incidents in memory", watch.n_incidents as f64),
            (
                "barograph_watch_waiting_targets",
                "Values of kept forecasts that wait to be judged by what comes",
                watch.n_waiting as f64,
            ),
            ("process_resident_memory_bytes", "Memory this process holds", process.resident as f64),
            ("process_virtual_memory_bytes", "Address space this process has", process.virtual_memory as f64),
            (
                "process_start_time_seconds",
                "When this process started, in seconds since the epoch",
                process.start as f64,
            ),
        ];
        let counters = [
            ("barograph_store_appended_samples", "Samples acknowledged", store.n_appended),
            ("barograph_store_rejected_samples", "Samples the store rejected", store.n_rejected),
            ("barograph_store_commits", "Group commits", store.n_commits),
            ("barograph_store_fsyncs", "Times the log was synced", store.n_fsyncs),
            ("barograph_store_append_errors", "Group commits that failed", store.n_append_errors),
            ("barograph_store_flushes", "Memtables flushed to blocks", store.n_flushes),
            ("barograph_store_flush_errors", "Flushes, merges and retention runs that failed", store.n_flush_errors),
            ("barograph_store_compactions", "Merges of blocks", store.n_compactions),
            ("barograph_s3_uploads", "Blocks uploaded and verified", remote.n_uploads),
            ("barograph_s3_upload_bytes", "Bytes of blocks uploaded", remote.n_upload_bytes),
            (
                "barograph_s3_upload_errors",
                "Passes over the bucket that failed and are tried again",
                remote.n_upload_errors,
            ),
            ("barograph_s3_dropped_files", "Files of blocks removed here because the bucket has them", remote.n_drops),
            ("barograph_s3_deleted_blocks", "Blocks whose objects were deleted", remote.n_deletes),
            ("barograph_s3_cache_hits", "Pieces of blocks found in the local cache", remote.n_cache_hits),
            ("barograph_s3_cache_misses", "Pieces of blocks that had to be fetched", remote.n_cache_misses),
            ("barograph_s3_read_bytes", "Bytes read from the bucket", remote.n_read_bytes),
            ("barograph_s3_read_errors", "Reads from the bucket that failed", remote.n_read_errors),
            ("barograph_watch_scored_samples", "Samples scored", watch.n_scored),
            ("barograph_watch_overflowed_samples", "Samples that found the queue full", watch.n_overflowed),
            ("barograph_watch_unscored_samples", "Samples that stayed unscored", watch.n_unscored),
            ("barograph_watch_future_samples", "Samples too far in the future to be scored", watch.n_ahead),
            ("barograph_watch_forgotten_series", "Series that fell silent and left", watch.n_forgotten),
            ("barograph_watch_anomalies", "Anomalies opened", watch.n_opened),
            ("barograph_watch_fits", "Models fitted", watch.n_fits),
            ("barograph_watch_warm_forecasts", "Forecasts answered from a fitted model", watch.n_warm_forecasts),
            ("barograph_watch_cold_forecasts", "Forecasts for which a model was fitted", watch.n_cold_forecasts),
            ("barograph_watch_kept_forecasts", "Forecasts kept on disk", watch.n_kept_forecasts),
            ("barograph_watch_judged_targets", "Values of kept forecasts judged by what came", watch.n_judged),
            ("barograph_watch_unjudged_targets", "Values of kept forecasts that could not be judged", watch.n_unjudged),
            ("barograph_watch_result_rows", "Rows written to results", watch.n_result_rows),
            ("barograph_watch_failed_writes", "Writes of results that failed", watch.n_failed_writes),
        ];
        let seconds = [
            ("barograph_watch_scoring_seconds", "Processor time spent on scoring", watch.scoring_seconds),
            ("barograph_watch_refresh_seconds", "Processor time spent on refreshing", watch.refresh_seconds),
        ];
        let parts = [
            ("memtables", store.memtable_bytes),
            ("series", store.series_bytes),
            ("block_indexes", store.index_bytes),
            ("key_cache", self.remote_write.cache_bytes() as u64),
            ("watch_queue", watch.queue_bytes),
            ("watch_roster", watch.roster_bytes),
            ("watch_scorers", watch.scorer_bytes),
        ];
        let help = "Memory by what it is for; keys are in `series`, and in `key_cache` again";
        let mut family = encoder.encode_descriptor("barograph_memory_bytes", help, None, MetricType::Gauge)?;
        for (part, bytes) in parts {
            ConstGauge::<f64>::new(bytes as f64).encode(family.encode_family(&[("part", part)])?)?;
        }
        for (name, help, value) in gauges {
            write(&mut encoder, name, help, &ConstGauge::<f64>::new(value))?;
        }
        for (name, help, value) in counters {
            write(&mut encoder, name, help, &ConstCounter::<u64>::new(value))?;
        }
        for (name, help, value) in seconds {
            write(&mut encoder, name, help, &ConstCounter::<f64>::new(value))?;
        }
        Ok(())
    }
}

fn write(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, metric: &impl EncodeMetric) -> fmt::Result {
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

#[derive(Default)]
struct Process {
    resident: u64,
    virtual_memory: u64,
    start: u64,
}

impl Process {
    fn read() -> Process {
        let pid = Pid::from_u32(std::process::id());
        let mut system = System::new();
        system.refresh_processes_specifics(
            ProcessesToUpdate::Some(&[pid]),
            false,
            ProcessRefreshKind::nothing().with_memory(),
        );
        system.process(pid).map_or_else(Process::default, |process| Process {
            resident: process.memory(),
            virtual_memory: process.virtual_memory(),
            start: process.start_time(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_format_names_counters_in_full() {
        let text = "# HELP a Things.\n# TYPE a counter\na_total 1\n# HELP b More.\n# TYPE b gauge\n# UNIT b bytes\nb 2\n# EOF\n";
        assert_eq!(
            plain(text),
            "# HELP a_total Things.\n# TYPE a_total counter\na_total 1\n# HELP b More.\n# TYPE b gauge\nb 2\n"
        );
    }

    #[test]
    fn this_process_is_measured() {
        let process = Process::read();
        assert!(process.resident > 1 << 20 && process.virtual_memory >= process.resident);
        assert!(process.start > 1_700_000_000);
    }
}
