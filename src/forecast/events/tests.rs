//! Events taken out of the past and put into the future.

use std::borrow::Cow;

use super::*;
use crate::forecast::{Coverage, Facts, Forecast, Horizon, Request, SeasonChoice, backtest_at, prepare};
use crate::series::{DAY, HOUR, History, MetricKind, Sample, Season, Step, Zone};

/// A Monday, 2024-01-01T00:00:00Z.
const MONDAY: Millis = 1_704_067_200_000;

fn event(effect: Effect) -> Event {
    Event { name: "it".to_owned(), effect }
}

fn add(by: f64) -> Change {
    Change::Add { by, give_or_take: 0.0 }
}

fn times(by: f64) -> Change {
    Change::Times { by, give_or_take: 0.0 }
}

/// Weekdays at 100 with a bump at noon, Sundays at 20, and a little that looks like noise.
fn week(t: usize) -> f64 {
    let (day, hour) = (t / 24 % 7, t % 24);
    let level = if day == 6 { 20.0 } else { 100.0 + if (10..16).contains(&hour) { 30.0 } else { 0.0 } };
    level + ((t * 7919) % 11) as f64 / 10.0
}

fn forecast(values: &[f64], events: &Events, model: &str, horizon: usize) -> Forecast {
    let past = Past::new(MONDAY, Step::seconds(3_600), values);
    let events = events.measured(&past);
    let quiet = events.quiet(&past);
    let horizon = Horizon::new(horizon).unwrap();
    let season = Season::new(168).map_or(SeasonChoice::None, SeasonChoice::Steps);
    let request = Request { model: model.to_owned(), season, horizon };
    let prepared = prepare(Past::new(MONDAY, Step::seconds(3_600), &quiet), &request).unwrap();
    events.forecast(
        &prepared,
        &Effects::default(),
        Events::reference_of(&past),
        0,
        horizon,
        Coverage::new(0.8).unwrap(),
    )
}

fn at(hours: usize) -> Millis {
    MONDAY + hours as Millis * HOUR
}

const N: usize = 168 * 6;

fn past() -> Vec<f64> {
    (0..N).map(week).collect()
}

#[test]
fn no_event_changes_nothing() {
    let plain = forecast(&past(), Events::NONE, "seasonal-naive", 48);
    let far = Events::new(vec![event(Effect::Step { at: at(N + 500), change: add(5.0) })]);
    let with = forecast(&past(), &far, "seasonal-naive", 48);
    assert_eq!((&with.points, &with.band), (&plain.points, &plain.band));
    assert!(with.events.is_empty());
}

#[test]
fn steps_ramps_and_one_offs_change_points_and_bands_alike() {
    let plain = forecast(&past(), Events::NONE, "seasonal-naive", 48);
    let events = Events::new(vec![
        event(Effect::Step { at: at(N + 10), change: add(50.0) }),
        event(Effect::OneOff { from: at(N + 20), to: at(N + 24), change: times(0.5) }),
        event(Effect::Ramp { from: at(N + 30), to: at(N + 40), change: times(2.0) }),
    ]);
    let with = forecast(&past(), &events, "seasonal-naive", 48);
    let (band, plain_band) = (with.band.as_ref().unwrap(), plain.band.as_ref().unwrap());
    let check = |idx: usize, a: f64, b: f64| {
        let close = |got: f64, base: f64| (got - (a * base + b)).abs() < 1e-9;
        assert!(close(with.points[idx], plain.points[idx]), "{idx}: {} of {}", with.points[idx], plain.points[idx]);
        assert!(
            close(band.lower[idx], plain_band.lower[idx]) && close(band.upper[idx], plain_band.upper[idx]),
            "{idx}"
        );
    };
    check(9, 1.0, 0.0);
    check(10, 1.0, 50.0);
    check(19, 1.0, 50.0);
    check(20, 0.5, 25.0);
    check(24, 1.0, 50.0);
    // The middle of the ramp's first cell is a twentieth of the way, and what stood there before grows with it.
    check(30, 1.05, 52.5);
    check(40, 2.0, 100.0);
    check(47, 2.0, 100.0);
    assert_eq!(with.events.len(), 3);
}

