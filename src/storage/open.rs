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
use super::deletes::{Delete, Tombstones};
use super::error::OpenError;
use super::files::{self, Entry, Files};
use super::layout::Layout;
use super::manifest::{self, BlockEntry, Manifest, ManifestError, Place};
use super::memtable::Memtable;
use super::plan::month_of;
use super::remote::Remote;
use super::shared::now;
use super::snapshot::{PARTIAL, RESTORING};
use super::table::SeriesTable;
use super::tiers::{Tier, TierEntry, read_footer};

mod log;

/// What opening found.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) manifest: Manifest,
    pub(super) tombstones: Tombstones,
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
///
/// `remote` is handed to the blocks; nothing is asked of it.
pub(super) fn open(
    files: &dyn Files,
    layout: &Layout,
    table: &SeriesTable,
    remote: Option<&Arc<Remote>>,
) -> Result<Opened, OpenError> {
    let restoring = layout.root.join(RESTORING);
    if restoring.exists() {
        return Err(OpenError::HalfRestored { path: layout.root.clone() });
    }
    let mut opening = Opening { files, layout, n_quarantined: 0 };
    opening.clear_tmp()?;
    // Names seen now may be names that power loss takes back: make them durable before anything is deleted for them.
    for dir in [&layout.root, &layout.index] {
        files.sync_dir(dir).map_err(OpenError::io("sync", dir))?;
    }
    let parquet = list_blocks(files, layout)?;
    let mut manifest = opening.manifest(&parquet)?;
    let path = manifest::path_in(&layout.root);
    let tombstones = Tombstones::of(&manifest.deletes)
        .map_err(|error| OpenError::io("read the deletes in", &path)(std::io::Error::other(error)))?;
    opening.clear_deletes(&manifest)?;
    opening.tiers(&mut manifest)?;
    let blocks = opening.blocks(&mut manifest, &parquet, remote)?;
    let (segments, next_seq, memtable) = opening.log(&manifest, &tombstones, table)?;
    let n_replayed = memtable.n_samples();
    let n_quarantined = opening.n_quarantined;
    Ok(Opened { manifest, tombstones, blocks, memtable, segments, next_seq, n_replayed, n_quarantined })
}

struct Opening<'a> {
    files: &'a dyn Files,
    layout: &'a Layout,
    n_quarantined: u64,
}

/// A file below `blocks/`.
pub(super) struct Found {
    pub(super) entry: Entry,
    /// The date its folder is named after; empty when the folder has another kind of name.
    pub(super) date: String,
}

impl Found {
    /// The block's name, if it has one and lies where a block lies.
    pub(super) fn id(&self) -> Option<&str> {
        let id = self.entry.name().strip_suffix(".parquet")?;
        (is_id(id) && !self.date.is_empty()).then_some(id)
    }
}

/// Every file below `blocks/`.
pub(super) fn list_blocks(files: &dyn Files, layout: &Layout) -> Result<Vec<Found>, OpenError> {
    let list = |dir: &Path| files.list(dir).map_err(OpenError::io("list", dir));
    let mut found = Vec::new();
    for entry in list(&layout.blocks)? {
        if entry.is_dir {
            let date = entry.name().strip_prefix("date=").unwrap_or_default().to_owned();
            found.extend(list(&entry.path)?.into_iter().map(|entry| Found { entry, date: date.clone() }));
        } else {
            found.push(Found { entry, date: String::new() });
        }
    }
    Ok(found)
}

