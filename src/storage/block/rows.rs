//! One row group: runs of series' rows become column chunks.
//!
//! What names a series is the same in all its rows, so those columns are never spelled out row by row: metric and id
//! are one RLE run per series, and the labels' levels and dictionary numbers are a pattern of bits that repeats.

use hashbrown::HashMap;
use parquet::basic::{BoundaryOrder, Encoding};
use parquet::data_type::ByteArray;
use parquet::file::statistics::{Statistics, ValueStatistics};

use super::super::error::BlockError;
use super::super::texts::{TextId, Texts};
use super::bits::{BitWriter, put_packed_run, put_rle_run, width_of};
use super::chunk::{Chunk, ChunkWriter, Zip};
use super::delta;
use super::schema::{
    Effort, GROUP_ROWS, LABEL_NAME, LABEL_VALUE, LONG_RUN_ROWS, MAX_GROUP_ROWS, METRIC, PAGE_LABELS, PAGE_ROWS, SCHEMA,
    SERIES_ID, TIMESTAMP, VALUE,
};
use super::values::{Encoded, plain_bytes};
use crate::series::{METRIC_NAME, Millis, Sample, SeriesId};

/// A part of a series that lies in one row group.
struct Part {
    id: SeriesId,
    metric: TextId,
    /// Name and value of each label but the metric's name, in `RowGroup::labels`.
    labels: std::ops::Range<usize>,
    n_rows: usize,
}

/// Rows that gather until they fill a row group.
#[derive(Default)]
pub(super) struct RowGroup {
    parts: Vec<Part>,
    labels: Vec<(TextId, TextId)>,
    at: Vec<Millis>,
    value: Vec<f64>,
}

/// The dictionary of a column in one row group, in order of first use.
#[derive(Default)]
struct Numbers {
    numbers: HashMap<TextId, u32>,
    texts: Vec<TextId>,
}

impl Numbers {
    fn number(&mut self, text: TextId) -> u32 {
        *self.numbers.entry(text).or_insert_with(|| {
            self.texts.push(text);
            self.texts.len() as u32 - 1
        })
    }

    fn width(&self) -> u32 {
        width_of((self.texts.len() as u64).saturating_sub(1)).max(1)
    }

    fn write(&self, chunk: &mut ChunkWriter<'_>, texts: &Texts) -> Result<(), BlockError> {
        let mut raw = Vec::new();
        for text in self.texts.iter().map(|id| texts.get(*id).as_bytes()) {
            raw.extend_from_slice(&(text.len() as u32).to_le_bytes());
            raw.extend_from_slice(text);
        }
        chunk.dictionary(&raw, self.texts.len())
    }
}

/// Bits that repeat from row to row, gathered into longer strings so that few operations write many rows.
struct Pattern {
    row: Vec<(u64, u32)>,
    several: Vec<(u64, u32)>,
    n_several: usize,
}

impl Pattern {
    /// The bits of one row, numbers of `width` bits each, to be written for `n_rows` rows.
    fn new(numbers: &[u32], width: u32, n_rows: usize) -> Pattern {
        let n_several = (512 / (numbers.len() * width as usize).max(1)).clamp(1, n_rows.max(1));
        let words = |n_rows: usize| {
            let mut bits = BitWriter::default();
            (0..n_rows).for_each(|_| numbers.iter().for_each(|number| bits.put(u64::from(*number), width)));
            let mut n_left = n_rows * numbers.len() * width as usize;
            let word = |bytes: &[u8]| {
                let mut eight = [0; 8];
                eight[..bytes.len()].copy_from_slice(bytes);
                let n_bits = n_left.min(64) as u32;
                n_left -= n_bits as usize;
                (u64::from_le_bytes(eight), n_bits)
            };
            bits.finish().chunks(8).map(word).collect()
        };
        Pattern { row: words(1), several: words(n_several), n_several }
    }

    fn repeat(&self, n_rows: usize, bits: &mut BitWriter) {
        let put = |words: &[(u64, u32)], bits: &mut BitWriter| words.iter().for_each(|(word, n)| bits.put(*word, *n));
        (0..n_rows / self.n_several).for_each(|_| put(&self.several, bits));
        (0..n_rows % self.n_several).for_each(|_| put(&self.row, bits));
    }
}

