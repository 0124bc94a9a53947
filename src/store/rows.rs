//! Rows back into domain values, for both stores: they name their columns alike. A value that the domain would
//! not accept is reported as damage, never guessed at.

use super::{AttemptError, BatchCard, Row, StoreError, StoredBatch, StoredKey, StoredOutcome, TransitionRow};
use crate::domain::account::{AccountStatus, AccountView, Lock, LoginStatus, NewAccount, TransitionReason};
use crate::domain::balance::BalanceView;
use crate::domain::country::Country;
use crate::domain::distributor::{DistributorView, Standing, Upgrade};
use crate::domain::event::Entry;
use crate::domain::level::Level;
use crate::domain::message::{Message, OpenMessage};
use crate::domain::order::{Failure, Order, OrderLine, OrderStatus, Returned};
use crate::domain::outcome::{Movement, PostedEntry};
use crate::domain::plan::{BasisPoints, Plan};
use crate::domain::product::{Details, ProductView};
use crate::domain::redemption::{CardFailure, PLACES, Redemption, RedemptionStatus, SealedCode};
use crate::domain::session::{SessionGrant, SessionView};
use crate::domain::text::{Email, Name, Sku, Text};
use crate::domain::user::{Profile, Role};
use crate::domain::withdrawal::{Withdrawal, WithdrawalStatus};
use crate::domain::{
    AccountId, BatchId, EntryKind, FamilyId, MessageId, Money, MovementKind, OrderId, PlanId, Posting,
    ProductId, Quantity, RedemptionId, Seq, Timestamp, UserId, WithdrawalId,
};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use uuid::Uuid;

type Read<T> = Result<T, StoreError>;

/// A row of either database.
pub trait Columns {
    fn int(&self, column: &str) -> Read<i64>;
    fn maybe_int(&self, column: &str) -> Read<Option<i64>>;
    fn text(&self, column: &str) -> Read<String>;
    fn maybe_text(&self, column: &str) -> Read<Option<String>>;
    fn uuid(&self, column: &str) -> Read<Uuid>;
    fn maybe_uuid(&self, column: &str) -> Read<Option<Uuid>>;
    fn maybe_bytes(&self, column: &str) -> Read<Option<Vec<u8>>>;

    /// A position, version or id.
    fn count(&self, column: &str) -> Read<u64> {
        self.int(column)?.try_into().map_err(|_| damaged(column))
    }
    fn small(&self, column: &str) -> Read<u32> {
        self.int(column)?.try_into().map_err(|_| damaged(column))
    }
    fn at(&self, column: &str) -> Read<Timestamp> {
        self.int(column).map(Timestamp::from_micros)
    }
    fn money(&self, column: &str) -> Read<Money> {
        Money::new(self.int(column)?).ok_or_else(|| damaged(column))
    }
    fn quantity(&self, column: &str) -> Read<Quantity> {
        let units = u32::try_from(self.int(column)?).ok();
        units.and_then(Quantity::new).ok_or_else(|| damaged(column))
    }
    fn payout(&self) -> Read<BasisPoints> {
        BasisPoints::new(self.small("payout_bps")?).ok_or_else(|| damaged("payout_bps"))
    }
    fn word<T>(&self, column: &str, parse: fn(&str) -> Option<T>) -> Read<T> {
        parse(&self.text(column)?).ok_or_else(|| damaged(column))
    }
}

