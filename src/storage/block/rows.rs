//! One row group: series' rows become column chunks.
//!
//! The value column is encoded in every [`ValueEncoding`](super::schema::ValueEncoding) and the smallest result is
//! kept: no single one is good for states, counters and noise alike.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, DictionaryArray, Float64Array, Int32Array, Int64Array, MapArray, StringArray, StructArray,
    TimestampMillisecondArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Int32Type};
use hashbrown::HashMap;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowRowGroupWriterFactory, compute_leaves};

use super::super::error::BlockError;
use super::schema::{ROW_GROUP_ROWS, SCHEMA, VALUE_LEAF};
use crate::series::{Key, Millis, Sample};

// Arrays of label text are built for this many rows at a time, so that they stay small beside the samples.
const SLICE_ROWS: usize = 32_768;

/// Rows that gather until they fill a row group.
#[derive(Default)]
pub(super) struct RowGroup {
    series: Vec<(Key, usize)>,
    at: Vec<Millis>,
    value: Vec<f64>,
}

impl RowGroup {
    /// Takes in as many of the samples as fit; answers the others.
    pub(super) fn fill<'a>(&mut self, key: &Key, samples: &'a [Sample]) -> &'a [Sample] {
        let (now, later) = samples.split_at(samples.len().min(ROW_GROUP_ROWS - self.at.len()));
        self.series.push((key.clone(), now.len()));
        self.at.extend(now.iter().map(|sample| sample.at));
        self.value.extend(now.iter().map(|sample| sample.value));
        later
    }

    pub(super) fn is_empty(&self) -> bool {
        self.at.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.at.len() == ROW_GROUP_ROWS
    }

    /// The column chunks, by leaf; `factories` has one per value encoding.
    pub(super) fn encode(&self, factories: &[ArrowRowGroupWriterFactory]) -> Result<Vec<ArrowColumnChunk>, BlockError> {
        let [first, others @ ..] = factories else { unreachable!("there is a factory per encoding") };
        let mut writers = first.create_column_writers(0)?;
        let mut rivals = Vec::new();
        for factory in others {
            rivals.push(factory.create_column_writers(0)?.swap_remove(VALUE_LEAF));
        }
        let mut rows = Rows { series: &self.series, n_used: 0 };
        for start in (0..self.at.len()).step_by(SLICE_ROWS) {
            let slice = start..self.at.len().min(start + SLICE_ROWS);
            let parts = rows.next(slice.len());
            let ids = parts.iter().flat_map(|(key, n)| std::iter::repeat_n(key.id(), *n));
            let columns: [ArrayRef; 5] = [
                metrics(&parts),
                Arc::new(Int64Array::from_iter_values(ids)),
                Arc::new(TimestampMillisecondArray::from(self.at[slice.clone()].to_vec()).with_timezone("UTC")),
                Arc::new(Float64Array::from(self.value[slice].to_vec())),
                labels(&parts)?,
            ];
            let mut leaf_idx = 0;
            for (field, column) in SCHEMA.fields().iter().zip(&columns) {
                for leaf in compute_leaves(field, column)? {
                    writers[leaf_idx].write(&leaf)?;
                    if leaf_idx == VALUE_LEAF {
                        for rival in &mut rivals {
                            rival.write(&leaf)?;
                        }
                    }
                    leaf_idx += 1;
                }
            }
        }
        let mut chunks = writers.into_iter().map(|writer| writer.close()).collect::<Result<Vec<_>, _>>()?;
        for rival in rivals {
            let rival = rival.close()?;
            if rival.close().bytes_written < chunks[VALUE_LEAF].close().bytes_written {
                chunks[VALUE_LEAF] = rival;
            }
        }
        Ok(chunks)
    }
}

/// Hands out the series of a row group by numbers of rows.
struct Rows<'a> {
    series: &'a [(Key, usize)],
    // Rows of the first series that were handed out already.
    n_used: usize,
}

impl<'a> Rows<'a> {
    fn next(&mut self, mut n_rows: usize) -> Vec<(&'a Key, usize)> {
        let mut parts = Vec::new();
        while let ([(key, len), rest @ ..], true) = (self.series, n_rows > 0) {
            let n = n_rows.min(len - self.n_used);
            parts.push((key, n));
            n_rows -= n;
            self.n_used += n;
            if self.n_used == *len {
                (self.series, self.n_used) = (rest, 0);
            }
        }
        parts
    }
}

/// Numbers texts in order of first use, for a dictionary array.
#[derive(Default)]
struct Texts<'a> {
    numbers: HashMap<&'a str, i32>,
    texts: Vec<&'a str>,
}

impl<'a> Texts<'a> {
    fn number(&mut self, text: &'a str) -> i32 {
        *self.numbers.entry(text).or_insert_with(|| {
            self.texts.push(text);
            i32::try_from(self.texts.len() - 1).expect("far fewer texts in a slice of rows than 2^31")
        })
    }

    fn array(self, numbers: Vec<i32>) -> DictionaryArray<Int32Type> {
        DictionaryArray::new(Int32Array::from(numbers), Arc::new(StringArray::from(self.texts)))
    }
}

fn metrics(parts: &[(&Key, usize)]) -> ArrayRef {
    let mut texts = Texts::default();
    let mut numbers = Vec::new();
    for (key, n) in parts {
        numbers.extend(std::iter::repeat_n(texts.number(key.metric()), *n));
    }
    Arc::new(texts.array(numbers))
}

fn labels(parts: &[(&Key, usize)]) -> Result<ArrayRef, BlockError> {
    let (mut names, mut values) = (Texts::default(), Texts::default());
    let (mut name_numbers, mut value_numbers, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
    for (key, n) in parts {
        let pairs = key.labels().without_metric().map(|(name, value)| (names.number(name), values.number(value)));
        let pairs: Vec<(i32, i32)> = pairs.collect();
        for _ in 0..*n {
            name_numbers.extend(pairs.iter().map(|pair| pair.0));
            value_numbers.extend(pairs.iter().map(|pair| pair.1));
        }
        lengths.extend(std::iter::repeat_n(pairs.len(), *n));
    }
    let DataType::Map(entries, is_sorted) = SCHEMA.field(4).data_type() else { unreachable!("labels is a map") };
    let DataType::Struct(fields) = entries.data_type() else { unreachable!("a map's entries are a struct") };
    let columns: Vec<ArrayRef> = vec![Arc::new(names.array(name_numbers)), Arc::new(values.array(value_numbers))];
    let pairs = StructArray::try_new(fields.clone(), columns, None)?;
    let offsets = OffsetBuffer::from_lengths(lengths);
    Ok(Arc::new(MapArray::try_new(Arc::clone(entries), offsets, pairs, None, *is_sorted)?))
}
