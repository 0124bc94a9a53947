//! What the exchanger has written down: an account is locked for a card, the exchange is doubted, or it has ended, with all that
//! follows in one record.

use crate::domain::account::exchange::{CardRef, Ending, Settlement};
use crate::domain::account::{Account, AccountCommand, AccountView, Lock, TransitionReason};
use crate::domain::balance::{Balance, BalanceClaim, Room};
use crate::domain::card::CardCode;
use crate::domain::cards;
use crate::domain::message::{Message, Payload, error_text};
use crate::domain::redemption::Redemption;
use crate::domain::rejection::Missing;
use crate::domain::text::Text;
use crate::domain::{AccountId, Event, MessageId, Money, Operation, Outcome, Rejection};
use crate::engine::call::Call;
use crate::engine::items::directory;
use crate::engine::operate::{Miss, Stop, Work};
use crate::engine::orders::committed;
use crate::engine::{EngineError, Inner, ProviderChoice};
use crate::journal::HaltReason;
use crate::owners::mailbox::Committed;
use crate::owners::{Party, Pin};
use crate::provider::{HttpProvider, Provider};
use crate::redemption::{Exchanger, Intent, NotEnded, NotStarted, Notice, Pools, Steps};
use async_trait::async_trait;
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::mpsc;

/// What a redemption that is shown under a key takes in a record at most.
pub const SNAPSHOT_BYTES: usize = 1 << 10;

/// The exchanger's way to the engine.
pub struct Clerk(pub Weak<Inner>);

#[async_trait(?Send)]
impl Steps for Clerk {
    fn code(&self, card: &Redemption) -> Option<CardCode> {
        self.0.upgrade()?.card_codes.open(card.id, card.code.as_ref()?)
    }

    async fn start(
        &self,
        card: &CardRef,
        account_id: AccountId,
        timeout: Duration,
    ) -> Result<Lock, NotStarted> {
        let engine = self.0.upgrade().ok_or(NotStarted::Interrupted)?;
        let card = card.clone();
        let run = move |work: Work, ()| start(work, account_id, card, timeout);
        let reply = engine.operate(Call::for_exchange(), Operation::StartRedemption, (), run).await;
        match reply.map(|reply| reply.outcome) {
            Ok(Outcome::ExchangeStarted(lock)) => Ok(lock),
            Err(EngineError::Rejected { rejection, .. }) => Err(match rejection {
                Rejection::AccountNotFree | Rejection::NotFound(Missing::Account) => NotStarted::Account,
                _ => NotStarted::Card,
            }),
            Ok(_) | Err(_) => Err(NotStarted::Interrupted),
        }
    }

    async fn is_locked(&self, intent: &Intent) -> Option<bool> {
        let engine = self.0.upgrade()?;
        let account = engine.pin(&engine.accounts, intent.account_id, Missing::Account).await.ok()?;
        let lock = |view: AccountView| view.lock.is_some_and(|lock| lock.fence == intent.fence);
        let view = engine.view(&account, |glimpse| glimpse.entity.view()).await.ok()?;
        Some(view.is_some_and(lock))
    }

    async fn doubt(&self, intent: &Intent, attempts: u32, why: &str) -> Result<(), NotEnded> {
        let (intent, why) = (intent.clone(), error_text(why));
        let run = move |work: Work, ()| doubt(work, intent, attempts, why);
        self.write(Operation::DoubtRedemption, run).await
    }

    async fn end(&self, intent: &Intent, ending: Ending, attempts: u32) -> Result<(), NotEnded> {
        let intent = intent.clone();
        let run = move |work: Work, ()| end(work, intent, ending, attempts);
        self.write(Operation::EndRedemption, run).await
    }
}

