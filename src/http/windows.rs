//! `GET /api/v1/windows`: least, greatest, sum, count and last value per window, over years when need be.

use serde::Serialize;
use utoipa::ToSchema;

use super::answer::{Answer, SeriesName, Time, success};
use super::error::Error;
use super::params::Params;
use super::routes::{Param, optional, required};
use super::state::App;
use crate::series::{DAY, HOUR, Millis, format_duration};

/// Windows in one answer: beyond it the step should be wider or the range shorter.
const MAX_WINDOWS: i64 = 100_000;

pub(super) const PARAMS: &[Param] = &[
    required("match", "selector; the series to summarise"),
    optional("start", "the first instant", "7 days before end"),
    optional("end", "the last instant", "now"),
    optional("step", "how wide the windows should be; kept windows of 5m and 1h answer from that width on", "1h"),
];

/// Windows of series.
#[derive(Serialize, ToSchema)]
pub(super) struct SeriesInWindows {
    /// How wide the windows are; wider than asked for where finer ones are not kept any more.
    #[schema(example = "1h")]
    width: String,
    /// What was read: `5m` or `1h`, or `raw` when every window was made from samples.
    #[schema(example = "1h")]
    tier: String,
    /// Whether some windows were made from samples, being too young for the tier.
    partly_raw: bool,
    /// The series, sorted.
    series: Vec<OneInWindows>,
}

/// One series.
#[derive(Serialize, ToSchema)]
pub(super) struct OneInWindows {
    #[serde(flatten)]
    name: SeriesName,
    /// By start; those without a sample are left out.
    windows: Vec<OneWindow>,
}

/// One window.
#[derive(Serialize, ToSchema)]
pub(super) struct OneWindow {
    start: Time,
    min: f64,
    max: f64,
    sum: f64,
    count: u64,
    /// The value that is last in time.
    last: f64,
}

pub(super) fn answer(app: &App, params: &Params) -> Answer {
    let selector = params.required_selector("match")?;
    let range = params.range(app.now(), 7 * DAY)?;
    let step: Millis = params.span("step")?.unwrap_or(HOUR);
    if range.end().saturating_sub(range.start()) / step > MAX_WINDOWS {
        return Err(Error::bad_data(format!(
            "more than {MAX_WINDOWS} windows per series; ask for wider ones with `step`"
        )));
    }
    let found = app.budget().select_downsampled(&app.store, &selector, range, step)?;
    if found.series.is_empty() {
        return Err(app.nothing_matches(&selector));
    }
    let series = found.series.iter().map(|series| OneInWindows {
        name: SeriesName::of(&series.key),
        windows: series.windows.iter().map(one_window).collect(),
    });
    Ok(success(&SeriesInWindows {
        width: format_duration(found.width),
        tier: found.tier.map_or_else(|| "raw".to_owned(), |tier| tier.to_string()),
        partly_raw: found.is_partly_raw,
        series: series.collect(),
    }))
}

fn one_window(window: &crate::storage::Window) -> OneWindow {
    let crate::storage::Window { start, min, max, sum, count, last } = *window;
    OneWindow { start: Time(start), min, max, sum, count, last }
}