impl RowGroup {
    /// Whether `n_rows` rows of a new series belong into the next row group.
    pub(super) fn is_done_before(&self, n_rows: usize) -> bool {
        let n = self.at.len();
        n > 0 && (n_rows >= LONG_RUN_ROWS || n + n_rows > MAX_GROUP_ROWS || n >= GROUP_ROWS || self.is_of_long_series())
    }

    fn is_of_long_series(&self) -> bool {
        self.parts.last().is_some_and(|part| part.n_rows >= LONG_RUN_ROWS)
    }

    /// Takes in as many of the samples as fit; answers the others.
    pub(super) fn fill<'a>(
        &mut self,
        id: SeriesId,
        labels: &[(TextId, TextId)],
        texts: &Texts,
        samples: &'a [Sample],
    ) -> &'a [Sample] {
        let (now, later) = samples.split_at(samples.len().min(MAX_GROUP_ROWS - self.at.len()));
        let (start, mut metric) = (self.labels.len(), 0);
        for (name, value) in labels {
            if texts.get(*name) == METRIC_NAME {
                metric = *value;
            } else {
                self.labels.push((*name, *value));
            }
        }
        self.parts.push(Part { id, metric, labels: start..self.labels.len(), n_rows: now.len() });
        self.at.extend(now.iter().map(|sample| sample.at));
        self.value.extend(now.iter().map(|sample| sample.value));
        later
    }

    /// Makes it empty, and keeps its memory for the next row group.
    pub(super) fn clear(&mut self) {
        self.parts.clear();
        self.labels.clear();
        self.at.clear();
        self.value.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.at.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.at.len() == MAX_GROUP_ROWS
    }

    /// The column chunks, by leaf, with the bounds of each page of timestamps.
    pub(super) fn encode(&self, texts: &Texts, effort: Effort, zip: &mut Zip) -> Result<EncodedGroup, BlockError> {
        let metric = self.metrics(texts, zip)?;
        let ids = self.ids(zip)?;
        let (times, bounds) = self.times(zip)?;
        let values = self.values(effort, zip)?;
        let [names, label_values] = self.labels(texts, zip)?;
        Ok(EncodedGroup { chunks: [metric, ids, times, values, names, label_values], bounds })
    }

    fn metrics(&self, texts: &Texts, zip: &mut Zip) -> Result<Chunk, BlockError> {
        let mut metrics = Numbers::default();
        let runs: Vec<_> = self.parts.iter().map(|part| (metrics.number(part.metric), part.n_rows)).collect();
        let mut chunk = ChunkWriter::new(SCHEMA.column(METRIC), zip, 1);
        chunk.tell_dictionary();
        metrics.write(&mut chunk, texts)?;
        // Series are sorted by metric.
        let end = |text: Option<&TextId>| texts.get(text.copied().unwrap_or_default()).as_bytes().to_vec();
        let (least, greatest) = (end(metrics.texts.first()), end(metrics.texts.last()));
        let statistics = statistics(ByteArray::from(least.clone()), ByteArray::from(greatest.clone()));
        let raw = runs_page(&runs, metrics.width());
        chunk.page(&raw, (self.at.len(), self.at.len()), Encoding::RLE_DICTIONARY, Some((least, greatest)))?;
        chunk.close(Some(Statistics::ByteArray(statistics)), BoundaryOrder::ASCENDING)
    }

    fn ids(&self, zip: &mut Zip) -> Result<Chunk, BlockError> {
        let mut distinct: Vec<SeriesId> = Vec::new();
        let mut runs: Vec<(u32, usize)> = Vec::new();
        for part in &self.parts {
            if distinct.last() != Some(&part.id) {
                distinct.push(part.id);
            }
            runs.push((distinct.len() as u32 - 1, part.n_rows));
        }
        let mut chunk = ChunkWriter::new(SCHEMA.column(SERIES_ID), zip, 1);
        let raw: Vec<u8> = distinct.iter().flat_map(|id| id.to_le_bytes()).collect();
        chunk.dictionary(&raw, distinct.len())?;
        let (least, greatest) = ends(distinct.iter().copied());
        let raw = runs_page(&runs, width_of(distinct.len() as u64 - 1).max(1));
        let bounds = (least.to_le_bytes().to_vec(), greatest.to_le_bytes().to_vec());
        chunk.page(&raw, (self.at.len(), self.at.len()), Encoding::RLE_DICTIONARY, Some(bounds))?;
        chunk.close(Some(Statistics::Int64(statistics(least, greatest))), BoundaryOrder::ASCENDING)
    }

    fn times(&self, zip: &mut Zip) -> Result<(Chunk, Vec<(Millis, Millis)>), BlockError> {
        let mut chunk = ChunkWriter::new(SCHEMA.column(TIMESTAMP), zip, 1);
        let mut bounds = Vec::new();
        for at in self.at.chunks(PAGE_ROWS) {
            let mut raw = Vec::new();
            delta::encode(at, &mut raw);
            let (least, greatest) = ends(at.iter().copied());
            bounds.push((least, greatest));
            let page_bounds = (least.to_le_bytes().to_vec(), greatest.to_le_bytes().to_vec());
            chunk.page(&raw, (at.len(), at.len()), Encoding::DELTA_BINARY_PACKED, Some(page_bounds))?;
        }
        let is_ascending = bounds.is_sorted_by(|a, b| a.0 <= b.0 && a.1 <= b.1);
        let order = if is_ascending { BoundaryOrder::ASCENDING } else { BoundaryOrder::UNORDERED };
        let (least, greatest) = (ends(bounds.iter().map(|ends| ends.0)).0, ends(bounds.iter().map(|ends| ends.1)).1);
        Ok((chunk.close(Some(Statistics::Int64(statistics(least, greatest))), order)?, bounds))
    }

    fn values(&self, effort: Effort, zip: &mut Zip) -> Result<Chunk, BlockError> {
        let encoded = Encoded::choose(&self.value, zip, effort)?;
        let mut chunk = ChunkWriter::new(SCHEMA.column(VALUE), zip, effort.level());
        if let Encoded::Dictionary(dictionary) = &encoded {
            chunk.set_level(effort.dictionary_level());
            chunk.dictionary(&plain_bytes(&dictionary.values), dictionary.values.len())?;
            chunk.set_level(effort.level());
        }
        let mut raw = Vec::new();
        let n_page = effort.value_page_rows();
        for (page, values) in self.value.chunks(n_page).enumerate() {
            raw.clear();
            encoded.page(values, page * n_page..page * n_page + values.len(), &mut raw);
            chunk.page(&raw, (values.len(), values.len()), encoded.encoding(), None)?;
        }
        chunk.close(value_statistics(&self.value), BoundaryOrder::UNORDERED)
    }

    fn labels(&self, texts: &Texts, zip: &mut Zip) -> Result<[Chunk; 2], BlockError> {
        let (mut names, mut values) = (Numbers::default(), Numbers::default());
        let numbers = self.labels.iter().map(|(name, value)| (names.number(*name), values.number(*value)));
        let numbers: Vec<(u32, u32)> = numbers.collect();
        let pages = self.label_pages();
        let levels: Vec<Vec<u8>> = pages.iter().map(|page| self.levels(page)).collect();
        let mut write = |leaf, dictionary: &Numbers, pick: fn(&(u32, u32)) -> u32| {
            let mut chunk = ChunkWriter::new(SCHEMA.column(leaf), zip, 1);
            dictionary.write(&mut chunk, texts)?;
            let width = dictionary.width();
            for (page, levels) in pages.iter().zip(&levels) {
                let mut raw = levels.clone();
                raw.push(width as u8);
                let n = page.iter().map(|(part, n_rows)| self.parts[*part].labels.len() * n_rows).sum();
                put_packed_run(n, width, &mut raw, |bits| {
                    for (part, n_rows) in page {
                        let row: Vec<u32> = numbers[self.parts[*part].labels.clone()].iter().map(pick).collect();
                        Pattern::new(&row, width, *n_rows).repeat(*n_rows, bits);
                    }
                });
                let n_rows = page.iter().map(|(_, n_rows)| n_rows).sum();
                let n_values = page.iter().map(|(part, n_rows)| self.entries(*part) * n_rows).sum();
                chunk.page(&raw, (n_values, n_rows), Encoding::RLE_DICTIONARY, None)?;
            }
            chunk.close(None, BoundaryOrder::UNORDERED)
        };
        Ok([write(LABEL_NAME, &names, |pair| pair.0)?, write(LABEL_VALUE, &values, |pair| pair.1)?])
    }

    /// What a row of this part takes in the label columns: an empty map is one entry without a value.
    fn entries(&self, part: usize) -> usize {
        self.parts[part].labels.len().max(1)
    }

    /// Parts and how many of their rows, for each page of labels.
    fn label_pages(&self) -> Vec<Vec<(usize, usize)>> {
        let (mut pages, mut page, mut n_used) = (Vec::new(), Vec::new(), 0);
        for (part, Part { n_rows, .. }) in self.parts.iter().enumerate() {
            let mut n_left = *n_rows;
            while n_left > 0 {
                let n_fitting = ((PAGE_LABELS - n_used) / self.entries(part)).max(usize::from(page.is_empty()));
                let n = n_left.min(n_fitting);
                if n > 0 {
                    page.push((part, n));
                    n_used += n * self.entries(part);
                    n_left -= n;
                }
                if n_left > 0 {
                    pages.push(std::mem::take(&mut page));
                    n_used = 0;
                }
            }
        }
        pages.extend(Some(page).filter(|page| !page.is_empty()));
        pages
    }

    /// Repetition levels, 0 where a row begins and 1 for its other labels, and definition levels, 1 where there is a
    /// label; each after its length.
    fn levels(&self, page: &[(usize, usize)]) -> Vec<u8> {
        let n_entries: usize = page.iter().map(|(part, n_rows)| self.entries(*part) * n_rows).sum();
        let mut repetition = Vec::new();
        put_packed_run(n_entries, 1, &mut repetition, |bits| {
            for (part, n_rows) in page {
                let row: Vec<u32> = (0..self.entries(*part)).map(|label| u32::from(label > 0)).collect();
                Pattern::new(&row, 1, *n_rows).repeat(*n_rows, bits);
            }
        });
        let mut definition = Vec::new();
        for (part, n_rows) in page {
            let is_there = u64::from(!self.parts[*part].labels.is_empty());
            put_rle_run(is_there, (self.entries(*part) * n_rows) as u64, 1, &mut definition);
        }
        if page.iter().all(|(part, _)| !self.parts[*part].labels.is_empty()) {
            definition.clear();
            put_rle_run(1, n_entries as u64, 1, &mut definition);
        }
        let mut raw = Vec::new();
        for levels in [repetition, definition] {
            raw.extend_from_slice(&(levels.len() as u32).to_le_bytes());
            raw.extend_from_slice(&levels);
        }
        raw
    }
}

