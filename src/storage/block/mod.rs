//! Blocks: immutable Parquet files that any Parquet reader understands, each with a sidecar that says whose rows are
//! where. `docs/formats/block.md`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

use super::error::BlockError;
use super::files::{self, Files};
use super::layout::Layout;
use super::manifest::{BlockEntry, Place};
use super::remote::{Far, Remote, RemoteError};

mod bits;
mod chunk;
mod delta;
mod index;
mod kept;
mod keys;
mod matching;
mod narrow;
mod page_header;
mod pages;
mod reader;
mod rebuild;
mod rows;
mod schema;
mod sidecar;
mod source;
mod value_page;
mod values;
mod writer;

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(super) use tests::{example_block, misplaced};

pub(super) use index::{BlockIndex, IndexBuilder, Run, block_order};
pub(super) use kept::{index_bytes, let_go};
pub(super) use keys::{BlockKeys, find_known};
pub(super) use reader::{BlockReader, Unzip};
pub(super) use rebuild::{Footer, load_metadata};
pub(super) use schema::Effort;
pub(super) use source::Source;
pub(super) use writer::{About, BlockWriter, is_id, new_id, random_u64};

/// A live block. Its sidecar is read when first asked for, and kept.
#[derive(Debug)]
pub(super) struct Block {
    entry: BlockEntry,
    path: PathBuf,
    index_path: PathBuf,
    tmp_dir: PathBuf,
    remote: Option<Arc<Remote>>,
    index: Mutex<CachedIndex>,
    // Damaged, and soon to be set aside: no read is to meet it again.
    is_condemned: AtomicBool,
}

#[derive(Clone, Debug, Default)]
struct CachedIndex {
    index: Option<Arc<BlockIndex>>,
    last_used: Option<Instant>,
}

impl Block {
    /// `remote` is where its file is fetched from when it is not here.
    pub(super) fn new(entry: BlockEntry, layout: &Layout, remote: Option<&Arc<Remote>>) -> Block {
        Block {
            path: layout.block(&entry.date, &entry.id),
            index_path: layout.sidecar(&entry.id),
            tmp_dir: layout.tmp.clone(),
            remote: remote.cloned(),
            entry,
            index: Mutex::default(),
            is_condemned: AtomicBool::new(false),
        }
    }

    /// The same block, of which the manifest now says something else: its file has come or gone.
    pub(super) fn moved(&self, entry: BlockEntry) -> Block {
        let index = self.index.lock().clone();
        let Block { path, index_path, tmp_dir, remote, .. } = self;
        let (path, index_path, tmp_dir) = (path.clone(), index_path.clone(), tmp_dir.clone());
        let (remote, index) = (remote.clone(), Mutex::new(index));
        // Condemned was the file that has gone, if it was that.
        Block { entry, path, index_path, tmp_dir, remote, index, is_condemned: AtomicBool::new(false) }
    }

    /// The bucket that it is in.
    ///
    /// # Errors
    /// When none is configured.
    pub(super) fn remote(&self) -> Result<&Arc<Remote>, BlockError> {
        let missing = || RemoteError::NotConfigured { block: self.entry.id.clone() };
        Ok(self.remote.as_ref().ok_or_else(missing)?)
    }

