//! An index as the bytes of a sidecar. `docs/formats/block.md` has it to the byte.

use std::io::{self, Write};

use super::super::bytes::{Reader, put_varint};
use super::super::error::BlockError;
use super::super::texts::{TextId, Texts};
use super::index::{BlockIndex, IndexBuilder};
use super::keys::find_known;
use super::pages::{Pages, Place, TimePage, ValuePage};

/// The version this build writes and reads; an index of another version is made again from its block.
pub(in crate::storage) const INDEX_VERSION: u32 = 2;
const MAGIC: [u8; 8] = *b"baroidx\n";
/// Bytes that are written together.
const PIECE: usize = 256 << 10;
/// Bytes of a run without labels, at least.
const MIN_RUN: usize = 27;

impl BlockIndex {
    /// The bytes of the sidecar.
    #[cfg(test)]
    pub(in crate::storage) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write_to(&mut bytes).expect("a list of bytes takes all that is written to it");
        bytes
    }

    /// Writes the bytes of the sidecar, a piece at a time, as together they are as large as the index.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(in crate::storage) fn write_to(&self, out: &mut (impl Write + ?Sized)) -> io::Result<()> {
        let mut bytes = MAGIC.to_vec();
        let mut crc = crc32fast::Hasher::new();
        let mut pass_on = |bytes: &mut Vec<u8>, at_least: usize| {
            if bytes.len() >= at_least {
                crc.update(bytes);
                out.write_all(bytes)?;
                bytes.clear();
            }
            io::Result::Ok(())
        };
        bytes.extend_from_slice(&INDEX_VERSION.to_le_bytes());
        put_varint(self.texts().len() as u64, &mut bytes);
        for text in self.texts().iter() {
            put_varint(text.len() as u64, &mut bytes);
            bytes.extend_from_slice(text.as_bytes());
            pass_on(&mut bytes, PIECE)?;
        }
        put_varint(self.runs().len() as u64, &mut bytes);
        for run in self.runs() {
            let labels = self.label_ids(&run);
            put_varint(labels.clone().count() as u64, &mut bytes);
            for (name, value) in labels {
                put_varint(u64::from(name), &mut bytes);
                put_varint(u64::from(value), &mut bytes);
            }
            bytes.extend_from_slice(&run.id.to_le_bytes());
            put_varint(u64::from(run.n_rows), &mut bytes);
            bytes.extend_from_slice(&run.min_time.to_le_bytes());
            put_varint(run.max_time.wrapping_sub(run.min_time).cast_unsigned(), &mut bytes);
            let last_value =
                self.last_value(run.number).ok_or_else(|| io::Error::other("an index for reading only"))?;
            bytes.extend_from_slice(&last_value.to_le_bytes());
            pass_on(&mut bytes, PIECE)?;
        }
        put_pages(&self.pages, &mut bytes);
        pass_on(&mut bytes, 0)?;
        out.write_all(&crc.finalize().to_le_bytes())
    }

    /// Reads the bytes of a sidecar.
    pub(in crate::storage) fn decode(bytes: &[u8]) -> Result<BlockIndex, BlockError> {
        let damaged = |what: &str| BlockError::Damaged(format!("the series index {what}"));
        let (version, mut reader) = unwrap(bytes).map_err(damaged)?;
        if version != INDEX_VERSION {
            return Err(damaged(&format!("is of format version {version}, and this is {INDEX_VERSION}")));
        }
        let index = decode_index(&mut reader).filter(|_| reader.is_at_end());
        index.ok_or_else(|| damaged("makes no sense"))
    }

    /// Whether these are the bytes of a sound sidecar that an earlier version has written.
    pub(in crate::storage) fn is_outdated(bytes: &[u8]) -> bool {
        unwrap(bytes).is_ok_and(|(version, _)| version < INDEX_VERSION)
    }
}