#[test]
fn what_begins_with_the_first_step_ahead_moves_nothing_of_the_past() {
    let values = past();
    let past = Past::new(MONDAY, Step::seconds(3_600), &values);
    for change in [add(100.0), times(0.0)] {
        let events = Events::new(vec![event(Effect::Step { at: past.end(), change })]);
        assert_eq!(events.quiet(&past), values);
    }
}

#[test]
fn what_an_event_may_be_off_by_widens_the_band_only() {
    let sure = Events::new(vec![event(Effect::Step { at: at(N + 10), change: add(50.0) })]);
    let unsure = Change::Add { by: 50.0, give_or_take: 30.0 };
    let unsure = Events::new(vec![event(Effect::Step { at: at(N + 10), change: unsure })]);
    let (sure, unsure) =
        (forecast(&past(), &sure, "seasonal-naive", 24), forecast(&past(), &unsure, "seasonal-naive", 24));
    assert_eq!(sure.points, unsure.points);
    let half = |forecast: &Forecast, idx: usize| forecast.band.as_ref().unwrap().upper[idx] - forecast.points[idx];
    assert_eq!(half(&sure, 5), half(&unsure, 5));
    // 30 with 95 % is 30 * 1.2816 / 1.9600 with 80 %.
    let expected = half(&sure, 12).hypot(30.0 * 1.281_551_6 / 1.959_964);
    assert!((half(&unsure, 12) - expected).abs() < 1e-5, "{} {expected}", half(&unsure, 12));
}

#[test]
fn a_step_of_the_past_is_neither_trend_nor_forgotten() {
    let turn = N - 30;
    let stepped: Vec<f64> =
        past().iter().enumerate().map(|(t, value)| value + if t >= turn { 500.0 } else { 0.0 }).collect();
    for change in [add(500.0), Change::Measured] {
        let events = Events::new(vec![event(Effect::Step { at: at(turn), change })]);
        let with = forecast(&stepped, &events, "seasonal-naive", 168);
        for (idx, point) in with.points.iter().enumerate() {
            let off = (point - 500.0 - week(N + idx)).abs();
            assert!(off < 2.5, "{change:?} {idx}: {point}");
        }
    }
    let unaware = forecast(&stepped, Events::NONE, "seasonal-naive", 168);
    assert!(unaware.points[100] < 200.0, "without the event last week's level is repeated");
}

/// By how much the one step among `events` was found to change the level, and how far off that may be.
fn size_of(events: &Events) -> (f64, f64) {
    let Effect::Step { change: Change::Add { by, give_or_take }, .. } = events.events[0].effect else {
        panic!("{events:?}")
    };
    (by, give_or_take)
}

/// Days of hours that go up and down by 20 around 100, with noise of a deviation near 3 of which each seed has its own.
fn days(n: usize, seed: usize) -> Vec<f64> {
    let noise = |t: usize| {
        let drawn = |nr: usize| {
            let mixed = (t * 12 + nr + 1_000_003 * seed) as u64;
            let mixed = (mixed ^ (mixed >> 7)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) as f64 / u64::MAX as f64
        };
        // Twelve even draws have a deviation of one.
        3.0 * ((0..12).map(drawn).sum::<f64>() - 6.0)
    };
    (0..n).map(|t| 100.0 + 20.0 * (t as f64 * std::f64::consts::TAU / 24.0).sin() + noise(t)).collect()
}

fn measured_since(values: &[f64], n_since: usize) -> Events {
    let turn = values.len() - n_since;
    let stepped: Vec<f64> =
        values.iter().enumerate().map(|(t, value)| value + if t >= turn { 80.0 } else { 0.0 }).collect();
    let events = Events::new(vec![event(Effect::Step { at: at(turn), change: Change::Measured })]);
    events.measured(&Past::new(MONDAY, Step::seconds(3_600), &stepped))
}

