//! Blocks: immutable Parquet files that any Parquet reader understands, each with a sidecar that says whose rows are
//! where. `docs/formats/block.md`.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;

use super::error::BlockError;
use super::files::{self, Files};
use super::layout::Layout;
use super::manifest::BlockEntry;
use crate::series::{Sample, TimeRange};

mod index;
mod reader;
mod rows;
mod schema;
mod writer;

pub(super) use index::{BlockIndex, Run, block_order};
pub(super) use reader::{Cursor, Footer};
pub(super) use schema::Effort;
pub(super) use writer::{About, BlockWriter, is_id, new_id, random_u64};

/// A live block. Its sidecar and footer are read when first asked for, and kept.
#[derive(Debug)]
pub(super) struct Block {
    entry: BlockEntry,
    path: PathBuf,
    index_path: PathBuf,
    tmp_dir: PathBuf,
    metadata: OnceLock<ArrowReaderMetadata>,
    index: Mutex<CachedIndex>,
}

#[derive(Debug, Default)]
struct CachedIndex {
    index: Option<Arc<BlockIndex>>,
    // Counts trims since the last use.
    n_idle: u32,
}

impl Block {
    pub(super) fn new(entry: BlockEntry, layout: &Layout) -> Block {
        Block {
            path: layout.block(&entry.date, &entry.id),
            index_path: layout.sidecar(&entry.id),
            tmp_dir: layout.tmp.clone(),
            entry,
            metadata: OnceLock::new(),
            index: Mutex::default(),
        }
    }

    /// What the manifest says of it.
    pub(super) fn entry(&self) -> &BlockEntry {
        &self.entry
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn index_path(&self) -> &Path {
        &self.index_path
    }

    /// Whose rows are where. A missing or damaged sidecar is made again from the block itself.
    ///
    /// # Errors
    /// When neither can be read.
    pub(super) fn index(&self, files: &dyn Files) -> Result<Arc<BlockIndex>, BlockError> {
        let mut cached = self.index.lock();
        cached.n_idle = 0;
        if let Some(index) = &cached.index {
            return Ok(Arc::clone(index));
        }
        let index = Arc::new(self.load_index(files)?);
        cached.index = Some(Arc::clone(&index));
        Ok(index)
    }

    fn load_index(&self, files: &dyn Files) -> Result<BlockIndex, BlockError> {
        let loaded = files.read(&self.index_path).map_err(BlockError::from);
        let reason = match loaded.and_then(|bytes| BlockIndex::decode(&bytes)) {
            Ok(index) if index.n_rows() == self.entry.n_samples => return Ok(index),
            Ok(index) => format!("it counts {} rows, and the block has {}", index.n_rows(), self.entry.n_samples),
            Err(error) => error.to_string(),
        };
        // Opened before anything is said: when a merge has removed both, that is what the caller must hear.
        let file = files.open(&self.path)?;
        tracing::error!(sidecar = %self.index_path.display(), reason, "a block's series index cannot be used; making it again from the block");
        let index = reader::rebuild_index(file)?;
        if let Err(error) = files::write_new(files, &self.tmp_dir, &self.index_path, &index.encode()) {
            tracing::warn!(sidecar = %self.index_path.display(), %error, "the new series index could not be written");
        }
        Ok(index)
    }

    /// Lets go of a sidecar that nobody has asked for during the last `n_trims` trims; answers how many series it holds.
    pub(super) fn trim(&self, n_trims: u32) -> usize {
        let mut cached = self.index.lock();
        cached.n_idle = cached.n_idle.saturating_add(1);
        if cached.n_idle > n_trims {
            cached.index = None;
        }
        cached.index.as_ref().map_or(0, |index| index.runs().len())
    }

    /// The samples in `range` of each of `runs`, which are runs of this block in row order.
    ///
    /// # Errors
    /// When the file cannot be read; [`BlockError::is_gone`] when a merge has replaced it.
    pub(super) fn read(
        &self,
        files: &dyn Files,
        runs: &[&Run],
        range: TimeRange,
    ) -> Result<Vec<Vec<Sample>>, BlockError> {
        let file = files.open(&self.path)?;
        let metadata = self.metadata(&file)?;
        reader::read(file, metadata, runs, range)
    }

    /// Its rows from first to last.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub(super) fn cursor(&self, files: &dyn Files) -> Result<Cursor, BlockError> {
        let file = files.open(&self.path)?;
        let metadata = self.metadata(&file)?;
        Cursor::new(file, metadata)
    }

    fn metadata(&self, file: &std::fs::File) -> Result<ArrowReaderMetadata, BlockError> {
        if let Some(metadata) = self.metadata.get() {
            return Ok(metadata.clone());
        }
        let metadata = reader::load_metadata(file)?;
        Ok(self.metadata.get_or_init(|| metadata).clone())
    }
}
