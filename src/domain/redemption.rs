//! A redemption: one gift card that a user handed in. It is state of the user's balance, queued there until an account is
//! free; from the lock of that account to the provider's answer the account's owner decides what becomes of it.

use super::country::Country;
use super::event::{Entry, EntryKind, Event, Posting, words};
use super::ids::{AccountId, BatchId, RedemptionId, Seq, UserId};
use super::message::Message;
use super::money::Money;
use super::text::Text;
use super::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// `queued` → `locking` → `succeeded` or `failed`; in between perhaps `in_doubt`; from `queued` alone also `cancelled`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RedemptionStatus {
    /// Waits for an account.
    Queued,
    /// An account is locked for it; the provider may be asked from now on.
    Locking,
    Succeeded,
    Failed,
    /// The provider may have taken the card.
    InDoubt,
    Cancelled,
}

words!(RedemptionStatus {
    Queued = "queued",
    Locking = "locking",
    Succeeded = "succeeded",
    Failed = "failed",
    InDoubt = "in_doubt",
    Cancelled = "cancelled",
});

impl RedemptionStatus {
    /// Whether anything can still become of it.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Queued | Self::Locking | Self::InDoubt)
    }
}

/// A card's code as it is kept until the card is exchanged: only whoever has the engine's key can open it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SealedCode(Arc<[u8]>);

impl SealedCode {
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Self {
        Self(bytes.into())
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SealedCode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("SealedCode")
    }
}

/// Why a card was not redeemed, or not yet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CardFailure {
    /// `refused` by the provider, `resolved` by an operator, or `in_doubt`.
    pub code: Arc<str>,
    pub detail: Text,
}

/// Cards in one record, at most.
pub const CARDS_MAX: usize = 10_000;
/// What a place leaves room for: cards in one record.
pub const PLACES: u64 = 1 << 14;
const _: () = assert!(CARDS_MAX as u64 <= PLACES);

/// Where a card stands among all: behind those of earlier records, and behind those before it in its own.
pub const fn place_of(seq: Seq, place: u32) -> u64 {
    seq.get() * PLACES + place as u64
}

/// A card as it was handed in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NewCard {
    pub id: RedemptionId,
    pub country: Country,
    /// What the user says that it is worth.
    pub face_value: Option<Money>,
    /// The code's keyed hash: its name in the directory.
    pub code_name: Arc<str>,
    pub code_last4: Arc<str>,
    pub code: SealedCode,
}

/// Why a card of a batch was not taken in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum CardProblem {
    /// Somebody handed it in before, perhaps within the same batch.
    AlreadyUsed,
    /// Its code, country or face value is none.
    Invalid,
}

words!(CardProblem { AlreadyUsed = "code_already_used", Invalid = "validation_failed" });

/// Cards that were handed in together.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HandedIn {
    pub user_id: UserId,
    /// None for a single card.
    pub batch_id: Option<BatchId>,
    /// In their order; up to [`CARDS_MAX`].
    pub cards: Vec<NewCard>,
    /// Those that were not taken in, by their place in the request.
    pub rejected: Vec<(u32, CardProblem)>,
}

impl HandedIn {
    /// The redemptions that they are the beginning of.
    pub fn redemptions(&self, at: Timestamp) -> impl Iterator<Item = Redemption> {
        self.cards.iter().zip(0..).map(move |(card, place)| Redemption {
            id: card.id,
            user_id: self.user_id,
            batch_id: self.batch_id,
            place,
            country: card.country,
            face_value: card.face_value,
            status: RedemptionStatus::Queued,
            account_id: None,
            fence: 0,
            amount: None,
            payout: None,
            failure: None,
            attempts: 0,
            code_name: card.code_name.clone(),
            code_last4: card.code_last4.clone(),
            code: Some(card.code.clone()),
            created_at: at,
            updated_at: at,
        })
    }
}

/// A redemption with all that happened to it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Redemption {
    pub id: RedemptionId,
    pub user_id: UserId,
    pub batch_id: Option<BatchId>,
    /// Its place within the record that handed it in.
    pub place: u32,
    pub country: Country,
    pub face_value: Option<Money>,
    pub status: RedemptionStatus,
    pub account_id: Option<AccountId>,
    /// Of the account's lock for it.
    pub fence: u64,
    pub amount: Option<Money>,
    pub payout: Option<Money>,
    pub failure: Option<Arc<CardFailure>>,
    /// How often the provider was asked to take it, as far as that is written down: with a doubt, and with the end.
    pub attempts: u32,
    pub code_name: Arc<str>,
    pub code_last4: Arc<str>,
    /// Until it ends.
    pub code: Option<SealedCode>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// One step of a redemption, as its user's balance takes it in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RedemptionStep {
    pub redemption_id: RedemptionId,
    pub user_id: UserId,
    pub to: RedemptionStatus,
    /// The account that is locked for it from now on, and the lock's fence.
    pub locked: Option<(AccountId, u64)>,
    pub amount: Option<Money>,
    /// The user's share of it.
    pub payout: Option<Money>,
    pub failure: Option<Arc<CardFailure>>,
    /// The payout as an entry of the balance …
    pub paid: Option<Posting>,
    /// … or, while the balance has no room for it, as a message that pays it later.
    pub owed: Option<Arc<Message>>,
    /// How often the provider was asked to take it since the step before.
    pub attempts: u32,
}

impl RedemptionStep {
    /// A step that says nothing but where it leads.
    pub const fn to(redemption_id: RedemptionId, user_id: UserId, to: RedemptionStatus) -> Self {
        Self {
            redemption_id,
            user_id,
            to,
            locked: None,
            amount: None,
            payout: None,
            failure: None,
            paid: None,
            owed: None,
            attempts: 0,
        }
    }
}

impl RedemptionStep {
    /// The entry that the payout makes on the balance.
    pub fn entry(&self) -> Option<Entry> {
        Some(payout_entry(self.redemption_id, self.user_id, self.paid?))
    }
}

/// A payout as an entry, which refers to the redemption.
pub fn payout_entry(id: RedemptionId, user_id: UserId, posting: Posting) -> Entry {
    let reference = Some(Text::stored(id.to_string()));
    Entry { user_id, kind: EntryKind::Payout, order_id: None, reference, description: None, posting }
}

impl Redemption {
    /// Takes in a step of this redemption; those of others are ignored.
    pub fn apply(&mut self, event: &Event, at: Timestamp) {
        let Event::RedemptionStepped(step) = event else { return };
        if step.redemption_id != self.id {
            return;
        }
        self.status = step.to;
        if let Some((account_id, fence)) = step.locked {
            (self.account_id, self.fence) = (Some(account_id), fence);
        }
        self.amount = step.amount.or(self.amount);
        self.payout = step.payout.or(self.payout);
        self.attempts += step.attempts;
        self.failure.clone_from(&step.failure);
        if !step.to.is_open() {
            self.code = None;
        }
        self.updated_at = at;
    }
}
