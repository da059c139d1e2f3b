//! What came of a body: the batch, the rejections beside it, or the error instead of both.

use crate::series::Batch;

/// What a decoder understood, and what it did not.
///
/// Partial success is a value: the good samples are in `batch` whatever happened to their neighbours.
#[derive(Clone, Debug, Default)]
pub struct Decoded {
    /// The samples to store.
    pub batch: Batch,
    /// The first rejections, at most [`Limits::max_rejections_listed`](super::Limits::max_rejections_listed).
    pub rejected: Vec<Rejection>,
    /// How many samples were rejected, listed or not.
    pub n_rejected: usize,
}

impl Decoded {
    /// Counts `n_samples` rejected for one reason, and lists it while fewer than `max_listed` are.
    pub(super) fn reject(&mut self, line: usize, n_samples: usize, max_listed: usize, reason: impl FnOnce() -> String) {
        self.n_rejected += n_samples;
        if self.rejected.len() < max_listed {
            self.rejected.push(Rejection { line, reason: reason() });
        }
    }
}

/// A part of a body that was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Its place, counted from 1: the line in NDJSON, the array element in JSON, the series in remote write.
    pub line: usize,
    /// What is wrong with it and what to do; names the place when that is not a line.
    pub reason: String,
}

/// Why nothing of a body could be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IngestError {
    /// No bytes, or only white space.
    #[error("the request body is empty; send at least one sample")]
    Empty,
    /// Text that is not UTF-8.
    #[error(
        "the request body is not UTF-8: the bytes at offset {offset} are no character; if it is compressed, set the Content-Encoding header"
    )]
    NotUtf8 {
        /// Where the first bad byte stands, from 0.
        offset: usize,
    },
    /// Larger than a limit allows.
    #[error(
        "the request body has {got} bytes {what}, more than the {limit} allowed (config: {setting}); send smaller batches"
    )]
    TooLarge {
        /// `as sent` or `after decompression`.
        what: &'static str,
        /// Its size in bytes.
        got: usize,
        /// The size allowed.
        limit: usize,
        /// The setting that allows more.
        setting: &'static str,
    },
    /// Not snappy's block format.
    #[error("the body is not valid snappy (block format, as Prometheus remote write sends it): {reason}")]
    BadSnappy {
        /// What the decompressor says.
        reason: String,
    },
    /// Not a remote write request.
    #[error("the body is not a Prometheus remote write 1.0 message: {reason} at byte {offset} after decompression")]
    BadProtobuf {
        /// What is wrong.
        reason: &'static str,
        /// Where, in decompressed bytes from 0.
        offset: usize,
    },
    /// Not JSON.
    #[error("the body is not valid JSON at line {line}, column {column}: {reason}")]
    BadJson {
        /// Line, from 1.
        line: usize,
        /// Column in bytes, from 1.
        column: usize,
        /// What is wrong there.
        reason: String,
    },
    /// Understood, but not something that can be stored.
    #[error("{0}")]
    Unsupported(String),
}

/// Refuses a body larger than `limits.max_body` and one without content.
pub(super) fn check_size(body: &[u8], max_body: usize) -> Result<(), IngestError> {
    if body.len() > max_body {
        let (got, limit) = (body.len(), max_body);
        return Err(IngestError::TooLarge { what: "as sent", got, limit, setting: "limits.max_body" });
    }
    if body.is_empty() { Err(IngestError::Empty) } else { Ok(()) }
}
