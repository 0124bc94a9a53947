//! Golden records of gift cards: handed in, exchanged on accounts, paid and given back.

use super::{at, money, posting, text, uuid};
use purser::domain::account::{AccountStatus, Lock, LoginStatus, Transition, TransitionReason};
use purser::domain::country::Country;
use purser::domain::event::{Entry, Namespace};
use purser::domain::message::{Message, MessageKind, MessageRef, Payload};
use purser::domain::record::Snapshot;
use purser::domain::redemption::{
    CardFailure, CardProblem, HandedIn, NewCard, Redemption, RedemptionStatus, RedemptionStep, SealedCode,
};
use purser::domain::{
    AccountId, BatchId, EntryKind, Event, LIMIT, MessageId, Operation, Posting, RedemptionId, UserId,
};
use std::sync::Arc;

const USER: UserId = UserId::new(70_000);

fn new_card(n: u128) -> NewCard {
    NewCard {
        id: RedemptionId::new(uuid(n)),
        country: Country::parse("DE").expect("a country"),
        face_value: (n == 20).then(|| money(LIMIT)),
        code_name: format!("hash of {n}").into(),
        code_last4: "12AB".into(),
        code: SealedCode::new([0, 0xFF, 7, 200]),
    }
}

fn handed_in(numbers: &[u128], is_batch: bool) -> Arc<HandedIn> {
    let problems = vec![(3, CardProblem::AlreadyUsed), (9_999, CardProblem::Invalid)];
    Arc::new(HandedIn {
        user_id: USER,
        batch_id: is_batch.then(|| BatchId::new(uuid(22))),
        cards: numbers.iter().copied().map(new_card).collect(),
        rejected: if is_batch { problems } else { Vec::new() },
    })
}

fn step(to: RedemptionStatus) -> RedemptionStep {
    RedemptionStep::to(RedemptionId::new(uuid(20)), USER, to)
}

fn stepped(step: RedemptionStep) -> Event {
    Event::RedemptionStepped(Box::new(step))
}

fn lock() -> Lock {
    Lock {
        redemption_id: RedemptionId::new(uuid(20)),
        previous_status: AccountStatus::Waiting,
        fence: 300,
        since: at(16),
        deadline: at(17),
    }
}

fn transition(to: AccountStatus, reason: TransitionReason, lock: Option<Lock>, posting: Posting) -> Event {
    Event::AccountChanged(Box::new(Transition {
        account_id: AccountId::new(uuid(11)),
        from: AccountStatus::Locking,
        to,
        login: LoginStatus::Active,
        reason,
        lock,
        redemption_id: Some(RedemptionId::new(uuid(20))),
        posting,
    }))
}

/// A card as replies show it, without its code.
fn card(status: RedemptionStatus) -> Snapshot {
    let cards = handed_in(&[20], true);
    let card = cards.redemptions(at(15)).next().expect("a card");
    Snapshot::Redemption(Arc::new(Redemption { status, code: None, ..card }))
}

fn failure() -> Arc<CardFailure> {
    Arc::new(CardFailure { code: "refused".into(), detail: text("used\nbefore") })
}

pub fn cards(add: &mut impl FnMut(Operation, Vec<Event>, Option<Snapshot>)) {
    let (namespace, name) = (Namespace::Card, |n: u128| Arc::<str>::from(format!("hash of {n}")));
    let taken = |names: &[u128]| Event::NamesTaken {
        namespace,
        names: names.iter().copied().map(name).collect(),
        holder: USER.get(),
    };
    let freed =
        |names: &[u128]| Event::NamesFreed { namespace, names: names.iter().copied().map(name).collect() };
    let single = Event::CardsHandedIn(handed_in(&[20], false));
    add(Operation::HandInCards, vec![single, taken(&[20])], None);
    let batch = Event::CardsHandedIn(handed_in(&[20, 21], true));
    add(Operation::HandInCards, vec![batch, taken(&[21]), taken(&[20])], None);
    let nothing = Event::CardsHandedIn(handed_in(&[], true));
    add(Operation::HandInCards, vec![nothing], None);
    exchanges(add);
    ends(add, &freed);
    let cancelled = || stepped(step(RedemptionStatus::Cancelled));
    let shown = card(RedemptionStatus::Queued);
    add(Operation::CancelRedemption, vec![cancelled(), freed(&[20])], Some(shown));
    add(Operation::CancelBatch, vec![cancelled(), freed(&[20, 21]), freed(&[])], None);
}

/// An account is locked for a card, and nobody knows what the provider made of it.
fn exchanges(add: &mut impl FnMut(Operation, Vec<Event>, Option<Snapshot>)) {
    let (locking, lock_of) = (AccountStatus::Locking, || Some(lock()));
    let started = transition(locking, TransitionReason::ExchangeStarted, lock_of(), posting(0, 0, 3));
    let locked = Some((AccountId::new(uuid(11)), 300));
    let start = stepped(RedemptionStep { locked, ..step(RedemptionStatus::Locking) });
    add(Operation::StartRedemption, vec![started, start], Some(Snapshot::Lock(lock())));
    let doubted = transition(locking, TransitionReason::InDoubt, lock_of(), posting(0, 0, 4));
    let doubt = stepped(RedemptionStep { attempts: u32::MAX, ..step(RedemptionStatus::InDoubt) });
    add(Operation::DoubtRedemption, vec![doubted, doubt], None);
    let late = transition(locking, TransitionReason::LateAnswer, None, posting(0, 0, 5));
    add(Operation::EndRedemption, vec![late], None);
}

/// The card was taken and is paid at once or later, or it was not taken.
fn ends(add: &mut impl FnMut(Operation, Vec<Event>, Option<Snapshot>), freed: &impl Fn(&[u128]) -> Event) {
    let payout = Payload::RedeemCard { redemption_id: RedemptionId::new(uuid(20)), payout: money(854) };
    let id = MessageId::new(uuid(23));
    let message = Message { id, user_id: USER, payload: payout, created_at: at(18) };
    let taken = |paid, owed| {
        stepped(RedemptionStep {
            amount: Some(money(999)),
            payout: Some(money(854)),
            paid,
            owed,
            attempts: 1,
            ..step(RedemptionStatus::Succeeded)
        })
    };
    let (processing, completed) = (AccountStatus::Processing, AccountStatus::Completed);
    let succeeded = transition(processing, TransitionReason::ExchangeSucceeded, None, posting(999, 999, 4));
    let paid = taken(Some(posting(854, LIMIT, 6)), None);
    add(Operation::EndRedemption, vec![succeeded, paid], None);
    let reached = transition(completed, TransitionReason::TargetReached, None, posting(999, LIMIT, 5));
    let owed = || taken(None, Some(Arc::new(message)));
    let doubted = || Some(card(RedemptionStatus::InDoubt));
    add(Operation::ResolveRedemption, vec![reached, owed()], doubted());
    let untaken = |reason| transition(AccountStatus::Waiting, reason, None, posting(0, 0, 4));
    let failed = stepped(RedemptionStep { failure: Some(failure()), ..step(RedemptionStatus::Failed) });
    let end = vec![untaken(TransitionReason::ExchangeFailed), failed, freed(&[20])];
    add(Operation::EndRedemption, end, None);
    let entry = Entry {
        user_id: USER,
        kind: EntryKind::Payout,
        order_id: None,
        reference: Some(text(&uuid(20).to_string())),
        description: None,
        posting: posting(854, 1_708, 7),
    };
    let done = Event::MessageDone(MessageRef { id, kind: MessageKind::RedeemCard, user_id: USER });
    add(Operation::PayCard, vec![Event::EntryPosted(entry), done], None);
}
