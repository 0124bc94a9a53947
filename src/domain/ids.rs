//! Identities and positions. Ids of users and items are integers handed out by directory shards; all others are UUIDv7
//! made at the edge of the engine. None of them can be computed with.

use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name($inner);

        impl $name {
            pub const fn new(value: $inner) -> Self {
                Self(value)
            }
            pub const fn get(self) -> $inner {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(out)
            }
        }
    };
}

id!(
    /// A product (an "item" over HTTP): an integer from 1.
    ProductId(u64)
);
id!(
    /// A user, and the balance that belongs to the user: an integer from 1.
    UserId(u64)
);
id!(
    /// An order, UUIDv7.
    OrderId(Uuid)
);
id!(
    /// A return of goods, UUIDv7.
    ReturnId(Uuid)
);
id!(
    /// A transfer between two balances, UUIDv7.
    TransferId(Uuid)
);
id!(
    /// One login: the family of all refresh tokens that descend from it, UUIDv7.
    FamilyId(Uuid)
);
id!(
    /// A withdrawal, UUIDv7.
    WithdrawalId(Uuid)
);
id!(
    /// A durable message, UUIDv7.
    MessageId(Uuid)
);
id!(
    /// A plan for redemption accounts, UUIDv7.
    PlanId(Uuid)
);
id!(
    /// A redemption account, UUIDv7.
    AccountId(Uuid)
);
id!(
    /// The exchange of one gift card, UUIDv7.
    RedemptionId(Uuid)
);
id!(
    /// Cards that were handed in together, UUIDv7.
    BatchId(Uuid)
);
id!(
    /// A directory shard: `0..DIRECTORY_SHARDS`.
    ShardId(u16)
);

/// A journal position: 1, 2, 3 … without gap; 0 is "before everything".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(u64);

impl Seq {
    pub const ZERO: Self = Self(0);

    pub const fn new(value: u64) -> Self {
        Self(value)
    }
    pub const fn get(self) -> u64 {
        self.0
    }
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl OrderId {
    /// The shard that an order is labelled with: CRC-32 (IEEE) of its hyphenated lower-case text, mod `shards`.
    pub fn shard(self, shards: u32) -> u32 {
        let mut buffer = Uuid::encode_buffer();
        crc32fast::hash(self.0.hyphenated().encode_lower(&mut buffer).as_bytes()) % shards.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_orders_shard_is_the_crc32_of_its_text() {
        let id = OrderId::new(Uuid::parse_str("018f0000-0000-7000-8000-000000000001").expect("uuid"));
        assert_eq!(id.shard(4), crc32fast::hash(b"018f0000-0000-7000-8000-000000000001") % 4);
    }
}
