//! What a file holds now, and what of it would survive.

use std::collections::{BTreeMap, BTreeSet};

/// The unit that is kept or lost as a whole, unless it is torn.
pub const SECTOR: usize = 512;

/// A change of names that the directory has not made durable.
#[derive(Clone)]
pub enum Change {
    Link(String, usize),
    Rename(String, String),
    Remove(String),
}

/// One file.
#[derive(Clone)]
pub struct Content {
    pub now: Vec<u8>,
    pub synced: Vec<u8>,
    /// Sectors that differ, or may.
    dirty: BTreeSet<usize>,
    /// Whether the length is durable.
    sized: bool,
}

impl Change {
    pub fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Link(name, file) => _ = names.insert(name.clone(), *file),
            Self::Rename(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
            Self::Remove(name) => _ = names.remove(name),
        }
    }
}

impl Content {
    pub fn zeros(size: usize) -> Self {
        let dirty = (0..size.div_ceil(SECTOR)).collect();
        Self { now: vec![0; size], synced: vec![0; size], dirty, sized: false }
    }

    /// All of it durable.
    pub fn stable(bytes: Vec<u8>) -> Self {
        Self { now: bytes.clone(), synced: bytes, dirty: BTreeSet::new(), sized: true }
    }

    pub fn write(&mut self, offset: usize, bytes: &[u8]) {
        self.now[offset..offset + bytes.len()].copy_from_slice(bytes);
        if !bytes.is_empty() {
            self.dirty.extend(offset / SECTOR..=(offset + bytes.len() - 1) / SECTOR);
        }
    }

    pub fn sync(&mut self, with_size: bool) {
        for sector in std::mem::take(&mut self.dirty) {
            self.save(sector, 0, SECTOR);
        }
        self.sized |= with_size;
    }

    /// A sync that fails has saved some sectors and forgets that the others need it.
    pub fn fail_to_sync(&mut self, random: &mut Random) {
        for sector in std::mem::take(&mut self.dirty) {
            if random.below(2) == 0 {
                self.save(sector, 0, SECTOR);
            }
        }
    }

    fn save(&mut self, sector: usize, from: usize, to: usize) {
        let end = (sector * SECTOR + to).min(self.now.len());
        let range = (sector * SECTOR + from).min(end)..end;
        self.synced[range.clone()].copy_from_slice(&self.now[range]);
    }

    /// What a power cut leaves: each unsynced sector kept, lost or torn.
    pub fn crash(&self, random: &mut Random) -> Self {
        let mut after = self.clone();
        for sector in &self.dirty {
            let cut = random.below(SECTOR);
            match random.below(4) {
                0 => {}
                1 => after.save(*sector, 0, cut),
                2 => after.save(*sector, cut, SECTOR),
                _ => after.save(*sector, 0, SECTOR),
            }
        }
        let length = if self.sized { self.now.len() } else { random.below(self.now.len() + 1) };
        after.synced.truncate(length);
        Self::stable(after.synced)
    }
}

/// `SplitMix64`.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }
}
