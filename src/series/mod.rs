//! The nouns every other room speaks in: what are a series, a sample, a batch, a time range, a history?
//!
//! In: names and numbers that arrived from outside, once.
//! Out: checked values. A [`Labels`] is sorted and within its limits, a [`TimeRange`] is not backwards,
//! a [`History`] is an even grid; the rooms above trust that and do not check again.
//!
//! This room knows no other room, and no clock, file, thread or socket.

mod aggregate;
mod batch;
mod calendar;
mod duration;
mod grid;
mod history;
mod key;
mod labels;
mod matcher;
mod metric;
mod sample;
mod stats;
mod time;
mod zone;

pub use aggregate::{Aggregate, Aggregator, UnknownAggregate};
pub use batch::{Batch, Columns};
pub use calendar::Calendar;
pub use duration::{DurationError, duration_text, format_duration, parse_duration};
pub use grid::Grid;
pub use history::{History, HistoryError, Rates, detect_step, filled, longer_step, rates, resolve};
pub use key::{Key, SeriesId, order_of};
pub use labels::{LabelError, LabelLimits, Labels, METRIC_NAME};
pub use matcher::{MatchOp, Matcher, MatcherError, Selector};
pub use metric::{MetricKind, MetricSettings, Side};
pub use sample::{STALE_MARKER_BITS, Sample, Series, is_stale_marker};
pub(crate) use stats::median_of;
pub use stats::{Summary, mad, median, quantile_sorted, summarize};
pub use time::{DAY, HOUR, MINUTE, Millis, SECOND, Season, Step, TimeRange, TimeRangeError, WEEK};
pub use zone::{SkippedTime, UnknownZone, Zone};
