//! Is the series rising, falling or neither?
//!
//! In: a history and its season. Out: the heading, the change per step, and how likely a change this steady is when
//! nothing rises or falls.
//!
//! The season is taken off and the history thinned to at most [`MOST_POINTS`] means, whose slope is tested with all
//! the wandering that the means may show taken into account.

use super::outlook::{Direction, Heading};
use super::past::Past;
use super::profile::{centred, profile_of};
use super::scale::Scale;
use super::slope::{LEAST_POINTS, slope_test};
use super::smoothing::line_through;
use crate::series::Season;

/// Means that the history is thinned to. Few, so that noise averages out and a wandering level shows as one.
const MOST_POINTS: usize = 40;

/// A slope this unlikely by chance is a heading.
const SIGNIFICANCE: f64 = 0.05;

const UNKNOWN: Direction = Direction { heading: Heading::Flat, slope_per_step: 0.0, p_value: 1.0 };

/// The heading of `history`, cleared of `season`.
pub fn direction<'a>(history: impl Into<Past<'a>>, season: Option<Season>) -> Direction {
    let history = history.into();
    let cells = history.values();
    if cells.len() - history.n_gaps() < LEAST_POINTS {
        return UNKNOWN;
    }
    let scale = Scale::centred(cells);
    let scaled: Vec<f64> = cells.iter().map(|&value| scale.apply(value)).collect();
    let season = season.map(Season::steps).filter(|season| scaled.len() >= 2 * season);
    let clear = without_season(scaled, season);
    // Blocks of whole cycles where there are enough of them; what is left of the season then averages out.
    let unit = season.filter(|season| clear.len() / season >= 20).unwrap_or(1);
    let n_units = clear.len() / unit;
    let block = unit * n_units.div_ceil(MOST_POINTS).max(1);
    let means: Vec<f64> =
        clear[clear.len() % block..].chunks(block).map(|cells| super::backtest::mean(cells.iter().copied())).collect();
    let Some((slope, p_value)) = slope_test(&means) else {
        return UNKNOWN;
    };
    let heading = match slope {
        _ if p_value >= SIGNIFICANCE || slope == 0.0 => Heading::Flat,
        slope if slope > 0.0 => Heading::Rising,
        _ => Heading::Falling,
    };
    let slope_per_step = (slope / block as f64 * scale.unit()).clamp(-f64::MAX, f64::MAX);
    Direction { heading, slope_per_step, p_value }
}

