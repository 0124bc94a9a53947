//! Deliberate bugs in the real binary: whatever a test checks has to find them.

use purser::canary::Canary;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What the binary reads of the environment: which bug it has.
pub const CANARY: &str = "CANARY";

/// More runs than any of them needs.
const MOST: usize = 8;

/// Lives with this bug, in one run after the other, until a check finds it.
#[track_caller]
pub fn expect_found(canary: Canary, live: impl Fn(&str, usize)) {
    let name = format!("{canary:?}");
    let wrong =
        |run| catch_unwind(AssertUnwindSafe(|| live(&name, run))).err().map(|panic| (run, words(&*panic)));
    let (runs, wrong) = (1..=MOST).find_map(wrong).unwrap_or_else(|| panic!("{name} is not found"));
    println!("proof: tier=canary what={name}-in-the-binary runs={runs} wrong={wrong:.160}");
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic").replace('\n', " ")
}
