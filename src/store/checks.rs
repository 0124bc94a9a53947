//! What an audit compares, in SQL that both stores understand. Each check is a query for its differences, one
//! line of text each, and one for how much was compared. Both sides of a comparison are put into one list with
//! opposite signs and grouped, so that what is missing on either side shows, and no index is needed.

mod redemptions;

use super::rows::Columns;
use super::{Check, StockSum, StoreError};
use crate::domain::ProductId;

/// Every check, by its name.
pub fn all() -> impl Iterator<Item = &'static (&'static str, Sql)> {
    redemptions::CHECKS.iter().chain(&CHECKS)
}

/// A check's parts.
pub struct Sql {
    /// Yields `what`: one row per difference.
    differences: &'static str,
    /// Yields one number.
    compared: &'static str,
}

/// Differences shown in the detail.
const SHOWN: u32 = 5;

const CHECKS: [(&str, Sql); 16] = [
    (
        "stock is the sum of its movements",
        Sql {
            differences: "
SELECT 'product ' || p.id || ' has stock ' || p.stock || ' at version ' || p.version || ', its movements sum to '
       || coalesce(m.total, 0) || ' up to version ' || coalesce(m.last, 0) AS what
FROM products p LEFT JOIN (SELECT product_id, sum(delta) AS total, max(version) AS last FROM movements GROUP BY product_id) m
     ON m.product_id = p.id
WHERE p.stock <> coalesce(m.total, 0) OR p.version < coalesce(m.last, 0)
UNION ALL
SELECT 'movement of product ' || product_id || ' at version ' || version || ' has no product'
FROM movements WHERE product_id NOT IN (SELECT id FROM products)",
            compared: "SELECT count(*) FROM products",
        },
    ),
    (
        "movements form a chain",
        Sql {
            differences: "
SELECT 'product ' || product_id || ' at version ' || version || ': ' || was || ' and ' || delta || ' is not ' || stock_after
       AS what
FROM (SELECT product_id, version, delta, stock_after,
             coalesce(lag(stock_after) OVER (PARTITION BY product_id ORDER BY version), 0) AS was FROM movements) m
WHERE was + delta <> stock_after OR stock_after < 0",
            compared: "SELECT count(*) FROM movements",
        },
    ),
    (
        "a balance is the sum of its entries",
        Sql {
            differences: "
SELECT 'balance ' || b.user_id || ' has ' || b.amount || ' at version ' || b.version || ', its ' || coalesce(e.n, 0)
       || ' entries sum to ' || coalesce(e.total, 0) || ' up to version ' || coalesce(e.last, 0) AS what
FROM balances b LEFT JOIN (SELECT user_id, sum(delta) AS total, count(*) AS n, max(version) AS last FROM entries
     GROUP BY user_id) e ON e.user_id = b.user_id
WHERE b.amount <> coalesce(e.total, 0) OR b.version <> coalesce(e.n, 0) OR b.version <> coalesce(e.last, 0)
UNION ALL
SELECT 'entry of user ' || user_id || ' at version ' || version || ' has no balance'
FROM entries WHERE user_id NOT IN (SELECT user_id FROM balances)
UNION ALL
SELECT 'user ' || id || ' has no balance' FROM users WHERE id NOT IN (SELECT user_id FROM balances)",
            compared: "SELECT count(*) FROM balances",
        },
    ),
    (
        "entries form a chain",
        Sql {
            differences: "
SELECT 'user ' || user_id || ' at version ' || version || ': ' || was || ' and ' || delta || ' is not ' || balance_after
       AS what
FROM (SELECT user_id, version, delta, balance_after,
             coalesce(lag(balance_after) OVER (PARTITION BY user_id ORDER BY version), 0) AS was,
             row_number() OVER (PARTITION BY user_id ORDER BY version) AS place FROM entries) e
WHERE was + delta <> balance_after OR balance_after < 0 OR version <> place",
            compared: "SELECT count(*) FROM entries",
        },
    ),
    (
        "money is conserved",
        Sql {
            differences: "
SELECT 'balances and entries differ by ' || sum(amount) AS what
FROM (SELECT amount FROM balances UNION ALL SELECT -sum(delta) FROM entries GROUP BY user_id) m
HAVING sum(amount) <> 0",
            compared: "SELECT count(*) FROM balances",
        },
    ),
    (
        "an order's total is the sum of its lines",
        Sql {
            differences: "
SELECT 'order ' || hex(order_id) || ' differs from its lines by ' || sum(amount) AS what
FROM (SELECT id AS order_id, total_amount AS amount, 1 AS heads FROM orders
      UNION ALL SELECT order_id, -quantity * unit_price, 0 FROM order_lines) o
GROUP BY order_id HAVING sum(amount) <> 0 OR sum(heads) <> 1",
            compared: "SELECT count(*) FROM orders",
        },
    ),
    (
        "orders are paid once and cancellations refunded once",
        Sql {
            differences: "
SELECT 'order ' || hex(order_id) || ' of user ' || user_id || ': ' || -sum(entries) || ' entries of kind ' || kind || ' instead of '
       || sum(orders) || ', money differs by ' || sum(amount) AS what
FROM (SELECT id AS order_id, user_id, 'order' AS kind, -total_amount AS amount, 1 AS orders, 0 AS entries FROM orders
      WHERE status NOT IN ('pending', 'failed')
      UNION ALL SELECT id, user_id, 'cancel', total_amount, 1, 0 FROM orders WHERE status = 'cancelled'
      UNION ALL SELECT order_id, user_id, kind, -delta, 0, -1 FROM entries WHERE kind IN ('order', 'cancel')) o
GROUP BY order_id, user_id, kind HAVING sum(amount) <> 0 OR sum(orders) <> 1 OR sum(entries) <> -1",
            compared: "SELECT count(*) FROM orders WHERE status NOT IN ('pending', 'failed')",
        },
    ),
    (
        "orders sold and cancellations restocked their units",
        Sql {
            differences: "
SELECT 'order ' || hex(order_id) || ', product ' || product_id || ': units of kind ' || kind || ' differ by ' || sum(units)
       AS what
FROM (SELECT l.order_id, l.product_id, 'sale' AS kind, -l.quantity AS units, 1 AS sides FROM order_lines l
      JOIN orders o ON o.id = l.order_id WHERE o.status NOT IN ('pending', 'failed')
      UNION ALL SELECT l.order_id, l.product_id, 'cancel', l.quantity, 1 FROM order_lines l
      JOIN orders o ON o.id = l.order_id WHERE o.status = 'cancelled'
      UNION ALL SELECT order_id, product_id, kind, -delta, -1 FROM movements WHERE kind IN ('sale', 'cancel')) u
GROUP BY order_id, product_id, kind HAVING sum(units) <> 0 OR min(sides) <> -1 OR max(sides) <> 1",
            compared: "SELECT count(*) FROM order_lines",
        },
    ),
    (
        "returns were credited and restocked",
        Sql {
            differences: "
SELECT 'return of user ' || user_id || ' at record ' || seq || ' differs from its ' || side || ' by ' || sum(amount) AS what
FROM (SELECT seq, user_id, 'entry' AS side, total_amount AS amount FROM returns
      UNION ALL SELECT seq, user_id, 'entry', -delta FROM entries WHERE kind = 'return'
      UNION ALL SELECT seq, user_id, 'lines', total_amount FROM returns
      UNION ALL SELECT r.seq, r.user_id, 'lines', -l.quantity * l.unit_price FROM return_lines l
      JOIN returns r ON r.id = l.return_id) m
GROUP BY seq, user_id, side HAVING sum(amount) <> 0
UNION ALL
SELECT 'return at record ' || seq || ' of product ' || product_id || ' differs from its movement by ' || sum(units)
FROM (SELECT r.seq, l.product_id, l.quantity AS units FROM return_lines l JOIN returns r ON r.id = l.return_id
      UNION ALL SELECT seq, product_id, -delta FROM movements WHERE kind = 'return') u
GROUP BY seq, product_id HAVING sum(units) <> 0",
            compared: "SELECT count(*) FROM returns",
        },
    ),
    (
        "transfers arrive as they left",
        Sql {
            differences: "
SELECT 'transfer ' || coalesce(reference, '?') || ' differs by ' || sum(delta) || ' over ' || count(*) || ' entries' AS what
FROM entries WHERE kind IN ('transfer_in', 'transfer_out')
GROUP BY reference HAVING sum(delta) <> 0 OR count(*) <> 2 OR count(DISTINCT kind) <> 2 OR reference IS NULL",
            compared: "SELECT count(*) FROM entries WHERE kind = 'transfer_out'",
        },
    ),
    (
        "withdrawals were paid and given back once",
        // Entries refer to a withdrawal by its id's text, so that both are brought into one form.
        Sql {
            differences: "
SELECT 'withdrawal ' || withdrawal || ' of user ' || user_id || ': ' || -sum(entries) || ' entries of kind ' || kind
       || ' instead of ' || sum(withdrawals) || ', money differs by ' || sum(amount) AS what
FROM (SELECT upper(replace(hex(id), '-', '')) AS withdrawal, user_id, 'withdrawal' AS kind, -amount AS amount,
             1 AS withdrawals, 0 AS entries FROM withdrawals
      UNION ALL SELECT upper(replace(hex(id), '-', '')), user_id, 'withdrawal_rejected', amount, 1, 0 FROM withdrawals
      WHERE status = 'rejected'
      UNION ALL SELECT upper(replace(coalesce(reference, '?'), '-', '')), user_id, kind, -delta, 0, -1 FROM entries
      WHERE kind IN ('withdrawal', 'withdrawal_rejected')) w
GROUP BY withdrawal, user_id, kind HAVING sum(amount) <> 0 OR sum(withdrawals) <> 1 OR sum(entries) <> -1",
            compared: "SELECT count(*) FROM withdrawals",
        },
    ),
    (
        "distributors count completed withdrawals",
        Sql {
            differences: "
SELECT 'distributor ' || user_id || ' differs from its completed withdrawals by ' || sum(amount) || ' and in their number by '
       || sum(number) AS what
FROM (SELECT user_id, withdrawn_total AS amount, version AS number FROM distributors
      UNION ALL SELECT user_id, -amount, -1 FROM withdrawals WHERE status = 'completed') d
GROUP BY user_id HAVING sum(amount) <> 0 OR sum(number) <> 0",
            compared: "SELECT count(*) FROM distributors",
        },
    ),
    (
        "distributors climbed as their history says",
        Sql {
            differences: "
SELECT 'distributor ' || d.user_id || ' has rank ' || d.rank || ', its last upgrade led to ' || coalesce(u.to_rank, 0) AS what
FROM distributors d LEFT JOIN (SELECT user_id, to_rank, created_at,
     row_number() OVER (PARTITION BY user_id ORDER BY seq DESC) AS place FROM upgrades) u
     ON u.user_id = d.user_id AND u.place = 1
WHERE d.rank <> coalesce(u.to_rank, 0) OR d.upgraded_at IS DISTINCT FROM u.created_at
UNION ALL
SELECT 'distributor ' || user_id || ' at record ' || seq || ': climbed from ' || from_rank || ' to ' || to_rank
       || ' and had rank ' || was
FROM (SELECT user_id, seq, from_rank, to_rank,
             coalesce(lag(to_rank) OVER (PARTITION BY user_id ORDER BY seq), 0) AS was FROM upgrades) c
WHERE from_rank <> was OR to_rank <= from_rank
UNION ALL
SELECT 'upgrade of user ' || user_id || ' at record ' || seq || ' has no distributor'
FROM upgrades WHERE user_id NOT IN (SELECT user_id FROM distributors)",
            compared: "SELECT count(*) FROM upgrades",
        },
    ),
    (
        // Both came with one record.
        "pending orders wait for their messages",
        Sql {
            differences: "
SELECT 'order ' || hex(id) || ' is pending, and nothing will decide it' AS what FROM orders
WHERE status = 'pending' AND created_seq NOT IN (SELECT created_seq FROM messages WHERE kind = 'process_order')
UNION ALL
SELECT 'a message waits to decide the order of record ' || created_seq || ', which is not pending' FROM messages
WHERE kind = 'process_order' AND created_seq NOT IN (SELECT created_seq FROM orders WHERE status = 'pending')",
            compared: "SELECT count(*) FROM orders",
        },
    ),
    (
        "names and their holders agree",
        Sql {
            differences: "
SELECT namespace || ' ' || name || ' of ' || holder || ' stands ' || sum(held) || ' times with its holder and '
       || sum(named) || ' times among the names' AS what
FROM (SELECT 'email' AS namespace, email_key AS name, id AS holder, 1 AS held, 0 AS named FROM users
      UNION ALL SELECT 'sku', sku, id, 1, 0 FROM products WHERE sku IS NOT NULL
      UNION ALL SELECT 'card', code_name, user_id, 1, 0 FROM redemptions WHERE status NOT IN ('failed', 'cancelled')
      UNION ALL SELECT namespace, name, holder, 0, 1 FROM names) n
GROUP BY namespace, name, holder HAVING sum(held) <> 1 OR sum(named) <> 1",
            compared: "SELECT count(*) FROM names",
        },
    ),
    (
        "nothing is newer than the watermark",
        Sql {
            differences: "
SELECT what || ' reach record ' || last || ', the watermark is ' || watermark AS what
FROM (SELECT 'movements' AS what, max(seq) AS last FROM movements UNION ALL SELECT 'entries', max(seq) FROM entries
      UNION ALL SELECT 'orders', max(created_seq) FROM orders UNION ALL SELECT 'returns', max(seq) FROM returns
      UNION ALL SELECT 'users', max(created_seq) FROM users UNION ALL SELECT 'products', max(created_seq) FROM products
      UNION ALL SELECT 'keys', max(seq) FROM keys UNION ALL SELECT 'messages', max(created_seq) FROM messages
      UNION ALL SELECT 'withdrawals', max(created_seq) FROM withdrawals
      UNION ALL SELECT 'upgrades', max(seq) FROM upgrades UNION ALL SELECT 'plans', max(created_seq) FROM plans
      UNION ALL SELECT 'transitions', max(seq) FROM transitions
      UNION ALL SELECT 'redemptions', max(place) / 16384 FROM redemptions
      UNION ALL SELECT 'batches', max(created_seq) FROM redemption_batches) t, engine
WHERE last > watermark",
            compared: "SELECT coalesce(max(watermark), 0) FROM engine",
        },
    ),
];

