//! Columns that every kind of result has, written and read back.

use std::io;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, MapArray, MapBuilder, MapFieldNames, RecordBatch, StringBuilder,
    TimestampMillisecondArray,
};
use arrow::datatypes::{DataType, Field, TimeUnit};

use crate::series::{Key, LabelLimits, Labels, Millis};

/// A column of instants.
pub(super) fn time_field(name: &str, is_nullable: bool) -> Field {
    Field::new(name, DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())), is_nullable)
}

/// Instants as such a column.
pub(super) fn times(values: impl IntoIterator<Item = Millis>) -> ArrayRef {
    Arc::new(TimestampMillisecondArray::from_iter_values(values).with_timezone("UTC"))
}

/// The column of labels.
pub(super) fn labels_field(name: &str) -> Field {
    let pair = vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Utf8, true)];
    let entries = Field::new("key_value", DataType::Struct(pair.into()), false);
    Field::new(name, DataType::Map(Arc::new(entries), false), false)
}

/// Rows of label pairs as such a column.
pub(super) fn labels<'a, P>(rows: impl IntoIterator<Item = P>) -> ArrayRef
where
    P: IntoIterator<Item = (&'a str, &'a str)>,
{
    let names = MapFieldNames { entry: "key_value".to_owned(), key: "key".to_owned(), value: "value".to_owned() };
    let mut builder = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new());
    for row in rows {
        for (name, value) in row {
            builder.keys().append_value(name);
            builder.values().append_value(value);
        }
        builder.append(true).expect("keys and values are appended in pairs");
    }
    Arc::new(builder.finish())
}

/// The column `name`, or an error that says what is missing.
pub(super) fn column<'a>(rows: &'a RecordBatch, name: &str) -> io::Result<&'a ArrayRef> {
    rows.column_by_name(name).ok_or_else(|| wrong(name))
}

fn wrong(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the column `{name}` is missing or of another type"))
}

/// The instants of column `name`.
pub(super) fn read_times<'a>(rows: &'a RecordBatch, name: &str) -> io::Result<&'a TimestampMillisecondArray> {
    column(rows, name)?.as_any().downcast_ref().ok_or_else(|| wrong(name))
}

/// The whole numbers of column `name`.
pub(super) fn read_ints<'a>(rows: &'a RecordBatch, name: &str) -> io::Result<&'a Int64Array> {
    column(rows, name)?.as_any().downcast_ref().ok_or_else(|| wrong(name))
}

/// The typed column `name`.
pub(super) fn read<'a, T: 'static>(rows: &'a RecordBatch, name: &str) -> io::Result<&'a T> {
    column(rows, name)?.as_any().downcast_ref().ok_or_else(|| wrong(name))
}

/// The series keys of column `labels`; `None` where the labels are not a key.
pub(super) fn read_keys(rows: &RecordBatch) -> io::Result<Vec<Option<Key>>> {
    let maps: &MapArray = read(rows, "labels")?;
    let limits = LabelLimits { max_labels: usize::MAX, max_name_len: usize::MAX, max_value_len: usize::MAX };
    let key_of = |idx: usize| {
        let entries = maps.value(idx);
        let (names, values) = (entries.column(0).as_string_opt::<i32>()?, entries.column(1).as_string_opt::<i32>()?);
        let pairs = (0..entries.len()).map(|idx| (names.value(idx), values.value(idx)));
        Labels::new(pairs, &limits).ok().map(Key::new)
    };
    Ok((0..rows.num_rows()).map(key_of).collect())
}