/// The manifest that the blocks' own footers tell: all of them but those merged into another.
///
/// The deletes come from their own files: what was deleted must not come back because a manifest was lost.
pub(super) fn rebuild(files: &dyn Files, layout: &Layout, parquet: &[Found]) -> Manifest {
    let mut footers = Vec::new();
    for found in parquet {
        let Some(id) = found.id() else { continue };
        let file = files.open(&found.entry.path).map_err(super::error::BlockError::from);
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
        crc32: None,
        is_lasting: footer.is_lasting,
        place: Place::Local,
    };
    let mut blocks: Vec<BlockEntry> = footers.iter().map(entry).collect();
    blocks.sort_by(|a, b| (&a.date, a.sequence).cmp(&(&b.date, b.sequence)));
    let next_sequence = blocks.iter().map(|entry| entry.sequence + 1).max().unwrap_or(0);
    let mut deletes = read_deletes(files, layout);
    let tiers = read_tiers(files, layout, &blocks);
    for delete in &mut deletes {
        delete
            .blocks
            .retain(|id| blocks.iter().any(|entry| entry.id == *id) || tiers.iter().any(|entry| entry.id == *id));
    }
    // What of the log the blocks hold is unknown, so all of it is replayed: a sample twice is still one sample.
    Manifest { wal_covered: 0, next_sequence, blocks, deletes, tiers, ..Manifest::default() }
}

/// Every file below `tiers/` that has a block's name, with its tier and its date.
pub(super) fn list_tiers(files: &dyn Files, layout: &Layout) -> Result<Vec<(Tier, String, Entry)>, OpenError> {
    let list = |dir: &Path| files.list(dir).map_err(OpenError::io("list", dir));
    let mut found = Vec::new();
    for tier in Tier::ALL {
        for day in list(&layout.tiers.join(tier.name()))?.into_iter().filter(|entry| entry.is_dir) {
            let date = day.name().strip_prefix("date=").unwrap_or_default().to_owned();
            for entry in list(&day.path)? {
                if entry.name().strip_suffix(".parquet").is_some_and(is_id) {
                    found.push((tier, date.clone(), entry));
                }
            }
        }
    }
    Ok(found)
}

/// The tiers that their files tell of: those made from a live block, and those of whose time no block is left.
fn read_tiers(files: &dyn Files, layout: &Layout, blocks: &[BlockEntry]) -> Vec<TierEntry> {
    let mut tiers = Vec::new();
    for (tier, date, entry) in list_tiers(files, layout).unwrap_or_default() {
        let id = entry.name().trim_end_matches(".parquet");
        match read_footer(&entry.path, id, tier, &date) {
            Ok(mut found) => {
                let has_source = blocks.iter().any(|block| block.id == found.source);
                let overlaps =
                    |block: &BlockEntry| block.min_time <= found.last_time() && found.min_time <= block.max_time;
                found.is_final = !has_source && !blocks.iter().any(overlaps);
                if has_source || found.is_final {
                    tiers.push(found);
                }
            }
            Err(error) => tracing::error!(file = %entry.path.display(), %error, "a file of a tier cannot be read"),
        }
    }
    tiers.sort_by(|a, b| (a.tier, &a.date, &a.id).cmp(&(b.tier, &b.date, &b.id)));
    tiers
}

fn read_deletes(files: &dyn Files, layout: &Layout) -> Vec<Delete> {
    let entries = files.list(&layout.deletes).unwrap_or_default();
    let read = |entry: &Entry| {
        let bytes = files.read(&entry.path).map_err(|error| error.to_string());
        match bytes.and_then(|bytes| Delete::decode(&bytes)) {
            Ok(delete) => Some(delete),
            Err(reason) => {
                tracing::error!(file = %entry.path.display(), reason, "a delete cannot be read while the manifest is lost; what it deleted may come back");
                None
            }
        }
    };
    entries.iter().filter_map(read).collect()
}

/// What a block is that no manifest names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stray {
    /// It was merged into a live one, or is a merge of blocks that still are live, or was live and is meant to be gone.
    Elsewhere,
    /// As a flush leaves it that a crash kept from being published: its samples are in the log. A block that somebody
    /// copied here looks the same, so it is kept.
    NeverLive,
    /// Nobody knows where it comes from.
    Unknown,
}

