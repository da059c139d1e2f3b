//! Reads long and wide Parquet and CSV, by polars, into rows in file order.
//!
//! In: files with a time column and either one value per row or one column per series; which column means what is
//! decided by name and type.
//! Out: [`Rows`], or for the multivariate detectors a [`Matrix`] per file. Empty cells are NaN, which every room
//! above reads as a gap. Only the columns that mean something are read from Parquet.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use hashbrown::HashMap;
use ndarray::Array2;
use polars::prelude::{
    ArrowDataType, CsvReadOptions, DataFrame, DataType, NullValues, ParquetReader, SerReader, StringChunked, TimeUnit,
};

use crate::series::{DAY, Key, LabelLimits, Labels, METRIC_NAME, Millis};

use super::input::{InputFile, expand};
use super::roles::{Class, FoundColumn, Identity, Layout, NEEDED, Roles, find_roles};
use super::rows::{Axis, Rows, Source, key_of_selector};
use super::times;

/// Rows from which polars guesses the types of a CSV; a later surprise makes it look at all of them.
const CSV_ROWS_TO_GUESS: usize = 10_000;
/// More columns than an error message can show.
const MAX_COLUMNS_SHOWN: usize = 24;

/// Why inputs could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The path does not exist.
    #[error("{}: there is no such file or folder; check the path", path.display())]
    NotFound {
        /// What was asked for.
        path: PathBuf,
    },
    /// A glob that matches nothing.
    #[error("{pattern}: the pattern matches no file; check the folder, and quote the pattern")]
    NoMatch {
        /// The pattern.
        pattern: String,
    },
    /// A glob that is not one.
    #[error("{pattern}: the pattern is not valid: {reason}")]
    BadGlob {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A folder without data.
    #[error("{}: the folder holds no .parquet or .csv file", path.display())]
    NothingInFolder {
        /// The folder.
        path: PathBuf,
    },
    /// Another kind of file.
    #[error("{}: the file is neither Parquet nor CSV; give a .parquet or .csv file", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
    },
    /// Nothing in it.
    #[error("{}: the file is empty; it needs {NEEDED}", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Columns, but no row.
    #[error("{}: the file has columns but no rows", path.display())]
    NoRows {
        /// The file.
        path: PathBuf,
    },
    /// Damaged, truncated, not allowed.
    #[error("{}: the file cannot be read: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        reason: String,
    },
    /// The wrong columns.
    #[error("{}: {reason}\n  found:  {found}\n  needed: {NEEDED}", path.display())]
    Columns {
        /// The file.
        path: PathBuf,
        /// What is missing.
        reason: String,
        /// The columns that are there, with their types.
        found: String,
    },
    /// A timestamp that is none.
    #[error(
        "{}: row {row}: `{text}` in column `{column}` is not a timestamp; write RFC 3339 (2024-05-01T12:30:00Z), \
         `2024-05-01 12:30:00`, or epoch numbers", path.display()
    )]
    BadTime {
        /// The file.
        path: PathBuf,
        /// Which row, the first being 1.
        row: usize,
        /// The time column.
        column: String,
        /// What it holds.
        text: String,
    },
    /// A row without timestamp.
    #[error("{}: row {row}: column `{column}` is empty; every row needs a timestamp", path.display())]
    NoTime {
        /// The file.
        path: PathBuf,
        /// Which row, the first being 1.
        row: usize,
        /// The time column.
        column: String,
    },
    /// A value that is no number.
    #[error("{}: row {row}: `{text}` in column `{column}` is not a number; leave the cell empty for a missing value", path.display())]
    BadValue {
        /// The file.
        path: PathBuf,
        /// Which row, the first being 1.
        row: usize,
        /// The value column.
        column: String,
        /// What it holds.
        text: String,
    },
    /// Labels that make no series.
    #[error("{}: row {row}: {reason}", path.display())]
    BadLabels {
        /// The file.
        path: PathBuf,
        /// Which row, the first being 1.
        row: usize,
        /// What is wrong.
        reason: String,
    },
}

/// One entity's metrics side by side: rows in file order, one column each.
#[derive(Clone, Debug)]
pub struct Matrix {
    /// The file's name without extension.
    pub name: String,
    /// What dates the rows.
    pub axis: Axis,
    /// When each row was measured.
    pub at: Vec<Millis>,
    /// What the columns are called.
    pub columns: Vec<String>,
    /// The values; NaN where the file has none.
    pub values: Array2<f64>,
}

