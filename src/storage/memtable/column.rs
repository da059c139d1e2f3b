//! One series' samples in order of arrival, each as what changed since the one before.
//!
//! A timestamp that keeps the step takes no byte, and of a value those bytes are kept that differ from the value
//! before: a sample takes 1 byte while nothing changes and 8 or so when a noisy measurement does, instead of 16. Whole
//! bytes rather than bits, for speed. Source: Pelkonen et al., "Gorilla: A Fast, Scalable, In-Memory Time Series
//! Database", VLDB 2015, section 4.1.
//!
//! A sample is one byte, whose upper bit says that the step has changed, the next three how many of the lowest bytes of
//! the value stayed, and the lower four how many above them did not; then, if it changed, by how much the step did, in
//! LEB128 with the sign in the lowest bit; then the bytes of the value, as their difference by XOR.

use super::chunks::{ByteString, ChunkReader, Chunks, Position};
use crate::series::{Key, Millis, Sample, TimeRange};
use crate::storage::merge::{keep_last, share_within};
use crate::storage::wal::record::SeriesRef;

/// One byte, a step of 64 bits in sevens, and a value.
const MAX_CODE: usize = 1 + 10 + 8;
const STEP_CHANGES: u8 = 0x80;

/// One series' samples in order of arrival. Their bytes are in the chunks of its shard.
#[derive(Debug)]
pub(in crate::storage) struct Column {
    key: Key,
    pub(super) series_ref: SeriesRef,
    bytes: ByteString,
    // Timestamps only grow: then arrival order is time order and nothing needs sorting.
    is_ascending: bool,
    n_samples: u64,
    min_at: Millis,
    max_at: Millis,
    last: Last,
}

/// The sample that the next one is told apart from.
#[derive(Clone, Copy, Debug, Default)]
struct Last {
    at: Millis,
    // From the sample before to this one; 0 for the first.
    step: Millis,
    bits: u64,
}

impl Column {
    /// Without a sample yet.
    pub(super) fn new(key: Key, series_ref: SeriesRef, chunks: &mut Chunks) -> Column {
        Column {
            key,
            series_ref,
            bytes: chunks.begin(),
            is_ascending: true,
            n_samples: 0,
            min_at: Millis::MAX,
            max_at: Millis::MIN,
            last: Last::default(),
        }
    }

    /// Adds a sample; `chunks` are those it was made with.
    #[inline]
    pub(super) fn push(&mut self, at: Millis, value: f64, chunks: &mut Chunks) {
        let is_first = self.n_samples == 0;
        let step = at.wrapping_sub(self.last.at);
        let (turn, change) = (step.wrapping_sub(self.last.step), value.to_bits() ^ self.last.bits);
        let n_same = if change == 0 { 0 } else { change.trailing_zeros() / 8 };
        let change = change >> (8 * n_same);
        let n_changed = 8 - change.leading_zeros() / 8;
        let mut code = [0; MAX_CODE];
        code[0] = (n_same << 4 | n_changed) as u8;
        let mut len = 1;
        if turn != 0 {
            code[0] |= STEP_CHANGES;
            let mut turn = (turn << 1 ^ turn >> 63).cast_unsigned();
            while turn >= 0x80 {
                code[len] = turn as u8 | 0x80;
                turn >>= 7;
                len += 1;
            }
            code[len] = turn as u8;
            len += 1;
        }
        code[len..len + 8].copy_from_slice(&change.to_le_bytes());
        chunks.append(&mut self.bytes, &code, len + n_changed as usize);

        self.is_ascending &= is_first || at > self.max_at;
        self.min_at = self.min_at.min(at);
        self.max_at = self.max_at.max(at);
        self.last = Last { at, step: if is_first { 0 } else { step }, bits: value.to_bits() };
        self.n_samples += 1;
    }

    /// Whose samples they are.
    pub(in crate::storage) fn key(&self) -> &Key {
        &self.key
    }

    /// Whether samples may lie in `range`.
    pub(super) fn overlaps(&self, range: TimeRange) -> bool {
        range.overlaps(self.min_at, self.max_at)
    }

    /// When the newest sample is.
    pub(super) fn newest(&self) -> Millis {
        self.max_at
    }

    /// About how many samples lie in `range`: by proportion where it covers a part of them.
    pub(in crate::storage) fn n_about(&self, range: TimeRange) -> u64 {
        if range.contains(self.min_at) && range.contains(self.max_at) {
            return self.n_samples;
        }
        share_within(self.n_samples, self.min_at, self.max_at, range)
    }

