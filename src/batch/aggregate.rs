//! Forecasts of the sum or the mean of series, of all of a metric or by label.
//!
//! The histories are added up and the aggregate is forecast as one series. Its band comes from its own errors, in which
//! the members' errors cancel or add up as they do in truth; a sum of bands would be far too wide.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::presets::Presets;
use crate::series::{
    Aggregate, Aggregator, Calendar, Grid, History, HistoryError, Key, MetricKind, MetricSettings, Millis, Step, Zone,
};

use super::coarsen::{history_of, told_of};
use super::forecast::{ForecastAsk, ForecastFailure, SeriesForecast, forecast_newest};
use super::parallel::spread;
use super::rows::{Axis, Rows, Source};
use super::times::rfc3339;

/// Cells that are added up at most, the newest: more mean a stray timestamp in one of the histories.
const MOST_ADDED: usize = 2_000_000;

/// What is added up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grouping {
    /// Sum or mean.
    pub how: Aggregate,
    /// Labels that tell groups apart; a series without one of them has it empty.
    pub by: Vec<String>,
}

/// One aggregate.
#[derive(Debug)]
pub struct GroupForecast {
    /// What it is called: `sum(disk_used_bytes){host="a"}`.
    pub source: Source,
    /// What its members are: of counters every value is per second.
    pub kind: MetricKind,
    /// How many series are in it.
    pub n_members: usize,
    /// Its forecast, or why there is none.
    pub outcome: Result<SeriesForecast, ForecastFailure>,
}

/// Forecasts each group of series, in the order of their names. Different metrics are never added up.
///
/// `done` is told after each group.
pub fn forecast_groups(
    rows: &Rows,
    grouping: &Grouping,
    ask: &ForecastAsk,
    presets: &Presets,
    done: impl Fn() + Sync,
) -> Vec<GroupForecast> {
    let samples = rows.samples();
    let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (idx, source) in rows.sources.iter().enumerate() {
        groups.entry(group_of(source, grouping).name).or_default().push(idx);
    }
    let one = |members: Vec<usize>| {
        let source = group_of(&rows.sources[members[0]], grouping);
        // Series that are no metric's may be of anything.
        let known =
            if source.is_metric { rows.sources[members[0]].settings(presets) } else { MetricSettings::default() };
        let mut settings = known.aggregated(grouping.how);
        let zones = members.iter().map(|&idx| rows.sources[idx].settings(presets).time_zone);
        settings.time_zone = presets.shared_zone(zones).filter(|_| source.axis == Axis::Time);
        let histories: Vec<(usize, History)> = members
            .iter()
            .filter_map(|&idx| {
                let source = &rows.sources[idx];
                Some((idx, history_of(source, &samples[idx], &source.settings(presets)).ok()?))
            })
            .collect();
        let n_members = histories.len();
        let members = || histories.iter().map(|(_, history)| history);
        let history = add_up(members(), grouping.how, settings.zone());
        let outcome = match history {
            None => Err(HistoryError::Empty.into()),
            Some(history) => {
                let named =
                    histories.iter().map(|(idx, _)| (&rows.sources[*idx].key, rows.sources[*idx].name.as_str()));
                let (events, left_out) = match source.axis {
                    Axis::Time => ask.events.of_aggregate(named, grouping.how),
                    Axis::Steps => Default::default(),
                };
                let sources = histories.iter().map(|(idx, _)| &rows.sources[*idx]);
                let is_mixed = members().any(|member| member.step() != history.step());
                let begun = begun_months(&history, members());
                let facts = |is_mean| source.facts(&settings, is_mean || is_mixed);
                forecast_newest(sources, history, ask, facts, &events).map(|mut made| {
                    made.notes.extend(begun);
                    made.notes.extend(left_out.iter().map(|name| {
                        format!(
                            "the event `{name}` concerns only some of its series, and what it does to the {} is not \
                             known: it is left out",
                            grouping.how
                        )
                    }));
                    made
                })
            }
        };
        let kind = source.kind_by(&settings);
        let outcome = outcome.map(|mut made| {
            made.notes.splice(0..0, told_of(kind).map(str::to_owned));
            made
        });
        GroupForecast { source, kind, n_members, outcome }
    };
    spread(groups.into_values().collect(), one, done)
}

