//! `POST /api/v1/ingest`: samples as JSON or NDJSON.
//!
//! In: `{"metric","labels","timestamp","value"}`, one, a list, or one per line; gzip when the header says so.
//! Out: how many samples are durable and how many were rejected, with reasons. Good samples are kept whatever
//! happened to their neighbours.

use axum::body::Bytes;
use axum::http::{HeaderMap, header};
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::{Answer, success};
use super::body::gunzip;
use super::dispatch::content_type;
use super::error::{Error, Fault};
use super::state::App;
use crate::ingest::{Decoded, decode_json, decode_ndjson};
use crate::storage::Appended;

/// A body with what its headers say of it.
pub(super) struct Upload {
    pub(super) content_type: Option<String>,
    /// The content type's parameters, lower case.
    pub(super) type_params: String,
    /// Content-Encoding in lower case; `None` when there is none or it is `identity`.
    pub(super) encoding: Option<String>,
    pub(super) body: Bytes,
}

impl Upload {
    pub(super) fn new(headers: &HeaderMap, body: Bytes) -> Upload {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_ascii_lowercase);
        let params =
            text(header::CONTENT_TYPE).and_then(|value| value.split_once(';').map(|(_, params)| params.to_owned()));
        let encoding = text(header::CONTENT_ENCODING).map(|value| value.trim().to_owned());
        Upload {
            content_type: content_type(headers),
            type_params: params.unwrap_or_default(),
            encoding: encoding.filter(|encoding| !encoding.is_empty() && encoding != "identity"),
            body,
        }
    }
}

/// What became of the samples.
#[derive(Serialize, ToSchema)]
pub(super) struct Ingested {
    /// Samples that are durable now.
    accepted: usize,
    /// Samples that were not stored.
    rejected: usize,
    /// Why, for the first of them.
    reasons: Vec<Reason>,
}

/// Why one line or element was rejected.
#[derive(Serialize, ToSchema)]
pub(super) struct Reason {
    /// The line in NDJSON, the element in JSON, the series in remote write, from 1; absent when the store rejected it.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    /// What is wrong and what to do.
    reason: String,
}

pub(super) fn take(app: &App, upload: Upload) -> Answer {
    let is_lines = match upload.content_type.as_deref() {
        Some("application/json") => false,
        Some(
            "application/x-ndjson"
            | "application/ndjson"
            | "application/jsonl"
            | "application/x-jsonlines"
            | "application/jsonlines",
        ) => true,
        other => {
            let got = other.map_or("none".to_owned(), |got| format!("`{got}`"));
            return Err(Error::new(
                Fault::Unsupported,
                format!("the Content-Type is {got}; send application/json or application/x-ndjson"),
            ));
        }
    };
    let unpacked;
    let body: &[u8] = match upload.encoding.as_deref() {
        None => {
            check_decoded(app, upload.body.len())?;
            &upload.body
        }
        Some("gzip" | "x-gzip") => {
            unpacked = gunzip(&upload.body, app.config.limits.max_decoded)?;
            &unpacked
        }
        Some(other) => {
            return Err(Error::new(
                Fault::Unsupported,
                format!("the Content-Encoding is `{other}`; send gzip, or leave the header out"),
            ));
        }
    };
    // The size was checked above, so the decoder's own check of the body as sent must not see the unpacked size.
    let mut limits = app.config.limits.clone();
    limits.max_body = limits.max_decoded;
    let decode = if is_lines { decode_ndjson } else { decode_json };
    let decoded = decode(body, &limits, app.now())?;
    let ingested = store(app, decoded)?;
    if ingested.accepted == 0 && ingested.rejected > 0 {
        return Err(refusal(&ingested));
    }
    Ok(success(&ingested))
}

fn check_decoded(app: &App, size: usize) -> Result<(), Error> {
    let limit = app.config.limits.max_decoded;
    if size <= limit {
        return Ok(());
    }
    Err(Error::new(
        Fault::TooLarge,
        format!(
            "the request body has {size} bytes, more than the {limit} allowed (config: limits.max_decoded); send smaller batches"
        ),
    ))
}

/// Appends what was understood; counts and lists what was not, by the decoder and by the store.
pub(super) fn store(app: &App, decoded: Decoded) -> Result<Ingested, Error> {
    let Appended { n_accepted, rejected } = app.append(decoded.batch)?;
    let listed = app.config.limits.max_rejections_listed;
    let unread = decoded.rejected.iter().map(|one| Reason { line: Some(one.line), reason: one.reason.clone() });
    let unstored = rejected.iter().map(|(_, reason)| Reason { line: None, reason: reason.clone() });
    let n_rejected = decoded.n_rejected + rejected.len();
    app.metrics.rejected(n_rejected);
    Ok(Ingested { accepted: n_accepted, rejected: n_rejected, reasons: unread.chain(unstored).take(listed).collect() })
}

/// The answer when samples were rejected and the status must say so.
pub(super) fn refusal(ingested: &Ingested) -> Error {
    let first = ingested.reasons.first().map_or(String::new(), |one| match one.line {
        Some(line) => format!("; first, line {line}: {}", one.reason),
        None => format!("; first: {}", one.reason),
    });
    let text = format!("{} samples accepted, {} rejected{first}", ingested.accepted, ingested.rejected);
    let error = Error::bad_data(text);
    match serde_json::to_value(ingested) {
        Ok(data) => error.with_data(data),
        Err(_) => error,
    }
}

impl Ingested {
    pub(super) fn has_rejections(&self) -> bool {
        self.rejected > 0
    }
}
