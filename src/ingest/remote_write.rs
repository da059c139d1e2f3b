//! Prometheus remote write 1.0: snappy's block format around one protobuf message.
//!
//! In: the compressed body. Out: a batch in which each series stands once. The size after decompression is checked
//! before it is allocated. The message is walked where it lies; a series is recognised by its raw label bytes
//! ([`KeyCache`]), most often because it follows the same series as last time, and parsed only when it is new. A series
//! with bad labels is rejected alone; a message that is damaged fails whole, and nothing of it stays behind: what outlives
//! a call is room, of which the next one sees what it has written itself, and a cache that only ever holds label sets
//! that were checked.
//!
//! Stale markers and other NaN keep their bits. Exemplars and metadata are passed over; native histograms are
//! rejected with a reason. Source: prometheus.io, "Prometheus Remote-Write 1.0 specification"; prometheus
//! `prompb/remote.proto` and `prompb/types.proto` for the field numbers.

use std::ops::Range;

use hashbrown::HashTable;
use parking_lot::Mutex;

use super::decoded::{Decoded, IngestError, check_size};
use super::key_cache::{CacheReader, Entry, KeyCache};
use super::limits::Limits;
use super::protobuf::{Fields, LABEL, Malformed, Wire};
use super::timestamp::check_timestamp;
use crate::series::{Batch, Key, Labels, METRIC_NAME, Millis, Sample};

/// A million series with ten labels, at 450 bytes each, their keys included, which the store has too. What is not used
/// is not taken.
const CACHE_BYTES: usize = 500 << 20;
/// A copy of 64 bytes takes three bytes of snappy, and nothing in the format is denser.
const MAX_SNAPPY_RATIO: usize = 22;
/// Rooms for decompressed messages that are kept, and how large they may be: to allocate and zero fresh memory was a third
/// of the time that decompressing took.
const MAX_ROOMS: usize = 2;
const MAX_ROOM: usize = 4 << 20;
/// A series with ten labels and one sample; only a guess for how much room to make.
const USUAL_SERIES_BYTES: usize = 200;

/// Decodes remote write bodies; one for all requests, from any thread.
#[derive(Debug)]
pub struct RemoteWriteDecoder {
    limits: Limits,
    keys: KeyCache,
    // Of messages before; only as long as it takes to pick one up is this held.
    rooms: Mutex<Vec<Vec<u8>>>,
}

impl RemoteWriteDecoder {
    /// A decoder with these limits and an empty cache.
    pub fn new(limits: Limits) -> RemoteWriteDecoder {
        RemoteWriteDecoder { limits, keys: KeyCache::new(CACHE_BYTES), rooms: Mutex::default() }
    }

    /// Bytes of memory that it takes to recognise series, their keys included.
    pub fn cache_bytes(&self) -> usize {
        self.keys.n_bytes()
    }

    /// Decodes one body that arrived at `now`, which only the cache goes by: every sample brings its timestamp.
    ///
    /// # Errors
    /// When the body is empty, too large before or after decompression, not snappy, or not a whole message.
    pub fn decode(&self, body: &[u8], now: Millis) -> Result<Decoded, IngestError> {
        check_size(body, self.limits.max_body)?;
        let len = decompressed_len(body, self.limits.max_decoded)?;
        let mut room = self.rooms.lock().pop().unwrap_or_default();
        if room.len() < len {
            // What it had need not move.
            room.clear();
            room.resize(len, 0);
        }
        let decoded = match snap::raw::Decoder::new().decompress(body, &mut room[..len]) {
            // All of it is written then.
            Ok(written) => self.decode_message(&room[..written], now),
            Err(error) => Err(IngestError::BadSnappy { reason: error.to_string() }),
        };
        let mut rooms = self.rooms.lock();
        if rooms.len() < MAX_ROOMS && room.capacity() <= MAX_ROOM {
            rooms.push(room);
        }
        decoded
    }