#[test]
fn a_step_of_a_few_hours_is_measured_by_the_same_hours_and_holds_what_it_promises() {
    for (n_since, deviation) in [(5, 1.5), (10, 1.1), (30, 0.7), (48, 0.6)] {
        let found: Vec<(f64, f64)> =
            (0..100).map(|seed| size_of(&measured_since(&days(1_008, seed), n_since))).collect();
        let n_held = found.iter().filter(|(by, give_or_take)| (by - 80.0).abs() <= *give_or_take).count();
        let off = (found.iter().map(|(by, _)| (by - 80.0).powi(2)).sum::<f64>() / 100.0).sqrt();
        let width = found.iter().map(|(_, give_or_take)| give_or_take).sum::<f64>() / 100.0;
        assert!(off < 2.0 * deviation && (86..=100).contains(&n_held), "{n_since} h: off {off}, {n_held} held");
        assert!(width < 6.0 * deviation, "{n_since} h: {width}");
    }
    // Two days before it are too few for trials; yesterday's hours still tell.
    let (by, give_or_take) = size_of(&measured_since(&days(58, 1), 10));
    assert!((by - 80.0).abs() < 4.0 && (1.0..8.0).contains(&give_or_take), "{by} give or take {give_or_take}");
}

#[test]
fn a_step_on_a_sunday_is_measured_by_sundays_and_one_in_young_series_by_what_came_after() {
    // The last Sunday has 15 hours, on which usual values are 80 lower than the day before.
    let sunday = &past()[..N - 9];
    let (by, _) = size_of(&measured_since(sunday, 15));
    assert!((by - 80.0).abs() < 1.5, "{by}");
    // Ten hours before it, and six weeks after.
    let (by, give_or_take) = size_of(&measured_since(&days(1_008, 5), 998));
    assert!((by - 80.0).abs() < 3.5 && give_or_take < 6.0, "{by} give or take {give_or_take}");
}

#[test]
fn what_is_not_known_of_a_measured_step_widens_the_band_until_a_week_has_been_seen() {
    let coverage = Coverage::new(0.95).unwrap();
    let (n, h) = (1_008, Horizon::new(24).unwrap());
    let values = days(n, 3);
    let half = |events: &Events, idx: usize| {
        let past = Past::new(MONDAY, Step::seconds(3_600), &values);
        let season = Season::new(24).map_or(SeasonChoice::None, SeasonChoice::Steps);
        let request = Request { model: "seasonal-naive".to_owned(), season, horizon: h };
        let prepared = prepare(past, &request).unwrap();
        let forecast = events.forecast(&prepared, &Effects::default(), Events::reference_of(&past), 0, h, coverage);
        forecast.band.unwrap().upper[idx] - forecast.points[idx]
    };
    let given = |n_since: usize| Events::new(vec![event(Effect::Step { at: at(n - n_since), change: add(80.0) })]);
    let (lately, long_ago) = (measured_since(&values, 12), measured_since(&values, 168));
    let (_, give_or_take) = size_of(&lately);
    let expected = half(&given(12), 7).hypot(give_or_take * (1.0 - 12.0 / 168.0));
    assert!((half(&lately, 7) - expected).abs() < 1e-6 && give_or_take > 1.0, "{expected} {give_or_take}");
    assert!((half(&long_ago, 7) - half(&given(168), 7)).abs() < 1e-9);
    // What is assumed beside it leaves it as unsure.
    let both = lately.and(&Events::new(vec![event(Effect::Step { at: at(n + 20), change: add(5.0) })]));
    assert_eq!(half(&both, 7), half(&lately, 7));
}

