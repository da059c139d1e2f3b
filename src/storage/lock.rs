//! One process per data directory.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use super::error::OpenError;

/// Its name in the data directory.
pub(super) const LOCK_NAME: &str = "lock";

/// Held for as long as the store is open; the operating system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of data directory `dir`.
    pub(super) fn take(dir: &Path) -> Result<Lock, OpenError> {
        let path = dir.join(LOCK_NAME);
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(OpenError::io("open the lock file", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Who holds it is a courtesy; that it is held is the message.
                let _ = file.read_to_string(&mut holder);
                let holder = Some(holder.trim().to_owned()).filter(|holder| !holder.is_empty());
                return Err(OpenError::Locked { path: dir.to_owned(), holder });
            }
            Err(TryLockError::Error(source)) => return Err(OpenError::io("lock", &path)(source)),
        }
        // The process id helps whoever is refused; a full disk must not keep us from opening for reading.
        let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| write!(file, "{}", std::process::id()));
        Ok(Lock { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_refused_until_the_first_lets_go() {
        let dir = tempfile::tempdir().unwrap();
        let first = Lock::take(dir.path()).unwrap();
        let error = Lock::take(dir.path()).unwrap_err().to_string();
        assert!(error.contains(&dir.path().display().to_string()), "{error}");
        assert!(error.contains(&std::process::id().to_string()) && error.contains("--data"), "{error}");
        drop(first);
        Lock::take(dir.path()).unwrap();
    }
}
