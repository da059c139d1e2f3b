//! What a check tells: what is wrong, what is lost with it, and what would put it right.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat};

use super::super::block::BlockIndex;
use super::super::deletes::Delete;
use super::super::manifest::{BlockEntry, Place};
use crate::series::Millis;

/// What a check found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What is wrong. Empty: the directory is sound.
    pub findings: Vec<Finding>,
    /// What is worth knowing and not wrong.
    pub notes: Vec<String>,
    /// Live blocks without a finding.
    pub n_blocks: u64,
    /// Samples in them.
    pub n_block_samples: u64,
    /// Live blocks that are in a bucket only, and in which the data directory has no finding.
    pub n_bucket_blocks: u64,
    /// Samples in them.
    pub n_bucket_samples: u64,
    /// Segments of the log that will be replayed.
    pub n_segments: u64,
    /// Samples in them.
    pub n_log_samples: u64,
}

/// One thing that is wrong.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Which file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub what: String,
    /// What to do.
    pub advice: String,
    /// Which samples are lost with it.
    pub lost: Option<Lost>,
    /// What was done about it.
    pub done: Option<String>,
    pub(super) remedy: Remedy,
}

/// Samples that are lost, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// How many; `None` when they cannot be counted.
    pub n_samples: Option<u64>,
    /// The first and the last time they may have.
    pub span: Option<(Millis, Millis)>,
}

/// What would put a finding right.
#[derive(Clone, Debug)]
pub(super) enum Remedy {
    /// Only a person can.
    None,
    /// Moves the file to the quarantine.
    SetAside,
    /// Takes the block out of the manifest, and its file, if there is one, aside.
    GiveUpBlock(BlockEntry),
    /// Puts what can still be read of the block in its place, and the block itself aside.
    Salvage(BlockEntry),
    /// Notes in the manifest where the block, by id, is; its file goes aside when that is the bucket.
    Place(String, Place),
    /// Gives up a file of a tier, by id.
    GiveUpTier(String),
    /// Makes the sidecar again from its block.
    MakeSidecar(Arc<BlockIndex>),
    /// Makes the manifest again from the blocks that are left.
    MakeManifest,
    /// Writes the file of the delete again.
    WriteDelete(Delete),
    /// Writes the segment again without what is damaged.
    RewriteSegment,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.n_samples {
            Some(n_samples) => write!(f, "{n_samples} samples")?,
            None => f.write_str("an unknown number of samples")?,
        }
        let time = |at| DateTime::from_timestamp_millis(at).map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true));
        if let Some((Some(first), Some(last))) = self.span.map(|(first, last)| (time(first), time(last))) {
            write!(f, " from {first} to {last}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.what)?;
        if let Some(lost) = &self.lost {
            write!(f, "; lost with it: {lost}")?;
        }
        match &self.done {
            Some(done) => write!(f, ". Done: {done}"),
            None => write!(f, ". {}", self.advice),
        }
    }
}
