//! The part of a story that tells of gift cards: handed in, exchanged on accounts, and paid.

use super::{AWKWARD, Story};
use purser::domain::account::exchange::{CardRef, Ending, Settlement};
use purser::domain::account::{AccountCommand, AccountStatus, LoginStatus};
use purser::domain::balance::BalanceCommand;
use purser::domain::cards;
use purser::domain::country::Country;
use purser::domain::entity::{Decision, Entity, Verdict};
use purser::domain::ids::ShardId;
use purser::domain::message::{Message, MessageStep, MessageTurn, Payload};
use purser::domain::redemption::{
    CardFailure, CardProblem, HandedIn, NewCard, Redemption, RedemptionStatus, SealedCode, place_of,
};
use purser::domain::text::Text;
use purser::domain::{
    AccountId, BatchId, Event, LIMIT, MessageId, Money, Operation, RedemptionId, Rejection, Seq, Timestamp,
    UserId,
};
use purser::store::Row;
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

impl Story {
    /// Cards at every stage, the first of them as large as can be.
    pub fn cards_at_every_stage(&mut self, one: UserId, other: UserId) {
        let (large, shares) = (self.plan(1, 9_999), self.plan(LIMIT, 8_550));
        let large = self.open_accounts(large, &["DE"])[0];
        let shares = self.open_accounts(shares, &["DE", "FR", "DE"]);
        let card = self.hand_in(one, "LARGE-0001");
        self.start(card, large);
        self.taken_and_owed(card, LIMIT);
        let (batch, cards) = self.hand_in_batch(other, &["PAID-1", "OWED-2", "OWED-3", "NOT-4"]);
        self.start(cards[0], shares[0]);
        self.taken(cards[0], 999);
        for (card, amount) in [(cards[1], 1_001), (cards[2], 7)] {
            self.start(card, shares[0]);
            self.doubt(card);
            self.taken_and_owed(card, amount);
            self.fail(self.last_message(), Some(9));
        }
        self.pay_card(self.last_message());
        self.cancel_batch(batch);
        let refused = self.hand_in(one, "REFUSED-0");
        self.start(refused, shares[0]);
        self.untaken(refused);
        self.hand_in(other, "REFUSED-0");
        let card = self.hand_in(one, "RESOLVED");
        self.start(card, shares[0]);
        self.doubt(card);
        self.resolve(card, untaken("resolved"));
        self.answer_late(card);
        for (code, amount) in [("WORTHLESS", 0), ("CRUMB", 1)] {
            let card = self.hand_in(other, code);
            self.start(card, shares[2]);
            self.taken(card, amount);
        }
        let (_, cards) = self.hand_in_batch(one, &["GIVEN", "BACK", "LOCKED", "DOUBT", "QUEUED"]);
        self.cancel_card(cards[0]);
        self.cancel_card(cards[1]);
        self.hand_in_batch(other, &[]);
        self.start(cards[2], shares[0]);
        self.start(cards[3], shares[1]);
        self.doubt(cards[3]);
        self.set_login(shares[0], LoginStatus::Inactive);
    }

    /// A card that is being exchanged, whatever else the story tells.
    pub fn exchange_begun(&mut self, user_id: UserId) -> RedemptionId {
        let plan = self.plan(LIMIT, 10_000);
        let account = self.open_accounts(plan, &["DE"])[0];
        let card = self.hand_in(user_id, &format!("BEGUN{}", self.last()));
        self.start(card, account);
        card
    }

    /// Something happens to some card.
    pub fn busy_card(&mut self, user_id: UserId, next: &mut impl FnMut(u64) -> u64) {
        let queued = self.in_status(RedemptionStatus::Queued);
        let (locked, doubted) =
            (self.in_status(RedemptionStatus::Locking), self.in_status(RedemptionStatus::InDoubt));
        let account = self.accounts.values().filter_map(|account| account.view()).find(|view| {
            view.lock.is_none()
                && view.login == LoginStatus::Active
                && view.status != AccountStatus::Completed
                && view.account.target > Money::new(1).expect("money")
        });
        let amount = next(2_000) as i64;
        match (next(10), account, queued, locked.or(doubted)) {
            (0, ..) => _ = self.hand_in(user_id, &format!("CARD{}", self.last())),
            (1, ..) => {
                let codes = ["A", "B", "C"].map(|end| format!("BATCH{}{end}", self.last()));
                self.hand_in_batch(user_id, &codes.each_ref().map(|code| code.as_str()));
            }
            (2, _, Some(card), _) if next(3) == 0 => self.cancel_card(card),
            (2..=4, Some(view), Some(card), _) => self.start(card, view.account.id),
            (5, _, _, Some(card)) => self.doubt(card),
            (6, _, _, Some(card)) => self.untaken(card),
            (7, _, _, Some(card)) => self.taken_and_owed(card, amount),
            (8, ..) if doubted.is_some() => _ = doubted.map(|card| self.resolve(card, taken(amount))),
            (8 | 9, _, _, Some(card)) => self.taken(card, amount),
            _ => {
                let plan = self.plan(LIMIT, 10_000 / (1 + next(7) as u32));
                self.open_accounts(plan, &["DE", "FR"]);
            }
        }
    }

