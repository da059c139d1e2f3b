//! A file system that fails on cue and, at a power cut, forgets what was not synced.
//!
//! It works on real files through [`Disk`] and keeps a journal of what a power cut would undo: bytes written after
//! the last `sync` of a file, and names created, renamed or removed after the last `sync_dir` of their directory.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Disk, Entry, Files, Output};

/// The kinds of call that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::storage) enum Call {
    Create,
    Write,
    Sync,
    Rename,
    Remove,
    SyncDir,
}

/// Which calls fail, and how.
#[derive(Clone, Copy, Debug)]
pub(in crate::storage) struct Fault {
    pub(in crate::storage) call: Call,
    /// Only for paths that contain this, or end in it when it ends in `$`.
    pub(in crate::storage) path: &'static str,
    pub(in crate::storage) kind: io::ErrorKind,
}

#[derive(Debug)]
enum Undo {
    Created(PathBuf),
    MadeDir(PathBuf),
    Renamed { from: PathBuf, to: PathBuf, replaced: Option<Vec<u8>> },
    Removed(PathBuf, Vec<u8>),
}

impl Undo {
    fn dir(&self) -> Option<&Path> {
        match self {
            Undo::Created(path) | Undo::MadeDir(path) | Undo::Renamed { to: path, .. } | Undo::Removed(path, _) => {
                path.parent()
            }
        }
    }
}

#[derive(Debug, Default)]
struct State {
    faults: Vec<Fault>,
    n_calls: u64,
    crash_at: Option<u64>,
    fail_at: Option<(u64, io::ErrorKind)>,
    n_synced: HashMap<PathBuf, u64>,
    journal: Vec<Undo>,
}

impl State {
    fn check(&mut self, call: Call, path: &Path) -> io::Result<()> {
        self.n_calls += 1;
        if self.crash_at.is_some_and(|crash_at| self.n_calls > crash_at) {
            return Err(io::Error::other("the power is out"));
        }
        if let Some((_, kind)) = self.fail_at.filter(|(at, _)| *at + 1 == self.n_calls) {
            return Err(kind.into());
        }
        let text = path.to_string_lossy();
        let is_meant = |fault: &&Fault| match fault.path.strip_suffix('$') {
            Some(end) => text.ends_with(end),
            None => text.contains(fault.path),
        };
        match self.faults.iter().filter(|fault| fault.call == call).find(is_meant) {
            Some(fault) => Err(fault.kind.into()),
            None => Ok(()),
        }
    }
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(in crate::storage) struct FaultFiles(Arc<Mutex<State>>);

impl FaultFiles {
    /// From now on these calls fail, and no others.
    pub(in crate::storage) fn fail(&self, faults: &[Fault]) {
        self.0.lock().faults = faults.to_vec();
    }

    /// Every call after the next `n_calls` fails, as if there were no computer any more.
    pub(in crate::storage) fn crash_after(&self, n_calls: u64) {
        let mut state = self.0.lock();
        state.crash_at = Some(state.n_calls + n_calls);
    }

    /// The one call after `n_calls` calls, counted from the first, fails.
    pub(in crate::storage) fn fail_once(&self, n_calls: u64, kind: io::ErrorKind) {
        self.0.lock().fail_at = Some((n_calls, kind));
    }

    pub(in crate::storage) fn n_calls(&self) -> u64 {
        self.0.lock().n_calls
    }

    /// Does to the files what a power cut does. `keep` in 0..=1 is how much of what was not synced happens to survive:
    /// the first part of the unsynced bytes of every file, and the first part of the unsynced changes of names.
    pub(in crate::storage) fn cut_power(&self, keep: f64) {
        let mut state = self.0.lock();
        for (path, n_synced) in &state.n_synced {
            let Ok(file) = File::options().write(true).open(path) else { continue };
            let n_bytes = file.metadata().unwrap().len();
            let n_unsynced = n_bytes.saturating_sub(*n_synced) as f64;
            file.set_len(n_synced.saturating_add((n_unsynced * keep) as u64).min(n_bytes)).unwrap();
        }
        let n_kept = (state.journal.len() as f64 * keep) as usize;
        for undo in state.journal.drain(..).skip(n_kept).rev().collect::<Vec<_>>() {
            match undo {
                Undo::Created(path) => drop(fs::remove_file(path)),
                Undo::MadeDir(path) => drop(fs::remove_dir_all(path)),
                Undo::Removed(path, content) => fs::write(path, content).unwrap(),
                Undo::Renamed { from, to, replaced } => {
                    // The file may have been removed since, which was undone already.
                    drop(fs::rename(&to, &from));
                    if let Some(content) = replaced {
                        fs::write(&to, content).unwrap();
                    }
                }
            }
        }
    }
}

struct FaultOutput {
    inner: Box<dyn Output>,
    state: Arc<Mutex<State>>,
    path: PathBuf,
    n_bytes: u64,
}

impl Write for FaultOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let checked = self.state.lock().check(Call::Write, &self.path);
        if let Err(error) = checked {
            // A failing disk takes some of it all the same.
            self.n_bytes += self.inner.write(&bytes[..bytes.len() / 2])? as u64;
            return Err(error);
        }
        let n = self.inner.write(bytes)?;
        self.n_bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl Output for FaultOutput {
    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.state.lock();
        state.check(Call::Sync, &self.path)?;
        // The file may have got another name since it was opened; the store renames only what it has closed.
        state.n_synced.insert(self.path.clone(), self.n_bytes);
        Ok(())
    }

    fn truncate(&mut self, n_bytes: u64) -> io::Result<()> {
        self.state.lock().check(Call::Write, &self.path)?;
        self.n_bytes = n_bytes;
        self.inner.truncate(n_bytes)
    }
}

impl Files for FaultFiles {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        let mut state = self.0.lock();
        state.check(Call::Create, path)?;
        let inner = Disk.create(path)?;
        state.journal.push(Undo::Created(path.to_owned()));
        state.n_synced.insert(path.to_owned(), 0);
        Ok(Box::new(FaultOutput { inner, state: Arc::clone(&self.0), path: path.to_owned(), n_bytes: 0 }))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        Disk.read(path)
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        Disk.open(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.check(Call::Rename, to)?;
        let replaced = fs::read(to).ok();
        Disk.rename(from, to)?;
        let n_synced = state.n_synced.remove(from);
        state.n_synced.remove(to);
        state.n_synced.extend(n_synced.map(|n_synced| (to.to_owned(), n_synced)));
        state.journal.push(Undo::Renamed { from: from.to_owned(), to: to.to_owned(), replaced });
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.check(Call::Create, to)?;
        Disk.link(from, to)?;
        let n_synced = state.n_synced.get(from).copied();
        state.n_synced.extend(n_synced.map(|n_synced| (to.to_owned(), n_synced)));
        state.journal.push(Undo::Created(to.to_owned()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.check(Call::Remove, path)?;
        let content = fs::read(path)?;
        Disk.remove(path)?;
        state.n_synced.remove(path);
        state.journal.push(Undo::Removed(path.to_owned(), content));
        Ok(())
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.check(Call::Create, path)?;
        let is_new = !path.exists();
        Disk.create_dir(path)?;
        if is_new {
            state.journal.push(Undo::MadeDir(path.to_owned()));
        }
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.check(Call::SyncDir, dir)?;
        state.journal.retain(|undo| undo.dir() != Some(dir));
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        Disk.list(dir)
    }
}
