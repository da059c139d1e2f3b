//! A column's cells as texts, dates or numbers, whatever type the file has them in.

use std::borrow::Cow;
use std::path::Path;

use polars::prelude::{DataFrame, DataType, StringChunked, TimeUnit};

use super::ReadError;
use super::error::{printable, unreadable};
use crate::batch::rows::Axis;
use crate::batch::times;
use crate::series::{DAY, Millis};

pub(super) fn text_column<'a>(
    path: &Path,
    frame: &'a DataFrame,
    name: &str,
) -> Result<Cow<'a, StringChunked>, ReadError> {
    let unreadable = unreadable(path);
    let column = frame.column(name).map_err(unreadable)?;
    if column.dtype() == &DataType::String {
        return column.str().map(Cow::Borrowed).map_err(unreadable);
    }
    // Whole numbers that are labels, and dictionaries.
    let cast = column.cast(&DataType::String).map_err(unreadable)?;
    cast.str().cloned().map(Cow::Owned).map_err(unreadable)
}

pub(super) fn dates(path: &Path, frame: &DataFrame, name: &str) -> Result<(Axis, Vec<Millis>), ReadError> {
    let unreadable = unreadable(path);
    let column = frame.column(name).map_err(unreadable)?;
    let missing = |row: usize| ReadError::NoTime { path: path.to_owned(), row: row + 1, column: name.to_owned() };
    let wholes = || -> Result<Vec<i64>, ReadError> {
        let physical = column.to_physical_repr().cast(&DataType::Int64).map_err(unreadable)?;
        let numbers = physical.i64().map_err(unreadable)?;
        numbers.iter().enumerate().map(|(row, number)| number.ok_or_else(|| missing(row))).collect()
    };
    match column.dtype() {
        DataType::Date => Ok((Axis::Time, wholes()?.into_iter().map(|days| days.saturating_mul(DAY)).collect())),
        DataType::Datetime(unit, _) => {
            let per_milli = match unit {
                TimeUnit::Nanoseconds => 1_000_000,
                TimeUnit::Microseconds => 1_000,
                TimeUnit::Milliseconds => 1,
            };
            Ok((Axis::Time, wholes()?.into_iter().map(|number| number.div_euclid(per_milli)).collect()))
        }
        dtype if dtype.is_integer() => {
            let numbers = wholes()?;
            refuse_mixed_units(path, name, numbers.iter().map(|&number| number as f64))?;
            Ok(times::of_integers(&numbers))
        }
        DataType::Float32 | DataType::Float64 => {
            let cast = column.cast(&DataType::Float64).map_err(unreadable)?;
            let numbers: Vec<f64> = cast
                .f64()
                .map_err(unreadable)?
                .iter()
                .enumerate()
                .map(|(row, number)| number.filter(|number| number.is_finite()).ok_or_else(|| missing(row)))
                .collect::<Result<_, _>>()?;
            refuse_mixed_units(path, name, numbers.iter().copied())?;
            times::of_floats(&numbers).ok_or_else(|| ReadError::BadTime {
                path: path.to_owned(),
                row: 1,
                column: name.to_owned(),
                text: numbers[0].to_string(),
            })
        }
        _ => {
            let texts = text_column(path, frame, name)?;
            let mut at = Vec::with_capacity(texts.len());
            for (row, text) in texts.iter().enumerate() {
                let text = text.ok_or_else(|| missing(row))?;
                at.push(times::of_text(text).ok_or_else(|| ReadError::BadTime {
                    path: path.to_owned(),
                    row: row + 1,
                    column: name.to_owned(),
                    text: printable(text),
                })?);
            }
            Ok((Axis::Time, at))
        }
    }
}

fn refuse_mixed_units(path: &Path, name: &str, numbers: impl Iterator<Item = f64>) -> Result<(), ReadError> {
    times::mixed_units(numbers).map_or(Ok(()), |[first, second]| {
        Err(ReadError::MixedTimes { path: path.to_owned(), column: name.to_owned(), first, second })
    })
}

pub(super) fn numbers(path: &Path, frame: &DataFrame, name: &str) -> Result<Vec<f64>, ReadError> {
    let unreadable = unreadable(path);
    let column = frame.column(name).map_err(unreadable)?;
    if column.dtype() == &DataType::String {
        let texts = column.str().map_err(unreadable)?;
        return texts
            .iter()
            .enumerate()
            .map(|(row, text)| match text.map(str::trim) {
                None | Some("") => Ok(f64::NAN),
                Some(text) => text.parse().map_err(|_| ReadError::BadValue {
                    path: path.to_owned(),
                    row: row + 1,
                    column: name.to_owned(),
                    text: printable(text),
                }),
            })
            .collect();
    }
    let cast = column.cast(&DataType::Float64).map_err(unreadable)?;
    Ok(cast.f64().map_err(unreadable)?.iter().map(|number| number.unwrap_or(f64::NAN)).collect())
}

/// One word in a number column makes CSV readers take all of it for text, and every number for a label of its own.
pub(super) fn refuse_spoiled_numbers(path: &Path, name: &str, column: &StringChunked) -> Result<(), ReadError> {
    let (mut n_numbers, mut n_cells, mut first_word) = (0usize, 0usize, None);
    for (row, text) in column.iter().enumerate() {
        let Some(text) = text else { continue };
        n_cells += 1;
        if text.trim().parse::<f64>().is_ok() {
            n_numbers += 1;
        } else if first_word.is_none() {
            first_word = Some((row, text));
        }
    }
    match first_word {
        Some((row, text)) if 2 * n_numbers >= n_cells => Err(ReadError::BadValue {
            path: path.to_owned(),
            row: row + 1,
            column: name.to_owned(),
            text: printable(text),
        }),
        _ => Ok(()),
    }
}
