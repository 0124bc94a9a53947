//! What an audit compares of redemption accounts and of the gift cards that were exchanged on them.

use super::Sql;
use crate::domain::redemption::PLACES;

/// By which a card's place is divided here for the record that handed it in.
const _: () = assert!(PLACES == 16_384);

pub const CHECKS: [(&str, Sql); 6] = [
    (
        // Their version counts transitions from the first one, which is that they came to be.
        "redemption accounts equal the sum of their transitions",
        Sql {
            differences: "
SELECT 'account ' || hex(a.id) || ' is ' || a.status || '/' || a.login_status || ' with ' || a.redeemed_total || ' at version '
       || a.version || ', its transitions lead to ' || coalesce(t.to_status || '/' || t.login_status, 'nothing') || ' with '
       || coalesce(t.amount, 0) || ' at version ' || coalesce(t.version, 0) AS what
FROM accounts a LEFT JOIN (SELECT account_id, version, to_status, login_status, redeemed_total,
     sum(amount) OVER (PARTITION BY account_id) AS amount, count(*) OVER (PARTITION BY account_id) AS count,
     row_number() OVER (PARTITION BY account_id ORDER BY version DESC) AS place FROM transitions) t
     ON t.account_id = a.id AND t.place = 1
WHERE t.version IS NULL OR t.version <> a.version OR t.count <> a.version OR t.to_status <> a.status
      OR t.login_status <> a.login_status OR t.amount <> a.redeemed_total OR t.redeemed_total <> a.redeemed_total
UNION ALL
SELECT 'account ' || hex(account_id) || ' at version ' || version || ': went from ' || from_status || ' and was ' || was
FROM (SELECT account_id, version, from_status,
             coalesce(lag(to_status) OVER (PARTITION BY account_id ORDER BY version), 'waiting') AS was FROM transitions) c
WHERE from_status <> was
UNION ALL
SELECT 'account ' || hex(id) || ' is on a plan that is not there' FROM accounts WHERE plan_id NOT IN (SELECT id FROM plans)
UNION ALL
SELECT 'a transition of account ' || hex(account_id) || ', which is not there' FROM transitions
WHERE account_id NOT IN (SELECT id FROM accounts)",
            compared: "SELECT count(*) FROM accounts",
        },
    ),
    (
        "accounts redeemed what their cards were worth",
        Sql {
            differences: "
SELECT 'account ' || coalesce(hex(account_id), '?') || ' differs from its cards by ' || sum(amount) AS what
FROM (SELECT id AS account_id, redeemed_total AS amount FROM accounts
      UNION ALL SELECT account_id, -amount FROM redemptions WHERE status = 'succeeded') a
GROUP BY account_id HAVING sum(amount) <> 0
UNION ALL
SELECT 'redemption ' || coalesce(hex(redemption_id), '?') || ' on account ' || coalesce(hex(account_id), '?') || ': '
       || sum(transitions) || ' transitions instead of ' || sum(cards) || ', money differs by ' || coalesce(sum(amount), 0)
FROM (SELECT account_id, id AS redemption_id, amount, 1 AS cards, 0 AS transitions FROM redemptions
      WHERE status = 'succeeded'
      UNION ALL SELECT account_id, redemption_id, -amount, 0, 1 FROM transitions
      WHERE amount > 0 OR reason IN ('exchange_succeeded', 'target_reached')) t
GROUP BY account_id, redemption_id HAVING sum(amount) <> 0 OR sum(cards) <> 1 OR sum(transitions) <> 1",
            compared: "SELECT count(*) FROM redemptions WHERE status = 'succeeded'",
        },
    ),
    (
        // The product of an amount and a share may be more than 64 bits hold: a ten-thousandth at a time it is not. Entries and
        // payloads refer to a redemption by its id's text, so that all are brought into one form.
        "cards were paid once, as their account's plan says",
        Sql {
            differences: "
SELECT 'redemption ' || hex(r.id) || ' of ' || coalesce(r.amount, 0) || ' pays ' || coalesce(r.payout, 0) || ', its plan '
       || coalesce(p.payout_bps, 0) || ' of 10000' AS what
FROM redemptions r LEFT JOIN accounts a ON a.id = r.account_id LEFT JOIN plans p ON p.id = a.plan_id
WHERE r.status = 'succeeded' AND r.payout IS DISTINCT FROM
      r.amount / 10000 * p.payout_bps + r.amount % 10000 * p.payout_bps / 10000
UNION ALL
SELECT 'redemption ' || redemption || ' of user ' || user_id || ': paid or owed ' || sum(payments) || ' times instead of '
       || sum(cards) || ', money differs by ' || coalesce(sum(amount), 0)
FROM (SELECT upper(replace(hex(id), '-', '')) AS redemption, user_id, payout AS amount, 1 AS cards, 0 AS payments
      FROM redemptions WHERE status = 'succeeded' AND payout > 0
      UNION ALL SELECT upper(replace(coalesce(reference, '?'), '-', '')), user_id, -delta, 0, 1 FROM entries
      WHERE kind = 'payout'
      UNION ALL
      SELECT upper(replace(coalesce(jsonb(payload) -> 'redeem_card' ->> 'redemption_id', '?'), '-', '')), user_id,
             -CAST(jsonb(payload) -> 'redeem_card' ->> 'payout' AS bigint), 0, 1 FROM messages
      WHERE kind = 'redeem_card') c
GROUP BY redemption, user_id HAVING sum(amount) <> 0 OR sum(cards) <> 1 OR sum(payments) <> 1",
            compared: "SELECT count(*) FROM redemptions WHERE status = 'succeeded'",
        },
    ),
    (
        "accounts are locked for the cards that are exchanged on them",
        Sql {
            differences: "
SELECT 'account ' || coalesce(hex(account_id), '?') || ' is locked ' || sum(locks) || ' times for redemption ' || hex(redemption_id)
       || ' with fence ' || fence || ', which is exchanged there ' || sum(cards) || ' times' AS what
FROM (SELECT id AS account_id, lock_redemption_id AS redemption_id, fence, 1 AS locks, 0 AS cards FROM accounts
      WHERE lock_redemption_id IS NOT NULL
      UNION ALL SELECT account_id, id, fence, 0, 1 FROM redemptions WHERE status IN ('locking', 'in_doubt')) l
GROUP BY account_id, redemption_id, fence HAVING sum(locks) <> 1 OR sum(cards) <> 1",
            compared: "SELECT count(*) FROM redemptions WHERE status IN ('locking', 'in_doubt')",
        },
    ),
    (
        "cards have what their status says",
        Sql {
            differences: "
SELECT 'redemption ' || hex(id) || ' is ' || status || ' and has ' || CASE WHEN code IS NULL THEN 'no' ELSE 'a' END || ' code, '
       || CASE WHEN account_id IS NULL THEN 'no' ELSE 'an' END || ' account, '
       || CASE WHEN amount IS NULL THEN 'no' ELSE 'an' END || ' amount, '
       || CASE WHEN payout IS NULL THEN 'no' ELSE 'a' END || ' payout and '
       || CASE WHEN failure_code IS NULL THEN 'no' ELSE 'a' END || ' failure' AS what
FROM redemptions
WHERE (code IS NOT NULL) <> (status IN ('queued', 'locking', 'in_doubt'))
      OR (account_id IS NULL) <> (status IN ('queued', 'cancelled')) OR (amount IS NOT NULL) <> (status = 'succeeded')
      OR (payout IS NOT NULL) <> (status = 'succeeded') OR (failure_code IS NOT NULL) <> (status IN ('failed', 'in_doubt'))",
            compared: "SELECT count(*) FROM redemptions",
        },
    ),
    (
        "batches hold the cards that came with them",
        Sql {
            differences: "
SELECT 'batch ' || hex(batch_id) || ' of user ' || user_id || ' at record ' || seq || ' differs from its cards by ' || sum(cards)
       AS what
FROM (SELECT id AS batch_id, user_id, created_seq AS seq, total AS cards, 1 AS heads FROM redemption_batches
      UNION ALL SELECT batch_id, user_id, place / 16384, -1, 0 FROM redemptions WHERE batch_id IS NOT NULL) b
GROUP BY batch_id, user_id, seq HAVING sum(cards) <> 0 OR sum(heads) <> 1",
            compared: "SELECT count(*) FROM redemption_batches",
        },
    ),
];
