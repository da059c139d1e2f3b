//! The samples of a selector at one instant or on even steps, by Prometheus' rules.
//!
//! In: the store, a selector, instants. Out: per series the latest sample at or before each instant, unless it is
//! as old as the lookback or a stale marker ended the series. Source: prometheus.io, "Querying basics", on
//! staleness; the lookback excludes its left end, as since Prometheus 3.0. Steps whose samples retention has deleted
//! are answered from the windows that are kept, and so are all where there are more samples than one question may
//! read; the answer says so.

use super::budget::Budget;
use super::error::QueryError;
use crate::series::{HOUR, Key, MINUTE, Millis, Sample, Selector, Series, TimeRange, is_stale_marker};
use crate::storage::{Store, Tier, Window, Windows};

/// How long a sample stands for the instants after it: five minutes, as in Prometheus.
pub const LOOKBACK: Millis = 5 * MINUTE;
/// Points per series in one answer, as in Prometheus.
pub const MAX_STEPS: i64 = 11_000;

/// Each series' value at `at`, sorted by key; the sample keeps its own timestamp.
///
/// # Errors
/// When there are more samples in the lookback than `budget` allows, or the store cannot read.
pub fn instant(
    store: &Store,
    selector: &Selector,
    at: Millis,
    lookback: Millis,
    budget: Budget,
) -> Result<Vec<(Key, Sample)>, QueryError> {
    let range = TimeRange::new(after(at, lookback), at.saturating_add(1))?;
    let found = budget.select(store, selector, range)?;
    let value = |series: Series| value_at(&series.samples, at, lookback).map(|sample| (series.key, sample));
    Ok(found.into_iter().filter_map(value).collect())
}

/// Values on even steps.
#[derive(Clone, Debug)]
pub struct Steps {
    /// Sorted by key; none without a value.
    pub series: Vec<Series>,
    /// The tier whose windows stand for samples, and why, if any do.
    pub tier: Option<(Tier, Stand)>,
}

/// Why windows stand for samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// Retention has deleted the samples of a part of the range.
    Retired,
    /// The samples are more than one question may read; every value is of a window.
    TooMany,
}

/// Each series' values at `start`, `start + step`, up to and including `end`, stamped with those instants.
///
/// Where retention has deleted the samples, or `budget` does not allow as many and a tier is fine enough for the step, a
/// window's last value stands from the window's end for as long as the lookback, or the window's width where that is
/// longer.
///
/// # Errors
/// When the step is not positive, the range is backwards, too long, has too many steps or more samples, or windows,
/// than `budget` allows, or the store cannot read.
pub fn range(
    store: &Store,
    selector: &Selector,
    start: Millis,
    end: Millis,
    step: Millis,
    lookback: Millis,
    budget: Budget,
) -> Result<Steps, QueryError> {
    if step <= 0 {
        return Err(QueryError::Step(step));
    }
    TimeRange::new(start, end)?;
    let n_steps = end.checked_sub(start).ok_or(QueryError::TooLong)? / step;
    if n_steps >= MAX_STEPS {
        return Err(QueryError::TooManySteps { n_steps: n_steps.saturating_add(1), limit: MAX_STEPS });
    }
    let steps = Grid { start, end, step, lookback };
    let range = TimeRange::new(after(start, lookback), end.saturating_add(1))?;
    let found = match budget.select(store, selector, range) {
        Err(too_many @ QueryError::TooManySamples { .. }) if step >= Tier::FiveMinutes.width() => {
            return coarse(store, selector, &steps, budget)?.ok_or(too_many);
        }
        found => found?,
    };
    let on_steps = |series: Series| {
        let samples = steps.of(&series.samples);
        (!samples.is_empty()).then_some(Series { key: series.key, samples })
    };
    let mut found: Vec<Series> = found.into_iter().filter_map(on_steps).collect();
    let retired = store.select_retired(selector, TimeRange::new(after(start, HOUR), end.saturating_add(1))?, step)?;
    let mut tier = None;
    for (key, kept) in steps.of_windows(retired.series, retired.width) {
        let place = found.binary_search_by(|series| series.key.cmp(&key));
        let known = place.as_ref().map_or(&[][..], |place| &found[*place].samples);
        let is_open = |sample: &Sample| known.binary_search_by_key(&sample.at, |known| known.at).is_err();
        let more: Vec<Sample> = kept.into_iter().filter(is_open).collect();
        if more.is_empty() {
            continue;
        }
        tier = retired.tier.map(|tier| (tier, Stand::Retired));
        match place {
            Ok(place) => {
                found[place].samples.extend(more);
                found[place].samples.sort_unstable_by_key(|sample| sample.at);
            }
            Err(place) => found.insert(place, Series { key, samples: more }),
        }
    }
    Ok(Steps { series: found, tier })
}

