//! Durations as Prometheus writes them: `90d`, `1h30m`, `500ms`.
//!
//! Source: prometheus.io, "Querying basics", on time durations: `ms s m h d w y`, largest unit first,
//! each at most once; a day is 24 hours, a year 365 days.

use super::time::{DAY, HOUR, MINUTE, Millis, SECOND, WEEK};

const YEAR: Millis = 365 * DAY;

/// Largest first, the order in which they may follow each other.
const UNITS: [(&str, Millis); 7] =
    [("y", YEAR), ("w", WEEK), ("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", SECOND), ("ms", 1)];

/// A text that is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a duration: {reason}; write it like 90d, 1h30m or 500ms")]
pub struct DurationError {
    /// What was given.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// Reads a duration such as `1h30m`; `0` alone needs no unit.
///
/// # Errors
/// When it is empty, has a number without unit or an unknown unit, repeats or misorders units, or overflows.
pub fn parse_duration(text: &str) -> Result<Millis, DurationError> {
    let fail = |reason| DurationError { text: text.to_owned(), reason };
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(fail("it is empty"));
    }
    if rest == "0" {
        return Ok(0);
    }
    let mut total: Millis = 0;
    let mut next_unit = 0;
    while !rest.is_empty() {
        let n_digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if n_digits == 0 {
            return Err(fail("a number is missing before the unit"));
        }
        let count: Millis = rest[..n_digits].parse().map_err(|_| fail("the number is too large"))?;
        rest = &rest[n_digits..];
        let n_letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let name = &rest[..n_letters];
        let unit = UNITS.iter().position(|(unit, _)| *unit == name).ok_or_else(|| {
            fail(if name.is_empty() {
                "a unit is missing after the number"
            } else {
                "the units are y, w, d, h, m, s and ms"
            })
        })?;
        if unit < next_unit {
            return Err(fail("units go from large to small, each once"));
        }
        next_unit = unit + 1;
        total = count
            .checked_mul(UNITS[unit].1)
            .and_then(|part| total.checked_add(part))
            .ok_or_else(|| fail("it is longer than this program can count"))?;
        rest = &rest[n_letters..];
    }
    Ok(total)
}

/// Writes a span of milliseconds the way [`parse_duration`] reads it; negative spans get a leading minus.
pub fn format_duration(span: Millis) -> String {
    if span == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    if span < 0 {
        text.push('-');
    }
    let mut rest = span.unsigned_abs();
    for (name, size) in UNITS {
        let size = size.unsigned_abs();
        // Weeks and years only when they say the whole, as Prometheus does: `90d`, not `12w6d`.
        if matches!(name, "y" | "w") && !rest.is_multiple_of(size) {
            continue;
        }
        if rest >= size {
            text.push_str(&format!("{}{name}", rest / size));
            rest %= size;
        }
    }
    text
}

/// Durations in configuration files: `#[serde(with = "duration_text")]` on a [`Millis`].
pub mod duration_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::{Millis, format_duration, parse_duration};

    /// Reads `1h30m`; a duration of zero is refused.
    ///
    /// # Errors
    /// With the text and what is wrong with it.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Millis, D::Error> {
        let text = String::deserialize(deserializer)?;
        let span = parse_duration(&text).map_err(D::Error::custom)?;
        if span > 0 {
            Ok(span)
        } else {
            Err(D::Error::custom(format!("`{text}`: the duration must be longer than zero")))
        }
    }

    /// Writes what [`deserialize`] reads.
    ///
    /// # Errors
    /// As the serializer.
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub fn serialize<S: Serializer>(span: &Millis, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format_duration(*span))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_prometheus_writes() {
        for (text, expected) in [
            ("90d", 90 * DAY),
            ("1h30m", 90 * MINUTE),
            ("500ms", 500),
            ("1y2w3d4h5m6s7ms", YEAR + 2 * WEEK + 3 * DAY + 4 * HOUR + 5 * MINUTE + 6 * SECOND + 7),
            ("0", 0),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn refuses_the_rest_with_a_reason() {
        for text in ["", " ", "5", "h", "1m1h", "1h1h", "1x", "-5m", "1.5h", "99999999999999999999s", "9999999999999y"]
        {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        for span in [1, 999, 1_000, 61_000, HOUR + 1, 90 * DAY, 14 * DAY, YEAR, YEAR + 1] {
            assert_eq!(parse_duration(&format_duration(span)), Ok(span), "{}", format_duration(span));
        }
        assert_eq!(format_duration(90 * DAY), "90d");
    }
}
