//! A large batch whose server is killed again and again, with a provider that drops, delays and refuses: afterwards the
//! provider's ledger and ours agree card by card.

use crate::calls::{Call, CallLog, expect_no_blind_send, sends};
use crate::cards::{card, last4};
use crate::ledger::{Attempt, taken_for_good};
use crate::rig::simulator;
use crate::sentences::{id_of, number};
use crate::support::api::User;
use crate::support::journal::{keeping_its_journal, sound_journal};
use crate::support::server::Server;
use crate::support::simulator::Simulator;
use crate::support::store::durable_stores;
use crate::support::{Dice, eventually, setting};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const PAYOUT_BPS: u64 = 8_555;
const ACCOUNTS: usize = 20;

/// A card of any kind, and what it is worth; nothing if it is refused.
fn any_card(dice: &mut Dice) -> (String, Option<u64>) {
    // At least 2, so that each pays something.
    let amount = 2 + dice.roll(5_000);
    let rule = match dice.roll(20) {
        0 => return (card("INVALID"), None),
        1 => return (card("USED"), None),
        2 => "DROPB",
        3 => "DROPA",
        4 => "E500",
        5 => "R429",
        6 => "TWICE",
        7 => "SLOW20X",
        // Longer than the server waits.
        8 => "SLOW900X",
        _ => "OK",
    };
    (card(&format!("{rule}{amount}")), Some(amount))
}

/// Who takes part.
struct Scene<'a> {
    server: &'a Server,
    provider: &'a Simulator,
    log: &'a CallLog,
    user: &'a User,
    batch: &'a str,
    worth: &'a BTreeMap<String, Option<u64>>,
    accounts: &'a [String],
}

#[test]
fn after_every_kill_9_the_providers_ledger_and_ours_agree_card_by_card() {
    let cycles = setting("PURSER_REDEMPTION_CRASH_CYCLES", 3);
    let count = setting("PURSER_REDEMPTION_CRASH_CARDS", 200);
    for store in durable_stores() {
        eprintln!("on {}", store.name);
        let name = store.name;
        let provider = simulator(&["--latency-ms", "2"]);
        let setup = keeping_its_journal(provider.setup());
        let log = CallLog::new();
        let keeper = log.keeper();
        let setup = setup.store(store).env("PURSER__PROVIDER__TIMEOUT_MS", "400");
        let setup = setup.under(&keeper.each_ref().map(String::as_str));
        let mut server = setup.start();
        let (admin, user) = (server.admin(), server.buyer(0));
        let mut dice = Dice::new(31);
        let cards: Vec<_> = (0..count).map(|_| any_card(&mut dice)).collect();
        let codes: Vec<_> = cards.iter().map(|(code, _)| code.clone()).collect();
        let worth = cards.into_iter().collect();
        let batch = user.handed_in_all(&codes);
        let plan = admin.plan(1_000_000_000, PAYOUT_BPS);
        let accounts: Vec<_> = (0..ACCOUNTS).map(|_| admin.account(&plan)).collect();
        for cycle in 1..=cycles {
            let more = 1 + dice.roll((count / (cycles + 1)) as u64);
            eprintln!("cycle {cycle}: kill -9 after {more} more attempts");
            let reached = provider.ledger().len() as u64 + more;
            eventually("more cards reach the provider", || {
                let sent = provider.ledger().len() as u64 >= reached;
                (sent || number(&user.batch(&batch), "queued") == 0).then_some(())
            });
            server.kill9();
            if cycle % 3 == 0 {
                server.restart_and_kill9();
            }
            server.restart();
        }
        user.batch_ends(&batch);
        let look = |server: &Server| {
            let scene = Scene {
                server,
                provider: &provider,
                log: &log,
                user: &user,
                batch: &batch,
                worth: &worth,
                accounts: &accounts,
            };
            scene.expect_agreement()
        };
        let seen = look(&server);
        server.kill9();
        server.restart();
        assert_eq!(look(&server), seen);
        server.kill9();
        assert!(sound_journal(&server).len() > 2 * count, "each card began and ended");
        let kills = cycles + cycles / 3;
        println!("proof: tier=T2 what=kill-9-cards-{name} runs={kills} faults={kills} acks={count}");
    }
}