macro_rules! columns {
    ($row:ty, $fault:path) => {
        impl $crate::store::rows::Columns for $row {
            fn int(&self, column: &str) -> Result<i64, $crate::store::StoreError> {
                sqlx::Row::try_get(self, column).map_err($fault)
            }
            fn maybe_int(&self, column: &str) -> Result<Option<i64>, $crate::store::StoreError> {
                sqlx::Row::try_get(self, column).map_err($fault)
            }
            fn text(&self, column: &str) -> Result<String, $crate::store::StoreError> {
                sqlx::Row::try_get(self, column).map_err($fault)
            }
            fn maybe_text(&self, column: &str) -> Result<Option<String>, $crate::store::StoreError> {
                sqlx::Row::try_get(self, column).map_err($fault)
            }
            fn uuid(&self, column: &str) -> Result<uuid::Uuid, $crate::store::StoreError> {
                sqlx::Row::try_get(self, column).map_err($fault)
            }
            fn maybe_uuid(&self, column: &str) -> Result<Option<uuid::Uuid>, $crate::store::StoreError> {
                sqlx::Row::try_get(self, column).map_err($fault)
            }
            fn maybe_bytes(&self, column: &str) -> Result<Option<Vec<u8>>, $crate::store::StoreError> {
                sqlx::Row::try_get(self, column).map_err($fault)
            }
        }
    };
}
pub(super) use columns;

fn damaged(column: &str) -> StoreError {
    StoreError::Damaged(format!("column {column} holds a value outside its range"))
}

/// Decodes every row.
pub fn all<R, T>(rows: &[R], decode: fn(&R) -> Read<T>) -> Read<Vec<T>> {
    rows.iter().map(decode).collect()
}

/// Decodes every row with its place in the list.
pub fn listed<R: Columns, T>(rows: &[R], cursor: &str, decode: fn(&R) -> Read<T>) -> Read<Vec<Row<T>>> {
    rows.iter().map(|row| Ok(Row { cursor: row.count(cursor)?, value: decode(row)? })).collect()
}

pub fn product(row: &impl Columns) -> Read<ProductView> {
    let details = Details {
        sku: row.maybe_text("sku")?.map(Sku::stored),
        name: Name::stored(row.text("name")?),
        description: row.maybe_text("description")?.map(Text::stored),
        price: row.money("price")?,
        revision: row.count("revision")?,
        created_at: row.at("created_at")?,
        deleted_at: row.maybe_int("deleted_at")?.map(Timestamp::from_micros),
    };
    Ok(ProductView {
        product_id: ProductId::new(row.count("id")?),
        details: Arc::new(details),
        stock: row.int("stock")?,
        version: row.count("version")?,
        updated_at: row.at("updated_at")?,
    })
}

pub fn balance(row: &impl Columns) -> Read<BalanceView> {
    let profile = Profile {
        name: Name::stored(row.text("name")?),
        email: Email::stored(row.text("email")?),
        password_hash: row.maybe_text("password_hash")?.map(Arc::from),
        role: row.word("role", Role::from_word)?,
        created_at: row.at("created_at")?,
    };
    Ok(BalanceView {
        user_id: UserId::new(row.count("id")?),
        profile: Arc::new(profile),
        amount: row.int("amount")?,
        version: row.count("version")?,
    })
}

/// A key with the user it belongs to.
pub fn key(row: &impl Columns) -> Read<(UserId, StoredKey)> {
    let key = StoredKey {
        fingerprint: row.uuid("fingerprint")?.into_bytes(),
        request: row.uuid("request")?.into_bytes(),
        seq: Seq::new(row.count("seq")?),
        at: row.at("created_at")?,
    };
    Ok((UserId::new(row.count("user_id")?), key))
}

pub fn outcome(row: &impl Columns) -> Read<StoredOutcome> {
    let outcome = serde_json::from_str(&row.text("outcome")?)
        .map_err(|error| StoreError::Damaged(format!("an outcome cannot be read: {error}")))?;
    Ok(StoredOutcome { seq: Seq::new(row.count("seq")?), outcome })
}

pub fn session(row: &impl Columns) -> Read<SessionView> {
    let grant = SessionGrant {
        user_id: UserId::new(row.count("user_id")?),
        role: row.word("role", Role::from_word)?,
        opened_at: row.at("opened_at")?,
        expires_at: row.at("expires_at")?,
    };
    Ok(SessionView {
        family_id: family(row)?,
        grant,
        generation: row.int("generation")?.try_into().map_err(|_| damaged("generation"))?,
        rotated_at: row.at("rotated_at")?,
        revoked_at: row.maybe_int("revoked_at")?.map(Timestamp::from_micros),
    })
}

