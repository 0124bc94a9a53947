//! Who a balance belongs to.

use super::event::words;
use super::text::{Email, Name};
use super::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What a user may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    User,
    Admin,
}

words!(Role { User = "user", Admin = "admin" });

/// A user's particulars. `password_hash` is a PHC string; without one there is no login.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Profile {
    pub name: Name,
    pub email: Email,
    pub password_hash: Option<Arc<str>>,
    pub role: Role,
    pub created_at: Timestamp,
}
