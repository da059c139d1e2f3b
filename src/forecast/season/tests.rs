//! Cycles that are found, and none where there is none.

use super::*;
use crate::forecast::tests::Noise;
use crate::forecast::{Coverage, Forecast, Horizon, Request, prepare};
use crate::series::{History, Step};

fn history(step_seconds: u32, values: Vec<f64>) -> History {
    History::new(0, Step::seconds(step_seconds), values)
}

fn found(step_seconds: u32, values: Vec<f64>) -> Vec<usize> {
    find_seasons(&history(step_seconds, values)).into_iter().map(Season::steps).collect()
}

/// Hours, forecast as far as was asked.
fn answer(values: Vec<f64>, request: &Request) -> Forecast {
    let prepared = prepare(&history(3600, values), request).unwrap();
    prepared.forecast(request.horizon, Coverage::new(0.8).unwrap())
}

fn daily(noise: &mut Noise, per_day: usize, n: usize, level: f64) -> Vec<f64> {
    let day = |t: usize| (std::f64::consts::TAU * t as f64 / per_day as f64).sin();
    (0..n).map(|t| 50.0 + 4.0 * day(t) + level * noise.normal()).collect()
}

#[test]
fn days_are_found_at_every_step() {
    let mut noise = Noise::seeded(1);
    for (step, per_day, n_days) in [(300, 288, 7), (60, 1440, 4), (3600, 24, 10), (900, 96, 5)] {
        for level in [0.5, 2.0] {
            let values = daily(&mut noise, per_day, per_day * n_days + per_day / 3, level);
            assert_eq!(found(step, values).first(), Some(&per_day), "step {step}, noise {level}");
        }
    }
}

#[test]
fn weeks_are_found_on_days_and_over_the_day() {
    let mut noise = Noise::seeded(2);
    let weekday = [0.0, 0.5, 0.2, 0.1, -0.3, -3.0, -3.5];
    let days = (0..120).map(|t| 20.0 + weekday[t % 7] + 0.7 * noise.normal()).collect();
    assert_eq!(found(86_400, days), [7]);
    let hours = (0..24 * 7 * 5)
        .map(|t| {
            20.0 + 3.0 * ((t % 24) as f64 / 24.0 * std::f64::consts::TAU).sin()
                + weekday[t / 24 % 7]
                + 0.7 * noise.normal()
        })
        .collect();
    let mut both = found(3600, hours);
    both.sort_unstable();
    assert_eq!(both, [24, 168]);
}

#[test]
fn a_cycle_no_calendar_knows_is_found() {
    let mut noise = Noise::seeded(3);
    for cycle in [10, 37, 90] {
        let saw = (0..900).map(|t| (t % cycle) as f64 / cycle as f64 * 6.0 + noise.normal()).collect();
        let seasons = found(7, saw);
        assert_eq!(seasons.first(), Some(&cycle), "{seasons:?}");
    }
}

#[test]
fn noise_trends_and_random_walks_have_none() {
    let mut noise = Noise::seeded(4);
    let mut called = 0;
    for nr in 0..120 {
        let n = [60, 200, 700, 2000][nr % 4];
        let mut level = 0.0;
        let values = (0..n)
            .map(|t| match nr % 3 {
                0 => noise.normal(),
                1 => {
                    level += noise.normal();
                    level
                }
                _ => t as f64 * 0.05 + noise.normal(),
            })
            .collect();
        called += usize::from(!found([60, 300, 3600, 86_400][nr / 4 % 4], values).is_empty());
    }
    assert!(called <= 5, "{called} of 120");
    assert!(found(60, vec![5.0; 3000]).is_empty());
    assert!(found(60, (0..3000).map(f64::from).collect()).is_empty());
    assert!(found(60, vec![f64::NAN; 3000]).is_empty());
}

#[test]
fn a_choice_reads_as_people_write_it() {
    assert_eq!("auto".parse(), Ok(SeasonChoice::Auto));
    assert_eq!("none".parse(), Ok(SeasonChoice::None));
    assert_eq!("24".parse(), Ok(SeasonChoice::Steps(Season::new(24).unwrap())));
    for bad in ["1", "0", "-3", "daily", ""] {
        assert!(bad.parse::<SeasonChoice>().is_err(), "{bad}");
    }
}

/// Minutes and five minutes, where a week has ten thousand and two thousand places.
#[test]
fn a_day_in_minutes_and_a_week_in_five_minutes_are_found() {
    let mut noise = Noise::seeded(5);
    let weekday = [0.0, 0.3, 0.2, 0.1, -0.2, -2.0, -2.4];
    let load = |t: usize, per_day: usize, noise: &mut Noise| {
        let hour = t as f64 / per_day as f64 * std::f64::consts::TAU;
        30.0 + 4.0 * hour.sin() + 1.5 * (2.0 * hour).cos() + weekday[t / per_day % 7] + noise.normal()
    };
    for n_weeks in [3, 4] {
        let values = (0..2016 * n_weeks + 500).map(|t| load(t, 288, &mut noise)).collect();
        let mut both = found(300, values);
        both.sort_unstable();
        assert_eq!(both, [288, 2016], "{n_weeks} weeks");
    }
    let values = (0..1440 * 5).map(|t| load(t % 1440, 1440, &mut noise)).collect();
    assert_eq!(found(60, values), [1440]);
    // A week that is told by its weekend alone, in errors that remember.
    let mut error = 0.0;
    let values = (0..2016 * 4)
        .map(|t| {
            error = 0.9 * error + noise.normal();
            load(t, 288, &mut noise) + error
        })
        .collect();
    let both = found(300, values);
    assert!(both.iter().all(|steps| [288, 2016].contains(steps)) && both.contains(&288), "{both:?}");
}

