//! Linear trend by ordinary least squares, with the season's profile on it when there is a season.
//!
//! In: at least three values; gaps are left out. Out: the line, continued. With a season the line is fitted to whole
//! cycles, so that a piece of one does not tilt it, and the median of each place of the cycle is added.

use super::line::Scaled;
use super::model::{FitError, Fitted, Forecaster};
use super::past::Past;
use super::profile::centred;
use super::smoothing::line_through;
use crate::series::Season;

/// The least-squares line over the whole history.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Linear {
    pub season: Option<Season>,
}

impl Forecaster for Linear {
    fn fit(&self, history: &Past<'_>) -> Result<Box<dyn Fitted>, FitError> {
        let scaled = Scaled::of(history, self.season)?;
        // Whole cycles only.
        let from = scaled.season.map_or(0, |season| scaled.values.len() % season);
        let seen: Vec<(f64, f64)> = scaled
            .values
            .iter()
            .enumerate()
            .skip(from)
            .filter(|(_, value)| !value.is_nan())
            .map(|(idx, &value)| (idx as f64, value))
            .collect();
        let (intercept, slope) = line_through(&seen);
        let profile = centred(scaled.profile_on(intercept, slope));
        Ok(scaled.fitted(intercept, slope, profile))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::Horizon;
    use crate::series::{History, Step};

    #[test]
    fn it_continues_a_line_with_a_season_and_gaps() {
        let season = [3.0, -1.0, -2.0];
        let at = |idx: usize| 100.0 + 2.0 * idx as f64 + season[idx % 3];
        let mut values: Vec<f64> = (0..31).map(at).collect();
        (values[7], values[20]) = (f64::NAN, f64::NAN);
        let fitted =
            Linear { season: Season::new(3) }.fit(&Past::of(&History::new(0, Step::seconds(1), values))).unwrap();
        for (ahead, point) in fitted.points(Horizon::new(6).unwrap()).into_iter().enumerate() {
            assert!((point - at(31 + ahead)).abs() < 1.0, "{ahead}: {point}");
        }
        assert!((fitted.settings()["slope"] - 2.0).abs() < 0.02);
    }
}
