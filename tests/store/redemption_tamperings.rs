//! What is done behind the store's back to gift cards and to the accounts that they were exchanged on, and the checks that
//! must notice.

const NAMES: &str = "names and";
const REDEEMED: &str = "accounts redeemed";
const PAID: &str = "cards were paid";
const LOCKED: &str = "accounts are locked";
const STATUS: &str = "cards have";
const BATCHES: &str = "batches hold";

pub const TAMPERINGS: [(&str, &[&str]); 42] = [
    ("DELETE FROM names WHERE name = 'hash of QUEUED'", &[NAMES]),
    ("DELETE FROM names WHERE name = 'hash of PAID-1'", &[NAMES]),
    ("UPDATE names SET holder = 1 WHERE name = 'hash of REFUSED-0'", &[NAMES]),
    ("INSERT INTO names (namespace, name, holder) VALUES ('card', 'hash of RESOLVED', 1)", &[NAMES]),
    ("INSERT INTO names (namespace, name, holder) VALUES ('card', 'hash of GIVEN', 1)", &[NAMES]),
    ("UPDATE redemptions SET amount = amount + 1 WHERE amount = 1001", &[REDEEMED]),
    ("UPDATE redemptions SET amount = amount + 1 WHERE amount = 999", &[REDEEMED, PAID]),
    ("UPDATE transitions SET redemption_id = NULL WHERE amount = 999", &[REDEEMED]),
    (
        "UPDATE transitions SET redemption_id = (SELECT id FROM redemptions WHERE status = 'locking') WHERE amount = 999",
        &[REDEEMED],
    ),
    ("UPDATE transitions SET reason = 'late_answer' WHERE reason = 'exchange_succeeded'", &[REDEEMED]),
    ("UPDATE transitions SET amount = amount + 1 WHERE amount = 999", &[REDEEMED, "redemption accounts"]),
    (
        "UPDATE redemptions SET account_id = (SELECT account_id FROM redemptions WHERE status = 'in_doubt') WHERE amount = 999",
        &[REDEEMED],
    ),
    ("UPDATE accounts SET redeemed_total = redeemed_total + 1 WHERE redeemed_total = 2007", &[REDEEMED]),
    ("DELETE FROM redemptions WHERE amount = 0", &[REDEEMED]),
    ("DELETE FROM redemptions WHERE amount = 999", &[REDEEMED, PAID, BATCHES, NAMES]),
    ("UPDATE redemptions SET payout = payout + 1 WHERE amount = 999", &[PAID]),
    ("UPDATE redemptions SET payout = payout - 1 WHERE amount = 1001", &[PAID]),
    ("UPDATE redemptions SET payout = 1 WHERE payout = 0 AND amount > 0", &[PAID]),
    ("UPDATE plans SET payout_bps = payout_bps + 5 WHERE payout_bps = 8550", &[PAID]),
    ("UPDATE plans SET payout_bps = payout_bps + 1 WHERE payout_bps = 9999", &[PAID]),
    ("DELETE FROM messages WHERE kind = 'redeem_card'", &[PAID]),
    ("UPDATE messages SET user_id = 1 WHERE kind = 'redeem_card'", &[PAID]),
    (
        "UPDATE messages SET payload = replace(payload, ':855', ':856') WHERE kind = 'redeem_card'",
        &[PAID],
    ),
    (
        "UPDATE messages SET payload = replace(payload, '-', '-0') WHERE kind = 'redeem_card'",
        &[PAID],
    ),
    ("UPDATE entries SET kind = 'increment' WHERE kind = 'payout' AND delta = 854", &[PAID]),
    ("UPDATE entries SET kind = 'payout' WHERE kind = 'increment'", &[PAID]),
    ("UPDATE entries SET reference = NULL WHERE kind = 'payout' AND delta = 5", &[PAID]),
    (
        "UPDATE entries SET reference = (SELECT max(reference) FROM entries WHERE kind = 'payout') WHERE kind = 'payout'",
        &[PAID],
    ),
    ("UPDATE accounts SET fence = fence + 1 WHERE status = 'locking'", &[LOCKED]),
    ("UPDATE redemptions SET fence = fence - 1 WHERE status = 'in_doubt'", &[LOCKED]),
    ("UPDATE redemptions SET status = 'queued', account_id = NULL WHERE status = 'locking'", &[LOCKED]),
    (
        "UPDATE accounts SET lock_redemption_id = (SELECT id FROM redemptions WHERE code_name = 'hash of QUEUED')
         WHERE status = 'locking'",
        &[LOCKED],
    ),
    (
        "UPDATE accounts SET status = 'processing', lock_redemption_id = NULL, lock_previous_status = NULL, lock_since = NULL,
                lock_deadline = NULL WHERE status = 'locking'",
        &[LOCKED, "redemption accounts"],
    ),
    ("UPDATE redemptions SET code = NULL WHERE status = 'in_doubt'", &[STATUS]),
    ("UPDATE redemptions SET amount = NULL, payout = NULL WHERE amount = 0", &[STATUS]),
    ("UPDATE redemptions SET account_id = NULL WHERE status = 'failed'", &[STATUS]),
    ("UPDATE redemptions SET failure_code = NULL WHERE status = 'failed'", &[STATUS]),
    ("UPDATE redemptions SET status = 'failed' WHERE status = 'cancelled'", &[STATUS]),
    ("UPDATE redemption_batches SET total = total + 1 WHERE total = 0", &[BATCHES]),
    ("UPDATE redemption_batches SET user_id = 3 - user_id", &[BATCHES]),
    (
        "UPDATE redemptions SET place = place + 16384000",
        &["nothing is newer", BATCHES],
    ),
    ("UPDATE redemption_batches SET created_seq = created_seq + 1000", &["nothing is newer", BATCHES]),
];
