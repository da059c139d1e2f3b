//! Writing a whole file so that it is there after a power cut, or not at all.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Writes `path` through a temporary neighbour: write, fsync, rename, fsync of the directory.
///
/// Whoever reads `path` sees the old content or the new one, never a part; after `Ok` the new one survives power loss.
///
/// # Errors
/// What `write` or the file system said; the old content is untouched and the temporary file removed.
pub fn write_durably(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let name =
        path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path has no file name"))?;
    let mut tmp_name = std::ffi::OsString::from(".");
    tmp_name.push(name);
    // Dot first and suffix last, so that neither `*.parquet` nor a reader of the whole folder takes it for data.
    tmp_name.push(".tmp");
    let tmp = path.with_file_name(tmp_name);
    let attempt = || {
        let mut file = File::create(&tmp)?;
        write(&mut file)?;
        file.sync_all()?;
        drop(file);
        fs::rename(&tmp, path)
    };
    if let Err(error) = attempt() {
        // The error below says more than a failed removal would.
        let _ = fs::remove_file(&tmp);
        return Err(error);
    }
    sync_dir(parent_of(path))
}

/// Makes the entries of a directory durable: what was created in it, renamed or removed.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Makes a directory and what is missing above it, so that their names survive power loss.
pub(super) fn create_dir_durably(dir: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = dir.ancestors().take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists()).collect();
    fs::create_dir_all(dir)?;
    missing.into_iter().try_for_each(|dir| sync_dir(parent_of(dir)))
}

fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_content() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("results.parquet");
        write_durably(&path, |file| file.write_all(b"old")).unwrap();
        let error = write_durably(&path, |file| {
            file.write_all(b"half")?;
            Err(io::Error::other("no"))
        });
        assert!(error.is_err());
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        write_durably(&path, |file| file.write_all(b"new")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }
}