/// Jobs and squares of minutes that no clock knows, under which cycles of five and ten minutes show, and which a count
/// that is customary in hours must not hide.
#[test]
fn a_cycle_of_the_calendar_does_not_hide_the_one_it_is_a_shadow_of() {
    let mut noise = Noise::seeded(6);
    for cycle in [25, 50, 140] {
        let job = (0..2000).map(|t| 5.0 + 30.0 * f64::from(t % cycle < 3) + 2.0 * noise.normal()).collect();
        assert_eq!(found(60, job).first(), Some(&(cycle as usize)), "a job every {cycle} minutes");
        let square = (0..2000).map(|t| 20.0 * f64::from(t % cycle < cycle / 2) + 2.0 * noise.normal()).collect();
        assert_eq!(found(60, square).first(), Some(&(cycle as usize)), "a square of {cycle} minutes");
    }
}

#[test]
fn days_that_are_not_one_or_seven_are_found() {
    let mut noise = Noise::seeded(7);
    let payday =
        (0..336).map(|t| 100.0 + 20.0 * f64::from(t % 7 < 5) + 100.0 * f64::from(t % 14 == 4) + 5.0 * noise.normal());
    assert_eq!(found(86_400, payday.collect()), [14]);
    let hour = |t: i32| (f64::from(t % 24) / 24.0 * std::f64::consts::TAU).sin();
    let job = (0..960).map(|t| 30.0 + 10.0 * hour(t) + 50.0 * f64::from(t % 48 < 3) + 2.0 * noise.normal());
    assert_eq!(found(3600, job.collect()).first(), Some(&48));
    let rota = (0..1008).map(|t| 30.0 + 5.0 * hour(3 * t) + 20.0 * f64::from(t % 72 < 24) + 2.0 * noise.normal());
    assert_eq!(found(3600, rota.collect()).first(), Some(&72));
}

/// A reset spreads over all overtones of its cycle, so that none stands out in the spectrum.
#[test]
fn a_reset_every_so_often_is_heard() {
    let mut noise = Noise::seeded(8);
    for _ in 0..10 {
        let mut level = 0.0;
        let saw = (0..1200).map(|t| {
            level = if t % 100 == 0 { 0.0 } else { level + (1.0 + 0.3 * noise.normal()).abs() };
            level
        });
        assert_eq!(found(300, saw.collect()), [100]);
    }
}

/// Two bursts as far apart as they happen to be are no cycle.
#[test]
fn bursts_and_levels_that_switch_have_none() {
    let mut noise = Noise::seeded(9);
    let mut called = 0;
    for _ in 0..20 {
        let mut left = 0;
        let bursts = (0..2000).map(|_| {
            left = if left == 0 && noise.uniform() < 0.005 { 6 } else { left - 1.min(left) };
            3.0 + 40.0 * f64::from(u8::from(left > 0))
        });
        called += usize::from(!found(60, bursts.collect()).is_empty());
        let mut is_on = false;
        let switched = (0..2000).map(|_| {
            is_on ^= noise.uniform() < 0.025;
            f64::from(u8::from(is_on)) + 0.1 * noise.normal()
        });
        called += usize::from(!found(60, switched.collect()).is_empty());
    }
    assert!(called <= 2, "{called} of 40");
}

#[test]
fn a_day_is_found_at_steps_that_do_not_divide_it() {
    let mut noise = Noise::seeded(10);
    for (step, n, day) in [(61, 14_000, 1416), (660, 1830, 131), (420, 2880, 206)] {
        let values = (0..n).map(|t| {
            let at = f64::from(t * step) / 86_400.0 * std::f64::consts::TAU;
            50.0 + 20.0 * at.sin() + 8.0 * (2.0 * at).cos() + 3.0 * noise.normal()
        });
        assert_eq!(found(step as u32, values.collect()), [day], "a step of {step} s");
    }
    // Of days of 4.8 steps five are 24.
    let values = (0..480).map(|t| (f64::from(t) / 4.8 * std::f64::consts::TAU).sin() + 0.2 * noise.normal());
    assert_eq!(found(18_000, values.collect()), [24]);
}

