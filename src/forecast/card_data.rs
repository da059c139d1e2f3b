//! What the methods around Card look at: a whole stretch of transformed values, and what kind of series it is.
//!
//! Source: Doornik, Castle and Hendry, "Card forecasts for M4", International Journal of Forecasting 36, 2020, for the
//! three indicators and their bounds.

use statrs::distribution::{ContinuousCDF, FisherSnedecor};

use super::fourier::autocorrelations;
use super::model::FitError;
use super::past::Past;
use super::transform::Transform;
use crate::series::{Season, filled};

/// Cells that a fit looks back on: half a year of hours.
const LONGEST: usize = 5000;

/// Cycles of the longest season that a fit looks back on when that is longer.
const MOST_CYCLES: usize = 8;

/// The least values a fit needs.
pub(super) const LEAST_VALUES: usize = 4;

/// Cycles from which a season counts.
const LEAST_CYCLES: usize = 3;

/// Differences that vary less than this many times as much as the levels are those of a series that wanders.
const MOST_DIFFERENCE: f64 = 1.2;

/// The chance with which noise passes for a season: 10 %.
const SIGNIFICANCE: f64 = 0.10;

/// An F ratio beyond which no table is needed, nor has enough digits.
const CERTAIN: f64 = 1e6;

/// The 90 % point of chi-square with one degree of freedom.
const CHI_SQUARE: f64 = 2.706;

/// The stretch a method is fitted to.
#[derive(Clone, Debug)]
pub(super) struct Stretch {
    pub transform: Transform,
    /// On the method's scale, without gaps: from the last long gap on, short ones filled by lines.
    pub values: Vec<f64>,
    /// Cells after the last value: the stretch ends before them.
    pub n_silent: usize,
    /// The seasons of which it holds enough cycles, shortest first.
    pub seasons: Vec<usize>,
}

impl Stretch {
    pub fn of(past: &Past<'_>, seasons: &[Season]) -> Result<Stretch, FitError> {
        let mut seasons: Vec<usize> = seasons.iter().map(|season| season.steps()).collect();
        seasons.sort_unstable();
        seasons.dedup();
        let tail = past.tail(LONGEST.max(MOST_CYCLES * seasons.last().copied().unwrap_or(1)));
        let cells = tail.values();
        let n_values = cells.len() - tail.n_gaps();
        let end = cells.iter().rposition(|value| !value.is_nan()).map_or(0, |last| last + 1);
        if n_values < LEAST_VALUES {
            return Err(FitError::TooShort { needed: LEAST_VALUES, got: n_values });
        }
        // A line across a quarter of the shortest cycle invents no pattern; across more it would.
        let longest_gap = (seasons.first().copied().unwrap_or(1) / 4).max(2);
        let mut from = end;
        let (mut gap, mut n_seen) = (0, 0);
        for (idx, value) in cells[..end].iter().enumerate().rev() {
            gap = if value.is_nan() { gap + 1 } else { 0 };
            n_seen += usize::from(!value.is_nan());
            if gap > longest_gap && n_seen >= LEAST_VALUES {
                break;
            }
            if !value.is_nan() {
                from = idx;
            }
        }
        let cells = filled(&cells[from..end]);
        let transform = Transform::of(&cells);
        let values: Vec<f64> = cells.iter().map(|&value| transform.apply(value)).collect();
        seasons.retain(|steps| LEAST_CYCLES * steps < values.len());
        Ok(Stretch { transform, values, n_silent: tail.len() - end, seasons })
    }

    /// The shortest season; 1 without.
    pub fn season(&self) -> usize {
        self.seasons.first().copied().unwrap_or(1)
    }
}

/// What kind of series it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Nature {
    /// Its differences say more than its levels.
    pub wanders: bool,
    /// The places of its cycle differ and keep doing so.
    pub has_profile: bool,
    /// It resembles itself one cycle ago.
    pub comes_back: bool,
}

/// The population variance.
fn variance(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let n = values.clone().count().max(1) as f64;
    let mean = values.clone().sum::<f64>() / n;
    values.map(|value| (value - mean).powi(2)).sum::<f64>() / n
}

