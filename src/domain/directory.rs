//! A directory shard: the unique names whose hash falls to it, and the integer ids that it hands out. Names that are not
//! in memory are looked up in the store by the caller and come along with what was seen.

use super::entity::{Decision, Entity, Verdict};
use super::event::{Event, Namespace, Posting};
use super::ids::{FamilyId, ProductId, Seq, ShardId, UserId};
use super::product::Details;
use super::rejection::Rejection;
use super::session::SessionGrant;
use super::time::Timestamp;
use super::user::Profile;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// How many shards there are. Ids are `shard + 1 + n × DIRECTORY_SHARDS`, so the number can never change for a store.
pub const DIRECTORY_SHARDS: u16 = 8;

/// A unique name.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct UniqueName {
    pub namespace: Namespace,
    pub name: Arc<str>,
}

impl UniqueName {
    /// The shard that owns it.
    pub fn shard(&self) -> ShardId {
        let mut hash = crc32fast::Hasher::new();
        hash.update(self.namespace.word().as_bytes());
        hash.update(self.name.as_bytes());
        ShardId::new((hash.finalize() % u32::from(DIRECTORY_SHARDS)) as u16)
    }

    fn taken(&self) -> Rejection {
        match self.namespace {
            Namespace::Email => Rejection::EmailTaken,
            Namespace::Sku => Rejection::SkuTaken,
            Namespace::Card => Rejection::CodeAlreadyUsed,
        }
    }
}

/// A name together with what the store says of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SoughtName {
    pub name: UniqueName,
    /// Its holder according to the store.
    pub stored: Option<u64>,
}

/// The state of one shard.
#[derive(Clone, Debug)]
pub struct Directory {
    /// None before it is loaded.
    shard: Option<ShardId>,
    /// Changes that the store may not have yet: the holder, or none for a freed name.
    recent: HashMap<UniqueName, (Option<u64>, Seq)>,
    /// Names under open holds.
    held: HashSet<UniqueName>,
    next_product: u64,
    next_user: u64,
}

/// What a directory shard commits: entities that come to be, under a free name or under none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DirectoryCommand {
    Register {
        email: SoughtName,
        user_id: UserId,
        profile: Arc<Profile>,
        session: Option<(FamilyId, SessionGrant)>,
    },
    CreateItem {
        sku: Option<SoughtName>,
        product_id: ProductId,
        details: Arc<Details>,
        stock: i64,
    },
}

impl Directory {
    /// A shard whose ids up to these are in use.
    pub fn stored(shard: ShardId, last_product: u64, last_user: u64) -> Self {
        Self {
            shard: Some(shard),
            recent: HashMap::new(),
            held: HashSet::new(),
            next_product: following(shard, last_product),
            next_user: following(shard, last_user),
        }
    }

    /// The next free id of a product; never handed out again while this process runs.
    pub fn reserve_product(&mut self) -> ProductId {
        let id = self.next_product;
        self.next_product += u64::from(DIRECTORY_SHARDS);
        ProductId::new(id)
    }

    /// The next free id of a user.
    pub fn reserve_user(&mut self) -> UserId {
        let id = self.next_user;
        self.next_user += u64::from(DIRECTORY_SHARDS);
        UserId::new(id)
    }

    /// Who holds a name by what the store may not have yet; the outer `None` is "ask the store".
    pub fn recent(&self, name: &UniqueName) -> Option<Option<u64>> {
        self.recent.get(name).map(|(holder, _)| *holder)
    }

    pub fn open_holds(&self) -> usize {
        self.held.len()
    }

    /// Notes the position of a change of one of this shard's names, so that [`Self::forget`] can let go of it.
    pub fn note(&mut self, event: &Event, seq: Seq) {
        let (namespace, names, holder) = match event {
            Event::NameTaken { namespace, name, holder } => {
                (*namespace, std::slice::from_ref(name), Some(*holder))
            }
            Event::NamesTaken { namespace, names, holder } => (*namespace, &names[..], Some(*holder)),
            Event::NameFreed { namespace, name } => (*namespace, std::slice::from_ref(name), None),
            Event::NamesFreed { namespace, names } => (*namespace, &names[..], None),
            _ => return,
        };
        for name in names {
            let name = UniqueName { namespace, name: name.clone() };
            if self.shard != Some(name.shard()) {
                // Names of one event are of one shard.
                return;
            }
            let newest = self.recent.get(&name).is_none_or(|(_, known)| *known < seq);
            if newest {
                self.recent.insert(name, (holder, seq));
            }
        }
    }

    /// Lets go of what the store has; says what the last change was that went.
    pub fn forget(&mut self, stored: Seq) -> Seq {
        let mut last = Seq::ZERO;
        self.recent.retain(|_, (_, seq)| {
            if *seq <= stored {
                last = last.max(*seq);
            }
            *seq > stored
        });
        last
    }

    fn check(&self, sought: &SoughtName) -> Verdict<()> {
        let holder = self.recent(&sought.name).unwrap_or(sought.stored);
        if holder.is_some() {
            return Verdict::Refused(sought.name.taken());
        }
        if self.held.contains(&sought.name) { Verdict::Wait } else { Verdict::Granted(()) }
    }
}

fn following(shard: ShardId, last: u64) -> u64 {
    if last == 0 { u64::from(shard.get()) + 1 } else { last + u64::from(DIRECTORY_SHARDS) }
}

