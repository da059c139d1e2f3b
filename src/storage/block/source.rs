//! Where a block's bytes are: a local file, or something that looks like one.
//!
//! The one door through which a [`BlockReader`](super::BlockReader) reads, so that it need not know which it is.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use super::super::error::BlockError;

/// The bytes of one block, to be read at any place and from several threads at the same time.
pub(in crate::storage) trait Source: Send + Sync {
    /// Fills `into` with the bytes from `offset` on.
    ///
    /// # Errors
    /// When they cannot be had, or end before `into` is full.
    fn read_exact_at(&self, into: &mut [u8], offset: u64) -> Result<(), BlockError>;

    /// Whether each read may be slow, so that it is worth telling beforehand what will be read.
    fn is_far(&self) -> bool {
        false
    }

    /// Is told what will be read soon, in the order of the file; may fetch it in few large pieces.
    ///
    /// # Errors
    /// When the bytes cannot be had.
    fn expect(&self, _stretches: &[Range<u64>]) -> Result<(), BlockError> {
        Ok(())
    }
}

impl Source for File {
    fn read_exact_at(&self, into: &mut [u8], offset: u64) -> Result<(), BlockError> {
        Ok(FileExt::read_exact_at(self, into, offset)?)
    }
}