/// `values[t] - values[t - 1]`.
pub(super) fn changes(values: &[f64]) -> Vec<f64> {
    values.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

impl Nature {
    /// Of values without gaps; a `season` of 1 is none.
    pub fn of(values: &[f64], season: usize) -> Nature {
        let differences = changes(values);
        let wanders = variance(differences.iter().copied()) < MOST_DIFFERENCE * variance(values.iter().copied());
        let z = if wanders { &differences[..] } else { values };
        if season < 2 || z.len() / season < LEAST_CYCLES {
            return Nature { wanders, has_profile: false, comes_back: false };
        }
        let has_profile = fold_ratio(z, season).is_some_and(|(ratio, between, within)| {
            ratio > CERTAIN || FisherSnedecor::new(between, within).is_ok_and(|f| f.sf(ratio) < SIGNIFICANCE)
        });
        Nature { wanders, has_profile, comes_back: resemblance(z, season) > CHI_SQUARE }
    }
}

/// How much more the means of the places differ than the cycles do, with the degrees of freedom of both.
fn fold_ratio(z: &[f64], season: usize) -> Option<(f64, f64, f64)> {
    let rows = &z[z.len() % season..];
    let n_rows = rows.len() / season;
    let means = (0..season).map(|place| rows.iter().skip(place).step_by(season).sum::<f64>() / n_rows as f64);
    let (of_means, of_all) = (variance(means), variance(rows.iter().copied()));
    let (between, within) = ((season - 1) as f64, (season * (n_rows - 1)) as f64);
    let rest = of_all - of_means;
    if rest <= 1e-12 * of_all {
        return (of_all > 0.0).then_some((f64::INFINITY, between, within));
    }
    Some((within / between * of_means / rest, between, within))
}

/// The squared autocorrelation one cycle ago in units of its variance.
fn resemblance(z: &[f64], season: usize) -> f64 {
    let r = autocorrelations(z, season);
    let shorter: f64 = r[1..season].iter().map(|r| r * r).sum();
    z.len() as f64 * r[season] * r[season] / (1.0 + shorter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::air_passengers::AIR_PASSENGERS;
    use crate::series::Step;

    /// The indicators' worked numbers: the passengers in logarithms, and three rows by hand.
    #[test]
    fn the_indicators_give_the_worked_numbers() {
        let y = AIR_PASSENGERS.map(f64::ln);
        let z = changes(&y);
        assert!((variance(z.iter().copied()) - 0.011275).abs() < 5e-7);
        assert!((variance(y.iter().copied()) - 0.193530).abs() < 5e-7);
        assert!((fold_ratio(&z, 12).unwrap().0 - 80.46).abs() < 0.005);
        assert!((resemblance(&z, 12) - 73.27).abs() < 0.005, "{}", resemblance(&z, 12));
        let (ratio, between, within) = fold_ratio(&[1., 4., 2., 2., 5., 4., 1., 6., 3.], 3).unwrap();
        assert!((ratio - 13.0).abs() < 1e-9 && (between, within) == (2.0, 6.0), "{ratio}");
        assert_eq!(Nature::of(&y, 12), Nature { wanders: true, has_profile: true, comes_back: true });
        assert_eq!(Nature::of(&[5.0; 40], 4), Nature { wanders: false, has_profile: false, comes_back: false });
    }

    #[test]
    fn a_stretch_begins_after_a_long_gap_and_fills_short_ones() {
        let gap = f64::NAN;
        let mut values: Vec<f64> = (0..40).map(|t| 100.0 + f64::from(t)).collect();
        values[10..16].fill(gap);
        values[20] = gap;
        values.extend([gap; 3]);
        let season = Season::new(4).unwrap();
        let stretch = Stretch::of(&Past::new(0, Step::seconds(1), &values), &[season]).unwrap();
        assert_eq!((stretch.values.len(), stretch.n_silent, stretch.season()), (24, 3, 4));
        assert!((stretch.transform.undo(stretch.values[4]) - 120.0).abs() < 1e-9);
        let short = Stretch::of(&Past::new(0, Step::seconds(1), &values[15..18]), &[season]).unwrap_err();
        assert_eq!(short, FitError::TooShort { needed: LEAST_VALUES, got: 2 });
    }
}