/// The version of a sidecar, and what follows it; what is wrong with it otherwise.
fn unwrap(bytes: &[u8]) -> Result<(u32, Reader<'_>), &'static str> {
    let body = bytes.split_last_chunk::<4>().filter(|(body, _)| body.starts_with(&MAGIC));
    let (body, crc) = body.ok_or("does not begin as one")?;
    if crc32fast::hash(body) != u32::from_le_bytes(*crc) {
        return Err("has a wrong checksum");
    }
    let mut reader = Reader::new(&body[MAGIC.len()..]);
    let version = reader.u32().ok_or("ends too soon")?;
    Ok((version, reader))
}

fn put_pages(pages: &Pages, bytes: &mut Vec<u8>) {
    let put_place = |place: &Place, bytes: &mut Vec<u8>| {
        put_varint(place.offset, bytes);
        put_varint(u64::from(place.len), bytes);
    };
    put_varint(pages.times.len() as u64, bytes);
    for (idx, page) in pages.times.iter().enumerate() {
        let rows = pages.time_rows(idx);
        put_varint(rows.end - rows.start, bytes);
        put_place(&page.place, bytes);
        bytes.extend_from_slice(&page.min_time.to_le_bytes());
        put_varint(page.max_time.wrapping_sub(page.min_time).cast_unsigned(), bytes);
    }
    put_varint(pages.dictionaries.len() as u64, bytes);
    pages.dictionaries.iter().for_each(|place| put_place(place, bytes));
    put_varint(pages.values.len() as u64, bytes);
    for (idx, page) in pages.values.iter().enumerate() {
        let rows = pages.value_rows(idx);
        put_varint(rows.end - rows.start, bytes);
        put_place(&page.place, bytes);
        put_varint(page.dictionary.map_or(0, |dictionary| u64::from(dictionary) + 1), bytes);
    }
}

fn decode_index(reader: &mut Reader<'_>) -> Option<BlockIndex> {
    let n_texts = reader.count()?;
    let mut texts = Texts::default();
    for _ in 0..n_texts {
        texts.push(reader.text()?)?;
    }
    texts.shrink_to_fit();
    let n_runs = reader.count()?;
    let known = find_known(|known| known.len() == n_runs && known.texts == texts);
    let mut builder = known.map_or_else(|| IndexBuilder::with_texts(texts), IndexBuilder::like);
    builder.expect(n_runs.min(reader.n_left() / MIN_RUN));
    let mut labels = Vec::new();
    for _ in 0..n_runs {
        labels.clear();
        for _ in 0..reader.count()? {
            let mut text = || TextId::try_from(reader.varint()?).ok().filter(|id| (*id as usize) < n_texts);
            labels.push((text()?, text()?));
        }
        let id = reader.i64()?;
        let n_rows = usize::try_from(reader.varint()?).ok()?;
        let min_time = reader.i64()?;
        let max_time = min_time.checked_add(i64::try_from(reader.varint()?).ok()?)?;
        let last_value = f64::from_bits(reader.i64()?.cast_unsigned());
        builder.push(id, &labels, n_rows, (min_time, max_time), last_value).ok()?;
    }
    let pages = decode_pages(reader)?;
    // A tier's says nothing of pages.
    let is_whole = pages.n_rows == 0 || builder.n_rows() == pages.n_rows;
    is_whole.then(|| builder.finish(pages))
}

fn decode_pages(reader: &mut Reader<'_>) -> Option<Pages> {
    let place =
        |reader: &mut Reader<'_>| Some(Place { offset: reader.varint()?, len: u32::try_from(reader.varint()?).ok()? });
    let mut pages = Pages::default();
    for _ in 0..reader.count()? {
        let (row, n_rows) = (pages.n_rows, reader.varint()?);
        let (place, min_time) = (place(reader)?, reader.i64()?);
        let max_time = min_time.checked_add(i64::try_from(reader.varint()?).ok()?)?;
        pages.times.push(TimePage { row, place, min_time, max_time });
        pages.n_rows = row.checked_add(n_rows)?;
    }
    for _ in 0..reader.count()? {
        pages.dictionaries.push(place(reader)?);
    }
    let mut row = 0_u64;
    for _ in 0..reader.count()? {
        let n_rows = reader.varint()?;
        let place = place(reader)?;
        let dictionary = u32::try_from(reader.varint()?).ok()?.checked_sub(1);
        if dictionary.is_some_and(|dictionary| dictionary as usize >= pages.dictionaries.len()) {
            return None;
        }
        pages.values.push(ValuePage { row, place, dictionary });
        row = row.checked_add(n_rows)?;
    }
    (row == pages.n_rows).then_some(pages)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::{Key, Selector, TimeRange};

    pub(super) fn index() -> BlockIndex {
        let key = |metric, host| Key::from_pairs(metric, &[("host", host)]).unwrap();
        let mut keys = [key("cpu", "a"), key("cpu", "b"), key("disk", "a")];
        keys.sort_by(super::super::block_order);
        let mut builder = IndexBuilder::default();
        for (key, (n_rows, min_time, max_time)) in keys.iter().zip([(3, -5, 9), (1, 7, 7), (2, 100, 200)]) {
            let labels: Vec<_> =
                key.labels().iter().map(|(name, value)| (builder.text(name), builder.text(value))).collect();
            builder.push(key.id(), &labels, n_rows, (min_time, max_time), 0.5).unwrap();
        }
        let place = |offset| Place { offset, len: 40 };
        builder.finish(Pages {
            times: vec![TimePage { row: 0, place: place(4), min_time: -5, max_time: 200 }],
            values: vec![ValuePage { row: 0, place: place(84), dictionary: Some(0) }],
            dictionaries: vec![place(44)],
            n_rows: 6,
        })
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
            |selector: &Selector, start, end| index.matching(selector, TimeRange::new(start, end).unwrap()).len();
        assert_eq!(count(&Selector::metric("cpu"), -100, 1000), 2);
        assert_eq!(count(&Selector::metric("cp"), -100, 1000), 0);
        assert_eq!(count(&Selector::all(), 10, 100), 0);
        assert_eq!(count(&Selector::all(), 9, 101), 2);
    }
}
