//! From stored samples to what a model sees: the latest cells, at the series' own spacing or a coarser one.

use crate::series::{
    DAY, Grid, HOUR, History, HistoryError, Key, MetricKind, Millis, Sample, Selector, Step, TimeRange, Zone,
    detect_step, rates, resolve,
};
use crate::storage::{SelectError, Store};

/// Samples read for one history at most.
const MAX_SAMPLES: i64 = 400_000;
/// Timestamps up to this far in the future are believed; clocks differ.
const AHEAD: Millis = HOUR;
/// Where the spacing is looked for, newest first.
const PROBES: [Millis; 4] = [2 * HOUR, 2 * DAY, 30 * DAY, 400 * DAY];
/// Samples that tell the spacing.
const ENOUGH: usize = 50;
/// The samples of just this series.
pub(super) fn samples_of(store: &Store, key: &Key, range: TimeRange) -> Result<Vec<Sample>, SelectError> {
    let found = store.select(&Selector::exactly(key), range)?;
    Ok(found.into_iter().find(|series| series.key == *key).map(|series| series.samples).unwrap_or_default())
}

/// The series' spacing by its latest samples before `now`; `None` below two samples.
pub(super) fn native_step(store: &Store, key: &Key, now: Millis) -> Result<Option<Step>, SelectError> {
    let [soon @ .., _, _] = PROBES;
    let mut step = None;
    for span in soon {
        let samples = samples_of(store, key, until(now, span))?;
        step = detect_step(&resolve(&samples));
        if samples.len() >= ENOUGH {
            return Ok(step);
        }
    }
    // Back from the newest sample: a series that was recorded long ago is not to be read whole for this.
    let Some(newest) = newest_of(store, key, now)? else { return Ok(step) };
    for span in PROBES {
        let start = newest.saturating_sub(span);
        if soon.iter().any(|span| start >= until(now, *span).start()) {
            // Too few, as was seen.
            continue;
        }
        let Ok(range) = TimeRange::new(start, until(now, 0).end()) else { continue };
        let samples = samples_of(store, key, range)?;
        step = detect_step(&resolve(&samples));
        if samples.len() >= ENOUGH {
            break;
        }
    }
    Ok(step)
}

