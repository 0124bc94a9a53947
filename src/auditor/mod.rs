//! A second opinion on what the engine has done: a naive sequential model of stock, money, orders, messages and gift cards, in
//! plain maps, that reads a journal record by record and says what does not follow from what was there before; and a check of
//! what clients were told against it. None of the engine's own rules are called here: an error in them is to be found.

mod cards;
pub mod facts;
pub mod history;
mod messages;
mod model;
mod orders;
mod reading;
mod totals;

pub use history::{Ask, Call, Told, check};
pub use model::Model;
pub use reading::entry;
