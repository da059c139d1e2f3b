//! The sample history that the demo replays, moved so that it ends now, and what is true of it.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Value, json};

use crate::batch;
use crate::series::{Key, Millis};

/// Sample history and its truth.
#[derive(Debug)]
pub(super) struct Record {
    /// Every sample, oldest first.
    pub(super) samples: Vec<(Millis, u32, f64)>,
    /// The series, by the index in `samples`.
    pub(super) keys: Vec<Key>,
    /// What really happened.
    pub(super) events: Vec<Event>,
    /// Which limits are really crossed, and when.
    pub(super) crossings: Vec<Crossing>,
}

/// Something that the makers of the data put in.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) selector: String,
    pub(super) start: Millis,
    pub(super) end: Millis,
    pub(super) note: String,
}

/// A limit that is crossed after the end of the history.
#[derive(Clone, Debug)]
pub(super) struct Crossing {
    pub(super) selector: String,
    pub(super) at: Millis,
    pub(super) note: String,
}

impl Record {
    /// Reads the Parquet and CSV files of `folder`, each moved so that its newest sample stands at `now`.
    pub(super) fn read(folder: &Path, now: Millis) -> anyhow::Result<Record> {
        let truth: Value = match std::fs::read_to_string(folder.join("truth.json")) {
            Ok(text) => serde_json::from_str(&text).context("data/truth.json is not valid JSON")?,
            Err(_) => Value::Null,
        };
        let mut record = Record { samples: Vec::new(), keys: Vec::new(), events: Vec::new(), crossings: Vec::new() };
        for file in batch::expand(&[folder.to_string_lossy().into_owned()])? {
            let rows = batch::read(&[file.path.to_string_lossy().into_owned()])?;
            let Some(last) = rows.at.iter().max() else { continue };
            let shift = now - last;
            let first_key = record.keys.len() as u32;
            record.keys.extend(rows.sources.iter().map(|source| source.key.clone()));
            let samples = rows.at.iter().zip(&rows.source_idx).zip(&rows.value);
            record.samples.extend(
                samples
                    .filter(|(_, value)| value.is_finite())
                    .map(|((at, idx), value)| (at + shift, first_key + idx, *value)),
            );
            record.events.extend(read_all(&truth, file.stem(), "events", |event| event_of(event, shift)));
            record.crossings.extend(read_all(&truth, file.stem(), "capacity", |limit| crossing_of(limit, shift)));
        }
        // Oldest first, as it happened; stable, so that a file's order decides between equal timestamps.
        record.samples.sort_by_key(|(at, ..)| *at);
        Ok(record)
    }

    /// The samples as newline-delimited JSON in pieces of at most `n_lines`.
    pub(super) fn pieces(&self, n_lines: usize) -> impl Iterator<Item = String> {
        let labels: Vec<(String, String)> = self
            .keys
            .iter()
            .map(|key| {
                let labels: serde_json::Map<String, Value> =
                    key.labels().without_metric().map(|(name, value)| (name.to_owned(), value.into())).collect();
                (json!(key.metric()).to_string(), Value::Object(labels).to_string())
            })
            .collect();
        self.samples.chunks(n_lines).map(move |piece| {
            let mut lines = String::with_capacity(piece.len() * 160);
            for (at, idx, value) in piece {
                let (metric, labels) = &labels[*idx as usize];
                lines.push_str(&format!(
                    "{{\"metric\":{metric},\"labels\":{labels},\"timestamp\":{at},\"value\":{value:?}}}\n"
                ));
            }
            lines
        })
    }

    /// From the oldest sample to the newest.
    pub(super) fn span(&self) -> Millis {
        match (self.samples.first(), self.samples.last()) {
            (Some((first, ..)), Some((last, ..))) => last - first,
            _ => 0,
        }
    }
}

/// What `truth` lists as `what` of a file; entries that are not as expected are passed over.
fn read_all<T>(truth: &Value, stem: &str, what: &str, read: impl Fn(&Value) -> Option<T>) -> Vec<T> {
    let listed = truth.get(stem).and_then(|file| file.get(what)).and_then(Value::as_array);
    listed.into_iter().flatten().filter_map(read).collect()
}

fn event_of(event: &Value, shift: Millis) -> Option<Event> {
    Some(Event {
        selector: event.get("selector")?.as_str()?.to_owned(),
        start: event.get("start")?.as_i64()? + shift,
        end: event.get("end")?.as_i64()? + shift,
        note: event.get("note").and_then(Value::as_str).unwrap_or("something odd").to_owned(),
    })
}

fn crossing_of(limit: &Value, shift: Millis) -> Option<Crossing> {
    Some(Crossing {
        selector: limit.get("selector")?.as_str()?.to_owned(),
        at: limit.get("crosses")?.as_i64()? + shift,
        note: limit.get("note").and_then(Value::as_str).unwrap_or("as the data were made").to_owned(),
    })
}

/// The folder of the sample history: as given, or beside the program's source, or where the program is run.
pub(super) fn folder(given: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    let candidates = match given {
        Some(given) => vec![given],
        None => vec![PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/data")), PathBuf::from("data")],
    };
    candidates.iter().find(|folder| folder.is_dir()).cloned().with_context(|| {
        format!(
            "there is no sample history in {}; run the demo in a clone of the project, or name a folder of Parquet or \
             CSV files with --data-dir",
            candidates.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(" or ")
        )
    })
}
