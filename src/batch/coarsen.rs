//! Makes long histories short enough for the work that is done on them, by rules that do not look at the values.

use crate::series::{
    DAY, Grid, HOUR, History, HistoryError, MINUTE, MetricKind, MetricSettings, Millis, SECOND, Sample, Step, Zone,
    detect_step, longer_step, resolve,
};

use super::rows::Source;
use super::times::rfc3339;

/// Steps that fit evenly into a day, so that days and hours stay whole seasons.
const EVEN_STEPS: [Millis; 24] = [
    SECOND,
    2 * SECOND,
    5 * SECOND,
    10 * SECOND,
    15 * SECOND,
    20 * SECOND,
    30 * SECOND,
    MINUTE,
    2 * MINUTE,
    3 * MINUTE,
    4 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    15 * MINUTE,
    20 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    3 * HOUR,
    4 * HOUR,
    6 * HOUR,
    8 * HOUR,
    12 * HOUR,
    DAY,
];

/// More cells than this on a grid mean a stray timestamp or a burst; the grid then gets coarser instead.
const MOST_ON_A_GRID: Millis = 2_000_000;

/// The history of a source's samples, which are of `metric`; by the longer step at which they have come of late, where
/// they have, and where the step would make an absurd grid, on a coarser one.
///
/// # Errors
/// When nothing is finite, or a single timestamp cannot tell the step.
pub fn history_of(source: &Source, samples: &[Sample], metric: &MetricSettings) -> Result<History, HistoryError> {
    history_and_notes(source, samples, metric).map(|(history, _)| history)
}

/// The same, and what is to be said of its values and its step.
pub(super) fn history_and_notes(
    source: &Source,
    samples: &[Sample],
    metric: &MetricSettings,
) -> Result<(History, Vec<String>), HistoryError> {
    let (kind, zone) = (source.kind_by(metric), metric.zone());
    let resolved = resolve(samples);
    let longer = source.axis.step().is_none().then(|| longer_step(&resolved)).flatten();
    let mut notes: Vec<String> = told_of(kind).map(str::to_owned).into_iter().collect();
    notes.extend(longer.zip(detect_step(&resolved)).map(|(now, usual)| {
        format!("most samples came every {usual}, but those of late come every {now}: forecast by the latter")
    }));
    match History::from_samples_in(zone, &resolved, kind, longer.or(source.axis.step())) {
        Err(HistoryError::TooSparse { first, last, .. }) => {
            let step = last.saturating_sub(first) / MOST_ON_A_GRID + 1;
            History::from_samples(&resolved, kind, Step::new(step)).map(|history| (history, notes))
        }
        outcome => outcome.map(|history| (history, notes)),
    }
}

/// What the reader of values of a metric of `kind` has to know.
pub(super) fn told_of(kind: MetricKind) -> Option<&'static str> {
    (kind == MetricKind::Counter).then_some("it is a counter: values are what it rises by per second")
}

/// `history` with at most `most` cells, each the mean of the same number of old ones; a step that divides the day
/// becomes another that does. The newest cells are kept whole, the oldest may be left out; but days are those of
/// `zone`, weeks begin on Monday there, and begun ones are left out at either end.
pub fn coarsen(history: &History, most: usize, zone: Zone) -> History {
    if history.len() <= most {
        return history.clone();
    }
    let step = history.step().millis();
    let least = history.len().div_ceil(most.max(1)) as Millis;
    let per_cell =
        EVEN_STEPS.iter().find(|&&even| even % step == 0 && even / step >= least).map_or(least, |even| even / step);
    Step::new(step.saturating_mul(per_cell)).map_or_else(|| history.clone(), |coarse| at_step(history, coarse, zone))
}