/// Reads every row behind `inputs` (files, globs, folders), in input order.
///
/// A file without `series`, `metric` or label columns is one series, called by its file name. Wide files whose times
/// overlap are different entities: their columns are called `file/column`; otherwise the same column continues.
///
/// # Errors
/// [`ReadError`] with the file, the row and what to do.
pub fn read(inputs: &[String]) -> Result<Rows, ReadError> {
    let mut parts = Vec::new();
    for file in expand(inputs)? {
        parts.push(read_file(&file)?);
    }
    if do_entities_overlap(&parts) {
        for part in parts.iter_mut().filter(|part| part.is_wide) {
            part.name_after_file();
        }
    }
    let mut rows = Rows::default();
    for part in parts {
        rows.append(part.rows);
    }
    Ok(rows)
}

/// Reads each file behind `inputs` as one entity: the columns of a wide file, or the series of a long one.
///
/// # Errors
/// As [`read`].
pub fn read_matrix(inputs: &[String]) -> Result<Vec<Matrix>, ReadError> {
    expand(inputs)?.iter().map(|file| read_file(file).map(|part| matrix_of(file.stem(), &part))).collect()
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

fn matrix_of(name: &str, part: &Part) -> Matrix {
    let rows = &part.rows;
    let columns: Vec<String> = rows.sources.iter().map(|source| source.name.clone()).collect();
    let axis = rows.sources.first().map_or(Axis::Time, |source| source.axis);
    if part.is_wide && rows.len() == columns.len() * (rows.len() / columns.len().max(1)) {
        let n_rows = rows.len() / columns.len().max(1);
        let is_regular =
            rows.source_idx.iter().enumerate().all(|(idx, &source)| idx % columns.len() == source as usize);
        if let (true, Ok(values)) = (is_regular, Array2::from_shape_vec((n_rows, columns.len()), rows.value.clone())) {
            let at = rows.at.iter().step_by(columns.len()).copied().collect();
            return Matrix { name: name.to_owned(), axis, at, columns, values };
        }
    }
    // Long: a row per timestamp, in order of first appearance; the last value of a cell wins.
    let mut row_of: HashMap<Millis, usize> = HashMap::new();
    let mut at = Vec::new();
    for &instant in &rows.at {
        row_of.entry(instant).or_insert_with(|| {
            at.push(instant);
            at.len() - 1
        });
    }
    let mut values = Array2::from_elem((at.len(), columns.len()), f64::NAN);
    for ((source, instant), &value) in rows.source_idx.iter().zip(&rows.at).zip(&rows.value) {
        values[(row_of[instant], *source as usize)] = value;
    }
    Matrix { name: name.to_owned(), axis, at, columns, values }
}

fn read_file(file: &InputFile) -> Result<Part, ReadError> {
    let path = &file.path;
    let (frame, roles) = match kind_of(path)? {
        FileKind::Parquet => read_parquet(path)?,
        FileKind::Csv => read_csv(path)?,
    };
    if frame.height() == 0 {
        return Err(ReadError::NoRows { path: path.clone() });
    }
    let (axis, at) = dates(path, &frame, &roles.time)?;
    let mut rows = match &roles.layout {
        Layout::Long { value, identity } => long_rows(file, &frame, value, identity, axis, at)?,
        Layout::Wide { columns, texts } => wide_rows(file, &frame, columns, texts, axis, &at)?,
    };
    if !roles.ignored.is_empty() {
        let names: Vec<String> = roles.ignored.iter().map(|name| shown(name)).collect();
        rows.notes.push(format!("{}: passed over {}", path.display(), names.join(", ")));
    }
    Ok(Part { stem: file.stem().to_owned(), is_wide: matches!(roles.layout, Layout::Wide { .. }), rows })
}

enum FileKind {
    Parquet,
    Csv,
}

/// By extension; an unknown one by the first bytes, since Parquet says so itself.
fn kind_of(path: &Path) -> Result<FileKind, ReadError> {
    let unreadable = |err: std::io::Error| ReadError::Unreadable { path: path.to_owned(), reason: err.to_string() };
    let mut head = Vec::new();
    let mut file = File::open(path).map_err(unreadable)?;
    std::io::Read::read_to_end(&mut std::io::Read::take(&mut file, 4), &mut head).map_err(unreadable)?;
    if head.is_empty() {
        return Err(ReadError::Empty { path: path.to_owned() });
    }
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase()).unwrap_or_default();
    match extension.as_str() {
        "parquet" | "pq" => Ok(FileKind::Parquet),
        "csv" | "tsv" | "txt" => Ok(FileKind::Csv),
        _ if head == b"PAR1" => Ok(FileKind::Parquet),
        _ => Err(ReadError::Unsupported { path: path.to_owned() }),
    }
}