    /// Appends the samples in `range`, in time order, of duplicates the one that arrived last.
    pub(super) fn append_to(&self, range: TimeRange, chunks: &Chunks, samples: &mut Vec<Sample>) {
        if !self.overlaps(range) {
            return;
        }
        let all = self.iter(chunks);
        if self.is_ascending {
            samples.extend(
                all.skip_while(|sample| sample.at < range.start()).take_while(|sample| sample.at < range.end()),
            );
            return;
        }
        let mut unsorted: Vec<Sample> = all.filter(|sample| range.contains(sample.at)).collect();
        unsorted.sort_by_key(|sample| sample.at);
        keep_last(&mut unsorted);
        samples.append(&mut unsorted);
    }

    /// As [`append_to`](Column::append_to), for several ranges, none of which begins before the one before it: `cursor`
    /// keeps how far the column was read, so that ranges which follow one another cost together as much as one. The next
    /// one begins at `next` or later. A column out of order is read from its beginning for each.
    pub(super) fn append_onward(
        &self,
        cursor: &mut Cursor,
        (range, next): (TimeRange, Millis),
        chunks: &Chunks,
        samples: &mut Vec<Sample>,
    ) {
        if !self.overlaps(range) {
            return;
        }
        if !self.is_ascending {
            self.append_to(range, chunks, samples);
            return;
        }
        let mut all = match cursor.0 {
            Some(Place { position, n_left, is_first, last }) => {
                Samples { reader: chunks.read_on(position), n_left, is_first, last }
            }
            None => self.iter(chunks),
        };
        let mut place_of_next = None;
        loop {
            let here = all.place();
            let sample = all.next();
            if sample.is_none_or(|sample| sample.at >= next || sample.at >= range.end()) {
                place_of_next.get_or_insert(here);
            }
            match sample {
                Some(sample) if sample.at < range.end() => {
                    if sample.at >= range.start() {
                        samples.push(sample);
                    }
                }
                _ => break,
            }
        }
        cursor.0 = place_of_next;
    }

    /// Every sample, in order of arrival.
    fn iter<'a>(&self, chunks: &'a Chunks) -> Samples<'a> {
        Samples { reader: chunks.read(&self.bytes), n_left: self.n_samples, is_first: true, last: Last::default() }
    }
}

/// How far a column was read; not at all, to begin with.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::storage) struct Cursor(Option<Place>);

#[derive(Clone, Copy, Debug)]
struct Place {
    position: Position,
    n_left: u64,
    is_first: bool,
    last: Last,
}

/// The samples of a column.
struct Samples<'a> {
    reader: ChunkReader<'a>,
    n_left: u64,
    is_first: bool,
    last: Last,
}

impl Samples<'_> {
    fn place(&self) -> Place {
        let Samples { reader, n_left, is_first, last } = self;
        Place { position: reader.position(), n_left: *n_left, is_first: *is_first, last: *last }
    }
}