/// The six column chunks of a row group.
pub(super) struct EncodedGroup {
    pub(super) chunks: [Chunk; 6],
    /// First and last timestamp of each page of timestamps.
    pub(super) bounds: Vec<(Millis, Millis)>,
}

/// Dictionary numbers, each with how many rows have it.
fn runs_page(runs: &[(u32, usize)], width: u32) -> Vec<u8> {
    let mut raw = vec![width as u8];
    for same in runs.chunk_by(|a, b| a.0 == b.0) {
        let n_rows: usize = same.iter().map(|(_, n_rows)| n_rows).sum();
        put_rle_run(u64::from(same[0].0), n_rows as u64, width, &mut raw);
    }
    raw
}

fn ends(numbers: impl Iterator<Item = i64>) -> (i64, i64) {
    numbers.fold((i64::MAX, i64::MIN), |(least, greatest), number| (least.min(number), greatest.max(number)))
}

fn statistics<T>(least: T, greatest: T) -> ValueStatistics<T> {
    ValueStatistics::new(Some(least), Some(greatest), None, Some(0), false)
}

/// The bounds of the values; NaN has no place in them, and zeros of both signs count as one.
fn value_statistics(values: &[f64]) -> Option<Statistics> {
    let numbers = values.iter().filter(|value| !value.is_nan());
    let (least, greatest) = numbers
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(least, greatest), value| (least.min(*value), greatest.max(*value)));
    if least > greatest {
        return None;
    }
    let least = if least == 0.0 { -0.0 } else { least };
    let greatest = if greatest == 0.0 { 0.0 } else { greatest };
    Some(Statistics::Double(statistics(least, greatest)))
}
