//! Numbers of a few bits each, packed without gaps, and Parquet's RLE/bit-packed hybrid made of them.
//!
//! Parquet's "Encodings", *Run Length Encoding / Bit-Packing Hybrid*: a run is a varint header and then either one
//! value that repeats, or groups of eight packed values. Levels and dictionary indices are written this way.

use super::super::bytes::{Reader, put_varint};

/// Bits that `max` needs.
pub(super) fn width_of(max: u64) -> u32 {
    u64::BITS - max.leading_zeros()
}

/// Packs numbers of up to 64 bits, the first at the lowest bits.
#[derive(Debug, Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    // The bits that do not fill eight bytes yet, and how many; always fewer than 64.
    pending: u64,
    n_pending: u32,
}

impl BitWriter {
    /// Appends the `n` low bits; the others must be zero.
    pub(super) fn put(&mut self, bits: u64, n: u32) {
        self.pending |= bits << self.n_pending;
        let n_all = self.n_pending + n;
        if n_all >= u64::BITS {
            self.bytes.extend_from_slice(&self.pending.to_le_bytes());
            self.pending = bits.checked_shr(u64::BITS - self.n_pending).unwrap_or(0);
            self.n_pending = n_all - u64::BITS;
        } else {
            self.n_pending = n_all;
        }
    }

    /// The bytes, the last one filled up with zero bits.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let n_bytes = self.n_pending.div_ceil(8) as usize;
        self.bytes.extend_from_slice(&self.pending.to_le_bytes()[..n_bytes]);
        self.bytes
    }
}

/// Reads numbers of up to 64 bits, each `width` wide, from packed bytes.
///
/// Answers `None` when the bytes do not hold `n` of them.
pub(super) fn unpack(bytes: &[u8], width: u32, n: usize, mut take: impl FnMut(u64)) -> Option<()> {
    let n_bits = n.checked_mul(width as usize)?;
    if width > 64 || n_bits.div_ceil(8) > bytes.len() {
        return None;
    }
    (0..n).for_each(|idx| take(number_at(bytes, width, idx)));
    Some(())
}

/// The number with this index among packed ones that are `width` bits wide, at most 64; missing bytes count as zero.
#[inline]
pub(super) fn number_at(bytes: &[u8], width: u32, idx: usize) -> u64 {
    let mask = u64::MAX.checked_shr(64 - width).unwrap_or(0);
    let at = idx * width as usize;
    let (start, shift) = (at / 8, (at % 8) as u32);
    let left = bytes.get(start..).unwrap_or_default();
    let low = match left.first_chunk::<8>() {
        Some(eight) => u64::from_le_bytes(*eight),
        None => {
            let mut eight = [0; 8];
            eight[..left.len()].copy_from_slice(left);
            u64::from_le_bytes(eight)
        }
    };
    let mut number = low >> shift;
    if shift + width > 64 {
        number |= u64::from(left.get(8).copied().unwrap_or(0)) << (64 - shift);
    }
    number & mask
}

/// One value, `len` times.
pub(super) fn put_rle_run(value: u64, len: u64, width: u32, out: &mut Vec<u8>) {
    put_varint(len << 1, out);
    out.extend_from_slice(&value.to_le_bytes()[..width.div_ceil(8) as usize]);
}

/// `n` values that `put` packs, each `width` wide; the last group of eight is filled up with zeros.
pub(super) fn put_packed_run(n: usize, width: u32, out: &mut Vec<u8>, put: impl FnOnce(&mut BitWriter)) {
    let n_groups = n.div_ceil(8);
    put_varint(((n_groups as u64) << 1) | 1, out);
    let start = out.len();
    let mut bits = BitWriter { bytes: std::mem::take(out), ..BitWriter::default() };
    put(&mut bits);
    *out = bits.finish();
    out.resize(start + n_groups * width as usize, 0);
}

/// Reads `n` values of the hybrid; `None` when it is cut short or makes no sense.
pub(super) fn read_hybrid(bytes: &[u8], width: u32, n: usize, mut take: impl FnMut(u32)) -> Option<()> {
    let mut reader = Reader::new(bytes);
    let mut n_left = n;
    while n_left > 0 {
        let header = reader.varint()?;
        let len = usize::try_from(header >> 1).ok()?;
        if header & 1 == 1 {
            // The last group may be cut off after the last value that counts.
            let n_bytes = len.checked_mul(width as usize)?.min(reader.n_left());
            let n_here = len.checked_mul(8)?.min(n_left);
            unpack(reader.take(n_bytes)?, width, n_here, |number| take(number as u32))?;
            n_left -= n_here;
        } else {
            let mut value = [0; 4];
            let n_bytes = width.div_ceil(8) as usize;
            value.get_mut(..n_bytes)?.copy_from_slice(reader.take(n_bytes)?);
            let n_here = len.min(n_left);
            (0..n_here).for_each(|_| take(u32::from_le_bytes(value)));
            n_left -= n_here;
        }
        if len == 0 {
            return None;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn packed_numbers_come_back(width in 0..=64_u32, seeds in prop::collection::vec(any::<u64>(), 0..70)) {
            let mask = u64::MAX.checked_shr(64 - width).unwrap_or(0);
            let numbers: Vec<u64> = seeds.iter().map(|seed| seed & mask).collect();
            let mut bits = BitWriter::default();
            numbers.iter().for_each(|number| bits.put(*number, width));
            let bytes = bits.finish();
            let mut back = Vec::new();
            unpack(&bytes, width, numbers.len(), |number| back.push(number)).unwrap();
            prop_assert_eq!(&back, &numbers);
            if !bytes.is_empty() {
                prop_assert!(unpack(&bytes[..bytes.len() - 1], width, numbers.len(), |_| ()).is_none());
            }
        }

        #[test]
        fn runs_of_both_kinds_come_back(runs in prop::collection::vec((any::<bool>(), 1..40_usize, 0..1000_u64), 1..9)) {
            let (mut bytes, mut numbers) = (Vec::new(), Vec::new());
            for (is_packed, len, value) in runs {
                // Only a last run may end within a group of eight.
                let len = if is_packed { len * 8 } else { len };
                if is_packed {
                    put_packed_run(len, 10, &mut bytes, |bits| (0..len as u64).for_each(|idx| bits.put((value + idx) % 1024, 10)));
                    numbers.extend((0..len as u64).map(|idx| ((value + idx) % 1024) as u32));
                } else {
                    put_rle_run(value, len as u64, 10, &mut bytes);
                    numbers.extend(std::iter::repeat_n(value as u32, len));
                }
            }
            let mut back = Vec::new();
            read_hybrid(&bytes, 10, numbers.len(), |number| back.push(number)).unwrap();
            prop_assert_eq!(back, numbers);
        }

        #[test]
        fn nonsense_is_an_answer_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..40), width in 0..40_u32) {
            let _ = read_hybrid(&bytes, width, 1000, |_| ());
        }
    }
}
