//! Durable messages at work: which are open, which is due next, how they are tried and told to the outside. What a message
//! is and what may become of it stands in [`domain::message`](crate::domain::message); its effect is the engine's.

pub mod board;
pub mod dispatcher;
pub mod profile;
pub mod schedule;
pub mod webhook;

pub use board::Board;
pub use dispatcher::{Attempt, Dispatcher, Handler, Trouble};
pub use profile::{OnFailed, Profile, Profiles};
pub use schedule::{KindStats, Stats};
