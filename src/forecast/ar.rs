//! Autoregression: a value is a weighted sum of those before it, and of the two a cycle ago.
//!
//! In: at least [`LEAST_VALUES`] values. Out: the recursion, continued. Values are differenced once where KPSS says that
//! their level wanders. The lags are the last ones, 1 to as many as AICc asks for, with m and m + 1 or without; all of
//! these candidates come from the sums of one pass. Rows that touch a gap are left out; a gap among the last values is
//! bridged by what the model expected there.
//!
//! Source: Hamilton, "Time Series Analysis", 1994, chapter 5 (conditional least squares); Hurvich and Tsai, "Regression
//! and time series model selection in small samples", 1989 (AICc).

use super::continued::Continued;
use super::least_squares::Normal;
use super::model::{FitError, Fitted, Forecaster};
use super::past::Past;
use super::recursion::Recursion;
use super::stationarity::{differences, n_differences};
use super::transform::Transform;
use crate::series::Season;

/// Fewer leave too few rows for one lag.
const LEAST_VALUES: usize = 8;

/// Cells that a fit looks back on.
const LONGEST: usize = 5000;

/// Cycles that a fit looks back on when that is longer.
const MOST_CYCLES: usize = 8;

/// Consecutive lags that are considered.
const MOST_LAGS: usize = 12;

/// Values that a lag must have to itself.
const VALUES_PER_LAG: usize = 10;

/// One row in so many must be without a gap.
const LEAST_SHARE_OF_ROWS: usize = 6;

/// A sum of squares below this share of the first is rounding.
const ROUNDING: f64 = 1e-14;

const NAMES: [&str; 3] = ["lags", "differences", "season"];

/// Uses one season.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ar {
    pub season: Option<Season>,
}

/// The columns of the regression, the constant being column 0 and these following, and the sums.
struct Sums {
    lags: Vec<usize>,
    normal: Normal,
    n_rows: usize,
}

impl Sums {
    fn of(values: &[f64], lags: Vec<usize>) -> Sums {
        let reach = lags.iter().copied().max().unwrap_or(0);
        let has_gaps = values.iter().any(|value| value.is_nan());
        let is_known =
            |t: &usize| !has_gaps || !(values[*t].is_nan() || lags.iter().any(|lag| values[t - lag].is_nan()));
        let rows: Vec<usize> = (reach..values.len()).filter(is_known).collect();
        let mut columns = vec![1.0; rows.len()];
        for lag in lags.iter().chain([&0]) {
            columns.extend(rows.iter().map(|t| values[t - lag]));
        }
        let n_rows = rows.len();
        let (columns, values) = columns.split_at(n_rows * (lags.len() + 1));
        let normal = if n_rows == 0 {
            Normal::new(lags.len() + 1)
        } else {
            Normal::of_columns(columns.chunks_exact(n_rows), values, None)
        };
        Sums { lags, normal, n_rows }
    }

    fn reach(&self) -> usize {
        self.lags.iter().copied().max().unwrap_or(0)
    }

    /// The columns with the least AICc: nested by the number of consecutive lags, with the cycle's (the first
    /// `n_of_cycle` lags) or without, with a constant or, if `may_lack`, without. Their coefficients beside them.
    fn best(&self, n_of_cycle: usize, may_lack: bool) -> Option<(Vec<usize>, Vec<f64>)> {
        let n = self.n_rows as f64;
        let mut best: (f64, Vec<usize>) = (f64::INFINITY, Vec::new());
        for has_constant in [false, true].into_iter().filter(|has| *has || may_lack) {
            for n_skipped in [n_of_cycle, 0] {
                let constant = has_constant.then_some(0);
                let order: Vec<usize> = constant.into_iter().chain(1 + n_skipped..=self.lags.len()).collect();
                let solution = self.normal.on(&order).solve()?;
                let least = usize::from(has_constant);
                for (n_columns, rest) in solution.rests.iter().enumerate().skip(least) {
                    let k = (n_columns + 1) as f64;
                    if n <= k + 1.0 {
                        break;
                    }
                    let rest = rest.max(ROUNDING * solution.rests[0]).max(f64::MIN_POSITIVE);
                    let aicc = n * rest.ln() + 2.0 * k + 2.0 * k * (k + 1.0) / (n - k - 1.0);
                    if aicc < best.0 {
                        best = (aicc, order[..n_columns].to_vec());
                    }
                }
            }
        }
        let coefficients = self.normal.on(&best.1).solve()?.coefficients;
        best.0.is_finite().then_some((best.1, coefficients))
    }
}

