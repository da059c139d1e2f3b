//! Timestamps however they are written: datetimes, epoch numbers of any unit, texts, or a count of steps.

use std::fmt;

use chrono::{DateTime, NaiveDate, NaiveDateTime};

use crate::series::{DAY, Millis};

use super::rows::Axis;

/// Whole numbers below this count steps; as epoch seconds it would be the spring of 1973.
const LARGEST_STEP: f64 = 1e8;

/// The unit that a column of epoch numbers is in, told by its largest magnitude.
///
/// The bounds lie in the year 5138 of one unit and in 1973 of the next finer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EpochUnit {
    Seconds,
    Millis,
    Micros,
    Nanos,
}

impl fmt::Display for EpochUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EpochUnit::Seconds => "seconds",
            EpochUnit::Millis => "milliseconds",
            EpochUnit::Micros => "microseconds",
            EpochUnit::Nanos => "nanoseconds",
        })
    }
}

impl EpochUnit {
    const ALL: [EpochUnit; 4] = [EpochUnit::Seconds, EpochUnit::Millis, EpochUnit::Micros, EpochUnit::Nanos];

    fn per_second(self) -> f64 {
        match self {
            EpochUnit::Seconds => 1.0,
            EpochUnit::Millis => 1e3,
            EpochUnit::Micros => 1e6,
            EpochUnit::Nanos => 1e9,
        }
    }

    /// The unit, or `None` when the numbers are so small that they count steps.
    pub(super) fn of_magnitude(largest: f64) -> Option<EpochUnit> {
        match largest {
            largest if largest < LARGEST_STEP => None,
            largest if largest < 1e11 => Some(EpochUnit::Seconds),
            largest if largest < 1e14 => Some(EpochUnit::Millis),
            largest if largest < 1e17 => Some(EpochUnit::Micros),
            _ => Some(EpochUnit::Nanos),
        }
    }

    pub(super) fn whole(self, number: i64) -> Millis {
        match self {
            EpochUnit::Seconds => number.saturating_mul(1_000),
            EpochUnit::Millis => number,
            EpochUnit::Micros => number.div_euclid(1_000),
            EpochUnit::Nanos => number.div_euclid(1_000_000),
        }
    }

    pub(super) fn fraction(self, number: f64) -> Millis {
        let millis = match self {
            EpochUnit::Seconds => number * 1e3,
            EpochUnit::Millis => number,
            EpochUnit::Micros => number / 1e3,
            EpochUnit::Nanos => number / 1e6,
        };
        millis.round() as Millis
    }
}

/// Seconds since the epoch that are likelier than others: 1990 to 2100.
const LIKELY: std::ops::Range<f64> = 631_152_000.0..4_102_444_800.0;

/// An epoch number, where it stands, and the unit in which it is a likely date.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EpochCell {
    /// From 1.
    row: usize,
    number: f64,
    unit: EpochUnit,
}

impl fmt::Display for EpochCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in row {} is in {}", self.number, self.row, self.unit)
    }
}

/// The first two of different units, where each of `numbers` is a likely date in some unit: what several programs wrote
/// into one file. By the finest of them the others would lie in 1970.
pub(super) fn mixed_units(numbers: impl Iterator<Item = f64>) -> Option<[EpochCell; 2]> {
    let (mut first, mut second): (Option<EpochCell>, Option<EpochCell>) = (None, None);
    for (idx, number) in numbers.enumerate() {
        let unit = EpochUnit::ALL.into_iter().find(|unit| LIKELY.contains(&(number / unit.per_second())))?;
        let cell = EpochCell { row: idx + 1, number, unit };
        if first.get_or_insert(cell).unit != unit {
            second.get_or_insert(cell);
        }
    }
    Some([first?, second?])
}

/// Dates whole numbers: epoch of the unit their magnitude tells, or steps.
pub(super) fn of_integers(numbers: &[i64]) -> (Axis, Vec<Millis>) {
    let largest = numbers.iter().map(|number| number.unsigned_abs()).max().unwrap_or(0) as f64;
    match EpochUnit::of_magnitude(largest) {
        Some(unit) => (Axis::Time, numbers.iter().map(|&number| unit.whole(number)).collect()),
        None => (Axis::Steps, numbers.iter().map(|&number| Axis::at_step(number)).collect()),
    }
}

/// Dates numbers with fractions; small ones that are all whole count steps.
pub(super) fn of_floats(numbers: &[f64]) -> Option<(Axis, Vec<Millis>)> {
    let largest = numbers.iter().fold(0.0, |largest: f64, number| largest.max(number.abs()));
    match EpochUnit::of_magnitude(largest) {
        Some(unit) => Some((Axis::Time, numbers.iter().map(|&number| unit.fraction(number)).collect())),
        None if numbers.iter().all(|number| number.fract() == 0.0) => {
            Some((Axis::Steps, numbers.iter().map(|&number| Axis::at_step(number as i64)).collect()))
        }
        None => None,
    }
}