    /// Decodes a message that is not, or no longer, compressed.
    fn decode_message(&self, message: &[u8], now: Millis) -> Result<Decoded, IngestError> {
        let mut request = Request::new(self, message);
        request.walk().map_err(|Malformed { reason, offset }| IngestError::BadProtobuf { reason, offset })?;
        let Request { known, n_series, is_version_2, decoded, .. } = request;
        let fresh = known.finish();
        self.keys.learn(fresh, now);
        if n_series == 0 && is_version_2 {
            return Err(IngestError::Unsupported(
                "this is a Prometheus remote write 2.0 message; set protobuf_message: prometheus.WriteRequest (1.0)"
                    .to_owned(),
            ));
        }
        Ok(decoded)
    }
}

/// The length that the body says it has, checked before memory is taken.
fn decompressed_len(body: &[u8], max_decoded: usize) -> Result<usize, IngestError> {
    let bad = |reason: String| IngestError::BadSnappy { reason };
    let got = snap::raw::decompress_len(body).map_err(|error| bad(error.to_string()))?;
    if got > body.len().saturating_mul(MAX_SNAPPY_RATIO) {
        return Err(bad(format!("it claims {got} bytes, more than {} bytes of snappy can hold", body.len())));
    }
    if got > max_decoded {
        let setting = "limits.max_decoded";
        return Err(IngestError::TooLarge { what: "after decompression", got, limit: max_decoded, setting });
    }
    Ok(got)
}

/// The state of one call; gone when it ends, whichever way.
struct Request<'a> {
    limits: &'a Limits,
    message: &'a [u8],
    known: CacheReader<'a>,
    decoded: Decoded,
    // Indices into the batch's keys, by series id: a series may occur twice in one request.
    key_idx: HashTable<u32>,
    n_series: usize,
    is_version_2: bool,
    samples: Vec<Sample>,
    scattered: Vec<u8>,
}

