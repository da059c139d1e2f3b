//! The values of a row group: which encoding suits them, and the encodings themselves.
//!
//! No single one is good for states, counters and noise alike. The distinct values are found once; a middle part of
//! the rows is then compressed in each encoding, and the smallest one is taken for all. A dictionary is
//! sorted, so that values that are close get numbers that are close, which compresses best. Its numbers take as few
//! bits as they need, or whole bytes: those are longer before they are compressed, and often shorter after it, as the
//! compressor then meets the same number as the same byte. `value_page.rs` reads them.

use std::ops::Range;

use hashbrown::HashMap;
use parquet::basic::Encoding;

use super::super::error::BlockError;
use super::bits::{put_packed_run, put_rle_run, width_of};
use super::chunk::Zip;
use super::schema::Effort;

// What repeats in the part that is tried repeats less in pages far apart, but for a dictionary, which is of all rows.
// When the part is all rows, there are no such pages, and nothing is to be made up for.
const DICTIONARY_BONUS: f64 = 0.25;
// Up to so many distinct values a number is one byte of eight, and no other encoding comes near: none is tried.
const SURE_DISTINCT: usize = 256;
// So many times must each of them occur on average, or the dictionary itself would weigh.
const SURE_REPEATS: usize = 16;
// The zstd level at which encodings are compared: on server metrics none above it chooses better.
const TRIAL_LEVEL: i32 = 1;
// Rows looked at to see whether a dictionary is worth trying.
const PROBE_ROWS: usize = 512;

/// How the values of one row group are written.
pub(super) enum Encoded {
    /// Each distinct value once, and numbers: states, sizes, measurements of few digits.
    Dictionary(Dictionary),
    /// As they are: values that repeat far apart.
    Plain,
    /// The first bytes of all values, then the second ones, and so on: noisy measurements.
    ByteStreamSplit,
}

/// The distinct values in ascending order, and for each row which it is.
pub(super) struct Dictionary {
    pub(super) values: Vec<f64>,
    numbers: Vec<u32>,
    /// Bits of a number.
    width: u32,
}

impl Encoded {
    /// The encoding that makes `values` smallest, as far as a part of them tells.
    pub(super) fn choose(values: &[f64], zip: &mut Zip, effort: Effort) -> Result<Encoded, BlockError> {
        let n_page = effort.value_page_rows();
        let middle = values.len().saturating_sub(n_page) / 2;
        let part = middle..values.len().min(middle + n_page);
        let mut dictionary = Dictionary::of(values);
        let numbers = match &mut dictionary {
            Some(dictionary) => dictionary.choose_width(part.clone(), zip, effort)?,
            None => None,
        };
        let is_sure = |distinct: usize| distinct <= SURE_DISTINCT && distinct * SURE_REPEATS <= values.len();
        let dictionary = match dictionary {
            Some(dictionary) if is_sure(dictionary.values.len()) => return Ok(Encoded::Dictionary(dictionary)),
            other => other,
        };
        let share = part.len() as f64 / values.len().max(1) as f64;
        let mut size = |encoded: &Encoded| {
            let mut raw = Vec::new();
            encoded.page(&values[part.clone()], part.clone(), &mut raw);
            Ok::<_, BlockError>(zip.compress(&raw, TRIAL_LEVEL)?.len() as f64)
        };
        let (plain, split) = (size(&Encoded::Plain)?, size(&Encoded::ByteStreamSplit)?);
        let best = if split < plain { Encoded::ByteStreamSplit } else { Encoded::Plain };
        let Some(dictionary) = dictionary else { return Ok(best) };
        let text = zip.compress(&plain_bytes(&dictionary.values), TRIAL_LEVEL)?.len() as f64;
        let numbers = match numbers {
            Some(n_bytes) => n_bytes,
            None => dictionary.size(dictionary.width, part.clone(), zip)?,
        };
        let bonus = 1.0 + DICTIONARY_BONUS * (1.0 - share);
        let is_small = text * share + (numbers as f64) < plain.min(split) * bonus;
        Ok(if is_small { Encoded::Dictionary(dictionary) } else { best })
    }

    /// What the Parquet page says it is.
    pub(super) fn encoding(&self) -> Encoding {
        match self {
            Encoded::Dictionary(_) => Encoding::RLE_DICTIONARY,
            Encoded::Plain => Encoding::PLAIN,
            Encoded::ByteStreamSplit => Encoding::BYTE_STREAM_SPLIT,
        }
    }

