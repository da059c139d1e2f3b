//! One sample as a JSON object: `{"metric": "up", "labels": {"host": "a"}, "timestamp": 1700000000000, "value": 1}`.
//!
//! In: a JSON value of any kind, read loosely so that a wrong type rejects one sample instead of ending the body.
//! Out: [`Intake`] holds the batch and the rejections; only broken JSON syntax is a serde error.
//!
//! A label set seen before in the same body is recognised by its text without being checked again.

use std::borrow::Cow;

use hashbrown::HashMap;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess};

use super::decoded::Decoded;
use super::limits::Limits;
use super::loose::{Loose, Name, Nested, ReadWith};
use super::timestamp;
use crate::series::{Key, LabelError, Labels, METRIC_NAME, Millis, Sample};

/// What an object may hold, for error messages.
const FIELDS: &str = "the fields are metric, labels, timestamp and value";
/// How much of a wrong text an error repeats.
const MAX_QUOTED: usize = 64;

/// Collects samples and rejections of one body.
pub(super) struct Intake<'l> {
    limits: &'l Limits,
    now: Millis,
    // What a place is called in reasons; empty for lines, which need no name.
    place_name: &'static str,
    decoded: Decoded,
    by_text: HashMap<Box<[u8]>, u32>,
    by_key: HashMap<Key, u32>,
    scratch: Vec<u8>,
}

impl<'l> Intake<'l> {
    pub(super) fn new(limits: &'l Limits, now: Millis, place_name: &'static str) -> Intake<'l> {
        Intake {
            limits,
            now,
            place_name,
            decoded: Decoded::default(),
            by_text: HashMap::new(),
            by_key: HashMap::new(),
            scratch: Vec::new(),
        }
    }

    pub(super) fn max_labels(&self) -> usize {
        self.limits.labels.max_labels
    }

    /// Takes in what was read at `place`, counted from 1.
    pub(super) fn take(&mut self, place: usize, read: Result<SampleObject<'_>, String>) {
        if let Err(reason) = read.and_then(|object| self.accept(object)) {
            self.reject(place, reason);
        }
    }

    pub(super) fn reject(&mut self, place: usize, reason: String) {
        let place_name = self.place_name;
        self.decoded.reject(place, 1, self.limits.max_rejections_listed, || match place_name {
            "" => reason,
            name => format!("{name} {place}: {reason}"),
        });
    }

    pub(super) fn finish(self) -> Decoded {
        self.decoded
    }

    fn accept(&mut self, object: SampleObject<'_>) -> Result<(), String> {
        let value = object.value.ok_or("the field `value` is missing; send a number")?;
        let at = object.at.unwrap_or(self.now);
        let key_idx = self.key_idx(object.metric, object.labels, object.n_labels)?;
        self.decoded.batch.push(key_idx, Sample { at, value });
        Ok(())
    }

    fn key_idx(
        &mut self,
        metric: Option<Cow<'_, str>>,
        labels: Vec<LabelPair<'_>>,
        n_labels: usize,
    ) -> Result<u32, String> {
        let n_all = n_labels + usize::from(metric.is_some());
        if n_all > self.limits.labels.max_labels {
            let limit = self.limits.labels.max_labels;
            return Err(LabelError::TooMany { got: n_all, limit }.to_string());
        }
        self.scratch.clear();
        let metric = metric.map(|metric| (Cow::Borrowed(METRIC_NAME), metric));
        for text in metric.iter().chain(&labels).flat_map(|(name, value)| [name, value]) {
            // Length first, so that no two label sets run together to the same bytes.
            self.scratch.extend_from_slice(&(text.len() as u64).to_le_bytes());
            self.scratch.extend_from_slice(text.as_bytes());
        }
        if let Some(&key_idx) = self.by_text.get(self.scratch.as_slice()) {
            return Ok(key_idx);
        }
        let labels =
            Labels::new(metric.into_iter().chain(labels), &self.limits.labels).map_err(|error| error.to_string())?;
        let batch = &mut self.decoded.batch;
        let key_idx = *self.by_key.entry(Key::new(labels)).or_insert_with_key(|key| batch.add_key(key.clone()));
        self.by_text.insert(self.scratch.as_slice().into(), key_idx);
        Ok(key_idx)
    }
}

type LabelPair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// The fields of one object, each of the right type.
#[derive(Default)]
pub(super) struct SampleObject<'a> {
    metric: Option<Cow<'a, str>>,
    // At most one more than allowed; `n_labels` counts on.
    labels: Vec<LabelPair<'a>>,
    n_labels: usize,
    at: Option<Millis>,
    value: Option<f64>,
}

/// Reads one JSON value: an object becomes a sample, anything else a reason.
pub(super) struct SampleSeed {
    pub(super) max_labels: usize,
}

impl<'de> DeserializeSeed<'de> for SampleSeed {
    type Value = Result<SampleObject<'de>, String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        Ok(match ReadWith(self).deserialize(deserializer)? {
            Loose::Read(read) => read,
            other => {
                Err(format!("a sample is an object such as {{\"metric\":\"up\",\"value\":1}}, not {}", other.kind()))
            }
        })
    }
}

