//! The data directory: who may use it, where the journal lies in it, and the secrets that are kept there.

use super::start_error::StartError;
use crate::journal::ReadError;
use crate::journal::disk::{Directory, Disk};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const CARD_SECRET: &str = "card-secret";

/// The data directory, locked for as long as this lives.
pub struct DataDir {
    pub path: PathBuf,
    lock: File,
}

impl DataDir {
    /// Makes the directory if need be and locks it.
    pub fn open(path: &Path) -> Result<Self, StartError> {
        let failed = |error| StartError::Directory { path: path.to_owned(), error };
        Directory::open(path).map_err(failed)?;
        let lock_path = path.join("lock");
        let mut options = OpenOptions::new();
        let mut lock = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = lock.read_to_string(&mut holder);
                let holder = if holder.is_empty() { "another process".to_owned() } else { holder };
                return Err(StartError::Locked { path: path.to_owned(), holder });
            }
            Err(std::fs::TryLockError::Error(error)) => return Err(failed(error)),
        }
        lock.set_len(0).and_then(|()| lock.write_all(holder(path).as_bytes())).map_err(failed)?;
        Ok(Self { path: path.to_owned(), lock })
    }

    /// Why no segment could be prepared, with what is lacking if that is room.
    pub fn unprepared(&self, error: ReadError) -> StartError {
        let path = self.path.join("journal");
        match (&error, rustix::fs::statvfs(&path)) {
            (ReadError::Unprepared { needed, error }, Ok(disk))
                if error.kind() == io::ErrorKind::StorageFull =>
            {
                StartError::NoRoom { needed: *needed, free: disk.f_bavail * disk.f_frsize, path }
            }
            _ => error.into(),
        }
    }

    /// The journal's directory.
    pub fn journal(&self) -> Result<Arc<dyn Disk>, StartError> {
        let path = self.path.join("journal");
        let disk = Directory::open(&path).map_err(|error| StartError::Directory { path, error })?;
        Ok(Arc::new(disk))
    }

    /// What tokens are signed with and keys are hashed with; made at the first start.
    pub(super) fn secret(&self) -> Result<Vec<u8>, StartError> {
        self.secret_in("secret")
    }

    /// What gift cards' codes are named and sealed with; made at the first start, but never once there are cards.
    pub(super) fn card_secret(&self, has_cards: bool) -> Result<Vec<u8>, StartError> {
        let path = self.path.join(CARD_SECRET);
        let exists = path.try_exists().map_err(|error| StartError::Directory { path, error })?;
        if has_cards && !exists {
            return Err(StartError::CardSecret);
        }
        self.secret_in(CARD_SECRET)
    }

    fn secret_in(&self, file: &str) -> Result<Vec<u8>, StartError> {
        let path = self.path.join(file);
        let failed = |error| StartError::Directory { path: path.clone(), error };
        if !path.exists() {
            let mut secret = [0; 32];
            aws_lc_rs::rand::fill(&mut secret).map_err(|_| failed(io::Error::other("no randomness")))?;
            write_private(&path, &secret).map_err(failed)?;
        }
        let mode = std::fs::metadata(&path).map_err(failed)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(StartError::Exposed(path));
        }
        let secret = std::fs::read(&path).map_err(failed)?;
        if secret.len() < 32 { Err(StartError::Secret(path)) } else { Ok(secret) }
    }
}

impl Drop for DataDir {
    /// Closing would not do: a process that this one is just starting holds the open file, too, until it runs its program.
    fn drop(&mut self) {
        let _ = self.lock.unlock();
    }
}

/// Writes a file that only its owner may read, whole or not at all.
pub fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => Ok(()),
    }
}

/// Who we are, for whoever finds the door locked.
pub(super) fn holder(path: &Path) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let directory = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    format!("process {} on {} with data directory {}", std::process::id(), host.trim(), directory.display())
}

#[cfg(test)]
mod tests {
    use super::DataDir;

    #[test]
    fn a_directory_is_free_once_it_is_let_go_whoever_has_inherited_its_lock_file() {
        let place = tempfile::tempdir().expect("a directory");
        let held = DataDir::open(place.path()).expect("free");
        let inherited = held.lock.try_clone().expect("another name of the same open file");
        assert!(DataDir::open(place.path()).is_err(), "taken twice");
        drop(held);
        DataDir::open(place.path()).expect("free again");
        drop(inherited);
    }
}
