//! Cards whose provider is gone or does not say: they stay in doubt until an administrator settles them.

use crate::cards::ok;
use crate::rig::simulator;
use crate::scripted::{Answer, Scripted};
use crate::sentences::number;
use crate::support::api::User;
use crate::support::expect::{expect_invalid, expect_problem};
use crate::support::server::Server;
use crate::support::store::{Store, stores};
use crate::support::{eventually, race};
use serde_json::{Value, json};

fn taken(amount: u64) -> Value {
    json!({"outcome": "succeeded", "amount": amount})
}

fn not_taken() -> Value {
    json!({"outcome": "failed"})
}

/// What happens to an account whose card is in doubt.
const IN_DOUBT: [&str; 2] = ["waiting > locking: exchange_started", "locking > locking: in_doubt"];

/// A server with one account, whose only card was at the provider when that went away for good.
struct Doubt {
    server: Server,
    user: User,
    account: String,
    card: String,
    id: String,
}

impl Doubt {
    #[track_caller]
    fn on(store: Store) -> Self {
        eprintln!("on {}", store.name);
        let provider = Scripted::start(|_| Answer::Held);
        let doubt = Self::before(store, &provider);
        provider.vanish();
        doubt.user.becomes(&doubt.id, "in_doubt");
        doubt
    }

    /// Still with the provider.
    #[track_caller]
    fn before(store: Store, provider: &Scripted) -> Self {
        let server = provider.setup().store(store).start();
        let (user, card) = (server.buyer(0), ok(500));
        let account = server.admin().account(&server.admin().plan(10_000, 5_000));
        let id = user.handed_in(&card);
        eventually("the card is sent", || (provider.held() == 1).then_some(()));
        Self { server, user, account, card, id }
    }

    #[track_caller]
    fn expect_still_in_doubt(&self) {
        assert_eq!(self.user.redemption(&self.id)["status"], "in_doubt");
        let view = self.server.admin().account_view(&self.account);
        assert_eq!((&view["status"], &view["lock"]["redemption_id"]), (&json!("locking"), &json!(self.id)));
        assert_eq!((number(&view, "balance"), self.user.balance()), (0, 0));
    }
}

#[test]
fn a_provider_that_goes_away_in_the_middle_leaves_the_card_in_doubt_and_its_account_locked() {
    for store in stores() {
        let mut doubt = Doubt::on(store);
        for _ in 0..2 {
            doubt.expect_still_in_doubt();
            expect_problem(&doubt.user.hand_in(&doubt.card), 409, "code_already_used");
            expect_problem(&doubt.user.cancel_card(&doubt.id), 409, "invalid_state");
            assert_eq!(doubt.server.story(&doubt.account), IN_DOUBT);
            doubt.server.kill9();
            doubt.server.restart();
        }
        // Nobody else gets the account.
        let waits = doubt.user.handed_in(&ok(100));
        doubt.server.drains();
        assert_eq!(doubt.user.redemption(&waits)["status"], "queued");
        doubt.expect_still_in_doubt();
        doubt.server.expect_clean_audit();
    }
}

#[test]
fn a_card_at_a_provider_that_did_not_outlive_the_server_can_be_settled_too() {
    for store in stores() {
        eprintln!("on {}", store.name);
        let provider = Scripted::start(|_| Answer::Held);
        let mut doubt = Doubt::before(store, &provider);
        doubt.server.kill9();
        provider.vanish();
        doubt.server.restart();
        doubt.user.becomes(&doubt.id, "in_doubt");
        doubt.expect_still_in_doubt();
        doubt.server.admin().settle(&doubt.id, &taken(500)).expect(200);
        assert_eq!(doubt.user.balance(), 250);
        doubt.server.expect_clean_audit();
    }
}

