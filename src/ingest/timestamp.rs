//! Which timestamps are believed.
//!
//! Milliseconds from 1990 to 2200. Operations metrics are no older, forecasts (which are series too) reach no
//! further, and the range is narrow enough that the same instant in seconds, microseconds or nanoseconds lies
//! outside: a wrong unit is always found, and named.

use chrono::DateTime;

use crate::series::Millis;

/// The first timestamp accepted: 1990-01-01T00:00:00Z.
pub const EARLIEST: Millis = 631_152_000_000;
/// The first timestamp no longer accepted: 2200-01-01T00:00:00Z.
pub const LATEST: Millis = 7_258_118_400_000;

/// Why a timestamp is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimestampError {
    /// The number makes sense in another unit.
    #[error("timestamp {got} looks like {unit}; send milliseconds ({millis})")]
    Unit {
        /// What was sent.
        got: i128,
        /// The unit it seems to be in.
        unit: &'static str,
        /// The same instant in milliseconds.
        millis: Millis,
    },
    /// Too long ago in any unit.
    #[error("timestamp {0} is before 1990; send milliseconds since 1970-01-01T00:00:00Z, or leave it out for now")]
    TooEarly(i128),
    /// Too far ahead in any unit.
    #[error("timestamp {0} is after the year 2199; send milliseconds since 1970-01-01T00:00:00Z")]
    TooLate(i128),
    /// Part of a millisecond.
    #[error("timestamp {0} has a fraction; send whole milliseconds")]
    Fraction(String),
    /// A text that is not RFC 3339.
    #[error("timestamp `{0}` is not RFC 3339; write it like 2026-01-31T12:00:00Z, or send milliseconds as a number")]
    NotRfc3339(String),
}

/// Believes `at` when it lies between [`EARLIEST`] and [`LATEST`].
///
/// # Errors
/// Outside that range; the error names the unit it seems to be in.
pub fn check_timestamp(at: Millis) -> Result<Millis, TimestampError> {
    if (EARLIEST..LATEST).contains(&at) { Ok(at) } else { Err(explain(i128::from(at))) }
}

/// As [`check_timestamp`], for numbers that need not fit.
pub(super) fn check_wide(at: i128) -> Result<Millis, TimestampError> {
    Millis::try_from(at).map_err(|_| explain(at)).and_then(check_timestamp)
}

/// A JSON number with a decimal point or an exponent: fine when it is whole.
pub(super) fn check_float(at: f64) -> Result<Millis, TimestampError> {
    if !at.is_finite() || at.abs() > 1e30 {
        return Err(if at > 0.0 { TimestampError::TooLate(i128::MAX) } else { TimestampError::TooEarly(i128::MIN) });
    }
    // Seconds with a fraction are the usual float timestamp; their unit is the better advice.
    check_wide(at as i128)
        .and_then(|whole| if at.fract() == 0.0 { Ok(whole) } else { Err(TimestampError::Fraction(at.to_string())) })
}

/// An RFC 3339 text, to the millisecond.
pub(super) fn check_text(text: &str) -> Result<Millis, TimestampError> {
    let at = DateTime::parse_from_rfc3339(text)
        .map_err(|_| TimestampError::NotRfc3339(text.chars().take(64).collect()))?
        .timestamp_millis();
    if at < EARLIEST {
        Err(TimestampError::TooEarly(at.into()))
    } else if at >= LATEST {
        Err(TimestampError::TooLate(at.into()))
    } else {
        Ok(at)
    }
}

fn explain(got: i128) -> TimestampError {
    let believable = |millis: i128| (i128::from(EARLIEST)..i128::from(LATEST)).contains(&millis);
    let guesses =
        [("seconds", got.saturating_mul(1_000)), ("microseconds", got / 1_000), ("nanoseconds", got / 1_000_000)];
    for (unit, millis) in guesses {
        if believable(millis) {
            return TimestampError::Unit { got, unit, millis: millis as Millis };
        }
    }
    if got < i128::from(EARLIEST) { TimestampError::TooEarly(got) } else { TimestampError::TooLate(got) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Millis = 1_700_000_000_000;

    fn refuses(at: i128, words: &str) {
        let error = check_wide(at).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }

    #[test]
    fn the_wrong_unit_is_named_with_the_right_number() {
        refuses(1_700_000_000, "1700000000 looks like seconds; send milliseconds (1700000000000)");
        refuses(1_700_000_000_000_000, "microseconds");
        refuses(1_700_000_000_000_000_000, "nanoseconds");
        refuses(0, "before 1990");
        refuses(-5, "before 1990");
        refuses(i128::from(i64::MAX), "after the year 2199");
        refuses(i128::from(u64::MAX), "after the year 2199");
        refuses(LATEST.into(), "after the year 2199");
    }

    #[test]
    fn past_and_future_within_reason_are_welcome() {
        for at in [EARLIEST, AT, AT + 40 * 365 * crate::series::DAY, LATEST - 1] {
            assert_eq!(check_timestamp(at), Ok(at));
        }
    }

    #[test]
    fn floats_must_be_whole() {
        assert_eq!(check_float(1.7e12), Ok(AT));
        assert!(matches!(check_float(1.7e12 + 0.5), Err(TimestampError::Fraction(_))));
        assert!(matches!(check_float(1_700_000_000.25), Err(TimestampError::Unit { unit: "seconds", .. })));
        assert!(check_float(f64::NAN).is_err() && check_float(1e300).is_err());
    }

    #[test]
    fn texts_are_rfc_3339() {
        assert_eq!(check_text("2023-11-14T22:13:20Z"), Ok(AT));
        assert_eq!(check_text("2023-11-15T00:13:20.000+02:00"), Ok(AT));
        for text in ["2023-11-14", "1700000000000", "", "1970-01-01T00:00:00Z", "9999-01-01T00:00:00Z"] {
            assert!(check_text(text).is_err(), "{text}");
        }
    }
}