impl Clerk {
    async fn write<F, Fut>(&self, operation: Operation, run: F) -> Result<(), NotEnded>
    where
        F: FnOnce(Work, ()) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Committed, Stop>> + Send + 'static,
    {
        let engine = self.0.upgrade().ok_or(NotEnded::Interrupted)?;
        match engine.operate(Call::for_exchange(), operation, (), run).await {
            Ok(_) => Ok(()),
            Err(EngineError::Rejected { rejection, .. }) => Err(NotEnded::Refused(rejection.to_string())),
            Err(_) => Err(NotEnded::Interrupted),
        }
    }
}

async fn start(
    mut work: Work,
    account_id: AccountId,
    card: CardRef,
    timeout: Duration,
) -> Result<Committed, Stop> {
    let engine = work.engine.clone();
    let account = engine.pin(&engine.accounts, account_id, Missing::Account).await?;
    let user = engine.pin(&engine.balances, card.user_id, Missing::User).await?;
    let _permits = (work.admit(&account)?, work.admit(&user)?);
    let space = work.space().await?;
    let claim = BalanceClaim::Card(card.redemption_id);
    let Some((held, ())) = work.claim(&user, claim, None).await? else {
        return Err(EngineError::Internal.into());
    };
    let deadline = engine.ground.clock.now().plus(timeout);
    let command = AccountCommand::Lock { card, deadline };
    committed(work.commit(&account, command, vec![Box::new(held)], space, None).await?)
}

async fn doubt(mut work: Work, intent: Intent, attempts: u32, why: Text) -> Result<Committed, Stop> {
    let engine = work.engine.clone();
    work.extra_bytes = why.as_str().len();
    let Intent { account_id, card, fence } = intent;
    let account = engine.pin(&engine.accounts, account_id, Missing::Account).await?;
    let user = engine.pin(&engine.balances, card.user_id, Missing::User).await?;
    let _permit = work.admit(&account)?;
    let space = work.space().await?;
    let command = AccountCommand::Doubt { card, fence, attempts, why };
    committed(work.commit(&account, command, vec![Box::new(user)], space, None).await?)
}

async fn end(mut work: Work, intent: Intent, ending: Ending, attempts: u32) -> Result<Committed, Stop> {
    let Intent { account_id, card, fence } = intent;
    let (redemption, said) = (card.redemption_id, format!("{ending:?}"));
    let settlement = Settlement { card, fence, ending, owed: None, attempts, operator: None };
    match settle(&mut work, account_id, settlement).await? {
        Ok(committed) => {
            if is_late(&committed) {
                tracing::error!(%redemption, account = %account_id, said, "the provider answered after the card was settled by \
                    hand: nothing was changed by it; compare the two");
            }
            Ok(committed)
        }
        Err(Miss::Refused(refused)) => Err(work.refused(refused.rejection, refused.as_of)),
        Err(Miss::Stale) => Err(EngineError::Internal.into()),
        Err(Miss::Failed(error)) => Err(error.into()),
    }
}

fn is_late(committed: &Committed) -> bool {
    let Committed::Recorded { record, .. } = committed else { return false };
    record.events.iter().any(|event| match event {
        Event::AccountChanged(transition) => transition.reason == TransitionReason::LateAnswer,
        _ => false,
    })
}