    /// Appends a page of these values, which are those of `rows`.
    pub(super) fn page(&self, values: &[f64], rows: Range<usize>, out: &mut Vec<u8>) {
        match self {
            Encoded::Dictionary(dictionary) => dictionary.page(rows, out),
            Encoded::Plain => out.extend_from_slice(&plain_bytes(values)),
            Encoded::ByteStreamSplit => {
                let start = out.len();
                out.resize(start + 8 * values.len(), 0);
                for (byte, stream) in out[start..].chunks_exact_mut(values.len().max(1)).enumerate() {
                    for (to, value) in stream.iter_mut().zip(values) {
                        *to = (value.to_bits() >> (8 * byte)) as u8;
                    }
                }
            }
        }
    }
}

impl Dictionary {
    /// `None` when there are too many distinct values for it to pay.
    fn of(values: &[f64]) -> Option<Dictionary> {
        let step = (values.len() / PROBE_ROWS).max(1);
        let mut probe: Vec<u64> = values.iter().step_by(step).map(|value| value.to_bits()).collect();
        let n_probed = probe.len();
        probe.sort_unstable();
        probe.dedup();
        if n_probed >= PROBE_ROWS && probe.len() * 20 > n_probed * 19 {
            return None;
        }
        let n_max = values.len() * 3 / 4 + 1;
        let mut known: HashMap<u64, u32> = HashMap::new();
        let (mut distinct, mut numbers) = (Vec::new(), Vec::with_capacity(values.len()));
        let mut last = (!values.first()?.to_bits(), 0);
        for value in values {
            let bits = value.to_bits();
            if bits != last.0 {
                let number = *known.entry(bits).or_insert_with(|| {
                    distinct.push(*value);
                    distinct.len() as u32 - 1
                });
                last = (bits, number);
                if distinct.len() > n_max {
                    return None;
                }
            }
            numbers.push(last.1);
        }
        let mut order: Vec<u32> = (0..distinct.len() as u32).collect();
        order.sort_unstable_by(|a, b| distinct[*a as usize].total_cmp(&distinct[*b as usize]));
        let mut rank = vec![0; distinct.len()];
        for (place, number) in order.iter().enumerate() {
            rank[*number as usize] = place as u32;
        }
        numbers.iter_mut().for_each(|number| *number = rank[*number as usize]);
        let values: Vec<f64> = order.into_iter().map(|number| distinct[number as usize]).collect();
        // At least one bit: a width of zero is allowed, but not every reader has met it.
        let width = width_of(values.len() as u64 - 1).max(1);
        Some(Dictionary { values, numbers, width })
    }

    /// Takes whole bytes for the numbers where that makes `part` smaller; its bytes then, if that was tried.
    fn choose_width(&mut self, part: Range<usize>, zip: &mut Zip, effort: Effort) -> Result<Option<usize>, BlockError> {
        let whole = self.width.next_multiple_of(8);
        // Single bits are states, which stand still: eight of them in a byte that repeats are as good.
        if effort == Effort::Fresh || self.width == whole || self.width == 1 {
            return Ok(None);
        }
        let (few, many) = (self.size(self.width, part.clone(), zip)?, self.size(whole, part, zip)?);
        if many < few {
            self.width = whole;
        }
        Ok(Some(few.min(many)))
    }

    /// The bytes that these rows' numbers take, about.
    fn size(&self, width: u32, rows: Range<usize>, zip: &mut Zip) -> Result<usize, BlockError> {
        let mut raw = Vec::new();
        self.write(width, rows, &mut raw);
        Ok(zip.compress(&raw, TRIAL_LEVEL)?.len())
    }

    fn page(&self, rows: Range<usize>, out: &mut Vec<u8>) {
        self.write(self.width, rows, out);
    }

    fn write(&self, width: u32, rows: Range<usize>, out: &mut Vec<u8>) {
        out.push(width as u8);
        let numbers = &self.numbers[rows];
        match numbers {
            [first, others @ ..] if others.iter().all(|number| number == first) => {
                put_rle_run(u64::from(*first), numbers.len() as u64, width, out);
            }
            _ => put_packed_run(numbers.len(), width, out, |bits| {
                numbers.iter().for_each(|number| bits.put(u64::from(*number), width));
            }),
        }
    }
}