impl Forecaster for Ar {
    fn fit(&self, past: &Past<'_>) -> Result<Box<dyn Fitted>, FitError> {
        let steps = self.season.map_or(1, Season::steps);
        let tail = past.tail(LONGEST.max(MOST_CYCLES * steps));
        let n_values = tail.len() - tail.n_gaps();
        if n_values < LEAST_VALUES {
            return Err(FitError::TooShort { needed: LEAST_VALUES, got: n_values });
        }
        let transform = Transform::linear(tail.values());
        let values: Vec<f64> = tail.values().iter().map(|&value| transform.apply(value)).collect();
        let is_differenced = n_differences(&values, 1) == 1;
        let changes = differences(&values, 1);
        let regressed = if is_differenced { &changes } else { &values };
        let n_consecutive = (n_values / VALUES_PER_LAG).clamp(1, MOST_LAGS);
        let has_cycle = steps > n_consecutive && n_values >= 2 * steps + VALUES_PER_LAG;
        let of_cycle: &[usize] = if has_cycle { &[steps, steps + 1] } else { &[] };
        // Where most rows touch a gap, fewer lags leave more of them.
        let designs = [n_consecutive, 6, 3, 1].map(|n| (of_cycle, n.min(n_consecutive)));
        let found = designs.into_iter().chain([(&[][..], 1), (&[][..], 0)]).find_map(|(of_cycle, n)| {
            let lags: Vec<usize> =
                of_cycle.iter().copied().chain((1..=n).filter(|lag| !of_cycle.contains(lag))).collect();
            let sums = Sums::of(regressed, lags);
            if sums.n_rows * LEAST_SHARE_OF_ROWS < n_values.saturating_sub(sums.reach()) {
                return None;
            }
            let (columns, coefficients) = sums.best(of_cycle.len(), is_differenced)?;
            Some((sums.lags, columns, coefficients))
        });
        let (lags, columns, coefficients) =
            found.ok_or_else(|| FitError::NotFinite("too few values stand beside each other".to_owned()))?;
        let constant = columns.iter().position(|&column| column == 0).map_or(0.0, |at| coefficients[at]);
        let mut weighted: Vec<(usize, f64)> = columns
            .iter()
            .zip(&coefficients)
            .filter(|(column, _)| **column > 0)
            .map(|(&column, &coefficient)| (lags[column - 1], coefficient))
            .collect();
        weighted.sort_unstable_by_key(|(lag, _)| *lag);
        let (lags, weights): (Vec<usize>, Vec<f64>) = weighted.into_iter().unzip();
        let recursion = if is_differenced {
            Recursion::integrated(&lags, &weights, &[constant], &values, &changes)
        } else {
            Recursion::new(&lags, &weights, &[constant], &values)
        };
        let uses_cycle = has_cycle && lags.contains(&steps);
        let n_lags = lags.iter().filter(|lag| **lag <= n_consecutive).count();
        let season = if uses_cycle { steps as f64 } else { f64::NAN };
        let settings = Box::new([n_lags as f64, f64::from(u8::from(is_differenced)), season]);
        Ok(Box::new(Continued { transform, recursion, names: &NAMES, settings }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::Horizon;
    use crate::forecast::air_passengers::AIR_PASSENGERS;
    use crate::forecast::tests::Noise;
    use crate::forecast::{Regressors, Updated};
    use crate::series::Step;

    fn fit(season: usize, values: &[f64]) -> Box<dyn Fitted> {
        Ar { season: Season::new(season) }.fit(&Past::new(0, Step::seconds(1), values)).unwrap()
    }

    /// Coefficients and sums of squares of statsmodels 0.15's `AutoReg` on the airline passengers: lags 1, 2, 12, 13 of
    /// the totals with a constant, of their changes without, and forecasts of the first.
    #[test]
    fn least_squares_gives_the_references_coefficients() {
        let check = |values: &[f64], columns: &[usize], expected: &[f64], rest: f64| {
            let sums = Sums::of(values, vec![1, 2, 12, 13]);
            let solution = sums.normal.on(columns).solve().unwrap();
            for (found, expected) in solution.coefficients.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-6, "{solution:?}");
            }
            assert!((solution.rest - rest).abs() < 1e-4, "{solution:?}");
        };
        let totals = [5.100_001_55, 0.720_627_36, -0.027_542_55, 1.040_495_91, -0.715_607_99];
        check(&AIR_PASSENGERS, &[0, 1, 2, 3, 4], &totals, 16_486.041_204);
        let changes = differences(&AIR_PASSENGERS, 1);
        let of_changes = [-0.353_561_33, -0.023_382_34, 1.044_641, 0.441_520_91];
        check(&changes, &[1, 2, 3, 4], &of_changes, 16_523.184_949);
        let recursion = Recursion::new(&[1, 2, 12, 13], &totals[1..], &[totals[0]], &AIR_PASSENGERS);
        let mut points = [0.0; 3];
        recursion.points_into(&mut points, |point| point);
        for (point, expected) in points.iter().zip([449.734_989, 425.718_331, 455.662_496]) {
            assert!((point - expected).abs() < 1e-4, "{points:?}");
        }
    }

    #[test]
    fn the_order_is_that_which_made_the_series() {
        let mut noise = Noise::seeded(12);
        let mut values = vec![0.0, 0.0];
        for t in 2..1500 {
            values.push(1.2 * values[t - 1] - 0.6 * values[t - 2] + noise.normal());
        }
        let fitted = fit(50, &values);
        let settings = fitted.settings();
        assert!((2.0..=6.0).contains(&settings["lags"]) && settings["differences"] == 0.0, "{settings:?}");
        let points = fitted.points(Horizon::new(60).unwrap());
        assert!((points[0] - 1.2 * values[1499] + 0.6 * values[1498]).abs() < 0.3 && points[59].abs() < 0.3);
        let walk = fit(50, &noise.walk(600, 1.0)).settings();
        assert_eq!(walk["differences"], 1.0);
    }

    #[test]
    fn a_cycle_is_continued_over_gaps_and_values_taken_in() {
        let at = |t: usize| 40.0 + (t % 30 * 17 % 23) as f64;
        let mut values: Vec<f64> = (0..400).map(at).collect();
        (values[100], values[390], values[391]) = (f64::NAN, f64::NAN, f64::NAN);
        let mut fitted = fit(30, &values);
        assert_eq!(fitted.settings()["season"], 30.0);
        for t in 400..450 {
            let value = if t == 420 { f64::NAN } else { at(t) };
            assert_eq!(fitted.update(value, Regressors::NONE), Updated::Filtered);
        }
        for (ahead, point) in fitted.points(Horizon::new(90).unwrap()).into_iter().enumerate() {
            assert!((point - at(450 + ahead)).abs() < 1e-3, "{ahead}: {point}");
        }
        let weekly: Vec<f64> = (0..1000).map(|t| 10.0 + f64::from(t % 168 * 13 % 29)).collect();
        assert!(size_of::<Continued>() + fit(168, &weekly).n_bytes() < 4096);
    }
}