/// As [`range`], from windows alone; `None` when there is no tier of them.
fn coarse(store: &Store, selector: &Selector, steps: &Grid, budget: Budget) -> Result<Option<Steps>, QueryError> {
    // No wider than a tier's own, or a value would be as old as a step is long.
    let width = if steps.step >= HOUR { HOUR } else { Tier::FiveMinutes.width() };
    let range = TimeRange::new(after(steps.start, HOUR), steps.end.saturating_add(1))?;
    let found = budget.select_downsampled(store, selector, range, width)?;
    let Some(tier) = found.tier else { return Ok(None) };
    let series = steps.of_windows(found.series, found.width).filter(|(_, samples)| !samples.is_empty());
    let series = series.map(|(key, samples)| Series { key, samples }).collect();
    Ok(Some(Steps { series, tier: Some((tier, Stand::TooMany)) }))
}

/// The instants of an answer, and how long a sample stands for those after it.
struct Grid {
    start: Millis,
    end: Millis,
    step: Millis,
    lookback: Millis,
}

impl Grid {
    /// The values at the instants.
    fn of(&self, samples: &[Sample]) -> Vec<Sample> {
        self.with_lookback(samples, self.lookback)
    }

    /// As [`of`](Grid::of), each window's last value standing from the window's end on.
    fn of_windows(&self, series: Vec<Windows>, width: Millis) -> impl Iterator<Item = (Key, Vec<Sample>)> {
        series.into_iter().map(move |Windows { key, windows }| {
            let last = |window: &Window| Sample { at: window.start.saturating_add(width), value: window.last };
            let kept: Vec<Sample> = windows.iter().map(last).collect();
            (key, self.with_lookback(&kept, self.lookback.max(width)))
        })
    }

    fn with_lookback(&self, samples: &[Sample], lookback: Millis) -> Vec<Sample> {
        let n_steps = (self.end - self.start) / self.step;
        let instants = (0..=n_steps).map(|idx| self.start + idx * self.step);
        let value = |at: Millis| value_at(samples, at, lookback).map(|sample| Sample { at, value: sample.value });
        instants.filter_map(value).collect()
    }
}

/// The first instant inside the lookback before `at`.
fn after(at: Millis, lookback: Millis) -> Millis {
    at.saturating_sub(lookback.max(1)).saturating_add(1)
}

