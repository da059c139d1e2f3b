//! Known columns taken out of the past and put into the future.

use super::*;
use crate::forecast::tests::Noise;
use crate::forecast::{
    Coverage, Effect as EventEffect, Event, Events, Forecast, Horizon, Request, SeasonChoice, UnderEvents, backtest_at,
};
use crate::series::{DAY, HOUR, History, MetricKind, Sample, Step};

/// A Monday, 2024-01-01T00:00:00Z.
const MONDAY: Millis = 1_704_067_200_000;

/// Days between two paydays.
const EVERY: i64 = 14;

fn hour() -> Step {
    Step::new(HOUR).unwrap()
}

fn at(day: i64) -> Millis {
    MONDAY + day * DAY
}

fn event(name: &str, days: &[i64]) -> Event {
    let spans = days.iter().map(|day| (at(*day), at(day + 1))).collect();
    Event { name: name.to_owned(), effect: EventEffect::Recurring(spans) }
}

/// From the fourth day on, until long after every past here.
fn paydays() -> Vec<i64> {
    (0..40).map(|nr| 3 + EVERY * nr).collect()
}

fn is_payday(t: usize) -> bool {
    let day = t as i64 / 24;
    day >= 3 && (day - 3) % EVERY == 0
}

/// A day's shape with errors that remember, well above zero.
fn quiet(n: usize, seed: u64) -> Vec<f64> {
    let mut noise = Noise::seeded(seed);
    let errors = noise.walk(n, 0.7);
    let shape = |t: usize| 100.0 + 40.0 * (t as f64 / 24.0 * std::f64::consts::TAU).sin();
    (0..n).map(|t| shape(t) * (0.02 * errors[t]).exp()).collect()
}

fn paid(n: usize, seed: u64) -> Vec<f64> {
    quiet(n, seed).into_iter().enumerate().map(|(t, value)| value * if is_payday(t) { 1.5 } else { 1.0 }).collect()
}

fn request(model: &str, horizon: usize) -> Request {
    let season = SeasonChoice::Steps(Season::new(24).unwrap());
    Request { model: model.to_owned(), season, horizon: Horizon::new(horizon).unwrap() }
}

fn prepare(values: &[f64], events: &Events, model: &str) -> UnderEvents {
    UnderEvents::prepare(&Past::new(MONDAY, hour(), values), events, &request(model, 168)).unwrap()
}

fn week(under: &UnderEvents) -> Forecast {
    under.forecast(0, Horizon::new(168).unwrap(), Coverage::new(0.8).unwrap())
}

/// The mean of `forecast` over a day, as a share of what the quiet shape has.
fn share(forecast: &Forecast, day: usize) -> f64 {
    forecast.points[day * 24..(day + 1) * 24].iter().sum::<f64>() / 24.0 / 100.0
}

#[test]
fn what_recurs_is_learned_whatever_the_method() {
    // Seven paydays have been, and the fourth day ahead is the next.
    let values = paid(98 * 24, 5);
    let events = Events::new(vec![event("payday", &paydays())]);
    for model in ["seasonal-naive", "theta", "naive", "auto", "dynamic-regression"] {
        let with = week(&prepare(&values, &events, model));
        let without = week(&prepare(&values, Events::NONE, model));
        // Paydays are Thursdays, every other one: who knows of none takes half of it for the weekday's.
        let raised = share(&with, 3) / share(&with, 2);
        assert!((1.4..1.6).contains(&raised), "{model}: {raised}");
        assert!((0.9..1.1).contains(&(share(&with, 2) / share(&without, 2))), "{model}");
        assert_eq!((with.events.len(), without.events.len(), with.influences.len()), (1, 0, 1), "{model}");
        let influence = &with.influences[0];
        assert_eq!((influence.name.as_str(), influence.n_times), ("payday", 7), "{model}");
        match influence.effect {
            Learned::Shows(Change::Times { by, give_or_take }) => {
                assert!((by - 1.5).abs() < 0.06 && give_or_take > 0.0 && give_or_take < 0.3, "{influence}");
                assert!(influence.to_string().contains("learned from what it did 7 times"), "{influence}");
            }
            _ => assert_eq!((model, &influence.effect), ("dynamic-regression", &Learned::ByMethod)),
        }
        let band = with.band.as_ref().unwrap();
        assert!(band.lower[84] < with.points[84] && with.points[84] < band.upper[84], "{model}");
    }
}

