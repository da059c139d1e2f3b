//! What is in a record: definitions of series, columns of samples, or the end of a segment.

use super::super::bytes::{Reader, put_varint};
use crate::series::{Key, LabelLimits, Labels, Millis};

const SERIES: u8 = 1;
const SAMPLES: u8 = 2;
const SEAL: u8 = 3;

/// A number that stands for a series within one segment.
pub(in crate::storage) type SeriesRef = u32;

/// Samples as columns of equal length.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::storage) struct RefSamples {
    pub(in crate::storage) refs: Vec<SeriesRef>,
    pub(in crate::storage) at: Vec<Millis>,
    pub(in crate::storage) value: Vec<f64>,
}

/// A decoded record.
#[derive(Debug)]
pub(in crate::storage) enum Record {
    /// From here on, in this segment, these numbers stand for these series.
    Series(Vec<(SeriesRef, Key)>),
    /// Samples of series defined before, in this segment.
    Samples(RefSamples),
    /// Nothing follows: the segment was ended in order.
    Seal,
}

/// The payload that ends a segment in order.
pub(in crate::storage) const SEAL_PAYLOAD: [u8; 1] = [SEAL];

/// Appends the payload that defines `series` to `out`.
pub(in crate::storage) fn encode_series(series: &[(SeriesRef, Key)], out: &mut Vec<u8>) {
    out.push(SERIES);
    put_varint(series.len() as u64, out);
    for (series_ref, key) in series {
        put_varint(u64::from(*series_ref), out);
        let labels = key.labels();
        put_varint(labels.len() as u64, out);
        for (name, value) in labels.iter() {
            for text in [name, value] {
                put_varint(text.len() as u64, out);
                out.extend_from_slice(text.as_bytes());
            }
        }
    }
}

/// Appends the payload that holds these samples to `out`; the columns are of equal length.
pub(in crate::storage) fn encode_samples(refs: &[SeriesRef], at: &[Millis], value: &[f64], out: &mut Vec<u8>) {
    debug_assert!(refs.len() == at.len() && at.len() == value.len());
    out.reserve(1 + 10 + refs.len() * 20);
    out.push(SAMPLES);
    put_varint(refs.len() as u64, out);
    // Offsets from the least value, in as few whole bytes as hold them: requests name neighbouring series at
    // almost the same time, so both columns shrink to two or three bytes at the price of a subtraction.
    let least = refs.iter().copied().min().unwrap_or_default();
    out.extend_from_slice(&least.to_le_bytes());
    put_offsets(refs.iter().map(|series_ref| u64::from(series_ref - least)), out);
    let least = at.iter().copied().min().unwrap_or_default();
    out.extend_from_slice(&least.to_le_bytes());
    put_offsets(at.iter().map(|at| at.wrapping_sub(least).cast_unsigned()), out);
    for value in value {
        out.extend_from_slice(&value.to_bits().to_le_bytes());
    }
}

fn put_offsets(offsets: impl Iterator<Item = u64> + Clone, out: &mut Vec<u8>) {
    let bits = 64 - offsets.clone().fold(0, |all, offset| all | offset).leading_zeros();
    let width = bits.div_ceil(8) as usize;
    out.push(u8::try_from(width).expect("at most eight bytes"));
    match width {
        0 => {}
        // Whole machine words are copied faster than odd ones; these are the common widths.
        1 => out.extend(offsets.map(|offset| offset.to_le_bytes()[0])),
        2 => offsets.for_each(|offset| out.extend_from_slice(&offset.to_le_bytes()[..2])),
        width => offsets.for_each(|offset| out.extend_from_slice(&offset.to_le_bytes()[..width])),
    }
}

/// Reads a payload; `None` when it is not one, which a right checksum leaves only to a newer version.
pub(in crate::storage) fn decode(payload: &[u8]) -> Option<Record> {
    let mut reader = Reader::new(payload);
    let record = match reader.byte()? {
        SERIES => Record::Series(decode_series(&mut reader)?),
        SAMPLES => Record::Samples(decode_samples(&mut reader)?),
        SEAL => Record::Seal,
        _ => return None,
    };
    reader.is_at_end().then_some(record)
}