/// What the group of a series is called.
fn group_of(source: &Source, grouping: &Grouping) -> Source {
    let labels = source.key.labels();
    let pairs: Vec<(&str, &str)> =
        grouping.by.iter().map(|name| (name.as_str(), labels.get(name).unwrap_or_default())).collect();
    // Names that are no metrics tell series apart, not what they measure.
    let metric = if source.is_metric { source.key.metric() } else { "series" };
    let key = Key::from_pairs(metric, &pairs).unwrap_or_else(|_| source.key.clone());
    let by: Vec<String> =
        pairs.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| format!("{name}={value:?}")).collect();
    let by = if by.is_empty() { String::new() } else { format!("{{{}}}", by.join(",")) };
    let name = format!("{}({metric}){by}", grouping.how);
    Source { name, key, axis: source.axis, is_metric: source.is_metric }
}

/// The aggregate on the coarsest of the steps; days are those of `zone`.
fn add_up<'a>(histories: impl Iterator<Item = &'a History> + Clone, how: Aggregate, zone: Zone) -> Option<History> {
    let of_months = by_months(histories.clone());
    let mut all = of_months.or_else(|| evenly(histories.clone(), zone))?;
    histories.for_each(|history| all.add(history));
    Some(all.finish(how)).filter(|history| !history.is_empty())
}

/// The cells of the coarsest member, where that is one of months and some member has a calendar.
fn by_months<'a>(histories: impl Iterator<Item = &'a History> + Clone) -> Option<Aggregator> {
    // One that is too young for a calendar has months, quarters or years by their distance.
    let even = |history: &History| Calendar::even(history.step());
    let rank = |history: &&History| {
        (even(history).unwrap_or(history.step()), history.calendar().is_some(), Reverse(history.start()))
    };
    let coarsest = histories.clone().max_by_key(rank)?;
    let calendar = histories.clone().filter(|history| history.calendar().is_some()).max_by_key(rank)?.calendar()?;
    let step = even(coarsest)?;
    let first = calendar.month_of(histories.clone().map(History::start).min()?)?;
    let last = calendar.month_of(histories.map(History::end).max()?)?;
    let origin = coarsest.calendar().unwrap_or(calendar).month_of(coarsest.start())?;
    let n_months = Calendar::months_in(step);
    let n_before = ((origin - first).max(0) + n_months - 1) / n_months;
    let start = origin - n_before * n_months;
    let n_cells = (last - start) / n_months + 1;
    Some(Aggregator::new(calendar.in_month(start)?, step, usize::try_from(n_cells).ok()?).on(calendar))
}

/// What is to be said of months that were left out of a `sum` because one of `members` has only their beginning.
fn begun_months<'a>(sum: &History, mut members: impl Iterator<Item = &'a History>) -> Option<String> {
    let calendar = sum.calendar()?;
    let n_months = Calendar::months_in(sum.step());
    let next = calendar.month_of(sum.end())?;
    let ends_in_it = |member: &History| {
        let end = member.calendar().unwrap_or(calendar).month_of(member.end())?;
        let newest = calendar.month_of(member.at(member.len().saturating_sub(1)))?;
        let is_finer = Calendar::even(member.step()).unwrap_or(member.step()) < sum.step();
        Some(is_finer && newest >= next && end < next + n_months)
    };
    members.any(|member| ends_in_it(member) == Some(true)).then(|| {
        let of = match n_months {
            1 => "month".to_owned(),
            3 => "quarter".to_owned(),
            12 => "year".to_owned(),
            n => format!("span of {n} months"),
        };
        format!(
            "the last {of} is not over in all of its series: it is left out of the history, and the first point, at \
             {}, is of it",
            rfc3339(sum.end())
        )
    })
}