/// Doubles as PLAIN has them.
pub(super) fn plain_bytes(values: &[f64]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 * values.len());
    values.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
    bytes
}

/// Reads doubles from PLAIN.
pub(super) fn decode_plain(raw: &[u8]) -> Vec<f64> {
    raw.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::value_page::ValuePage;
    use super::*;
    use crate::series::Millis;

    fn check(encoded: &Encoded, values: &[f64], rows: Range<usize>) {
        let mut raw = Vec::new();
        encoded.page(&values[rows.clone()], rows.clone(), &mut raw);
        let dictionary = match encoded {
            Encoded::Dictionary(dictionary) => dictionary.values.clone(),
            _ => Vec::new(),
        };
        let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        let page = ValuePage::read(raw, encoded.encoding() as i32, rows.len(), &dictionary).unwrap();
        let at: Vec<Millis> = (0..rows.len() as Millis).collect();
        for part in [0..rows.len(), 0..rows.len() / 3, rows.len() / 3..rows.len()] {
            let mut back = Vec::new();
            page.append(part.clone(), &at[part.clone()], &dictionary, &mut back).unwrap();
            assert!(back.iter().map(|sample| sample.at).eq(at[part.clone()].iter().copied()));
            let back: Vec<f64> = back.iter().map(|sample| sample.value).collect();
            assert_eq!(bits(&back), bits(&values[rows.clone()][part]));
        }
    }

    fn chosen(values: &[f64]) -> Encoding {
        Encoded::choose(values, &mut Zip::new().unwrap(), Effort::Lasting).unwrap().encoding()
    }

    #[test]
    fn each_kind_of_values_gets_its_encoding() {
        let states: Vec<f64> = (0..20_000).map(|row| f64::from(row / 300 % 5)).collect();
        assert_eq!(chosen(&states), Encoding::RLE_DICTIONARY);
        let noise = |row: u64| f64::from_bits(0x3ff0_0000_0000_0000 | (row.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 12));
        let noise: Vec<f64> = (0..20_000).map(noise).collect();
        assert_eq!(chosen(&noise), Encoding::BYTE_STREAM_SPLIT);
        assert_eq!(chosen(&[]), Encoding::PLAIN);
    }

    #[test]
    fn numbers_take_whole_bytes_where_that_compresses_better() {
        let width = |values: &[f64], effort| match Encoded::choose(values, &mut Zip::new().unwrap(), effort).unwrap() {
            Encoded::Dictionary(dictionary) => dictionary.width,
            _ => panic!("few values get a dictionary"),
        };
        // One of twenty values, most of the time one of two: five bits each, but less than two by their frequency.
        let random = |row: u64| xxhash_rust::xxh3::xxh3_64(&row.to_le_bytes()) % 1_000;
        let uneven = |row| if random(row) < 900 { random(row) % 2 } else { random(row) % 20 };
        let uneven: Vec<f64> = (0..20_000).map(|row| uneven(row) as f64).collect();
        assert_eq!((width(&uneven, Effort::Fresh), width(&uneven, Effort::Lasting)), (5, 8));
        let even: Vec<f64> = (0..20_000).map(|row| (random(row) % 16) as f64).collect();
        assert_eq!(width(&even, Effort::Lasting), 4);
    }

    proptest! {
        #[test]
        fn every_bit_comes_back_in_every_encoding(
            seeds in prop::collection::vec(prop_oneof![any::<u64>(), 0..9_u64], 1..200),
            cut in any::<prop::sample::Index>(),
        ) {
            let values: Vec<f64> = seeds.iter().map(|bits| f64::from_bits(*bits)).collect();
            let cut = cut.index(values.len());
            let packed = Dictionary::of(&values);
            let whole_bytes = Dictionary::of(&values)
                .map(|dictionary| Dictionary { width: dictionary.width.next_multiple_of(8), ..dictionary });
            let dictionaries = packed.into_iter().chain(whole_bytes).map(Encoded::Dictionary);
            for encoded in dictionaries.chain([Encoded::Plain, Encoded::ByteStreamSplit]) {
                check(&encoded, &values, 0..cut);
                check(&encoded, &values, cut..values.len());
            }
        }
    }
}
