//! Checking a data directory that nobody has open: everything is read, held against everything that is said about it,
//! and each finding is told in a sentence, with what to do.
//!
//! What a crash leaves behind (a torn tail, an unfinished file) is no finding: the next start deals with it, and
//! nothing that was acknowledged is in it. Looking changes nothing; [`fsck_and_quarantine`] moves what is damaged out
//! of the way, so that the rest can be served.

use std::fmt::Display;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::block::BlockIndex;
use super::deletes::Delete;
use super::error::OpenError;
use super::files::{Disk, Entry, Files};
use super::layout::Layout;
use super::lock::{LOCK_NAME, Lock};
use super::manifest::{self, BlockEntry, MANIFEST_NAME, Manifest, ManifestError, Place};
use super::open::{Found, Stray, list_blocks, list_tiers, rebuild, what_is};
use super::remote::{OWNER_NAME, Remote, RemoteSettings};
use super::salvage;
use super::snapshot::RESTORING;
use super::wal::frame::{BadHeader, Header, SEGMENT_VERSION};
use super::wal::replay::replay;
use super::wal::segment::seq_of;
use crate::series::Millis;

mod block;
mod bucket;
mod finding;
mod repair;

use block::examine_tier;
pub(super) use block::{Fault, checksum, examine, read_rows};
use finding::Remedy;
pub use finding::{Finding, Lost, Report};

/// Checks the data directory `dir`, or a snapshot, without changing anything in it.
///
/// # Errors
/// When it is no data directory, a process has it open, or a directory in it cannot be listed.
pub fn fsck(dir: &Path) -> Result<Report, OpenError> {
    let _lock = lock(dir)?;
    Check::new(dir).run()
}

/// As [`fsck`], and moves what is damaged to `quarantine/`, so that the rest can be served.
///
/// Each finding then says what was done; those without were left as they are.
///
/// # Errors
/// As [`fsck`], and when a file cannot be moved or written. What was moved before stays moved, and may be done again.
pub fn fsck_and_quarantine(dir: &Path) -> Result<Report, OpenError> {
    let _lock = lock(dir)?;
    let mut report = Check::new(dir).run()?;
    repair::carry_out(&Disk, &Layout::new(dir), &mut report)?;
    Ok(report)
}

fn lock(dir: &Path) -> Result<Lock, OpenError> {
    let is_one = [MANIFEST_NAME, "wal", "blocks"].iter().any(|name| dir.join(name).exists());
    if !is_one {
        return Err(OpenError::NotData { path: dir.to_owned() });
    }
    Lock::take(dir)
}

/// As [`fsck`], and the bucket with it: each block that is noted as being there is, and nothing else is.
///
/// `read_all` reads every block in the bucket from first to last; otherwise their sizes are compared. With `repair`
/// it does as [`fsck_and_quarantine`]; what is damaged in the bucket is copied to `quarantine/`, and deleted there by the
/// next pass over it.
///
/// # Errors
/// As [`fsck`], and when the bucket cannot be used.
pub fn fsck_with_bucket(
    dir: &Path,
    settings: &RemoteSettings,
    read_all: bool,
    repair: bool,
) -> Result<Report, OpenError> {
    let _lock = lock(dir)?;
    let layout = Layout::new(dir);
    let files: Arc<dyn Files> = Arc::new(Disk);
    let wrong = |reason: &str| OpenError::Setting { name: "s3", reason: reason.to_owned() };
    let remote = Remote::open(&files, &layout, settings)?.ok_or_else(|| wrong("no bucket is configured"))?;
    check_with(&layout, &remote, read_all, repair)
}

/// As [`fsck_with_bucket`], with the bucket at hand and the directory's lock taken.
pub(super) fn check_with(layout: &Layout, remote: &Remote, read_all: bool, repair: bool) -> Result<Report, OpenError> {
    let mut report = Check { bucket: Some((remote, read_all)), ..Check::new(&layout.root) }.run()?;
    if repair {
        bucket::bring_damaged(remote, layout, &report)?;
        repair::carry_out(&Disk, layout, &mut report)?;
    }
    Ok(report)
}

