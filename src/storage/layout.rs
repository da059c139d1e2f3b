//! Where everything is in a data directory.

use std::path::{Path, PathBuf};

use chrono::DateTime;

use super::tiers::TierEntry;
use crate::series::{DAY, Millis};

/// The first instant a sample may have: 0001-01-01, where the calendars of Parquet's readers begin.
pub(super) const FIRST_TIME: Millis = -62_135_596_800_000;
/// The first instant after the last a sample may have: 10000-01-01.
pub(super) const END_TIME: Millis = 253_402_300_800_000;

/// The paths of a data directory.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) root: PathBuf,
    /// Segments of the log.
    pub(super) wal: PathBuf,
    /// Parquet, and nothing else: what other programs read.
    pub(super) blocks: PathBuf,
    /// A sidecar per block: where in it each series is.
    pub(super) index: PathBuf,
    /// Files that are being written; emptied at every start.
    pub(super) tmp: PathBuf,
    /// What was damaged or is not ours, for a person to look at.
    pub(super) quarantine: PathBuf,
    /// A copy of each delete that is not carried out yet, for when the manifest is lost.
    pub(super) deletes: PathBuf,
    /// Windows of samples, made from blocks: Parquet as well.
    pub(super) tiers: PathBuf,
    /// Whole data directories, each as it was at one moment.
    pub(super) snapshots: PathBuf,
    /// Pieces of blocks that are in a bucket only; may be deleted at any time.
    pub(super) cache: PathBuf,
    /// What other rooms keep: forecasts, anomalies, scores.
    pub(super) results: PathBuf,
}

impl Layout {
    pub(super) fn new(root: &Path) -> Layout {
        Layout {
            root: root.to_owned(),
            wal: root.join("wal"),
            blocks: root.join("blocks"),
            index: root.join("index"),
            tmp: root.join("tmp"),
            quarantine: root.join("quarantine"),
            tiers: root.join("tiers"),
            deletes: root.join("deletes"),
            snapshots: root.join("snapshots"),
            cache: root.join("cache"),
            results: root.join("results"),
        }
    }

    /// The folder of the blocks that begin on a UTC day; its name is what Hive calls a partition.
    pub(super) fn day_dir(&self, date: &str) -> PathBuf {
        self.blocks.join(format!("date={date}"))
    }

    pub(super) fn block(&self, date: &str, id: &str) -> PathBuf {
        self.day_dir(date).join(format!("{id}.parquet"))
    }

    pub(super) fn sidecar(&self, id: &str) -> PathBuf {
        self.index.join(format!("{id}.series"))
    }

    pub(super) fn tier_file(&self, entry: &TierEntry) -> PathBuf {
        self.tiers.join(entry.tier.name()).join(format!("date={}", entry.date)).join(format!("{}.parquet", entry.id))
    }

    pub(super) fn delete(&self, id: &str) -> PathBuf {
        self.deletes.join(format!("{id}.json"))
    }
}

/// The UTC day of an instant, counted from the epoch.
pub(super) fn day_of(at: Millis) -> i64 {
    at.div_euclid(DAY)
}

/// The date of a day, `YYYY-MM-DD`.
pub(super) fn date_of(day: i64) -> String {
    // Samples are checked against FIRST_TIME and END_TIME when they come in, so the calendar has every day.
    let date = day.checked_mul(DAY).and_then(DateTime::from_timestamp_millis);
    date.map_or_else(|| format!("day{day}"), |date| date.format("%Y-%m-%d").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_their_dates() {
        assert_eq!(date_of(day_of(0)), "1970-01-01");
        assert_eq!(date_of(day_of(-1)), "1969-12-31");
        assert_eq!(date_of(day_of(FIRST_TIME)), "0001-01-01");
        assert_eq!(date_of(day_of(END_TIME - 1)), "9999-12-31");
    }
}
