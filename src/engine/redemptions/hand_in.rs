//! Cards are taken in: their names are held at the directory, all in the order of its shards, and one record of the user's
//! balance makes them redemptions.

use crate::domain::balance::BalanceCommand;
use crate::domain::card::CardCode;
use crate::domain::cards;
use crate::domain::country::Country;
use crate::domain::directory::{Directory, SoughtName};
use crate::domain::event::Namespace;
use crate::domain::ids::ShardId;
use crate::domain::redemption::{CardProblem, HandedIn, NewCard};
use crate::domain::rejection::Missing;
use crate::domain::{BatchId, Money, Operation, RedemptionId, UserId};
use crate::engine::call::Call;
use crate::engine::items::directory;
use crate::engine::operate::{Stop, Work};
use crate::engine::orders::committed;
use crate::engine::{Answer, Busy, EngineError, Inner};
use crate::owners::mailbox::{Committed, Glimpse};
use crate::owners::{Party, Pin};
use dashmap::DashMap;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// What a card takes in a record at most, with its name for the directory and without its code.
const CARD_BYTES: usize = 140;
/// And one that is none.
const REJECTED_BYTES: usize = 8;

/// A card that is handed in.
#[derive(Clone, Debug)]
pub struct CardRequest {
    pub code: CardCode,
    pub country: Country,
    /// What it is said to be worth.
    pub face_value: Option<Money>,
}

type ToldCard = (Arc<str>, Country, Option<Money>);

/// The same without the code, to tell a retry from another request.
#[derive(Serialize)]
struct Told {
    user_id: UserId,
    is_batch: bool,
    cards: Vec<Option<ToldCard>>,
}

/// A card with its code's name.
struct Named {
    card: CardRequest,
    name: Arc<str>,
}

impl Inner {
    pub(super) async fn hand_in(self: &Arc<Self>, call: Call, user_id: UserId, card: CardRequest) -> Answer {
        self.hand_in_all(call, user_id, vec![Some(card)], false).await
    }

    pub(super) async fn hand_in_batch(
        self: &Arc<Self>,
        call: Call,
        user_id: UserId,
        cards: Vec<Option<CardRequest>>,
    ) -> Answer {
        self.hand_in_all(call, user_id, cards, true).await
    }

    async fn hand_in_all(
        self: &Arc<Self>,
        call: Call,
        user_id: UserId,
        cards: Vec<Option<CardRequest>>,
        is_batch: bool,
    ) -> Answer {
        let named = |card: CardRequest| Named { name: self.card_codes.name(&card.code), card };
        let cards: Vec<_> = cards.into_iter().map(|card| card.map(named)).collect();
        let told = |named: &Named| (named.name.clone(), named.card.country, named.card.face_value);
        let told =
            Told { user_id, is_batch, cards: cards.iter().map(|card| card.as_ref().map(told)).collect() };
        let run = move |work: Work, told: Told| hand_in(work, told.user_id, cards, told.is_batch);
        self.operate(call, Operation::HandInCards, told, run).await
    }
}

async fn hand_in(
    mut work: Work,
    user_id: UserId,
    cards: Vec<Option<Named>>,
    is_batch: bool,
) -> Result<Committed, Stop> {
    let engine = work.engine.clone();
    let owner = engine.pin(&engine.balances, user_id, Missing::User).await?;
    let _permit = work.admit(&owner)?;
    let most = engine.options.open_cards_per_user_max;
    let coming = Coming::announce(&engine.coming_cards, user_id, cards.len());
    let open = engine.view(&owner, |glimpse| glimpse.entity.cards().count()).await?;
    if open + coming.in_all > most {
        return Err(Busy::TooManyCards { most }.into());
    }
    let (mut rejected, mut shards) = sort(&cards);
    let mut pins: BTreeMap<ShardId, Pin<Directory>> = BTreeMap::new();
    for shard in shards.keys() {
        pins.insert(*shard, directory(&engine, *shard).await?);
    }
    let bytes = |card: &Option<Named>| match card {
        Some(named) => CARD_BYTES + named.card.code.expose().len(),
        None => REJECTED_BYTES,
    };
    work.extra_bytes = cards.iter().map(bytes).sum();
    let space = work.space().await?;
    let (mut parties, mut taken): (Vec<Box<dyn Party>>, _) = (Vec::new(), Vec::new());
    for (shard, names) in &mut shards {
        let Some(pin) = pins.get(shard) else { return Err(EngineError::Internal.into()) };
        if let Some(hold) = hold_names(&mut work, pin, names, is_batch).await? {
            parties.push(hold);
            taken.push(names.clone());
        }
    }
    let free: HashSet<&Arc<str>> = taken.iter().flatten().collect();
    let mut accepted = Vec::with_capacity(free.len());
    for (named, place) in cards.iter().zip(0..) {
        let Some(Named { card, name }) = named else { continue };
        if rejected.contains_key(&place) {
            continue;
        }
        if !free.contains(name) {
            rejected.insert(place, CardProblem::AlreadyUsed);
            continue;
        }
        let id = RedemptionId::new(engine.ground.clock.new_id());
        accepted.push(NewCard {
            id,
            country: card.country,
            face_value: card.face_value,
            code_name: name.clone(),
            code_last4: card.code.last4().into(),
            code: engine.card_codes.seal(id, &card.code).ok_or(EngineError::Internal)?,
        });
    }
    let batch_id = is_batch.then(|| BatchId::new(engine.ground.clock.new_id()));
    let handed_in = HandedIn { user_id, batch_id, cards: accepted, rejected: rejected.into_iter().collect() };
    let command = BalanceCommand::HandIn { cards: Arc::new(handed_in), taken };
    committed(work.commit(&owner, command, parties, space, None).await?)
}

