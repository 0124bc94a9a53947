//! A disk for tests that can lose power and fail; part of the library so that programs that embed the engine can put their
//! own code through the same power cuts. Nothing here runs in a server. A file keeps what was synced apart from what was only written, per
//! sector; creations, renames and removals vanish unless the directory was synced. All chance comes from one seed.
//! Errors behave as a hostile Linux would have it: after a failed sync the unsynced sectors count as clean, so a second
//! sync succeeds and saves nothing.

mod content;

use super::disk::{Disk, DiskFile};
use content::{Change, Content, Random};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

pub use content::SECTOR;

/// `errno` of a medium that fails.
pub const EIO: i32 = 5;
/// `errno` of a full disk.
pub const ENOSPC: i32 = 28;

/// What changes a disk. Listing, reading and opening are not counted and do not fail, save on a dead disk.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    Create,
    Write,
    SyncFile,
    Rename,
    Remove,
    SyncDirectory,
}

/// What happens instead of an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// It fails with this `errno`; the next one works again.
    Once(i32),
    /// It and all later ones (of that kind, if one was given) fail with this `errno`.
    ForEver(i32),
    /// The power goes: it may or may not take effect, and nothing works any more. Then comes [`SimulatedDisk::crash`].
    Crash,
}

/// See the module. Clones share one disk.
#[derive(Clone)]
pub struct SimulatedDisk {
    state: Arc<Mutex<State>>,
}

struct State {
    random: Random,
    files: Vec<Content>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// Changes of names since the directory was last synced.
    unsynced: Vec<Change>,
    operations: Vec<(Kind, String)>,
    plan: Option<(Option<Kind>, u64, Fault)>,
    fired: bool,
    capacity: u64,
    was_full: bool,
    dead: bool,
}

impl SimulatedDisk {
    pub fn new(seed: u64) -> Self {
        Self::with(seed, Vec::new(), BTreeMap::new())
    }

    fn with(seed: u64, files: Vec<Content>, names: BTreeMap<String, usize>) -> Self {
        let state = State {
            random: Random(seed),
            files,
            durable_names: names.clone(),
            names,
            unsynced: Vec::new(),
            operations: Vec::new(),
            plan: None,
            fired: false,
            capacity: u64::MAX,
            was_full: false,
            dead: false,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poison| poison.into_inner())
    }

    /// Plans a fault for the `nth` operation from now on (0 is the next), of one kind or of any.
    pub fn fail(&self, kind: Option<Kind>, nth: u64, fault: Fault) {
        let mut state = self.lock();
        let begin = state.count(kind) + nth;
        (state.plan, state.fired) = (Some((kind, begin, fault)), false);
    }

    /// Takes the plan back.
    pub fn heal(&self) {
        self.lock().plan = None;
    }

    /// Whether the planned fault has happened.
    pub fn has_failed(&self) -> bool {
        self.lock().fired
    }

    /// Bytes that all files together may take.
    pub fn set_capacity(&self, bytes: u64) {
        let mut state = self.lock();
        (state.capacity, state.was_full) = (bytes, false);
    }

    /// Whether a file was refused for that since it was set.
    pub fn was_full(&self) -> bool {
        self.lock().was_full
    }

    /// Every operation so far, failed ones included, with the file's name.
    pub fn operations(&self) -> Vec<(Kind, String)> {
        self.lock().operations.clone()
    }

    /// The disk after a power cut at this moment: each unsynced sector is kept, lost or torn, and of the unsynced changes
    /// of names the first few are kept. This disk is left as it is.
    pub fn crash(&self, seed: u64) -> Self {
        let state = self.lock();
        let mut random = Random(seed);
        let mut names = state.durable_names.clone();
        let kept = random.below(state.unsynced.len() + 1);
        state.unsynced[..kept].iter().for_each(|change| change.apply(&mut names));
        Self::with(seed, state.files.iter().map(|file| file.crash(&mut random)).collect(), names)
    }

    /// The same with everything lost that was not synced: the least that survives.
    pub fn crash_losing_all(&self) -> Self {
        let state = self.lock();
        let lost = |file: &Content| Content::stable(file.synced.clone());
        Self::with(0, state.files.iter().map(lost).collect(), state.durable_names.clone())
    }

    /// Puts a file there, synced, whatever was there before: for tests that damage a disk by hand.
    pub fn put(&self, name: &str, bytes: Vec<u8>) {
        let mut state = self.lock();
        let file = state.files.len();
        state.files.push(Content::stable(bytes));
        state.names.insert(name.to_owned(), file);
        state.durable_names.insert(name.to_owned(), file);
    }