fn decode_series(reader: &mut Reader<'_>) -> Option<Vec<(SeriesRef, Key)>> {
    // The limits were checked when the series came in; today's settings must not make yesterday's series unreadable.
    let limits = LabelLimits { max_labels: usize::MAX, max_name_len: usize::MAX, max_value_len: usize::MAX };
    let n_series = reader.count()?;
    let mut series = Vec::with_capacity(n_series);
    for _ in 0..n_series {
        let series_ref = SeriesRef::try_from(reader.varint()?).ok()?;
        let n_labels = reader.count()?;
        let mut pairs = Vec::with_capacity(n_labels);
        for _ in 0..n_labels {
            pairs.push((reader.text()?, reader.text()?));
        }
        series.push((series_ref, Key::new(Labels::new(pairs, &limits).ok()?)));
    }
    Some(series)
}

fn decode_samples(reader: &mut Reader<'_>) -> Option<RefSamples> {
    let n_samples = usize::try_from(reader.varint()?).ok()?;
    // Each sample has eight bytes of value at least: a count that the payload cannot hold is not believed.
    if n_samples > reader.n_left() / 8 {
        return None;
    }
    let least = u32::from_le_bytes(reader.take(4)?.try_into().ok()?);
    let refs = offsets(reader, n_samples)?;
    let refs = refs.map(|offset| u32::try_from(offset).ok().and_then(|offset| least.checked_add(offset)));
    let refs = refs.collect::<Option<Vec<_>>>()?;
    let least = i64::from_le_bytes(reader.take(8)?.try_into().ok()?);
    let at = offsets(reader, n_samples)?.map(|offset| least.wrapping_add(offset.cast_signed())).collect();
    let (values, []) = reader.take(8 * n_samples)?.as_chunks::<8>() else { return None };
    let value = values.iter().map(|bytes| f64::from_bits(u64::from_le_bytes(*bytes))).collect();
    Some(RefSamples { refs, at, value })
}

fn offsets<'a>(reader: &mut Reader<'a>, n: usize) -> Option<impl Iterator<Item = u64> + use<'a>> {
    let width = usize::from(reader.byte()?);
    if width > 8 {
        return None;
    }
    let bytes = reader.take(width * n)?;
    Some((0..n).map(move |idx| {
        let mut word = [0; 8];
        word[..width].copy_from_slice(&bytes[idx * width..(idx + 1) * width]);
        u64::from_le_bytes(word)
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::series::STALE_MARKER_BITS;

    fn bits(samples: &RefSamples) -> (Vec<u32>, Vec<i64>, Vec<u64>) {
        (samples.refs.clone(), samples.at.clone(), samples.value.iter().map(|value| value.to_bits()).collect())
    }

    fn check(samples: &RefSamples) {
        let mut payload = Vec::new();
        encode_samples(&samples.refs, &samples.at, &samples.value, &mut payload);
        match decode(&payload) {
            Some(Record::Samples(back)) => assert_eq!(bits(&back), bits(samples)),
            other => panic!("{other:?}"),
        }
        for len in 0..payload.len() {
            assert!(decode(&payload[..len]).is_none(), "cut at {len}");
        }
    }

    #[test]
    fn extremes_come_back_bit_for_bit() {
        check(&RefSamples::default());
        check(&RefSamples {
            refs: vec![0, u32::MAX, 7],
            at: vec![i64::MIN, i64::MAX, 0],
            value: vec![f64::from_bits(STALE_MARKER_BITS), f64::NEG_INFINITY, -0.0],
        });
    }

    #[test]
    fn series_come_back() {
        let series =
            [(1, Key::from_pairs("up", &[("job", "é\u{1f600}")]).unwrap()), (300, Key::from_pairs("a", &[]).unwrap())];
        let mut payload = Vec::new();
        encode_series(&series, &mut payload);
        assert!(matches!(decode(&payload), Some(Record::Series(back)) if back == series));
        assert!(matches!(decode(&SEAL_PAYLOAD), Some(Record::Seal)));
        assert!(decode(&[9]).is_none());
    }

    proptest! {
        #[test]
        fn samples_come_back(samples in prop::collection::vec((any::<u32>(), any::<i64>(), any::<u64>()), 0..40)) {
            check(&RefSamples {
                refs: samples.iter().map(|sample| sample.0).collect(),
                at: samples.iter().map(|sample| sample.1).collect(),
                value: samples.iter().map(|sample| f64::from_bits(sample.2)).collect(),
            });
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }
    }
}
