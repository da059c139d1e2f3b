//! The one alarm stage: scores become anomalies, whichever method gave them.
//!
//! In: samples in time order with their scores.
//! Out: transitions, when an anomaly opens, grows noticeably, or closes. A pure state machine: no clock, the same
//! answer in replay as live, and a sample's answer depends on earlier samples only.
//!
//! It opens when enough of the last scores are above the threshold, or one is severe; stays open until several in a
//! row are well below (hysteresis); then holds its tongue for a while unless something worse comes. What the metric
//! says does not matter (the wrong side, too small a deviation) never counts.

mod settings;
mod span;

use std::sync::Arc;

use super::anomaly::{Anomaly, Kind};
use super::detector::Score;
use crate::series::{MetricSettings, Millis, SECOND, Sample, Side};
pub use settings::AlarmSettings;
use span::{Span, is_outside, side_of};

/// Scores that are remembered to open by.
const MOST_RECENT: usize = 64;
/// A longest pause, in usual distances, that an open anomaly bridges.
const LONGEST_PAUSE: f64 = 10.0;
/// Below this spacing one sample is not enough to open an anomaly.
const FAST_SPACING: Millis = 30 * SECOND;
/// How much an open anomaly's peak must grow to be told again.
const WORTH_TELLING: f64 = 1.25;
/// Share of the lean that each sample renews: the lean is of about the last ten samples.
const LEAN_WEIGHT: f64 = 0.1;
/// Lean beyond which values inside the band are on the move rather than in odd order.
const LEANING: f64 = 0.75;

/// What happened to a series' anomaly.
#[derive(Clone, Debug, PartialEq)]
pub enum Transition {
    /// A new anomaly began.
    Opened(Anomaly),
    /// The open anomaly's peak rose by a quarter, or its kind is now another.
    Grew(Anomaly),
    /// The open anomaly is over.
    Closed(Anomaly),
}

impl Transition {
    /// The anomaly as it is now.
    pub fn anomaly(&self) -> &Anomaly {
        match self {
            Transition::Opened(anomaly) | Transition::Grew(anomaly) | Transition::Closed(anomaly) => anomaly,
        }
    }
}

/// What the alarms of many series have in common, which hold it together.
#[derive(Clone, Debug, PartialEq)]
struct Common {
    detector: String,
    settings: AlarmSettings,
    metric: MetricSettings,
}

/// What alarms have in common, each once, for [`Alarm::share`].
#[derive(Debug, Default)]
pub struct AlarmKinds(Vec<Arc<Common>>);

/// One series' alarm.
#[derive(Clone, Debug)]
pub struct Alarm {
    common: Arc<Common>,
    /// Which of the last scores counted, a bit each, the latest lowest.
    recent: u64,
    /// What may become an anomaly, or is one.
    span: Option<Box<Span>>,
    is_open: bool,
    /// Scores in a row below `close_below`.
    n_below: usize,
    /// The peak and the kind that were last told.
    told: (f64, Kind),
    n_scored: usize,
    last_at: Option<Millis>,
    spacing: Option<f64>,
    /// To which side the last values leaned, -1 to 1.
    lean: f64,
    mute: Option<Box<Mute>>,
}

/// Silence after an anomaly.
#[derive(Clone, Copy, Debug)]
struct Mute {
    samples_left: usize,
    until: Millis,
    peak: f64,
    side: Option<Side>,
}

impl Alarm {
    /// A quiet alarm for the scores of `detector`.
    pub fn new(detector: &str, settings: AlarmSettings, metric: &MetricSettings) -> Alarm {
        Alarm {
            common: Arc::new(Common { detector: detector.to_owned(), settings, metric: metric.clone() }),
            recent: 0,
            span: None,
            is_open: false,
            n_below: 0,
            told: (0.0, Kind::Pattern),
            n_scored: 0,
            last_at: None,
            spacing: None,
            lean: 0.0,
            mute: None,
        }
    }

    /// Has what it has in common with other alarms in one place with them.
    pub fn share(&mut self, kinds: &mut AlarmKinds) {
        match kinds.0.iter().find(|known| **known == self.common) {
            Some(known) => self.common = Arc::clone(known),
            None => kinds.0.push(Arc::clone(&self.common)),
        }
    }

    /// Takes in the next sample and its score; a sample without a score changes nothing.
    pub fn step(&mut self, sample: Sample, score: Option<Score>) -> Option<Transition> {
        self.step_told(sample, score, None)
    }

