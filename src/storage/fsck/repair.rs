//! Moving out of the way what a check has found damaged, so that a start finds a directory that holds together.

use std::io;
use std::path::{Path, PathBuf};

use hashbrown::HashSet;

use super::super::block::random_u64;
use super::super::deletes::Tombstones;
use super::super::error::OpenError;
use super::super::files::{self, Files};
use super::super::layout::Layout;
use super::super::manifest::{self, BlockEntry, Manifest, Place};
use super::super::open::{list_blocks, make_dirs, rebuild};
use super::super::salvage::salvage;
use super::super::shared::now;
use super::super::wal::frame::{Header, Stretch, encode_frame, stretches};
use super::super::wal::record::{Record, RefSamples, decode, encode_samples};
use super::{Finding, Remedy, Report};

/// Does what each finding's remedy says, and notes in the finding what was done.
pub(super) fn carry_out(files: &dyn Files, layout: &Layout, report: &mut Report) -> Result<(), OpenError> {
    make_dirs(files, layout)?;
    let repair = Repair { files, layout };
    let saved = repair.salvage(report)?;
    let given_up = |finding: &Finding| match &finding.remedy {
        Remedy::GiveUpBlock(entry) | Remedy::Salvage(entry) => Some(entry.clone()),
        _ => None,
    };
    let given_up: Vec<BlockEntry> = report.findings.iter().filter_map(given_up).collect();
    let tier_given_up = |finding: &Finding| match &finding.remedy {
        Remedy::GiveUpTier(id) => Some(id.clone()),
        _ => None,
    };
    let tiers_given_up: Vec<String> = report.findings.iter().filter_map(tier_given_up).collect();
    // A lost manifest is made again from the blocks that are left, so those that are not must go first.
    let is_lost = report.findings.iter().any(|finding| matches!(finding.remedy, Remedy::MakeManifest));
    let placed = |finding: &Finding| match &finding.remedy {
        Remedy::Place(id, place) => Some((id.clone(), *place)),
        _ => None,
    };
    let placed: Vec<(String, Place)> = report.findings.iter().filter_map(placed).collect();
    let has_changes = !(given_up.is_empty() && tiers_given_up.is_empty() && placed.is_empty());
    if !is_lost && has_changes {
        // Otherwise the manifest first: should this stop half way, a block it does not name is set aside at a start.
        repair.take_out(&given_up, &tiers_given_up, &placed, &saved)?;
    }
    for finding in &mut report.findings {
        finding.done = repair.apply(finding)?;
    }
    if is_lost {
        repair.make_manifest()?;
    }
    Ok(())
}

struct Repair<'a> {
    files: &'a dyn Files,
    layout: &'a Layout,
}

