//! The one place where the engine's and the domain's "no" get a status and a code.

use super::headers;
use super::problem::Problem;
use crate::domain::Rejection;
use crate::engine::{Busy, EngineError};
use actix_web::http::StatusCode;
use actix_web::http::header::HeaderValue;

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Rejected { rejection, seq, replayed } => {
                let mut problem = Self::from(rejection).header(headers::SEQ, HeaderValue::from(seq.get()));
                if replayed {
                    problem = problem.header(headers::REPLAYED, HeaderValue::from_static("true"));
                }
                problem
            }
            EngineError::NotExecuted(busy) => Self::from(busy),
            EngineError::Unknown => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "outcome_unknown", error.to_string())
                    .of_unknown_outcome()
                    .retry_after(5)
            }
            EngineError::Internal => Self::internal(),
        }
    }
}

impl From<Busy> for Problem {
    fn from(busy: Busy) -> Self {
        let (code, seconds) = match busy {
            Busy::Overloaded => ("overloaded", 1),
            Busy::OutOfKeys { seconds, .. } => ("overloaded", seconds),
            Busy::TooManyCards { .. } => ("overloaded", 60),
            Busy::BacklogFull => ("backlog_full", 5),
            Busy::StorageFull => ("storage_full", 10),
            Busy::StoreUnavailable => ("store_unavailable", 2),
            Busy::ShuttingDown => ("shutting_down", 5),
            Busy::ReadTimeout => ("read_timeout", 1),
        };
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, busy.to_string()).retry_after(seconds)
    }
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        let (code, detail) = (rejection.code(), rejection.to_string());
        let conflict = |detail| Self::new(StatusCode::CONFLICT, code, detail);
        match rejection {
            Rejection::NotFound(_) => Self::not_found(detail),
            // Whoever knows the lines names them; this is the fallback.
            Rejection::UnknownProduct { .. } => Self::field("items", detail),
            Rejection::SelfTransfer => Self::field("to_user_id", detail),
            Rejection::UnknownPlan { .. } => Self::field("plan_id", detail),
            Rejection::ItemDeleted { product_id } => {
                Self::new(StatusCode::GONE, code, detail).with("product_id", product_id.get())
            }
            Rejection::InsufficientStock { product_id, available, .. } => {
                conflict(detail).with("available", available).with("product_id", product_id.get())
            }
            Rejection::InsufficientBalance { available, .. } => {
                conflict(detail).with("available", available.minor())
            }
            Rejection::PriceChanged { product_id, unit_price } => {
                conflict(detail).with("product_id", product_id.get()).with("unit_price", unit_price.minor())
            }
            Rejection::StockLimit { product_id } => conflict(detail).with("product_id", product_id.get()),
            // `status` is taken by RFC 9457 for the number, so the state has a name of its own.
            Rejection::InvalidState { status, .. } => conflict(detail).with("state", status.word()),
            Rejection::WithdrawalEnded { status } => conflict(detail).with("state", status.word()),
            Rejection::RedemptionState { status } => conflict(detail).with("state", status.word()),
            Rejection::CodeAlreadyUsed | Rejection::AccountNotFree => conflict(detail),
            Rejection::AccountLocked => conflict(detail).with("state", "locking"),
            Rejection::BalanceLimit | Rejection::EmailTaken | Rejection::SkuTaken => conflict(detail),
            Rejection::VersionConflict { revision } => {
                Self::new(StatusCode::PRECONDITION_FAILED, code, detail).with("revision", revision)
            }
            Rejection::KeyReused => Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail),
            Rejection::InvalidCredentials | Rejection::TokenExpired | Rejection::TokenRevoked => {
                Self::unauthorized(code, detail)
            }
        }
    }
}

#[cfg(test)]
#[path = "refusals_tests.rs"]
mod tests;