    /// Makes sure that the sidecar is on the disk, so that it can be copied, and that reading needs no bucket for it.
    pub(super) fn ensure_sidecar(&self, files: &dyn Files) -> Result<(), BlockError> {
        let is_there = files.read(&self.index_path).is_ok_and(|bytes| BlockIndex::decode(&bytes).is_ok());
        if is_there { Ok(()) } else { self.load_index(files).map(drop) }
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

    /// Keeps it from all reads; answers whether it was so before.
    pub(super) fn condemn(&self) -> bool {
        self.is_condemned.swap(true, Ordering::Relaxed)
    }

    pub(super) fn is_condemned(&self) -> bool {
        self.is_condemned.load(Ordering::Relaxed)
    }

    /// Whose rows are where. A missing or damaged sidecar is made again from the block itself.
    ///
    /// # Errors
    /// When neither can be read.
    pub(super) fn index(&self, files: &dyn Files) -> Result<Arc<BlockIndex>, BlockError> {
        let mut cached = self.index.lock();
        cached.last_used = Some(Instant::now());
        if let Some(index) = &cached.index {
            return Ok(Arc::clone(index));
        }
        let index = Arc::new(self.load_index(files)?.for_reading());
        cached.index = Some(Arc::clone(&index));
        Ok(index)
    }

    fn load_index(&self, files: &dyn Files) -> Result<BlockIndex, BlockError> {
        let loaded = files.read(&self.index_path).map_err(BlockError::from);
        let is_outdated = loaded.as_ref().is_ok_and(|bytes| BlockIndex::is_outdated(bytes));
        let reason = match loaded.and_then(|bytes| BlockIndex::decode(&bytes)) {
            Ok(index) if index.n_rows() == self.entry.n_samples && index.has_pages() => return Ok(index),
            Ok(index) if !index.has_pages() => "it does not say where pages are".to_owned(),
            Ok(index) => format!("it counts {} rows, and the block has {}", index.n_rows(), self.entry.n_samples),
            Err(error) => error.to_string(),
        };
        if self.entry.place == Place::Bucket {
            return self.fetch_index(files);
        }
        // Opened before anything is said: when a merge has removed both, that is what the caller must hear.
        let file = files.open(&self.path)?;
        if is_outdated {
            tracing::info!(sidecar = %self.index_path.display(), "a block's series index is of an earlier version; making it again from the block");
        } else {
            tracing::error!(sidecar = %self.index_path.display(), reason, "a block's series index cannot be used; making it again from the block");
        }
        self.make_index(files, file)
    }

    /// Makes the sidecar again where it is not what the block's own pages say; answers whether it was so.
    ///
    /// # Errors
    /// When the block cannot be read.
    pub(super) fn renew_index(&self, files: &dyn Files) -> Result<bool, BlockError> {
        let known = self.index(files)?;
        let mut cached = self.index.lock();
        if known.agrees(&rebuild::rebuild_index(files.open(&self.path)?)?) {
            return Ok(false);
        }
        tracing::error!(sidecar = %self.index_path.display(), "a block's series index does not say what is in the block; making it again from the block");
        cached.index = Some(Arc::new(self.make_index(files, files.open(&self.path)?)?.for_reading()));
        Ok(true)
    }

    fn make_index(&self, files: &dyn Files, file: File) -> Result<BlockIndex, BlockError> {
        let index = rebuild::rebuild_index(file)?;
        self.write_index(files, &index);
        Ok(index)
    }

    fn write_index(&self, files: &dyn Files, index: &BlockIndex) {
        if let Err(error) =
            files::write_new_with(files, &self.tmp_dir, &self.index_path, |output| index.write_to(output))
        {
            tracing::warn!(sidecar = %self.index_path.display(), %error, "the new series index could not be written");
        }
    }

    /// The sidecar in the bucket; when that cannot be used, one made from the block, fetched for this once.
    fn fetch_index(&self, files: &dyn Files) -> Result<BlockIndex, BlockError> {
        let remote = self.remote()?;
        tracing::warn!(sidecar = %self.index_path.display(), "the series index of a block in the bucket is not here; fetching it");
        let is_of_this = |index: &BlockIndex| index.n_rows() == self.entry.n_samples && index.has_pages();
        let fetched = remote.sidecar(&self.entry.id)?.and_then(|bytes| BlockIndex::decode(&bytes).ok());
        let index = match fetched.filter(is_of_this) {
            Some(index) => index,
            None => {
                let tmp = self.tmp_dir.join(format!("{}.indexed", self.entry.id));
                let index = remote.fetch(&self.entry, files, &tmp).and_then(|()| {
                    let file = files.open(&tmp)?;
                    rebuild::rebuild_index(file)
                });
                let _ = files.remove(&tmp);
                index?
            }
        };
        self.write_index(files, &index);
        Ok(index)
    }

    /// As [`index`](Block::index), for a single use: kept only if it was kept before.
    fn index_once(&self, files: &dyn Files) -> Result<Arc<BlockIndex>, BlockError> {
        let cached = self.index.lock().index.clone();
        cached.map_or_else(|| self.load_index(files).map(|index| Arc::new(index.for_reading())), Ok)
    }

    /// Where its bytes are.
    fn source(&self, files: &dyn Files) -> Result<Box<dyn Source>, BlockError> {
        if self.entry.place == Place::Bucket {
            return Ok(Box::new(Far::new(Arc::clone(self.remote()?), &self.entry)));
        }
        Ok(Box::new(files.open(&self.path)?))
    }

    /// Opens it for reading its rows.
    ///
    /// # Errors
    /// When it or its index cannot be read; [`BlockError::is_gone`] when a merge has replaced it.
    #[cfg(test)]
    pub(super) fn reader(&self, files: &dyn Files) -> Result<BlockReader, BlockError> {
        let index = self.index(files)?;
        self.reader_of(files, &index)
    }

    /// Opens it for reading its rows by its index, which the caller has.
    ///
    /// # Errors
    /// When it cannot be read; [`BlockError::is_gone`] when a merge has replaced it.
    pub(super) fn reader_of(&self, files: &dyn Files, index: &Arc<BlockIndex>) -> Result<BlockReader, BlockError> {
        Ok(BlockReader::new(self.source(files)?, Arc::clone(index)))
    }

    /// As [`reader_of`](Block::reader_of), for a merge, after which neither block nor index is needed any more.
    ///
    /// # Errors
    /// As [`reader_of`](Block::reader_of), and when its index cannot be read.
    pub(super) fn reader_once(&self, files: &dyn Files) -> Result<BlockReader, BlockError> {
        let index = self.index_once(files)?;
        self.reader_of(files, &index)
    }
}