    fn operate<T>(
        &self,
        kind: Kind,
        name: &str,
        act: impl FnOnce(&mut State) -> io::Result<T>,
        fail: impl FnOnce(&mut State),
    ) -> io::Result<T> {
        let mut state = self.lock();
        state.check_power()?;
        match state.begin(kind, name) {
            None => act(&mut state),
            // A sync that did not end proves nothing; what else was under way may have arrived.
            Some(Fault::Crash) if matches!(kind, Kind::SyncFile | Kind::SyncDirectory) => Err(died()),
            Some(Fault::Crash) => act(&mut state).and(Err(died())),
            Some(Fault::Once(errno) | Fault::ForEver(errno)) => {
                fail(&mut state);
                Err(io::Error::from_raw_os_error(errno))
            }
        }
    }
}

impl State {
    fn count(&self, kind: Option<Kind>) -> u64 {
        self.operations.iter().filter(|(done, _)| kind.is_none_or(|kind| kind == *done)).count() as u64
    }

    fn begin(&mut self, kind: Kind, name: &str) -> Option<Fault> {
        let planned = self.plan.filter(|(wanted, _, _)| wanted.is_none_or(|wanted| wanted == kind));
        let index = planned.map_or(0, |(wanted, _, _)| self.count(wanted));
        self.operations.push((kind, name.to_owned()));
        let (_, begin, fault) = planned?;
        let hit = index == begin || (index > begin && matches!(fault, Fault::ForEver(_)));
        self.fired |= hit;
        self.dead |= hit && fault == Fault::Crash;
        hit.then_some(fault)
    }

    fn check_power(&self) -> io::Result<()> {
        if self.dead { Err(died()) } else { Ok(()) }
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.names);
        self.unsynced.push(change);
    }

    fn file(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Disk for SimulatedDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let state = self.lock();
        state.check_power()?;
        Ok(state.names.keys().cloned().collect())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let state = self.lock();
        state.check_power()?;
        Ok(state.files[state.file(name)?].now.clone())
    }

    fn create_zeroed(&self, name: &str, size: u64) -> io::Result<Box<dyn DiskFile>> {
        let create = |state: &mut State| {
            let others = state.names.iter().filter(|(other, _)| *other != name);
            let taken: u64 = others.map(|(_, file)| state.files[*file].now.len() as u64).sum();
            if taken.saturating_add(size) > state.capacity {
                state.was_full = true;
                return Err(io::Error::from_raw_os_error(ENOSPC));
            }
            state.files.push(Content::zeros(size as usize));
            state.change(Change::Link(name.to_owned(), state.files.len() - 1));
            Ok(state.files.len() - 1)
        };
        let file = self.operate(Kind::Create, name, create, |_| {})?;
        Ok(Box::new(SimulatedFile { disk: self.clone(), name: name.to_owned(), file }))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let file = self.lock().file(name)?;
        Ok(Box::new(SimulatedFile { disk: self.clone(), name: name.to_owned(), file }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let rename = |state: &mut State| {
            state.file(from)?;
            state.change(Change::Rename(from.to_owned(), to.to_owned()));
            Ok(())
        };
        self.operate(Kind::Rename, from, rename, |_| {})
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let remove = |state: &mut State| {
            state.file(name)?;
            state.change(Change::Remove(name.to_owned()));
            Ok(())
        };
        self.operate(Kind::Remove, name, remove, |_| {})
    }

    fn sync_directory(&self) -> io::Result<()> {
        let sync = |state: &mut State| {
            state.unsynced.clear();
            state.durable_names = state.names.clone();
            Ok(())
        };
        self.operate(Kind::SyncDirectory, "", sync, |_| {})
    }
}

struct SimulatedFile {
    disk: SimulatedDisk,
    name: String,
    file: usize,
}

impl SimulatedFile {
    fn sync(&self, with_size: bool) -> io::Result<()> {
        let sync = |state: &mut State| {
            state.files[self.file].sync(with_size);
            Ok(())
        };
        let fail = |state: &mut State| {
            let State { files, random, .. } = state;
            files[self.file].fail_to_sync(random);
        };
        self.disk.operate(Kind::SyncFile, &self.name, sync, fail)
    }
}

impl DiskFile for SimulatedFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = offset as usize;
        let write = |state: &mut State| {
            state.files[self.file].write(offset, bytes);
            Ok(())
        };
        // A write that fails may have got half-way.
        let fail = |state: &mut State| state.files[self.file].write(offset, &bytes[..bytes.len() / 2]);
        self.disk.operate(Kind::Write, &self.name, write, fail)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync(false)
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync(true)
    }
}

fn died() -> io::Error {
    io::Error::other("the power is gone")
}
