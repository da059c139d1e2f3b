//! What can go wrong in the store, one enum per thing a caller asks of it.

use std::io;
use std::path::{Path, PathBuf};

use super::remote::RemoteError;

/// Why a data directory could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds the directory.
    #[error(
        "the data directory {} is in use by another process{}: stop that one, or give this one a directory of its own with --data",
        .path.display(), .holder.as_ref().map(|pid| format!(" (process {pid})")).unwrap_or_default()
    )]
    Locked {
        /// The data directory.
        path: PathBuf,
        /// What the holder wrote into the lock file, usually its process id.
        holder: Option<String>,
    },
    /// The directory cannot be made, read or written.
    #[error("cannot {doing} {}: {source}; check that the path is right and that this user may write there", .path.display())]
    Io {
        /// What was tried, as a verb.
        doing: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file of a format this version does not know.
    #[error("{} is of format version {found}, and this barograph reads up to {known}: use a newer barograph", .path.display())]
    Version {
        /// Which file.
        path: PathBuf,
        /// The version it states.
        found: u32,
        /// The newest version this build reads.
        known: u32,
    },
    /// There is nothing of a store in it.
    #[error("{} is not a data directory: it has no manifest, no log and no blocks; check the path", .path.display())]
    NotData {
        /// The directory.
        path: PathBuf,
    },
    /// A restore into the directory did not finish.
    #[error(
        "{} holds half of a restored snapshot: empty it and run `barograph restore` again", .path.display()
    )]
    HalfRestored {
        /// The data directory.
        path: PathBuf,
    },
    /// The bucket's prefix belongs to another data directory.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// A setting that cannot work.
    #[error("storage setting {name}: {reason}")]
    Setting {
        /// Which one.
        name: &'static str,
        /// What it must be.
        reason: String,
    },
}

impl OpenError {
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OpenError {
        move |source| OpenError::Io { doing, path: path.to_owned(), source }
    }
}

/// Why samples were not stored. Nothing of the batch is acknowledged; sending it again is safe.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// No space is left; reading goes on, and writing when there is space again.
    #[error("the disk that holds {} is full: free some space and send the samples again", .path.display())]
    DiskFull {
        /// The file that could not grow.
        path: PathBuf,
    },
    /// The log could not be written or synced.
    #[error("cannot write {}: {reason}; send the samples again", .path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// Flushing to Parquet has fallen so far behind that memory would run out.
    #[error("{n_waiting} samples wait to be flushed to Parquet: send slower, or again in a few seconds")]
    Overloaded {
        /// Samples in memory.
        n_waiting: usize,
    },
    /// The store is shutting down.
    #[error("the store is closed: it is shutting down")]
    Closed,
}

impl AppendError {
    pub(super) fn io(path: &Path, source: &io::Error) -> AppendError {
        if is_disk_full(source) {
            AppendError::DiskFull { path: path.to_owned() }
        } else {
            AppendError::Io { path: path.to_owned(), reason: source.to_string() }
        }
    }
}

/// Whether the system said that no space, or no quota, is left.
pub(super) fn is_disk_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Why series could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SelectError {
    /// A block or its index could not be read.
    #[error("cannot read {}: {source}", .path.display())]
    Block {
        /// Which file.
        path: PathBuf,
        /// What went wrong.
        source: BlockError,
    },
    /// There is more than the caller is ready to take; nothing was read.
    #[error("about {n_samples} samples match, more than {limit}; narrow the selector or shorten the time range")]
    TooMany {
        /// About how many there are.
        n_samples: u64,
        /// How many there may be.
        limit: u64,
    },
}

impl SelectError {
    /// Whether all that is missing is in a bucket which does not answer now: asking again later makes sense.
    pub fn is_for_want_of_a_bucket(&self) -> bool {
        matches!(self, SelectError::Block { source: BlockError::Remote(_), .. })
    }
}

/// Why the memtable did not become blocks. It stays in memory and in the log, and is tried again.
#[derive(Debug, thiserror::Error)]
pub enum FlushError {
    /// A file could not be written.
    #[error("cannot {doing} {}: {source}", .path.display())]
    Io {
        /// What was tried, as a verb.
        doing: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A block could not be encoded, or an older one not be read for a merge.
    #[error("block {}: {source}", .path.display())]
    Block {
        /// Which block.
        path: PathBuf,
        /// What went wrong.
        source: BlockError,
    },
    /// The bucket does not do its part.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// The writer thread is gone.
    #[error("the store is closed")]
    Closed,
}

impl FlushError {
    /// Whether it is about blocks in a bucket, so that what is here need not wait for them.
    pub(super) fn is_of_bucket(&self) -> bool {
        matches!(self, FlushError::Remote(_) | FlushError::Block { source: BlockError::Remote(_), .. })
    }

    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FlushError {
        move |source| FlushError::Io { doing, path: path.to_owned(), source }
    }

    pub(super) fn block(path: &Path) -> impl FnOnce(BlockError) -> FlushError {
        move |source| FlushError::Block { path: path.to_owned(), source }
    }
}

/// What can be wrong with one block or its index.
#[derive(Debug, thiserror::Error)]
pub enum BlockError {
    /// The file could not be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Parquet could not be encoded or decoded.
    #[error(transparent)]
    Parquet(#[from] parquet::errors::ParquetError),
    /// Columns could not be assembled.
    #[error(transparent)]
    Arrow(#[from] arrow::error::ArrowError),
    /// The bytes are not what the format says.
    #[error("{0}")]
    Damaged(String),
    /// The block is in a bucket only, and its bytes cannot be had.
    #[error(transparent)]
    Remote(#[from] RemoteError),
}

impl BlockError {
    /// Whether the file is simply not there, as when a merge has just replaced it.
    pub(super) fn is_gone(&self) -> bool {
        match self {
            BlockError::Io(error) => error.kind() == io::ErrorKind::NotFound,
            // Its object goes some time after the block that has its samples now was uploaded.
            BlockError::Remote(error) => matches!(error, RemoteError::Missing { .. }),
            BlockError::Parquet(_) | BlockError::Arrow(_) | BlockError::Damaged(_) => false,
        }
    }
}
