//! A fitted straight line with a season on it: what the two linear methods give.

use std::collections::BTreeMap;

use super::model::{Fitted, Horizon};
use super::profile::profile_of;
use super::scale::Scale;

/// A line over cells 0.., in scaled values, with a profile added when there is a season.
#[derive(Clone, Debug)]
pub(super) struct FittedLine {
    pub scale: Scale,
    pub intercept: f64,
    pub slope: f64,
    // Empty without a season; else `profile[idx % len]` belongs to cell idx.
    pub profile: Vec<f64>,
    pub n_cells: usize,
}

/// The season's profile on a line, when at least two cycles tell it.
pub(super) fn profile_on(scaled: &[f64], season: Option<usize>, intercept: f64, slope: f64) -> Vec<f64> {
    let Some(season) = season.filter(|season| scaled.len() >= 2 * season) else {
        return Vec::new();
    };
    let detrended: Vec<f64> =
        scaled.iter().enumerate().map(|(idx, value)| value - intercept - slope * idx as f64).collect();
    profile_of(&detrended, season)
}

impl Fitted for FittedLine {
    fn points(&self, horizon: Horizon) -> Vec<f64> {
        (self.n_cells..self.n_cells + horizon.steps())
            .map(|idx| {
                let season = if self.profile.is_empty() { 0.0 } else { self.profile[idx % self.profile.len()] };
                self.scale.undo(self.intercept + self.slope * idx as f64 + season)
            })
            .collect()
    }

    fn settings(&self) -> BTreeMap<&'static str, f64> {
        let mut settings = BTreeMap::from([("slope", self.slope * self.scale.unit())]);
        if !self.profile.is_empty() {
            settings.insert("season", self.profile.len() as f64);
        }
        settings
    }
}
