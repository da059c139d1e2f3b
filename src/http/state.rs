//! What every handler shares.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::Semaphore;

use super::error::{Error, Fault};
use super::metrics::Metrics;
use crate::config::Config;
use crate::ingest::RemoteWriteDecoder;
use crate::presets::Presets;
use crate::query::Budget;
use crate::series::{Batch, Key, MetricKind, Millis, Selector, TimeRange};
use crate::storage::{Appended, Store};
use crate::watch::Watch;

/// The server's parts, shared by all requests.
pub struct App {
    pub(super) store: Arc<Store>,
    pub(super) watch: Arc<Watch>,
    pub(super) presets: Presets,
    pub(super) config: Config,
    pub(super) remote_write: Arc<RemoteWriteDecoder>,
    pub(super) metrics: Metrics,
    pub(super) query_slots: Arc<Semaphore>,
    pub(super) write_slots: Arc<Semaphore>,
    is_stopping: AtomicBool,
}

impl App {
    /// Joins the parts.
    pub fn new(store: Arc<Store>, watch: Arc<Watch>, presets: Presets, config: Config) -> Arc<App> {
        let remote_write = Arc::new(RemoteWriteDecoder::new(config.limits.clone()));
        Arc::new(App {
            metrics: Metrics::new(Arc::clone(&store), Arc::clone(&watch), Arc::clone(&remote_write)),
            remote_write,
            query_slots: Arc::new(Semaphore::new(config.http.n_queries())),
            write_slots: Arc::new(Semaphore::new(config.http.max_writes.max(1))),
            is_stopping: AtomicBool::new(false),
            store,
            watch,
            presets,
            config,
        })
    }

    /// What one query may read.
    pub(super) fn budget(&self) -> Budget {
        Budget::samples(self.config.http.max_query_samples as u64)
    }

    /// Now, in milliseconds since the epoch.
    pub(super) fn now(&self) -> Millis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
    }

    /// Makes a batch durable, then shows what was stored to the standing loop.
    pub(super) fn append(&self, batch: Batch) -> Result<Appended, Error> {
        if batch.is_empty() {
            return Ok(Appended::default());
        }
        let appended = self.store.append(&batch)?;
        self.metrics.accepted(appended.n_accepted);
        if appended.rejected.is_empty() {
            self.watch.observe(batch);
        } else {
            let mut refused = appended.rejected.iter().map(|(idx, _)| *idx).peekable();
            let stored = batch.iter().enumerate().filter(|(idx, _)| refused.next_if_eq(idx).is_none());
            self.watch.observe(Batch::from_samples(stored.map(|(_, (key, sample))| (key.clone(), sample))));
        }
        Ok(appended)
    }

    /// The series a selector matches, or an error that says where to look.
    pub(super) fn keys(&self, selector: &Selector, range: TimeRange) -> Result<Vec<Key>, Error> {
        let keys = self.store.keys(selector, range)?;
        if keys.is_empty() {
            return Err(self.nothing_matches(selector));
        }
        Ok(keys)
    }

    /// The error for a selector without series.
    pub(super) fn nothing_matches(&self, selector: &Selector) -> Error {
        let known_metric = selector.fixed_metric().is_some_and(|metric| {
            self.store.keys(&Selector::metric(metric), TimeRange::ALL).is_ok_and(|keys| !keys.is_empty())
        });
        let advice = match selector.fixed_metric() {
            Some(metric) if known_metric => format!(
                "the metric {metric} exists, but not with these labels or not in this time range; /api/v1/series?match[]={metric} lists its series"
            ),
            Some(_) | None => "/api/v1/label/__name__/values lists the metrics there are".to_owned(),
        };
        Error::new(Fault::NotFound, format!("no series matches {selector}: {advice}"))
    }

    /// Gauge or counter, as the presets or the name have it.
    pub(super) fn kind_of(&self, key: &Key) -> MetricKind {
        self.presets.settings_for(key).kind_of(key.metric())
    }

    /// Whether the server still takes requests.
    pub(super) fn is_ready(&self) -> bool {
        !self.is_stopping.load(Ordering::Relaxed)
    }

    /// From here on `/ready` says no.
    pub(super) fn stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }
}