impl<'a> Request<'a> {
    fn new(decoder: &'a RemoteWriteDecoder, message: &'a [u8]) -> Request<'a> {
        let n_expected = message.len() / USUAL_SERIES_BYTES;
        Request {
            limits: &decoder.limits,
            message,
            known: decoder.keys.reader(),
            decoded: Decoded { batch: Batch::with_capacity(n_expected), ..Decoded::default() },
            key_idx: HashTable::with_capacity(n_expected),
            n_series: 0,
            is_version_2: false,
            samples: Vec::new(),
            scattered: Vec::new(),
        }
    }

    fn walk(&mut self) -> Result<(), Malformed> {
        let mut fields = Fields::new(self.message, 0..self.message.len());
        while let Some((number, wire)) = fields.next()? {
            match (number, wire) {
                (1, Wire::Bytes(range)) => self.take_series(range)?,
                // Metadata (3), and whatever later versions add, is passed over; 4 and 5 are 2.0's symbols and series.
                (number, _) => self.is_version_2 |= number == 4 || number == 5,
            }
        }
        Ok(())
    }

    fn take_series(&mut self, range: Range<usize>) -> Result<(), Malformed> {
        self.n_series += 1;
        let message = self.message;
        let guess = self.known.guess(&message[range.clone()]);
        let labels_end = guess.map(|entry| range.start + entry.raw_len());
        // A label after those that were guessed makes it another series.
        if let (Some(entry), Some(end)) = (guess, labels_end)
            && message[..range.end].get(end) != Some(&LABEL)
        {
            let (mut at, batch) = (end, &mut self.decoded.batch);
            if let Some(sample) = only_sample(&message[..range.end], &mut at)
                && at == range.end
                && check_timestamp(sample.at).is_ok()
            {
                let key_idx = key_idx(&mut self.key_idx, batch, entry);
                batch.push(key_idx, sample);
                return Ok(());
            }
        }
        self.take_any_series(range)
    }

    /// As [`take_series`](Request::take_series), for whatever a series may look like.
    fn take_any_series(&mut self, range: Range<usize>) -> Result<(), Malformed> {
        self.samples.clear();
        let message = self.message;
        let mut fields = Fields::new(message, range.clone());
        fields.skip_run(LABEL)?;
        let labels = range.start..fields.offset();
        let mut is_scattered = false;
        let mut n_histograms = 0;
        while let Some((number, wire)) = fields.next()? {
            match (number, wire) {
                (1, Wire::Bytes(_)) => is_scattered = true,
                (2, Wire::Bytes(range)) => self.samples.push(read_sample(message, range)?),
                (4, Wire::Bytes(_)) => n_histograms += 1,
                // Exemplars (3) and unknown fields.
                _ => {}
            }
        }
        if n_histograms > 0 {
            let raw = self.raw_labels(&labels, &range, is_scattered)?;
            self.reject(&raw, n_histograms, "native histograms are not supported yet");
        }
        if self.samples.is_empty() {
            return Ok(());
        }
        if is_scattered {
            let raw = self.raw_labels(&labels, &range, true)?;
            self.push_samples(&raw);
        } else {
            self.push_samples(&message[labels]);
        }
        Ok(())
    }

    /// The label fields one after another, as most senders write them anyway.
    fn raw_labels(
        &mut self,
        labels: &Range<usize>,
        series: &Range<usize>,
        is_scattered: bool,
    ) -> Result<Vec<u8>, Malformed> {
        if !is_scattered {
            return Ok(self.message[labels.clone()].to_vec());
        }
        self.scattered.clear();
        let mut fields = Fields::new(self.message, series.clone());
        loop {
            let start = fields.offset();
            match fields.next()? {
                Some((1, Wire::Bytes(_))) => self.scattered.extend_from_slice(&self.message[start..fields.offset()]),
                Some(_) => {}
                None => return Ok(std::mem::take(&mut self.scattered)),
            }
        }
    }

    fn push_samples(&mut self, raw: &[u8]) {
        let samples = std::mem::take(&mut self.samples);
        let n_good = samples.iter().filter(|sample| check_timestamp(sample.at).is_ok()).count();
        match self.known.get_or_parse(raw, || parse_key(raw, self.limits)) {
            Ok(entry) if n_good > 0 => {
                let batch = &mut self.decoded.batch;
                let key_idx = key_idx(&mut self.key_idx, batch, entry);
                for sample in samples.iter().filter(|sample| check_timestamp(sample.at).is_ok()) {
                    batch.push(key_idx, *sample);
                }
            }
            Ok(_) => {}
            Err(reason) => {
                self.reject(raw, samples.len(), &reason);
                self.samples = samples;
                return;
            }
        }
        if n_good < samples.len() {
            for error in samples.iter().filter_map(|sample| check_timestamp(sample.at).err()) {
                self.reject(raw, 1, &error.to_string());
            }
        }
        self.samples = samples;
    }

    fn reject(&mut self, raw: &[u8], n_samples: usize, reason: &str) {
        let n_series = self.n_series;
        self.decoded.reject(n_series, n_samples, self.limits.max_rejections_listed, || {
            let mut pairs = LabelPairs::new(raw);
            let metric = pairs.find(|(name, _)| *name == METRIC_NAME).map(|(_, metric)| metric);
            match metric {
                Some(metric) => format!("series {n_series} ({}): {reason}", super::sample_object::clip(metric)),
                None => format!("series {n_series}: {reason}"),
            }
        });
    }
}

/// Where the key stands in the batch; it is added when it is not in it.
#[inline]
fn key_idx(by_id: &mut HashTable<u32>, batch: &mut Batch, entry: &Entry) -> u32 {
    let (key, hint) = (entry.key(), entry.key_idx_hint());
    if batch.keys().get(hint as usize) == Some(key) {
        return hint;
    }
    let hash_of = |key: &Key| key.id().cast_unsigned();
    let known = by_id.find(hash_of(key), |&idx| batch.keys()[idx as usize] == *key).copied();
    let idx = known.unwrap_or_else(|| {
        let idx = batch.add_key(key.clone());
        by_id.insert_unique(hash_of(key), idx, |&idx| hash_of(&batch.keys()[idx as usize]));
        idx
    });
    entry.remember_key_idx(idx);
    idx
}

