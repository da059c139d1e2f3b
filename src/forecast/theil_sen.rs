//! Theil-Sen: the line whose slope is the median of the slopes between all pairs of values.
//!
//! In: at least three values; gaps are left out. Out: the line, continued, with the season's profile on it when there
//! is a season. Up to 29 % of the values may be wild without moving it far.
//! Source: Sen, "Estimates of the regression coefficient based on Kendall's tau", 1968; with a season, the pairs of
//! Hirsch, Slack and Smith, "Techniques of trend analysis for monthly water quality data", 1982.
//!
//! All pairs of a long history would be too many, so it is first thinned to at most [`MOST_BLOCKS`] medians of
//! consecutive values (of cycles, with a season), which keeps the cost at O(n) and the resistance to spikes.

use super::line::Scaled;
use super::model::{FitError, Fitted, Forecaster};
use super::past::Past;
use crate::series::{Season, median};

const MOST_BLOCKS: usize = 300;

/// Cycles from which their medians carry the slope; below, pairs one or more whole cycles apart do.
const ENOUGH_CYCLES: usize = 10;

/// The robust line over the whole history.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TheilSen {
    pub season: Option<Season>,
}

impl Forecaster for TheilSen {
    fn fit(&self, history: &Past<'_>) -> Result<Box<dyn Fitted>, FitError> {
        let scaled = Scaled::of(history, self.season)?;
        let values = &scaled.values;
        let slope = match scaled.season {
            Some(season) if values.len() / season < ENOUGH_CYCLES => slope_between_cycles(values, season),
            season => {
                let (xs, ys) = blocks(values, season.unwrap_or(1));
                theil_sen_slope(&xs, &ys)
            }
        };
        let rests: Vec<f64> =
            values.iter().enumerate().map(|(idx, v)| v - slope * idx as f64).filter(|v| !v.is_nan()).collect();
        let intercept = median(&rests).unwrap_or(0.0);
        let profile = scaled.profile_on(intercept, slope);
        Ok(scaled.fitted(intercept, slope, profile))
    }
}

/// Medians of consecutive blocks of whole multiples of `unit` cells, and where their middles stand.
pub(super) fn blocks(values: &[f64], unit: usize) -> (Vec<f64>, Vec<f64>) {
    let n_units = values.len() / unit;
    let block = unit * n_units.div_ceil(MOST_BLOCKS).max(1);
    // The first cells are left out rather than the last.
    let from = values.len() % block;
    let from = if values.len() == from { 0 } else { from };
    let mut xs = Vec::new();
    let mut ys = Vec::new();
    for (nr, cells) in values[from..].chunks(block).enumerate() {
        let seen: Vec<f64> = cells.iter().copied().filter(|v| !v.is_nan()).collect();
        if let Some(middle) = median(&seen) {
            xs.push((from + nr * block) as f64 + (cells.len() as f64 - 1.0) / 2.0);
            ys.push(middle);
        }
    }
    (xs, ys)
}

/// The median slope over all pairs; 0 for fewer than two points.
pub(super) fn theil_sen_slope(xs: &[f64], ys: &[f64]) -> f64 {
    let mut slopes = Vec::with_capacity(xs.len() * xs.len().saturating_sub(1) / 2);
    for later in 1..xs.len() {
        for earlier in 0..later {
            slopes.push((ys[later] - ys[earlier]) / (xs[later] - xs[earlier]));
        }
    }
    middle_of(&mut slopes)
}

/// The median slope over pairs at the same place of different cycles.
fn slope_between_cycles(values: &[f64], season: usize) -> f64 {
    let mut slopes = Vec::new();
    for (idx, &later) in values.iter().enumerate() {
        for back in (season..=idx).step_by(season) {
            let slope = (later - values[idx - back]) / back as f64;
            if !slope.is_nan() {
                slopes.push(slope);
            }
        }
    }
    middle_of(&mut slopes)
}

/// The median, mean of the middle two of an even count, by selection instead of sorting.
fn middle_of(values: &mut [f64]) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    let half = values.len() / 2;
    let is_even = values.len().is_multiple_of(2);
    let (below, &mut upper, _) = values.select_nth_unstable_by(half, f64::total_cmp);
    if is_even {
        let lower = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        return (lower + upper) / 2.0;
    }
    upper
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::Horizon;
    use crate::series::{History, Step};

    #[test]
    fn one_wild_value_does_not_tilt_the_line() {
        let ys = [1.0, 2.2, 2.9, 4.1, 30.0, 6.0, 7.2, 7.9];
        let xs: Vec<f64> = (0..8).map(f64::from).collect();
        assert!((theil_sen_slope(&xs, &ys) - 1.0).abs() < 1e-12);
        let history = History::new(0, Step::seconds(1), ys.to_vec());
        let fitted = TheilSen::default().fit(&Past::of(&history)).unwrap();
        assert!((fitted.settings()["slope"] - 1.0).abs() < 1e-12);
        // The median of y - x is 1.05.
        assert!((fitted.points(Horizon::new(1).unwrap())[0] - 9.05).abs() < 1e-12);
    }

    #[test]
    fn the_median_of_an_even_count_is_between_the_middle_two() {
        assert_eq!(middle_of(&mut [4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(middle_of(&mut [5.0, 1.0, 3.0]), 3.0);
        assert_eq!(middle_of(&mut []), 0.0);
    }

    #[test]
    fn a_long_spiked_line_with_a_season_is_continued() {
        let at = |idx: usize| 5.0 + 0.01 * idx as f64 + [0.0, 8.0, 3.0, -4.0][idx % 4];
        for n in [30, 5003] {
            let values: Vec<f64> = (0..n).map(|idx| if idx % 11 == 5 { 900.0 } else { at(idx) }).collect();
            let fitted =
                TheilSen { season: Season::new(4) }.fit(&Past::of(&History::new(0, Step::seconds(1), values))).unwrap();
            for (ahead, point) in fitted.points(Horizon::new(8).unwrap()).into_iter().enumerate() {
                assert!((point - at(n + ahead)).abs() < 0.5, "{n} {ahead}: {point} {}", at(n + ahead));
            }
        }
    }
}