fn taken(sought: &SoughtName, holder: u64) -> Event {
    Event::NameTaken { namespace: sought.name.namespace, name: sought.name.name.clone(), holder }
}

impl Entity for Directory {
    /// All of them, or none.
    type Claim = Vec<SoughtName>;
    type Grant = ();
    type Command = DirectoryCommand;

    fn unborn() -> Self {
        Self::stored(ShardId::new(0), 0, 0)
    }

    fn claim(&mut self, claim: &Vec<SoughtName>, _contended: bool) -> Verdict<()> {
        let mut is_free = true;
        for sought in claim {
            match self.check(sought) {
                Verdict::Granted(()) => {}
                Verdict::Refused(rejection) => return Verdict::Refused(rejection),
                Verdict::Wait => is_free = false,
            }
        }
        if !is_free {
            return Verdict::Wait;
        }
        self.held.extend(claim.iter().map(|sought| sought.name.clone()));
        Verdict::Granted(())
    }

    fn release(&mut self, claim: &Vec<SoughtName>) {
        for sought in claim {
            self.held.remove(&sought.name);
        }
    }

    fn decide(&self, command: &DirectoryCommand, _at: Timestamp, _contended: bool) -> Verdict<Decision> {
        let name = match command {
            DirectoryCommand::Register { email, .. } => Some(email),
            DirectoryCommand::CreateItem { sku, .. } => sku.as_ref(),
        };
        match name.map_or(Verdict::Granted(()), |sought| self.check(sought)) {
            Verdict::Granted(()) => {}
            Verdict::Refused(rejection) => return Verdict::Refused(rejection),
            Verdict::Wait => return Verdict::Wait,
        }
        Verdict::Granted(match command {
            DirectoryCommand::Register { email, user_id, profile, session } => {
                let registered = Event::UserRegistered { user_id: *user_id, profile: profile.clone() };
                let opened = session.map(|(family_id, grant)| Event::SessionOpened { family_id, grant });
                Decision {
                    own: vec![taken(email, user_id.get())],
                    foreign: std::iter::once(registered).chain(opened).collect(),
                    snapshot: None,
                }
            }
            DirectoryCommand::CreateItem { sku, product_id, details, stock } => Decision {
                own: sku.iter().map(|sku| taken(sku, product_id.get())).collect(),
                foreign: vec![Event::ProductCreated {
                    product_id: *product_id,
                    details: details.clone(),
                    posting: Posting::of(*stock),
                }],
                snapshot: None,
            },
        })
    }

    /// Names are noted with their position, by [`Directory::note`]; nothing else changes here.
    fn apply(&mut self, _event: &Event, _at: Timestamp) {}

    fn version(&self) -> u64 {
        0
    }

    fn is_level(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_hand_out_disjoint_ids_from_one_on() {
        let mut seen = HashSet::new();
        for shard in 0..DIRECTORY_SHARDS {
            let mut directory = Directory::stored(ShardId::new(shard), 0, 0);
            for _ in 0..5 {
                assert!(seen.insert(directory.reserve_user()));
            }
            let last = u64::from(shard) + 1 + 4 * u64::from(DIRECTORY_SHARDS);
            let mut reopened = Directory::stored(ShardId::new(shard), 0, last);
            assert!(seen.insert(reopened.reserve_user()));
        }
        assert!(seen.contains(&UserId::new(1)));
    }

    #[test]
    fn a_name_is_held_by_one_at_a_time_and_freed_names_come_back() {
        let name = UniqueName { namespace: Namespace::Sku, name: "A-1".into() };
        let mut directory = Directory::stored(name.shard(), 0, 0);
        let sought = SoughtName { name: name.clone(), stored: None };
        let sought = vec![sought];
        assert_eq!(directory.claim(&sought, false), Verdict::Granted(()));
        assert_eq!(directory.claim(&sought, false), Verdict::Wait);
        directory.release(&sought);
        let event = Event::NameTaken { namespace: Namespace::Sku, name: "A-1".into(), holder: 7 };
        directory.note(&event, Seq::new(3));
        assert_eq!(directory.claim(&sought, false), Verdict::Refused(Rejection::SkuTaken));
        directory.note(&Event::NameFreed { namespace: Namespace::Sku, name: "A-1".into() }, Seq::new(4));
        let stale = vec![SoughtName { name, stored: Some(7) }];
        assert_eq!(directory.claim(&stale, false), Verdict::Granted(()));
    }

    #[test]
    fn of_several_names_all_are_held_or_none() {
        // Any shard's: what it is asked for is not looked at.
        let sought = |name: &str, stored| SoughtName {
            name: UniqueName { namespace: Namespace::Card, name: name.into() },
            stored,
        };
        let mut directory = Directory::stored(ShardId::new(0), 0, 0);
        let (first, second) = (vec![sought("a", None)], vec![sought("b", None), sought("a", None)]);
        assert_eq!(directory.claim(&first, false), Verdict::Granted(()));
        assert_eq!(directory.claim(&second, false), Verdict::Wait);
        assert_eq!(directory.open_holds(), 1);
        let taken = vec![sought("b", None), sought("a", None), sought("c", Some(7))];
        assert_eq!(directory.claim(&taken, false), Verdict::Refused(Rejection::CodeAlreadyUsed));
        directory.release(&first);
        assert_eq!(directory.claim(&second, false), Verdict::Granted(()));
        assert_eq!(directory.open_holds(), 2);
    }
}
