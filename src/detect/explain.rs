//! One sentence about an anomaly, with its numbers.

use super::anomaly::Kind;
use super::detector::Score;
use crate::series::{Millis, format_duration};

/// What a sentence is made of.
pub(super) struct Told<'a> {
    pub(super) kind: Kind,
    pub(super) value: f64,
    pub(super) score: &'a Score,
    pub(super) lasting: Millis,
    pub(super) unit: Option<&'a str>,
    pub(super) detail: Option<&'a str>,
}

/// The sentence: what, by how much, against what, for how long.
pub(super) fn sentence(told: &Told<'_>) -> String {
    let with_unit = |value: f64| match told.unit {
        Some(unit) => format!("{} {unit}", number(value)),
        None => number(value),
    };
    let value = with_unit(told.value);
    let reach = number(told.score.value);
    let range = match (told.score.lower, told.score.upper) {
        (Some(lower), Some(upper)) => format!(" (usual range {} to {})", with_unit(lower), with_unit(upper)),
        (Some(lower), None) => format!(" (at least {})", with_unit(lower)),
        (None, Some(upper)) => format!(" (at most {})", with_unit(upper)),
        (None, None) => String::new(),
    };
    let against = match told.score.expected {
        Some(expected) if told.value == expected => format!("is the expected {}{range}", with_unit(expected)),
        Some(expected) => {
            let way = if told.value > expected { "above" } else { "below" };
            let off = with_unit((told.value - expected).abs());
            format!("is {off} {way} the expected {}{range}", with_unit(expected))
        }
        None => format!("is unusual{range}"),
    };
    let mut text = match told.kind {
        Kind::Spike | Kind::Drop => format!("{value} {against}, {reach} times the usual reach"),
        Kind::Trend => format!("the level moved and stayed: {value} {against}, score {reach}"),
        Kind::Pattern => {
            format!("values move in an unusual way or at an unusual time: {value} {against}, score {reach}")
        }
        Kind::Multivariate => {
            format!("the columns do not fit together as usual: {}, score {reach}", told.detail.unwrap_or("all"))
        }
        Kind::Threshold => format!("{value} crossed its limit{range}, score {reach}"),
    };
    if told.lasting > 0 {
        text.push_str(&format!(", for {}", format_duration(told.lasting)));
    }
    text
}

/// A number as a person reads it: about four digits.
pub(super) fn number(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 {
        return "0".to_owned();
    }
    if !(1e-3..1e7).contains(&size) {
        return format!("{value:.3e}");
    }
    let decimals = (3 - size.log10().floor() as i32).clamp(0, 6) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_about_four_digits() {
        let check = |value: f64, expected: &str| assert_eq!(number(value), expected);
        check(0.0, "0");
        check(123_456.7, "123457");
        check(1.5, "1.5");
        check(93.128, "93.13");
        check(-0.012_345, "-0.01235");
        check(1.234e9, "1.234e9");
        check(1e-9, "1.000e-9");
    }
}
