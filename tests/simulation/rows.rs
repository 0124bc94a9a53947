//! The rows of the store beside the journal folded into plain maps: no row more, no row less, and none that says something else.

use super::fold::{Account, Card, Fold, Placed, Product, hex, hex_if_any, row};
use super::store::{self, SimulatedStore};
use purser::domain::redemption::RedemptionStatus;
use purser::domain::{Record, Timestamp};

/// Each row of a table as one text.
macro_rules! select {
    ($table:literal, $columns:literal) => {
        concat!("SELECT json_array(", $columns, ") FROM ", $table)
    };
}

/// The store has the whole journal; these are its rows.
///
/// # Errors
/// The first table that does not have them, and what is different there.
pub fn compare(store: &SimulatedStore, journal: &[Record]) -> Result<(), String> {
    let mut fold = Fold::default();
    for record in journal {
        fold.take(record).map_err(|wrong| format!("record {}: {wrong}", record.seq))?;
    }
    let tables = [fold.of_items(), fold.of_users(), fold.of_orders(), fold.of_messages(), fold.of_cards()];
    for (select, due) in tables.into_iter().flatten() {
        same(select, store::rows(store, select), due)?;
    }
    Ok(())
}

fn same(select: &str, mut there: Vec<String>, mut due: Vec<String>) -> Result<(), String> {
    there.sort_unstable();
    due.sort_unstable();
    if there == due {
        return Ok(());
    }
    let only = |these: &[String], others: &[String]| -> Vec<String> {
        these.iter().filter(|row| others.binary_search(row).is_err()).take(3).cloned().collect()
    };
    Err(format!(
        "{select}: {} rows, due are {}; only there: {:?}, only due: {:?}",
        there.len(),
        due.len(),
        only(&there, &due),
        only(&due, &there)
    ))
}

