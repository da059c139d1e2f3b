//! Which limit each series has: given on the command line, known by a preset, or measured by another series.

use crate::capacity::Limit;
use crate::presets::{LimitMetric, Presets};
use crate::series::{Selector, Side};

use super::rows::{Axis, Source};

/// A limit for the series that a selector matches, or that bear a name.
#[derive(Clone, Debug)]
pub struct GivenLimit {
    /// Which series.
    pub selector: Selector,
    /// The same as it was written, for series whose name is no metric's.
    pub text: String,
    /// What must not be crossed.
    pub value: f64,
}

impl GivenLimit {
    /// Whether it is a limit of this series.
    pub fn matches(&self, source: &Source) -> bool {
        self.selector.matches(source.key.labels()) || self.text == source.name
    }
}

/// A limit, and the whole that shares are of where a preset knows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct KnownLimit {
    pub limit: Limit,
    pub whole: Option<f64>,
}

/// The limit of every source, if it has one; `lasts` are the sources' last values.
pub(super) fn limits_of(
    sources: &[Source],
    lasts: &[f64],
    given: &[GivenLimit],
    presets: &Presets,
) -> Vec<Option<KnownLimit>> {
    let one = |(idx, source): (usize, &Source)| {
        // Dates are the answer, so a series without a clock cannot be asked.
        if source.axis == Axis::Steps {
            return None;
        }
        let rule = source.rule(presets);
        let side = rule.map_or(Side::Up, |rule| rule.metric.matters);
        let asked = given.iter().find(|limit| limit.matches(source));
        if let Some(asked) = asked {
            return Some(KnownLimit { limit: Limit { value: asked.value, side }, whole: None });
        }
        if let Some(value) = rule.and_then(|rule| rule.metric.limit) {
            return Some(KnownLimit { limit: Limit { value, side }, whole: None });
        }
        let measured = rule.and_then(|rule| rule.limit_metric.as_ref())?;
        let whole = measured_whole(idx, sources, lasts, measured)?;
        Some(KnownLimit { limit: Limit { value: measured.share * whole, side }, whole: Some(whole) })
    };
    sources.iter().enumerate().map(one).collect()
}

/// The last value of the series that measures what the limit is a share of; among several, of the one that shares most
/// labels.
fn measured_whole(idx: usize, sources: &[Source], lasts: &[f64], measured: &LimitMetric) -> Option<f64> {
    let own = sources[idx].key.labels();
    let n_shared = |other: &Source| {
        other.key.labels().without_metric().filter(|(name, value)| own.get(name) == Some(value)).count()
    };
    sources
        .iter()
        .enumerate()
        .filter(|(other, source)| *other != idx && measured.selector.matches(source.key.labels()))
        .filter(|(other, _)| lasts[*other].is_finite())
        .max_by_key(|(_, source)| n_shared(source))
        .map(|(other, _)| lasts[other])
}
