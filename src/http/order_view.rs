//! An order as clients see it.

use super::reply::rfc3339;
use crate::domain::Timestamp;
use crate::domain::order::{Order, OrderLine};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

#[derive(Serialize, ToSchema)]
pub struct OrderView<'a> {
    pub id: Uuid,
    user_id: u64,
    pub status: &'static str,
    total_amount: i64,
    shard_id: u32,
    failure: Option<FailureView<'a>>,
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    items: Vec<LineView<'a>>,
}

#[derive(Serialize, ToSchema)]
struct FailureView<'a> {
    code: &'a str,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    product_id: Option<u64>,
}

#[derive(Serialize, ToSchema)]
struct LineView<'a> {
    product_id: u64,
    quantity: u32,
    unit_price: i64,
    product: LineProductView<'a>,
}

/// The product as it stood when the order was decided.
#[derive(Serialize, ToSchema)]
struct LineProductView<'a> {
    id: u64,
    name: &'a str,
    price: i64,
}

impl<'a> OrderView<'a> {
    pub fn of(order: &'a Order, shards: u32) -> Self {
        let line = |line: &'a OrderLine| LineView {
            product_id: line.product_id.get(),
            quantity: line.quantity.get(),
            unit_price: line.unit_price.minor(),
            product: LineProductView {
                id: line.product_id.get(),
                name: line.product_name.as_str(),
                price: line.product_price.minor(),
            },
        };
        Self {
            id: order.id.get(),
            user_id: order.user_id.get(),
            status: order.status.word(),
            total_amount: order.total.minor(),
            shard_id: order.id.shard(shards),
            failure: order.failure.as_ref().map(|failure| FailureView {
                code: &failure.code,
                detail: &failure.detail,
                product_id: failure.product_id.map(super::super::domain::ids::ProductId::get),
            }),
            created_at: order.created_at,
            updated_at: order.updated_at,
            items: order.lines.iter().map(line).collect(),
        }
    }
}
