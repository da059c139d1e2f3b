//! Holding the bucket against the manifest: what should be there is, whole, and what should not be is named.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::super::error::{BlockError, OpenError};
use super::super::files::Disk;
use super::super::layout::Layout;
use super::super::manifest::{BlockEntry, Manifest, Place};
use super::super::open::make_dirs;
use super::super::remote::{OWNER_NAME, Remote, RemoteError, block_name, sidecar_name};
use super::super::shared::now;
use super::{Check, Lost, Remedy, Report};

const UPLOAD_AGAIN: &str =
    "Its file is here: run `barograph fsck --quarantine` with the same configuration, and it is uploaded again";
const GONE: &str = "Put the object back, from a version or a copy of the bucket, or run `barograph fsck --quarantine` with the same configuration to go on without it";

impl Check<'_> {
    pub(super) fn bucket(&mut self, manifest: &Manifest) -> Result<(), OpenError> {
        let there = manifest.blocks.iter().filter(|entry| entry.place != Place::Local);
        let Some((remote, read_all)) = self.bucket else {
            let n_there = there.count();
            if n_there > 0 {
                let what = format!(
                    "{n_there} blocks are noted as being in a bucket, which was not looked at: name the configuration with --config"
                );
                self.note(&self.layout.root.clone(), what);
            }
            return Ok(());
        };
        let objects: BTreeMap<String, u64> = remote.list("")?.into_iter().collect();
        for entry in there {
            self.object(remote, entry, &objects, read_all)?;
        }
        self.orphans(remote, manifest, &objects);
        Ok(())
    }

    fn object(
        &mut self,
        remote: &Remote,
        entry: &BlockEntry,
        objects: &BTreeMap<String, u64>,
        read_all: bool,
    ) -> Result<(), OpenError> {
        let name = block_name(&entry.date, &entry.id);
        let what = match objects.get(&name) {
            None => "this block is not in the bucket".to_owned(),
            Some(n_bytes) if *n_bytes != entry.n_bytes => {
                format!("this block has {n_bytes} bytes in the bucket, and the manifest says {}", entry.n_bytes)
            }
            Some(_) => {
                let expected = entry.crc32.as_ref().filter(|_| read_all);
                let found = expected.map(|_| remote.crc32(&name, entry.n_bytes)).transpose()?;
                match (found, expected) {
                    (Some(found), Some(expected)) if found != *expected => {
                        format!("this block's checksum in the bucket is {found}, and the manifest says {expected}")
                    }
                    _ => {
                        self.far_sidecar(remote, entry, objects);
                        return Ok(());
                    }
                }
            }
        };
        let path = url(remote, &name);
        if self.layout.block(&entry.date, &entry.id).exists() {
            self.find(&path, what, UPLOAD_AGAIN, None, Remedy::Place(entry.id.clone(), Place::Local));
        } else {
            let lost = Lost { n_samples: Some(entry.n_samples), span: Some((entry.min_time, entry.max_time)) };
            self.find(&path, what, GONE, Some(lost), Remedy::GiveUpBlock(entry.clone()));
        }
        Ok(())
    }

    fn far_sidecar(&mut self, remote: &Remote, entry: &BlockEntry, objects: &BTreeMap<String, u64>) {
        let name = sidecar_name(&entry.id);
        if !objects.contains_key(&name) {
            self.note(&url(remote, &name), "is not in the bucket; a restore makes it again from its block");
        }
    }

    fn orphans(&mut self, remote: &Remote, manifest: &Manifest, objects: &BTreeMap<String, u64>) {
        for (name, n_bytes) in objects {
            let file = name.rsplit('/').next().unwrap_or_default();
            let id = file.strip_suffix(".parquet").or_else(|| file.strip_suffix(".series"));
            let live = manifest.blocks.iter().find(|entry| id == Some(entry.id.as_str()));
            let is_waiting = manifest.superseded.iter().any(|waiting| id == Some(waiting.block.id.as_str()));
            let is_ours =
                live.is_some_and(|entry| [block_name(&entry.date, &entry.id), sidecar_name(&entry.id)].contains(name));
            let path = url(remote, name);
            if name == OWNER_NAME || name == super::super::manifest::MANIFEST_NAME {
                continue;
            } else if is_waiting {
                self.note(&path, "is of a block that was merged or retired, and is deleted soon");
            } else if is_ours {
                if live.is_some_and(|entry| entry.place == Place::Local) {
                    self.note(&path, "was uploaded before a crash; the next pass verifies it");
                }
            } else {
                let advice = format!(
                    "Nothing here needs its {n_bytes} bytes: delete it, for example with `aws s3 rm {}`",
                    path.display()
                );
                self.find(&path, "no manifest names this object", &advice, None, Remedy::None);
            }
        }
    }
}

/// Copies objects that are given up to the quarantine, as they are.
pub(super) fn bring_damaged(remote: &Remote, layout: &Layout, report: &Report) -> Result<(), OpenError> {
    for finding in &report.findings {
        let Remedy::GiveUpBlock(entry) = &finding.remedy else { continue };
        if entry.place == Place::Local {
            continue;
        }
        make_dirs(&Disk, layout)?;
        let to = layout.quarantine.join(format!("{}-{}-bucket.parquet", now(), entry.id));
        match remote.copy_as_it_is(entry, &to) {
            Ok(()) | Err(BlockError::Remote(RemoteError::Missing { .. })) => {}
            Err(BlockError::Remote(error)) => return Err(error.into()),
            Err(error) => return Err(OpenError::io("write", &to)(std::io::Error::other(error))),
        }
    }
    Ok(())
}

fn url(remote: &Remote, name: &str) -> PathBuf {
    Path::new(&remote.url(name)).to_owned()
}
