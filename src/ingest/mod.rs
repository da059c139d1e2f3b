//! What did they send? One wire format per file, each turning a request body into a batch.
//!
//! In: the body's bytes, already free of its transport's compression, the [`Limits`], and the time of arrival.
//! Out: [`Decoded`]: a [`Batch`](crate::series::Batch) of what was understood, and a [`Rejection`] with its place
//! and reason for each part that was not. An [`IngestError`] means that nothing of the body could be used.
//!
//! Every decoder treats its input as hostile: no panic on any bytes, memory bounded by the limits, sizes checked
//! before they are allocated, and no state that outlives a failed decode. [`HostCollector`] is the one source that
//! needs no sender: it reads this machine.

mod decoded;
mod host;
mod json;
mod key_cache;
mod limits;
mod loose;
mod ndjson;
mod protobuf;
mod remote_write;
mod sample_object;
mod timestamp;

pub use decoded::{Decoded, IngestError, Rejection};
pub use host::HostCollector;
pub use json::decode_json;
pub use limits::Limits;
pub use ndjson::decode_ndjson;
pub use remote_write::RemoteWriteDecoder;
pub use timestamp::{EARLIEST, LATEST, TimestampError, check_timestamp};
