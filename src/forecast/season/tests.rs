//! Cycles that are found, and none where there is none.

use super::*;
use crate::forecast::tests::Noise;
use crate::series::{History, Step};

fn history(step_seconds: u32, values: Vec<f64>) -> History {
    History::new(0, Step::seconds(step_seconds), values)
}

fn found(step_seconds: u32, values: Vec<f64>) -> Vec<usize> {
    find_seasons(&history(step_seconds, values)).into_iter().map(Season::steps).collect()
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
