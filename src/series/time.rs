//! Points, steps and ranges of time: milliseconds since the epoch, UTC, everywhere inside.

use std::fmt;
use std::num::NonZeroUsize;

use super::duration::format_duration;

/// Milliseconds since 1970-01-01T00:00:00Z, or a span of that many milliseconds.
///
/// Signed, so that instants before the epoch and differences are ordinary values.
pub type Millis = i64;

/// One second in [`Millis`].
pub const SECOND: Millis = 1_000;
/// One minute in [`Millis`].
pub const MINUTE: Millis = 60 * SECOND;
/// One hour in [`Millis`].
pub const HOUR: Millis = 60 * MINUTE;
/// One day in [`Millis`], whatever a [`Zone`](super::Zone) does to its clocks.
pub const DAY: Millis = 24 * HOUR;
/// One week in [`Millis`].
pub const WEEK: Millis = 7 * DAY;

/// The spacing of a [`History`](super::History) in milliseconds, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Step(Millis);

impl Step {
    /// A step of `millis`, or `None` when it is not positive.
    pub const fn new(millis: Millis) -> Option<Step> {
        if millis > 0 { Some(Step(millis)) } else { None }
    }

    /// A step of whole seconds; zero counts as one second.
    pub const fn seconds(seconds: u32) -> Step {
        let seconds = if seconds == 0 { 1 } else { seconds };
        Step(seconds as Millis * SECOND)
    }

    /// The spacing in milliseconds, at least one.
    pub const fn millis(self) -> Millis {
        self.0
    }

    /// Whether it is a whole number of days.
    pub const fn is_of_days(self) -> bool {
        self.0 % DAY == 0
    }

    /// How many steps fill `span`, rounded to the nearest whole number and never below one.
    pub fn count_in(self, span: Millis) -> usize {
        let span = span.max(0);
        // The rest is compared with what it lacks to a whole step, as adding half a step first could overflow.
        let (whole, rest) = (span / self.0, span % self.0);
        let rounded = whole + Millis::from(rest >= self.0 - rest);
        usize::try_from(rounded).unwrap_or(usize::MAX).max(1)
    }
}

/// Points beyond which a chart or a table cannot be read.
const READABLE_POINTS: Millis = 2_000;

/// Steps that people read easily.
const READABLE: [Millis; 15] = [
    SECOND,
    2 * SECOND,
    5 * SECOND,
    10 * SECOND,
    15 * SECOND,
    30 * SECOND,
    MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    15 * MINUTE,
    30 * MINUTE,
    HOUR,
    3 * HOUR,
    6 * HOUR,
    DAY,
];

impl Step {
    /// The spacing of points that fill `span`: this one, or a readable multiple of it where they would be more than 2,000.
    #[must_use]
    pub fn readable_for(self, span: Millis) -> Step {
        if span / self.0 <= READABLE_POINTS {
            return self;
        }
        let least = span / READABLE_POINTS;
        if least <= self.0 {
            return self;
        }
        let readable = READABLE.into_iter().find(|readable| *readable >= least && readable % self.0 == 0);
        let whole = least.saturating_add(self.0 - 1) / self.0 * self.0;
        Step::new(readable.unwrap_or(whole)).unwrap_or(self)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_duration(self.0))
    }
}

/// A cycle's length in steps, at least two: a cycle of one step is no cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Season(NonZeroUsize);

impl Season {
    /// A cycle of `steps`; `None` below two.
    pub const fn new(steps: usize) -> Option<Season> {
        match NonZeroUsize::new(steps) {
            Some(n) if n.get() >= 2 => Some(Season(n)),
            _ => None,
        }
    }

    /// The cycle's length, at least two.
    pub const fn steps(self) -> usize {
        self.0.get()
    }
}

/// A time range whose end comes before its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the time range ends ({end}) before it starts ({start}); swap start and end")]
pub struct TimeRangeError {
    /// The start that was asked for.
    pub start: Millis,
    /// The end that was asked for.
    pub end: Millis,
}

/// From `start` up to, and without, `end`.
///
/// Half open so that neighbouring ranges neither overlap nor leave a hole. Prometheus' closed ranges become
/// `end + 1` where they come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimeRange {
    start: Millis,
    end: Millis,
}

impl TimeRange {
    /// Every instant there is.
    pub const ALL: TimeRange = TimeRange { start: Millis::MIN, end: Millis::MAX };

    /// The range `start..end`; empty when both are equal, an error when `end < start`.
    pub fn new(start: Millis, end: Millis) -> Result<TimeRange, TimeRangeError> {
        if end < start { Err(TimeRangeError { start, end }) } else { Ok(TimeRange { start, end }) }
    }

    /// The last `span` milliseconds up to and including `now`.
    pub fn last(span: Millis, now: Millis) -> TimeRange {
        TimeRange { start: now.saturating_sub(span.max(0)), end: now.saturating_add(1) }
    }

    /// The first instant inside.
    pub const fn start(&self) -> Millis {
        self.start
    }

    /// The first instant after the range.
    pub const fn end(&self) -> Millis {
        self.end
    }

    /// Whether `at` lies inside.
    pub const fn contains(&self, at: Millis) -> bool {
        self.start <= at && at < self.end
    }

    /// Whether any instant of the closed span `first..=last` lies inside.
    pub const fn overlaps(&self, first: Millis, last: Millis) -> bool {
        first < self.end && self.start <= last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_half_open() {
        let range = TimeRange::new(10, 20).unwrap();
        assert!(range.contains(10) && range.contains(19) && !range.contains(20) && !range.contains(9));
        assert!(range.overlaps(0, 10) && range.overlaps(19, 30));
        assert!(!range.overlaps(20, 30) && !range.overlaps(0, 9));
    }

    #[test]
    fn a_backwards_range_is_refused() {
        assert_eq!(TimeRange::new(2, 1), Err(TimeRangeError { start: 2, end: 1 }));
        assert!(TimeRange::new(1, 1).is_ok());
    }

    #[test]
    fn steps_are_positive_and_count_spans() {
        assert_eq!(Step::new(0), None);
        assert_eq!(Step::new(-5), None);
        assert_eq!(Step::seconds(60).count_in(HOUR), 60);
        assert_eq!(Step::seconds(60).count_in(1), 1);
        assert_eq!(Step::seconds(60).count_in(89_999), 1);
        assert_eq!(Step::seconds(60).count_in(90_000), 2);
        assert_eq!(Step::new(3).map(|step| (step.count_in(4), step.count_in(5))), Some((1, 2)));
        assert_eq!(Step::new(1).map(|step| step.count_in(Millis::MAX)), Some(Millis::MAX as usize));
        assert_eq!(Step::new(Millis::MAX).map(|step| step.count_in(Millis::MAX)), Some(1));
    }
}