/// `history` by a multiple of its step, as [`coarsen`] does it.
pub(super) fn at_step(history: &History, coarse: Step, zone: Zone) -> History {
    let step = history.step().millis();
    let per_cell = (coarse.millis() / step).max(1) as usize;
    let (skipped, start) = if coarse.is_of_days() {
        let newest = history.end().saturating_sub(step);
        let start = Grid::new(coarse, zone, newest).next_start(history.start());
        // Cells need not stand on whole seconds: the first at or after midnight.
        let skipped = (start.saturating_sub(history.start()).max(0) as u64).div_ceil(step.unsigned_abs());
        (usize::try_from(skipped).unwrap_or(usize::MAX).min(history.len()), start)
    } else {
        let skipped = history.len() % per_cell;
        (skipped, history.at(skipped))
    };
    let values = history.values()[skipped..].chunks_exact(per_cell).map(mean).collect();
    History::new(start, coarse, values).on(history.calendar())
}

/// Where the day or week begins that is no cell of `coarse`, made of `history`, since it has only begun.
pub(super) fn begun_at(coarse: &History, history: &History) -> Option<Millis> {
    let newest = history.at(history.len().saturating_sub(1));
    Some(coarse.end()).filter(|end| *end <= newest)
}

/// What is to be said of a day or week that has begun, `at` an instant where it is that of a single series.
pub fn begun_note(step: Step, at: Option<Millis>) -> String {
    let at = at.map(|at| format!(" at {}", rfc3339(at))).unwrap_or_default();
    format!(
        "the last {step} began{at} and is not over: it is left out of the history, and the first point, which stands \
         before the last sample, is of it"
    )
}

fn mean(cells: &[f64]) -> f64 {
    let (sum, n) = cells.iter().filter(|cell| !cell.is_nan()).fold((0.0, 0usize), |(sum, n), cell| (sum + cell, n + 1));
    if n == 0 { f64::NAN } else { sum / n as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_stay_even_and_the_newest_cells_stay() {
        let minutes = History::new(0, Step::seconds(60), (0..10_000).map(f64::from).collect());
        let coarse = coarsen(&minutes, 4_000, Zone::UTC);
        assert_eq!(coarse.step(), Step::seconds(180));
        assert_eq!((coarse.end(), coarse.len()), (minutes.end(), 3_333));
        assert_eq!(coarse.values().last(), Some(&9_998.0));
        assert_eq!(coarsen(&minutes, 10_000, Zone::UTC).len(), 10_000);
        let odd = History::new(0, Step::seconds(7), vec![1.0; 100]);
        assert_eq!(coarsen(&odd, 40, Zone::UTC).step(), Step::seconds(21));
    }

    #[test]
    fn a_gap_stays_a_gap() {
        let history = History::new(0, Step::seconds(1), vec![f64::NAN, f64::NAN, 3.0, f64::NAN]);
        let coarse = coarsen(&history, 2, Zone::UTC);
        assert!(coarse.values()[0].is_nan() && coarse.values()[1] == 3.0);
    }

    #[test]
    fn days_are_those_of_the_zone_and_begun_ones_are_left_out() {
        // Hours from 2026-03-19T10:00:20Z on, ten days before the change of clocks, each the day of its month there.
        let (start, berlin): (Millis, Zone) = (1_773_914_420_000, "Europe/Berlin".parse().unwrap());
        let value = |nr| f64::from(chrono::Datelike::day(&berlin.date_at(start + nr * HOUR).unwrap()));
        let hours = |n| History::new(start, Step::new(HOUR).unwrap(), (0..n).map(value).collect());
        let days = |n, zone| at_step(&hours(n), Step::new(DAY).unwrap(), zone);
        let winter = days(100, berlin);
        // From 2026-03-19T23:00:00Z on, which is midnight there.
        assert_eq!((winter.start(), winter.values()), (1_773_961_200_000, &[20.0, 21.0, 22.0][..]));
        assert_eq!(winter.end(), winter.start() + 3 * DAY);
        let summer = days(300, berlin);
        assert_eq!(summer.start(), winter.start() - HOUR);
        assert_eq!((summer.len(), summer.values().last()), (12, Some(&31.0)));
        let utc = days(100, Zone::UTC);
        assert_eq!((utc.start() % DAY, utc.len()), (0, 3));
        // What is no whole day keeps its newest cells.
        let halves = at_step(&hours(100), Step::new(12 * HOUR).unwrap(), berlin);
        assert_eq!((halves.end(), halves.len()), (hours(100).end(), 8));
        assert!(days(20, berlin).is_empty());
    }
}
