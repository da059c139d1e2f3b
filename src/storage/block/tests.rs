//! Blocks as the parquet crate's own reader sees them, and as ours does.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Float64Type, Int64Type, TimestampMillisecondType};
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use parquet::basic::{BoundaryOrder, Encoding};
use parquet::file::metadata::PageIndexPolicy;
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::statistics::Statistics;
use proptest::prelude::*;

use super::super::files::Disk;
use super::*;
use crate::series::{Key, Millis, STALE_MARKER_BITS, Sample, TimeRange};

type Content = Vec<(Key, Vec<Sample>)>;
/// Metric, id, time, value bits and labels of a row.
type Row = (String, i64, Millis, u64, Vec<(String, String)>);

pub(super) struct Written {
    pub(super) block: Arc<Block>,
    _dir: tempfile::TempDir,
}

pub(super) fn write(content: &Content, effort: Effort) -> Written {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(dir.path());
    for dir in [&layout.blocks, &layout.index, &layout.tmp] {
        std::fs::create_dir(dir).unwrap();
    }
    let about = About { sequence: 3, wal_upto: 9, sources: vec!["a".into(), "b".into()], effort };
    let mut writer = BlockWriter::create(&Disk, &layout, about).unwrap();
    for (key, samples) in content {
        writer.push(key, samples).unwrap();
    }
    let entry = writer.finish().unwrap().unwrap();
    Written { block: Arc::new(Block::new(entry, &layout, None)), _dir: dir }
}

/// The block in `docs/formats/block.md`, up to the end of its last page, and its sidecar.
pub(in crate::storage) fn example_block(key: &Key, samples: &[Sample]) -> (Vec<u8>, Vec<u8>) {
    let written = write(&vec![(key.clone(), samples.to_vec())], Effort::Fresh);
    let metadata = metadata(&written.block);
    let columns = metadata.metadata().row_group(0).columns().iter();
    let end = columns.map(|column| column.byte_range()).map(|(start, len)| (start + len) as usize).max().unwrap();
    let mut bytes = std::fs::read(written.block.path()).unwrap();
    bytes.truncate(end);
    (bytes, std::fs::read(written.block.index_path()).unwrap())
}

/// A sidecar, sound in itself, that says that the first page of timestamps is where it is not.
pub(in crate::storage) fn misplaced(sidecar: &[u8]) -> Vec<u8> {
    let mut index = BlockIndex::decode(sidecar).unwrap();
    index.pages.times[0].place.offset += 9;
    index.encode()
}

fn rows_of(content: &Content) -> Vec<Row> {
    let rows = content.iter().flat_map(|(key, samples)| {
        let labels: Vec<_> = key.labels().without_metric().map(|(name, value)| (name.into(), value.into())).collect();
        samples
            .iter()
            .map(move |sample| (key.metric().to_owned(), key.id(), sample.at, sample.value.to_bits(), labels.clone()))
    });
    rows.collect()
}

fn metadata(block: &Block) -> ArrowReaderMetadata {
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    ArrowReaderMetadata::load(&File::open(block.path()).unwrap(), options).unwrap()
}

/// The rows as the parquet crate reads them, all or those selected.
fn read_foreign(block: &Block, selection: Option<RowSelection>) -> Vec<Row> {
    let file = File::open(block.path()).unwrap();
    let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata(block)).with_batch_size(1000);
    if let Some(selection) = selection {
        builder = builder.with_row_selection(selection);
    }
    let mut rows = Vec::new();
    for batch in builder.build().unwrap() {
        let batch = batch.unwrap();
        let column = |name| batch.column_by_name(name).unwrap();
        let (metric, id) = (column("metric").as_string::<i32>(), column("series_id").as_primitive::<Int64Type>());
        let at = column("timestamp").as_primitive::<TimestampMillisecondType>();
        let value = column("value").as_primitive::<Float64Type>();
        let labels = column("labels").as_map();
        for row in 0..batch.num_rows() {
            let pairs = labels.value(row);
            let (names, values) = (pairs.column(0).as_string::<i32>(), pairs.column(1).as_string::<i32>());
            let pairs = (0..pairs.len()).map(|idx| (names.value(idx).to_owned(), values.value(idx).to_owned()));
            let bits = value.value(row).to_bits();
            rows.push((metric.value(row).to_owned(), id.value(row), at.value(row), bits, pairs.collect()));
        }
    }
    rows
}

fn read(reader: &mut BlockReader, number: usize, range: TimeRange) -> Result<Vec<Sample>, BlockError> {
    let (run, mut samples) = (reader.index().run(number), Vec::new());
    reader.run(&mut Unzip::new().unwrap(), &run, range, &mut samples).map(|()| samples)
}