#[test]
fn a_minute_is_found_in_seconds() {
    let mut noise = Noise::seeded(11);
    let values = (0..7200).map(|t| 100.0 + 10.0 * f64::from(t % 60 < 5) + noise.normal());
    assert_eq!(found(1, values.collect()), [60]);
    let quarters = (0..1920).map(|t| 5.0 + 2.0 * (f64::from(t) / 240.0 * std::f64::consts::TAU).sin());
    let step = Step::new(250).unwrap();
    let values = quarters.map(|value| value + 0.5 * noise.normal()).collect();
    assert_eq!(find_season(&History::new(0, step, values)).map(Season::steps), Some(240));
}

/// What is customary without a clock: quarters, months, weeks and days as if they were hours, and nothing in minutes.
#[test]
fn counts_without_a_clock_are_tried_in_hours_alone() {
    let values = vec![0.0; 4000];
    let candidates = |step| candidates(&Past::new(0, Step::seconds(step), &values));
    for customary in [4, 7, 12, 24, 52, 168, 288, 1440] {
        assert!(candidates(3600).contains(&customary), "{customary}");
    }
    assert_eq!(candidates(60), [5, 10, 15, 30, 60, 360, 720, 1440]);
    assert_eq!(candidates(86_400), [7, 31, 365]);
    assert_eq!(candidates(300), [6, 12, 72, 144, 288]);
    let mut noise = Noise::seeded(12);
    for (cycle, n) in [(4, 48), (7, 140), (12, 96), (52, 260)] {
        let values = (0..n).map(|t| 3.0 * (f64::from(t) / f64::from(cycle) * std::f64::consts::TAU).sin());
        let values = values.map(|value| value + 0.5 * noise.normal()).collect();
        assert_eq!(found(3600, values), [cycle as usize]);
    }
}

/// Hours from nine to five, weekdays only: three cells of ten are seen, and each place of the day and the week often.
#[test]
fn seasons_are_found_where_only_hours_of_business_are_seen() {
    let mut noise = Noise::seeded(13);
    let is_seen = |t: usize| t / 24 % 7 < 5 && (8..18).contains(&(t % 24));
    let gap = |t: usize, value: f64| if is_seen(t) { value } else { f64::NAN };
    let shape = |t: usize| 30.0 * ((t % 24) as f64 - 8.0).sin() + 10.0 * (t / 24 % 7) as f64;
    let week: Vec<f64> = (0..1680).map(|t| gap(t, 100.0 + shape(t) + 3.0 * noise.normal())).collect();
    let mut both = found(3600, week.clone());
    both.sort_unstable();
    assert_eq!(both, [24, 168]);
    let day = (0..840).map(|t| if t % 24 < 9 { (t % 24) as f64 + 0.5 * noise.normal() } else { f64::NAN });
    assert_eq!(found(3600, day.collect()), [24]);
    // Noise that is seen at such hours has no season, nor has a walk of which seven cells in ten are missing.
    let mut called = 0;
    for _ in 0..30 {
        called += usize::from(!found(3600, (0..1680).map(|t| gap(t, noise.normal())).collect()).is_empty());
        let walk = noise.walk(1400, 1.0);
        let holes = walk.into_iter().map(|value| if noise.uniform() < 0.7 { f64::NAN } else { value });
        called += usize::from(!found(3600, holes.collect()).is_empty());
    }
    assert!(called <= 1, "{called} of 60");
    // And the forecast knows the hours: without a season it misses by 15.
    let request = Request { horizon: Horizon::new(48).unwrap(), ..Request::default() };
    let points = answer(week[..1602].to_vec(), &request).points;
    let missed: Vec<f64> = (0..48)
        .filter(|lead| is_seen(1602 + lead))
        .map(|lead| (points[lead] - 100.0 - shape(1602 + lead)).abs())
        .collect();
    assert!(missed.len() == 10 && mean(missed.iter().copied()) < 4.0, "{missed:?}");
}

#[test]
fn no_season_is_told_that_is_only_hinted_at() {
    let mut noise = Noise::seeded(14);
    let mut told = 0;
    let mut n_hinted = 0;
    for nr in 0..60 {
        let values: Vec<f64> = (0..[100, 200][nr % 2]).map(|_| 50.0 + 5.0 * noise.normal()).collect();
        n_hinted += usize::from(!look_for_seasons(&Past::new(0, Step::seconds(3600), &values)).is_empty());
        told += usize::from(answer(values, &Request::default()).season.is_some());
    }
    assert!(n_hinted >= 10, "only {n_hinted} of 60 hint at one");
    assert!(told <= 2, "{told} of 60");
}

#[test]
fn the_answer_has_the_season_that_was_given() {
    let mut noise = Noise::seeded(15);
    let weekday = [0.0, 3.0, 2.0, 1.0, -2.0, -12.0, -14.0];
    let values: Vec<f64> = (0..24 * 7 * 6)
        .map(|t: usize| 50.0 + 9.0 * ((t % 24) as f64 / 3.8).sin() + weekday[t / 24 % 7] + noise.normal())
        .collect();
    for given in [12, 24, 168] {
        let season = SeasonChoice::Steps(Season::new(given).unwrap());
        assert_eq!(answer(values.clone(), &Request { season, ..Request::default() }).season, Some(given));
    }
}