/// Cells of the coarsest step: where the members stand, if they all come by it; else where days begin.
fn evenly<'a>(mut histories: impl Iterator<Item = &'a History> + Clone, zone: Zone) -> Option<Aggregator> {
    let step: Step = histories.clone().map(History::step).max()?;
    let end = histories.clone().map(History::end).max()?;
    let first = histories.clone().map(History::start).min()?;
    let most = step.millis().saturating_mul(Millis::try_from(MOST_ADDED).unwrap_or(Millis::MAX));
    let start = first.max(end.saturating_sub(most));
    let newest = histories.clone().map(|history| history.at(history.len().saturating_sub(1))).max()?;
    let is_mixed = histories.any(|history| history.step() != step);
    let grid = if is_mixed { Grid::new(step, zone, newest) } else { Grid::through(step, newest) };
    let start = grid.start_of(start);
    let n_cells = usize::try_from((end - start) / step.millis() + 1).ok()?;
    Some(Aggregator::new(start, step, n_cells))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::times::of_text;
    use crate::series::{DAY, HOUR, Sample};

    fn at(text: &str) -> Millis {
        of_text(text).unwrap()
    }

    fn berlin() -> Zone {
        "Europe/Berlin".parse().unwrap()
    }

    fn history(zone: Zone, samples: impl Iterator<Item = (Millis, f64)>) -> History {
        let samples: Vec<Sample> = samples.map(|(at, value)| Sample { at, value }).collect();
        History::from_samples_in(zone, &samples, MetricKind::Gauge, None).unwrap()
    }

    /// The `day` of each of `n` months from January 2015 on, `apart` of them between two, beside their numbers.
    fn months(day: u32, apart: usize, n: usize) -> impl Iterator<Item = (Millis, usize)> {
        let date = move |nr: usize| at(&format!("{}-{:02}-{day:02}", 2015 + nr / 12, nr % 12 + 1));
        (0..n).step_by(apart).map(move |nr| (date(nr), nr))
    }

    #[test]
    fn months_add_up_by_quarters_without_a_month_in_another() {
        // Each month has the number of its quarter; a quarter ten times that.
        let monthly = history(Zone::UTC, months(1, 1, 60).map(|(at, nr)| (at, (nr / 3) as f64)));
        let quarterly = history(Zone::UTC, months(1, 3, 60).map(|(at, nr)| (at, (nr / 3 * 10) as f64)));
        let sum = add_up([&monthly, &quarterly].into_iter(), Aggregate::Sum, Zone::UTC).unwrap();
        let expected: Vec<f64> = (0..20).map(|nr| f64::from(nr * 11)).collect();
        assert_eq!(sum.values(), expected);
        assert!((0..21).all(|nr| sum.at(nr) == at(&format!("{}-{:02}-01", 2015 + nr / 4, nr % 4 * 3 + 1))));
        // Quarters stay those of the quarterly series where months began before it.
        let monthly = history(Zone::UTC, months(1, 1, 60).skip(1).map(|(at, nr)| (at, (nr / 3) as f64)));
        let later = quarterly.slice(2, 20);
        let sum = add_up([&later, &monthly].into_iter(), Aggregate::Mean, Zone::UTC).unwrap();
        assert_eq!((sum.start(), &sum.values()[..4]), (at("2015-01-01"), &[0.0, 1.0, 11.0, 16.5][..]));
        // Days of a month are averaged in it.
        let days = (0..365).map(|nr| at("2015-01-01") + nr * DAY);
        let month_of = |at| f64::from(chrono::Datelike::month(&Zone::UTC.date_at(at).unwrap()));
        let daily = history(Zone::UTC, days.map(|at| (at, month_of(at))));
        let monthly = history(Zone::UTC, months(1, 1, 12).map(|(at, nr)| (at, nr as f64)));
        let sum = add_up([&daily, &monthly].into_iter(), Aggregate::Sum, Zone::UTC).unwrap();
        assert_eq!(sum.values(), (0..12).map(|nr| f64::from(2 * nr + 1)).collect::<Vec<_>>());
    }

    #[test]
    fn months_on_different_days_add_up_by_their_months() {
        let on = |day, n| history(Zone::UTC, months(day, 1, n).map(|(at, nr)| (at, nr as f64)));
        let (first, middle) = (on(1, 120), on(16, 120));
        let sum = add_up([&first, &middle].into_iter(), Aggregate::Sum, Zone::UTC).unwrap();
        assert_eq!(sum.values(), (0..120).map(|nr| f64::from(2 * nr)).collect::<Vec<_>>());
        assert_eq!((sum.start(), sum.end(), sum.n_gaps()), (first.start(), first.end(), 0));
        // One that is too young for a calendar of its own goes along.
        let young = first.slice(118, 120);
        let young = history(Zone::UTC, young.samples().map(|sample| (sample.at, sample.value)));
        assert_eq!((young.calendar(), young.step().millis()), (None, 30 * DAY));
        let sum = add_up([&young, &first].into_iter(), Aggregate::Sum, Zone::UTC).unwrap();
        assert_eq!((sum.values()[117], sum.values()[118], sum.end()), (117.0, 236.0, first.end()));
        // By the calendar where each is.
        let midnights =
            ["2014-12-31T23:00:00Z", "2015-01-31T23:00:00Z", "2015-02-28T23:00:00Z", "2015-03-31T22:00:00Z"];
        let there = history(berlin(), midnights.iter().map(|text| (at(text), 1.0)));
        let sum = add_up([&there, &first.slice(0, 4)].into_iter(), Aggregate::Sum, berlin()).unwrap();
        assert_eq!(sum.values(), [1.0, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn a_month_that_has_begun_is_no_whole_one() {
        let monthly = history(Zone::UTC, months(1, 1, 24).map(|(at, _)| (at, 1.0)));
        let days = |from: &str, until: &str| {
            let (from, until) = (at(from), at(until));
            history(
                Zone::UTC,
                (0..).map(move |nr| from + nr * DAY).take_while(move |at| *at <= until).map(|at| (at, 2.0)),
            )
        };
        let sum_with = |daily: &History| add_up([&monthly, daily].into_iter(), Aggregate::Sum, Zone::UTC).unwrap();
        // December has two days, and all of them.
        let (begun, whole) = (days("2015-01-01", "2016-12-02"), days("2015-01-01T08:00:00Z", "2016-12-31T08:00:00Z"));
        assert_eq!(sum_with(&begun).end(), at("2016-12-01"));
        let told = |daily: &History| begun_months(&sum_with(daily), [&monthly, daily].into_iter());
        let note = told(&begun).unwrap();
        assert!(note.contains("the last month is not over") && note.contains("at 2016-12-01T00:00:00Z"), "{note}");
        assert_eq!(told(&whole), None);
        assert_eq!((sum_with(&whole).end(), sum_with(&whole).values()[23]), (at("2017-01-01"), 3.0));
        // One that ended long ago says what it can.
        assert_eq!(sum_with(&days("2015-01-01", "2015-06-03")).values()[4..7], [3.0, 3.0, 1.0]);
        // Months of a quarter as well.
        let quarterly = history(Zone::UTC, months(1, 3, 24).map(|(at, _)| (at, 1.0)));
        let of = |n| add_up([&monthly.slice(0, n), &quarterly].into_iter(), Aggregate::Sum, Zone::UTC).unwrap().end();
        assert_eq!((of(24), of(23)), (at("2017-01-01"), at("2016-10-01")));
    }

    #[test]
    fn quarters_that_are_too_young_for_a_calendar_are_quarters() {
        let monthly = history(Zone::UTC, months(1, 1, 96).map(|(at, _)| (at, 1.0)));
        for (day, month) in [(1, 90), (31, 90), (31, 87), (1, 84)] {
            let young = history(
                Zone::UTC,
                months(1, 1, 96).skip(month).step_by(3).take(2).map(|(at, _)| (at + (day - 1) * DAY, 5.0)),
            );
            assert_eq!((young.len(), young.calendar()), (2, None));
            let sum = add_up([&young, &monthly].into_iter(), Aggregate::Sum, Zone::UTC).unwrap();
            let calendar = sum.calendar().expect("quarters are months");
            assert_eq!((Calendar::months_in(sum.step()), sum.n_gaps()), (3, 0));
            assert!((0..40).all(|nr| calendar.next_to(sum.at(nr)) == sum.at(nr)));
            assert_eq!(sum.values().iter().filter(|value| **value == 6.0).count(), 2, "{month} {:?}", sum.values());
        }
        // What is no number of months is none.
        let uneven = history(Zone::UTC, [at("2022-07-01"), at("2022-09-15")].into_iter().map(|at| (at, 5.0)));
        let sum = add_up([&uneven, &monthly].into_iter(), Aggregate::Sum, Zone::UTC).unwrap();
        assert_eq!((sum.calendar(), sum.step()), (None, uneven.step()));
    }

    #[test]
    fn what_comes_daily_is_added_up_where_it_stands() {
        let day = |from: &str, n: i64| {
            let start = at(from);
            history(Zone::UTC, (0..n).map(move |nr| (start + nr * DAY, nr as f64)))
        };
        let (long, short) = (day("2026-03-01", 40), day("2026-03-11", 30));
        for zone in ["UTC", "Pacific/Auckland", "America/Los_Angeles"] {
            let sum = add_up([&short, &long].into_iter(), Aggregate::Sum, zone.parse().unwrap()).unwrap();
            assert_eq!((sum.start(), sum.end()), (long.start(), long.end()), "{zone}");
            assert_eq!((sum.values()[9], sum.values()[39]), (9.0, 39.0 + 29.0), "{zone}");
        }
        // One that ended before clocks were put forward stands an hour later than one that goes on.
        let (winter, summer) = (day("2026-02-01T23:00:00Z", 50), day("2026-02-01T22:00:00Z", 90));
        let sum = add_up([&winter, &summer].into_iter(), Aggregate::Sum, berlin()).unwrap();
        assert_eq!((sum.start(), sum.values()[49]), (summer.start(), 98.0));
        // Hours beside days begin them at midnight there.
        let hourly = history(Zone::UTC, (0..2_160).map(|nr| (at("2026-02-01T00:00:00Z") + nr * HOUR, 1.0)));
        let sum = add_up([&hourly, &summer].into_iter(), Aggregate::Sum, berlin()).unwrap();
        assert_eq!(sum.start(), at("2026-01-31T22:00:00Z"));
    }
}