pub fn family(row: &impl Columns) -> Read<FamilyId> {
    row.uuid("family_id").map(FamilyId::new)
}

pub fn movement(row: &impl Columns) -> Read<Movement> {
    Ok(Movement {
        seq: Seq::new(row.count("seq")?),
        delta: row.int("delta")?,
        stock_after: row.int("stock_after")?,
        version: row.count("version")?,
        kind: row.word("kind", MovementKind::from_word)?,
        order_id: row.maybe_uuid("order_id")?.map(OrderId::new),
        reason: row.maybe_text("reason")?.map(Arc::from),
        at: row.at("created_at")?,
    })
}

pub fn entry(row: &impl Columns) -> Read<PostedEntry> {
    let (delta, total, version) = (row.int("delta")?, row.int("balance_after")?, row.count("version")?);
    let entry = Entry {
        user_id: UserId::new(row.count("user_id")?),
        kind: row.word("kind", EntryKind::from_word)?,
        order_id: row.maybe_uuid("order_id")?.map(OrderId::new),
        reference: row.maybe_text("reference")?.map(Text::stored),
        description: row.maybe_text("description")?.map(Text::stored),
        posting: Posting { delta, total, version },
    };
    Ok(PostedEntry { entry, seq: Seq::new(row.count("seq")?), at: row.at("created_at")? })
}

/// An order without its lines and returns, for [`Orders`].
fn order_head(row: &impl Columns) -> Read<Order> {
    let failure = match row.maybe_text("failure_code")? {
        None => None,
        Some(code) => Some(Failure {
            code: code.into(),
            detail: row.maybe_text("failure_detail")?.unwrap_or_default().into(),
            product_id: row.maybe_int("failure_product_id")?.map(|id| ProductId::new(id.unsigned_abs())),
        }),
    };
    Ok(Order {
        id: OrderId::new(row.uuid("id")?),
        user_id: UserId::new(row.count("user_id")?),
        status: row.word("status", OrderStatus::from_word)?,
        total: row.money("total_amount")?,
        lines: Vec::new(),
        returned: Vec::new(),
        refunded: Money::ZERO,
        failure,
        created_at: row.at("created_at")?,
        updated_at: row.at("updated_at")?,
    })
}

pub fn message(row: &impl Columns) -> Read<OpenMessage> {
    let payload = serde_json::from_str(&row.text("payload")?).map_err(|_| damaged("payload"))?;
    let message = Message {
        id: MessageId::new(row.uuid("id")?),
        user_id: UserId::new(row.count("user_id")?),
        payload,
        created_at: row.at("created_at")?,
    };
    Ok(OpenMessage {
        message: Arc::new(message),
        attempts: row.small("attempts")?,
        forgiven: row.small("forgiven")?,
        next_attempt_at: row.maybe_int("next_attempt_at")?.map(Timestamp::from_micros),
    })
}

pub fn attempt_error(row: &impl Columns) -> Read<AttemptError> {
    Ok(AttemptError {
        message_id: MessageId::new(row.uuid("message_id")?),
        attempt: row.small("attempt")?,
        at: row.at("at")?,
        error: Text::stored(row.text("error")?),
    })
}

pub fn withdrawal(row: &impl Columns) -> Read<Withdrawal> {
    Ok(Withdrawal {
        id: WithdrawalId::new(row.uuid("id")?),
        user_id: user(row)?,
        amount: row.money("amount")?,
        status: row.word("status", WithdrawalStatus::from_word)?,
        created_at: row.at("created_at")?,
        updated_at: row.at("updated_at")?,
    })
}

pub fn user(row: &impl Columns) -> Read<UserId> {
    row.count("user_id").map(UserId::new)
}