impl Repair<'_> {
    fn apply(&self, finding: &Finding) -> Result<Option<String>, OpenError> {
        let path = &finding.path;
        match &finding.remedy {
            Remedy::None => Ok(None),
            Remedy::SetAside => Ok(Some(format!("moved to {}", self.set_aside(path)?.display()))),
            Remedy::GiveUpBlock(entry) => {
                if !path.exists() {
                    return Ok(Some("the manifest does not name it any more".to_owned()));
                }
                let to = self.set_aside(path)?;
                let sidecar = self.layout.sidecar(&entry.id);
                if sidecar.exists() {
                    self.files.remove(&sidecar).map_err(OpenError::io("remove", &sidecar))?;
                }
                Ok(Some(format!("moved to {}, and the manifest does not name it any more", to.display())))
            }
            Remedy::Salvage(entry) => {
                // Both have become another block's, or a name in the quarantine.
                for gone in [path, &self.layout.sidecar(&entry.id)] {
                    self.files.remove(gone).map_err(OpenError::io("remove", gone))?;
                }
                Ok(finding.done.clone())
            }
            Remedy::Place(_, Place::Bucket) if path.exists() => {
                let to = self.set_aside(path)?;
                Ok(Some(format!("moved to {}, and read from the bucket from now on", to.display())))
            }
            Remedy::Place(_, Place::Bucket | Place::Both) => Ok(Some("read from the bucket from now on".to_owned())),
            Remedy::Place(_, Place::Local) => Ok(Some("it is uploaded again".to_owned())),
            Remedy::GiveUpTier(_) if !path.exists() => Ok(Some("the manifest does not name it any more".to_owned())),
            Remedy::GiveUpTier(_) => Ok(Some(format!(
                "moved to {}, and the manifest does not name it any more",
                self.set_aside(path)?.display()
            ))),
            Remedy::MakeSidecar(index) => {
                let tmp = &self.layout.tmp;
                let written = files::write_new_with(self.files, tmp, path, |output| index.write_to(output));
                written.map_err(OpenError::io("write", path))?;
                self.files.sync_dir(&self.layout.index).map_err(OpenError::io("sync", &self.layout.index))?;
                Ok(Some("made again from its block".to_owned()))
            }
            Remedy::MakeManifest => {
                let aside = path.exists().then(|| self.set_aside(path)).transpose()?;
                let old = aside.map(|to| format!("; the old one is {}", to.display())).unwrap_or_default();
                Ok(Some(format!("made again from the blocks that are there{old}")))
            }
            Remedy::WriteDelete(delete) => {
                let dir = &self.layout.deletes;
                files::make_dir(self.files, dir).map_err(OpenError::io("create", dir))?;
                delete.write(self.files, &self.layout.tmp, path).map_err(OpenError::io("write", path))?;
                Ok(Some("written again from the manifest".to_owned()))
            }
            Remedy::RewriteSegment => {
                let copy = self.rewrite(path).map_err(OpenError::io("rewrite", path))?;
                Ok(Some(format!("written again without them; as it was it is {}", copy.display())))
            }
        }
    }

    /// A name in the quarantine; the time keeps a second file of the same name from replacing the first.
    fn place_for(&self, path: &Path) -> PathBuf {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        self.layout.quarantine.join(format!("{}-{name}", now()))
    }

    fn set_aside(&self, path: &Path) -> Result<PathBuf, OpenError> {
        let to = self.place_for(path);
        self.files.rename(path, &to).map_err(OpenError::io("set aside", path))?;
        let dir = &self.layout.quarantine;
        self.files.sync_dir(dir).map_err(OpenError::io("sync", dir))?;
        Ok(to)
    }

    /// Writes what is left of damaged blocks, and gives those a second name in the quarantine: from the moment that
    /// another block names them as its source, a start may remove them.
    fn salvage(&self, report: &mut Report) -> Result<Vec<BlockEntry>, OpenError> {
        let mut saved = Vec::new();
        if !report.findings.iter().any(|finding| matches!(finding.remedy, Remedy::Salvage(_))) {
            return Ok(saved);
        }
        let manifest = self.load()?;
        let tombstones = Tombstones::of(&manifest.deletes);
        let tombstones = tombstones.map_err(|error| self.unreadable(io::Error::other(error)))?;
        for finding in &mut report.findings {
            let Remedy::Salvage(entry) = &finding.remedy else { continue };
            let path = &finding.path;
            let copy = self.place_for(path);
            self.files.link(path, &copy).map_err(OpenError::io("set aside", path))?;
            self.files.sync_dir(&self.layout.quarantine).map_err(OpenError::io("sync", &self.layout.quarantine))?;
            let written = salvage(self.files, self.layout, entry, manifest.wal_covered, &tombstones);
            let written = written.map_err(|error| OpenError::io("salvage", path)(io::Error::other(error)))?;
            let n_samples = written.as_ref().map_or(0, |entry| entry.n_samples);
            finding.done = Some(format!(
                "{n_samples} samples of it are in a block of their own; as it was it is {}",
                copy.display()
            ));
            saved.extend(written);
        }
        Ok(saved)
    }

    fn unreadable(&self, error: io::Error) -> OpenError {
        OpenError::io("read", &manifest::path_in(&self.layout.root))(error)
    }

    fn load(&self) -> Result<Manifest, OpenError> {
        let loaded = Manifest::load(self.files, &self.layout.root);
        Ok(loaded.map_err(|error| self.unreadable(io::Error::other(error)))?.unwrap_or_default())
    }

    fn take_out(
        &self,
        given_up: &[BlockEntry],
        tiers: &[String],
        placed: &[(String, Place)],
        saved: &[BlockEntry],
    ) -> Result<(), OpenError> {
        let mut manifest = self.load()?;
        manifest.remove_tiers(|entry| tiers.contains(&entry.id));
        // In the bucket too, or the next start would take it back from the manifest there.
        manifest.supersede(given_up, None);
        manifest.remove(given_up);
        for (id, place) in placed {
            manifest.blocks.iter_mut().filter(|entry| entry.id == *id).for_each(|entry| entry.place = *place);
        }
        manifest.blocks.extend_from_slice(saved);
        manifest.blocks.sort_by(|a, b| (&a.date, a.sequence).cmp(&(&b.date, b.sequence)));
        self.publish(&manifest)
    }

    fn make_manifest(&self) -> Result<(), OpenError> {
        let parquet = list_blocks(self.files, self.layout)?;
        self.publish(&rebuild(self.files, self.layout, &parquet))
    }

    fn publish(&self, manifest: &Manifest) -> Result<(), OpenError> {
        let published = manifest.publish(self.files, &self.layout.root);
        published.map_err(OpenError::io("write", &manifest::path_in(&self.layout.root)))?;
        Ok(())
    }

    /// Writes a segment again with the records that are whole, under its own name; the old one is kept aside.
    fn rewrite(&self, path: &Path) -> io::Result<PathBuf> {
        let bytes = self.files.read(path)?;
        let header = Header::decode(&bytes).map_err(|_| io::Error::other("its header cannot be read"))?;
        // A new salt: nothing of the old file may pass for a record of the new one.
        let header_now = Header { seq: header.seq, salt: random_u64() };
        let mut written = header_now.encode().to_vec();
        let mut known = HashSet::new();
        for stretch in stretches(&bytes, header.salt) {
            let Stretch::Whole(range) = stretch else { continue };
            let payload = &bytes[range];
            let kept = match decode(payload) {
                Some(Record::Series(series)) => {
                    known.extend(series.iter().map(|(series_ref, _)| *series_ref));
                    payload.to_vec()
                }
                Some(Record::Samples(samples)) if samples.refs.iter().all(|number| known.contains(number)) => {
                    payload.to_vec()
                }
                Some(Record::Samples(samples)) => {
                    let mut left = RefSamples::default();
                    for ((series_ref, at), value) in samples.refs.iter().zip(&samples.at).zip(&samples.value) {
                        if known.contains(series_ref) {
                            left.refs.push(*series_ref);
                            left.at.push(*at);
                            left.value.push(*value);
                        }
                    }
                    if left.refs.is_empty() {
                        continue;
                    }
                    let mut payload = Vec::new();
                    encode_samples(&left.refs, &left.at, &left.value, &mut payload);
                    payload
                }
                Some(Record::Seal) => payload.to_vec(),
                None => continue,
            };
            let (salt, offset) = (header_now.salt, written.len() as u64);
            written.extend_from_slice(&encode_frame(salt, offset, kept.len(), crc32fast::hash(&kept)));
            written.extend_from_slice(&kept);
        }
        // A second name first, then the replacement: at no moment are the good records nowhere.
        let copy = self.place_for(path);
        self.files.link(path, &copy)?;
        self.files.sync_dir(&self.layout.quarantine)?;
        files::write_new(self.files, &self.layout.tmp, path, &written)?;
        self.files.sync_dir(&self.layout.wal)?;
        Ok(copy)
    }
}
