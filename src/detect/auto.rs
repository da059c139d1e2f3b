//! The default detector.

use super::detector::Detector;
use super::registry::Settings;

/// What the registry says of it.
pub(super) const SUMMARY: &str =
    "the default: learned level, daily and weekly profile, learned edge; spikes, shifts, drifts, odd patterns";

/// Builds the method.
pub(super) fn build(settings: &Settings) -> Box<dyn Detector> {
    super::zscore::build(settings)
}