/// One for each id, in their order; who has no row has withdrawn nothing.
pub fn distributors<R: Columns>(ids: &[UserId], rows: &[R]) -> Read<Vec<DistributorView>> {
    let nothing =
        |user_id| DistributorView { user_id, rank: 0, withdrawn_total: 0, version: 0, upgraded_at: None };
    let mut views: BTreeMap<_, _> = ids.iter().map(|id| (*id, nothing(*id))).collect();
    for row in rows {
        let view = DistributorView {
            user_id: user(row)?,
            rank: row.small("rank")?,
            withdrawn_total: row.int("withdrawn_total")?,
            version: row.count("version")?,
            upgraded_at: row.maybe_int("upgraded_at")?.map(Timestamp::from_micros),
        };
        views.insert(view.user_id, view);
    }
    Ok(views.into_values().collect())
}

pub fn upgrade(row: &impl Columns) -> Read<(Upgrade, Timestamp)> {
    let standing = |rank: &str, name: &str| {
        Ok::<_, StoreError>(Standing { rank: row.small(rank)?, name: Name::stored(row.text(name)?) })
    };
    let upgrade = Upgrade {
        user_id: user(row)?,
        from: standing("from_rank", "from_name")?,
        to: standing("to_rank", "to_name")?,
        withdrawal_id: row.maybe_uuid("withdrawal_id")?.map(WithdrawalId::new),
    };
    Ok((upgrade, row.at("created_at")?))
}

pub fn level(row: &impl Columns) -> Read<Level> {
    Ok(Level { name: Name::stored(row.text("name")?), threshold: row.money("threshold")? })
}

pub fn plan(row: &impl Columns) -> Read<Plan> {
    Ok(Plan {
        id: PlanId::new(row.uuid("id")?),
        name: Name::stored(row.text("name")?),
        target: row.money("target_amount")?,
        payout: row.payout()?,
        created_at: row.at("created_at")?,
    })
}

pub fn account(row: &impl Columns) -> Read<AccountView> {
    let account = NewAccount {
        id: AccountId::new(row.uuid("id")?),
        number: row.count("number")?,
        label: Name::stored(row.text("label")?),
        country: row.word("country", Country::parse)?,
        plan_id: PlanId::new(row.uuid("plan_id")?),
        target: row.money("target_amount")?,
        payout: row.payout()?,
    };
    let fence = row.count("fence")?;
    let lock = match row.maybe_uuid("lock_redemption_id")? {
        None => None,
        Some(id) => Some(Lock {
            redemption_id: RedemptionId::new(id),
            previous_status: row.word("lock_previous_status", AccountStatus::from_word)?,
            fence,
            since: row.at("lock_since")?,
            deadline: row.at("lock_deadline")?,
        }),
    };
    Ok(AccountView {
        account: Arc::new(account),
        status: row.word("status", AccountStatus::from_word)?,
        login: row.word("login_status", LoginStatus::from_word)?,
        lock,
        fence,
        used_at: row.at("used_at")?,
        redeemed_total: row.int("redeemed_total")?,
        version: row.count("version")?,
        created_at: row.at("created_at")?,
        updated_at: row.at("updated_at")?,
    })
}

pub fn transition(row: &impl Columns) -> Read<TransitionRow> {
    Ok(TransitionRow {
        from: row.word("from_status", AccountStatus::from_word)?,
        to: row.word("to_status", AccountStatus::from_word)?,
        login: row.word("login_status", LoginStatus::from_word)?,
        reason: row.word("reason", TransitionReason::from_word)?,
        redemption_id: row.maybe_uuid("redemption_id")?.map(RedemptionId::new),
        amount: row.int("amount")?,
        redeemed_total: row.int("redeemed_total")?,
        version: row.count("version")?,
        at: row.at("created_at")?,
    })
}

fn maybe_money(row: &impl Columns, column: &str) -> Read<Option<Money>> {
    let minor = row.maybe_int(column)?;
    minor.map(|minor| Money::new(minor).ok_or_else(|| damaged(column))).transpose()
}

