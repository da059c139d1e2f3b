//! Reading segments back after a start.
//!
//! A bad stretch at the end of a segment is what a crash leaves of an unacknowledged write: it ends the segment and is
//! no more than reported. A bad stretch with whole records after it means that stored bytes have changed: it is
//! reported loudly, copied to the quarantine, and everything around it is replayed.

use std::io;
use std::ops::Range;

use hashbrown::HashMap;

use super::frame::{BadHeader, Header, Stretch, stretches};
use super::record::{Record, SeriesRef, decode};
use crate::series::{Key, Millis};

/// What one segment's replay met.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::storage) struct Replay {
    pub(in crate::storage) n_samples: u64,
    /// Bytes of a torn tail.
    pub(in crate::storage) n_torn: u64,
    /// Stretches whose content has changed since it was written.
    pub(in crate::storage) damaged: Vec<Range<usize>>,
    /// Samples whose series was defined in a damaged stretch.
    pub(in crate::storage) n_orphans: u64,
}

/// Walks over one segment's samples in the order they were written.
///
/// # Errors
/// When the header cannot be used; nothing of the segment is replayed then.
pub(in crate::storage) fn replay(segment: &[u8], mut take: impl FnMut(&Key, Millis, f64)) -> Result<Replay, BadHeader> {
    let header = Header::decode(segment)?;
    let mut keys: HashMap<SeriesRef, Key> = HashMap::new();
    let mut replay = Replay::default();
    for stretch in stretches(segment, header.salt) {
        match stretch {
            Stretch::Whole(payload) => match decode(&segment[payload.clone()]) {
                Some(Record::Series(series)) => keys.extend(series),
                Some(Record::Samples(samples)) => {
                    for ((series_ref, at), value) in samples.refs.iter().zip(&samples.at).zip(&samples.value) {
                        if let Some(key) = keys.get(series_ref) {
                            take(key, *at, *value);
                            replay.n_samples += 1;
                        } else {
                            replay.n_orphans += 1;
                        }
                    }
                }
                Some(Record::Seal) => {}
                None => replay.damaged.push(payload),
            },
            Stretch::Damaged(range) => replay.damaged.push(range),
            Stretch::Torn(range) => replay.n_torn = range.len() as u64,
        }
    }
    Ok(replay)
}

/// The reason a header is refused, as an error a person can read.
pub(in crate::storage) fn explain(bad: BadHeader) -> io::Error {
    let text = match bad {
        BadHeader::CutShort => "the segment ends inside its header".to_owned(),
        BadHeader::Damaged => "both copies of the segment's header are damaged".to_owned(),
        BadHeader::Version(version) => format!("the segment is of format version {version}"),
    };
    io::Error::new(io::ErrorKind::InvalidData, text)
}