struct Check<'a> {
    files: Disk,
    layout: Layout,
    /// The bucket, and whether all of it is read.
    bucket: Option<(&'a Remote, bool)>,
    report: Report,
}

const PUT_BACK: &str = "Put it back from a backup, or run `barograph fsck --quarantine` to go on without it";
const SALVAGE: &str =
    "Put it back from a backup, or run `barograph fsck --quarantine` to go on with what can be read of it";
const READ_BUCKET: &str = "Start the server: it sets what is damaged aside and reads the block from the bucket; so does `barograph fsck --quarantine`";
const QUARANTINE: &str = "Run `barograph fsck --quarantine` to set it aside and serve the rest";

impl<'a> Check<'a> {
    fn new(dir: &Path) -> Check<'a> {
        Check { files: Disk, layout: Layout::new(dir), bucket: None, report: Report::default() }
    }

    fn run(mut self) -> Result<Report, OpenError> {
        let parquet = list_blocks(&self.files, &self.layout)?;
        let manifest = self.manifest(&parquet)?;
        if let Some(manifest) = &manifest {
            self.blocks(manifest, &parquet);
            self.strays(manifest, &parquet);
            self.tiers(manifest)?;
            self.sidecars(manifest)?;
            self.deletes(manifest)?;
            self.bucket(manifest)?;
        }
        self.log(manifest.as_ref().map_or(0, |manifest| manifest.wal_covered))?;
        self.others()?;
        Ok(self.report)
    }

    fn find(&mut self, path: &Path, what: impl Into<String>, advice: &str, lost: Option<Lost>, remedy: Remedy) {
        let advice = advice.to_owned();
        self.report.findings.push(Finding {
            path: path.to_owned(),
            what: what.into(),
            advice,
            lost,
            done: None,
            remedy,
        });
    }

    fn note(&mut self, path: &Path, what: impl Display) {
        self.report.notes.push(format!("{}: {what}", path.display()));
    }

    fn list(&self, dir: &Path) -> Result<Vec<Entry>, OpenError> {
        self.files.list(dir).map_err(OpenError::io("list", dir))
    }

    /// The manifest, or the one that a start would make; `None` when only a newer program can read it.
    fn manifest(&mut self, parquet: &[Found]) -> Result<Option<Manifest>, OpenError> {
        let path = manifest::path_in(&self.layout.root);
        let again = "The next start makes it again from the blocks that are there, and replays the whole log";
        let what = match Manifest::load(&self.files, &self.layout.root) {
            Ok(Some(manifest)) => return Ok(Some(manifest)),
            Ok(None) if parquet.is_empty() => {
                // Before its first start, or with a log alone: nothing is missing.
                return Ok(Some(Manifest::default()));
            }
            Err(ManifestError::Version(found)) => {
                let what = format!(
                    "it is of format version {found}, and this barograph reads up to {}",
                    manifest::MANIFEST_VERSION
                );
                self.find(&path, what, "Use a newer barograph; nothing else was checked", None, Remedy::None);
                return Ok(None);
            }
            Ok(None) => "it is missing".to_owned(),
            Err(ManifestError::Damaged(reason)) => format!("it is damaged: {reason}"),
            Err(ManifestError::Io(error)) => format!("it cannot be read: {error}"),
        };
        self.find(&path, what, again, None, Remedy::MakeManifest);
        Ok(Some(rebuild(&self.files, &self.layout, parquet)))
    }

    fn blocks(&mut self, manifest: &Manifest, parquet: &[Found]) {
        for entry in &manifest.blocks {
            let path = self.layout.block(&entry.date, &entry.id);
            let lost = Some(Lost { n_samples: Some(entry.n_samples), span: Some((entry.min_time, entry.max_time)) });
            let give_up = Remedy::GiveUpBlock(entry.clone());
            let is_here = parquet.iter().any(|found| found.entry.path == path);
            if entry.place == Place::Bucket && !is_here {
                self.far_block(entry);
                continue;
            }
            if entry.place == Place::Both && !is_here {
                let remedy = Remedy::Place(entry.id.clone(), Place::Bucket);
                self.find(
                    &path,
                    "this block is missing here, and noted as being in the bucket",
                    READ_BUCKET,
                    None,
                    remedy,
                );
                continue;
            }
            if !parquet.iter().any(|found| found.entry.path == path) {
                self.find(&path, "this block is missing", PUT_BACK, lost, give_up);
                continue;
            }
            match examine(&path, Some(entry), &entry.date) {
                Ok(index) => {
                    self.report.n_blocks += 1;
                    self.report.n_block_samples += entry.n_samples;
                    self.sidecar(&entry.id, index);
                }
                Err(fault) if entry.place != Place::Local => {
                    let remedy = Remedy::Place(entry.id.clone(), Place::Bucket);
                    self.find(&path, fault.to_string(), READ_BUCKET, None, remedy);
                }
                Err(fault) => {
                    // A lost manifest is made again from blocks as they are.
                    let is_known =
                        !self.report.findings.iter().any(|found| matches!(found.remedy, Remedy::MakeManifest));
                    let is_worth_it = is_known && matches!(fault, Fault::Damaged(_));
                    match if is_worth_it { salvage::n_left(&self.files, &self.layout, entry) } else { 0 } {
                        0 => self.find(&path, fault.to_string(), PUT_BACK, lost, give_up),
                        n_left => self.find_salvageable(&path, &fault, entry, n_left),
                    }
                }
            }
        }
    }

    fn find_salvageable(&mut self, path: &Path, fault: &Fault, entry: &BlockEntry, n_left: u64) {
        let what = format!("{fault}; {n_left} of its {} samples can still be read", entry.n_samples);
        let n_lost = entry.n_samples.saturating_sub(n_left);
        let span = Some((entry.min_time, entry.max_time));
        let lost = (n_lost > 0).then_some(Lost { n_samples: Some(n_lost), span });
        self.find(path, what, SALVAGE, lost, Remedy::Salvage(entry.clone()));
    }

    /// A block of which only the sidecar is here.
    fn far_block(&mut self, entry: &BlockEntry) {
        let path = self.layout.sidecar(&entry.id);
        self.report.n_bucket_blocks += 1;
        self.report.n_bucket_samples += entry.n_samples;
        let is_good = |index: &BlockIndex| index.n_rows() == entry.n_samples;
        let index = fs::read(&path).ok().and_then(|bytes| BlockIndex::decode(&bytes).ok());
        if !index.as_ref().is_some_and(is_good) {
            self.note(
                &path,
                "is not here or cannot be used, and its block is in the bucket; it is fetched at first use",
            );
        }
    }

    fn sidecar(&mut self, id: &str, expected: BlockIndex) {
        let path = self.layout.sidecar(id);
        let what = match fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => "this sidecar is missing".to_owned(),
            Err(error) => format!("this sidecar cannot be read: {error}"),
            Ok(bytes) if BlockIndex::is_outdated(&bytes) => {
                return self.note(&path, "is of an earlier version, and is made again from its block at first use");
            }
            Ok(bytes) => match BlockIndex::decode(&bytes) {
                Ok(index) if index.agrees(&expected) => return,
                Ok(_) => "this sidecar does not agree with its block".to_owned(),
                Err(error) => format!("this sidecar is damaged: {error}"),
            },
        };
        let advice = "No sample is lost: run `barograph fsck --quarantine` to make it again from its block";
        self.find(&path, what, advice, None, Remedy::MakeSidecar(Arc::new(expected)));
    }

    fn strays(&mut self, manifest: &Manifest, parquet: &[Found]) {
        let is_live = |found: &&Found| {
            manifest.blocks.iter().any(|entry| self.layout.block(&entry.date, &entry.id) == found.entry.path)
        };
        for stray in parquet.iter().filter(|found| !is_live(found)).collect::<Vec<_>>() {
            let path = &stray.entry.path;
            if stray.entry.is_dir {
                self.note(path, "an unknown directory, left alone; other programs may take what is in it for blocks");
                continue;
            }
            let kind = stray.id().map(|id| what_is(&self.files, &self.layout, id, stray, manifest));
            if kind == Some(Stray::Elsewhere) {
                self.note(path, "left by a crash; its samples are elsewhere, and the next start deletes it");
            } else if kind == Some(Stray::NeverLive) {
                self.note(path, "was never live here: its samples are in the log, or somebody put it here; the next start sets it aside");
            } else {
                let what = match stray.id().map(|_| examine(path, None, &stray.date)) {
                    None => "this file lies between the blocks and is none".to_owned(),
                    Some(Ok(_)) => "this block is whole, and no manifest names it: other programs count its samples, barograph does not".to_owned(),
                    Some(Err(fault)) => format!("no manifest names this block, and {fault}"),
                };
                self.find(
                    path,
                    what,
                    "The next start moves it to quarantine/, and so does `barograph fsck --quarantine`",
                    None,
                    Remedy::SetAside,
                );
            }
        }
    }

    fn tiers(&mut self, manifest: &Manifest) -> Result<(), OpenError> {
        for entry in &manifest.tiers {
            let path = self.layout.tier_file(entry);
            let what = match examine_tier(&path, entry) {
                Ok(()) => continue,
                Err(Fault::Unreadable(error)) if error.kind() == std::io::ErrorKind::NotFound => {
                    "this file of a tier is missing".to_owned()
                }
                Err(fault) => fault.to_string(),
            };
            let span = Some((entry.min_time, entry.last_time()));
            let lost = entry.is_final.then_some(Lost { n_samples: None, span });
            let advice = if entry.is_final {
                PUT_BACK
            } else {
                "It is made again from its block: run `barograph fsck --quarantine`"
            };
            self.find(&path, what, advice, lost, Remedy::GiveUpTier(entry.id.clone()));
        }
        for (_, _, entry) in list_tiers(&self.files, &self.layout)? {
            if !manifest.tiers.iter().any(|tier| self.layout.tier_file(tier) == entry.path) {
                self.note(&entry.path, "is not in use, and the next start deletes it");
            }
        }
        Ok(())
    }

    fn sidecars(&mut self, manifest: &Manifest) -> Result<(), OpenError> {
        for entry in self.list(&self.layout.index)? {
            let id = entry.name().strip_suffix(".series");
            let is_known = |id: &str| {
                manifest.blocks.iter().any(|block| block.id == id) || manifest.tiers.iter().any(|tier| tier.id == id)
            };
            if !id.is_some_and(is_known) {
                self.note(&entry.path, "belongs to no live block, and the next start deletes it");
            }
        }
        Ok(())
    }

    fn deletes(&mut self, manifest: &Manifest) -> Result<(), OpenError> {
        for delete in &manifest.deletes {
            let path = self.layout.delete(&delete.id);
            let read = fs::read(&path).map_err(|error| error.to_string()).and_then(|bytes| Delete::decode(&bytes));
            let what = match read {
                Ok(read) if read.id == delete.id => continue,
                Ok(_) => "this delete is another one than its name says".to_owned(),
                Err(reason) => format!("this delete cannot be read: {reason}"),
            };
            let advice = "The manifest has it too: run `barograph fsck --quarantine` to write it again";
            self.find(&path, what, advice, None, Remedy::WriteDelete(delete.clone()));
        }
        for entry in self.list(&self.layout.deletes)? {
            if !manifest.deletes.iter().any(|delete| self.layout.delete(&delete.id) == entry.path) {
                self.note(&entry.path, "is a delete that is not in force, and the next start removes it");
            }
        }
        Ok(())
    }

    fn log(&mut self, wal_covered: u64) -> Result<(), OpenError> {
        for entry in self.list(&self.layout.wal)? {
            match seq_of(entry.name()) {
                None => self.note(&entry.path, "is no segment of the log, and is left alone"),
                Some(seq) if seq <= wal_covered => {
                    self.note(&entry.path, "all of it is in blocks, and the next start deletes it");
                }
                Some(seq) => self.segment(&entry, seq),
            }
        }
        Ok(())
    }

    fn segment(&mut self, entry: &Entry, seq: u64) {
        let path = &entry.path;
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                return self.find(
                    path,
                    format!("this segment of the log cannot be read: {error}"),
                    QUARANTINE,
                    Some(Lost { n_samples: None, span: None }),
                    Remedy::SetAside,
                );
            }
        };
        let mut span: Option<(Millis, Millis)> = None;
        let replayed = replay(&bytes, |_, at, _| {
            span = Some(span.map_or((at, at), |(first, last)| (first.min(at), last.max(at))));
        });
        match replayed {
            Err(BadHeader::CutShort) => self.note(path, "was made just before a crash, and holds nothing"),
            Err(BadHeader::Version(found)) => {
                let what = format!(
                    "this segment is of format version {found}, and this barograph reads up to {SEGMENT_VERSION}"
                );
                self.find(path, what, "Use a newer barograph", None, Remedy::None);
            }
            Err(BadHeader::Damaged) => {
                let lost = Some(Lost { n_samples: None, span: None });
                let what = "both copies of this segment's header are damaged, and nothing of it can be replayed";
                self.find(path, what, QUARANTINE, lost, Remedy::SetAside);
            }
            Ok(replayed) => {
                self.report.n_segments += 1;
                self.report.n_log_samples += replayed.n_samples;
                if Header::decode(&bytes).is_ok_and(|header| header.seq != seq) {
                    let what = "this segment's header has another number than its name";
                    self.find(
                        path,
                        what,
                        "Give it the name it had; its samples are replayed in the order of the names",
                        None,
                        Remedy::None,
                    );
                }
                if replayed.n_torn > 0 {
                    let n_torn = replayed.n_torn;
                    self.note(
                        path,
                        format!("ends in {n_torn} bytes of a write that a crash cut short; it was not acknowledged"),
                    );
                }
                if !replayed.damaged.is_empty() || replayed.n_orphans > 0 {
                    let n_bytes: usize = replayed.damaged.iter().map(ExactSizeIterator::len).sum();
                    let n_orphans = replayed.n_orphans;
                    let mut what = format!("{n_bytes} bytes in the middle of this segment have changed");
                    if n_orphans > 0 {
                        what += &format!(", and {n_orphans} samples after them are nobody's");
                    }
                    // How many samples the changed bytes held is not known unless there were none.
                    let n_samples = replayed.damaged.is_empty().then_some(n_orphans);
                    let advice = "Start the server: the rest is replayed, and the changed bytes are kept in quarantine/; or run `barograph fsck --quarantine`";
                    self.find(path, what, advice, Some(Lost { n_samples, span }), Remedy::RewriteSegment);
                }
            }
        }
    }

    fn others(&mut self) -> Result<(), OpenError> {
        let tmp = self.list(&self.layout.tmp)?.len();
        if tmp > 0 {
            self.note(&self.layout.tmp.clone(), format!("{tmp} unfinished files, which the next start deletes"));
        }
        let set_aside = self.list(&self.layout.quarantine)?.len();
        if set_aside > 0 {
            let what = format!(
                "{set_aside} files were set aside earlier; look at them, and delete them when they are not needed"
            );
            self.note(&self.layout.quarantine.clone(), what);
        }
        let restoring = self.layout.root.join(RESTORING);
        let known = [
            MANIFEST_NAME,
            LOCK_NAME,
            RESTORING,
            OWNER_NAME,
            "cache",
            "wal",
            "blocks",
            "index",
            "tmp",
            "quarantine",
            "deletes",
            "snapshots",
            "tiers",
            "results",
        ];
        for entry in self.list(&self.layout.root)? {
            if !known.contains(&entry.name()) {
                self.note(&entry.path, "is not barograph's, and is left alone");
            }
        }
        if restoring.exists() {
            self.note(&restoring, "a restore into this directory has not finished; empty it and restore again");
        }
        Ok(())
    }
}