fn read_parquet(path: &Path) -> Result<(DataFrame, Roles), ReadError> {
    let unreadable = |reason: String| ReadError::Unreadable { path: path.to_owned(), reason };
    let open = || File::open(path).map_err(|err| unreadable(err.to_string()));
    let file = open()?;
    let schema = guarded(|| ParquetReader::new(file).schema()).map_err(unreadable)?;
    let columns: Vec<FoundColumn> = schema
        .iter_values()
        .map(|field| FoundColumn {
            name: field.name.to_string(),
            class: class_of_arrow(&field.dtype),
            type_name: type_name_of_arrow(&field.dtype),
        })
        .collect();
    let roles = roles_or_error(path, &columns, true)?;
    let file = open()?;
    let frame = guarded(|| ParquetReader::new(file).with_columns(Some(roles.needed())).finish()).map_err(unreadable)?;
    Ok((frame, roles))
}

fn read_csv(path: &Path) -> Result<(DataFrame, Roles), ReadError> {
    let unreadable = |reason: String| ReadError::Unreadable { path: path.to_owned(), reason };
    let separator = separator_of(path).map_err(|err| unreadable(err.to_string()))?;
    let nulls = ["", "NA", "N/A", "NaN", "nan", "NAN", "null", "NULL", "None"];
    let attempt = |n_rows_to_guess: Option<usize>| {
        guarded(|| {
            CsvReadOptions::default()
                .with_infer_schema_length(n_rows_to_guess)
                .map_parse_options(|options| {
                    let nulls = nulls.iter().map(|text| (*text).into()).collect();
                    options.with_separator(separator).with_null_values(Some(NullValues::AllColumns(nulls)))
                })
                .try_into_reader_with_file_path(Some(path.to_owned()))?
                .finish()
        })
    };
    let frame = attempt(Some(CSV_ROWS_TO_GUESS)).or_else(|_| attempt(None)).map_err(unreadable)?;
    let columns: Vec<FoundColumn> = frame
        .columns()
        .iter()
        .map(|column| FoundColumn {
            name: column.name().to_string(),
            class: class_of(column.dtype()),
            type_name: column.dtype().to_string(),
        })
        .collect();
    let roles = roles_or_error(path, &columns, false);
    if roles.is_err() {
        // A single word may be why there is no number column; say so rather than that there is none.
        for column in columns.iter().filter(|column| column.class == Class::Text) {
            refuse_spoiled_numbers(path, &column.name, text_column(path, &frame, &column.name)?.as_ref())?;
        }
    }
    Ok((frame, roles?))
}

/// The separator that the header line has most of; a comma when it has none.
fn separator_of(path: &Path) -> std::io::Result<u8> {
    let mut head = Vec::new();
    std::io::Read::read_to_end(&mut std::io::Read::take(File::open(path)?, 64 * 1024), &mut head)?;
    let header = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |separator: u8| header.iter().filter(|byte| **byte == separator).count();
    let mut best = b',';
    for separator in [b';', b'\t'] {
        if count(separator) > count(best) {
            best = separator;
        }
    }
    Ok(best)
}

/// polars answers damaged files with an error, and in places with a panic; both are the file's fault.
fn guarded<T>(read: impl FnOnce() -> Result<T, polars::prelude::PolarsError>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(err)) => Err(first_line(&err.to_string())),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Err(first_line(&text.unwrap_or_else(|| "it is damaged".to_owned())))
        }
    }
}

fn first_line(text: &str) -> String {
    text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned()
}