/// A SELECT, and the rows that are due to it.
type Table = (&'static str, Vec<String>);

/// The tables.
impl Fold {
    fn of_items(&self) -> Vec<Table> {
        let products = self.products.iter().map(|(id, product)| {
            let Product { details, created_seq, last, updated_at } = product;
            let (sku, name) = (details.sku.as_ref().map(|sku| sku.as_str()), details.name.as_str());
            let description = details.description.as_ref().map(|text| text.as_str());
            row!(
                id.get(),
                sku,
                name,
                name.to_lowercase(),
                description,
                details.price.minor(),
                last.total,
                last.version,
                details.revision,
                created_seq,
                details.created_at.micros(),
                updated_at.micros(),
                details.deleted_at.map(|at| at.micros()),
            )
        });
        let names = self.names.iter().map(|((space, name), holder)| row!(space.word(), &**name, holder));
        vec![
            (
                select!(
                    "products",
                    "id, sku, name, name_key, description, price, stock, version, revision, created_seq,
                     created_at, updated_at, deleted_at"
                ),
                products.collect(),
            ),
            (
                select!(
                    "movements",
                    "product_id, version, seq, delta, stock_after, kind, lower(hex(order_id)), reason,
                     created_at"
                ),
                self.movements.clone(),
            ),
            (select!("names", "namespace, name, holder"), names.collect()),
        ]
    }

    fn of_users(&self) -> Vec<Table> {
        let balances =
            self.balances.iter().map(|(user, (amount, version))| row!(user.get(), amount, version));
        let withdrawals = self.withdrawals.values().map(|(seq, asked)| {
            let (id, user, amount) = (hex(asked.id.get()), asked.user_id.get(), asked.amount.minor());
            let (from, to) = (asked.created_at.micros(), asked.updated_at.micros());
            row!(seq, id, user, amount, asked.status.word(), from, to)
        });
        let distributors = self
            .distributors
            .iter()
            .map(|(user, (total, version))| row!(user.get(), 0, total, version, None::<i64>));
        vec![
            (
                select!(
                    "users",
                    "id, name, name_key, email, email_key, password_hash, role, created_seq, created_at"
                ),
                self.users.clone(),
            ),
            (select!("balances", "user_id, amount, version"), balances.collect()),
            (
                select!(
                    "entries",
                    "user_id, version, seq, delta, balance_after, kind, lower(hex(order_id)), reference,
                     description, created_at"
                ),
                self.entries.clone(),
            ),
            // No run lasts a day, so that no key has expired. What it answers is compared by those who ask again.
            (
                select!("keys", "user_id, lower(hex(fingerprint)), lower(hex(request)), seq, created_at"),
                self.keys.values().cloned().collect(),
            ),
            (
                select!(
                    "withdrawals",
                    "created_seq, lower(hex(id)), user_id, amount, status, created_at, updated_at"
                ),
                withdrawals.collect(),
            ),
            (
                select!("distributors", "user_id, rank, withdrawn_total, version, upgraded_at"),
                distributors.collect(),
            ),
            (
                "SELECT 'of nobody' FROM (SELECT seq FROM returns UNION ALL SELECT line FROM return_lines
                 UNION ALL SELECT user_id FROM sessions UNION ALL SELECT seq FROM upgrades
                 UNION ALL SELECT rank FROM levels)",
                Vec::new(),
            ),
        ]
    }

    fn of_orders(&self) -> Vec<Table> {
        let orders = self.orders.iter().map(|(id, placed)| {
            let Placed { order, created_seq, status, failure, updated_at } = placed;
            let failure = failure.as_ref();
            row!(
                created_seq,
                hex(id.get()),
                order.user_id.get(),
                status.word(),
                order.total.minor(),
                failure.map(|failure| &*failure.code),
                failure.map(|failure| &*failure.detail),
                failure.and_then(|failure| failure.product_id).map(|id| id.get()),
                order.created_at.micros(),
                updated_at.micros(),
            )
        });
        let lines = self.orders.iter().flat_map(|(id, placed)| {
            placed.order.lines.iter().enumerate().map(move |(number, line)| {
                let (product, units) = (line.product_id.get(), line.quantity.get());
                let (name, paid) = (line.product_name.as_str(), line.unit_price.minor());
                row!(hex(id.get()), number, product, units, paid, name, line.product_price.minor())
            })
        });
        vec![
            (
                select!(
                    "orders",
                    "created_seq, lower(hex(id)), user_id, status, total_amount, failure_code, failure_detail,
                     failure_product_id, created_at, updated_at"
                ),
                orders.collect(),
            ),
            (
                select!(
                    "order_lines",
                    "lower(hex(order_id)), line, product_id, quantity, unit_price, product_name,
                     product_price"
                ),
                lines.collect(),
            ),
        ]
    }

    fn of_messages(&self) -> Vec<Table> {
        let messages = self.messages.values().map(|open| {
            let message = &open.message;
            let payload = serde_json::to_string(&message.payload).expect("plain data");
            let (id, user, kind) = (hex(message.id.get()), message.user_id.get(), message.kind().word());
            let next = open.next_attempt_at.map(|at| at.micros());
            let made = message.created_at.micros();
            row!(open.created_seq, id, user, kind, payload, open.attempts, open.forgiven, next, made)
        });
        let errors = self.messages.iter().flat_map(|(id, open)| {
            let row = move |(attempt, at, error): &(u32, Timestamp, String)| {
                row!(hex(id.get()), attempt, at.micros(), error)
            };
            open.errors.iter().map(row)
        });
        let done = self.done.iter().map(|(kind, count)| row!(kind.word(), count));
        vec![
            (
                select!(
                    "messages",
                    "created_seq, lower(hex(id)), user_id, kind, payload, attempts, forgiven, next_attempt_at,
                     created_at"
                ),
                messages.collect(),
            ),
            (select!("message_errors", "lower(hex(message_id)), attempt, at, error"), errors.collect()),
            (select!("message_counts", "kind, succeeded"), done.collect()),
        ]
    }

    fn of_cards(&self) -> Vec<Table> {
        let accounts = self.accounts.values().map(|account| {
            let Account { made, created_at, last, fence, used_at, updated_at } = account;
            let lock = last.lock.as_ref();
            row!(
                made.number,
                hex(made.id.get()),
                made.label.as_str(),
                made.country.as_str(),
                hex(made.plan_id.get()),
                last.to.word(),
                last.login.word(),
                last.posting.total,
                last.posting.version,
                fence,
                hex_if_any(lock.map(|lock| lock.redemption_id.get())),
                lock.map(|lock| lock.previous_status.word()),
                lock.map(|lock| lock.since.micros()),
                lock.map(|lock| lock.deadline.micros()),
                created_at.micros(),
                updated_at.micros(),
                used_at.micros(),
            )
        });
        vec![
            (
                select!("plans", "created_seq, lower(hex(id)), name, target_amount, payout_bps, created_at"),
                self.plans.clone(),
            ),
            (
                select!(
                    "accounts",
                    "number, lower(hex(id)), label, country, lower(hex(plan_id)), status, login_status,
                     redeemed_total, version, fence, lower(hex(lock_redemption_id)), lock_previous_status,
                     lock_since, lock_deadline, created_at, updated_at, used_at"
                ),
                accounts.collect(),
            ),
            (
                select!(
                    "transitions",
                    "lower(hex(account_id)), version, seq, from_status, to_status, login_status, reason,
                     lower(hex(redemption_id)), amount, redeemed_total, created_at"
                ),
                self.transitions.clone(),
            ),
            (
                select!("redemption_batches", "created_seq, lower(hex(id)), user_id, total"),
                self.batches.clone(),
            ),
            (
                select!(
                    "redemptions",
                    "place, lower(hex(id)), user_id, lower(hex(batch_id)), country, face_value, status,
                     lower(hex(account_id)), fence, amount, payout, failure_code, failure_detail, attempts,
                     code_name, code_last4, code IS NULL, created_at, updated_at"
                ),
                self.cards.values().map(redemption).collect(),
            ),
        ]
    }
}

fn redemption(known: &Card) -> String {
    use RedemptionStatus::{InDoubt, Locking, Queued};
    let (card, failure) = (&known.made, known.failure.as_ref());
    // A code is gone once its card has come to an end.
    let is_over = !matches!(known.status, Queued | Locking | InDoubt);
    row!(
        known.place,
        hex(card.id.get()),
        known.user.get(),
        hex_if_any(known.batch.map(|id| id.get())),
        card.country.as_str(),
        card.face_value.map(|money| money.minor()),
        known.status.word(),
        hex_if_any(known.locked.map(|(id, _)| id.get())),
        known.locked.map_or(0, |(_, fence)| fence),
        known.amount,
        known.payout,
        failure.map(|failure| &*failure.code),
        failure.map(|failure| failure.detail.as_str()),
        known.attempts,
        &*card.code_name,
        &*card.code_last4,
        u8::from(is_over),
        known.created_at.micros(),
        known.updated_at.micros(),
    )
}
