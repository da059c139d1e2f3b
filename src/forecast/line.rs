//! A straight line with a season on it: what the two linear methods are given, and what they give.

use std::collections::BTreeMap;

use super::model::{FitError, Fitted};
use super::past::{Past, Regressors};
use super::profile::profile_of;
use super::scale::Scale;
use crate::series::Season;

/// The least values a line is drawn through.
const LEAST_VALUES: usize = 3;

/// A history in scaled values, and its season when at least two cycles tell it.
pub(super) struct Scaled {
    pub scale: Scale,
    pub values: Vec<f64>,
    pub season: Option<usize>,
}

impl Scaled {
    pub fn of(history: &Past<'_>, season: Option<Season>) -> Result<Scaled, FitError> {
        let cells = history.values();
        let n_values = cells.len() - history.n_gaps();
        if n_values < LEAST_VALUES {
            return Err(FitError::TooShort { needed: LEAST_VALUES, got: n_values });
        }
        let scale = Scale::centred(cells);
        let values: Vec<f64> = cells.iter().map(|&value| scale.apply(value)).collect();
        let season = season.map(Season::steps).filter(|season| values.len() >= 2 * season);
        Ok(Scaled { scale, values, season })
    }

    /// What the season adds to a line at each place of its cycle; empty without a season.
    pub fn profile_on(&self, intercept: f64, slope: f64) -> Vec<f64> {
        let Some(season) = self.season else {
            return Vec::new();
        };
        let off = |(idx, value): (usize, &f64)| value - intercept - slope * idx as f64;
        let detrended: Vec<f64> = self.values.iter().enumerate().map(off).collect();
        profile_of(&detrended, season)
    }

    /// The line, ready to be continued.
    pub fn fitted(self, intercept: f64, slope: f64, profile: Vec<f64>) -> Box<dyn Fitted> {
        Box::new(FittedLine { scale: self.scale, intercept, slope, profile, n_cells: self.values.len() })
    }
}

/// A line over cells 0.., in scaled values, with a profile added when there is a season.
#[derive(Clone, Debug)]
struct FittedLine {
    scale: Scale,
    intercept: f64,
    slope: f64,
    // Empty without a season; else `profile[idx % len]` belongs to cell idx.
    profile: Vec<f64>,
    n_cells: usize,
}

impl Fitted for FittedLine {
    fn points_into(&self, _known: Regressors<'_>, points: &mut [f64]) {
        for (ahead, point) in points.iter_mut().enumerate() {
            let idx = self.n_cells + ahead;
            let season = if self.profile.is_empty() { 0.0 } else { self.profile[idx % self.profile.len()] };
            *point = self.scale.undo(self.intercept + self.slope * idx as f64 + season);
        }
    }

    fn settings(&self) -> BTreeMap<&'static str, f64> {
        let mut settings = BTreeMap::from([("slope", self.slope * self.scale.unit())]);
        if !self.profile.is_empty() {
            settings.insert("season", self.profile.len() as f64);
        }
        settings
    }

    fn n_bytes(&self) -> usize {
        size_of_val(self.profile.as_slice())
    }
}
