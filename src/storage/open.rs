//! From a directory to a store: what a crash or a power cut left is put in order, and the log is replayed.
//!
//! Nothing is deleted before the manifest that says it is not needed is known to be durable; what is damaged or not
//! ours goes to `quarantine/`, with a line in the log that says so.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hashbrown::HashSet;

use super::block::{Block, Footer, is_id};
use super::error::OpenError;
use super::files::{self, Entry, Files};
use super::layout::{END_TIME, FIRST_TIME, Layout};
use super::manifest::{self, BlockEntry, Manifest, ManifestError};
use super::memtable::Memtable;
use super::shared::now;
use super::table::SeriesTable;
use super::wal::frame::{BadHeader, SEGMENT_VERSION};
use super::wal::record::RefSamples;
use super::wal::replay::{explain, replay};
use super::wal::segment::seq_of;

/// What opening found.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) manifest: Manifest,
    pub(super) blocks: Vec<Arc<Block>>,
    pub(super) memtable: Memtable,
    pub(super) segments: BTreeMap<u64, u64>,
    pub(super) next_seq: u64,
    pub(super) n_replayed: u64,
    pub(super) n_quarantined: u64,
}

/// Makes the data directory's own directories.
pub(super) fn make_dirs(files: &dyn Files, layout: &Layout) -> Result<(), OpenError> {
    for dir in [&layout.wal, &layout.blocks, &layout.index, &layout.tmp, &layout.quarantine] {
        files::make_dir(files, dir).map_err(OpenError::io("create", dir))?;
    }
    Ok(())
}

/// Puts the data directory in order and reads what is in it.
pub(super) fn open(files: &dyn Files, layout: &Layout, table: &SeriesTable) -> Result<Opened, OpenError> {
    let mut opening = Opening { files, layout, n_quarantined: 0 };
    opening.clear_tmp()?;
    // Names seen now may be names that power loss takes back: make them durable before anything is deleted for them.
    for dir in [&layout.root, &layout.index] {
        files.sync_dir(dir).map_err(OpenError::io("sync", dir))?;
    }
    let parquet = opening.list_blocks()?;
    let manifest = opening.manifest(&parquet)?;
    let blocks = opening.blocks(&manifest, &parquet)?;
    let (segments, next_seq, memtable) = opening.log(&manifest, table)?;
    let n_replayed = memtable.n_samples();
    let n_quarantined = opening.n_quarantined;
    Ok(Opened { manifest, blocks, memtable, segments, next_seq, n_replayed, n_quarantined })
}

struct Opening<'a> {
    files: &'a dyn Files,
    layout: &'a Layout,
    n_quarantined: u64,
}

/// A file below `blocks/`.
struct Found {
    entry: Entry,
    /// The date its folder is named after; empty when the folder has another kind of name.
    date: String,
}

impl Found {
    /// The block's name, if it has one and lies where a block lies.
    fn id(&self) -> Option<&str> {
        let id = self.entry.name().strip_suffix(".parquet")?;
        (is_id(id) && !self.date.is_empty()).then_some(id)
    }
}