#[test]
fn a_measured_step_is_its_size_on_a_slope() {
    let values: Vec<f64> =
        (0..N).map(|t| 0.5 * t as f64 + if t >= 600 { 80.0 } else { 0.0 } + ((t * 7919) % 13) as f64).collect();
    let past = Past::new(MONDAY, Step::seconds(3_600), &values);
    let events = Events::new(vec![event(Effect::Step { at: at(600), change: Change::Measured })]);
    let (by, _) = size_of(&events.measured(&past));
    assert!((by - 80.0).abs() < 1.0, "{by}");
    // Nothing can be said with three values behind it; and it changes nothing then.
    let young = past.upto(603);
    let events = events.measured(&young);
    assert_eq!(events.quiet(&young), young.values());
}

#[test]
fn a_holiday_is_like_the_day_it_is_like() {
    // The horizon begins on a Monday; its Wednesday is a holiday.
    let (from, to) = (at(N + 48), at(N + 72));
    let holiday = Holiday { start: from, end: to, days_to_like: 4 };
    let events = Events::new(vec![event(Effect::Holidays(vec![holiday]))]);
    let with = forecast(&past(), &events, "seasonal-naive", 96);
    for idx in 0..96 {
        let expected = if (48..72).contains(&idx) { 20.5 } else { week(N + idx) };
        assert!((with.points[idx] - expected).abs() < 2.0, "{idx}: {}", with.points[idx]);
        let band = with.band.as_ref().unwrap();
        assert!(band.lower[idx] <= with.points[idx] && with.points[idx] <= band.upper[idx]);
    }
}

#[test]
fn what_was_on_a_holiday_a_one_off_or_in_maintenance_is_not_learned() {
    // The last Wednesday was a holiday, the last Thursday a one-off, the last Friday maintained.
    let wednesday = N - 7 * 24 + 48;
    let odd: Vec<f64> = past()
        .iter()
        .enumerate()
        .map(|(t, value)| if (wednesday..wednesday + 72).contains(&t) { 0.0 } else { *value })
        .collect();
    let day = |nr: usize| (at(wednesday + 24 * nr), at(wednesday + 24 * (nr + 1)));
    let holiday = Holiday { start: day(0).0, end: day(0).1, days_to_like: 4 };
    let events = Events::new(vec![
        event(Effect::Holidays(vec![holiday])),
        event(Effect::OneOff { from: day(1).0, to: day(1).1, change: add(-100.0) }),
        event(Effect::Maintenance(vec![day(2)])),
    ]);
    let with = forecast(&odd, &events, "seasonal-naive", 168);
    let off = (0..168).map(|idx| (with.points[idx] - week(N + idx)).abs()).fold(0.0, f64::max);
    assert!(off < 2.0, "{off}");
    let past = Past::new(MONDAY, Step::seconds(3_600), &odd);
    assert_eq!(events.quiet(&past).iter().filter(|value| value.is_nan()).count(), 72);
    assert_eq!(events.without_maintenance(&past).iter().filter(|value| value.is_nan()).count(), 24);
    assert!(events.is_maintained(day(2).0, HOUR) && !events.is_maintained(day(1).0, HOUR));
}

#[test]
fn a_value_set_for_a_span_keeps_the_band_s_width() {
    let events =
        Events::new(vec![event(Effect::OneOff { from: at(N + 4), to: at(N + 8), change: Change::Become(7.0) })]);
    let (plain, with) =
        (forecast(&past(), Events::NONE, "seasonal-naive", 12), forecast(&past(), &events, "seasonal-naive", 12));
    let width = |forecast: &Forecast| {
        let band = forecast.band.as_ref().unwrap();
        band.upper[5] - band.lower[5]
    };
    assert_eq!(with.points[5], 7.0);
    assert!(width(&plain) > 0.0 && (width(&plain) - width(&with)).abs() < 1e-9);
}

