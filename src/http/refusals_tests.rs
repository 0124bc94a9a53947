use super::*;
use crate::domain::order::OrderStatus;
use crate::domain::redemption::RedemptionStatus;
use crate::domain::rejection::{Missing, StateReason};
use crate::domain::{Money, ProductId, Seq};
use actix_web::ResponseError;
use actix_web::http::header::{self, HeaderMap};
use serde_json::{Value, json};

fn text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("absent")
}

fn document(problem: &Problem) -> Value {
    serde_json::from_slice(&problem.body("id")).expect("json")
}

fn headers_of(problem: &Problem) -> HeaderMap {
    let mut into = HeaderMap::new();
    problem.write_headers(&mut into);
    into
}

#[test]
fn every_rejection_has_its_documented_status_and_code() {
    let product_id = ProductId::new(7);
    let money = |minor| Money::new(minor).expect("in range");
    let stock = Rejection::InsufficientStock { product_id, requested: 3, available: 1 };
    let funds = Rejection::InsufficientBalance { requested: money(9), available: money(2) };
    let state = Rejection::InvalidState { status: OrderStatus::Shipped, reason: StateReason::NotCancellable };
    let doubted = Rejection::RedemptionState { status: RedemptionStatus::InDoubt };
    let cases = [
        (Rejection::NotFound(Missing::Order), 404, "not_found", json!({})),
        (Rejection::UnknownProduct { product_id, further: Vec::new() }, 422, "validation_failed", json!({})),
        (Rejection::SelfTransfer, 422, "validation_failed", json!({})),
        (Rejection::ItemDeleted { product_id }, 410, "item_deleted", json!({"product_id": 7})),
        (stock, 409, "insufficient_stock", json!({"product_id": 7, "available": 1})),
        (funds, 409, "insufficient_balance", json!({"available": 2})),
        (
            Rejection::PriceChanged { product_id, unit_price: money(5) },
            409,
            "price_changed",
            json!({"product_id": 7, "unit_price": 5}),
        ),
        (Rejection::BalanceLimit, 409, "balance_limit", json!({})),
        (Rejection::StockLimit { product_id }, 409, "stock_limit", json!({"product_id": 7})),
        (state, 409, "invalid_state", json!({"state": "shipped"})),
        (doubted, 409, "invalid_state", json!({"state": "in_doubt"})),
        (Rejection::AccountNotFree, 409, "invalid_state", json!({})),
        (Rejection::CodeAlreadyUsed, 409, "code_already_used", json!({})),
        (Rejection::EmailTaken, 409, "email_taken", json!({})),
        (Rejection::SkuTaken, 409, "sku_taken", json!({})),
        (Rejection::VersionConflict { revision: 4 }, 412, "version_conflict", json!({"revision": 4})),
        (Rejection::KeyReused, 422, "idempotency_key_reused", json!({})),
        (Rejection::InvalidCredentials, 401, "invalid_credentials", json!({})),
        (Rejection::TokenExpired, 401, "token_expired", json!({})),
        (Rejection::TokenRevoked, 401, "token_revoked", json!({})),
    ];
    for (rejection, status, code, extensions) in cases {
        let problem = Problem::from(rejection);
        let body = document(&problem);
        assert_eq!((problem.status_code().as_u16(), problem.code()), (status, code));
        assert_eq!(body["status"], status, "{code}");
        assert_eq!(body["outcome"], "not_applied", "{code}");
        for (name, value) in extensions.as_object().expect("an object") {
            assert_eq!(body[name], *value, "{code}.{name}");
        }
    }
}

#[test]
fn a_refusal_says_where_it_stands_in_the_journal() {
    let rejection = Rejection::SkuTaken;
    let error = EngineError::Rejected { rejection, seq: Seq::new(12), replayed: true };
    let into = headers_of(&error.into());
    assert_eq!(text(&into, &headers::SEQ), "12");
    assert_eq!(text(&into, &headers::REPLAYED), "true");
}

#[test]
fn what_may_pass_by_itself_says_when_to_retry() {
    let cases = [
        (Busy::Overloaded, "overloaded"),
        (Busy::OutOfKeys { most: 1, seconds: 1 }, "overloaded"),
        (Busy::BacklogFull, "backlog_full"),
        (Busy::StorageFull, "storage_full"),
        (Busy::StoreUnavailable, "store_unavailable"),
        (Busy::ShuttingDown, "shutting_down"),
        (Busy::ReadTimeout, "read_timeout"),
    ];
    for (busy, code) in cases {
        let problem = Problem::from(EngineError::from(busy));
        assert_eq!((problem.status_code().as_u16(), problem.code()), (503, code));
        assert!(headers_of(&problem).contains_key(header::RETRY_AFTER), "{code}");
        assert_eq!(document(&problem)["outcome"], "not_applied", "{code}");
    }
    let unknown = Problem::from(EngineError::Unknown);
    assert_eq!((unknown.status_code().as_u16(), unknown.code()), (503, "outcome_unknown"));
    assert_eq!(document(&unknown)["outcome"], "unknown");
    assert!(headers_of(&unknown).contains_key(header::RETRY_AFTER));
}
