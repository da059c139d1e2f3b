//! Wide tables: a column per series, and perhaps text columns that are labels of all of them.

use polars::prelude::DataFrame;

use super::ReadError;
use super::cells::{numbers, refuse_spoiled_numbers, text_column};
use super::distinct::combinations;
use super::error::bad_labels;
use crate::batch::input::InputFile;
use crate::batch::rows::{Axis, Rows, Source};
use crate::series::{Key, Millis};

pub(super) fn wide_rows(
    file: &InputFile,
    frame: &DataFrame,
    columns: &[String],
    texts: &[String],
    axis: Axis,
    at: &[Millis],
) -> Result<Rows, ReadError> {
    let path = &file.path;
    let labels = texts.iter().map(|name| text_column(path, frame, name)).collect::<Result<Vec<_>, _>>()?;
    for (name, column) in texts.iter().zip(&labels) {
        refuse_spoiled_numbers(path, name, column)?;
    }
    let (entity_idx, first_rows) = combinations(&labels, at.len());
    let mut sources = Vec::with_capacity(first_rows.len() * columns.len());
    for row in first_rows {
        let pairs: Vec<(&str, &str)> =
            texts.iter().zip(&labels).filter_map(|(name, column)| Some((name.as_str(), column.get(row)?))).collect();
        for column in columns {
            let key = Key::from_pairs(column, &pairs).map_err(|err| bad_labels(path, row, err))?;
            let name = if pairs.is_empty() { column.clone() } else { key.to_string() };
            sources.push(Source { name, key, axis, is_metric: false });
        }
    }
    let values = columns.iter().map(|column| numbers(path, frame, column)).collect::<Result<Vec<_>, _>>()?;
    let n_cells = at.len() * columns.len();
    let mut rows = Rows {
        sources,
        source_idx: Vec::with_capacity(n_cells),
        at: Vec::with_capacity(n_cells),
        value: Vec::with_capacity(n_cells),
        ..Rows::default()
    };
    for (row, (&instant, &entity)) in at.iter().zip(&entity_idx).enumerate() {
        for (column_idx, column) in values.iter().enumerate() {
            rows.source_idx.push(entity * columns.len() as u32 + column_idx as u32);
            rows.at.push(instant);
            rows.value.push(column[row]);
        }
    }
    Ok(rows)
}