#[test]
fn a_payday_yesterday_does_not_pass_for_the_level() {
    // The last day was a payday.
    let values = paid((3 + 14 * 6 + 1) * 24, 8);
    let events = Events::new(vec![event("payday", &paydays())]);
    let (with, without) =
        (week(&prepare(&values, &events, "seasonal-naive")), week(&prepare(&values, Events::NONE, "seasonal-naive")));
    assert!((0.9..1.1).contains(&share(&with, 0)), "{}", share(&with, 0));
    assert!(share(&without, 0) > 1.4);
}

#[test]
fn what_does_nothing_changes_nothing() {
    for seed in 1..=12 {
        let values = quiet(80 * 24, seed);
        let mut noise = Noise::seeded(seed + 100);
        let days: Vec<i64> = (0..90).filter(|_| noise.uniform() < 0.1).collect();
        let events = Events::new(vec![event("nothing", &days)]);
        let (with, without) =
            (week(&prepare(&values, &events, "theta")), week(&prepare(&values, Events::NONE, "theta")));
        assert_eq!((&with.points, &with.band), (&without.points, &without.band), "{seed}: {:?}", with.influences);
        let told = with.influences[0].to_string();
        assert!(told.contains("`nothing` has no effect") && told.contains("chance"), "{told}");
        assert!(with.events.is_empty());
        // Neither where cycles are looked for.
        let request = Request { season: SeasonChoice::Auto, ..request("theta", 168) };
        let past = Past::new(MONDAY, hour(), &values);
        let looked = |events: &Events| week(&UnderEvents::prepare(&past, events, &request).unwrap());
        let (with, without) = (looked(&events), looked(Events::NONE));
        assert_eq!((with.points, with.season), (without.points, Some(24)), "{seed}");
    }
}

#[test]
fn one_time_teaches_nothing_and_says_so() {
    let values = paid(30 * 24, 3);
    for (days, words) in [(vec![17, 31], "seen once"), (vec![31], "never seen"), (vec![], "never seen")] {
        let events = Events::new(vec![event("payday", &days)]);
        let forecast = week(&prepare(&values, &events, "seasonal-naive"));
        let told = forecast.influences[0].to_string();
        assert!(told.contains(words) && told.contains("2 times or more"), "{told}");
        assert_eq!(forecast.points, week(&prepare(&values, Events::NONE, "seasonal-naive")).points);
    }
}

#[test]
fn a_value_of_a_payday_is_taken_in_without_what_the_day_does() {
    let values = paid(98 * 24, 5);
    let events = Events::new(vec![event("payday", &paydays())]);
    let mut under = prepare(&values[..94 * 24], &events, "naive");
    let day = EVERY * 7 + 3 - 94;
    assert_eq!(day, 7);
    let longer = paid(102 * 24, 5);
    for value in &longer[94 * 24..101 * 24 + 12] {
        under.update(*value);
    }
    // In the middle of the payday: the rest of it is raised, what follows is not.
    let forecast = under.forecast(0, Horizon::new(24).unwrap(), Coverage::P95);
    assert!((forecast.points[0] / longer[101 * 24 + 11] - 1.0).abs() < 0.02);
    assert!((forecast.points[0] / forecast.points[12] - 1.5).abs() < 0.08, "{:?}", forecast.points);
}