impl<'de> Nested<'de> for SampleSeed {
    type Read = Result<SampleObject<'de>, String>;

    fn object<A: MapAccess<'de>>(self, mut map: A) -> Result<Loose<'de, Self::Read>, A::Error> {
        read_fields(None, &mut map, self.max_labels).map(Loose::Read)
    }
}

/// Reads an object's fields, the first of which may have been read already; the outer error is broken syntax.
pub(super) fn read_fields<'de, A: MapAccess<'de>>(
    first: Option<Name<'de>>,
    map: &mut A,
    max_labels: usize,
) -> Result<Result<SampleObject<'de>, String>, A::Error> {
    let mut object = SampleObject::default();
    // The first problem is told; the rest of the object is read past, so that the next one can be read.
    let mut problem: Option<String> = None;
    let mut seen = [false; 4];
    let mut next = first;
    while let Some(Name(field)) = match next.take() {
        Some(field) => Some(field),
        None => map.next_key()?,
    } {
        let (idx, read) = match &*field {
            "metric" => (0, map.next_value::<Loose<'de>>()?.into_metric().map(|metric| object.metric = Some(metric))),
            "labels" => {
                let read = match map.next_value_seed(ReadWith(LabelsSeed { max_labels }))? {
                    Loose::Read(read) => read,
                    other => {
                        Err(format!("`labels` must be an object such as {{\"host\":\"a\"}}, not {}", other.kind()))
                    }
                };
                (1, read.map(|(labels, n_labels)| (object.labels, object.n_labels) = (labels, n_labels)))
            }
            "timestamp" => (2, map.next_value::<Loose<'de>>()?.into_timestamp().map(|at| object.at = Some(at))),
            "value" => (3, map.next_value::<Loose<'de>>()?.into_value().map(|value| object.value = Some(value))),
            unknown => {
                map.next_value::<IgnoredAny>()?;
                problem.get_or_insert_with(|| format!("unknown field `{}`; {FIELDS}", clip(unknown)));
                continue;
            }
        };
        if std::mem::replace(&mut seen[idx], true) {
            problem.get_or_insert_with(|| format!("the field `{field}` is given twice"));
        }
        if let Err(reason) = read {
            problem.get_or_insert(reason);
        }
    }
    Ok(problem.map_or(Ok(object), Err))
}

struct LabelsSeed {
    max_labels: usize,
}

/// The pairs that are kept, and how many there were.
type CountedLabels<'a> = (Vec<LabelPair<'a>>, usize);

impl<'de> Nested<'de> for LabelsSeed {
    type Read = Result<CountedLabels<'de>, String>;

    fn object<A: MapAccess<'de>>(self, mut map: A) -> Result<Loose<'de, Self::Read>, A::Error> {
        let (mut labels, mut n_labels, mut problem) = (Vec::new(), 0, None);
        while let Some(Name(name)) = map.next_key()? {
            n_labels += 1;
            match map.next_value::<Loose<'de>>()? {
                // Count on, but keep nothing, so that a flood of labels costs no memory.
                Loose::Text(value) if labels.len() <= self.max_labels => labels.push((name, value)),
                Loose::Text(_) => {}
                other => {
                    problem.get_or_insert_with(|| {
                        format!("the label `{}` must be a string, not {}; put it in quotes", clip(&name), other.kind())
                    });
                }
            }
        }
        Ok(Loose::Read(problem.map_or(Ok((labels, n_labels)), Err)))
    }
}

impl<'a> Loose<'a> {
    fn into_metric(self) -> Result<Cow<'a, str>, String> {
        match self {
            Loose::Text(metric) => Ok(metric),
            other => Err(format!("`metric` must be a string, not {}", other.kind())),
        }
    }

    fn into_timestamp(self) -> Result<Millis, String> {
        match self {
            Loose::Int(at) => timestamp::check_wide(at),
            Loose::Float(at) => timestamp::check_float(at),
            Loose::Text(text) => timestamp::check_text(&text),
            other => {
                let kind = other.kind();
                return Err(format!(
                    "`timestamp` must be milliseconds as a whole number or an RFC 3339 string, not {kind}; leave it out for now"
                ));
            }
        }
        .map_err(|error| error.to_string())
    }

    fn into_value(self) -> Result<f64, String> {
        match self {
            Loose::Int(value) => Ok(value as f64),
            Loose::Float(value) => Ok(value),
            // JSON has no numbers for these.
            Loose::Text(text) => match &*text {
                "NaN" => Ok(f64::NAN),
                "Inf" | "+Inf" => Ok(f64::INFINITY),
                "-Inf" => Ok(f64::NEG_INFINITY),
                other => Err(format!(
                    "`value` is the string \"{}\"; send a number without quotes, or \"NaN\", \"+Inf\", \"-Inf\"",
                    clip(other)
                )),
            },
            Loose::Null => Err("`value` is null; leave the sample out, or send \"NaN\"".to_owned()),
            other => Err(format!("`value` must be a number, not {}", other.kind())),
        }
    }
}

/// The beginning of a text, for an error message.
pub(super) fn clip(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(MAX_QUOTED) {
        Some((end, _)) => format!("{}...", &text[..end]).into(),
        None => text.into(),
    }
}