#[test]
fn a_value_that_comes_later_is_taken_in_at_the_level_of_the_fit() {
    let events = Events::new(vec![
        event(Effect::Step { at: at(10), change: add(50.0) }),
        event(Effect::Step { at: at(20), change: times(2.0) }),
    ]);
    // Fitted at hour 15: 50 are in, the doubling is not.
    assert_eq!(events.quieted(60.0, at(5), HOUR, at(15)), 110.0);
    assert_eq!(events.quieted(110.0, at(15), HOUR, at(15)), 110.0);
    assert_eq!(events.quieted(220.0, at(25), HOUR, at(15)), 110.0);
    let ahead = events.level_at(at(25), at(15));
    assert_eq!((ahead.of(110.0), events.level_at(at(16), at(15))), (220.0, Affine::SAME));
}

/// The first of the month `nr` after January 2020.
fn first_of(nr: i32) -> Millis {
    let date = chrono::NaiveDate::from_ymd_opt(2020 + nr / 12, nr as u32 % 12 + 1, 1).unwrap();
    Millis::from(date.to_epoch_days()) * DAY
}

/// A value at the first of each month from January 2020 on.
fn months(value: impl Fn(i32) -> f64, n: i32) -> History {
    let samples: Vec<Sample> = (0..n).map(|nr| Sample { at: first_of(nr), value: value(nr) }).collect();
    History::from_samples(&samples, MetricKind::Gauge, None).unwrap()
}

/// The place of a March, whose first days a month of the mean length before it would reach.
const MARCH: i32 = 14;

#[test]
fn an_event_at_the_turn_of_two_months_is_of_the_one_that_it_begins() {
    let history = months(|nr| if nr < MARCH { 10.0 } else { 15.0 }, 36);
    let past = Past::of(&history);
    let stepped = Events::new(vec![event(Effect::Step { at: first_of(MARCH), change: add(5.0) })]);
    assert_eq!(stepped.quiet(&past), [15.0; 36]);
    let two_days = vec![(first_of(MARCH), first_of(MARCH) + 2 * DAY)];
    let kept_up = Events::new(vec![event(Effect::Maintenance(two_days.clone()))]);
    for kept in [kept_up.quiet(&past), kept_up.without_maintenance(&past)] {
        let gaps: Vec<usize> = (0..36).filter(|&idx| kept[idx].is_nan()).collect();
        assert_eq!(gaps, [MARCH as usize]);
    }
    // Seen ahead from February, and as values come.
    let request = |model: &str| Request {
        model: model.to_owned(),
        season: SeasonChoice::None,
        horizon: Horizon::new(3).unwrap(),
    };
    let early = past.upto(MARCH as usize - 1);
    let model = UnderEvents::prepare(&early, &stepped, &request("naive")).unwrap();
    let ahead = model.forecast(0, Horizon::new(3).unwrap(), Coverage::P95).points;
    assert_eq!(ahead, [10.0, 15.0, 15.0]);
    let mut model = UnderEvents::prepare(&early, &kept_up, &request("naive")).unwrap();
    model.update(12.0);
    assert_eq!(model.forecast(0, Horizon::new(1).unwrap(), Coverage::P95).points, [12.0]);
    // February is judged, March is not, April is off by five.
    let report = backtest_at(past, &kept_up, &request("naive"), Coverage::P95, MARCH as usize - 1).unwrap();
    let maes: Vec<Option<f64>> = report.leads.iter().map(|lead| lead.mae()).collect();
    assert_eq!(maes, [Some(0.0), None, Some(5.0)]);
    // What recurs is a column of the months that it lies in.
    let recurring = Events::new(vec![event(Effect::Recurring(two_days))]).columns().remove(0);
    let effects = Effects::by_method(&early, &[recurring]);
    let rows = effects.rows(2, |idx| early.at(early.len() + idx));
    assert_eq!(rows[0].values, [0.0, 2.0 / 31.0]);
}

