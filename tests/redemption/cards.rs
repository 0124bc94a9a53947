//! Cards of every kind, and what their users do with them, in sentences.

use crate::sentences::{id_of, number};
use crate::support::api::Actor;
use crate::support::eventually;
use crate::support::http::Reply;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};

/// A code that no other test of this process uses; its first part rules what the provider does with it. The last four
/// characters of 10,000 codes in a row differ.
pub fn card(rule: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("{rule}XQ7RK{:08}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A card that the provider takes at once.
pub fn ok(amount: u64) -> String {
    card(&format!("OK{amount}"))
}

/// Good cards, worth 1, 2, 3, …
pub fn cards(count: u64) -> Vec<String> {
    (1..=count).map(ok).collect()
}

/// What the outside may see of a code.
pub fn last4(code: &str) -> &str {
    &code[code.len() - 4..]
}

/// Whether nothing more happens to this redemption.
pub fn has_ended(redemption: &Value) -> bool {
    ["succeeded", "failed", "cancelled"].iter().any(|status| redemption["status"] == *status)
}

/// The body that hands in a batch of German cards.
pub fn batch_of(codes: &[String]) -> Value {
    let cards: Vec<_> = codes.iter().map(|code| json!({"code": code, "country": "DE"})).collect();
    json!({"cards": cards})
}

#[track_caller]
pub fn batch_id(accepted: &Value) -> &str {
    accepted["batch_id"].as_str().unwrap_or_else(|| panic!("no batch id: {accepted}"))
}

/// Single cards.
impl Actor {
    /// Hands in a German card.
    pub fn hand_in(&self, code: &str) -> Reply {
        self.post("/redemptions", json!({"code": code, "country": "DE"}))
    }

    /// As [`Self::hand_in`]; it is accepted. The redemption's id.
    #[track_caller]
    pub fn handed_in(&self, code: &str) -> String {
        let reply = self.hand_in(code);
        let accepted = reply.expect(202);
        assert_eq!(accepted["status"], "queued", "{accepted}");
        assert!(reply.seq() > 0);
        id_of(&accepted)
    }

    #[track_caller]
    pub fn redemption(&self, id: &str) -> Value {
        self.get(&format!("/redemptions/{id}")).expect(200)
    }

    /// Waits until the redemption has this status.
    #[track_caller]
    pub fn becomes(&self, id: &str, status: &str) -> Value {
        eventually(&format!("the redemption is {status}"), || {
            let seen = self.redemption(id);
            assert!(!has_ended(&seen) || seen["status"] == status, "it ended otherwise: {seen}");
            (seen["status"] == status).then_some(seen)
        })
    }

    /// Hands in a card and waits until it is exchanged.
    #[track_caller]
    pub fn redeems(&self, code: &str) -> Value {
        let id = self.handed_in(code);
        self.becomes(&id, "succeeded")
    }

    /// As [`Self::redeems`], of a card that the provider does not take.
    #[track_caller]
    pub fn fails_with(&self, code: &str) -> Value {
        let id = self.handed_in(code);
        self.becomes(&id, "failed")
    }

    pub fn cancel_card(&self, redemption_id: &str) -> Reply {
        self.post(&format!("/redemptions/{redemption_id}/cancel"), json!({}))
    }
}

/// Batches.
impl Actor {
    pub fn hand_in_all(&self, codes: &[String]) -> Reply {
        self.post("/redemptions/batches", batch_of(codes))
    }

    /// Hands in a batch in which nothing is wrong. Its id.
    #[track_caller]
    pub fn handed_in_all(&self, codes: &[String]) -> String {
        let accepted = self.hand_in_all(codes).expect(202);
        assert_eq!(accepted["total"], codes.len(), "{accepted}");
        assert_eq!(accepted["rejected"], json!([]), "{accepted}");
        batch_id(&accepted).to_owned()
    }

    /// The figures of a batch, which add up at any time.
    #[track_caller]
    pub fn batch(&self, id: &str) -> Value {
        let figures = self.get(&format!("/redemptions/batches/{id}")).expect(200);
        assert_eq!(figures["id"], id);
        let statuses = ["queued", "locking", "succeeded", "failed", "in_doubt", "cancelled"];
        let sum: u64 = statuses.iter().map(|status| number(&figures, status)).sum();
        assert_eq!(sum, number(&figures, "total"), "the figures do not add up: {figures}");
        figures
    }

    /// Waits until so many cards of the batch are exchanged.
    #[track_caller]
    pub fn batch_reaches(&self, id: &str, succeeded: u64) -> Value {
        eventually("the batch gets on", || {
            let figures = self.batch(id);
            (number(&figures, "succeeded") >= succeeded).then_some(figures)
        })
    }

    /// Waits for the end of every card, as long as the batch gets on at all.
    #[track_caller]
    pub fn batch_ends(&self, id: &str) -> Value {
        let open = |figures: &Value| {
            ["queued", "locking", "in_doubt"].iter().map(|status| number(figures, status)).sum::<u64>()
        };
        let mut left = u64::MAX;
        loop {
            let figures = eventually("the batch gets on", || {
                let figures = self.batch(id);
                (open(&figures) < left).then_some(figures)
            });
            left = open(&figures);
            if left == 0 {
                return figures;
            }
        }
    }

    /// The redemptions of a batch, newest first.
    #[track_caller]
    pub fn redemptions_of(&self, batch_id: &str) -> Vec<Value> {
        self.list(&format!("/redemptions?batch_id={batch_id}"))
    }

    pub fn cancel_batch(&self, batch_id: &str) -> Reply {
        self.post(&format!("/redemptions/batches/{batch_id}/cancel"), json!({}))
    }
}