    /// The first card that stands so.
    fn in_status(&self, status: RedemptionStatus) -> Option<RedemptionId> {
        let mut cards = self.redemptions.values().map(|row| &row.value);
        cards.find(|card| card.status == status).map(|card| card.id)
    }

    /// A single card.
    pub fn hand_in(&mut self, user_id: UserId, code: &str) -> RedemptionId {
        self.take_in(user_id, None, &[code])[0]
    }

    pub fn hand_in_batch(&mut self, user_id: UserId, codes: &[&str]) -> (BatchId, Vec<RedemptionId>) {
        let id = BatchId::new(self.id());
        (id, self.take_in(user_id, Some(id), codes))
    }

    fn take_in(&mut self, user_id: UserId, batch_id: Option<BatchId>, codes: &[&str]) -> Vec<RedemptionId> {
        let card = |(code, place): (&&str, u32)| NewCard {
            id: RedemptionId::new(Uuid::from_u128(self.id().as_u128() + 1 + u128::from(place))),
            country: Country::parse(if place % 2 == 0 { "DE" } else { "FR" }).expect("a country"),
            face_value: Money::new(LIMIT).filter(|_| place % 2 == 0),
            code_name: code_name(code),
            code_last4: code[code.len() - 4.min(code.len())..].into(),
            code: sealed(code),
        };
        let cards: Vec<_> = codes.iter().zip(0..).map(card).collect();
        let ids = cards.iter().map(|card| card.id).collect();
        let mut shards: BTreeMap<ShardId, Vec<Arc<str>>> = BTreeMap::new();
        for card in &cards {
            let shard = cards::name(&card.code_name).shard();
            shards.entry(shard).or_default().push(card.code_name.clone());
        }
        let rejected = match batch_id {
            Some(_) => vec![(7, CardProblem::AlreadyUsed), (8, CardProblem::Invalid)],
            None => Vec::new(),
        };
        let cards = Arc::new(HandedIn { user_id, batch_id, cards, rejected });
        let command = BalanceCommand::HandIn { cards, taken: shards.into_values().collect() };
        self.step_cards(Operation::HandInCards, Some(user_id), user_id, &command);
        ids
    }

    /// An account is locked for the card.
    pub fn start(&mut self, id: RedemptionId, account_id: AccountId) {
        let command = AccountCommand::Lock { card: self.card(id), deadline: self.now().plus_seconds(30) };
        self.exchange(Operation::StartRedemption, account_id, &command);
    }

    pub fn doubt(&mut self, id: RedemptionId) {
        let (account_id, fence) = self.locked(id);
        let command = AccountCommand::Doubt {
            card: self.card(id),
            fence,
            attempts: 2,
            why: Text::stored("no answer".into()),
        };
        self.exchange(Operation::DoubtRedemption, account_id, &command);
    }

    pub fn taken(&mut self, id: RedemptionId, amount: i64) {
        self.settle(Operation::EndRedemption, id, taken(amount), None);
    }

    /// As [`Self::taken`], but the payout has to wait.
    pub fn taken_and_owed(&mut self, id: RedemptionId, amount: i64) {
        let (account_id, _) = self.locked(id);
        let payout = self.account(account_id).account.payout.of(Money::new(amount).expect("money"));
        if payout == Money::ZERO {
            return self.taken(id, amount);
        }
        let user_id = self.redemptions[&id].value.user_id;
        let message = self.message(user_id, Payload::RedeemCard { redemption_id: id, payout });
        self.settle(Operation::EndRedemption, id, taken(amount), Some(message));
    }

    pub fn untaken(&mut self, id: RedemptionId) {
        self.settle(Operation::EndRedemption, id, untaken("refused"), None);
    }

    /// An operator settles a doubt.
    pub fn resolve(&mut self, id: RedemptionId, ending: Ending) {
        self.settle(Operation::ResolveRedemption, id, ending, None);
    }

    /// The provider answers when all is over.
    pub fn answer_late(&mut self, id: RedemptionId) {
        self.settle(Operation::EndRedemption, id, taken(5), None);
    }

