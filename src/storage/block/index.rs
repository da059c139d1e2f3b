//! A block's sidecar: which rows are whose. `docs/formats/block.md` has it to the byte.
//!
//! A selector is answered from here, and the rows it needs are read from the block; nothing else of it is.

use std::cmp::Ordering;
use std::sync::Arc;

use hashbrown::HashMap;

use super::super::bytes::{Reader, put_varint};
use super::super::error::BlockError;
use crate::series::{Key, LabelLimits, Labels, Millis, Selector, TimeRange};

/// The version this build writes, and the newest it reads.
pub(in crate::storage) const INDEX_VERSION: u32 = 1;
const MAGIC: [u8; 8] = *b"baroidx\n";

/// One series' rows in a block: neighbours, in time order.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::storage) struct Run {
    pub(in crate::storage) key: Key,
    pub(in crate::storage) row_start: u64,
    pub(in crate::storage) n_rows: u64,
    pub(in crate::storage) min_time: Millis,
    pub(in crate::storage) max_time: Millis,
}

/// Every run of a block, in row order.
#[derive(Debug, Default, PartialEq)]
pub(in crate::storage) struct BlockIndex {
    runs: Vec<Run>,
}

/// The order of series in a block.
pub(in crate::storage) fn block_order(a: &Key, b: &Key) -> Ordering {
    let by_name = a.metric().cmp(b.metric()).then_with(|| a.id().cmp(&b.id()));
    // Two series with the same id are rare but not impossible; they still must not share a run.
    by_name.then_with(|| a.labels().cmp(b.labels()))
}

impl BlockIndex {
    /// The index of these runs, which follow each other without a hole.
    pub(in crate::storage) fn new(runs: Vec<Run>) -> BlockIndex {
        BlockIndex { runs }
    }

    pub(in crate::storage) fn runs(&self) -> &[Run] {
        &self.runs
    }

    pub(in crate::storage) fn n_rows(&self) -> u64 {
        self.runs.last().map_or(0, |last| last.row_start + last.n_rows)
    }

    /// The runs that the selector means and that may have a sample in `range`, in row order.
    pub(in crate::storage) fn matching<'a>(
        &'a self,
        selector: &'a Selector,
        range: TimeRange,
    ) -> impl Iterator<Item = &'a Run> {
        let runs = match selector.fixed_metric() {
            // Runs are sorted by metric first.
            Some(metric) => {
                let start = self.runs.partition_point(|run| run.key.metric() < metric);
                let len = self.runs[start..].partition_point(|run| run.key.metric() == metric);
                &self.runs[start..start + len]
            }
            None => &self.runs[..],
        };
        let in_range = runs.iter().filter(move |run| range.overlaps(run.min_time, run.max_time));
        in_range.filter(|run| selector.matches(run.key.labels()))
    }

    /// The bytes of the sidecar.
    pub(in crate::storage) fn encode(&self) -> Vec<u8> {
        let mut texts: Vec<&str> = Vec::new();
        let mut known: HashMap<&str, u64> = HashMap::new();
        let mut runs = Vec::new();
        for run in &self.runs {
            let labels = run.key.labels();
            put_varint(labels.len() as u64, &mut runs);
            for text in labels.iter().flat_map(|(name, value)| [name, value]) {
                let number = *known.entry(text).or_insert_with(|| {
                    texts.push(text);
                    texts.len() as u64 - 1
                });
                put_varint(number, &mut runs);
            }
            put_varint(run.n_rows, &mut runs);
            runs.extend_from_slice(&run.min_time.to_le_bytes());
            put_varint(run.max_time.wrapping_sub(run.min_time).cast_unsigned(), &mut runs);
        }
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&INDEX_VERSION.to_le_bytes());
        put_varint(texts.len() as u64, &mut bytes);
        for text in texts {
            put_varint(text.len() as u64, &mut bytes);
            bytes.extend_from_slice(text.as_bytes());
        }
        put_varint(self.runs.len() as u64, &mut bytes);
        bytes.extend_from_slice(&runs);
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads the bytes of a sidecar.
    pub(in crate::storage) fn decode(bytes: &[u8]) -> Result<BlockIndex, BlockError> {
        let damaged = |what: &str| BlockError::Damaged(format!("the series index {what}"));
        let Some((body, crc)) = bytes.split_last_chunk::<4>().filter(|(body, _)| body.starts_with(&MAGIC)) else {
            return Err(damaged("does not begin as one"));
        };
        if crc32fast::hash(body) != u32::from_le_bytes(*crc) {
            return Err(damaged("has a wrong checksum"));
        }
        let mut reader = Reader::new(&body[MAGIC.len()..]);
        let version = reader.u32().ok_or_else(|| damaged("ends too soon"))?;
        if version > INDEX_VERSION {
            return Err(damaged(&format!("is of format version {version}, newer than {INDEX_VERSION}")));
        }
        let runs = decode_runs(&mut reader).filter(|_| reader.is_at_end());
        runs.map(BlockIndex::new).ok_or_else(|| damaged("makes no sense"))
    }
}

