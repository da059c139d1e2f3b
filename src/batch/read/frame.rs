//! Opens a file with polars and finds what each of its columns means.
//!
//! In: a path. Out: the frame, with only the columns that mean something where the format allows it, and their
//! [`Roles`]. Whatever is wrong with the file is an error here and never a panic.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use polars::prelude::{
    ArrowDataType, CsvReadOptions, DataFrame, DataType, NullValues, ParquetReader, PolarsError, SerReader,
};

use super::ReadError;
use super::cells::{refuse_spoiled_numbers, text_column};
use super::error::{first_line, printable};
use crate::batch::roles::{Class, FoundColumn, NEEDED, NEEDED_OF_KNOWN, Roles, find_known_roles, find_roles};

/// Rows from which polars guesses the types of a CSV; a later surprise makes it look at all of them.
pub(super) const CSV_ROWS_TO_GUESS: usize = 10_000;
/// More columns than an error message can show.
const MAX_COLUMNS_SHOWN: usize = 24;

/// The rows of `path` as polars reads them, and what its columns mean, as `wanted` finds it.
pub(super) fn read_frame(path: &Path, wanted: Wanted<'_>) -> Result<(DataFrame, Roles), ReadError> {
    match kind_of(path)? {
        FileKind::Parquet => read_parquet(path, wanted),
        FileKind::Csv => read_csv(path, wanted),
    }
}

/// What is read of a file.
#[derive(Clone, Copy)]
pub(super) enum Wanted<'a> {
    /// Series, long or wide.
    Series,
    /// Columns of what is known beforehand.
    Known {
        /// The names of the labels that the series have.
        labels: &'a BTreeSet<&'a str>,
    },
}

impl Wanted<'_> {
    /// What the columns mean; `is_typed` tells that the file declares its types.
    fn find(self, columns: &[FoundColumn], is_typed: bool) -> Result<Roles, String> {
        match self {
            Wanted::Series => find_roles(columns, is_typed),
            Wanted::Known { labels } => find_known_roles(columns, labels),
        }
    }

    /// What it takes, for the error that says it is missing.
    fn needed(self) -> &'static str {
        match self {
            Wanted::Series => NEEDED,
            Wanted::Known { .. } => NEEDED_OF_KNOWN,
        }
    }
}

enum FileKind {
    Parquet,
    Csv,
}

/// By extension; an unknown one by the first bytes, since Parquet says so itself.
fn kind_of(path: &Path) -> Result<FileKind, ReadError> {
    let unreadable = |err: std::io::Error| ReadError::Unreadable { path: path.to_owned(), reason: err.to_string() };
    let mut head = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(4).read_to_end(&mut head).map_err(unreadable)?;
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

fn read_parquet(path: &Path, wanted: Wanted<'_>) -> Result<(DataFrame, Roles), ReadError> {
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
    let roles = roles_or_error(path, wanted, &columns, true)?;
    let file = open()?;
    let frame = guarded(|| ParquetReader::new(file).with_columns(Some(roles.needed())).finish()).map_err(unreadable)?;
    Ok((frame, roles))
}

fn read_csv(path: &Path, wanted: Wanted<'_>) -> Result<(DataFrame, Roles), ReadError> {
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
    let frame = attempt(Some(CSV_ROWS_TO_GUESS)).or_else(|_| attempt(None));
    let told = || foreign_text(path).or_else(|| ragged_line(path, separator));
    let frame = frame.map_err(|reason| unreadable(told().unwrap_or(reason)))?;
    if frame.height() == 0 {
        // Without a row no column has a type, and every one would be found wanting.
        return Err(ReadError::NoRows { path: path.to_owned() });
    }
    let columns: Vec<FoundColumn> = frame
        .columns()
        .iter()
        .map(|column| FoundColumn {
            name: column.name().to_string(),
            class: class_of(column.dtype()),
            type_name: column.dtype().to_string(),
        })
        .collect();
    let roles = roles_or_error(path, wanted, &columns, false);
    if roles.is_err() {
        // A single word may be why there is no number column; say so rather than that there is none.
        for column in columns.iter().filter(|column| column.class == Class::Text) {
            refuse_spoiled_numbers(path, &column.name, text_column(path, &frame, &column.name)?.as_ref())?;
        }
    }
    Ok((frame, roles?))
}

/// Where a text file is not UTF-8, which polars says without the place.
fn foreign_text(path: &Path) -> Option<String> {
    for (idx, line) in BufReader::new(File::open(path).ok()?).split(b'\n').enumerate() {
        if std::str::from_utf8(&line.ok()?).is_err() {
            let line = idx + 1;
            return Some(format!(
                "line {line} is not UTF-8; convert the file first, for example with iconv -f latin1 -t utf8"
            ));
        }
    }
    None
}

/// Where a text file has more cells in a line than in its header, which polars says without the place as well.
fn ragged_line(path: &Path, separator: u8) -> Option<String> {
    let (mut n_columns, mut n_cells, mut is_quoted) = (None, 1, false);
    for (idx, line) in BufReader::new(File::open(path).ok()?).split(b'\n').enumerate() {
        let line = line.ok()?;
        // The header is the first line that says something.
        if !is_quoted && line.trim_ascii().is_empty() {
            continue;
        }
        // A quote in the middle of a cell is one of its letters; two in a quoted cell stand for one.
        let mut can_open = !is_quoted;
        for byte in line {
            let is_quote = byte == b'"';
            let is_end = byte == separator && !is_quoted;
            n_cells += usize::from(is_end);
            let closes = is_quoted && is_quote;
            is_quoted = if is_quoted { !is_quote } else { is_quote && can_open };
            can_open = is_end || closes;
        }
        // What is quoted may go on in the next line.
        if is_quoted {
            continue;
        }
        let n_columns = *n_columns.get_or_insert(n_cells);
        if n_cells > n_columns {
            let (line, separator) = (idx + 1, char::from(separator).escape_debug().to_string());
            return Some(format!(
                "line {line} has {n_cells} cells, and the header {n_columns}; a cell that has `{separator}` in it \
                 wants double quotes"
            ));
        }
        n_cells = 1;
    }
    None
}

/// The separator that the header line has most of; a comma when it has none.
fn separator_of(path: &Path) -> std::io::Result<u8> {
    let mut head = Vec::new();
    File::open(path)?.take(64 * 1024).read_to_end(&mut head)?;
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
fn guarded<T>(read: impl FnOnce() -> Result<T, PolarsError>) -> Result<T, String> {
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

fn roles_or_error(
    path: &Path,
    wanted: Wanted<'_>,
    columns: &[FoundColumn],
    is_typed: bool,
) -> Result<Roles, ReadError> {
    wanted.find(columns, is_typed).map_err(|reason| {
        let mut found: Vec<String> = columns
            .iter()
            .take(MAX_COLUMNS_SHOWN)
            .map(|column| format!("{} ({})", printable(&column.name), column.type_name))
            .collect();
        if columns.len() > MAX_COLUMNS_SHOWN {
            found.push(format!("and {} more", columns.len() - MAX_COLUMNS_SHOWN));
        }
        ReadError::Columns { path: path.to_owned(), reason, found: found.join(", "), needed: wanted.needed() }
    })
}

fn class_of(dtype: &DataType) -> Class {
    match dtype {
        DataType::String => Class::Text,
        dtype if dtype.is_integer() => Class::Whole,
        DataType::Float32 | DataType::Float64 => Class::Fraction,
        DataType::Boolean => Class::Truth,
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
        A::Boolean => Class::Truth,
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