    /// As [`Alarm::step`], for a matrix: `detail` says which columns are to blame, when the score counts.
    pub(super) fn step_told(
        &mut self,
        sample: Sample,
        score: Option<Score>,
        detail: Option<&dyn Fn() -> String>,
    ) -> Option<Transition> {
        let score = score?;
        let paused = self.mark_time(sample.at);
        self.n_scored += 1;
        let side = side_of(sample.value, &score);
        let weight = if self.matters(sample.value, &score, side) { score.value } else { 0.0 };
        self.lean += LEAN_WEIGHT * (lean_of(side) - self.lean);
        let counts = weight > self.common.settings.open_at;
        let (k, n) = self.open_after();
        self.recent = (self.recent << 1 | u64::from(counts)) & (u64::MAX >> (64 - n));
        // What was open before a long pause ended there; nobody knows what happened in between.
        if paused && self.is_open {
            return self.close(sample.at);
        }
        if counts {
            let leans = self.lean.abs() > LEANING;
            let span = self.span.get_or_insert_with(|| Box::new(Span::new(sample, score, side)));
            span.extend(sample, score, side, leans, detail);
        }
        if self.is_open {
            if weight >= self.common.settings.close_below {
                self.n_below = 0;
                return self.tell_growth();
            }
            self.n_below += 1;
            return if self.n_below >= self.common.settings.close_after.max(1) { self.close(sample.at) } else { None };
        }
        let n_recent = self.recent.count_ones() as usize;
        if n_recent == 0 {
            self.span = None;
        }
        let muted = self.pass_mute(sample.at, weight, side);
        let span = self.span.as_ref().filter(|_| counts && !muted)?;
        let lasted = sample.at.saturating_sub(span.start) >= self.common.settings.min_duration;
        if weight >= self.common.settings.severe_at || (n_recent >= k && lasted) {
            self.is_open = true;
            self.n_below = 0;
            self.mute = None;
            let anomaly = self.anomaly(true)?;
            self.told = (anomaly.score, anomaly.kind);
            return Some(Transition::Opened(anomaly));
        }
        None
    }

    /// The anomaly that is still open at the end of the samples, as it is.
    pub fn finish(&mut self) -> Option<Anomaly> {
        self.current()
    }

    /// The open anomaly, if there is one.
    pub fn current(&self) -> Option<Anomaly> {
        if self.is_open { self.anomaly(true) } else { None }
    }

    /// Whether an anomaly is open.
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// Whether the last sample belongs to an open anomaly, rather than to the wait for its end.
    pub fn is_in_anomaly(&self) -> bool {
        self.is_open && self.n_below == 0
    }

    /// Whether only something worse than the last anomaly would open one.
    pub fn is_muted(&self) -> bool {
        self.mute.is_some()
    }

    /// Learns the spacing; true after a pause too long to bridge.
    fn mark_time(&mut self, at: Millis) -> bool {
        let Some(last) = self.last_at.replace(at) else {
            return false;
        };
        let distance = at.saturating_sub(last).max(1) as f64;
        let Some(spacing) = self.spacing else {
            self.spacing = Some(distance);
            return false;
        };
        self.spacing = Some(spacing + (distance.clamp(spacing * 0.5, spacing * 2.0) - spacing) / 8.0);
        distance > LONGEST_PAUSE * spacing
    }

    fn open_after(&self) -> (usize, usize) {
        match self.common.settings.open_after {
            Some((k, n)) => (k.clamp(1, MOST_RECENT), n.max(k).clamp(1, MOST_RECENT)),
            None if self.spacing.is_some_and(|spacing| spacing < FAST_SPACING as f64) => (2, 3),
            None => (1, 1),
        }
    }

    /// Whether the metric's settings let this deviation count. Impossible values always do.
    fn matters(&self, value: f64, score: &Score, side: Option<Side>) -> bool {
        if is_outside(&self.common.metric, value) {
            return true;
        }
        let right_side = match (self.common.metric.matters, side) {
            (Side::Both, _) | (_, None) => true,
            (wanted, Some(side)) => wanted == side,
        };
        let Some(expected) = score.expected else {
            return right_side;
        };
        let off = (value - expected).abs();
        right_side
            && off >= self.common.metric.least_absolute
            && off >= self.common.metric.least_relative * expected.abs()
    }

    fn tell_growth(&mut self) -> Option<Transition> {
        let span = self.span.as_ref()?;
        let kind = span.kind(&self.common.detector, &self.common.metric);
        if span.score.value < self.told.0 * WORTH_TELLING && kind == self.told.1 {
            return None;
        }
        self.told = (span.score.value, kind);
        self.anomaly(true).map(Transition::Grew)
    }

    fn close(&mut self, at: Millis) -> Option<Transition> {
        let anomaly = self.anomaly(false);
        let samples = (self.common.settings.mute_share * self.n_scored as f64) as usize;
        let samples_left = samples.min(self.common.settings.mute_samples);
        if let Some(span) = self.span.take().filter(|_| samples_left > 0) {
            let until = at.saturating_add(self.common.settings.mute_span);
            self.mute = Some(Box::new(Mute { samples_left, until, peak: span.score.value, side: span.side }));
        }
        self.is_open = false;
        self.n_below = 0;
        self.recent = 0;
        anomaly.map(Transition::Closed)
    }

    /// Counts the silence down; true while it lasts and this score does not break it.
    fn pass_mute(&mut self, at: Millis, weight: f64, side: Option<Side>) -> bool {
        let Some(mute) = &mut self.mute else {
            return false;
        };
        if mute.samples_left == 0 || at > mute.until {
            self.mute = None;
            return false;
        }
        mute.samples_left -= 1;
        let is_worse = weight >= mute.peak * self.common.settings.unmute_at;
        let is_other_side = side.is_some() && mute.side.is_some() && side != mute.side;
        !(is_worse || is_other_side)
    }

    fn anomaly(&self, is_open: bool) -> Option<Anomaly> {
        let span = self.span.as_ref()?;
        Some(span.anomaly(is_open, &self.common.detector, &self.common.metric))
    }
}

fn lean_of(side: Option<Side>) -> f64 {
    match side {
        Some(Side::Up) => 1.0,
        Some(Side::Down) => -1.0,
        Some(Side::Both) | None => 0.0,
    }
}

#[cfg(test)]
mod tests;