/// Takes the season's profile off, measured about the line that values a whole number of cycles apart show.
fn without_season(mut values: Vec<f64>, season: Option<usize>) -> Vec<f64> {
    let Some(season) = season else {
        return values;
    };
    let whole: Vec<(f64, f64)> = values
        .iter()
        .enumerate()
        .skip(values.len() % season)
        .filter(|(_, value)| !value.is_nan())
        .map(|(idx, &value)| (idx as f64, value))
        .collect();
    let (intercept, slope) = line_through(&whole);
    let detrended: Vec<f64> =
        values.iter().enumerate().map(|(idx, value)| value - intercept - slope * idx as f64).collect();
    let profile = centred(profile_of(&detrended, season));
    for (idx, value) in values.iter_mut().enumerate() {
        *value -= profile[idx % season];
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::tests::Noise;
    use crate::series::{History, Step};

    fn of(values: Vec<f64>, season: usize) -> Direction {
        direction(&History::new(0, Step::seconds(60), values), Season::new(season))
    }

    /// How many of a hundred histories made by `next` are called rising or falling.
    fn called(n: usize, season: usize, mut next: impl FnMut(&mut Noise, usize) -> Vec<f64>) -> f64 {
        const N_SEEDS: usize = 400;
        let mut noise = Noise::seeded(n as u64);
        let n_called = (0..N_SEEDS).filter(|_| of(next(&mut noise, n), season).heading != Heading::Flat).count();
        100.0 * n_called as f64 / N_SEEDS as f64
    }

    #[test]
    fn a_level_that_wanders_is_called_in_one_case_of_ten_at_most() {
        for n in [50, 100, 300] {
            for kept in [1.0, 0.98, 0.9, 0.7] {
                let share = called(n, 0, |noise, n| noise.walk(n, kept));
                assert!(share <= 10.0, "{n} values that keep {kept}: {share} %");
            }
        }
        let shorter = called(30, 0, |noise, n| noise.walk(n, 1.0));
        assert!(shorter <= 10.0, "random walks of 30: {shorter} %");
    }

    #[test]
    fn noise_does_not_hide_that_a_level_wanders() {
        for n in [50, 100, 300] {
            for deviation in [1.0, 3.0, 10.0] {
                let share = called(n, 0, |noise, n| {
                    noise.walk(n, 1.0).into_iter().map(|level| level + deviation * noise.normal()).collect()
                });
                assert!(share <= 13.0, "{n} values of a walk under noise of {deviation}: {share} %");
            }
        }
    }

    #[test]
    fn chance_alone_is_called_flat() {
        for n in [8, 30, 100, 700] {
            let share = called(n, 0, |noise, n| (0..n).map(|_| noise.normal()).collect());
            assert!(share <= 5.0, "white noise of {n}: {share} %");
        }
        let seasonal = called(24 * 9 + 7, 24, |noise, n| {
            (0..n).map(|t| 5.0 * ((t % 24) as f64 / 24.0 * std::f64::consts::TAU).sin() + noise.normal()).collect()
        });
        assert!(seasonal <= 5.0, "seasonal noise: {seasonal} %");
    }

    #[test]
    fn a_clear_trend_is_called_in_nine_cases_of_ten_at_least() {
        // The rise over the whole history in deviations of the noise about it, and how sticky that noise is.
        for (rise, kept, lengths) in [
            (6.0, 0.0, [50, 100, 300].as_slice()),
            (4.0, 0.0, &[100, 300]),
            (10.0, 0.5, &[50, 100, 300]),
            (20.0, 0.9, &[50, 100, 300]),
        ] {
            for &n in lengths {
                let deviation = 1.0 / (1.0_f64 - kept * kept).sqrt();
                let per_step = rise * deviation / n as f64;
                let share = called(n, 0, |noise, n| {
                    let values = noise.walk(n, kept).into_iter().enumerate();
                    values.map(|(t, off)| per_step * t as f64 + off).collect()
                });
                assert!(share >= 90.0, "a rise of {rise} in {n} values that keep {kept}: {share} %");
            }
        }
        // A drift as large as the walk's own steps.
        for n in [50, 100, 300] {
            let drifting = called(n, 0, |noise, n| {
                noise.walk(n, 1.0).into_iter().enumerate().map(|(t, level)| level + t as f64).collect()
            });
            assert!(drifting >= 90.0, "a drifting walk of {n}: {drifting} %");
        }
    }

    #[test]
    fn a_trend_is_called_through_noise_season_and_gaps() {
        let mut noise = Noise::seeded(8);
        for sign in [1.0, -1.0] {
            let mut values: Vec<f64> = (0..24 * 14)
                .map(|t| sign * 0.02 * t as f64 + 5.0 * ((t % 24) as f64 / 4.0).sin() + noise.normal())
                .collect();
            values[40..60].fill(f64::NAN);
            let found = of(values, 24);
            assert_eq!(found.heading, if sign > 0.0 { Heading::Rising } else { Heading::Falling });
            assert!((found.slope_per_step - sign * 0.02).abs() < 0.003, "{found:?}");
            assert!(found.p_value < 0.001);
        }
    }

    #[test]
    fn a_line_is_certain_and_a_constant_is_flat() {
        let line = of((0..50).map(|t| 1e9 + 3.0 * f64::from(t)).collect(), 0);
        assert_eq!(line.heading, Heading::Rising);
        assert!((line.slope_per_step - 3.0).abs() < 1e-6 && line.p_value < 1e-9, "{line:?}");
        for values in [vec![4.0; 50], vec![f64::NAN; 50], vec![1.0, 2.0], vec![], vec![0.1; 9]] {
            let found = of(values, 0);
            assert_eq!((found.heading, found.p_value), (Heading::Flat, 1.0));
        }
    }
}