fn decode_runs(reader: &mut Reader<'_>) -> Option<Vec<Run>> {
    let limits = LabelLimits { max_labels: usize::MAX, max_name_len: usize::MAX, max_value_len: usize::MAX };
    let n_texts = reader.count()?;
    // Shared between the keys: a fleet repeats few texts over many series.
    let texts = (0..n_texts).map(|_| reader.text().map(Arc::<str>::from)).collect::<Option<Vec<_>>>()?;
    let n_runs = reader.count()?;
    let mut runs = Vec::with_capacity(n_runs);
    let mut row_start = 0_u64;
    for _ in 0..n_runs {
        let n_labels = reader.count()?;
        let mut pairs = Vec::with_capacity(n_labels);
        for _ in 0..n_labels {
            let mut text = || texts.get(usize::try_from(reader.varint()?).ok()?).cloned();
            pairs.push((text()?, text()?));
        }
        let n_rows = reader.varint()?;
        let min_time = reader.i64()?;
        let max_time = min_time.checked_add(i64::try_from(reader.varint()?).ok()?)?;
        runs.push(Run { key: Key::new(Labels::new(pairs, &limits).ok()?), row_start, n_rows, min_time, max_time });
        row_start = row_start.checked_add(n_rows)?;
    }
    Some(runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index() -> BlockIndex {
        let key = |metric, host| Key::from_pairs(metric, &[("host", host)]).unwrap();
        let mut keys = [key("cpu", "a"), key("cpu", "b"), key("disk", "a")];
        keys.sort_by(block_order);
        let spans = [(0, 3, -5, 9), (3, 1, 7, 7), (4, 2, 100, 200)];
        let run = |(key, (row_start, n_rows, min_time, max_time))| Run { key, row_start, n_rows, min_time, max_time };
        BlockIndex::new(keys.into_iter().zip(spans).map(run).collect())
    }

    #[test]
    fn it_comes_back() {
        let back = BlockIndex::decode(&index().encode()).unwrap();
        assert_eq!((back.n_rows(), back), (6, index()));
        assert_eq!(BlockIndex::decode(&BlockIndex::default().encode()).unwrap(), BlockIndex::default());
    }

    #[test]
    fn every_flipped_or_missing_byte_is_noticed() {
        let bytes = index().encode();
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x10;
            assert!(BlockIndex::decode(&flipped).is_err() && BlockIndex::decode(&bytes[..at]).is_err(), "byte {at}");
        }
    }

    #[test]
    fn selectors_and_ranges_pick_runs() {
        let index = index();
        let count =
            |selector: &Selector, start, end| index.matching(selector, TimeRange::new(start, end).unwrap()).count();
        assert_eq!(count(&Selector::metric("cpu"), -100, 1000), 2);
        assert_eq!(count(&Selector::metric("cp"), -100, 1000), 0);
        assert_eq!(count(&Selector::all(), 10, 100), 0);
        assert_eq!(count(&Selector::all(), 9, 101), 2);
    }
}
