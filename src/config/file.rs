//! The configuration as the file writes it, and how it becomes each room's settings.
//!
//! The rooms' settings hold plain numbers; the file has spans (`90d`) and sizes (`64MiB`). Each struct here mirrors
//! one of theirs, field by field, so that a new field cannot be forgotten: the compiler asks for it.

use std::path::PathBuf;

use serde::Deserialize;

use super::units::{OptionalSize, OptionalSpan, Size, Span, Wait};
use super::{Config, ConfigError, HostSettings, HttpSettings};
use crate::detect::AlarmSettings;
use crate::incident::GroupSettings;
use crate::ingest::Limits;
use crate::series::{LabelLimits, Zone};
use crate::storage::{Ack, RemoteSettings, StoreSettings};
use crate::watch::WatchSettings;

/// Declares a struct that reads from the file, defaults to the room's default, and converts both ways.
macro_rules! mirror {
    ($file:ident of $room:ty { $($field:ident: $written:ty),* $(,)? }) => {
        #[derive(Deserialize)]
        #[serde(default, deny_unknown_fields)]
        struct $file {
            $($field: $written),*
        }

        impl Default for $file {
            fn default() -> Self {
                <$room>::default().into()
            }
        }

        impl From<$room> for $file {
            #[allow(clippy::useless_conversion, reason = "most fields are written as they are")]
            fn from(room: $room) -> $file {
                $file { $($field: room.$field.into()),* }
            }
        }

        impl From<$file> for $room {
            #[allow(clippy::useless_conversion, reason = "most fields are written as they are")]
            fn from(file: $file) -> $room {
                Self { $($field: file.$field.into()),* }
            }
        }
    };
}

mirror!(ConfigFile of Config {
    data: PathBuf,
    listen: String,
    token: Option<String>,
    allow_remote_without_token: bool,
    store: StoreFile,
    limits: LimitsFile,
    http: HttpFile,
    watch: WatchFile,
    host: HostFile,
    time_zone: Zone,
    presets: Vec<String>,
    events: Option<PathBuf>,
});

mirror!(StoreFile of StoreSettings {
    ack: Ack,
    flush_samples: usize,
    flush_interval: Span,
    segment_size: Size,
    retention: OptionalSpan,
    retention_size: OptionalSize,
    retention_5m: OptionalSpan,
    retention_1h: OptionalSpan,
    max_series: usize,
    max_blocks_per_day: usize,
    s3: RemoteFile,
});

mirror!(RemoteFile of RemoteSettings {
    bucket: Option<String>,
    endpoint: Option<String>,
    region: Option<String>,
    prefix: String,
    path_style: bool,
    allow_http: bool,
    credentials_file: Option<PathBuf>,
    upload_after: Wait,
    keep_local: OptionalSpan,
    keep_local_size: OptionalSize,
    cache_size: Size,
    timeout: Span,
});

mirror!(HttpFile of HttpSettings {
    max_connections: usize,
    header_timeout: Span,
    body_timeout: Span,
    query_timeout: Span,
    max_queries: usize,
    max_query_samples: usize,
    max_writes: usize,
    drain_timeout: Wait,
});

mirror!(HostFile of HostSettings {
    enabled: bool,
    every: Span,
});

mirror!(WatchFile of WatchSettings {
    enabled: bool,
    memory: Size,
    forget_after: Span,
    queue_samples: usize,
    catch_up_samples: usize,
    backfill: Span,
    backfill_samples: usize,
    detector: String,
    forecaster: String,
    alarm: AlarmFile,
    incidents: GroupFile,
    refresh_every: Span,
    max_forecasts: usize,
    keep_horizon: Span,
    coverage: f64,
    waiting_targets: usize,
    accuracy_sets: usize,
    history_cells: usize,
    capacity_horizon: Span,
    cpu_share: f64,
    flush_every: Span,
    recent_anomalies: usize,
    results_retention: Span,
});

mirror!(AlarmFile of AlarmSettings {
    open_at: f64,
    severe_at: f64,
    close_below: f64,
    open_after: Option<(usize, usize)>,
    min_duration: Wait,
    close_after: usize,
    mute_share: f64,
    mute_samples: usize,
    mute_span: Wait,
    unmute_at: f64,
});

mirror!(GroupFile of GroupSettings {
    reach: Span,
    min_members: usize,
});

/// The label limits stand beside the others in the file.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LimitsFile {
    max_body: Size,
    max_decoded: Size,
    max_labels: usize,
    max_label_name_length: usize,
    max_label_value_length: usize,
    max_rejections_listed: usize,
}

impl Default for LimitsFile {
    fn default() -> Self {
        Limits::default().into()
    }
}

impl From<Limits> for LimitsFile {
    fn from(limits: Limits) -> LimitsFile {
        let Limits { max_body, max_decoded, labels, max_rejections_listed } = limits;
        let LabelLimits { max_labels, max_name_len, max_value_len } = labels;
        LimitsFile {
            max_body: max_body.into(),
            max_decoded: max_decoded.into(),
            max_labels,
            max_label_name_length: max_name_len,
            max_label_value_length: max_value_len,
            max_rejections_listed,
        }
    }
}

impl From<LimitsFile> for Limits {
    fn from(file: LimitsFile) -> Limits {
        Limits {
            max_body: file.max_body.into(),
            max_decoded: file.max_decoded.into(),
            labels: LabelLimits {
                max_labels: file.max_labels,
                max_name_len: file.max_label_name_length,
                max_value_len: file.max_label_value_length,
            },
            max_rejections_listed: file.max_rejections_listed,
        }
    }
}

/// Reads the configuration from YAML without references.
pub(super) fn read(text: &str) -> Result<Config, ConfigError> {
    // An empty file, or one of comments only, is the defaults; YAML would call it null.
    let is_blank = text.lines().all(|line| matches!(line.trim_start().chars().next(), None | Some('#')));
    if is_blank {
        return Ok(Config::default());
    }
    let file: ConfigFile = serde_saphyr::from_str(text).map_err(|error| {
        let place = error.location();
        let mut reason = error.without_snippet().to_string();
        // The parser ends its sentence with the place, which ours begins with.
        if let Some(cut) = reason.rfind(" at line ") {
            reason.truncate(cut);
        }
        ConfigError { path: None, line: place.map(|at| at.line()), column: place.map(|at| at.column()), reason }
    })?;
    let mut config = Config::from(file);
    config.token = config.token.filter(|token| !token.is_empty());
    Ok(config)
}

/// Line and column of a dotted field such as `watch.alarm.open_at` in the text of a mapping, from 1.
pub(super) fn place_of(text: &str, field: &str) -> Option<(u64, u64)> {
    let mut wanted = field.split('.').peekable();
    let mut deeper_than = None;
    for (idx, line) in text.lines().enumerate() {
        let key = line.trim_start();
        let indent = line.len() - key.len();
        if key.is_empty() || key.starts_with('#') || deeper_than.is_some_and(|parent| indent <= parent) {
            continue;
        }
        let name = wanted.peek()?;
        if key.strip_prefix(*name).is_some_and(|rest| rest.trim_start().starts_with(':')) {
            wanted.next();
            if wanted.peek().is_none() {
                return Some((idx as u64 + 1, indent as u64 + 1));
            }
            deeper_than = Some(indent);
        }
    }
    None
}
