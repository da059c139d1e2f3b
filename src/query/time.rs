//! Instants as people and Prometheus' clients write them, and numbers as Prometheus answers them.
//!
//! In: RFC 3339, seconds since 1970 with or without a fraction, `now`, `now-1h`. Out: [`Millis`].
//! A number too large for seconds (beyond the year 5000) is taken as milliseconds, which is what it is when a
//! timestamp from an ingest body is asked for.

use chrono::{DateTime, NaiveDate};

use super::error::QueryError;
use crate::series::{Millis, parse_duration};

/// From here on a number cannot sensibly be seconds: the year 5138. As milliseconds it is 1973.
const SECONDS_END: f64 = 1e11;

/// Reads an instant; `now` is what the word stands for.
///
/// # Errors
/// When it is none of the forms above.
pub fn parse_time(text: &str, now: Millis) -> Result<Millis, QueryError> {
    let trimmed = text.trim();
    let fail = |reason: &str| QueryError::Time { text: text.chars().take(200).collect(), reason: reason.to_owned() };
    if trimmed.is_empty() {
        return Err(fail("it is empty"));
    }
    if let Some(offset) = trimmed.strip_prefix("now") {
        let offset = offset.trim();
        let span = |text: &str| parse_duration(text).map_err(|error| fail(&error.to_string()));
        return match offset.split_at_checked(1) {
            None => Ok(now),
            Some(("-", rest)) => Ok(now.saturating_sub(span(rest)?)),
            // A form's query turns `+` into a space, and so what is left of `now+1h` is `now 1h`.
            Some(("+", rest)) => Ok(now.saturating_add(span(rest)?)),
            Some(_) if trimmed.starts_with("now ") => Ok(now.saturating_add(span(offset)?)),
            Some(_) => Err(fail("behind `now` comes - or + and a duration")),
        };
    }
    if let Ok(number) = trimmed.parse::<f64>() {
        if !number.is_finite() {
            return Err(fail("it is not finite"));
        }
        let millis = if number.abs() < SECONDS_END { number * 1e3 } else { number };
        // The nearest millisecond, within what an i64 holds.
        return Ok(millis.round() as Millis);
    }
    // The same `+`, from an offset such as +02:00.
    let mended = trimmed.replace(' ', "+");
    for candidate in [trimmed, mended.as_str()] {
        if let Ok(at) = DateTime::parse_from_rfc3339(candidate) {
            return Ok(at.timestamp_millis());
        }
    }
    if let Ok(date) = trimmed.parse::<NaiveDate>() {
        return Ok(date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_millis());
    }
    Err(fail("it has none of the known forms"))
}

/// A sample's value as Prometheus' JSON has it: shortest digits, `NaN`, `+Inf`, `-Inf`.
pub fn format_number(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else {
        // Plain digits are exact for every size; very large and very small numbers read better with an exponent.
        let size = value.abs();
        if size != 0.0 && !(1e-7..1e21).contains(&size) { format!("{value:e}") } else { format!("{value}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = 1_700_000_000_000;

    fn check(text: &str, expected: Millis) {
        assert_eq!(parse_time(text, NOW).unwrap(), expected, "{text}");
    }

    #[test]
    fn the_known_forms_are_read() {
        check("now", NOW);
        check("now-1h30m", NOW - 5_400_000);
        check("now + 7d", NOW + 604_800_000);
        check("now 7d", NOW + 604_800_000);
        check("1700000000", NOW);
        check("1700000000.1234", NOW + 123);
        check("1.7e9", NOW);
        check("1700000000000", NOW);
        check("2023-11-14T22:13:20Z", NOW);
        check("2023-11-15T00:13:20.5+02:00", NOW + 500);
        check("2023-11-15T00:13:20 02:00", NOW);
        check("2023-11-14", 1_699_920_000_000);
        check("0", 0);
        check("-1.5", -1_500);
        check("-9223372036854775808", Millis::MIN);
    }

    #[test]
    fn other_forms_are_refused_with_an_example() {
        for text in
            ["", "yesterday", "now-", "now*2", "now-5", "nowhere", "NaN", "inf", "2023-13-01", "12:00", "now-1ü"]
        {
            let error = parse_time(text, NOW).unwrap_err().to_string();
            assert!(error.contains("now-1h"), "{error}");
        }
    }

    #[test]
    fn numbers_are_written_as_prometheus_writes_them() {
        for (value, text) in
            [(1.0, "1"), (0.1, "0.1"), (-0.0, "-0"), (1e21, "1e21"), (1e-9, "1e-9"), (123456789.5, "123456789.5")]
        {
            assert_eq!(format_number(value), text);
            assert_eq!(text.parse::<f64>().unwrap().to_bits(), value.to_bits());
        }
        assert_eq!([f64::NAN, f64::INFINITY, f64::NEG_INFINITY].map(format_number), ["NaN", "+Inf", "-Inf"]);
    }
}
