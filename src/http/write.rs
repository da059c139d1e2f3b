//! `POST /api/v1/write`: Prometheus remote write 1.0.
//!
//! Source: prometheus.io, "Prometheus Remote-Write 1.0 specification": protobuf in snappy's block format, any 2xx is
//! success, 4xx must not be retried, 5xx is. So good samples are stored before a 400 tells of the bad ones, and
//! whatever may work later is a 5xx.

use axum::http::StatusCode;
use axum::response::IntoResponse;

use super::answer::Answer;
use super::error::{Error, Fault};
use super::ingest::{Upload, refusal, store};
use super::state::App;

pub(super) fn take(app: &App, upload: Upload) -> Answer {
    check(&upload)?;
    let decoded = app.remote_write.decode(&upload.body, app.now())?;
    // Freed before waiting for the disk.
    drop(upload);
    let ingested = store(app, decoded)?;
    if ingested.has_rejections() {
        return Err(refusal(&ingested));
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn check(upload: &Upload) -> Result<(), Error> {
    let unsupported = |text: String| Err(Error::new(Fault::Unsupported, text));
    match upload.content_type.as_deref() {
        Some("application/x-protobuf") => {}
        other => {
            let got = other.map_or("none".to_owned(), |got| format!("`{got}`"));
            return unsupported(format!("the Content-Type is {got}; remote write 1.0 sends application/x-protobuf"));
        }
    }
    if upload.type_params.contains("io.prometheus.write.v2") {
        return unsupported(
            "this is remote write 2.0, which is not supported; set `protobuf_message: prometheus.WriteRequest` (remote write 1.0) in the sender".to_owned(),
        );
    }
    match upload.encoding.as_deref() {
        Some("snappy") => Ok(()),
        other => {
            let got = other.map_or("none".to_owned(), |got| format!("`{got}`"));
            unsupported(format!("the Content-Encoding is {got}; remote write 1.0 sends snappy (block format)"))
        }
    }
}