/// The sample at `at`, encoded as every sender does; moves on behind it. For anything else see [`read_sample`].
#[inline]
fn only_sample(message: &[u8], at: &mut usize) -> Option<Sample> {
    let rest = message.get(*at..)?;
    // Tag of `TimeSeries.samples`, a length of one byte, tag of `Sample.value`, eight bytes, tag of `Sample.timestamp`.
    let ([0x12, len, 0x09, value @ .., 0x10], rest) = rest.split_first_chunk::<12>()? else { return None };
    let n_varint = usize::from(*len).checked_sub(10)?;
    let mut timestamp = 0_u64;
    for (idx, byte) in rest.get(..n_varint).filter(|varint| varint.len() < 10)?.iter().enumerate() {
        let is_last = idx + 1 == n_varint;
        if (*byte < 0x80) != is_last {
            return None;
        }
        timestamp |= u64::from(byte & 0x7f) << (7 * idx);
    }
    *at += 12 + n_varint;
    let value: [u8; 8] = *value;
    (n_varint > 0).then(|| Sample { at: timestamp.cast_signed(), value: f64::from_bits(u64::from_le_bytes(value)) })
}

fn read_sample(message: &[u8], range: Range<usize>) -> Result<Sample, Malformed> {
    // What proto3 leaves out is zero.
    let mut sample = Sample { at: 0, value: 0.0 };
    let mut fields = Fields::new(message, range);
    while let Some(field) = fields.next()? {
        match field {
            (1, Wire::Fixed64(bits)) => sample.value = f64::from_bits(bits),
            (2, Wire::Varint(at)) => sample.at = at.cast_signed(),
            _ => {}
        }
    }
    Ok(sample)
}

fn parse_key(raw: &[u8], limits: &Limits) -> Result<Key, String> {
    let mut pairs = LabelPairs::new(raw);
    let labels = Labels::new(&mut pairs, &limits.labels);
    // A broken label ends the pairs, so that what was built of them is not the series' labels.
    match pairs.problem {
        Some(problem) => Err(problem.to_owned()),
        None => labels.map(Key::new).map_err(|error| error.to_string()),
    }
}

/// The names and values in raw label bytes; ends early, with a `problem`, at one that cannot be read.
struct LabelPairs<'a> {
    raw: &'a [u8],
    fields: Fields<'a>,
    problem: Option<&'static str>,
}

impl<'a> LabelPairs<'a> {
    fn new(raw: &'a [u8]) -> LabelPairs<'a> {
        LabelPairs { raw, fields: Fields::new(raw, 0..raw.len()), problem: None }
    }

    fn read(&mut self) -> Result<Option<(&'a str, &'a str)>, &'static str> {
        let Some((_, Wire::Bytes(label))) = self.fields.next().map_err(|malformed| malformed.reason)? else {
            return Ok(None);
        };
        let (mut name, mut value) = ("", "");
        let mut fields = Fields::new(self.raw, label);
        while let Some(field) = fields.next().map_err(|malformed| malformed.reason)? {
            let text = |range: Range<usize>, problem| std::str::from_utf8(&self.raw[range]).map_err(|_| problem);
            match field {
                (1, Wire::Bytes(range)) => name = text(range, "a label name is not UTF-8")?,
                (2, Wire::Bytes(range)) => value = text(range, "a label value is not UTF-8")?,
                _ => {}
            }
        }
        Ok(Some((name, value)))
    }
}

impl<'a> Iterator for LabelPairs<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        if self.problem.is_some() {
            return None;
        }
        self.read().unwrap_or_else(|problem| {
            self.problem = Some(problem);
            None
        })
    }
}

#[cfg(test)]
mod tests;