fn roles_or_error(path: &Path, columns: &[FoundColumn], is_typed: bool) -> Result<Roles, ReadError> {
    find_roles(columns, is_typed).map_err(|reason| {
        let mut found: Vec<String> = columns
            .iter()
            .take(MAX_COLUMNS_SHOWN)
            .map(|column| format!("{} ({})", shown(&column.name), column.type_name))
            .collect();
        if columns.len() > MAX_COLUMNS_SHOWN {
            found.push(format!("and {} more", columns.len() - MAX_COLUMNS_SHOWN));
        }
        ReadError::Columns { path: path.to_owned(), reason, found: found.join(", ") }
    })
}

/// A name as it can be shown: garbage escaped, and not longer than a line.
fn shown(name: &str) -> String {
    let escaped: String = name.chars().take(40).flat_map(char::escape_debug).collect();
    if name.chars().count() > 40 { format!("{escaped}...") } else { escaped }
}

fn class_of(dtype: &DataType) -> Class {
    match dtype {
        DataType::String => Class::Text,
        dtype if dtype.is_integer() => Class::Whole,
        DataType::Float32 | DataType::Float64 => Class::Fraction,
        DataType::Datetime(..) | DataType::Date => Class::Instant,
        _ => Class::Other,
    }
}

fn class_of_arrow(dtype: &ArrowDataType) -> Class {
    use ArrowDataType as A;
    match dtype {
        A::Utf8 | A::LargeUtf8 | A::Utf8View => Class::Text,
        A::Dictionary(_, values, _) => class_of_arrow(values),
        A::Int8 | A::Int16 | A::Int32 | A::Int64 | A::UInt8 | A::UInt16 | A::UInt32 | A::UInt64 => Class::Whole,
        A::Float32 | A::Float64 => Class::Fraction,
        A::Timestamp(..) | A::Date32 | A::Date64 => Class::Instant,
        A::Map(..) => Class::Labels,
        A::List(item) | A::LargeList(item) => match item.dtype() {
            A::Struct(fields) if fields.len() == 2 => Class::Labels,
            _ => Class::Other,
        },
        _ => Class::Other,
    }
}

fn type_name_of_arrow(dtype: &ArrowDataType) -> String {
    match dtype {
        ArrowDataType::Utf8 | ArrowDataType::LargeUtf8 | ArrowDataType::Utf8View => "text".to_owned(),
        ArrowDataType::Timestamp(..) => "timestamp".to_owned(),
        other => {
            let text = format!("{other:?}").to_lowercase();
            text.split(['(', '{', ' ']).next().unwrap_or_default().to_owned()
        }
    }
}

fn text_column<'a>(
    path: &Path,
    frame: &'a DataFrame,
    name: &str,
) -> Result<std::borrow::Cow<'a, StringChunked>, ReadError> {
    let unreadable = |err: polars::prelude::PolarsError| ReadError::Unreadable {
        path: path.to_owned(),
        reason: first_line(&err.to_string()),
    };
    let column = frame.column(name).map_err(unreadable)?;
    if column.dtype() == &DataType::String {
        return column.str().map(std::borrow::Cow::Borrowed).map_err(unreadable);
    }
    // Whole numbers that are labels, and dictionaries.
    let cast = column.cast(&DataType::String).map_err(unreadable)?;
    cast.str().cloned().map(std::borrow::Cow::Owned).map_err(unreadable)
}

fn dates(path: &Path, frame: &DataFrame, name: &str) -> Result<(Axis, Vec<Millis>), ReadError> {
    let unreadable = |err: polars::prelude::PolarsError| ReadError::Unreadable {
        path: path.to_owned(),
        reason: first_line(&err.to_string()),
    };
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
        dtype if dtype.is_integer() => Ok(times::of_integers(&wholes()?)),
        DataType::Float32 | DataType::Float64 => {
            let cast = column.cast(&DataType::Float64).map_err(unreadable)?;
            let numbers: Vec<f64> = cast
                .f64()
                .map_err(unreadable)?
                .iter()
                .enumerate()
                .map(|(row, number)| number.filter(|number| number.is_finite()).ok_or_else(|| missing(row)))
                .collect::<Result<_, _>>()?;
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
                    text: shown(text),
                })?);
            }
            Ok((Axis::Time, at))
        }
    }
}

