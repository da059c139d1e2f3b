//! The store's door to the file system: everything it writes, renames, removes or syncs goes through [`Files`].
//!
//! One implementation does it on disk; the tests' one fails on cue and forgets unsynced bytes, as a power cut does.

use std::fmt::Debug;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::durable;

#[cfg(test)]
pub(super) mod fault;

/// What the store asks of a file system.
///
/// After `sync` of a file its bytes survive power loss; after `sync_dir` so do the names that were created, renamed
/// or removed in that directory. Nothing else is promised, and the store counts on nothing else.
pub(super) trait Files: Send + Sync + Debug {
    /// A new, empty file for writing; it must not exist yet.
    fn create(&self, path: &Path) -> io::Result<Box<dyn Output>>;
    /// The whole content.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// A file of its own for reading at any place.
    fn open(&self, path: &Path) -> io::Result<File>;
    /// Gives a file another name, replacing what had that name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file a second name; a copy, synced, where the file system has no second names.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes one directory, unless it is there; see [`make_dir`].
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// The entries of a directory, sorted by name; none when it is not there.
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>>;
}

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) path: PathBuf,
    pub(super) n_bytes: u64,
    pub(super) is_dir: bool,
}

impl Entry {
    /// The entry's own name; empty when it is not UTF-8, which none of ours is.
    pub(super) fn name(&self) -> &str {
        self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }
}

/// A file that is being written.
pub(super) trait Output: Write + Send {
    /// Makes the bytes written so far survive power loss.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts the file to its first `n_bytes`.
    fn truncate(&mut self, n_bytes: u64) -> io::Result<()>;
    /// CRC32 of the bytes written so far, when somebody counts along: [`Summed`] does.
    fn crc32(&self) -> Option<u32> {
        None
    }
}

/// A file whose checksum is counted while it is written.
pub(super) struct Summed {
    inner: Box<dyn Output>,
    hasher: crc32fast::Hasher,
}

impl Summed {
    pub(super) fn new(inner: Box<dyn Output>) -> Summed {
        Summed { inner, hasher: crc32fast::Hasher::new() }
    }
}

impl Write for Summed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl Output for Summed {
    fn sync(&mut self) -> io::Result<()> {
        self.inner.sync()
    }

    fn truncate(&mut self, _: u64) -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "a checksum cannot be taken back"))
    }

    fn crc32(&self) -> Option<u32> {
        Some(self.hasher.clone().finalize())
    }
}

/// The real file system.
#[derive(Debug)]
pub(super) struct Disk;

impl Output for File {
    fn sync(&mut self) -> io::Result<()> {
        // fdatasync: the length is part of what it makes durable, times are not, and the log does not need them.
        self.sync_data()
    }

    fn truncate(&mut self, n_bytes: u64) -> io::Result<()> {
        self.set_len(n_bytes)
    }
}

impl Files for Disk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        Ok(Box::new(File::options().write(true).create_new(true).open(path)?))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        File::open(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        match fs::hard_link(from, to) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists) => Err(error),
            // Another file system, or one without links.
            Err(_) => {
                fs::copy(from, to)?;
                File::open(to)?.sync_all()
            }
            Ok(()) => Ok(()),
        }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        match fs::create_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            made => made,
        }
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        durable::sync_dir(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let listing = match fs::read_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            listing => listing?,
        };
        let mut entries = Vec::new();
        for entry in listing {
            let entry = entry?;
            let metadata = entry.metadata()?;
            entries.push(Entry { path: entry.path(), n_bytes: metadata.len(), is_dir: metadata.is_dir() });
        }
        entries.sort();
        Ok(entries)
    }
}

/// Makes one directory, unless it is there, so that its name survives power loss.
pub(super) fn make_dir(files: &dyn Files, path: &Path) -> io::Result<()> {
    files.create_dir(path)?;
    // Also when it was there: an earlier attempt may have made it and failed here.
    path.parent().map_or(Ok(()), |parent| files.sync_dir(parent))
}

/// Writes a whole file under a temporary name in `tmp_dir`, syncs it and moves it to `path`.
///
/// The move is durable only after a [`Files::sync_dir`] of the directory `path` is in, which the caller does.
pub(super) fn write_new(files: &dyn Files, tmp_dir: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_new_with(files, tmp_dir, path, |output| output.write_all(bytes))
}

/// As [`write_new`], with what `write` writes.
pub(super) fn write_new_with(
    files: &dyn Files,
    tmp_dir: &Path,
    path: &Path,
    write: impl FnOnce(&mut dyn Output) -> io::Result<()>,
) -> io::Result<()> {
    let name =
        path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path has no file name"))?;
    let tmp = tmp_dir.join(name);
    let attempt = || {
        let mut output = match files.create(&tmp) {
            // Left by an attempt whose cleaning up failed as well.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                files.remove(&tmp)?;
                files.create(&tmp)?
            }
            created => created?,
        };
        write(&mut *output)?;
        output.sync()?;
        files.rename(&tmp, path)
    };
    attempt().inspect_err(|_| {
        // What went wrong is already the answer.
        let _ = files.remove(&tmp);
    })
}
