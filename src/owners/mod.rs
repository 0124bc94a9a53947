//! Actix shells around the domain: one actor per entity, which alone holds and changes it. A mailbox serialises all of an
//! entity's mutations, so nothing is locked.
//!
//! Contract of every handler: synchronous; decide, enqueue, return unit. No await between check and change, no future
//! spawned inside an owner. What is answered later parks the reply sender that its message carried.

pub mod account_kinds;
pub mod admission;
pub mod desk;
pub mod ground;
pub mod hold;
pub mod homes;
pub mod index;
pub mod keys;
pub mod kinds;
pub mod loader;
pub mod mailbox;
pub mod owner;
pub mod passivation;
pub mod pending;
pub mod slot;
pub mod supervisor;

pub use ground::Ground;
pub use hold::{Hold, KeyGuard, Party};
pub use kinds::Kind;
pub use slot::{Pin, Slot};
pub use supervisor::{PinError, Supervisor, Unborn};