fn numbers(path: &Path, frame: &DataFrame, name: &str) -> Result<Vec<f64>, ReadError> {
    let unreadable = |err: polars::prelude::PolarsError| ReadError::Unreadable {
        path: path.to_owned(),
        reason: first_line(&err.to_string()),
    };
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
                    text: shown(text),
                }),
            })
            .collect();
    }
    let cast = column.cast(&DataType::Float64).map_err(unreadable)?;
    Ok(cast.f64().map_err(unreadable)?.iter().map(|number| number.unwrap_or(f64::NAN)).collect())
}

fn bad_labels(path: &Path, row: usize, reason: impl ToString) -> ReadError {
    ReadError::BadLabels { path: path.to_owned(), row: row + 1, reason: reason.to_string() }
}

/// Numbers the distinct combinations of text cells: an index per row, and a row where each was first seen.
fn combinations(columns: &[std::borrow::Cow<'_, StringChunked>], n_rows: usize) -> (Vec<u32>, Vec<usize>) {
    let mut iters: Vec<_> = columns.iter().map(|column| column.iter()).collect();
    let mut known: HashMap<String, u32> = HashMap::new();
    let (mut idx, mut first_rows) = (Vec::with_capacity(n_rows), Vec::new());
    let (mut cells, mut last): (Vec<Option<&str>>, Vec<Option<&str>>) = (Vec::new(), Vec::new());
    let mut joined = String::new();
    for row in 0..n_rows {
        cells.clear();
        cells.extend(iters.iter_mut().map(|iter| iter.next().flatten()));
        // Files are mostly sorted by series, so most rows repeat the one before.
        if row > 0 && cells == last {
            idx.push(idx[row - 1]);
            continue;
        }
        joined.clear();
        for cell in &cells {
            // Lengths in front, so that no two combinations run together.
            let cell = cell.unwrap_or_default();
            joined.push_str(&cell.len().to_string());
            joined.push(':');
            joined.push_str(cell);
        }
        let next = first_rows.len() as u32;
        let found = *known.entry_ref(joined.as_str()).or_insert_with(|| {
            first_rows.push(row);
            next
        });
        idx.push(found);
        std::mem::swap(&mut cells, &mut last);
    }
    (idx, first_rows)
}

fn long_rows(
    file: &InputFile,
    frame: &DataFrame,
    value: &str,
    identity: &Identity,
    axis: Axis,
    at: Vec<Millis>,
) -> Result<Rows, ReadError> {
    let path = &file.path;
    let value = numbers(path, frame, value)?;
    let plain = |name: &str, row: usize| -> Result<Source, ReadError> {
        let selector = key_of_selector(name);
        let is_metric = selector.is_some();
        let key = match selector {
            Some(key) => key,
            None => Key::from_pairs(name, &[]).map_err(|err| bad_labels(path, row, err))?,
        };
        Ok(Source { name: name.to_owned(), key, axis, is_metric })
    };
    let (source_idx, sources) = match identity {
        Identity::File => (vec![0; at.len()], vec![plain(&file.name, 0)?]),
        Identity::Name(column) => {
            let texts = text_column(path, frame, column)?;
            let (idx, first_rows) = combinations(std::slice::from_ref(&texts), at.len());
            let mut sources = Vec::with_capacity(first_rows.len());
            for row in first_rows {
                let name = texts.get(row).ok_or_else(|| {
                    bad_labels(path, row, format!("column `{column}` is empty; every row needs a series"))
                })?;
                sources.push(plain(name, row)?);
            }
            (idx, sources)
        }
        Identity::Labels { metric, map, texts, id } => {
            labelled(file, frame, metric.as_deref(), map.as_deref(), texts, id.as_deref(), axis)?
        }
    };
    Ok(Rows { sources, source_idx, at, value, notes: Vec::new() })
}

/// Series named by a metric column, a map of labels and text columns.
fn labelled(
    file: &InputFile,
    frame: &DataFrame,
    metric: Option<&str>,
    map: Option<&str>,
    texts: &[String],
    id: Option<&str>,
    axis: Axis,
) -> Result<(Vec<u32>, Vec<Source>), ReadError> {
    let path = &file.path;
    let n_rows = frame.height();
    let names: Vec<&str> = metric.into_iter().chain(texts.iter().map(String::as_str)).collect();
    let columns = names.iter().map(|name| text_column(path, frame, name)).collect::<Result<Vec<_>, _>>()?;
    let maps = match map {
        Some(map) => Some(LabelMaps::of(path, frame, map)?),
        None => None,
    };
    let (idx, first_rows) = match (&maps, id) {
        (None, _) => combinations(&columns, n_rows),
        // In our own blocks the id stands for all labels, so that the maps are read once per series.
        (Some(_), Some(id)) => combinations(&[text_column(path, frame, id)?], n_rows),
        (Some(maps), None) => {
            let spelled = maps.spelled(n_rows);
            let mut all = columns.clone();
            all.push(std::borrow::Cow::Owned(spelled));
            combinations(&all, n_rows)
        }
    };
    let mut sources = Vec::with_capacity(first_rows.len());
    for row in first_rows {
        let mut pairs: Vec<(String, String)> = maps.as_ref().map(|maps| maps.row(row)).unwrap_or_default();
        for (position, (name, column)) in names.iter().zip(&columns).enumerate() {
            let is_metric = metric.is_some() && position == 0;
            let name = if is_metric { METRIC_NAME } else { name };
            if let Some(value) = column.get(row)
                && !pairs.iter().any(|(known, _)| known == name)
            {
                pairs.push((name.to_owned(), value.to_owned()));
            }
        }
        let is_metric = pairs.iter().any(|(name, _)| name == METRIC_NAME);
        if metric.is_none() && !is_metric {
            pairs.push((METRIC_NAME.to_owned(), file.stem().to_owned()));
        }
        let labels = Labels::new(pairs, &LabelLimits::default()).map_err(|err| bad_labels(path, row, err))?;
        let key = Key::new(labels);
        sources.push(Source { name: key.to_string(), key, axis, is_metric });
    }
    Ok((idx, sources))
}

/// A column of label maps, as polars holds them: lists of (name, value).
struct LabelMaps {
    offsets: Vec<usize>,
    names: StringChunked,
    values: StringChunked,
}

impl LabelMaps {
    fn of(path: &Path, frame: &DataFrame, name: &str) -> Result<LabelMaps, ReadError> {
        let unreadable = |err: polars::prelude::PolarsError| ReadError::Unreadable {
            path: path.to_owned(),
            reason: first_line(&err.to_string()),
        };
        let column = frame.column(name).map_err(unreadable)?.as_materialized_series().rechunk();
        let lists = column.list().map_err(unreadable)?;
        let mut offsets = vec![0];
        for row in 0..lists.len() {
            let n_pairs = lists.get_as_series(row).map_or(0, |list| list.len());
            offsets.push(offsets[row] + n_pairs);
        }
        let inner = lists.get_inner();
        let fields = inner.struct_().map_err(unreadable)?.fields_as_series();
        let as_text = |idx: usize| {
            let field = fields.get(idx).ok_or_else(|| bad_labels(path, 0, "the labels are no (name, value) pairs"))?;
            field.cast(&DataType::String).and_then(|text| text.str().cloned()).map_err(unreadable)
        };
        Ok(LabelMaps { offsets, names: as_text(0)?, values: as_text(1)? })
    }

    fn row(&self, row: usize) -> Vec<(String, String)> {
        (self.offsets[row]..self.offsets[row + 1])
            .filter_map(|idx| Some((self.names.get(idx)?.to_owned(), self.values.get(idx)?.to_owned())))
            .collect()
    }

    /// Each row's labels as one text, to tell series apart by.
    fn spelled(&self, n_rows: usize) -> StringChunked {
        let mut pairs: Vec<String>;
        let mut texts = Vec::with_capacity(n_rows);
        for row in 0..n_rows {
            pairs = self.row(row).into_iter().map(|(name, value)| format!("{}:{name}{value}", name.len())).collect();
            pairs.sort_unstable();
            texts.push(pairs.join("\u{1f}"));
        }
        texts.iter().map(|text| Some(text.as_str())).collect()
    }
}

fn wide_rows(
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
        notes: Vec::new(),
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

/// One word in a number column makes CSV readers take all of it for text, and every number for a label of its own.
fn refuse_spoiled_numbers(path: &Path, name: &str, column: &StringChunked) -> Result<(), ReadError> {
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
        Some((row, text)) if 2 * n_numbers >= n_cells => {
            Err(ReadError::BadValue { path: path.to_owned(), row: row + 1, column: name.to_owned(), text: shown(text) })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