/// Has the account's owner decide what the exchange has come to, once.
pub async fn settle(
    work: &mut Work,
    account_id: AccountId,
    mut settlement: Settlement,
) -> Result<Result<Committed, Miss>, Stop> {
    let engine = work.engine.clone();
    let card = &settlement.card;
    let account = engine.pin(&engine.accounts, account_id, Missing::Account).await?;
    let user = engine.pin(&engine.balances, card.user_id, Missing::User).await?;
    let shard = match settlement.ending {
        Ending::Taken(_) => None,
        // Its code is free again.
        Ending::Untaken(_) => Some(directory(&engine, cards::name(&card.code_name).shard()).await?),
    };
    let _permits = (work.admit(&account)?, work.admit(&user)?);
    let payout = match &settlement.ending {
        Ending::Taken(amount) => payout(&engine, &account, *amount).await?,
        Ending::Untaken(failure) => {
            work.extra_bytes = work.extra_bytes.max(SNAPSHOT_BYTES + failure.detail.as_str().len());
            Money::ZERO
        }
    };
    let space = work.space().await?;
    let id = card.redemption_id;
    let claim = |room| match settlement.operator {
        Some(_) => BalanceClaim::Doubt { card: id, room: Room(room) },
        None => BalanceClaim::Room(Room(room)),
    };
    let mut party = claim_room(work, &user, claim(payout)).await?;
    if party.is_none() {
        // An end is never refused: what the balance has no room for is owed.
        let payload = Payload::RedeemCard { redemption_id: id, payout };
        let (user_id, created_at) = (settlement.card.user_id, engine.ground.clock.now());
        let message =
            Message { id: MessageId::new(engine.ground.clock.new_id()), user_id, payload, created_at };
        party = claim_room(work, &user, claim(Money::ZERO)).await?;
        settlement.owed = Some(Arc::new(message));
    }
    let mut parties: Vec<Box<dyn Party>> = party.into_iter().collect();
    parties.extend(shard.map(|shard| Box::new(shard) as Box<dyn Party>));
    Ok(work.attempt(&account, AccountCommand::Settle(settlement), parties, space, None).await)
}

/// The user's share, by the account's plan.
async fn payout(engine: &Inner, account: &Pin<Account>, amount: Money) -> Result<Money, EngineError> {
    let view = engine.view(account, |glimpse| glimpse.entity.view()).await?;
    let missing = || engine.edge_rejection(Rejection::NotFound(Missing::Account));
    Ok(view.ok_or_else(missing)?.account.payout.of(amount))
}

/// None when the balance has no room.
async fn claim_room(
    work: &mut Work,
    user: &Pin<Balance>,
    claim: BalanceClaim,
) -> Result<Option<Box<dyn Party>>, Stop> {
    match work.claim(user, claim, None).await {
        Ok(Some((hold, ()))) => Ok(Some(Box::new(hold))),
        Ok(None) => Err(EngineError::Internal.into()),
        Err(Stop::Refused(refused, key)) if refused.rejection == Rejection::BalanceLimit => {
            work.key = key;
            Ok(None)
        }
        Err(stop) => Err(stop),
    }
}

impl Inner {
    /// Starts the exchanger on one of the engine's own arbiters.
    pub(in crate::engine) fn start_exchanges(
        self: &Arc<Self>,
        listener: mpsc::UnboundedReceiver<Notice>,
        pools: Pools,
        under_way: Vec<Arc<Redemption>>,
    ) -> Result<(), String> {
        let (choice, clock) = (self.options.provider.clone(), self.ground.clock.clone());
        if let ProviderChoice::Http(options) = &choice {
            options.check()?;
            if options.secret.is_empty() {
                tracing::warn!(
                    "calls of the provider are not signed: set provider.secret, as the provider knows it"
                );
            }
        }
        let open = pools.waiting() + under_way.len();
        if matches!(choice, ProviderChoice::None) && open > 0 {
            tracing::warn!(
                cards = open,
                "gift cards wait, and there is no provider to send them to: set provider.url"
            );
        }
        let (options, control) = (self.options.exchange, self.exchange.clone());
        let exchanger =
            Exchanger { listener, pools, under_way, clock: clock.clone(), options, control: control.clone() };
        let (clerk, halt) = (Clerk(Arc::downgrade(self)), self.ground.halt.clone());
        self.homes.first().arbiter.spawn_fn(move || {
            let provider: Option<Rc<dyn Provider>> = match choice {
                ProviderChoice::None => None,
                ProviderChoice::Own(make) => Some(make()),
                ProviderChoice::Http(options) => match HttpProvider::new(&options, clock) {
                    Ok(provider) => Some(Rc::new(provider)),
                    Err(error) => {
                        halt.halt(HaltReason::Panic(format!("the provider's client ({error})")));
                        None
                    }
                },
            };
            let run = exchanger.run(Rc::new(clerk), provider);
            actix_rt::spawn(halt.guard("the exchanger", run));
        });
        Ok(())
    }
}