fn check(content: &Content, effort: Effort) {
    let Written { block, _dir } = write(content, effort);
    let expected = rows_of(content);
    assert!(read_foreign(&block, None) == expected, "another program reads other rows");

    // The index made again from the Parquet file is the one that was written.
    let index = block.index(&Disk).unwrap();
    let rebuilt = rebuild::rebuild_index(File::open(block.path()).unwrap()).unwrap();
    assert_eq!(rebuilt.encode(), std::fs::read(block.index_path()).unwrap());

    let mut reader = block.reader(&Disk).unwrap();
    for (number, (key, samples)) in content.iter().enumerate() {
        let run = index.run(number);
        assert_eq!(&index.key(&run).unwrap(), key);
        let bits = |samples: &[Sample]| samples.iter().map(|s| (s.at, s.value.to_bits())).collect::<Vec<_>>();
        assert_eq!(bits(&read(&mut reader, number, TimeRange::ALL).unwrap()), bits(samples));
        let middle = TimeRange::new(samples[samples.len() / 3].at, samples[samples.len() / 2].at).unwrap();
        let inside: Vec<Sample> = samples.iter().filter(|sample| middle.contains(sample.at)).copied().collect();
        assert_eq!(bits(&read(&mut reader, number, middle).unwrap()), bits(&inside));
    }
    let mut all = Vec::new();
    let mut reader = block.reader(&Disk).unwrap();
    let mut unzip = Unzip::new().unwrap();
    index.runs().for_each(|run| reader.take(&mut unzip, run.n_rows, &mut all).unwrap());
    assert_eq!(all.len(), expected.len());
}

fn key(number: usize, n_labels: usize) -> Key {
    let pairs: Vec<(String, String)> =
        (0..n_labels).map(|label| (format!("l{label}"), format!("v{}", number * (label % 3) % 50))).collect();
    let mut pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (&**name, &**value)).collect();
    let own = number.to_string();
    if n_labels > 0 {
        pairs.push(("A", &own));
    }
    Key::from_pairs(if n_labels == 0 { "bare" } else { ["cpu", "disk"][number % 2] }, &pairs).unwrap()
}

pub(super) fn sorted(mut content: Content) -> Content {
    content.sort_by(|a, b| block_order(&a.0, &b.0));
    content.dedup_by(|a, b| a.0 == b.0);
    content
}