#[test]
fn a_provider_that_is_killed_while_it_exchanges_a_card_leaves_it_in_doubt() {
    for store in stores() {
        eprintln!("on {}", store.name);
        let provider = simulator(&["--latency-ms", "600000"]);
        let setup = provider.setup().store(store).env("PURSER__PROVIDER__TIMEOUT_MS", "120000");
        let server = setup.start();
        let (admin, user) = (server.admin(), server.buyer(0));
        let account = admin.account(&admin.plan(10_000, 10_000));
        let id = user.handed_in(&ok(500));
        eventually("the card is at the provider", || (provider.ledger().len() == 1).then_some(()));
        assert_eq!(user.redemption(&id)["status"], "locking");
        // Kills the process.
        drop(provider);
        user.becomes(&id, "in_doubt");
        assert_eq!(admin.account_view(&account)["lock"]["redemption_id"], id);
        admin.settle(&id, &taken(500)).expect(200);
        assert_eq!((user.balance(), number(&admin.account_view(&account), "balance")), (500, 500));
        server.expect_clean_audit();
    }
}

#[test]
fn an_administrator_settles_what_was_taken() {
    for store in stores() {
        let mut doubt = Doubt::on(store);
        let settled = doubt.server.admin().settle(&doubt.id, &taken(499)).expect(200);
        assert_eq!((&settled["status"], number(&settled, "amount")), (&json!("succeeded"), 499));
        assert_eq!((number(&settled, "payout"), &settled["failure"]), (249, &Value::Null));
        for _ in 0..2 {
            assert_eq!(doubt.user.redemption(&doubt.id), settled);
            assert_eq!((doubt.user.balance(), doubt.user.entries().len()), (249, 1));
            let view = doubt.server.admin().account_view(&doubt.account);
            assert_eq!((&view["status"], &view["lock"]), (&json!("processing"), &Value::Null));
            assert_eq!(number(&view, "redeemed_total"), 499);
            expect_problem(&doubt.user.hand_in(&doubt.card), 409, "code_already_used");
            for again in [taken(499), not_taken()] {
                expect_problem(&doubt.server.admin().settle(&doubt.id, &again), 409, "invalid_state");
            }
            doubt.server.kill9();
            doubt.server.restart();
        }
        let end = ["locking > processing: exchange_succeeded"];
        assert_eq!(doubt.server.story(&doubt.account), [&IN_DOUBT[..], &end].concat());
        doubt.server.expect_clean_audit();
    }
}

#[test]
fn an_administrator_settles_what_was_not_taken() {
    for store in stores() {
        let mut doubt = Doubt::on(store);
        let settled = doubt.server.admin().settle(&doubt.id, &not_taken()).expect(200);
        assert_eq!((&settled["status"], &settled["failure"]["code"]), (&json!("failed"), &json!("resolved")));
        for _ in 0..2 {
            assert_eq!(doubt.user.redemption(&doubt.id), settled);
            assert_eq!((doubt.user.balance(), doubt.user.entries().len()), (0, 0));
            let view = doubt.server.admin().account_view(&doubt.account);
            assert_eq!((&view["status"], &view["lock"]), (&json!("waiting"), &Value::Null));
            for again in [taken(500), not_taken()] {
                expect_problem(&doubt.server.admin().settle(&doubt.id, &again), 409, "invalid_state");
            }
            doubt.server.kill9();
            doubt.server.restart();
        }
        let end = ["locking > waiting: exchange_failed"];
        assert_eq!(doubt.server.story(&doubt.account), [&IN_DOUBT[..], &end].concat());
        doubt.user.handed_in(&doubt.card);
        doubt.server.expect_clean_audit();
    }
}

#[test]
fn settling_under_a_key_is_answered_alike_and_done_once() {
    for store in stores() {
        let mut doubt = Doubt::on(store);
        let resolve = format!("/redemptions/{}/resolve", doubt.id);
        let settle = |server: &Server, body: &Value| server.admin().post_keyed("settle", &resolve, body);
        let first = settle(&doubt.server, &taken(500)).expect(200);
        for _ in 0..2 {
            let again = settle(&doubt.server, &taken(500));
            assert_eq!(again.header("Idempotency-Replayed"), Some("true"));
            assert_eq!(again.expect(200), first);
            expect_problem(&settle(&doubt.server, &not_taken()), 422, "idempotency_key_reused");
            doubt.server.kill9();
            doubt.server.restart();
        }
        assert_eq!((doubt.user.balance(), doubt.user.entries().len()), (250, 1));
        doubt.server.expect_clean_audit();
    }
}

