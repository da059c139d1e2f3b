//! A recursion on a method's own scale, gone on from the past: what every autoregression is once it is fitted.

use std::collections::BTreeMap;

use super::model::{Fitted, Updated};
use super::past::Regressors;
use super::recursion::Recursion;
use super::transform::Transform;

/// A fitted autoregression.
#[derive(Clone, Debug)]
pub(super) struct Continued {
    pub transform: Transform,
    pub recursion: Recursion,
    /// What was estimated or chosen, by name.
    pub settings: Vec<(&'static str, f64)>,
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
        self.settings.iter().copied().collect()
    }

    fn n_bytes(&self) -> usize {
        self.recursion.n_bytes() + size_of_val(self.settings.as_slice())
    }
}
