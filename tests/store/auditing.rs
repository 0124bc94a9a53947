//! The audit is clean on good data and red for every kind of tampering.

#[path = "redemption_tamperings.rs"]
mod redemption_tamperings;

use crate::fixture::Fixture;
use crate::on_both_stores;
use crate::story::Story;
use purser::domain::UserId;

on_both_stores!(
    the_audit_is_clean_on_a_good_history,
    the_audit_is_clean_on_a_new_store,
    the_audit_is_red_for_every_kind_of_tampering,
);

async fn the_audit_is_clean_on_a_good_history(store: Fixture) {
    let mut story = Story::busy(99, 300);
    story.exchange_begun(UserId::new(1));
    let store = store.holding(&story.records).await;
    for check in store.audit().await {
        assert!(check.ok, "{}: {}", check.name, check.detail);
        assert!(!check.detail.starts_with("0 "), "{} compared nothing", check.name);
    }
    assert_eq!(store.store.audit().await.expect("an audit").watermark, story.last());
}

async fn the_audit_is_clean_on_a_new_store(store: Fixture) {
    store.acquired().await;
    assert!(store.audit().await.iter().all(|check| check.ok));
}

/// What is done behind the store's back, and the checks that must notice.
const TAMPERINGS: [(&str, &[&str]); 51] = [
    ("UPDATE products SET stock = stock + 1 WHERE id = 1", &["stock is the sum"]),
    ("UPDATE products SET version = 1 WHERE id = 1", &["stock is the sum"]),
    (
        "UPDATE movements SET delta = delta + 1 WHERE product_id = 1 AND version = 1",
        &["stock is", "movements form"],
    ),
    (
        "UPDATE movements SET stock_after = stock_after + 1 WHERE product_id = 1 AND version = 2",
        &["movements form"],
    ),
    (
        "DELETE FROM movements WHERE product_id = 1 AND version = 2",
        &["stock is", "movements form", "orders sold"],
    ),
    ("DELETE FROM products WHERE id = 3", &[]),
    ("DELETE FROM products WHERE id = 1", &["stock is the sum", "names and"]),
    ("UPDATE balances SET amount = amount + 1 WHERE user_id = 1", &["a balance is", "money is conserved"]),
    ("UPDATE balances SET version = version + 1 WHERE user_id = 1", &["a balance is"]),
    ("DELETE FROM balances WHERE user_id = 2", &["a balance is", "money is"]),
    (
        "UPDATE entries SET balance_after = balance_after + 1 WHERE user_id = 1 AND version = 1",
        &["entries form"],
    ),
    (
        "DELETE FROM entries WHERE user_id = 1 AND version = 2",
        &["a balance is", "entries form", "orders are paid"],
    ),
    ("UPDATE orders SET total_amount = total_amount + 1", &["an order's total", "orders are paid"]),
    (
        "UPDATE orders SET status = 'cancelled' WHERE status = 'delivered'",
        &["orders are paid", "orders sold"],
    ),
    (
        "UPDATE orders SET status = 'processed' WHERE status = 'cancelled'",
        &["orders are paid", "orders sold"],
    ),
    ("UPDATE orders SET status = 'processed' WHERE status = 'failed'", &["orders are paid", "orders sold"]),
    ("DELETE FROM messages WHERE kind = 'process_order'", &["pending orders"]),
    ("UPDATE orders SET status = 'failed' WHERE status = 'pending'", &["pending orders"]),
    ("DELETE FROM order_lines WHERE line = 1", &["an order's total", "orders sold"]),
    ("UPDATE return_lines SET quantity = quantity + 1", &["returns were"]),
    ("UPDATE entries SET kind = 'increment' WHERE kind = 'return'", &["returns were"]),
    ("DELETE FROM entries WHERE kind = 'transfer_in'", &["transfers arrive", "a balance is"]),
    ("DELETE FROM names WHERE name = 'bob@example.org'", &["names and"]),
    ("UPDATE engine SET watermark = watermark - 5", &["nothing is newer"]),
    ("UPDATE messages SET created_seq = created_seq + 1000", &["nothing is newer"]),
    ("UPDATE withdrawals SET created_seq = created_seq + 1000", &["nothing is newer"]),
    ("UPDATE upgrades SET seq = seq + 1000", &["nothing is newer"]),
    ("DELETE FROM withdrawals WHERE status = 'pending'", &["withdrawals were"]),
    ("UPDATE withdrawals SET amount = amount + 1 WHERE status = 'rejected'", &["withdrawals were"]),
    ("UPDATE withdrawals SET status = 'rejected' WHERE status = 'pending'", &["withdrawals were"]),
    ("UPDATE withdrawals SET status = 'pending' WHERE status = 'rejected'", &["withdrawals were"]),
    ("UPDATE withdrawals SET status = 'pending' WHERE status = 'completed'", &["distributors count"]),
    ("UPDATE entries SET reference = 'another' WHERE kind = 'withdrawal'", &["withdrawals were"]),
    ("UPDATE entries SET reference = NULL WHERE kind = 'withdrawal_rejected'", &["withdrawals were"]),
    ("UPDATE distributors SET withdrawn_total = withdrawn_total + 1", &["distributors count"]),
    ("UPDATE distributors SET version = version + 1", &["distributors count"]),
    ("DELETE FROM distributors", &["distributors count", "distributors climbed"]),
    ("UPDATE distributors SET upgraded_at = upgraded_at + 1", &["distributors climbed"]),
    ("UPDATE distributors SET rank = rank + 1", &["distributors climbed"]),
    ("UPDATE upgrades SET to_rank = to_rank + 1", &["distributors climbed"]),
    ("UPDATE plans SET created_seq = created_seq + 1000", &["nothing is newer"]),
    ("UPDATE transitions SET seq = seq + 1000", &["nothing is newer"]),
    ("UPDATE accounts SET version = version + 1", &["redemption accounts"]),
    ("UPDATE accounts SET redeemed_total = 5 WHERE status <> 'locking'", &["redemption accounts"]),
    ("UPDATE accounts SET status = 'waiting' WHERE status = 'processing'", &["redemption accounts"]),
    ("UPDATE accounts SET login_status = 'inactive'", &["redemption accounts"]),
    (
        "UPDATE transitions SET from_status = 'processing' WHERE to_status = 'completed'",
        &["redemption accounts"],
    ),
    ("DELETE FROM transitions WHERE version = 1", &["redemption accounts"]),
    ("DELETE FROM accounts", &["redemption accounts"]),
    ("DELETE FROM plans", &["redemption accounts"]),
    ("DELETE FROM upgrades WHERE from_rank = 0", &["distributors climbed"]),
];

async fn the_audit_is_red_for_every_kind_of_tampering(mut store: Fixture) {
    let (story, mut complaints) = (Story::full(), Vec::new());
    for (sql, expected) in TAMPERINGS.into_iter().chain(redemption_tamperings::TAMPERINGS) {
        store = store.emptied().await.holding(&story.records).await;
        store.tamper(sql).await;
        let audit = store.audit().await;
        let red: Vec<String> = audit
            .iter()
            .filter(|check| !check.ok)
            .map(|check| format!("{}: {}", check.name, check.detail))
            .collect();
        for check in expected {
            if !red.iter().any(|line| line.starts_with(check)) {
                complaints.push(format!("{sql}: `{check}` is not among {red:#?}"));
            }
        }
        if expected.is_empty() != red.is_empty() {
            complaints.push(format!("{sql}: {red:#?}"));
        }
        assert!(red.iter().all(|line| line.contains(" differ: ")), "{red:#?}");
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
