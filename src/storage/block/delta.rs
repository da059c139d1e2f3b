//! Parquet's DELTA_BINARY_PACKED for timestamps: a regular step takes no bits at all.
//!
//! Parquet's "Encodings", *Delta encoding*: blocks of 128 differences, in each the least difference and four
//! miniblocks of 32 that hold what is above it, packed with as many bits as the largest needs.

use super::super::bytes::{Reader, put_varint};
use super::bits::{BitWriter, unpack, width_of};
use crate::series::Millis;

const BLOCK_LEN: usize = 128;
const N_MINIBLOCKS: usize = 4;
const MINIBLOCK_LEN: usize = BLOCK_LEN / N_MINIBLOCKS;

fn put_zigzag(number: i64, out: &mut Vec<u8>) {
    put_varint(((number << 1) ^ (number >> 63)).cast_unsigned(), out);
}

fn zigzag(reader: &mut Reader<'_>) -> Option<i64> {
    let number = reader.varint()?;
    Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
}

/// Appends the encoded timestamps.
pub(super) fn encode(at: &[Millis], out: &mut Vec<u8>) {
    put_varint(BLOCK_LEN as u64, out);
    put_varint(N_MINIBLOCKS as u64, out);
    put_varint(at.len() as u64, out);
    put_zigzag(at.first().copied().unwrap_or(0), out);
    let mut deltas = [0_i64; BLOCK_LEN];
    let mut start = 1;
    while start < at.len() {
        let n = BLOCK_LEN.min(at.len() - start);
        for (delta, pair) in deltas.iter_mut().zip(at[start - 1..start + n].windows(2)) {
            *delta = pair[1].wrapping_sub(pair[0]);
        }
        put_block(&deltas[..n], out);
        start += n;
    }
}

fn put_block(deltas: &[i64], out: &mut Vec<u8>) {
    let least = deltas.iter().copied().min().unwrap_or(0);
    put_zigzag(least, out);
    let above = |delta: &i64| delta.wrapping_sub(least).cast_unsigned();
    let mut widths = [0_u8; N_MINIBLOCKS];
    for (width, part) in widths.iter_mut().zip(deltas.chunks(MINIBLOCK_LEN)) {
        *width = width_of(part.iter().map(above).fold(0, |all, above| all | above)) as u8;
    }
    out.extend_from_slice(&widths);
    for (width, part) in widths.iter().zip(deltas.chunks(MINIBLOCK_LEN)) {
        let width = u32::from(*width);
        if width == 0 {
            continue;
        }
        let mut bits = BitWriter::default();
        part.iter().for_each(|delta| bits.put(above(delta), width));
        // A miniblock is always whole.
        (part.len()..MINIBLOCK_LEN).for_each(|_| bits.put(0, width));
        out.extend_from_slice(&bits.finish());
    }
}

/// Reads `n` timestamps into `at`, in place of what is there; `None` when there are fewer, or the bytes make no sense.
pub(super) fn decode(bytes: &[u8], n: usize, at: &mut Vec<Millis>) -> Option<()> {
    at.clear();
    let mut reader = Reader::new(bytes);
    let block_len = usize::try_from(reader.varint()?).ok()?;
    let n_miniblocks = usize::try_from(reader.varint()?).ok()?;
    let n_written = reader.varint()?;
    let mut last = zigzag(&mut reader)?;
    let miniblock_len = block_len.checked_div(n_miniblocks).filter(|len| *len > 0)?;
    if (n_written as usize) < n || n == 0 {
        return (n == 0).then_some(());
    }
    at.reserve(n);
    at.push(last);
    while at.len() < n {
        let least = zigzag(&mut reader)?;
        for width in reader.take(n_miniblocks)? {
            let n_here = miniblock_len.min(n - at.len());
            if n_here == 0 {
                break;
            }
            let n_bytes = miniblock_len.checked_mul(usize::from(*width))?.div_ceil(8).min(reader.n_left());
            // With what follows it: numbers are read eight bytes at a time, where there are eight.
            let packed = reader.rest();
            reader.take(n_bytes)?;
            if *width == 0 {
                // Each by itself, not from the one before: so the processor does several at a time.
                at.extend((1..=n_here as Millis).map(|nth| last.wrapping_add(least.wrapping_mul(nth))));
            } else {
                let mut before = last;
                unpack(packed, u32::from(*width), n_here, |above| {
                    before = before.wrapping_add(least).wrapping_add(above.cast_signed());
                    at.push(before);
                })?;
            }
            last = at.last().copied()?;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(at: &[Millis]) -> usize {
        let mut bytes = Vec::new();
        encode(at, &mut bytes);
        let mut back = vec![7];
        assert_eq!((decode(&bytes, at.len(), &mut back), &back[..]), (Some(()), at));
        bytes.len()
    }

    #[test]
    fn regular_steps_take_no_bits() {
        let at: Vec<Millis> = (0..8192).map(|idx| 1_700_000_000_000 + idx * 15_000).collect();
        assert!(check(&at) < 64 * 8 + 16);
        check(&[]);
        check(&[Millis::MIN, Millis::MAX, 0, -1]);
    }

    proptest! {
        #[test]
        fn any_timestamps_come_back(at in prop::collection::vec(any::<i64>(), 0..300), step in -5..5_i64) {
            check(&at);
            check(&(0..at.len() as i64).map(|idx| idx * step).collect::<Vec<_>>());
        }

        #[test]
        fn nonsense_is_an_answer_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..60), n in 0..500_usize) {
            let _ = decode(&bytes, n, &mut Vec::new());
        }
    }
}