#[test]
fn amounts_are_added_where_values_touch_zero_and_columns_count_from_what_is_usual() {
    let mut noise = Noise::seeded(9);
    let n = 60 * 24;
    let load = |t: usize| 200.0 + ((t / 24 * 7919) % 13) as f64 * 10.0;
    let values: Vec<f64> = (0..n)
        .map(|t| 50.0 * (t as f64 / 24.0 * std::f64::consts::TAU).sin() + 0.5 * load(t) - 130.0 + noise.normal())
        .collect();
    let known = [Regressor { name: "load".to_owned(), values: (0..n + 72).map(load).collect() }];
    let past = Past::new(MONDAY, hour(), &values).with_regressors(&known);
    let under = UnderEvents::prepare(&past, Events::NONE, &request("seasonal-naive", 120)).unwrap();
    let forecast = under.forecast(0, Horizon::new(120).unwrap(), Coverage::P95);
    let truth = |t: usize, load: f64| 50.0 * (t as f64 / 24.0 * std::f64::consts::TAU).sin() + 0.5 * load - 130.0;
    for (idx, point) in forecast.points.iter().enumerate() {
        // Beyond what is known it is what it usually is: the median of thirteen loads.
        let load = if idx < 72 { load(n + idx) } else { 260.0 };
        assert!((point - truth(n + idx, load)).abs() < 8.0, "{idx}: {point} {}", truth(n + idx, load));
    }
    let Learned::Shows(Change::Add { by, .. }) = forecast.influences[0].effect else { panic!("{forecast:?}") };
    assert!((by.abs() - 30.0).abs() < 1.0, "sixty from the usual at the most: {by}");
}

#[test]
fn a_payday_assumed_does_what_paydays_did_and_another_event_is_not_known() {
    let values = paid(98 * 24, 5);
    let under = prepare(&values, &Events::new(vec![event("payday", &paydays()[..7])]), "seasonal-naive");
    let (horizon, coverage) = (Horizon::new(168).unwrap(), Coverage::P95);
    let plain = under.forecast(0, horizon, coverage);
    let with = |name: &str| under.forecast_if(&Events::new(vec![event(name, &[100])]), 0, horizon, coverage).unwrap();
    let (payday, other) = (with("payday"), with("rollout"));
    assert!((payday.points[60] / plain.points[60] - 1.5).abs() < 0.06);
    assert_eq!((other.points[60], payday.points[20]), (plain.points[60], plain.points[20]));
    assert_eq!((plain.events.len(), payday.events.as_slice(), other.events.len()), (0, &["payday".to_owned()][..], 0));
    assert!(other.influences[1].to_string().contains("`rollout` has no effect: it was never seen"));
    // One of the past is another past.
    assert!(under.forecast_if(&Events::new(vec![event("payday", &[90])]), 0, horizon, coverage).is_none());
}

#[test]
fn what_is_assumed_of_an_event_beyond_the_most_is_told_once() {
    let values = paid(98 * 24, 5);
    let names: Vec<String> = (0..34).map(|nr| format!("event {nr}")).collect();
    let events = Events::new(names.iter().map(|name| event(name, &paydays()[..7])).collect());
    let under = prepare(&values, &events, "seasonal-naive");
    let assumed = Events::new(vec![event("event 33", &[100])]);
    let forecast = under.forecast_if(&assumed, 0, Horizon::new(168).unwrap(), Coverage::P95).unwrap();
    let told: Vec<&Influence> = forecast.influences.iter().filter(|told| told.name == "event 33").collect();
    assert!(told.len() == 1 && told[0].to_string().contains("more than 32"), "{told:?}");
    assert!(forecast.events.is_empty());
}

#[test]
fn a_method_that_reckons_with_columns_is_told_of_without_a_model_as_with_one() {
    let values = paid(98 * 24, 5);
    let past = Past::new(MONDAY, hour(), &values);
    let events = Events::new(vec![event("payday", &paydays())]);
    let told = UnderEvents::influences(&past, &events, &request("dynamic-regression", 24));
    assert!(matches!(told[..], [Influence { n_times: 7, effect: Learned::ByMethod, .. }]), "{told:?}");
    assert_eq!(told, week(&prepare(&values, &events, "dynamic-regression")).influences);
}

