//! Snapshots and restores: a whole data directory as it was at one moment. `docs/formats/snapshot.md`.
//!
//! Blocks and sidecars never change once they are named by a manifest, so a snapshot is second names for the same
//! files and a manifest of its own, written last. It is a data directory like any other, without a log: everything
//! acknowledged before was flushed first. A restore copies it, the manifest last, and checks the copy.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::block::new_id;
use super::durable::sync_dir;
use super::error::{FlushError, OpenError};
use super::files;
use super::fsck::{Report, fsck};
use super::keeper::Keeper;
use super::layout::Layout;
use super::lock::LOCK_NAME;
use super::manifest::{MANIFEST_NAME, Manifest, Place};
use super::remote::OWNER_NAME;
use super::shared::Shared;

/// How the name of a snapshot ends while it is made.
pub(super) const PARTIAL: &str = ".partial";
/// The file that marks a directory into which a restore has not finished.
pub(super) const RESTORING: &str = "restoring";

/// A snapshot that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its name, a ULID: names sort by the time of the snapshot.
    pub id: String,
    /// Where it is.
    pub path: PathBuf,
    /// Blocks in it.
    pub n_blocks: u64,
    /// Samples in its blocks, before duplicates are merged.
    pub n_samples: u64,
    /// Bytes of its blocks. As links they take no space until the store deletes its own name of them.
    pub n_bytes: u64,
}

impl Keeper {
    /// See [`Store::snapshot`](super::Store::snapshot).
    pub(super) fn snapshot(&self) -> Result<Snapshot, FlushError> {
        // While it is held no block goes away; flushes only add some, which the manifest taken below does not name.
        let _merging = self.merging.lock();
        let manifest = {
            let _flushing = self.flushing.lock();
            self.cut()?;
            self.flush_all_frozen()?;
            self.state.lock().manifest.clone()
        };
        let Shared { files, layout, .. } = &*self.shared;
        let id = new_id();
        let partial = layout.snapshots.join(format!("{id}{PARTIAL}"));
        let path = layout.snapshots.join(&id);
        let made = self.link_all(&manifest, &partial).and_then(|()| {
            files.rename(&partial, &path).map_err(FlushError::io("rename", &partial))?;
            files.sync_dir(&layout.snapshots).map_err(FlushError::io("sync", &layout.snapshots))
        });
        if made.is_err() {
            // What cannot be removed now is removed at the next start.
            let _ = fs::remove_dir_all(&partial);
            let _ = fs::remove_dir_all(&path);
        }
        made?;
        let n_samples = manifest.blocks.iter().map(|entry| entry.n_samples).sum();
        let n_bytes = manifest.blocks.iter().map(|entry| entry.n_bytes).sum();
        tracing::info!(path = %path.display(), n_samples, "a snapshot is made");
        Ok(Snapshot { id, path, n_blocks: manifest.blocks.len() as u64, n_samples, n_bytes })
    }

    fn link_all(&self, manifest: &Manifest, to: &Path) -> Result<(), FlushError> {
        let Shared { files, layout, .. } = &*self.shared;
        let target = Layout::new(to);
        let make = |dir: &Path| files::make_dir(&**files, dir).map_err(FlushError::io("create", dir));
        let sync = |dir: &Path| files.sync_dir(dir).map_err(FlushError::io("sync", dir));
        for dir in
            [layout.snapshots.as_path(), to, target.blocks.as_path(), target.index.as_path(), target.tmp.as_path()]
        {
            make(dir)?;
        }
        // The blocks come by date, so that each folder is synced once, after its last block.
        for day in manifest.blocks.chunk_by(|a, b| a.date == b.date) {
            let day_dir = target.day_dir(&day[0].date);
            make(&day_dir)?;
            for entry in day {
                let from = layout.block(&entry.date, &entry.id);
                // What is in the bucket only stays there for as long as this snapshot is here.
                if entry.place != Place::Bucket {
                    files.link(&from, &target.block(&entry.date, &entry.id)).map_err(FlushError::io("link", &from))?;
                }
                let from = layout.sidecar(&entry.id);
                match files.link(&from, &target.sidecar(&entry.id)) {
                    // Made again from its block when it is needed.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    linked => linked.map_err(FlushError::io("link", &from))?,
                }
            }
            sync(&day_dir)?;
        }
        sync(&target.index)?;
        for entry in &manifest.tiers {
            let (from, to) = (layout.tier_file(entry), target.tier_file(entry));
            let day_dir = to.parent().unwrap_or(&target.tiers);
            make(&target.tiers)?;
            make(&target.tiers.join(entry.tier.name()))?;
            make(day_dir)?;
            files.link(&from, &to).map_err(FlushError::io("link", &from))?;
            sync(day_dir)?;
        }
        if !manifest.deletes.is_empty() {
            make(&target.deletes)?;
        }
        for delete in &manifest.deletes {
            let path = target.delete(&delete.id);
            delete.write(&**files, &target.tmp, &path).map_err(FlushError::io("write", &path))?;
        }
        self.link_results(&layout.results, &target.results)?;
        // Last: without a manifest it is no snapshot.
        let manifest = Manifest { gone: Vec::new(), superseded: Vec::new(), ..manifest.clone() };
        let path = to.join(MANIFEST_NAME);
        // Through a folder of its own: a flush may write the other manifest at the same time.
        files::write_new(&**files, &target.tmp, &path, &manifest.encode()).map_err(FlushError::io("write", &path))?;
        sync(to)
    }

