//! Limits as people type them: `disk_used{host="a"}=100GiB`.
//!
//! In: `SELECTOR=VALUE`, split at the last `=` outside braces and quotes. Out: the selector and the number.
//! Amounts are numbers (`80`, `1e9`), with a decimal or binary unit (`10GB`, `10GiB`, `5k`), or shares (`80%` is 0.8,
//! for metrics that are ratios).

use super::error::QueryError;
use super::selector::parse_selector;
use crate::series::{METRIC_NAME, Selector};

/// Factors by unit letter; `i` behind the letter makes it binary.
const LETTERS: [(char, i32); 6] = [('k', 1), ('M', 2), ('G', 3), ('T', 4), ('P', 5), ('E', 6)];

/// Reads `SELECTOR=VALUE`; `is_name` as [`parse_named`] asks it.
///
/// # Errors
/// When there is no `=VALUE`, the value is no finite amount, or the selector is none.
pub fn parse_limit(text: &str, is_name: impl Fn(&str) -> bool) -> Result<(Selector, f64), QueryError> {
    let fail = |reason: String| QueryError::Limit { text: text.chars().take(200).collect(), reason };
    let split = last_outer_equals(text).ok_or_else(|| fail("there is no `=VALUE` behind the selector".to_owned()))?;
    let value = parse_amount(&text[split + 1..]).map_err(fail)?;
    let selector = parse_named(&text[..split], is_name).map_err(|error| fail(error.to_string()))?;
    Ok((selector, value))
}

/// Reads a selector, or the plain name of a series of a file, which need not be one: `web/cpu.csv`. Only a text that is
/// no selector is asked `is_name` of, so that a slip in one is not taken for a name that nothing has.
///
/// # Errors
/// As [`parse_selector`], of what is not a name either.
pub fn parse_named(text: &str, is_name: impl Fn(&str) -> bool) -> Result<Selector, QueryError> {
    parse_selector(text).or_else(|error| {
        let name = text.trim();
        if !is_name(name) {
            return Err(error);
        }
        let quoted = name.replace('\\', "\\\\").replace('"', "\\\"");
        parse_selector(&format!("{{{METRIC_NAME}=\"{quoted}\"}}")).map_err(|_| error)
    })
}

/// Reads an amount such as `1e9`, `10GiB`, `5k` or `80%`.
///
/// # Errors
/// What is wrong with it, in words.
pub fn parse_amount(text: &str) -> Result<f64, String> {
    let text = text.trim();
    let fail = || format!("the value `{text}` is no number; write 100, 1e9, 10GiB or 80%");
    if text.is_empty() {
        return Err("the value behind `=` is missing".to_owned());
    }
    // `1e9` ends in a digit, so an exponent's `e` is never taken for a unit.
    let n_digits = text.rfind(|c: char| c.is_ascii_digit() || c == '.').map_or(0, |last| last + 1);
    let (number, unit) = text.split_at(n_digits);
    let number: f64 = number.parse().map_err(|_| fail())?;
    let factor = factor_of(unit.trim()).ok_or_else(fail)?;
    let value = if factor == 0.01 { number / 100.0 } else { number * factor };
    if value.is_finite() { Ok(value) } else { Err(format!("the value `{text}` is not finite")) }
}

fn factor_of(unit: &str) -> Option<f64> {
    match unit {
        "" | "B" => return Some(1.0),
        "%" => return Some(0.01),
        _ => {}
    }
    let scale = unit.strip_suffix('B').unwrap_or(unit);
    let (scale, base) = match scale.strip_suffix('i') {
        Some(scale) => (scale, 1024_f64),
        None => (scale, 1000_f64),
    };
    let mut letters = scale.chars();
    let letter = letters.next()?;
    if letters.next().is_some() {
        return None;
    }
    // A kilo is written k, but KiB and KB are too common to refuse.
    let letter = if letter == 'K' { 'k' } else { letter };
    LETTERS.iter().find(|(known, _)| *known == letter).map(|(_, power)| base.powi(*power))
}

fn last_outer_equals(text: &str) -> Option<usize> {
    let (mut found, mut depth, mut quote) = (None, 0_usize, None);
    let mut chars = text.char_indices();
    while let Some((idx, c)) = chars.next() {
        match (quote, c) {
            (Some('`'), '\\') => {}
            (Some(_), '\\') => {
                chars.next();
            }
            (Some(open), _) => {
                if c == open {
                    quote = None;
                }
            }
            (None, '"' | '\'' | '`') => quote = Some(c),
            (None, '{') => depth += 1,
            (None, '}') => depth = depth.saturating_sub(1),
            (None, '=') if depth == 0 => found = Some(idx),
            (None, _) => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, selector: &str, value: f64) {
        let (got, amount) = parse_limit(text, |name| name == "web/cpu 0.csv").unwrap();
        assert_eq!((got.to_string().as_str(), amount), (selector, value));
    }

    fn refuses(text: &str, words: &str) {
        let error = parse_limit(text, |name| name == "web/cpu 0.csv").unwrap_err().to_string();
        assert!(error.contains(words), "{error} does not say {words}");
    }

    #[test]
    fn the_last_equals_outside_braces_and_quotes_splits() {
        check("up=1", "{__name__=\"up\"}", 1.0);
        check("disk{host=\"a\"} = 1e9", "{__name__=\"disk\",host=\"a\"}", 1e9);
        check("{host=~\"a=}.*\",x='='}=5", "{host=~\"a=}.*\",x=\"=\"}", 5.0);
        check("{x=\"\\\"=\"}=-2.5", "{x=\"\\\"=\"}", -2.5);
        check("web/cpu 0.csv=5", "{__name__=\"web/cpu 0.csv\"}", 5.0);
    }

    #[test]
    fn amounts_have_units() {
        for (text, value) in [
            ("10GiB", 10.0 * 1024.0 * 1024.0 * 1024.0),
            ("10 GB", 1e10),
            ("1.5k", 1500.0),
            ("2KiB", 2048.0),
            ("3Mi", 3.0 * 1024.0 * 1024.0),
            ("7B", 7.0),
            ("80%", 0.8),
            ("55%", 0.55),
            ("1e-3", 0.001),
            ("1E3", 1000.0),
            ("1E", 1e18),
            (".5", 0.5),
        ] {
            assert_eq!(parse_amount(text), Ok(value), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        refuses("up", "no `=VALUE`");
        refuses("disk{host=\"a\"}", "no `=VALUE`");
        refuses("up=", "missing");
        refuses("up=much", "`much` is no number");
        refuses("up=10XB", "10GiB");
        refuses("up=NaN", "no number");
        refuses("up=1e999", "not finite");
        refuses("=5", "is empty");
        refuses("up{=5", "no `=VALUE`");
        refuses("rate(up[5m])=5", "a function call");
        refuses("disk{host=a}=5", "not a selector");
        // No series is called so.
        refuses("up offset 5m=5", "offset");
        refuses("up + down=5", "a calculation");
        refuses("avg by host of cpu=5", "not a selector");
        refuses("web/cpu 1.csv=5", "not a selector");
    }
}