#[test]
fn a_cycle_without_parts_is_looked_at_as_sharply_as_any() {
    // Days of 131 steps of eleven minutes, and every third day from ten until noon a job.
    let deviation = |n: usize| {
        let mut noise = Noise::seeded(9);
        let is_on = |t: usize| t / 131 % 3 == 1 && (55..66).contains(&(t % 131));
        let shape = |t: usize| 100.0 + 30.0 * (t as f64 / 131.0 * std::f64::consts::TAU).sin();
        let value = |t: usize| shape(t) * if is_on(t) { 1.5 } else { 1.0 };
        let values: Vec<f64> = (0..n).map(|t| value(t) * (0.05 * noise.normal()).exp()).collect();
        let step = Step::seconds(660);
        let at = |t: usize| MONDAY + t as i64 * step.millis();
        let spans = (0..n).filter(|t| is_on(*t)).map(|t| (at(t), at(t + 1))).collect();
        let events = Events::new(vec![Event { name: "job".to_owned(), effect: EventEffect::Recurring(spans) }]);
        let past = Past::new(MONDAY, step, &values);
        let found = Learnt::new(&past, &events.columns(), &[Season::new(131).unwrap()]).estimates()[0];
        assert!((found.coefficient - 1.5f64.ln()).abs() < 0.02, "{n}: {found:?}");
        found.deviation
    };
    let (few, many) = (deviation(5_900), deviation(6_500));
    assert!(many < 1.5 * few, "{few} {many}");
}

#[test]
fn a_replay_knows_what_was_known_at_its_origins() {
    let n = 98 * 24;
    let mut values = paid(n, 5);
    let columns = || Events::new(vec![event("payday", &paydays())]).columns();
    let day = [Season::new(24).unwrap()];
    let learn = |values: &[f64]| Learnt::new(&Past::new(MONDAY, hour(), values), &columns(), &day);
    let learnt = learn(&values);
    let full = learnt.estimates()[0].coefficient;
    assert!((full - 1.5f64.ln()).abs() < 0.04, "{full}");
    let payday = (3 + 14 * 5) * 24 + 1;
    // One payday was seen by the tenth day: nothing was known, so that a point lacks all of it.
    assert_eq!(learnt.learnt_since(10 * 24, payday), full);
    assert!(learnt.learnt_since(70 * 24, payday).abs() < 0.05);
    assert_eq!(learnt.learnt_since(10 * 24, payday + 48), 0.0, "on other days nothing is lacking");
    // What comes later changes nothing of what was known then.
    let known = |learnt: &Learnt| learnt.estimates()[0].coefficient - learnt.learnt_since(60 * 24, payday);
    let then = known(&learnt);
    values.iter_mut().enumerate().skip(60 * 24).for_each(|(t, value)| *value *= if is_payday(t) { 1.2 } else { 1.0 });
    let changed = learn(&values);
    assert!(changed.estimates()[0].coefficient > full + 0.02);
    assert!((known(&changed) - then).abs() < 1e-12, "{} {then}", known(&changed));
    let freed = Freed::of(&learnt);
    let point = freed.as_known_at(10 * 24, payday, 100.0);
    assert!((point / 150.0 - 1.0).abs() < 0.05 && (freed.as_known_now(10 * 24, payday, point) - 100.0).abs() < 1e-9);
}

