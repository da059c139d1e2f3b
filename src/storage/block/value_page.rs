//! Reading values: a page is unpacked once, and any stretch of it becomes samples without the rest being decoded.

use std::ops::Range;

use parquet::basic::Encoding;

use super::super::bytes::Reader;
use super::bits::{number_at, read_hybrid};
use super::values::decode_plain;
use crate::series::{Millis, Sample};

/// The values of one page, in the encoding they were written in.
#[derive(Debug)]
pub(super) enum ValuePage {
    /// Doubles, one after the other.
    Plain(Vec<u8>),
    /// The first bytes of all values, then the second ones, and so on.
    Split(Vec<u8>),
    /// Numbers in the dictionary, `width` bits each, from byte `start` on.
    Packed { raw: Vec<u8>, start: usize, width: u32 },
    /// Numbers in the dictionary, written some other way than ours.
    Numbers(Vec<u32>),
}

impl ValuePage {
    /// Reads a page of `n` values; `None` when it does not have them, or is in an encoding that none of ours is in.
    pub(super) fn read(raw: Vec<u8>, encoding: i32, n: usize, dictionary: &[f64]) -> Option<ValuePage> {
        let is = |these: &[Encoding]| these.iter().any(|known| *known as i32 == encoding);
        if is(&[Encoding::PLAIN]) {
            return (raw.len() >= n.checked_mul(8)?).then_some(ValuePage::Plain(raw));
        }
        if is(&[Encoding::BYTE_STREAM_SPLIT]) {
            return (raw.len() == n.checked_mul(8)?).then_some(ValuePage::Split(raw));
        }
        if !is(&[Encoding::RLE_DICTIONARY, Encoding::PLAIN_DICTIONARY]) {
            return None;
        }
        let (width, numbers) = raw.split_first()?;
        let width = u32::from(*width);
        let mut reader = Reader::new(numbers);
        let header = reader.varint()?;
        let n_packed = usize::try_from(header >> 1).ok()?.checked_mul(8)?;
        if header & 1 == 1 && n_packed >= n && width <= u32::BITS {
            let start = raw.len() - reader.n_left();
            let n_bits = n.checked_mul(width as usize)?;
            return (n_bits.div_ceil(8) <= raw.len() - start).then_some(ValuePage::Packed { raw, start, width });
        }
        let mut found = Vec::with_capacity(n);
        read_hybrid(numbers, width, n, |number| found.push(number))?;
        found.iter().all(|number| (*number as usize) < dictionary.len()).then_some(ValuePage::Numbers(found))
    }

    /// Appends the samples at `at` whose values are those of these rows of the page.
    ///
    /// Answers `None` when they are not in the dictionary; `out` is not to be used then.
    pub(super) fn append(
        &self,
        rows: Range<usize>,
        at: &[Millis],
        dictionary: &[f64],
        out: &mut Vec<Sample>,
    ) -> Option<()> {
        match self {
            ValuePage::Plain(raw) => {
                let values = raw.get(8 * rows.start..8 * rows.end)?.as_chunks::<8>().0;
                let sample = |(at, bytes): (&Millis, &[u8; 8])| Sample { at: *at, value: f64::from_le_bytes(*bytes) };
                out.extend(at.iter().zip(values).map(sample));
                Some(())
            }
            ValuePage::Split(raw) => append_split(raw, rows, at, out),
            ValuePage::Packed { raw, start, width } => {
                let packed = &raw[*start..];
                let numbers = rows.map(|row| number_at(packed, *width, row) as usize);
                append_numbered(at, numbers, dictionary, out)
            }
            ValuePage::Numbers(numbers) => {
                let numbers = numbers.get(rows)?.iter().map(|number| *number as usize);
                append_numbered(at, numbers, dictionary, out)
            }
        }
    }
}

/// Appends samples whose values have these numbers in the dictionary; `None` when one is not in it.
fn append_numbered(
    at: &[Millis],
    numbers: impl Iterator<Item = usize>,
    dictionary: &[f64],
    out: &mut Vec<Sample>,
) -> Option<()> {
    let last = dictionary.len().checked_sub(1)?;
    let mut largest = 0;
    out.reserve(at.len());
    for (at, number) in at.iter().zip(numbers) {
        // Whether all were in it is asked once, at the end.
        largest = largest.max(number);
        out.push(Sample { at: *at, value: dictionary[number.min(last)] });
    }
    (largest <= last).then_some(())
}

fn append_split(raw: &[u8], rows: Range<usize>, at: &[Millis], out: &mut Vec<Sample>) -> Option<()> {
    let n = raw.len() / 8;
    let mut streams = [&raw[..0]; 8];
    for (stream, part) in streams.iter_mut().zip(raw.chunks_exact(n.max(1))) {
        *stream = part.get(rows.clone())?;
    }
    // Eight values at a time: eight bytes of each stream are an 8 by 8 matrix of bytes, and its transpose the values.
    let (eights, rest) = at.as_chunks::<8>();
    for (idx, eight) in eights.iter().enumerate() {
        let start = 8 * idx;
        let mut words = [0_u64; 8];
        for (word, stream) in words.iter_mut().zip(streams) {
            *word = u64::from_le_bytes(*stream.get(start..)?.first_chunk::<8>()?);
        }
        let values = transposed(words);
        out.extend(eight.iter().zip(values).map(|(at, bits)| Sample { at: *at, value: f64::from_bits(bits) }));
    }
    let start = 8 * eights.len();
    for (row, at) in rest.iter().enumerate() {
        let bits = (0..8).map(|byte| u64::from(streams[byte][start + row]) << (8 * byte));
        out.push(Sample { at: *at, value: f64::from_bits(bits.fold(0, |all, byte| all | byte)) });
    }
    Some(())
}

/// The transpose of a matrix of 8 by 8 bytes, by swapping ever larger quarters.
///
/// Henry S. Warren, "Hacker's Delight", on transposing a bit matrix; here with bytes in place of bits.
fn transposed(mut rows: [u64; 8]) -> [u64; 8] {
    const QUARTERS: [(usize, u32, u64); 3] =
        [(1, 8, 0x00ff_00ff_00ff_00ff), (2, 16, 0x0000_ffff_0000_ffff), (4, 32, 0x0000_0000_ffff_ffff)];
    for (distance, shift, mask) in QUARTERS {
        for row in (0..8).filter(|row| row & distance == 0) {
            let swapped = ((rows[row] >> shift) ^ rows[row + distance]) & mask;
            rows[row] ^= swapped << shift;
            rows[row + distance] ^= swapped;
        }
    }
    rows
}

/// Reads the doubles of a dictionary.
pub(super) fn dictionary(raw: &[u8]) -> Vec<f64> {
    decode_plain(raw)
}
