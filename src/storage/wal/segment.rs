//! Writing one segment.

use std::io;
use std::path::{Path, PathBuf};

use super::super::files::{Files, Output};
use super::frame::{HEADER_LEN, Header, encode_frame};
use super::record::SEAL_PAYLOAD;

/// The file of segment `seq`; the zeros make names sort as numbers.
pub(in crate::storage) fn path_of(wal_dir: &Path, seq: u64) -> PathBuf {
    wal_dir.join(format!("{seq:012}.wal"))
}

/// The number in a segment's file name; `None` for other files.
pub(in crate::storage) fn seq_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".wal")?;
    (digits.len() >= 12 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// A segment that takes records.
///
/// After an error from any method the segment must not be written again: what is on disk is unknown from there on.
pub(in crate::storage) struct Segment {
    output: Box<dyn Output>,
    path: PathBuf,
    header: Header,
    n_bytes: u64,
    // Up to here every byte was part of a write that succeeded.
    n_good: u64,
    buffer: Vec<u8>,
}

impl Segment {
    /// Makes the file of segment `seq`, durably; what is left of a failed attempt is removed.
    pub(in crate::storage) fn create(files: &dyn Files, wal_dir: &Path, seq: u64, salt: u64) -> io::Result<Segment> {
        let path = path_of(wal_dir, seq);
        let header = Header { seq, salt };
        let attempt = || {
            let mut output = files.create(&path)?;
            output.write_all(&header.encode())?;
            output.sync()?;
            files.sync_dir(wal_dir)?;
            Ok(output)
        };
        let n_bytes = HEADER_LEN as u64;
        match attempt() {
            Ok(output) => Ok(Segment { output, path, header, n_bytes, n_good: n_bytes, buffer: Vec::new() }),
            Err(error) => {
                // An empty segment harms no replay; the error that is answered tells more.
                let _ = files.remove(&path);
                Err(error)
            }
        }
    }

    pub(in crate::storage) fn seq(&self) -> u64 {
        self.header.seq
    }

    pub(in crate::storage) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes written and promised so far.
    pub(in crate::storage) fn n_good(&self) -> u64 {
        self.n_good
    }

    /// Whether no record was ever written whole.
    pub(in crate::storage) fn is_empty(&self) -> bool {
        self.n_good == HEADER_LEN as u64
    }

    /// Puts a record behind those waiting for the next [`write`](Segment::write).
    pub(in crate::storage) fn add(&mut self, payload: &[u8], crc: u32) {
        let frame = encode_frame(self.header.salt, self.n_bytes, payload.len(), crc);
        self.buffer.extend_from_slice(&frame);
        self.buffer.extend_from_slice(payload);
        self.n_bytes += (frame.len() + payload.len()) as u64;
    }

    /// Hands every waiting record to the operating system in one write, and syncs when asked to.
    pub(in crate::storage) fn write(&mut self, then_sync: bool) -> io::Result<()> {
        self.output.write_all(&self.buffer)?;
        self.buffer.clear();
        // One large batch must not hold its memory for the life of the segment.
        self.buffer.shrink_to(4 << 20);
        if then_sync {
            self.output.sync()?;
        }
        self.n_good = self.n_bytes;
        Ok(())
    }

    /// Makes everything written survive power loss.
    pub(in crate::storage) fn sync(&mut self) -> io::Result<()> {
        self.output.sync()
    }

    /// Ends the segment in order: from then on a replay knows that nothing is missing at its end.
    ///
    /// Answers the segment's final size.
    pub(in crate::storage) fn seal(mut self) -> io::Result<u64> {
        self.add(&SEAL_PAYLOAD, crc32fast::hash(&SEAL_PAYLOAD));
        self.write(true)?;
        Ok(self.n_good)
    }

    /// Gives the segment up after an error, cutting off what was not acknowledged if the disk lets us.
    pub(in crate::storage) fn abandon(mut self, files: &dyn Files) {
        // Best effort both: a replay copes with whatever is left, and the caller already answers with an error.
        if self.is_empty() {
            let _ = files.remove(&self.path);
        } else {
            let _ = self.output.truncate(self.n_good);
        }
    }
}