/// When the series' newest sample before `now` is, or a little later; looked for ever further back, as far as a spacing
/// is.
pub(super) fn newest_of(store: &Store, key: &Key, now: Millis) -> Result<Option<Millis>, SelectError> {
    for span in PROBES {
        let known = store.newest(&Selector::exactly(key), until(now, span))?;
        if let Some((_, at)) = known.into_iter().find(|(known, _)| known == key) {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

/// Whether the store has a sample of the series, of whatever time.
pub(super) fn is_known(store: &Store, key: &Key, now: Millis) -> Result<bool, SelectError> {
    Ok(store.keys(&Selector::exactly(key), until(now, Millis::MAX / 4))?.contains(key))
}

/// The last `span` before now, and a little ahead of it.
pub(super) fn until(now: Millis, span: Millis) -> TimeRange {
    let end = now.saturating_add(AHEAD);
    TimeRange::new(now.saturating_sub(span.max(0)), end).unwrap_or(TimeRange::ALL)
}

/// The spacing of a forecast's points: as asked, or the series' own unless the horizon is long for it.
pub(super) fn step_for(native: Step, horizon: Millis, asked: Option<Step>) -> Step {
    match asked {
        Some(asked) if asked > native => asked,
        Some(_) => native,
        None => native.readable_for(horizon),
    }
}

/// How far back `cells` of `step` reach, within what is read for one history.
pub(super) fn span_for(native: Step, step: Step, cells: usize) -> Millis {
    let cells = i64::try_from(cells).unwrap_or(i64::MAX);
    step.millis().saturating_mul(cells).min(native.millis().saturating_mul(MAX_SAMPLES))
}

/// Samples, as gauges or rates, of a metric in `zone` in cells of `step`; on a step coarser than `native` the means of
/// whole cells.
///
/// # Errors
/// When no sample is finite, when no cell is whole yet, when the grid would be absurd.
pub(super) fn history_of(
    samples: &[Sample],
    kind: MetricKind,
    native: Step,
    step: Step,
    zone: Zone,
) -> Result<History, HistoryError> {
    let known = samples.iter().filter(|sample| sample.value.is_finite());
    let newest = known.map(|sample| sample.at).max().unwrap_or(0);
    history_on(samples, kind, native, Grid::new(step, zone, newest))
}

/// The same on the cells of `grid`.
///
/// # Errors
/// As [`history_of`].
pub(super) fn history_on(
    samples: &[Sample],
    kind: MetricKind,
    native: Step,
    grid: Grid,
) -> Result<History, HistoryError> {
    let step = grid.step();
    if step.millis() <= native.millis() {
        return History::from_samples(samples, kind, Some(step));
    }
    let points = points_of(samples, kind);
    let first = points.iter().find(|point| point.value.is_finite()).ok_or(HistoryError::Empty)?;
    let start = grid.start_of(first.at);
    let values = means(&points, start, step, native);
    if values.is_empty() { Err(HistoryError::TooYoung { step }) } else { Ok(History::new(start, step, values)) }
}

/// Sorted samples, a counter's as rates.
pub(super) fn points_of(samples: &[Sample], kind: MetricKind) -> Vec<Sample> {
    let resolved = resolve(samples);
    match kind {
        MetricKind::Gauge => resolved,
        MetricKind::Counter => rates(&resolved),
    }
}

/// The means of the whole cells from `start` on; a cell is whole when no sample of it can come any more.
pub(super) fn means(points: &[Sample], start: Millis, step: Step, native: Step) -> Vec<f64> {
    let Some(last) = points.iter().rev().find(|point| point.value.is_finite()) else { return Vec::new() };
    let n = (last.at + native.millis() - start).div_euclid(step.millis()).max(0);
    // A stray timestamp must not make a grid without end.
    let n = usize::try_from(n).unwrap_or(0).min(10_000_000);
    let mut sums = vec![(0.0, 0u32); n];
    for point in points.iter().filter(|point| point.value.is_finite() && point.at >= start) {
        if let Some((sum, count)) = sums.get_mut(((point.at - start) / step.millis()) as usize) {
            *sum += point.value;
            *count += 1;
        }
    }
    sums.into_iter().map(|(sum, count)| if count == 0 { f64::NAN } else { sum / f64::from(count) }).collect()
}

/// When the newest of `samples` that is a number was.
pub(super) fn newest_finite(samples: &[Sample]) -> Option<Millis> {
    samples.iter().filter(|sample| sample.value.is_finite()).map(|sample| sample.at).max()
}

/// The cells from `start` on at the series' own spacing, each the latest sample nearest to it.
pub(super) fn nearest(points: &[Sample], start: Millis, step: Step) -> Vec<f64> {
    let mut values = Vec::new();
    for point in points.iter().filter(|point| point.value.is_finite()) {
        let cell = (point.at - start + step.millis() / 2).div_euclid(step.millis());
        let Ok(cell) = usize::try_from(cell) else { continue };
        if cell >= 10_000_000 {
            break;
        }
        if values.len() <= cell {
            values.resize(cell + 1, f64::NAN);
        }
        values[cell] = point.value;
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::{Batch, MINUTE, WEEK};
    use crate::storage::StoreSettings;

    #[test]
    fn the_spacing_is_that_of_the_newest_samples_however_old_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), StoreSettings::default()).unwrap();
        let key = |name: &str| Key::from_pairs(name, &[]).unwrap();
        let now = 1_700_000_000_000;
        // Minutes a week ago and fives of late, up to now, up to a year ago, and longer ago than is looked at.
        let long_ago = [("live", 0), ("old", 365 * DAY), ("ancient", 500 * DAY)];
        for (name, ago) in long_ago {
            let end = now - ago;
            let minutes = (0..1_440).map(|n| end - 9 * DAY + n * MINUTE);
            let fives = (0..288).map(|n| end - DAY + n * 5 * MINUTE);
            let samples = minutes.chain(fives).map(|at| (key(name), Sample { at, value: 1.0 }));
            store.append(&Batch::from_samples(samples)).unwrap();
        }
        let step = |name: &str| native_step(&store, &key(name), now).unwrap();
        assert_eq!([step("live"), step("old")], [Some(Step::seconds(300)); 2]);
        assert_eq!([step("ancient"), step("never")], [None; 2]);
        store.flush().unwrap();
        assert_eq!(
            [step("live"), step("old"), step("ancient")],
            [Some(Step::seconds(300)), Some(Step::seconds(300)), None]
        );
    }

    #[test]
    fn a_long_horizon_gets_a_readable_step() {
        let native = Step::seconds(15);
        assert_eq!(step_for(native, HOUR, None), native);
        assert_eq!(step_for(native, 7 * DAY, None), Step::seconds(600));
        assert_eq!(step_for(native, 400 * DAY, None), Step::seconds(6 * 3600));
        assert_eq!(step_for(native, HOUR, Some(Step::seconds(60))), Step::seconds(60));
        assert_eq!(step_for(native, HOUR, Some(Step::seconds(1))), native);
        assert_eq!(step_for(Step::seconds(7), 7 * DAY, None), Step::seconds(308));
    }

    #[test]
    fn coarse_cells_are_means_and_the_last_is_whole() {
        let samples: Vec<Sample> = (0..10).map(|i| Sample { at: i * 10_000, value: i as f64 }).collect();
        let history = history_of(&samples, MetricKind::Gauge, Step::seconds(10), Step::seconds(30), Zone::UTC).unwrap();
        assert_eq!((history.start(), history.values()), (0, &[1.0, 4.0, 7.0][..]));
        // Three samples are half a minute, and no minute is whole.
        let young = history_of(&samples[..3], MetricKind::Gauge, Step::seconds(10), Step::seconds(60), Zone::UTC);
        assert_eq!(young.unwrap_err(), HistoryError::TooYoung { step: Step::seconds(60) });
        let sparse = [Sample { at: 0, value: 1.0 }, Sample { at: DAY * 1_000_000, value: 1.0 }];
        let absurd = history_of(&sparse, MetricKind::Gauge, Step::seconds(10), Step::seconds(10), Zone::UTC);
        assert!(matches!(absurd, Err(HistoryError::TooSparse { .. })), "the reason is not lost");
        let later = means(&samples, 30_000, Step::seconds(30), Step::seconds(10));
        assert_eq!(later, [4.0, 7.0]);
        assert_eq!(nearest(&samples, 84_000, Step::seconds(10)), [8.0, 9.0]);
        assert_eq!(nearest(&samples, 90_000, Step::seconds(10)), [9.0]);
    }

    /// 2026-03-29T01:00:00Z, when clocks in Berlin go from two to three.
    const MARCH: Millis = 1_774_746_000_000;

    /// Minutes from `from` to `to`, each the day of March that clocks in `zone` show.
    fn minutes(zone: Zone, from: Millis, to: Millis) -> Vec<Sample> {
        let value = |at| f64::from(chrono::Datelike::ordinal(&zone.date_at(at).unwrap())) - 59.0;
        (0..(to - from) / MINUTE).map(|nr| from + nr * MINUTE).map(|at| Sample { at, value: value(at) }).collect()
    }

    #[test]
    fn days_begin_at_midnight_there_as_the_newest_sample_has_it() {
        let berlin: Zone = "Europe/Berlin".parse().unwrap();
        let (minute, day) = (Step::seconds(60), Step::new(DAY).unwrap());
        let of = |samples: &[Sample], zone| history_of(samples, MetricKind::Gauge, minute, day, zone).unwrap();
        // Midnight of the 26th there, three days before the change, to half past midnight of the 31st, summer time.
        let start = MARCH - 2 * HOUR - 3 * DAY;
        let samples = minutes(berlin, start, MARCH + 45 * HOUR + 30 * MINUTE);
        let history = of(&samples, berlin);
        assert_eq!((history.start(), history.end()), (start - HOUR, MARCH + 45 * HOUR));
        // The 29th and 30th are whole; each day before lends its last hour to the next, and the first has 23 hours.
        let expected = [26.0, 27.0 - 1.0 / 24.0, 28.0 - 1.0 / 24.0, 29.0 - 1.0 / 24.0, 30.0];
        assert!(history.values().iter().zip(expected).all(|(it, wanted)| (it - wanted).abs() < 1e-9), "{history:?}");
        // Up to the change it is winter, and every day is whole.
        let winter = of(&samples[..4_321], berlin);
        assert_eq!((winter.start(), winter.values()), (start, &[26.0, 27.0, 28.0][..]));
        // By UTC a day there is cut in two.
        let utc = of(&samples, Zone::UTC);
        assert_eq!((utc.start(), utc.start() % DAY), (start - 23 * HOUR, 0));
        assert!((utc.values()[1] - (26.0 * 23.0 + 27.0) / 24.0).abs() < 1e-9, "{utc:?}");
    }

    #[test]
    fn weeks_begin_on_monday_and_hours_on_the_hour() {
        let kolkata: Zone = "Asia/Kolkata".parse().unwrap();
        let samples = minutes(kolkata, MARCH - 3 * WEEK, MARCH);
        let of = |step, zone| {
            history_of(&samples, MetricKind::Gauge, Step::seconds(60), Step::new(step).unwrap(), zone).unwrap()
        };
        // The 2nd, 9th and 16th of March 2026 are Mondays; the week of the 23rd has not ended.
        for (zone, offset) in [(Zone::UTC, 0), (kolkata, 5 * HOUR + 30 * MINUTE)] {
            let weeks = of(WEEK, zone);
            assert_eq!((weeks.start(), weeks.len()), (MARCH - HOUR - 27 * DAY - offset, 3), "{zone}");
            let date = zone.date_at(weeks.start()).unwrap();
            assert_eq!(chrono::Datelike::weekday(&date), chrono::Weekday::Mon);
        }
        // An hour that is half an hour off there stays where it is.
        assert_eq!(of(HOUR, kolkata).start(), MARCH - 3 * WEEK);
        assert_eq!(of(6 * HOUR, kolkata).start(), of(6 * HOUR, Zone::UTC).start());
    }
}
