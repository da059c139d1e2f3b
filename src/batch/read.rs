//! Reads long and wide Parquet and CSV, by polars, into rows in file order.
//!
//! In: files with a time column and either one value per row or one column per series; which column means what is
//! decided by name and type.
//! Out: [`Rows`], or for the multivariate detectors a [`Matrix`] per file. Empty cells are NaN, which every room
//! above reads as a gap. Only the columns that mean something are read from Parquet.

mod cells;
mod distinct;
mod error;
mod frame;
mod label_maps;
mod long;
mod matrix;
#[cfg(test)]
mod tests;
mod wide;

use std::collections::BTreeSet;
use std::path::Path;

use super::input::{InputFile, expand};
use super::roles::Layout;
use super::rows::Rows;
use crate::series::{Key, LabelLimits, Labels, Millis};
use cells::dates;
use error::printable;
use frame::{Wanted, read_frame};
use long::long_rows;
use matrix::matrix_of;
use wide::wide_rows;

pub use error::ReadError;
pub use matrix::Matrix;

/// Reads every row behind `inputs` (files, globs, folders), in input order.
///
/// A file without `series`, `metric` or label columns is one series, called by its file name. Wide files whose times
/// overlap are different entities: their columns are called `file/column`; otherwise the same column continues.
///
/// # Errors
/// [`ReadError`] with the file, the row and what to do. A file without a row is a warning beside others that have some.
pub fn read(inputs: &[String]) -> Result<Rows, ReadError> {
    let (mut parts, warnings) = read_files(inputs)?;
    if do_entities_overlap(&parts) {
        for part in parts.iter_mut().filter(|part| part.is_wide) {
            part.name_after_file();
        }
    }
    let mut rows = Rows::default();
    for part in parts {
        rows.append(part.rows);
    }
    rows.warnings.extend(warnings);
    Ok(rows)
}

/// Reads each file behind `inputs` as one entity: the columns of a wide file, or the series of a long one.
///
/// # Errors
/// As [`read`]; the warnings stand beside the entities.
pub fn read_matrix(inputs: &[String]) -> Result<(Vec<Matrix>, Vec<String>), ReadError> {
    let (parts, warnings) = read_files(inputs)?;
    Ok((parts.iter().map(|part| matrix_of(&part.stem, part)).collect(), warnings))
}

/// The files that have rows, and what is to be said of those that have none.
fn read_files(inputs: &[String]) -> Result<(Vec<Part>, Vec<String>), ReadError> {
    let (mut parts, mut empty) = (Vec::new(), Vec::new());
    for file in expand(inputs)? {
        match read_file(&file) {
            Ok(part) => parts.push(part),
            Err(error) if error.is_of_nothing() => empty.push(error),
            Err(error) => return Err(error),
        }
    }
    let warnings = empty.iter().map(ToString::to_string).collect();
    match empty.into_iter().next().filter(|_| parts.is_empty()) {
        Some(error) => Err(error),
        None => Ok((parts, warnings)),
    }
}

/// One file's rows and what naming them across files takes.
struct Part {
    stem: String,
    is_wide: bool,
    rows: Rows,
}

impl Part {
    fn span(&self) -> Option<(Millis, Millis)> {
        Some((*self.rows.at.iter().min()?, *self.rows.at.iter().max()?))
    }

    fn name_after_file(&mut self) {
        for source in &mut self.rows.sources {
            source.name = format!("{}/{}", self.stem, source.name);
            let pairs = source.key.labels().iter().chain([("file", self.stem.as_str())]);
            // A `file` label of its own already tells the entities apart.
            if let Ok(labels) = Labels::new(pairs, &LabelLimits::default()) {
                source.key = Key::new(labels);
            }
        }
    }
}

fn do_entities_overlap(parts: &[Part]) -> bool {
    let mut spans: Vec<(Millis, Millis)> = parts.iter().filter(|part| part.is_wide).filter_map(Part::span).collect();
    spans.sort_unstable();
    spans.windows(2).any(|pair| pair[1].0 <= pair[0].1)
}

/// Reads the rows of one file as columns of what is known beforehand of series with `labels`: each is a source, its
/// labels what narrows it.
pub(super) fn read_known(path: &Path, labels: &BTreeSet<&str>) -> Result<Rows, ReadError> {
    let name = path.to_string_lossy().into_owned();
    read_as(&InputFile { path: path.to_owned(), name }, Wanted::Known { labels }).map(|part| part.rows)
}

fn read_file(file: &InputFile) -> Result<Part, ReadError> {
    read_as(file, Wanted::Series)
}

fn read_as(file: &InputFile, wanted: Wanted<'_>) -> Result<Part, ReadError> {
    let path = &file.path;
    let (frame, roles) = read_frame(path, wanted)?;
    if frame.height() == 0 {
        return Err(ReadError::NoRows { path: path.clone() });
    }
    let (axis, at) = dates(path, &frame, &roles.time)?;
    let mut rows = match &roles.layout {
        Layout::Long { value, identity } => long_rows(file, &frame, value, identity, axis, at)?,
        Layout::Wide { columns, texts } => wide_rows(file, &frame, columns, texts, axis, &at)?,
    };
    if !roles.ignored.is_empty() {
        let names: Vec<String> = roles.ignored.iter().map(|name| printable(name)).collect();
        rows.notes.push(format!("{}: passed over {}", path.display(), names.join(", ")));
    }
    Ok(Part { stem: file.stem().to_owned(), is_wide: matches!(roles.layout, Layout::Wide { .. }), rows })
}