/// One statement whose only row says how much was compared, how many differences there are, and the first of them.
pub fn query(check: &Sql) -> String {
    let Sql { differences, compared } = check;
    format!(
        "WITH differences AS ({differences}) SELECT ({compared}) AS compared, (SELECT count(*) FROM differences) AS wrong, \
         (SELECT string_agg(what, '; ') FROM (SELECT what FROM differences LIMIT {SHOWN}) AS shown) AS shown"
    )
}

/// The same for Postgres, where an id is shown by its text.
pub fn postgres_query(check: &Sql) -> String {
    query(check).replace("hex(", "text(")
}

pub fn verdict(name: &str, row: &impl Columns) -> Result<Check, StoreError> {
    let (compared, wrong, shown) = (row.int("compared")?, row.int("wrong")?, row.maybe_text("shown")?);
    let detail = match shown {
        None => format!("{compared} compared"),
        Some(shown) => {
            format!("{wrong} of {compared} differ: {shown}{}", if wrong > SHOWN.into() { "; …" } else { "" })
        }
    };
    Ok(Check { name: name.to_owned(), ok: wrong == 0, detail })
}

pub fn stock_sum(row: &impl Columns) -> Result<StockSum, StoreError> {
    Ok(StockSum {
        product_id: ProductId::new(row.count("id")?),
        stock: row.int("stock")?,
        version: row.count("version")?,
        moved: row.int("moved")?,
    })
}
