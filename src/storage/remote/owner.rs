//! Whose the bucket's prefix is: an object with the data directory's id, and the same id in the data directory.
//!
//! Two data directories that share a prefix would delete each other's blocks. The first one writes its id there; any
//! other is refused.

use serde::{Deserialize, Serialize};

use super::{BUCKET_MANIFEST, Remote, RemoteError};
use crate::storage::block::new_id;
use crate::storage::error::{FlushError, OpenError};
use crate::storage::files::{self, Files};
use crate::storage::layout::Layout;

/// Its name, in the bucket and in the data directory.
pub(in crate::storage) const OWNER_NAME: &str = "owner.json";

#[derive(Serialize, Deserialize)]
struct Owner {
    format: u32,
    store: String,
}

fn encode(store: &str) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(&Owner { format: 1, store: store.to_owned() }).expect("text is JSON");
    bytes.push(b'\n');
    bytes
}

fn decode(bytes: &[u8]) -> Result<String, String> {
    serde_json::from_slice::<Owner>(bytes).map(|owner| owner.store).map_err(|error| error.to_string())
}

/// Gives the data directory an id and writes it down.
pub(super) fn name_store(files: &dyn Files, layout: &Layout) -> Result<String, FlushError> {
    let (id, path) = (new_id(), layout.root.join(OWNER_NAME));
    files::write_new(files, &layout.tmp, &path, &encode(&id)).map_err(FlushError::io("write", &path))?;
    files.sync_dir(&layout.root).map_err(FlushError::io("sync", &layout.root))?;
    Ok(id)
}

/// The data directory's id, if it has one.
fn name_of(files: &dyn Files, layout: &Layout) -> Result<Option<String>, FlushError> {
    let path = layout.root.join(OWNER_NAME);
    match files.read(&path) {
        Ok(bytes) => {
            let damaged = |reason| FlushError::io("read", &path)(std::io::Error::other(reason));
            decode(&bytes).map(Some).map_err(damaged)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(FlushError::io("read", &path)(error)),
    }
}

impl Remote {
    /// Makes sure that the prefix is this data directory's, taking it when it is nobody's.
    ///
    /// `has_uploads`: whether this directory counts on blocks that are there.
    ///
    /// # Errors
    /// [`RemoteError::Owned`] when it is another's; when it is nobody's although it should be ours; when the service
    /// does not answer.
    pub(in crate::storage) fn claim(
        &self,
        files: &dyn Files,
        layout: &Layout,
        has_uploads: bool,
    ) -> Result<(), FlushError> {
        let ours = name_of(files, layout)?;
        if let Some(owner) = self.owner()? {
            return self.compare(&owner, ours);
        }
        // A copy has no name of its own yet, and may take what was given up; but only where there is something.
        let is_copy = ours.is_none();
        if has_uploads && !(is_copy && self.bucket.head(BUCKET_MANIFEST)?.is_some()) {
            return Err(FlushError::Remote(RemoteError::Missing {
                object: self.bucket.url(OWNER_NAME),
                reason:
                    "this data directory has blocks there, so this is another bucket or prefix, or it was emptied; \
                         `barograph fsck --config` tells what is missing"
                        .to_owned(),
            }));
        }
        let ours = ours.map_or_else(|| name_store(files, layout), Ok)?;
        if self.bucket.create(OWNER_NAME, encode(&ours))? {
            tracing::info!(bucket = self.bucket.place(), id = ours, "this prefix of the bucket is now ours");
        }
        // Somebody may have been faster, and not every service knows how to refuse the second.
        match self.owner()? {
            Some(owner) => self.compare(&owner, Some(ours)),
            None => Err(FlushError::Remote(RemoteError::Damaged {
                object: self.bucket.url(OWNER_NAME),
                reason: "it was written and is not there".to_owned(),
            })),
        }
    }

    /// As [`claim`](Remote::claim), when the store is opened: only that it is another's keeps it from opening.
    ///
    /// # Errors
    /// [`RemoteError::Owned`].
    pub(in crate::storage) fn claim_at_start(
        &self,
        files: &dyn Files,
        layout: &Layout,
        has_uploads: bool,
    ) -> Result<(), OpenError> {
        match self.claim(files, layout, has_uploads) {
            Ok(()) => Ok(()),
            Err(FlushError::Remote(error @ RemoteError::Owned { .. })) => Err(error.into()),
            Err(error) => {
                tracing::error!(%error, "the bucket cannot be used now; what is in it only is missing from answers until it can");
                Ok(())
            }
        }
    }

    /// Takes the prefix, whoever's it was.
    pub(super) fn take_over(&self, files: &dyn Files, layout: &Layout) -> Result<(), FlushError> {
        let ours = name_of(files, layout)?.map_or_else(|| name_store(files, layout), Ok)?;
        Ok(self.bucket.put(OWNER_NAME, encode(&ours))?)
    }

    fn owner(&self) -> Result<Option<String>, RemoteError> {
        let object = self.bucket.url(OWNER_NAME);
        match self.bucket.get(OWNER_NAME) {
            Ok(bytes) => decode(&bytes).map(Some).map_err(|reason| RemoteError::Damaged { object, reason }),
            Err(RemoteError::Missing { reason, .. }) if !reason.contains("NoSuchBucket") => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn compare(&self, owner: &str, ours: Option<String>) -> Result<(), FlushError> {
        if ours.as_deref() == Some(owner) {
            return Ok(());
        }
        let ours = ours.unwrap_or_else(|| "not known here yet".to_owned());
        let (place, owner) = (self.bucket.place().to_owned(), owner.to_owned());
        Err(FlushError::Remote(RemoteError::Owned { place, owner, ours }))
    }
}
