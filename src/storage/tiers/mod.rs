//! Downsampling: least, greatest, sum, count and last value per window of 5 minutes and of 1 hour.
//! `docs/formats/tier.md`.
//!
//! Made from a block when its days are over and it is merged, or before retention deletes it, and kept by settings of their own, so
//! that years remain readable when the samples are gone. While the block is there they can be made again from it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::series::{HOUR, Key, MINUTE, Millis, Sample};

mod file;
mod keep;
mod select;

pub(super) use file::read_footer;
pub(super) use select::{estimate_downsampled, select_downsampled, select_retired};

/// A width of windows that is kept on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Tier {
    /// Windows of five minutes.
    #[serde(rename = "5m")]
    FiveMinutes,
    /// Windows of one hour.
    #[serde(rename = "1h")]
    OneHour,
}

impl Tier {
    /// Both, the finer first.
    pub const ALL: [Tier; 2] = [Tier::FiveMinutes, Tier::OneHour];

    /// How wide its windows are.
    pub fn width(self) -> Millis {
        match self {
            Tier::FiveMinutes => 5 * MINUTE,
            Tier::OneHour => HOUR,
        }
    }

    /// Its name, in paths and answers.
    pub fn name(self) -> &'static str {
        match self {
            Tier::FiveMinutes => "5m",
            Tier::OneHour => "1h",
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What the manifest says of one file of a tier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TierEntry {
    pub(super) tier: Tier,
    /// A ULID: `tiers/<tier>/date=<date>/<id>.parquet` and `index/<id>.series`.
    pub(super) id: String,
    pub(super) date: String,
    /// The block it was made from.
    pub(super) source: String,
    /// Retention has deleted the block: this is all there is, and it is never made again.
    pub(super) is_final: bool,
    pub(super) n_windows: u64,
    pub(super) n_series: u64,
    /// Start of its first window.
    pub(super) min_time: Millis,
    /// Start of its last window.
    pub(super) max_time: Millis,
    pub(super) n_bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) crc32: Option<String>,
}

impl TierEntry {
    /// The last instant that may be in one of its windows.
    pub(super) fn last_time(&self) -> Millis {
        self.max_time.saturating_add(self.tier.width() - 1)
    }
}

/// The samples of one window. NaN, and Prometheus' stale marker with it, counts as no sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// Where it begins: a multiple of its width.
    pub start: Millis,
    /// The least value.
    pub min: f64,
    /// The greatest value.
    pub max: f64,
    /// The sum of the values.
    pub sum: f64,
    /// How many there are, at least one.
    pub count: u64,
    /// The value that is last in time.
    pub last: f64,
}

impl Window {
    fn of(start: Millis, value: f64) -> Window {
        Window { start, min: value, max: value, sum: value, count: 1, last: value }
    }

    /// Takes in a window of the same start whose samples are later, or arrived later.
    fn join(&mut self, later: &Window) {
        self.min = self.min.min(later.min);
        self.max = self.max.max(later.max);
        self.sum += later.sum;
        self.count += later.count;
        self.last = later.last;
    }
}

/// One series' windows, by start.
#[derive(Clone, Debug, PartialEq)]
pub struct Windows {
    /// Whose they are.
    pub key: Key,
    /// Those with a sample.
    pub windows: Vec<Window>,
}

/// What a downsampled selection is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Downsampled {
    /// How wide the windows are.
    pub width: Millis,
    /// The tier that was read; `None` when every window was made from samples.
    pub tier: Option<Tier>,
    /// Whether some windows were made from samples, because they are too young for the tier.
    pub is_partly_raw: bool,
    /// The matching series, sorted by key; none without a window.
    pub series: Vec<Windows>,
}

/// The windows of `width` that the samples, in time order, fall into.
pub(super) fn fold(samples: &[Sample], width: Millis) -> Vec<Window> {
    let mut windows: Vec<Window> = Vec::new();
    for sample in samples.iter().filter(|sample| !sample.value.is_nan()) {
        let window = Window::of(sample.at.div_euclid(width) * width, sample.value);
        match windows.last_mut() {
            Some(last) if last.start == window.start => last.join(&window),
            _ => windows.push(window),
        }
    }
    windows
}

/// Windows of one series from several places, the earliest first, become one list.
pub(super) fn join(mut windows: Vec<Window>) -> Vec<Window> {
    // Stable, so that of one window the later place comes later.
    windows.sort_by_key(|window| window.start);
    windows.dedup_by(|later, kept| {
        let is_same = later.start == kept.start;
        if is_same {
            kept.join(later);
        }
        is_same
    });
    windows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at: Millis, value: f64) -> Sample {
        Sample { at, value }
    }

    #[test]
    fn windows_hold_what_falls_into_them() {
        let samples = [sample(-1, 4.0), sample(0, 2.0), sample(1, f64::NAN), sample(99, 5.0), sample(100, 1.0)];
        let windows = fold(&samples, 100);
        assert_eq!(windows[0], Window { start: -100, min: 4.0, max: 4.0, sum: 4.0, count: 1, last: 4.0 });
        assert_eq!(windows[1], Window { start: 0, min: 2.0, max: 5.0, sum: 7.0, count: 2, last: 5.0 });
        assert_eq!((windows.len(), windows[2].start), (3, 100));
        assert_eq!(fold(&[sample(5, f64::NAN)], 100), []);
    }

    #[test]
    fn windows_of_parts_are_the_windows_of_the_whole() {
        let samples: Vec<Sample> = (0..50).map(|at| sample(at * 7, ((at * 31) % 11) as f64)).collect();
        let parts = samples.chunks(9).flat_map(|part| fold(part, 60)).collect();
        assert_eq!(join(parts), fold(&samples, 60));
    }
}
