//! One measurement, and a series of them.

use super::key::Key;
use super::time::Millis;

/// The bit pattern with which Prometheus says "this series ended here".
///
/// Source: prometheus, `model/value`: a NaN of its own, told from an ordinary NaN by its payload.
pub const STALE_MARKER_BITS: u64 = 0x7ff0_0000_0000_0002;

/// Whether `value` is Prometheus' stale marker, bit for bit.
pub fn is_stale_marker(value: f64) -> bool {
    value.to_bits() == STALE_MARKER_BITS
}

/// A value at an instant.
///
/// Any `f64` can be stored, bit for bit: NaN and stale markers are kept for the record and become gaps in a
/// [`History`](super::History); infinities are kept and become gaps there too.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// When it was measured.
    pub at: Millis,
    /// What was measured.
    pub value: f64,
}

/// A key with its samples, in time order without duplicate timestamps.
#[derive(Clone, Debug)]
pub struct Series {
    /// Whose samples these are.
    pub key: Key,
    /// Oldest first; each timestamp once.
    pub samples: Vec<Sample>,
}
