//! Writes a table whole or not at all: Parquet, CSV, JSON, or aligned text on standard output.
//!
//! A file is written beside its name and then renamed over it, so that a reader never sees half of it and a failure
//! leaves what was there.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::table::{Column, Table};
use super::times::rfc3339;

/// Rows turned into Arrow at a time, so that writing takes little more memory than the table itself.
const ROWS_PER_BATCH: usize = 64 * 1024;

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Apache Parquet, zstd.
    Parquet,
    /// Comma-separated, with a header line, RFC 3339 timestamps and empty cells for nothing.
    Csv,
    /// An array of objects, with null for nothing.
    Json,
    /// Aligned columns for people.
    Text,
}

impl Format {
    /// The format that a path asks for: by extension, and `-` is text.
    ///
    /// # Errors
    /// [`WriteError::Unsupported`] for any other extension.
    pub fn of_path(path: &Path) -> Result<Format, WriteError> {
        if path == Path::new("-") {
            return Ok(Format::Text);
        }
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("parquet") => Ok(Format::Parquet),
            Some("csv") => Ok(Format::Csv),
            Some("json") => Ok(Format::Json),
            _ => Err(WriteError::Unsupported { path: path.to_owned() }),
        }
    }
}

/// Why a table could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// An extension that is none of ours.
    #[error("{}: cannot tell the format; use .parquet, .csv, .json, or - for a table", path.display())]
    Unsupported {
        /// What was asked for.
        path: PathBuf,
    },
    /// The folder to write to does not exist.
    #[error("{}: the folder {} does not exist; create it first", path.display(), folder.display())]
    NoFolder {
        /// What was to be written.
        path: PathBuf,
        /// The folder that is missing.
        folder: PathBuf,
    },
    /// The disk said no.
    #[error("{}: cannot be written: {reason}", path.display())]
    Failed {
        /// What was to be written.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// Whether there is a folder for what is to be at `path`: asked before the work whose outcome goes there.
///
/// # Errors
/// When it is missing.
pub fn has_folder(path: &Path) -> Result<(), WriteError> {
    let folder = folder_of(path);
    if folder.is_dir() {
        Ok(())
    } else {
        Err(WriteError::NoFolder { path: path.to_owned(), folder: folder.to_owned() })
    }
}

/// Puts what `fill` writes at `path`, whole or not at all.
///
/// # Errors
/// When the folder is missing or the disk refuses; then nothing at `path` has changed.
pub fn write_whole(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> Result<(), Box<dyn std::error::Error>>,
) -> Result<(), WriteError> {
    let failed = |reason: String| WriteError::Failed { path: path.to_owned(), reason };
    has_folder(path)?;
    let folder = folder_of(path);
    let name = path.file_name().ok_or_else(|| failed("it is not a file name".to_owned()))?.to_string_lossy();
    let beside = folder.join(format!(".{name}.{}.tmp", std::process::id()));
    let outcome = (|| {
        let mut file = BufWriter::new(File::create(&beside)?);
        fill(&mut file)?;
        file.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_data()?;
        std::fs::rename(&beside, path)?;
        Ok::<(), Box<dyn std::error::Error>>(())
    })();
    outcome.map_err(|err| {
        // Best effort: the error to tell is the first one.
        let _ = std::fs::remove_file(&beside);
        failed(err.to_string())
    })
}

impl Table {
    /// Writes the table to `path` in the format of its extension; `-` prints it.
    ///
    /// # Errors
    /// [`WriteError`]; a file that was there before is then unchanged.
    pub fn write(&self, path: &Path) -> Result<(), WriteError> {
        match Format::of_path(path)? {
            Format::Parquet => write_whole(path, |file| Ok(self.to_parquet(file)?)),
            Format::Csv => write_whole(path, |file| Ok(self.to_csv(file)?)),
            Format::Json => write_whole(path, |file| Ok(self.to_json(file)?)),
            Format::Text => match self.to_text(&mut BufWriter::new(std::io::stdout().lock())) {
                // The reader, such as `head`, has seen enough.
                Err(err) if err.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
                outcome => outcome.map_err(|err| WriteError::Failed { path: path.to_owned(), reason: err.to_string() }),
            },
        }
    }

    fn to_parquet(&self, out: &mut (impl Write + Send)) -> Result<(), parquet::errors::ParquetError> {
        let fields: Vec<Field> =
            self.columns().iter().map(|(name, column)| Field::new(name, data_type(column), true)).collect();
        let schema = Arc::new(Schema::new(fields));
        let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
        let mut writer = ArrowWriter::try_new(out, Arc::clone(&schema), Some(properties))?;
        let mut from = 0;
        while from < self.n_rows() {
            let to = (from + ROWS_PER_BATCH).min(self.n_rows());
            let arrays = self.columns().iter().map(|(_, column)| array(column, from, to)).collect();
            writer.write(&RecordBatch::try_new(Arc::clone(&schema), arrays)?)?;
            from = to;
        }
        writer.close()?;
        Ok(())
    }

    fn to_csv(&self, out: &mut impl Write) -> std::io::Result<()> {
        let mut line = String::new();
        for (idx, (name, _)) in self.columns().iter().enumerate() {
            if idx > 0 {
                line.push(',');
            }
            push_csv(&mut line, name);
        }
        writeln!(out, "{line}")?;
        for row in 0..self.n_rows() {
            line.clear();
            for (idx, (_, column)) in self.columns().iter().enumerate() {
                if idx > 0 {
                    line.push(',');
                }
                if let Some(text) = cell(column, row) {
                    push_csv(&mut line, &text);
                }
            }
            line.push('\n');
            out.write_all(line.as_bytes())?;
        }
        Ok(())
    }

    fn to_json(&self, out: &mut impl Write) -> std::io::Result<()> {
        writeln!(out, "[")?;
        for row in 0..self.n_rows() {
            let mut object = serde_json::Map::new();
            for (name, column) in self.columns() {
                object.insert(name.clone(), json_cell(column, row));
            }
            serde_json::to_writer(&mut *out, &object)?;
            writeln!(out, "{}", if row + 1 < self.n_rows() { "," } else { "" })?;
        }
        writeln!(out, "]")
    }

    /// Aligned columns, numbers to the right, `-` for nothing.
    pub fn to_text(&self, out: &mut impl Write) -> std::io::Result<()> {
        let cells: Vec<Vec<String>> = self
            .columns()
            .iter()
            .map(|(_, column)| (0..self.n_rows()).map(|row| text_cell(column, row)).collect())
            .collect();
        let width = |idx: usize| {
            let cells = cells[idx].iter().map(|cell| cell.chars().count());
            cells.chain([self.columns()[idx].0.chars().count()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..cells.len()).map(width).collect();
        let mut print = |texts: &mut dyn Iterator<Item = &str>| {
            let mut line = String::new();
            for ((text, &width), (_, column)) in texts.zip(&widths).zip(self.columns()) {
                if !line.is_empty() {
                    line.push_str("  ");
                }
                match column {
                    Column::Int(_) | Column::Float(_) => line.push_str(&format!("{text:>width$}")),
                    Column::Name { .. } | Column::Text(_) | Column::Time(_) | Column::Bool(_) => {
                        line.push_str(&format!("{text:<width$}"));
                    }
                }
            }
            writeln!(out, "{}", line.trim_end())
        };
        print(&mut self.columns().iter().map(|(name, _)| name.as_str()))?;
        for row in 0..self.n_rows() {
            print(&mut cells.iter().map(|column| column[row].as_str()))?;
        }
        out.flush()
    }
}

fn data_type(column: &Column) -> DataType {
    match column {
        Column::Name { .. } | Column::Text(_) => DataType::Utf8,
        Column::Int(_) => DataType::Int64,
        Column::Float(_) => DataType::Float64,
        Column::Time(_) => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
        Column::Bool(_) => DataType::Boolean,
    }
}

fn array(column: &Column, from: usize, to: usize) -> ArrayRef {
    match column {
        Column::Name { texts, idx } => Arc::new(StringArray::from_iter(
            idx[from..to].iter().map(|&idx| texts.get(idx as usize).map(String::as_str)),
        )),
        Column::Text(cells) => Arc::new(StringArray::from_iter(cells[from..to].iter().map(Option::as_deref))),
        Column::Int(cells) => Arc::new(Int64Array::from_iter(cells[from..to].iter().copied())),
        Column::Float(cells) => Arc::new(Float64Array::from_iter(
            cells[from..to].iter().map(|number| number.is_finite().then_some(*number)),
        )),
        Column::Time(cells) => {
            Arc::new(TimestampMillisecondArray::from_iter(cells[from..to].iter().copied()).with_timezone("UTC"))
        }
        Column::Bool(cells) => Arc::new(BooleanArray::from(cells[from..to].to_vec())),
    }
}

/// The cell in full, or `None` when it is empty.
fn cell(column: &Column, row: usize) -> Option<String> {
    match column {
        Column::Name { texts, idx } => texts.get(idx[row] as usize).cloned(),
        Column::Text(cells) => cells[row].clone(),
        Column::Int(cells) => cells[row].map(|number| number.to_string()),
        Column::Float(cells) => {
            Some(cells[row]).filter(|number| number.is_finite()).map(|number| format!("{number:?}"))
        }
        Column::Time(cells) => cells[row].map(rfc3339),
        Column::Bool(cells) => Some(cells[row].to_string()),
    }
}

/// The cell as short as a person needs it.
fn text_cell(column: &Column, row: usize) -> String {
    match column {
        Column::Float(cells) => Some(cells[row]).filter(|number| number.is_finite()).map(short),
        Column::Bool(cells) => Some(if cells[row] { "yes" } else { "no" }.to_owned()),
        Column::Name { .. } | Column::Text(_) | Column::Int(_) | Column::Time(_) => cell(column, row),
    }
    .unwrap_or_else(|| "-".to_owned())
}

/// A number in about five digits.
pub(crate) fn short(number: f64) -> String {
    let size = number.abs();
    if size != 0.0 && !(1e-3..1e9).contains(&size) {
        return format!("{number:.4e}");
    }
    let decimals = match size {
        size if size >= 10_000.0 => 0,
        size if size >= 1_000.0 => 1,
        size if size >= 100.0 => 2,
        size if size >= 10.0 => 3,
        size if size >= 1.0 => 4,
        _ => 5,
    };
    let text = format!("{number:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn json_cell(column: &Column, row: usize) -> serde_json::Value {
    match column {
        Column::Int(cells) => cells[row].map_or(serde_json::Value::Null, Into::into),
        Column::Float(cells) => {
            serde_json::Number::from_f64(cells[row]).map_or(serde_json::Value::Null, serde_json::Value::Number)
        }
        Column::Bool(cells) => cells[row].into(),
        Column::Name { .. } | Column::Text(_) | Column::Time(_) => {
            cell(column, row).map_or(serde_json::Value::Null, serde_json::Value::String)
        }
    }
}

/// RFC 4180: quoted when it holds a separator, a quote or a line break, with quotes doubled.
fn push_csv(line: &mut String, text: &str) {
    if text.contains([',', '"', '\n', '\r']) {
        line.push('"');
        line.push_str(&text.replace('"', "\"\""));
        line.push('"');
    } else {
        line.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        Table::new()
            .with(
                "series",
                Column::Name { texts: Arc::from(["a{x=\"1\"}".to_owned(), "b".to_owned()]), idx: vec![0, 1] },
            )
            .with("step", Column::Int(vec![Some(1), None]))
            .with("timestamp", Column::Time(vec![Some(1_714_566_600_000), None]))
            .with("value", Column::Float(vec![0.1, f64::NAN]))
            .with("anomaly", Column::Bool(vec![true, false]))
            .with("kind", Column::Text(vec![Some("spike".into()), None]))
    }

    #[test]
    fn csv_and_json_say_nothing_where_there_is_nothing() {
        let mut csv = Vec::new();
        table().to_csv(&mut csv).unwrap();
        let expected = "series,step,timestamp,value,anomaly,kind\n\
                        \"a{x=\"\"1\"\"}\",1,2024-05-01T12:30:00Z,0.1,true,spike\n\
                        b,,,,false,\n";
        assert_eq!(String::from_utf8(csv).unwrap(), expected);
        let mut json = Vec::new();
        table().to_json(&mut json).unwrap();
        let back: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(back[0]["timestamp"], "2024-05-01T12:30:00Z");
        assert!(back[1]["value"].is_null() && back[1]["kind"].is_null() && back[1]["anomaly"] == false);
    }

    #[test]
    fn parquet_reads_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.parquet");
        let plain = Table::new()
            .with("series", Column::texts(["a", "a", "b"]))
            .with("timestamp", Column::Time(vec![Some(1_714_566_600_000), Some(1_714_566_660_000), Some(0)]))
            .with("value", Column::Float(vec![1.5, f64::NAN, -2.0]));
        plain.write(&path).unwrap();
        let rows = crate::batch::read(&[path.to_str().unwrap().to_owned()]).unwrap();
        assert_eq!(rows.source_idx, [0, 0, 1]);
        assert_eq!(rows.at, [1_714_566_600_000, 1_714_566_660_000, 0]);
        assert!(rows.value[0] == 1.5 && rows.value[1].is_nan() && rows.value[2] == -2.0);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file stays behind");
    }

    #[test]
    fn a_missing_folder_and_an_unknown_format_are_named() {
        let missing = table().write(Path::new("/no/such/folder/out.csv")).unwrap_err().to_string();
        assert!(missing.contains("/no/such/folder") && missing.contains("create it"), "{missing}");
        assert!(table().write(Path::new("out.xlsx")).unwrap_err().to_string().contains(".parquet"));
    }

    #[test]
    fn a_failed_write_leaves_what_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.csv");
        std::fs::write(&path, "before").unwrap();
        assert!(write_whole(&path, |_| Err("no".into())).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "before");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn text_is_aligned_and_short() {
        let mut text = Vec::new();
        table().to_text(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.lines().nth(2).unwrap().contains("-"), "{text}");
        for (number, expected) in [(0.0, "0"), (1234.56, "1234.6"), (0.1, "0.1"), (-12.0, "-12"), (1e12, "1.0000e12")] {
            assert_eq!(short(number), expected);
        }
    }
}
