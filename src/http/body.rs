//! Reading request bodies without trusting them.
//!
//! In: a body of unknown length from a client of unknown manners. Out: its bytes, within the limit and the time
//! allowed. A body that is refused is still read for a while: closing a connection with unread bytes resets it, and
//! the client would see a broken pipe instead of the reason.

use std::io::Read;
use std::time::Duration;

use axum::body::{Body, Bytes};
use flate2::read::MultiGzDecoder;
use http_body_util::BodyExt;

use super::error::{Error, Fault};

/// How much of a refused body is read and thrown away before answering.
const MAX_DRAINED: usize = 64 << 20;
/// How long a refused body may keep us.
const DRAIN_TIME: Duration = Duration::from_secs(2);

/// A request's body, read at most once.
pub(super) struct Incoming {
    body: Body,
    is_done: bool,
}

impl Incoming {
    pub(super) fn new(body: Body) -> Incoming {
        Incoming { body, is_done: false }
    }

    /// All of it.
    pub(super) async fn read(&mut self, limit: usize, setting: &str, time: Duration) -> Result<Bytes, Error> {
        match tokio::time::timeout(time, self.collect(limit, setting)).await {
            Ok(read) => read,
            Err(_) => Err(Error::new(
                Fault::Slow,
                format!("the request body did not arrive within {} s; send smaller batches", time.as_secs()),
            )),
        }
    }

    async fn collect(&mut self, limit: usize, setting: &str) -> Result<Bytes, Error> {
        let mut first: Option<Bytes> = None;
        let mut all: Vec<u8> = Vec::new();
        while let Some(data) = self.frame().await? {
            let size = first.as_ref().map_or(all.len(), Bytes::len);
            if size + data.len() > limit {
                return Err(Error::new(
                    Fault::TooLarge,
                    format!(
                        "the request body has more than the {limit} bytes allowed (config: {setting}); send smaller batches"
                    ),
                ));
            }
            // A body that arrives in one piece is not copied.
            match first.take() {
                None if all.is_empty() => first = Some(data),
                None => all.extend_from_slice(&data),
                Some(piece) => {
                    all.reserve((piece.len() + data.len()).next_power_of_two());
                    all.extend_from_slice(&piece);
                    all.extend_from_slice(&data);
                }
            }
        }
        Ok(first.unwrap_or_else(|| Bytes::from(all)))
    }

    async fn frame(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            match self.body.frame().await {
                None => {
                    self.is_done = true;
                    return Ok(None);
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if data.is_empty() => {}
                    Ok(data) => return Ok(Some(data)),
                    // Trailers carry nothing we read.
                    Err(_) => {}
                },
                Some(Err(error)) => {
                    self.is_done = true;
                    return Err(Error::bad_data(format!("the request body broke off: {error}")));
                }
            }
        }
    }

    /// Reads on and forgets, so that the answer can be heard.
    pub(super) async fn drain(&mut self) {
        let reading = async {
            let mut drained = 0;
            while !self.is_done && drained < MAX_DRAINED {
                match self.frame().await {
                    Ok(Some(data)) => drained += data.len(),
                    Ok(None) | Err(_) => return,
                }
            }
        };
        // Running out of time is as good as running out of bytes.
        let _ = tokio::time::timeout(DRAIN_TIME, reading).await;
    }
}

/// Decompresses gzip, and stops as soon as it has more than `limit` bytes.
pub(super) fn gunzip(body: &[u8], limit: usize) -> Result<Vec<u8>, Error> {
    let mut decoded = Vec::new();
    let mut reader = MultiGzDecoder::new(body).take(limit as u64 + 1);
    reader.read_to_end(&mut decoded).map_err(|error| {
        Error::bad_data(format!("the body is not valid gzip ({error}); send it whole, or without Content-Encoding"))
    })?;
    if decoded.len() > limit {
        return Err(Error::new(
            Fault::TooLarge,
            format!(
                "the request body has more than the {limit} bytes allowed after decompression (config: limits.max_decoded); send smaller batches"
            ),
        ));
    }
    Ok(decoded)
}
