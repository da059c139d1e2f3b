//! A recursion on a method's own scale, gone on from the past: what every autoregression is once it is fitted.

use std::collections::BTreeMap;

use super::model::{Fitted, Updated};
use super::past::Regressors;
use super::recent::Shared;
use super::recursion::Recursion;
use super::transform::Transform;

/// A fitted autoregression.
#[derive(Clone, Debug)]
pub(super) struct Continued {
    pub transform: Transform,
    pub recursion: Recursion,
    /// What was estimated or chosen, by name.
    pub names: &'static [&'static str],
    /// NaN for what there is not.
    pub settings: Box<[f64]>,
}

impl Fitted for Continued {
    fn points_into(&self, _known: Regressors<'_>, points: &mut [f64]) {
        self.recursion.points_into(points, |point| self.transform.held(point));
        points.iter_mut().for_each(|point| *point = self.transform.undo(*point));
    }

    fn update(&mut self, value: f64, _known: Regressors<'_>) -> Updated {
        self.recursion.take(self.transform.apply(value));
        Updated::Filtered
    }

    fn settings(&self) -> BTreeMap<&'static str, f64> {
        self.names.iter().copied().zip(self.settings.iter().copied()).filter(|(_, value)| !value.is_nan()).collect()
    }

    fn recent(&self) -> Vec<f64> {
        self.recursion.own().into_iter().map(|value| self.transform.undo(value)).collect()
    }

    fn lean_on(&mut self, recent: &Shared) {
        self.recursion.lean_on(recent, self.transform);
    }

    fn thin(&mut self, tolerance: f64) {
        self.recursion.thin(self.transform.tolerance(tolerance));
    }

    fn n_bytes(&self) -> usize {
        self.recursion.n_bytes() + size_of_val(&self.settings[..])
    }
}
