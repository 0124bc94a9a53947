//! From the journal's records to plain facts. Fields are carried over as they stand; nothing is computed here.

use super::facts::{
    AccountState, AccountStep, CardState, CardStep, Cause, Entry, Fact, Key, Line, Lock, OrderState, Reason,
    Refusal, Short, Space, Step, Work,
};
use crate::domain::account::{self, AccountStatus, LoginStatus, Transition, TransitionReason};
use crate::domain::event::Namespace;
use crate::domain::message::{Message, Payload};
use crate::domain::order::{OrderLine, OrderStatus, ReturnLine};
use crate::domain::redemption::{RedemptionStatus, RedemptionStep};
use crate::domain::user::Role;
use crate::domain::withdrawal::WithdrawalStatus;
use crate::domain::{EntryKind, Event, MovementKind, Posting, Record, Rejection};

/// A record in plain words.
pub fn entry(record: &Record) -> Entry {
    let mut facts = Vec::with_capacity(record.events.len());
    for event in &record.events {
        event_facts(event, &mut facts);
    }
    let key = |used: &crate::domain::KeyUse| Key { caller: used.caller.get(), fingerprint: used.fingerprint };
    let refusal = |refused: &crate::domain::Refusal| Refusal {
        as_of: refused.as_of.get(),
        code: refused.rejection.code(),
        short: match refused.rejection {
            Rejection::InsufficientStock { product_id, requested, available } => {
                Some(Short::Stock { product: product_id.get(), asked: requested, available })
            }
            Rejection::InsufficientBalance { requested, available } => {
                Some(Short::Money { asked: requested.minor(), available: available.minor() })
            }
            _ => None,
        },
    };
    Entry {
        seq: record.seq.get(),
        at: record.at.micros(),
        caller: record.caller.map(crate::domain::UserId::get),
        key: record.key.as_ref().map(key),
        refusal: record.refusal.as_ref().map(refusal),
        facts,
    }
}

#[expect(clippy::too_many_lines, reason = "one arm for each event, so that none is forgotten")]
fn event_facts(event: &Event, facts: &mut Vec<Fact>) {
    let fact = match event {
        Event::ProductCreated { product_id, posting, .. }
        | Event::ProductChanged { product_id, posting, .. } => {
            Fact::Stock { product: product_id.get(), step: step(posting), cause: Cause::Free }
        }
        Event::StockMoved(moved) => {
            let cause = match moved.kind {
                MovementKind::Initial | MovementKind::Restock | MovementKind::Adjust => Cause::Free,
                MovementKind::Sale | MovementKind::Cancel | MovementKind::Return => Cause::Follows,
            };
            Fact::Stock { product: moved.product_id.get(), step: step(&moved.posting), cause }
        }
        Event::EntryPosted(entry) => {
            let cause = match entry.kind {
                EntryKind::Increment | EntryKind::Decrement => Cause::Free,
                EntryKind::TransferIn | EntryKind::TransferOut => Cause::Transfer,
                EntryKind::Order
                | EntryKind::Cancel
                | EntryKind::Return
                | EntryKind::Withdrawal
                | EntryKind::WithdrawalRejected
                | EntryKind::Payout => Cause::Follows,
            };
            Fact::Money { user: entry.user_id.get(), step: step(&entry.posting), cause }
        }
        Event::OrderPlaced(order) => Fact::Placed {
            order: order.id.get().as_u128(),
            user: order.user_id.get(),
            state: order_state(order.status),
            total: order.total.minor(),
            lines: order.lines.iter().map(order_line).collect(),
        },
        Event::OrderAdvanced { order_id, user_id, status } => {
            Fact::Advanced { order: order_id.get().as_u128(), user: user_id.get(), to: order_state(*status) }
        }
        Event::OrderFailed { order_id, user_id, .. } => {
            Fact::Advanced { order: order_id.get().as_u128(), user: user_id.get(), to: OrderState::Failed }
        }
        Event::GoodsReturned(goods) => Fact::Returned {
            order: goods.order_id.map(|id| id.get().as_u128()),
            user: goods.user_id.get(),
            total: goods.total.minor(),
            lines: goods.lines.iter().map(return_line).collect(),
        },
        Event::NameTaken { namespace, name, holder } => {
            Fact::Taken { space: space(*namespace), names: vec![name.to_string()], holder: *holder }
        }
        Event::NameFreed { namespace, name } => {
            Fact::Freed { space: space(*namespace), names: vec![name.to_string()] }
        }
        Event::NamesTaken { namespace, names, holder } => Fact::Taken {
            space: space(*namespace),
            names: names.iter().map(ToString::to_string).collect(),
            holder: *holder,
        },
        Event::NamesFreed { namespace, names } => {
            Fact::Freed { space: space(*namespace), names: names.iter().map(ToString::to_string).collect() }
        }
        Event::MessageQueued(message) => queued(message),
        Event::MessageFailed { message, attempt, next_attempt_at, .. } => Fact::Stumbled {
            message: message.id.get().as_u128(),
            attempt: *attempt,
            is_dead: next_attempt_at.is_none(),
        },
        Event::MessageDone(message) => Fact::Done { message: message.id.get().as_u128() },
        Event::MessageRetried { message, .. } => Fact::PutBack { message: message.id.get().as_u128() },
        Event::MessagePurged(message) => Fact::GivenUp { message: message.id.get().as_u128() },
        Event::WithdrawalRequested(asked) => Fact::Asked {
            withdrawal: asked.id.get().as_u128(),
            user: asked.user_id.get(),
            amount: asked.amount.minor(),
        },
        Event::WithdrawalEnded { withdrawal_id, user_id, status } => Fact::Ended {
            withdrawal: withdrawal_id.get().as_u128(),
            user: user_id.get(),
            is_paid: *status == WithdrawalStatus::Completed,
        },
        Event::PayoutCounted(payout) => {
            facts.push(queued(&payout.message));
            Fact::PaidOut {
                user: payout.user_id.get(),
                withdrawal: payout.withdrawal_id.get().as_u128(),
                step: step(&payout.posting),
            }
        }
        Event::AccountCreated { account, posting } => Fact::AccountMade {
            account: account.id.get().as_u128(),
            target: account.target.minor(),
            share: account.payout.get().into(),
            step: step(posting),
        },
        Event::AccountChanged(change) => Fact::Account(transition(change)),
        Event::CardsHandedIn(cards) => Fact::CardsIn {
            user: cards.user_id.get(),
            cards: cards
                .cards
                .iter()
                .map(|card| (card.id.get().as_u128(), card.code_name.to_string()))
                .collect(),
        },
        Event::RedemptionStepped(stepped) => {
            if let Some(message) = &stepped.owed {
                facts.push(queued(message));
            }
            if let Some(posting) = &stepped.paid {
                let (user, cause) = (stepped.user_id.get(), Cause::Follows);
                facts.push(Fact::Money { user, step: step(posting), cause });
            }
            Fact::Card(card_step(stepped))
        }
        Event::UserRegistered { user_id, profile } if profile.role == Role::Admin => {
            Fact::Administrator { user: user_id.get() }
        }
        // Not of this model: who may sign in, and what levels are called.
        Event::UserRegistered { .. }
        | Event::SessionOpened { .. }
        | Event::SessionRotated { .. }
        | Event::SessionRevoked { .. }
        | Event::DistributorUpgraded(_)
        | Event::LevelsSet(_)
        | Event::PlanCreated(_) => return,
    };
    facts.push(fact);
}