/// Tells what the stray block `id` is.
pub(super) fn what_is(files: &dyn Files, layout: &Layout, id: &str, stray: &Found, manifest: &Manifest) -> Stray {
    if manifest.gone.iter().any(|gone| gone == id) {
        return Stray::Elsewhere;
    }
    let read = |path: &Path| {
        let file = files.open(path).map_err(super::error::BlockError::from);
        file.and_then(|file| Footer::read(&file)).ok()
    };
    let Some(footer) = read(&stray.entry.path) else { return Stray::Unknown };
    let live = |id: &String| manifest.blocks.iter().any(|entry| entry.id == *id);
    let is_unpublished_merge = !footer.sources.is_empty() && footer.sources.iter().all(live);
    // A merged block lies where its sources do. It need not enclose them, as deletes may have taken their ends, and
    // its folder may be that of another day.
    let is_near = |entry: &&BlockEntry| month_of(entry.min_time) == month_of(footer.min_time);
    let near = manifest.blocks.iter().filter(is_near);
    let mut merged = near.filter_map(|entry| read(&layout.block(&entry.date, &entry.id)));
    if is_unpublished_merge || merged.any(|footer| footer.sources.iter().any(|source| source == id)) {
        Stray::Elsewhere
    } else if footer.sources.is_empty() && footer.wal_upto > manifest.wal_covered {
        Stray::NeverLive
    } else {
        Stray::Unknown
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
        for entry in self.list(&self.layout.snapshots)? {
            // A crash came while it was made: nobody was told that it exists.
            if entry.is_dir && entry.name().ends_with(PARTIAL) && fs::remove_dir_all(&entry.path).is_err() {
                tracing::warn!(dir = %entry.path.display(), "an unfinished snapshot could not be removed");
            }
        }
        Ok(())
    }

    /// Removes files of tiers that are not live, and tells of those that are missing; they are made again if they can be.
    fn tiers(&mut self, manifest: &mut Manifest) -> Result<(), OpenError> {
        let found = list_tiers(self.files, self.layout)?;
        for (_, _, entry) in &found {
            if !manifest.tiers.iter().any(|tier| self.layout.tier_file(tier) == entry.path) {
                self.files.remove(&entry.path).map_err(OpenError::io("remove", &entry.path))?;
            }
        }
        let mut lost = Vec::new();
        for tier in &manifest.tiers {
            let path = self.layout.tier_file(tier);
            match found.iter().find(|(_, _, entry)| entry.path == path) {
                Some((_, _, entry)) if entry.n_bytes == tier.n_bytes => continue,
                Some(_) => {
                    tracing::error!(file = %path.display(), "a file of a tier has the wrong size; it is set aside");
                    self.quarantine(&path)?;
                }
                None => {
                    tracing::error!(file = %path.display(), is_final = tier.is_final, "a file of a tier is missing");
                    self.n_quarantined += 1;
                }
            }
            lost.push(tier.id.clone());
        }
        manifest.remove_tiers(|tier| lost.contains(&tier.id));
        Ok(())
    }

    /// Removes files of deletes that are not in force, and writes those again that are missing.
    fn clear_deletes(&mut self, manifest: &Manifest) -> Result<(), OpenError> {
        let found = self.list(&self.layout.deletes)?;
        for entry in &found {
            let is_live = manifest.deletes.iter().any(|delete| self.layout.delete(&delete.id) == entry.path);
            if !is_live {
                // Carried out, or never answered: a crash came between its file and the manifest.
                self.files.remove(&entry.path).map_err(OpenError::io("remove", &entry.path))?;
            }
        }
        for delete in &manifest.deletes {
            let path = self.layout.delete(&delete.id);
            if !found.iter().any(|entry| entry.path == path) {
                files::make_dir(self.files, &self.layout.deletes)
                    .map_err(OpenError::io("create", &self.layout.deletes))?;
                delete.write(self.files, &self.layout.tmp, &path).map_err(OpenError::io("write", &path))?;
            }
        }
        Ok(())
    }

    fn list(&self, dir: &Path) -> Result<Vec<Entry>, OpenError> {
        self.files.list(dir).map_err(OpenError::io("list", dir))
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
                    rebuild(self.files, self.layout, parquet)
                }
            }
            Err(ManifestError::Version(found)) => {
                return Err(OpenError::Version { path, found, known: manifest::MANIFEST_VERSION });
            }
            Err(ManifestError::Io(source)) => return Err(OpenError::io("read", &path)(source)),
            Err(ManifestError::Damaged(reason)) => {
                tracing::error!(manifest = %path.display(), reason, "the manifest is damaged; making a new one from the blocks that are there");
                self.quarantine(&path)?;
                rebuild(self.files, self.layout, parquet)
            }
        };
        manifest.publish(self.files, &self.layout.root).map_err(OpenError::io("write", &path))?;
        Ok(manifest)
    }

    /// The live blocks; what else lies between them is removed or set aside.
    fn blocks(
        &mut self,
        manifest: &mut Manifest,
        parquet: &[Found],
        remote: Option<&Arc<Remote>>,
    ) -> Result<Vec<Arc<Block>>, OpenError> {
        for entry in self.list(&self.layout.blocks)?.iter().filter(|entry| entry.is_dir) {
            if entry.name().starts_with("date=") {
                // Left by retention. Only an empty directory can be removed this way.
                let _ = fs::remove_dir(&entry.path);
            }
        }
        let live: HashSet<PathBuf> =
            manifest.blocks.iter().map(|entry| self.layout.block(&entry.date, &entry.id)).collect();
        for stray in parquet.iter().filter(|found| !live.contains(&found.entry.path)) {
            self.clear_away(stray, manifest)?;
        }
        let mut blocks = Vec::new();
        for entry in &mut manifest.blocks {
            let path = self.layout.block(&entry.date, &entry.id);
            let found = parquet.iter().find(|found| found.entry.path == path).map(|found| found.entry.n_bytes);
            // What is in the manifest now gets onto the disk with its next change; until then each start finds the same.
            match (found, entry.place) {
                (Some(n_bytes), Place::Bucket) if n_bytes == entry.n_bytes => entry.place = Place::Both,
                (Some(n_bytes), _) if n_bytes == entry.n_bytes => {}
                (Some(n_bytes), place) => {
                    tracing::error!(block = %path.display(), expected = entry.n_bytes, found = n_bytes, "a block has the wrong size; it is set aside and its samples are missing, unless a bucket has them");
                    self.quarantine(&path)?;
                    if place == Place::Local {
                        continue;
                    }
                    entry.place = Place::Bucket;
                }
                (None, Place::Bucket) => {}
                (None, Place::Both) => {
                    tracing::error!(block = %path.display(), n_samples = entry.n_samples, "a block is missing; it is read from the bucket");
                    entry.place = Place::Bucket;
                }
                (None, Place::Local) => {
                    tracing::error!(block = %path.display(), n_samples = entry.n_samples, "a block is missing; put it back and start again to have its samples");
                    self.n_quarantined += 1;
                    continue;
                }
            }
            blocks.push(Arc::new(Block::new(entry.clone(), self.layout, remote)));
        }
        let of_blocks = manifest.blocks.iter().map(|entry| entry.id.as_str());
        let ids: HashSet<&str> = of_blocks.chain(manifest.tiers.iter().map(|entry| entry.id.as_str())).collect();
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
        match stray.id().map(|id| what_is(self.files, self.layout, id, stray, manifest)) {
            Some(Stray::Elsewhere) => {
                tracing::warn!(block = %path.display(), "removing a block that a crash left; its samples are in other blocks, or meant to be gone");
                return self.files.remove(path).map_err(OpenError::io("remove", path));
            }
            Some(Stray::NeverLive) => {
                tracing::warn!(block = %path.display(), "this block was never live here; it is set aside");
                return self.move_to_quarantine(path);
            }
            Some(Stray::Unknown) | None => {}
        }
        tracing::error!(file = %path.display(), "this file is not one of the live blocks; it is set aside");
        self.quarantine(path)
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
}