impl Opening<'_> {
    fn clear_tmp(&self) -> Result<(), OpenError> {
        for entry in self.list(&self.layout.tmp)? {
            // Not worth refusing to start for; whoever needs the name later removes it first.
            if let Err(error) = self.files.remove(&entry.path) {
                tracing::warn!(file = %entry.path.display(), %error, "an unfinished file could not be removed");
            }
        }
        Ok(())
    }

    fn list(&self, dir: &Path) -> Result<Vec<Entry>, OpenError> {
        self.files.list(dir).map_err(OpenError::io("list", dir))
    }

    fn list_blocks(&self) -> Result<Vec<Found>, OpenError> {
        let mut found = Vec::new();
        for entry in self.list(&self.layout.blocks)? {
            if entry.is_dir {
                let date = entry.name().strip_prefix("date=").unwrap_or_default().to_owned();
                let inside = self.list(&entry.path)?;
                if inside.is_empty() && !date.is_empty() {
                    // Left by retention. Only an empty directory can be removed this way.
                    let _ = fs::remove_dir(&entry.path);
                }
                found.extend(inside.into_iter().map(|entry| Found { entry, date: date.clone() }));
            } else {
                found.push(Found { entry, date: String::new() });
            }
        }
        Ok(found)
    }

    /// Reads the manifest; makes a new one for a new directory, or from the blocks when it is lost.
    fn manifest(&mut self, parquet: &[Found]) -> Result<Manifest, OpenError> {
        let path = manifest::path_in(&self.layout.root);
        let manifest = match Manifest::load(self.files, &self.layout.root) {
            Ok(Some(manifest)) => return Ok(manifest),
            Ok(None) => {
                let is_new = parquet.is_empty() && self.list(&self.layout.wal)?.is_empty();
                if is_new {
                    Manifest::default()
                } else {
                    tracing::error!(manifest = %path.display(), "the manifest is missing; making a new one from the blocks that are there");
                    self.rebuild(parquet)
                }
            }
            Err(ManifestError::Version(found)) => {
                return Err(OpenError::Version { path, found, known: manifest::MANIFEST_VERSION });
            }
            Err(ManifestError::Io(source)) => return Err(OpenError::io("read", &path)(source)),
            Err(ManifestError::Damaged(reason)) => {
                tracing::error!(manifest = %path.display(), reason, "the manifest is damaged; making a new one from the blocks that are there");
                self.quarantine(&path)?;
                self.rebuild(parquet)
            }
        };
        manifest.publish(self.files, &self.layout.root).map_err(OpenError::io("write", &path))?;
        Ok(manifest)
    }

    /// The manifest that the blocks' own footers tell: all of them but those merged into another.
    fn rebuild(&self, parquet: &[Found]) -> Manifest {
        let mut footers = Vec::new();
        for found in parquet {
            let Some(id) = found.id() else { continue };
            let file = self.files.open(&found.entry.path).map_err(super::error::BlockError::from);
            match file.and_then(|file| Footer::read(&file)) {
                Ok(footer) => footers.push((id, found, footer)),
                Err(error) => {
                    tracing::error!(block = %found.entry.path.display(), %error, "a block cannot be read");
                }
            }
        }
        let merged: HashSet<String> = footers.iter().flat_map(|(_, _, footer)| footer.sources.clone()).collect();
        footers.retain(|(id, _, _)| !merged.contains(*id));
        let entry = |(id, found, footer): &(&str, &Found, Footer)| BlockEntry {
            id: (*id).to_owned(),
            date: found.date.clone(),
            sequence: footer.sequence,
            n_samples: footer.n_samples,
            n_series: footer.n_series,
            min_time: footer.min_time,
            max_time: footer.max_time,
            n_bytes: found.entry.n_bytes,
        };
        let mut blocks: Vec<BlockEntry> = footers.iter().map(entry).collect();
        blocks.sort_by(|a, b| (&a.date, a.sequence).cmp(&(&b.date, b.sequence)));
        let next_sequence = blocks.iter().map(|entry| entry.sequence + 1).max().unwrap_or(0);
        // What of the log the blocks hold is unknown, so all of it is replayed: a sample twice is still one sample.
        Manifest { wal_covered: 0, next_sequence, blocks }
    }

    /// The live blocks; what else lies between them is removed or set aside.
    fn blocks(&mut self, manifest: &Manifest, parquet: &[Found]) -> Result<Vec<Arc<Block>>, OpenError> {
        let live: HashSet<PathBuf> =
            manifest.blocks.iter().map(|entry| self.layout.block(&entry.date, &entry.id)).collect();
        for stray in parquet.iter().filter(|found| !live.contains(&found.entry.path)) {
            self.clear_away(stray, manifest)?;
        }
        let mut blocks = Vec::new();
        for entry in &manifest.blocks {
            let path = self.layout.block(&entry.date, &entry.id);
            match parquet.iter().find(|found| found.entry.path == path) {
                Some(found) if found.entry.n_bytes == entry.n_bytes => {
                    blocks.push(Arc::new(Block::new(entry.clone(), self.layout)));
                }
                Some(found) => {
                    tracing::error!(block = %path.display(), expected = entry.n_bytes, found = found.entry.n_bytes, "a block has the wrong size; it is set aside and its samples are missing");
                    self.quarantine(&path)?;
                }
                None => {
                    tracing::error!(block = %path.display(), n_samples = entry.n_samples, "a block is missing; put it back and start again to have its samples");
                    self.n_quarantined += 1;
                }
            }
        }
        let ids: HashSet<&str> = manifest.blocks.iter().map(|entry| entry.id.as_str()).collect();
        for sidecar in self.list(&self.layout.index)? {
            if sidecar.name().strip_suffix(".series").is_none_or(|id| !ids.contains(id)) {
                // Made from its block whenever it is needed again.
                let _ = self.files.remove(&sidecar.path);
            }
        }
        blocks.sort_by_key(|block| block.entry().sequence);
        Ok(blocks)
    }

    /// Removes a block that a crash left and whose samples are elsewhere; sets anything else aside.
    fn clear_away(&mut self, stray: &Found, manifest: &Manifest) -> Result<(), OpenError> {
        let path = &stray.entry.path;
        if stray.entry.is_dir {
            tracing::warn!(dir = %path.display(), "an unknown directory lies between the blocks; it is left alone");
            return Ok(());
        }
        let footer = stray.id().and_then(|id| Some((id, self.footer(path)?)));
        match footer {
            Some((id, footer)) if self.is_merged(id, &footer, stray, manifest) => {
                tracing::warn!(block = %path.display(), "removing a block that a crash left; its samples are in other blocks");
                return self.files.remove(path).map_err(OpenError::io("remove", path));
            }
            // As a flush leaves it that a crash kept from being published: its samples are in the log. A block that
            // somebody copied here looks the same, so it is kept.
            Some((_, footer)) if footer.sources.is_empty() && footer.wal_upto > manifest.wal_covered => {
                tracing::warn!(block = %path.display(), "this block was never live here; it is set aside");
                return self.move_to_quarantine(path);
            }
            _ => {}
        }
        tracing::error!(file = %path.display(), "this file is not one of the live blocks; it is set aside");
        self.quarantine(path)
    }

    fn footer(&self, path: &Path) -> Option<Footer> {
        let file = self.files.open(path).map_err(super::error::BlockError::from);
        file.and_then(|file| Footer::read(&file)).ok()
    }

    /// Whether the block was merged into a live one, or is a merge of blocks that still are live.
    fn is_merged(&self, id: &str, footer: &Footer, stray: &Found, manifest: &Manifest) -> bool {
        let live = |id: &String| manifest.blocks.iter().any(|entry| entry.id == *id);
        let is_unpublished_merge = !footer.sources.is_empty() && footer.sources.iter().all(live);
        let of_this_day = manifest.blocks.iter().filter(|entry| entry.date == stray.date);
        let mut merged = of_this_day.filter_map(|entry| self.footer(&self.layout.block(&entry.date, &entry.id)));
        is_unpublished_merge || merged.any(|footer| footer.sources.iter().any(|source| source == id))
    }

    /// Moves a file out of the way, and counts it as damage.
    fn quarantine(&mut self, path: &Path) -> Result<(), OpenError> {
        self.n_quarantined += 1;
        self.move_to_quarantine(path)
    }

    fn move_to_quarantine(&self, path: &Path) -> Result<(), OpenError> {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        // The time keeps a second file of the same name from replacing the first.
        let to = self.layout.quarantine.join(format!("{}-{name}", now()));
        self.files.rename(path, &to).map_err(OpenError::io("set aside", path))?;
        tracing::error!(from = %path.display(), to = %to.display(), "set aside");
        Ok(())
    }

    /// Replays the segments that no block covers, oldest first, and deletes the others.
    fn log(
        &mut self,
        manifest: &Manifest,
        table: &SeriesTable,
    ) -> Result<(BTreeMap<u64, u64>, u64, Memtable), OpenError> {
        let memtable = Memtable::new();
        let mut segments = BTreeMap::new();
        let mut last_seq = manifest.wal_covered;
        for entry in self.list(&self.layout.wal)? {
            let Some(seq) = seq_of(entry.name()) else {
                tracing::warn!(file = %entry.path.display(), "this file is not a segment of the log; it is left alone");
                continue;
            };
            last_seq = last_seq.max(seq);
            if seq <= manifest.wal_covered {
                // Its samples are in blocks: a crash came between the manifest and this.
                self.files.remove(&entry.path).map_err(OpenError::io("remove", &entry.path))?;
            } else if self.replay_segment(&entry, table, &memtable)? {
                segments.insert(seq, entry.n_bytes);
            }
        }
        Ok((segments, last_seq + 1, memtable))
    }

    /// Answers whether the segment stays.
    fn replay_segment(&mut self, entry: &Entry, table: &SeriesTable, memtable: &Memtable) -> Result<bool, OpenError> {
        let bytes = self.files.read(&entry.path).map_err(OpenError::io("read", &entry.path))?;
        let mut samples = RefSamples::default();
        let mut n_refused = 0_u64;
        let replayed = replay(&bytes, |key, at, value| {
            let is_in_calendar = (FIRST_TIME..END_TIME).contains(&at);
            if let (Some(series_ref), true) = (table.resolve_always(key), is_in_calendar) {
                samples.refs.push(series_ref);
                samples.at.push(at);
                samples.value.push(value);
            } else {
                n_refused += 1;
            }
        });
        let segment = entry.path.display();
        let replayed = match replayed {
            Ok(replayed) => replayed,
            // Made just before a crash: nothing in it was acknowledged.
            Err(BadHeader::CutShort) => return Ok(true),
            Err(BadHeader::Version(found)) => {
                return Err(OpenError::Version { path: entry.path.clone(), found, known: SEGMENT_VERSION });
            }
            Err(BadHeader::Damaged) => {
                tracing::error!(%segment, error = %explain(BadHeader::Damaged), "a segment of the log cannot be replayed; its samples are missing");
                self.quarantine(&entry.path)?;
                return Ok(false);
            }
        };
        memtable.take(&samples, &table.keys(), now());
        if replayed.n_torn > 0 {
            tracing::info!(%segment, n_bytes = replayed.n_torn, "the log ends in a write that a crash cut short; it was not acknowledged");
        }
        if replayed.n_orphans + n_refused > 0 {
            let copy = self.layout.quarantine.join(entry.name());
            tracing::error!(%segment, n_samples = replayed.n_orphans + n_refused, copy = %copy.display(), "samples are missing: the part of the log that says whose they are is damaged; the segment is set aside whole");
            self.copy_aside(&copy, &bytes)?;
        }
        for range in replayed.damaged {
            let copy = self.layout.quarantine.join(format!("{}-{}", entry.name(), range.start));
            tracing::error!(%segment, from = range.start, to = range.end, copy = %copy.display(), "bytes in the middle of the log have changed; they are set aside, the rest is replayed");
            self.n_quarantined += 1;
            self.copy_aside(&copy, &bytes[range])?;
        }
        Ok(true)
    }

    /// Copies bytes of the log to the quarantine, again at every start until a flush covers the segment, always to
    /// the same name. Without the copy that flush would destroy them, so a store that cannot make it does not open.
    fn copy_aside(&self, copy: &Path, bytes: &[u8]) -> Result<(), OpenError> {
        let copied = files::write_new(self.files, &self.layout.tmp, copy, bytes);
        copied.and_then(|()| self.files.sync_dir(&self.layout.quarantine)).map_err(OpenError::io("set aside", copy))
    }
}