    fn settle(&mut self, operation: Operation, id: RedemptionId, ending: Ending, owed: Option<Arc<Message>>) {
        let (account_id, fence) = self.locked(id);
        let by_operator = operation == Operation::ResolveRedemption;
        let operator = by_operator.then(|| self.shown(id));
        let settlement = Settlement { card: self.card(id), fence, ending, owed, attempts: 1, operator };
        self.exchange(operation, account_id, &AccountCommand::Settle(settlement));
    }

    pub fn cancel_card(&mut self, id: RedemptionId) {
        let card = Arc::new(self.redemptions[&id].value.clone());
        let user_id = card.user_id;
        let command = BalanceCommand::CancelCard(card);
        self.step_cards(Operation::CancelRedemption, Some(user_id), user_id, &command);
    }

    pub fn cancel_batch(&mut self, id: BatchId) {
        let user_id = self.batches[&id].0;
        let command = BalanceCommand::CancelBatch(id);
        self.step_cards(Operation::CancelBatch, Some(user_id), user_id, &command);
    }

    /// Makes a payout that was owed, if there is room for it by now.
    pub fn pay_card(&mut self, id: MessageId) {
        let open = self.messages[&id].value.clone();
        let user_id = open.message.user_id;
        let step = MessageStep::Finish { attempt: open.attempt() };
        let turn = MessageTurn { open: Some(open), ..MessageTurn::new(id, step) };
        let command = BalanceCommand::PayCard(turn);
        let verdict = self.balances[&user_id].decide(&command, self.now(), false);
        if verdict != Verdict::Refused(Rejection::BalanceLimit) {
            self.decided(Operation::PayCard, None, verdict);
        }
    }

    fn exchange(&mut self, operation: Operation, account_id: AccountId, command: &AccountCommand) {
        let verdict = self.accounts[&account_id].decide(command, self.now(), false);
        let caller = (operation == Operation::ResolveRedemption).then(|| UserId::new(1));
        self.decided(operation, caller, verdict);
    }

    fn step_cards(
        &mut self,
        operation: Operation,
        caller: Option<UserId>,
        user_id: UserId,
        command: &BalanceCommand,
    ) {
        let verdict = self.balances[&user_id].decide(command, self.now(), false);
        self.decided(operation, caller, verdict);
    }

    fn decided(&mut self, operation: Operation, caller: Option<UserId>, verdict: Verdict<Decision>) {
        let Verdict::Granted(decision) = verdict else { panic!("{operation:?}: {verdict:?}") };
        if !decision.is_void() {
            let events = [decision.own, decision.foreign].concat();
            self.push(operation, caller, events, decision.snapshot);
        }
    }

    fn card(&self, id: RedemptionId) -> CardRef {
        CardRef::of(&self.redemptions[&id].value)
    }

    /// The account that the card was locked for last, and the lock's fence.
    fn locked(&self, id: RedemptionId) -> (AccountId, u64) {
        let card = &self.redemptions[&id].value;
        (card.account_id.expect("it was started"), card.fence)
    }

    fn shown(&self, id: RedemptionId) -> Arc<Redemption> {
        Arc::new(Redemption { code: None, ..self.redemptions[&id].value.clone() })
    }

    pub(super) fn apply_redemption(&mut self, event: &Event, seq: Seq, at: Timestamp) {
        let user_id = match event {
            Event::CardsHandedIn(cards) => {
                for value in cards.redemptions(at) {
                    let cursor = place_of(seq, value.place);
                    self.redemptions.insert(value.id, Row { cursor, value });
                }
                if let Some(id) = cards.batch_id {
                    self.batches.insert(id, (cards.user_id, cards.cards.len() as u32));
                }
                cards.user_id
            }
            Event::RedemptionStepped(step) => {
                self.redemptions.entry(step.redemption_id).and_modify(|row| row.value.apply(event, at));
                step.user_id
            }
            _ => return,
        };
        self.balances.entry(user_id).and_modify(|balance| balance.apply(event, at));
    }
}

pub fn taken(amount: i64) -> Ending {
    Ending::Taken(Money::new(amount).expect("money"))
}

pub fn untaken(code: &str) -> Ending {
    Ending::Untaken(Arc::new(CardFailure {
        code: code.into(),
        detail: Text::parse(AWKWARD).expect("a text"),
    }))
}

/// What a code is called in the directory, as far as a story is concerned.
pub fn code_name(code: &str) -> Arc<str> {
    format!("hash of {code}").into()
}

/// Not a secret here, but bytes that are no text.
pub fn sealed(code: &str) -> SealedCode {
    SealedCode::new([code.as_bytes(), &[0, 0xff, b'\'']].concat())
}
