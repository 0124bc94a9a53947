//! The names of the headers that are Purser's own.

use actix_web::http::header::HeaderName;

pub const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
pub const SEQ: HeaderName = HeaderName::from_static("purser-seq");
pub const AS_OF: HeaderName = HeaderName::from_static("purser-as-of");
pub const MIN_SEQ: HeaderName = HeaderName::from_static("purser-min-seq");
pub const DURABILITY: HeaderName = HeaderName::from_static("purser-durability");
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
pub const PREFER: HeaderName = HeaderName::from_static("prefer");
pub const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