#[test]
fn what_recurs_in_a_month_is_taken_out_of_that_month_only() {
    let first_of = |nr: i32| {
        let date = chrono::NaiveDate::from_ymd_opt(2015 + nr / 12, nr as u32 % 12 + 1, 1).unwrap();
        Millis::from(date.to_epoch_days()) * DAY
    };
    let is_march = |nr: &i32| nr % 12 == 2;
    let level = |nr: i32| 100.0 + f64::from(nr * 7919 % 13) / 4.0 + if is_march(&nr) { 60.0 } else { 0.0 };
    let samples: Vec<Sample> = (0..96).map(|nr| Sample { at: first_of(nr), value: level(nr) }).collect();
    let history = History::from_samples(&samples, MetricKind::Gauge, None).unwrap();
    let marches = (0..96).filter(is_march).map(|nr| (first_of(nr), first_of(nr + 1))).collect();
    let column = Column::of_windows("campaign".to_owned(), marches);
    let learnt = Learnt::new(&Past::of(&history), &[column], &[]);
    let quiet = learnt.quiet(history.values());
    for nr in 0..96 {
        let (own, left) = (history.values()[nr as usize], quiet[nr as usize]);
        assert!(if is_march(&nr) { left < own - 40.0 } else { left == own }, "{nr}: {left} of {own}");
    }
}

#[test]
fn a_backtest_learns_from_what_lies_before_its_origin() {
    let values = paid(120 * 24, 5);
    let past = Past::new(MONDAY, hour(), &values);
    let events = Events::new(vec![event("payday", &paydays())]);
    let mae = |events: &Events, day: usize| {
        let report = backtest_at(past, events, &request("seasonal-naive", 48), Coverage::P95, day * 24).unwrap();
        report.overall.mae().unwrap()
    };
    // A payday lies in the two days after each.
    assert!(mae(&events, 100) < 0.4 * mae(Events::NONE, 100));
    assert_eq!(mae(&events, 16), mae(Events::NONE, 16), "after one payday nothing is known");
}

#[test]
fn a_column_that_is_hardly_ever_what_is_usual_counts_by_its_turns() {
    let mut noise = Noise::seeded(6);
    let n = 60 * 24;
    let wander = noise.walk(n + 48, 0.99);
    let values: Vec<f64> = (0..n).map(|t| 3.0 * wander[t] + noise.normal()).collect();
    let known = [Regressor { name: "heat".to_owned(), values: wander.clone() }];
    let past = Past::new(MONDAY, hour(), &values).with_regressors(&known);
    let under = UnderEvents::prepare(&past, Events::NONE, &request("moving-average", 48)).unwrap();
    let forecast = under.forecast(0, Horizon::new(48).unwrap(), Coverage::P95);
    assert!(forecast.influences[0].n_times > 3, "{}", forecast.influences[0]);
    for (idx, point) in forecast.points.iter().enumerate() {
        assert!((point - 3.0 * wander[n + idx]).abs() < 2.0, "{idx}: {point} {}", 3.0 * wander[n + idx]);
    }
}

#[test]
fn many_minutes_are_looked_at_by_means_and_gaps_teach_nothing() {
    let mut noise = Noise::seeded(12);
    let minutes = 40 * 24 * 60;
    let is_on = |t: usize| (t / 60) % 100 < 6;
    let mut values: Vec<f64> = (0..minutes)
        .map(|t| (10.0 + (t as f64 / 1440.0 * std::f64::consts::TAU).sin()) * if is_on(t) { 2.0 } else { 1.0 })
        .map(|value| value * (0.05 * noise.normal()).exp())
        .collect();
    values[20_000..21_000].fill(f64::NAN);
    let spans = (0..10).map(|nr| (MONDAY + nr * 100 * HOUR, MONDAY + (nr * 100 + 6) * HOUR)).collect();
    let events = Events::new(vec![Event { name: "batch".to_owned(), effect: EventEffect::Recurring(spans) }]);
    let past = Past::new(MONDAY, Step::seconds(60), &values);
    let learnt = Learnt::new(&past, &events.columns(), &[Season::new(1440).unwrap()]);
    let found = learnt.estimates()[0];
    assert!((found.coefficient - 2f64.ln()).abs() < 0.02, "{found:?}");
    assert_eq!(found.n_times, 10);
    let calm = learnt.quiet(past.values());
    assert!(calm[20_500].is_nan() && (calm[0] / values[0] - 0.5).abs() < 0.02 && calm[1_000] == values[1_000]);
}