#[test]
fn only_administrators_settle_and_only_what_is_in_doubt() {
    let provider = simulator(&[]);
    let server = provider.setup().start();
    let (admin, user) = (server.admin(), server.buyer(0));
    let queued = user.handed_in(&ok(100));
    expect_problem(&user.settle(&queued, &taken(100)), 403, "forbidden");
    expect_problem(&server.guest().settle(&queued, &taken(100)), 401, "unauthenticated");
    let missing = uuid::Uuid::now_v7().to_string();
    expect_problem(&admin.settle(&missing, &taken(100)), 404, "not_found");
    for (field, body) in [
        ("outcome", json!({"outcome": "unknown"})),
        ("outcome", json!({"amount": 100})),
        ("amount", json!({"outcome": "succeeded"})),
        ("amount", json!({"outcome": "succeeded", "amount": 0})),
        ("amount", json!({"outcome": "failed", "amount": 100})),
    ] {
        expect_invalid(&admin.settle(&queued, &body), field);
    }
    for body in [taken(100), not_taken()] {
        expect_problem(&admin.settle(&queued, &body), 409, "invalid_state");
    }
    admin.account(&admin.plan(10_000, 10_000));
    user.becomes(&queued, "succeeded");
    expect_problem(&admin.settle(&queued, &not_taken()), 409, "invalid_state");
    assert_eq!((user.balance(), user.entries().len()), (100, 1));
    server.expect_clean_audit();
}

/// A card in doubt is settled while the provider is about to say what became of it.
fn settled_while_the_provider_answers(body: &Value, status: &str, payout: u64) {
    for store in stores() {
        eprintln!("on {}", store.name);
        let provider =
            Scripted::start(|asked| if asked.is_exchange() { Answer::Nothing } else { Answer::Held });
        let setup = provider.setup().store(store).env("PURSER__PROVIDER__TIMEOUT_MS", "60000");
        let mut server = setup.start();
        let (admin, user) = (server.admin(), server.buyer(0));
        let account = admin.account(&admin.plan(10_000, 10_000));
        let id = user.handed_in(&ok(500));
        eventually("the provider is asked", || (provider.held() > 0).then_some(()));
        user.becomes(&id, "in_doubt");
        let settled = admin.settle(&id, body).expect(200);
        assert_eq!((&settled["status"], user.balance()), (&json!(status), payout));
        let (entries, balance) = (user.entries(), number(&admin.account_view(&account), "balance"));
        provider.release(500);
        eventually("the late answer is noted", || {
            let story = server.story(&account);
            story.last().is_some_and(|last| last.ends_with(": late_answer")).then_some(())
        });
        let late = [r#""level":"ERROR""#, "after the card was settled by hand", &id, &account, "500"];
        server.logs_once(&late);
        for _ in 0..2 {
            assert_eq!((user.redemption(&id), user.balance()), (settled.clone(), payout));
            assert_eq!(user.entries(), entries);
            let view = server.admin().account_view(&account);
            assert_eq!((number(&view, "balance"), &view["lock"]), (balance, &Value::Null));
            server.expect_clean_audit();
            server.kill9();
            server.restart();
        }
    }
}

#[test]
fn an_answer_after_the_card_was_given_up_is_noted_and_changes_nothing() {
    settled_while_the_provider_answers(&not_taken(), "failed", 0);
}

#[test]
fn an_answer_after_the_card_was_paid_is_noted_and_changes_nothing() {
    settled_while_the_provider_answers(&taken(400), "succeeded", 400);
}

#[test]
fn two_administrators_who_contradict_each_other_settle_once() {
    for store in stores() {
        let doubt = Doubt::on(store);
        let admin = doubt.server.admin();
        let (paid, failed) =
            race(|| admin.settle(&doubt.id, &taken(500)), || admin.settle(&doubt.id, &not_taken()));
        let (won, lost) = if paid.status == 200 { (&paid, &failed) } else { (&failed, &paid) };
        expect_problem(lost, 409, "invalid_state");
        assert_eq!(doubt.user.redemption(&doubt.id), won.expect(200));
        assert_eq!(doubt.user.balance(), if paid.status == 200 { 250 } else { 0 });
        doubt.server.expect_clean_audit();
    }
}
