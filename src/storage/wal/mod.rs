//! The log: segments of checksummed records, each segment readable without the others.
//!
//! `docs/formats/wal-segment.md` has the format to the byte. [`frame`] puts records into a segment and finds them
//! again, [`record`] says what is in one, [`segment`] writes, [`replay`] reads back.

pub(super) mod frame;
pub(super) mod record;
pub(super) mod replay;
pub(super) mod segment;