pub(super) fn series(number: usize, n_labels: usize, n_samples: usize) -> (Key, Vec<Sample>) {
    let value = |row: usize| match number % 4 {
        0 => (row / 50) as f64,
        1 => f64::from_bits(0x3ff0_0000_0000_0000 | ((row as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 12)),
        2 if row.is_multiple_of(100) => f64::from_bits(STALE_MARKER_BITS),
        2 => (row % 37) as f64 / 8.0,
        _ => f64::from_bits(0x7ff8_0000_0000_0001),
    };
    let at = |row: usize| 1_700_000_000_000 + row as Millis * 15_000 + (row % 5) as Millis;
    (key(number, n_labels), (0..n_samples).map(|row| Sample { at: at(row), value: value(row) }).collect())
}

#[test]
fn large_and_small_series_with_few_and_many_labels_are_read_back() {
    let sizes = [(0, 20), (3, 1), (3, 70_000), (10, 9), (10, 300), (1, 40_000), (2, 8_192), (2, 16_384), (10, 25_000)];
    let content = sorted(sizes.iter().enumerate().map(|(idx, (labels, rows))| series(idx, *labels, *rows)).collect());
    check(&content, Effort::Fresh);
    check(&content, Effort::Lasting);
    // Many more than fit one row group.
    check(&sorted((0..1_500).map(|number| series(number, number % 7, 60)).collect()), Effort::Fresh);
    check(&sorted(vec![series(2, 3, 600_000)]), Effort::Fresh);
}

#[test]
fn bounds_sorting_and_encodings_are_declared_as_they_are() {
    let content = sorted((0..6).map(|number| series(number, 2, 30_000)).collect());
    let Written { block, _dir } = write(&content, Effort::Lasting);
    let metadata = metadata(&block);
    let file = metadata.metadata();
    assert_eq!(file.num_row_groups(), 6);
    for (group, (key, samples)) in file.row_groups().iter().zip(&content) {
        assert_eq!(group.num_rows(), 30_000);
        assert_eq!(group.sorting_columns().unwrap().len(), 3);
        let Some(Statistics::ByteArray(metric)) = group.column(0).statistics() else { panic!("no bounds") };
        assert_eq!(metric.min_opt().unwrap().as_utf8().unwrap(), key.metric());
        let Some(Statistics::Int64(id)) = group.column(1).statistics() else { panic!("no bounds") };
        assert_eq!((id.min_opt(), id.max_opt()), (Some(&key.id()), Some(&key.id())));
        let Some(Statistics::Int64(at)) = group.column(2).statistics() else { panic!("no bounds") };
        assert_eq!((at.min_opt(), at.max_opt()), (Some(&samples[0].at), Some(&samples[29_999].at)));
        let numbers = samples.iter().map(|sample| sample.value).filter(|value| !value.is_nan());
        let bounds = group.column(3).statistics().map(|statistics| match statistics {
            Statistics::Double(bounds) => (*bounds.min_opt().unwrap(), *bounds.max_opt().unwrap()),
            _ => panic!("not doubles"),
        });
        let expected = numbers.clone().fold(None, |all: Option<(f64, f64)>, value| {
            Some(all.map_or((value, value), |(least, greatest)| (least.min(value), greatest.max(value))))
        });
        assert_eq!(bounds, expected);
        // Readers may trust a dictionary to hold all values only where every page is in it.
        let encodings = group.column(0).page_encoding_stats_mask().unwrap();
        assert!(encodings.is_only(Encoding::RLE_DICTIONARY));
    }
    let index = file.column_index().unwrap();
    for (group, (_, samples)) in index.iter().zip(&content) {
        let ColumnIndexMetaData::INT64(times) = &group[2] else { panic!("no index of timestamps") };
        assert_eq!(times.min_values().len(), 30_000_usize.div_ceil(8_192));
        assert_eq!(times.min_value(1), Some(&samples[8_192].at));
        assert_eq!(group[2].get_boundary_order(), Some(BoundaryOrder::ASCENDING));
    }
}

#[test]
fn rows_picked_through_the_page_index_are_the_right_ones() {
    let content = sorted((0..40).map(|number| series(number, number % 5, 7_001 + 900 * number)).collect());
    let Written { block, _dir } = write(&content, Effort::Fresh);
    let expected = rows_of(&content);
    let (mut selectors, mut picked, mut row) = (Vec::new(), Vec::new(), 0);
    for step in [5, 9_000, 100, 31_337, 1, 70_000, 20_000].iter().cycle() {
        let (skip, take) = (*step, (step / 7 + 3).min(expected.len().saturating_sub(row + step)));
        if take == 0 {
            break;
        }
        selectors.extend([RowSelector::skip(skip), RowSelector::select(take)]);
        picked.extend_from_slice(&expected[row + skip..row + skip + take]);
        row += skip + take;
    }
    assert!(read_foreign(&block, Some(RowSelection::from(selectors))) == picked);
}

#[test]
fn changed_bytes_are_noticed() {
    let Written { block, _dir } = write(&sorted(vec![series(2, 3, 200)]), Effort::Fresh);
    let whole = std::fs::read(block.path()).unwrap();
    let index = block.index(&Disk).unwrap();
    let before = read(&mut block.reader(&Disk).unwrap(), 0, TimeRange::ALL).unwrap();
    let places =
        index.pages.times.iter().map(|page| page.place).chain(index.pages.values.iter().map(|page| page.place));
    for place in places.chain(index.pages.dictionaries.iter().copied()) {
        for at in (place.offset..place.offset + u64::from(place.len)).step_by(5) {
            let mut bytes = whole.clone();
            bytes[at as usize] ^= 0x04;
            std::fs::write(block.path(), &bytes).unwrap();
            let read = read(&mut block.reader(&Disk).unwrap(), 0, TimeRange::ALL);
            let bits = |samples: &[Sample]| samples.iter().map(|s| (s.at, s.value.to_bits())).collect::<Vec<_>>();
            // Some bits of a page header mean nothing to us.
            assert!(read.is_err() || bits(&read.unwrap()) == bits(&before), "byte {at}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_series_are_read_back_bit_for_bit(
        shapes in prop::collection::vec((0..60_usize, 0..12_usize, 1..400_usize, any::<u64>(), 0..4_u32), 1..40),
        is_lasting in any::<bool>(),
    ) {
        let content = shapes.into_iter().map(|(number, n_labels, n_samples, seed, kind)| {
            let mut at = (seed >> 20) as Millis;
            let samples = (0..n_samples as u64).map(|row| {
                let random = seed.wrapping_add(row).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                at += 1 + (random >> (20 + 10 * kind)) as Millis;
                let value = match kind {
                    0 => f64::from_bits(random),
                    1 => f64::from_bits(0x7ff0_0000_0000_0000 | (random % 9)),
                    2 => (random % 5) as f64 - 2.0,
                    _ => -0.0,
                };
                Sample { at, value }
            });
            (key(number, n_labels), samples.collect())
        });
        check(&sorted(content.collect()), if is_lasting { Effort::Lasting } else { Effort::Fresh });
    }
}