impl Scene<'_> {
    /// Card by card, account by account, and in sum. What was seen.
    #[track_caller]
    fn expect_agreement(&self) -> Vec<Value> {
        let redemptions = self.user.redemptions_of(self.batch);
        assert_eq!(redemptions.len(), self.worth.len());
        let mut attempts: BTreeMap<String, Vec<Attempt>> = BTreeMap::new();
        for attempt in self.provider.attempts() {
            attempts.entry(attempt.redemption_id.clone()).or_default().push(attempt);
        }
        let mut calls = self.log.calls();
        let mut left: BTreeSet<&String> = self.worth.keys().collect();
        let mut amounts = BTreeMap::<String, Vec<u64>>::new();
        for redemption in &redemptions {
            let attempts = attempts.remove(&id_of(redemption)).unwrap_or_default();
            let code = &attempts.first().unwrap_or_else(|| panic!("never sent: {redemption}")).code;
            assert!(left.remove(code), "sent for two redemptions, or never handed in: {attempts:?}");
            let calls = calls.remove(&id_of(redemption)).unwrap_or_default();
            if let Some(amount) = self.expect_card(redemption, code, &attempts, &calls) {
                let account = redemption["account_id"].as_str().expect("an account").to_owned();
                amounts.entry(account).or_default().push(amount);
            }
        }
        assert!(attempts.is_empty(), "sent for nobody: {attempts:?}");
        self.provider.expect_one_at_a_time();
        self.expect_sums(amounts);
        self.server.expect_clean_audit();
        redemptions
    }

    /// One card's story is the same on both sides. What it paid in.
    #[track_caller]
    fn expect_card(
        &self,
        redemption: &Value,
        code: &str,
        attempts: &[Attempt],
        calls: &[Call],
    ) -> Option<u64> {
        assert!(attempts.iter().all(|attempt| attempt.code == code), "two cards as one: {attempts:?}");
        assert_eq!(redemption["code_last4"], last4(code));
        let account = &redemption["account_id"];
        assert!(attempts.iter().all(|attempt| attempt.account == *account), "{redemption} {attempts:?}");
        assert!(attempts.len() <= sends(calls), "sent by nobody: {attempts:?} {calls:?}");
        expect_no_blind_send(calls);
        if let Some(amount) = self.worth[code] {
            assert_eq!((&redemption["status"], number(redemption, "amount")), (&"succeeded".into(), amount));
            assert_eq!(number(redemption, "payout"), amount * PAYOUT_BPS / 10_000);
            taken_for_good(attempts, amount);
            Some(amount)
        } else {
            assert_eq!(redemption["status"], "failed", "{redemption}");
            assert!(!attempts.iter().any(Attempt::took), "taken and failed: {attempts:?}");
            None
        }
    }

    /// `amounts`: what each account's cards were worth.
    #[track_caller]
    fn expect_sums(&self, mut amounts: BTreeMap<String, Vec<u64>>) {
        let all: Vec<u64> = amounts.values().flatten().copied().collect();
        let payout: u64 = all.iter().map(|amount| amount * PAYOUT_BPS / 10_000).sum();
        let figures = self.user.batch(self.batch);
        assert_eq!((number(&figures, "succeeded"), number(&figures, "payout")), (all.len() as u64, payout));
        assert_eq!(number(&figures, "amount"), all.iter().sum::<u64>());
        assert_eq!((self.user.balance(), self.user.entries().len()), (payout, all.len()));
        let admin = self.server.admin();
        for id in self.accounts {
            let view = admin.account_view(id);
            assert!(view["lock"].is_null() && view["status"] != "locking", "it stays locked: {view}");
            let amount: u64 = amounts.remove(id).unwrap_or_default().iter().sum();
            assert_eq!((number(&view, "balance"), number(&view, "redeemed_total")), (amount, amount));
        }
        assert!(amounts.is_empty(), "cards on accounts that do not exist: {amounts:?}");
    }
}