#[test]
fn degenerate_pasts_and_columns_have_an_answer() {
    let events = Events::new(vec![event("payday", &[0, 1, 3, 5, 9])]);
    for values in [vec![], vec![5.0], vec![0.0; 300], vec![f64::NAN; 300], vec![1e300; 300], vec![7.0; 30]] {
        let past = Past::new(MONDAY, hour(), &values);
        let told = UnderEvents::influences(&past, &events, &request("auto", 5));
        assert!(matches!(told[0].effect, Learned::Nothing(_)), "{told:?}");
        if let Ok(under) = UnderEvents::prepare(&past, &events, &request("auto", 5)) {
            let forecast = under.forecast(0, Horizon::new(5).unwrap(), Coverage::P95);
            assert!(forecast.points.iter().all(|point| point.is_finite()));
        }
    }
    let values = paid(98 * 24, 5);
    let odd = |name: &str, values: Vec<f64>| Regressor { name: name.to_owned(), values };
    let columns: Vec<Regressor> = [
        odd("nothing", vec![]),
        odd("constant", vec![3.0; 3_000]),
        odd("gaps", vec![f64::NAN; 3_000]),
        odd("huge", (0..3_000).map(|t| if t % 97 < 5 { 1e300 } else { -1e300 }).collect()),
    ]
    .into_iter()
    .chain((0..40).map(|nr| odd("more", (0..3_000).map(|t| f64::from(u8::from(t % (50 + nr) < 3))).collect())))
    .collect();
    let past = Past::new(MONDAY, hour(), &values);
    for used in [&columns[..1], &columns[1..2], &columns[2..3], &columns[3..4], &columns[..]] {
        let beside = past.with_regressors(used);
        let under = UnderEvents::prepare(&beside, Events::NONE, &request("seasonal-naive", 5)).unwrap();
        let forecast = under.forecast(0, Horizon::new(5).unwrap(), Coverage::P95);
        assert!(forecast.points.iter().all(|point| point.is_finite()));
        assert_eq!(forecast.influences.len(), used.len());
    }
    let told = UnderEvents::influences(&past.with_regressors(&columns), Events::NONE, &request("auto", 5));
    assert!(told[40].to_string().contains("more than 32"), "{}", told[40]);
}

#[test]
fn what_rests_at_night_has_a_share_more_by_day_and_nothing_by_night() {
    let mut noise = Noise::seeded(4);
    let shape = |t: usize| 100.0 * ((t as f64 - 6.0) / 24.0 * std::f64::consts::TAU).sin().max(0.0);
    let n = 98 * 24;
    let values: Vec<f64> =
        (0..n).map(|t| shape(t) * if is_payday(t) { 1.5 } else { 1.0 } * (0.05 * noise.normal()).exp()).collect();
    let forecast = week(&prepare(&values, &Events::new(vec![event("payday", &paydays())]), "seasonal-naive"));
    let off = (72..96).map(|idx| (forecast.points[idx] - 1.5 * shape(n + idx)).abs()).fold(0.0, f64::max);
    assert!(off < 30.0, "{off}: {:?}", &forecast.points[72..96]);
    assert!((74..77).all(|idx| forecast.points[idx] < 1.0), "nothing by night: {:?}", &forecast.points[72..96]);
    let Learned::Shows(Change::Times { by, .. }) = forecast.influences[0].effect else { panic!("{forecast:?}") };
    assert!((by - 1.5).abs() < 0.05, "{by}");
    // Below zero by night, a share has no meaning; and an amount that helps nobody is not put in.
    let lower: Vec<f64> = values.iter().enumerate().map(|(t, value)| value - 50.0 + (t % 5) as f64).collect();
    let forecast = week(&prepare(&lower, &Events::new(vec![event("payday", &paydays())]), "seasonal-naive"));
    assert!(matches!(forecast.influences[0].effect, Learned::Nothing(_)), "{:?}", forecast.influences);
}