impl Iterator for Samples<'_> {
    type Item = Sample;

    #[inline]
    fn next(&mut self) -> Option<Sample> {
        self.n_left = self.n_left.checked_sub(1)?;
        let head = self.reader.byte();
        let mut step = self.last.step;
        if head & STEP_CHANGES != 0 {
            let (mut turn, mut shift) = (0, 0);
            loop {
                let byte = self.reader.byte();
                turn |= u64::from(byte & 0x7f) << shift;
                shift += 7;
                if byte < 0x80 {
                    break;
                }
            }
            step = step.wrapping_add((turn >> 1).cast_signed() ^ -(turn & 1).cast_signed());
        }
        let change = self.reader.number(usize::from(head & 0x0f)) << (8 * (head >> 4 & 7));
        let at = self.last.at.wrapping_add(step);
        let bits = self.last.bits ^ change;
        self.last = Last { at, step: if std::mem::take(&mut self.is_first) { 0 } else { step }, bits };
        Some(Sample { at, value: f64::from_bits(bits) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn column(samples: &[(Millis, u64)]) -> (Column, Chunks) {
        let mut chunks = Chunks::default();
        let mut column = Column::new(Key::from_pairs("up", &[]).unwrap(), 0, &mut chunks);
        samples.iter().for_each(|(at, bits)| column.push(*at, f64::from_bits(*bits), &mut chunks));
        (column, chunks)
    }

    fn check(samples: &[(Millis, u64)]) {
        let (column, chunks) = column(samples);
        let back: Vec<_> = column.iter(&chunks).map(|sample| (sample.at, sample.value.to_bits())).collect();
        assert_eq!(back, samples);
    }

    #[test]
    fn the_ends_of_time_and_every_bit_of_a_value_come_back() {
        let ends = [0, 1, -1, Millis::MAX, Millis::MIN, Millis::MIN, 0, Millis::MAX];
        check(&ends.map(|at| (at, at.cast_unsigned())));
        let signs = [0.0, -0.0, f64::NAN, f64::INFINITY, f64::MIN_POSITIVE, f64::from_bits(1), f64::MAX, f64::MAX];
        check(&signs.map(|value| (7, value.to_bits())));
        // Prometheus' stale marker.
        check(&[(1, 1.0_f64.to_bits()), (2, 0x7ff0_0000_0000_0002), (3, 1.0_f64.to_bits())]);
        check(&[]);
    }

    #[test]
    fn what_stays_takes_a_byte() {
        let still: Vec<_> = (0..1_000).map(|n| (1_700_000_000_000 + 15_000 * n, 4.25_f64.to_bits())).collect();
        assert!(column(&still).1.n_bytes() <= 1_100, "{}", column(&still).1.n_bytes());
        let counter: Vec<_> = still.iter().zip(0..).map(|((at, _), n)| (*at, f64::from(n * 3).to_bits())).collect();
        assert!(column(&counter).1.n_bytes() <= 3_500, "{}", column(&counter).1.n_bytes());
    }

    fn samples() -> impl Strategy<Value = Vec<(Millis, u64)>> {
        let at = prop_oneof![0..100_i64, any::<i64>()];
        let bits = prop_oneof![0..9_u64, any::<u64>(), (0..100_u32).prop_map(|n| f64::from(n).to_bits())];
        prop::collection::vec((at, bits), 0..200)
    }

    proptest! {
        #[test]
        fn whatever_arrives_comes_back(samples in samples()) {
            check(&samples);
        }

        #[test]
        fn a_range_of_them_is_sorted_and_the_last_of_a_time_stays(
            times in prop::collection::vec(0..50_i64, 0..60),
            sorts in any::<bool>(),
            start in 0..50_i64,
            len in 0..50_i64,
            skips in any::<bool>(),
        ) {
            let mut times = times;
            if sorts {
                times.sort_unstable();
                times.dedup();
            }
            let samples: Vec<_> = times.iter().zip(0_u64..).map(|(at, number)| (*at, number)).collect();
            let (column, chunks) = column(&samples);
            let range = TimeRange::new(start, start + len).unwrap();
            let mut found = vec![Sample { at: -1, value: 0.0 }];
            column.append_to(range, &chunks, &mut found);
            let is_inside = |(at, _): &(Millis, u64)| range.contains(*at);
            let expected: std::collections::BTreeMap<_, _> = samples.into_iter().filter(is_inside).collect();
            let bits = |samples: &[Sample]| {
                samples.iter().map(|sample| (sample.at, sample.value.to_bits())).collect::<Vec<_>>()
            };
            let found = bits(&found[1..]);
            prop_assert!(column.n_about(range) as usize <= times.len());
            // Read on in parts it is the same, also when the last of them lies inside the one before, and whether or not
            // the first is read.
            let (mut cursor, mut onward) = (Cursor::default(), Vec::new());
            let middle = start + len / 2;
            let parts = [(-9, start), (start, middle), (middle, start + len), (middle + 1, start + len)];
            for (number, (start, end)) in parts.into_iter().enumerate().skip(usize::from(skips)) {
                let range = TimeRange::new(start, end.max(start)).unwrap();
                let next = parts.get(number + 1).map_or(range.end(), |(start, _)| *start);
                let mut part = Vec::new();
                column.append_onward(&mut cursor, (range, next), &chunks, &mut part);
                let mut alone = Vec::new();
                column.append_to(range, &chunks, &mut alone);
                prop_assert_eq!(bits(&part), bits(&alone));
                if number == 1 || number == 2 {
                    onward.append(&mut part);
                }
            }
            prop_assert_eq!(&bits(&onward), &found);
            prop_assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
        }
    }
}
