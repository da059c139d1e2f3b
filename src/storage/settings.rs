//! How the store behaves: one struct, every field with its unit, its default and its effect.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::remote::RemoteSettings;
use crate::series::{Millis, format_duration, parse_duration};

/// When an [`append`](super::Store::append) returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ack {
    /// After fdatasync: an acknowledged sample survives `kill -9` and power loss. The default.
    #[default]
    Fsync,
    /// After the write; fdatasync follows within this time. Survives `kill -9`; power loss may take that much.
    Interval(Duration),
    /// After the write; the operating system syncs when it likes. Survives `kill -9`, promises nothing on power loss.
    None,
}

impl FromStr for Ack {
    type Err = String;

    fn from_str(text: &str) -> Result<Ack, String> {
        match text.trim() {
            "fsync" => Ok(Ack::Fsync),
            "none" => Ok(Ack::None),
            other => {
                let span = other.strip_prefix("interval:").ok_or_else(|| {
                    format!("`{other}` is not a way to acknowledge; use `fsync`, `none` or `interval:1s`")
                })?;
                let millis = parse_duration(span.trim()).map_err(|error| error.to_string())?;
                let millis = u64::try_from(millis).ok().filter(|millis| *millis > 0);
                millis
                    .map(|millis| Ack::Interval(Duration::from_millis(millis)))
                    .ok_or_else(|| format!("`{other}`: the interval must be longer than zero, as in `interval:1s`"))
            }
        }
    }
}

impl fmt::Display for Ack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ack::Fsync => f.write_str("fsync"),
            Ack::None => f.write_str("none"),
            Ack::Interval(every) => {
                let millis = Millis::try_from(every.as_millis()).unwrap_or(Millis::MAX);
                write!(f, "interval:{}", format_duration(millis))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Ack {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Ack, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Everything about a store that can be set.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreSettings {
    /// When an append is acknowledged: `fsync` (default), `interval:1s` or `none`.
    pub ack: Ack,
    /// Samples in the memtable that start a flush to Parquet; default 2,000,000, which take 2 to 20 MB of memory, and
    /// 150 bytes a series. As many again are taken in while it is written; then senders wait.
    pub flush_samples: usize,
    /// Age of the oldest sample in the memtable that starts a flush, as a duration (`15m`, `1h`); default `1h`.
    #[serde(deserialize_with = "duration")]
    pub flush_interval: Millis,
    /// Bytes after which the log goes on in a new segment; default 64 MiB. Smaller segments are freed sooner.
    pub segment_size: u64,
    /// Blocks whose newest sample is older than this are deleted, as a duration (`90d`); default: kept for ever.
    #[serde(deserialize_with = "optional_duration")]
    pub retention: Option<Millis>,
    /// Bytes of blocks, sidecars and log beyond which the oldest blocks are deleted, as well as by age; default:
    /// no limit. The newest block and what is only in the log always stay.
    pub retention_size: Option<u64>,
    /// How long windows of five minutes are kept, as a duration (`180d`), longer than the samples; default: they are
    /// not made.
    #[serde(deserialize_with = "optional_duration")]
    pub retention_5m: Option<Millis>,
    /// How long windows of one hour are kept, as a duration (`5y`); default: they are not made.
    #[serde(deserialize_with = "optional_duration")]
    pub retention_1h: Option<Millis>,
    /// Active series (a sample since the flush before last) beyond which samples of new series are rejected with a
    /// reason; default 1,000,000, about 0.6 GB of memory with ten labels each.
    pub max_series: usize,
    /// Blocks of one window (2 hours, a day, 30 days) that is not over beyond which they are merged; default 8, at
    /// least 2. The blocks of a window that is over become one.
    pub max_blocks_per_day: usize,
    /// A bucket for blocks; default: none.
    #[serde(skip)]
    pub s3: RemoteSettings,
}

impl Default for StoreSettings {
    fn default() -> Self {
        StoreSettings {
            ack: Ack::Fsync,
            flush_samples: 2_000_000,
            flush_interval: crate::series::HOUR,
            segment_size: 64 << 20,
            retention: None,
            retention_size: None,
            retention_5m: None,
            retention_1h: None,
            max_series: 1_000_000,
            max_blocks_per_day: 8,
            s3: RemoteSettings::default(),
        }
    }
}

fn parse_positive<E: serde::de::Error>(text: &str) -> Result<Millis, E> {
    let millis = parse_duration(text).map_err(E::custom)?;
    if millis > 0 { Ok(millis) } else { Err(E::custom(format!("`{text}`: the duration must be longer than zero"))) }
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Millis, D::Error> {
    parse_positive(&String::deserialize(deserializer)?)
}

fn optional_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Millis>, D::Error> {
    Option::<String>::deserialize(deserializer)?.map(|text| parse_positive(&text)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::{DAY, MINUTE};

    #[test]
    fn settings_read_as_documented() {
        let text = r#"{"ack": "interval:500ms", "flush_interval": "15m", "retention": "90d", "max_series": 7}"#;
        let settings: StoreSettings = serde_json::from_str(text).unwrap();
        assert_eq!(settings.ack, Ack::Interval(Duration::from_millis(500)));
        assert_eq!((settings.flush_interval, settings.retention), (15 * MINUTE, Some(90 * DAY)));
        assert_eq!((settings.max_series, settings.flush_samples), (7, StoreSettings::default().flush_samples));
    }

    #[test]
    fn mistakes_are_named() {
        let check = |text: &str, expected: &str| {
            let error = serde_json::from_str::<StoreSettings>(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(r#"{"ack": "maybe"}"#, "use `fsync`, `none` or `interval:1s`");
        check(r#"{"ack": "interval:0s"}"#, "interval:0s");
        check(r#"{"flush_intervall": "1h"}"#, "flush_intervall");
        check(r#"{"flush_interval": "soon"}"#, "soon");
    }
}