    /// Results are whole files that are replaced, never changed; one may be replaced or retired while we look.
    fn link_results(&self, from: &Path, to: &Path) -> Result<(), FlushError> {
        let Shared { files, .. } = &*self.shared;
        let entries = files.list(from).map_err(FlushError::io("list", from))?;
        if entries.is_empty() {
            return Ok(());
        }
        files::make_dir(&**files, to).map_err(FlushError::io("create", to))?;
        for entry in entries {
            let target = to.join(entry.name());
            if entry.is_dir {
                self.link_results(&entry.path, &target)?;
            } else if !entry.name().starts_with('.') {
                match files.link(&entry.path, &target) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    linked => linked.map_err(FlushError::io("link", &entry.path))?,
                }
            }
        }
        files.sync_dir(to).map_err(FlushError::io("sync", to))
    }
}

/// What a restore did.
#[derive(Clone, Debug)]
pub struct Restored {
    /// Files copied.
    pub n_files: u64,
    /// Bytes copied.
    pub n_bytes: u64,
    /// The check of the new directory, without findings.
    pub report: Report,
}

/// Why a restore did not take place.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The target holds something.
    #[error("{} is not empty: restore into an empty or a new directory", .0.display())]
    NotEmpty(PathBuf),
    /// The source is no data directory.
    #[error("{} has no {MANIFEST_NAME}: it is not a snapshot; they are below `snapshots/` in a data directory", .0.display())]
    NoSnapshot(PathBuf),
    /// The source, or the copy, has findings.
    #[error("{} is damaged, and nothing was restored; `barograph fsck` says the same:\n{}", .path.display(), list(.report))]
    Damaged {
        /// Which of the two.
        path: PathBuf,
        /// What is wrong with it.
        report: Box<Report>,
    },
    /// There is no manifest in the bucket.
    #[error("{0} has no {MANIFEST_NAME}: check bucket and prefix (store.s3 in the configuration)")]
    EmptyBucket(String),
    /// A block cannot be brought here.
    #[error("nothing can be served from here yet: {0}; empty the directory and try again")]
    Bucket(FlushError),
    /// A file cannot be read or written.
    #[error("cannot {doing} {}: {source}", .path.display())]
    Io {
        /// What was tried, as a verb.
        doing: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// One of the two directories is in use, or not readable.
    #[error(transparent)]
    Open(#[from] OpenError),
}

fn list(report: &Report) -> String {
    report.findings.iter().map(|finding| format!("  {finding}")).collect::<Vec<_>>().join("\n")
}

pub(super) fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RestoreError {
    move |source| RestoreError::Io { doing, path: path.to_owned(), source }
}

/// Copies the snapshot, or a data directory that nobody has open, into the empty directory `dir`, and checks both.
///
/// # Errors
/// [`RestoreError`]. A copy that failed half way cannot be served by mistake; empty the directory and try again.
pub fn restore(snapshot: &Path, dir: &Path) -> Result<Restored, RestoreError> {
    if !snapshot.join(MANIFEST_NAME).is_file() {
        return Err(RestoreError::NoSnapshot(snapshot.to_owned()));
    }
    fs::create_dir_all(dir).map_err(failed("create", dir))?;
    if fs::read_dir(dir).map_err(failed("list", dir))?.next().is_some() {
        return Err(RestoreError::NotEmpty(dir.to_owned()));
    }
    check(snapshot)?;
    let mark = dir.join(RESTORING);
    fs::write(&mark, "a restore into this directory has not finished\n").map_err(failed("write", &mark))?;
    let mut copied = (0, 0);
    let mut top: Vec<PathBuf> = children(snapshot)?;
    // The manifest last, as always.
    top.sort_by_key(|path| path.ends_with(MANIFEST_NAME));
    for path in top {
        let name = path.file_name().unwrap_or_default();
        let is_left_out = [LOCK_NAME, "tmp", "quarantine", "snapshots", "cache", OWNER_NAME, RESTORING]
            .iter()
            .any(|left| name == *left);
        if !is_left_out {
            copy(&path, &dir.join(name), &mut copied)?;
        }
    }
    sync_dir(dir).map_err(failed("sync", dir))?;
    let report = check(dir)?;
    fs::remove_file(&mark).map_err(failed("remove", &mark))?;
    sync_dir(dir).map_err(failed("sync", dir))?;
    let (n_files, n_bytes) = copied;
    Ok(Restored { n_files, n_bytes, report })
}

fn check(dir: &Path) -> Result<Report, RestoreError> {
    checked(dir, fsck(dir)?)
}

pub(super) fn checked(dir: &Path, report: Report) -> Result<Report, RestoreError> {
    if report.findings.is_empty() {
        return Ok(report);
    }
    Err(RestoreError::Damaged { path: dir.to_owned(), report: Box::new(report) })
}

fn children(dir: &Path) -> Result<Vec<PathBuf>, RestoreError> {
    let entries = fs::read_dir(dir).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    entries.map_err(failed("list", dir))
}

/// Copies a file or a folder with everything in it, and makes it durable.
fn copy(from: &Path, to: &Path, copied: &mut (u64, u64)) -> Result<(), RestoreError> {
    if from.is_dir() {
        fs::create_dir(to).map_err(failed("create", to))?;
        for path in children(from)? {
            copy(&path, &to.join(path.file_name().unwrap_or_default()), copied)?;
        }
        return sync_dir(to).map_err(failed("sync", to));
    }
    let n_bytes = fs::copy(from, to).map_err(failed("copy", from))?;
    File::open(to).and_then(|file| file.sync_all()).map_err(failed("sync", to))?;
    copied.0 += 1;
    copied.1 += n_bytes;
    Ok(())
}