/// From a batch's row and its cards' rows.
pub fn batch<R: Columns>(head: &R, cards: &[R]) -> Read<StoredBatch> {
    let card = |row: &R| {
        let card = BatchCard {
            status: row.word("status", RedemptionStatus::from_word)?,
            amount: maybe_money(row, "amount")?,
            payout: maybe_money(row, "payout")?,
        };
        Ok::<_, StoreError>((RedemptionId::new(row.uuid("id")?), card))
    };
    let cards = cards.iter().map(card).collect::<Read<_>>()?;
    Ok(StoredBatch { user_id: user(head)?, total: head.small("total")?, cards })
}

pub fn redemption(row: &impl Columns) -> Read<Redemption> {
    let money = |column: &str| maybe_money(row, column);
    let failure = match row.maybe_text("failure_code")? {
        None => None,
        Some(code) => {
            let detail = Text::stored(row.maybe_text("failure_detail")?.unwrap_or_default());
            Some(Arc::new(CardFailure { code: code.into(), detail }))
        }
    };
    Ok(Redemption {
        id: RedemptionId::new(row.uuid("id")?),
        user_id: user(row)?,
        batch_id: row.maybe_uuid("batch_id")?.map(BatchId::new),
        place: (row.count("place")? % PLACES) as u32,
        country: row.word("country", Country::parse)?,
        face_value: money("face_value")?,
        status: row.word("status", RedemptionStatus::from_word)?,
        account_id: row.maybe_uuid("account_id")?.map(AccountId::new),
        fence: row.count("fence")?,
        amount: money("amount")?,
        payout: money("payout")?,
        failure,
        attempts: row.small("attempts")?,
        code_name: row.text("code_name")?.into(),
        code_last4: row.text("code_last4")?.into(),
        code: row.maybe_bytes("code")?.map(SealedCode::new),
        created_at: row.at("created_at")?,
        updated_at: row.at("updated_at")?,
    })
}

/// Puts orders together from three reads of one snapshot.
pub struct Orders {
    found: Vec<Row<Order>>,
    places: HashMap<Uuid, usize>,
}

impl Orders {
    /// From rows of `orders`, in list order.
    pub fn of<R: Columns>(rows: &[R]) -> Read<Self> {
        let found = listed(rows, "created_seq", order_head)?;
        let places = found.iter().enumerate().map(|(place, row)| (row.value.id.get(), place)).collect();
        Ok(Self { found, places })
    }

    pub fn ids(&self) -> Vec<Uuid> {
        self.found.iter().map(|row| row.value.id.get()).collect()
    }

    fn order(&mut self, row: &impl Columns) -> Read<&mut Order> {
        let place = self.places.get(&row.uuid("order_id")?).copied();
        let found = place.and_then(|place| self.found.get_mut(place));
        found.map(|row| &mut row.value).ok_or_else(|| damaged("order_id"))
    }

    /// From rows of `order_lines`, by order and line.
    pub fn lines<R: Columns>(&mut self, rows: &[R]) -> Read<()> {
        for row in rows {
            let line = OrderLine {
                product_id: ProductId::new(row.count("product_id")?),
                quantity: row.quantity("quantity")?,
                unit_price: row.money("unit_price")?,
                product_name: Name::stored(row.text("product_name")?),
                product_price: row.money("product_price")?,
            };
            self.order(row)?.lines.push(line);
        }
        Ok(())
    }

    /// From rows of what was returned per product, in the order in which it first came back.
    pub fn returns<R: Columns>(&mut self, rows: &[R]) -> Read<()> {
        for row in rows {
            let back = Returned {
                product_id: ProductId::new(row.count("product_id")?),
                units: row.int("units")?,
                refunded: row.money("refunded")?,
            };
            self.order(row)?.took_back(back);
        }
        Ok(())
    }

    pub fn done(self) -> Vec<Row<Order>> {
        self.found
    }
}