#[test]
fn limits_change_in_order() {
    let limit = |hours, change| event(Effect::Limit { at: at(hours), change });
    let events = Events::new(vec![limit(20, times(2.0)), limit(10, add(5.0)), limit(30, Change::Become(3.0))]);
    assert_eq!([0, 10, 20, 30].map(|hours| events.limit_at(10.0, MONDAY, at(hours))), [10.0, 15.0, 30.0, 3.0]);
    assert_eq!(events.limit_at(15.0, at(10), at(20)), 30.0, "what has happened is in the limit");
    assert_eq!(events.turns_after(at(15)), [at(20), at(30)]);
    assert_eq!(events.level_at(at(40), at(0)), Affine::SAME);
}

#[test]
fn a_date_is_the_same_day_in_events_and_in_files() {
    // Dates as a file has them, in zones on both sides of UTC and over a change of clocks; the values do not move.
    let start = MONDAY + 74 * DAY;
    let values: Vec<f64> = (0..40).map(|t| 150.0 + f64::from(t % 7)).collect();
    let request = Request { model: "naive".to_owned(), season: SeasonChoice::None, horizon: Horizon::new(4).unwrap() };
    for zone in ["Asia/Tokyo", "America/New_York", "Pacific/Auckland", "Europe/London", "-07:00"] {
        let zone: Zone = zone.parse().unwrap();
        let facts = Facts { zone, ..Facts::default() };
        let past = Past::new(start, Step::new(DAY).unwrap(), &values).with_facts(&facts);
        let midnight = |nr: i64| zone.midnight(Zone::UTC.date_at(start + nr * DAY).unwrap()).unwrap();
        let forecast = |effect: Effect| {
            let model = UnderEvents::prepare(&past, &Events::new(vec![event(effect)]), &request).unwrap();
            model.forecast(0, request.horizon, Coverage::P95).points
        };
        let last = values[39];
        let step = Effect::Step { at: midnight(41), change: add(1000.0) };
        let stepped = [last, last + 1000.0, last + 1000.0, last + 1000.0];
        assert_eq!(forecast(step.clone()), stepped, "{zone}");
        let day = Effect::OneOff { from: midnight(42), to: midnight(43), change: add(1000.0) };
        assert_eq!(forecast(day), [last, last, last + 1000.0, last], "{zone}");
        let plain = UnderEvents::prepare(&past, Events::NONE, &request).unwrap();
        let assumed = Events::new(vec![event(step)]);
        assert_eq!(plain.forecast_if(&assumed, 0, request.horizon, Coverage::P95).unwrap().points, stepped, "{zone}");
        // A window of the past hides its own day, in a replay as well.
        let window = Events::new(vec![event(Effect::Maintenance(vec![(midnight(37), midnight(38))]))]);
        let on_dates = window.on_dates(start, past.step(), zone);
        assert_eq!((0..40).filter(|&idx| on_dates.quiet(&past)[idx].is_nan()).collect::<Vec<_>>(), [37], "{zone}");
        let kept = backtest_at(past, &window, &request, Coverage::P95, 36).unwrap();
        assert_eq!(kept.overall.n(), 3, "{zone}");
        let holiday = Holiday { start: midnight(41), end: midnight(42), days_to_like: 0 };
        let Cow::Owned(moved) =
            Events::new(vec![event(Effect::Holidays(vec![holiday]))]).on_dates(start, past.step(), zone)
        else {
            panic!("{zone} is as far from UTC as UTC")
        };
        let there = Holiday { start: start + 41 * DAY, end: start + 42 * DAY, days_to_like: 0 };
        assert_eq!(moved.iter().next().unwrap().effect, Effect::Holidays(vec![there]), "{zone}");
        // Hours, and days that begin at midnight there, are told in instants.
        for (start, step) in [(start, HOUR), (midnight(0), DAY)] {
            let is_there = start.rem_euclid(DAY) == 0 && step == DAY;
            let step = Step::new(step).unwrap();
            assert!(is_there || matches!(assumed.on_dates(start, step, zone), Cow::Borrowed(_)), "{zone}");
        }
    }
}