/// Cards of each user that are being handed in and may not be open yet.
pub type ComingCards = DashMap<UserId, usize>;

/// Counts cards among those of their user that come, until they are open or are not: what comes at the same time does not get
/// past a limit together.
struct Coming<'a> {
    among: &'a ComingCards,
    user_id: UserId,
    count: usize,
    /// With those that came before and are not open yet.
    in_all: usize,
}

impl<'a> Coming<'a> {
    fn announce(among: &'a ComingCards, user_id: UserId, count: usize) -> Self {
        let mut coming = among.entry(user_id).or_default();
        *coming += count;
        Self { among, user_id, count, in_all: *coming }
    }
}

impl Drop for Coming<'_> {
    fn drop(&mut self) {
        self.among.remove_if_mut(&self.user_id, |_, coming| {
            *coming -= self.count;
            *coming == 0
        });
    }
}

type Names = Vec<Arc<str>>;

/// What is wrong with some of them whatever others did; and the names of the rest, by shard and in their order.
fn sort(cards: &[Option<Named>]) -> (BTreeMap<u32, CardProblem>, BTreeMap<ShardId, Names>) {
    let (mut rejected, mut shards): (_, BTreeMap<ShardId, Names>) = (BTreeMap::new(), BTreeMap::new());
    let mut seen = HashSet::new();
    for (named, place) in cards.iter().zip(0..) {
        match named {
            None => drop(rejected.insert(place, CardProblem::Invalid)),
            Some(named) if !seen.insert(&named.name) => {
                rejected.insert(place, CardProblem::AlreadyUsed);
            }
            Some(named) => {
                let shard = cards::name(&named.name).shard();
                shards.entry(shard).or_default().push(named.name.clone());
            }
        }
    }
    for names in shards.values_mut() {
        names.sort_unstable();
    }
    (rejected, shards)
}

/// A batch reads the store for the next shard while it holds the names of those before: only others with the same codes wait
/// for that. Were all read before the first is held, a shard that forgets what was stored would send it back time and again.
///
/// Holds those of a shard's names that are free, if there are any. A batch leaves the others out of `names`; a single card is
/// refused.
async fn hold_names(
    work: &mut Work,
    shard: &Pin<Directory>,
    names: &mut Names,
    is_batch: bool,
) -> Result<Option<Box<dyn Party>>, Stop> {
    let engine = work.engine.clone();
    loop {
        let (wanted, namespace) = (names.clone(), Namespace::Card);
        let stored = engine.ground.store.read(|store| store.name_holders(namespace, &wanted)).await?;
        let (holders, read_at) = (stored.value, stored.watermark);
        let mut sought = sought_names(names, &holders);
        if is_batch {
            let free = move |glimpse: &mut Glimpse<'_, Directory>| {
                let is_free = |sought: &SoughtName| {
                    glimpse.entity.recent(&sought.name).unwrap_or(sought.stored).is_none()
                };
                // What was let go since may have freed a name.
                (read_at >= glimpse.let_go).then(|| sought.into_iter().filter(is_free).collect::<Vec<_>>())
            };
            let Some(free) = engine.view(shard, free).await? else { continue };
            sought = free;
            if sought.is_empty() {
                names.clear();
                return Ok(None);
            }
        }
        let held: Names = sought.iter().map(|sought| sought.name.name.clone()).collect();
        match work.claim(shard, sought, Some(read_at)).await {
            Ok(Some((hold, ()))) => {
                *names = held;
                return Ok(Some(Box::new(hold)));
            }
            Ok(None) => {}
            // Somebody took one of them in between.
            Err(Stop::Refused(_, key)) if is_batch => work.key = key,
            Err(stop) => return Err(stop),
        }
    }
}

fn sought_names(names: &Names, holders: &HashMap<String, u64>) -> Vec<SoughtName> {
    let sought =
        |name: &Arc<str>| SoughtName { name: cards::name(name), stored: holders.get(&**name).copied() };
    names.iter().map(sought).collect()
}