const fn step(posting: &Posting) -> Step {
    Step { delta: posting.delta, total: posting.total, version: posting.version }
}

fn order_line(line: &OrderLine) -> Line {
    (line.product_id.get(), line.quantity.get().into(), line.unit_price.minor())
}

fn return_line(line: &ReturnLine) -> Line {
    (line.product_id.get(), line.quantity.get().into(), line.unit_price.minor())
}

const fn order_state(status: OrderStatus) -> OrderState {
    match status {
        OrderStatus::Pending => OrderState::Pending,
        OrderStatus::Processed => OrderState::Processed,
        OrderStatus::Shipped => OrderState::Shipped,
        OrderStatus::Delivered => OrderState::Delivered,
        OrderStatus::Failed => OrderState::Failed,
        OrderStatus::Cancelled => OrderState::Cancelled,
    }
}

const fn space(namespace: Namespace) -> Space {
    match namespace {
        Namespace::Email => Space::Email,
        Namespace::Sku => Space::Sku,
        Namespace::Card => Space::Card,
    }
}

fn queued(message: &Message) -> Fact {
    let work = match message.payload {
        Payload::ProcessOrder { order_id, .. } => Work::DecideOrder(order_id.get().as_u128()),
        Payload::OrderShipped { .. } => Work::Tell,
        Payload::UpgradeCheck { .. } => Work::Check,
        Payload::RedeemCard { redemption_id, payout } => {
            Work::PayCard(redemption_id.get().as_u128(), payout.minor())
        }
    };
    Fact::Queued { message: message.id.get().as_u128(), work }
}

const fn account_state(status: AccountStatus) -> AccountState {
    match status {
        AccountStatus::Waiting => AccountState::Waiting,
        AccountStatus::Processing => AccountState::Processing,
        AccountStatus::Locking => AccountState::Locking,
        AccountStatus::Completed => AccountState::Completed,
    }
}

fn lock(lock: account::Lock) -> Lock {
    Lock {
        card: lock.redemption_id.get().as_u128(),
        fence: lock.fence,
        before: account_state(lock.previous_status),
    }
}

fn transition(change: &Transition) -> AccountStep {
    AccountStep {
        account: change.account_id.get().as_u128(),
        from: account_state(change.from),
        to: account_state(change.to),
        is_active: change.login == LoginStatus::Active,
        reason: match change.reason {
            TransitionReason::Created => Reason::Made,
            TransitionReason::LoggedIn => Reason::LoggedIn,
            TransitionReason::LoggedOut => Reason::LoggedOut,
            TransitionReason::CompletedByOperator => Reason::EndedByHand,
            TransitionReason::ExchangeStarted => Reason::Started,
            TransitionReason::InDoubt => Reason::Doubted,
            TransitionReason::ExchangeSucceeded => Reason::Succeeded,
            TransitionReason::TargetReached => Reason::TargetReached,
            TransitionReason::ExchangeFailed => Reason::Failed,
            TransitionReason::LateAnswer => Reason::Late,
        },
        lock: change.lock.map(lock),
        card: change.redemption_id.map(|id| id.get().as_u128()),
        step: step(&change.posting),
    }
}

fn card_step(stepped: &RedemptionStep) -> CardStep {
    CardStep {
        card: stepped.redemption_id.get().as_u128(),
        user: stepped.user_id.get(),
        to: match stepped.to {
            RedemptionStatus::Queued => CardState::Queued,
            RedemptionStatus::Locking => CardState::Locking,
            RedemptionStatus::InDoubt => CardState::InDoubt,
            RedemptionStatus::Succeeded => CardState::Succeeded,
            RedemptionStatus::Failed => CardState::Failed,
            RedemptionStatus::Cancelled => CardState::Cancelled,
        },
        locked: stepped.locked.map(|(id, fence)| (id.get().as_u128(), fence)),
        amount: stepped.amount.map(|amount| amount.minor()),
        payout: stepped.payout.map(|payout| payout.minor()),
        is_owed: stepped.owed.is_some(),
    }
}