/// Reads `2024-05-01T12:30:00Z`, with or without fraction and offset, a blank instead of the `T`, or a date alone;
/// without an offset it is UTC.
pub(super) fn of_text(text: &str) -> Option<Millis> {
    let text = text.trim();
    if let Some(millis) = plain(text.as_bytes()) {
        return Some(millis);
    }
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(at.timestamp_millis());
    }
    for form in
        ["%Y-%m-%d %H:%M:%S%.f%:z", "%Y-%m-%d %H:%M:%S%.f%z", "%Y-%m-%d %H:%M:%S%.f %z", "%Y-%m-%dT%H:%M:%S%.f%z"]
    {
        if let Ok(at) = DateTime::parse_from_str(text, form) {
            return Some(at.timestamp_millis());
        }
    }
    let bare = text.strip_suffix("UTC").or(text.strip_suffix('Z')).unwrap_or(text).trim_end();
    for form in [
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%d %H:%M",
        "%Y-%m-%dT%H:%M",
        "%Y/%m/%d %H:%M:%S%.f",
        "%Y/%m/%d %H:%M",
    ] {
        if let Ok(at) = NaiveDateTime::parse_from_str(bare, form) {
            return Some(at.and_utc().timestamp_millis());
        }
    }
    for form in ["%Y-%m-%d", "%Y/%m/%d"] {
        if let Ok(date) = NaiveDate::parse_from_str(bare, form) {
            return Some(date.and_hms_opt(0, 0, 0)?.and_utc().timestamp_millis());
        }
    }
    None
}

/// The form nearly every file has, `YYYY-MM-DD HH:MM:SS` or with `T` and `Z`, twenty times as fast as by pattern.
fn plain(text: &[u8]) -> Option<Millis> {
    let text = match text {
        [rest @ .., b'Z'] if rest.len() == 19 => rest,
        rest if rest.len() == 19 => rest,
        _ => return None,
    };
    let number = |from: usize, to: usize| {
        text[from..to]
            .iter()
            .try_fold(0u32, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u32::from(byte - b'0')))
    };
    let separators = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if separators.iter().any(|&(idx, byte)| text[idx] != byte) || !matches!(text[10], b' ' | b'T') {
        return None;
    }
    let date = NaiveDate::from_ymd_opt(number(0, 4)?.cast_signed(), number(5, 7)?, number(8, 10)?)?;
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = i64::from(date.to_epoch_days());
    Some(days * DAY + i64::from(hour * 3600 + minute * 60 + second) * 1000)
}

/// Writes an instant as RFC 3339 in UTC, with milliseconds only where there are some.
pub(crate) fn rfc3339(at: Millis) -> String {
    match DateTime::from_timestamp_millis(at) {
        Some(at) => {
            let precision = if at.timestamp_subsec_millis() == 0 {
                chrono::SecondsFormat::Secs
            } else {
                chrono::SecondsFormat::Millis
            };
            at.to_rfc3339_opts(precision, true)
        }
        None => at.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_in_every_usual_form() {
        let noon = 1_714_566_600_000;
        for text in [
            "2024-05-01T12:30:00Z",
            "2024-05-01 12:30:00",
            "2024-05-01T12:30:00",
            "2024-05-01 12:30",
            "2024-05-01T14:30:00+02:00",
            "2024-05-01 14:30:00+0200",
            "2024-05-01 12:30:00 UTC",
            "2024/05/01 12:30:00",
            " 2024-05-01T12:30:00.000Z ",
        ] {
            assert_eq!(of_text(text), Some(noon), "{text}");
        }
        assert_eq!(of_text("2024-05-01"), Some(noon - 12 * 3_600_000 - 1_800_000));
        assert_eq!(of_text("2024-05-01 12:30:00.250"), Some(noon + 250));
        for text in ["", "yesterday", "2024-13-01", "2024-05-01 25:00:00", "2024-02-30 00:00:00", "12:30"] {
            assert_eq!(of_text(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_tell_their_unit_by_magnitude() {
        let millis = 1_714_566_600_000;
        for numbers in [[millis / 1000], [millis], [millis * 1000], [millis * 1_000_000]] {
            assert_eq!(of_integers(&numbers), (Axis::Time, vec![millis]), "{numbers:?}");
        }
        assert_eq!(of_integers(&[1, 2, 3]), (Axis::Steps, vec![3_600_000, 7_200_000, 10_800_000]));
        assert_eq!(of_floats(&[1_714_566_600.25]), Some((Axis::Time, vec![millis + 250])));
        assert_eq!(of_floats(&[0.5]), None);
    }

    #[test]
    fn two_units_in_one_column_are_found() {
        let (day, start) = (86_400.0, 1_714_566_600.0);
        let mixed = |rows: &[f64]| mixed_units(rows.iter().copied());
        let [first, second] = mixed(&[start, start + day, (start + 2.0 * day) * 1e3]).unwrap();
        assert_eq!(first.to_string(), "1714566600 in row 1 is in seconds");
        assert_eq!(second.to_string(), "1714739400000 in row 3 is in milliseconds");
        assert_eq!(mixed(&[start, start + day]), None);
        // Days in milliseconds since 1970 pass through what would be likely seconds, but do not stay there.
        let days: Vec<f64> = (0..20_000).map(|nr| f64::from(nr) * 1e3 * day).collect();
        assert_eq!((mixed(&days), mixed(&[])), (None, None));
    }

    #[test]
    fn instants_are_written_as_short_as_they_are_exact() {
        assert_eq!(rfc3339(1_714_566_600_000), "2024-05-01T12:30:00Z");
        assert_eq!(rfc3339(1_714_566_600_007), "2024-05-01T12:30:00.007Z");
    }
}