fn value_at(samples: &[Sample], at: Millis, lookback: Millis) -> Option<Sample> {
    let n_before = samples.partition_point(|sample| sample.at <= at);
    let latest = samples[..n_before].last()?;
    (latest.at >= after(at, lookback) && !is_stale_marker(latest.value)).then_some(*latest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::{DAY, STALE_MARKER_BITS};
    use crate::storage::StoreSettings;

    const PLENTY: Budget = Budget::samples(1_000_000);

    fn samples(pairs: &[(Millis, f64)]) -> Vec<Sample> {
        pairs.iter().map(|&(at, value)| Sample { at, value }).collect()
    }

    #[test]
    fn a_sample_stands_until_the_lookback_ends() {
        let samples = samples(&[(1000, 1.0)]);
        let at = |at| value_at(&samples, at, 500).map(|sample| sample.value);
        assert_eq!([at(999), at(1000), at(1499), at(1500)], [None, Some(1.0), Some(1.0), None]);
    }

    #[test]
    fn a_range_of_all_time_is_too_long() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), StoreSettings::default()).unwrap();
        let ask = |start, end, step| {
            range(&store, &Selector::metric("up"), start, end, step, LOOKBACK, Budget::samples(10))
                .map(|found| found.series.len())
        };
        assert!(matches!(ask(Millis::MIN, Millis::MAX, Millis::MAX), Err(QueryError::TooLong)));
        assert!(matches!(ask(-1, Millis::MAX, Millis::MAX), Err(QueryError::TooLong)));
        assert!(matches!(ask(0, Millis::MAX, Millis::MAX), Ok(0)));
        assert!(matches!(ask(Millis::MIN, -1, Millis::MAX), Ok(0)));
        assert!(matches!(ask(0, Millis::MAX, 1), Err(QueryError::TooManySteps { .. })));
    }

    #[test]
    fn a_stale_marker_ends_a_series_and_a_later_sample_resumes_it() {
        let samples = samples(&[(0, 1.0), (100, f64::from_bits(STALE_MARKER_BITS)), (300, 3.0), (400, f64::NAN)]);
        let steps = Grid { start: 0, end: 450, step: 50, lookback: 500 };
        let got: Vec<(Millis, u64)> =
            steps.of(&samples).iter().map(|sample| (sample.at, sample.value.to_bits())).collect();
        let bits = f64::to_bits;
        let expected = [
            (0, bits(1.0)),
            (50, bits(1.0)),
            (300, bits(3.0)),
            (350, bits(3.0)),
            (400, bits(f64::NAN)),
            (450, bits(f64::NAN)),
        ];
        assert_eq!(got, expected);
    }

    #[test]
    fn a_store_answers_at_an_instant_and_on_steps() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), StoreSettings::default()).unwrap();
        let [a, b] = ["a", "b"].map(|host| Key::from_pairs("up", &[("host", host)]).unwrap());
        let stale = f64::from_bits(STALE_MARKER_BITS);
        let start = 1_700_000_000_000;
        let written = [(&b, 0, 5.0), (&a, 0, 1.0), (&a, 60_000, 2.0), (&b, 60_000, stale), (&a, 120_000, 3.0)];
        let batch = written.map(|(key, at, value)| (key.clone(), Sample { at: start + at, value }));
        store.append(&crate::series::Batch::from_samples(batch)).unwrap();
        let up = Selector::metric("up");

        let told = |at: Millis| -> Vec<(String, Millis, f64)> {
            let found = instant(&store, &up, start + at, LOOKBACK, PLENTY).unwrap();
            found.into_iter().map(|(key, sample)| (key.to_string(), sample.at - start, sample.value)).collect()
        };
        let (name_a, name_b) = (a.to_string(), b.to_string());
        assert_eq!(told(59_999), [(name_a.clone(), 0, 1.0), (name_b, 0, 5.0)]);
        assert_eq!(told(60_000), [(name_a.clone(), 60_000, 2.0)], "b is stale");
        assert_eq!(told(120_000 + LOOKBACK - 1), [(name_a, 120_000, 3.0)]);
        assert_eq!(told(120_000 + LOOKBACK), [], "all are too old");

        let Steps { series: steps, tier } =
            range(&store, &up, start, start + 90_000, 45_000, LOOKBACK, PLENTY).unwrap();
        assert_eq!(tier, None);
        let told: Vec<Vec<(Millis, f64)>> =
            steps.iter().map(|series| series.samples.iter().map(|s| (s.at - start, s.value)).collect()).collect();
        assert_eq!(told, [vec![(0, 1.0), (45_000, 1.0), (90_000, 2.0)], vec![(0, 5.0), (45_000, 5.0)]]);

        assert!(matches!(range(&store, &up, start, start, 0, LOOKBACK, PLENTY), Err(QueryError::Step(0))));
        assert!(matches!(range(&store, &up, start, start - 1, 1, LOOKBACK, PLENTY), Err(QueryError::Range(_))));
        let many = range(&store, &up, start, start + MAX_STEPS, 1, LOOKBACK, PLENTY);
        assert!(matches!(many, Err(QueryError::TooManySteps { n_steps: 11_001, .. })), "{many:?}");
        store.close().unwrap();
    }
    #[test]
    fn steps_whose_samples_are_gone_come_from_windows_and_the_answer_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let settings = StoreSettings { retention_1h: Some(5_000 * DAY), ..StoreSettings::default() };
        let store = Store::open(dir.path(), StoreSettings { retention: Some(10 * DAY), ..settings }).unwrap();
        // A day of which retention leaves nothing, and one that stays.
        let key = Key::from_pairs("load", &[]).unwrap();
        let minutes = (0..1_440).chain(30 * 1_440..31 * 1_440);
        let rows = minutes.map(|minute| (key.clone(), Sample { at: minute * MINUTE, value: minute as f64 }));
        store.append(&crate::series::Batch::from_samples(rows)).unwrap();
        store.flush().unwrap();
        store.compact().unwrap();
        let load = Selector::metric("load");
        assert_eq!(store.select(&load, TimeRange::ALL).unwrap()[0].samples.len(), 1_440);
        let ask_within = |budget, start, end| {
            let Steps { series, tier } = range(&store, &load, start, end, HOUR, LOOKBACK, budget).unwrap();
            let values: Vec<(i64, f64)> =
                series.iter().flat_map(|series| &series.samples).map(|s| (s.at / HOUR, s.value)).collect();
            (values, tier)
        };
        let ask = |start, end| ask_within(PLENTY, start, end);
        // At the end of each hour the last value of it: nobody is told what came later.
        let expected: Vec<(i64, f64)> = (1..=24).map(|hour| (hour, (60 * hour - 1) as f64)).collect();
        assert_eq!(ask(0, 2 * DAY), (expected, Some((Tier::OneHour, Stand::Retired))));
        let (values, tier) = ask(30 * DAY, 31 * DAY - 1);
        assert_eq!((values.len(), values[1], tier), (24, (721, 43_260.0), None));
        let (values, tier) = ask(0, 31 * DAY - HOUR);
        assert_eq!((values.len(), tier), (48, Some((Tier::OneHour, Stand::Retired))));
        // Too many samples are answered from windows too, where these are no wider than a step.
        store.downsample_early();
        let (values, tier) = ask_within(Budget::samples(30), 30 * DAY, 31 * DAY - 1);
        assert_eq!((values.len(), values[0], tier), (23, (721, 43_259.0), Some((Tier::OneHour, Stand::TooMany))));
        let fine = range(&store, &load, 30 * DAY, 31 * DAY - 1, 30 * MINUTE, LOOKBACK, Budget::samples(30));
        assert!(matches!(fine, Err(QueryError::TooManySamples { n_samples: 1_440, .. })), "{fine:?}");
        let day = TimeRange::new(0, DAY).unwrap();
        assert_eq!(store.estimate_downsampled(&load, day, HOUR).unwrap(), 24);
        assert!(Budget::samples(24).select_downsampled(&store, &load, day, HOUR).is_ok());
        let refused = Budget::samples(23).select_downsampled(&store, &load, day, HOUR).unwrap_err();
        assert!(matches!(refused, QueryError::TooManySamples { n_samples: 24, limit: 23 }), "{refused}");
    }
}
