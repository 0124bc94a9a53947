//! Redemption in sentences.

use crate::support::api::{Actor, unique};
use crate::support::http::Reply;
use crate::support::server::Server;
use serde_json::{Value, json};

/// The id in a view.
#[track_caller]
pub fn id_of(view: &Value) -> String {
    view["id"].as_str().unwrap_or_else(|| panic!("no id: {view}")).to_owned()
}

#[track_caller]
pub fn number(view: &Value, field: &str) -> u64 {
    view[field].as_u64().unwrap_or_else(|| panic!("no number in {field}: {view}"))
}

/// What an operator does.
impl Actor {
    /// Creates a plan. Its id.
    #[track_caller]
    pub fn plan(&self, target_amount: u64, payout_bps: u64) -> String {
        let plan = json!({"name": unique("plan"), "target_amount": target_amount, "payout_bps": payout_bps});
        id_of(&self.post("/redemption/plans", plan).expect(201))
    }

    /// Creates an account. Its id.
    #[track_caller]
    pub fn account_in(&self, country: &str, plan_id: &str) -> String {
        let account = json!({"label": unique("account"), "country": country, "plan_id": plan_id});
        id_of(&self.post("/redemption/accounts", account).expect(201))
    }

    /// Creates an account for German cards. Its id.
    #[track_caller]
    pub fn account(&self, plan_id: &str) -> String {
        self.account_in("DE", plan_id)
    }

    pub fn account_step(&self, id: &str, step: &str) -> Reply {
        self.post(&format!("/redemption/accounts/{id}/{step}"), json!({}))
    }

    #[track_caller]
    pub fn account_view(&self, id: &str) -> Value {
        self.get(&format!("/redemption/accounts/{id}")).expect(200)
    }

    /// The account's transitions, oldest first.
    #[track_caller]
    pub fn transitions(&self, id: &str) -> Vec<Value> {
        let mut transitions = self.list(&format!("/redemption/accounts/{id}/transitions"));
        transitions.reverse();
        transitions
    }

    /// Settles a card in doubt.
    pub fn settle(&self, redemption_id: &str, body: &Value) -> Reply {
        self.post(&format!("/redemptions/{redemption_id}/resolve"), body.clone())
    }
}

impl Server {
    /// What happened to an account since it was created, oldest first, each as "from > to: reason".
    #[track_caller]
    pub fn story(&self, account: &str) -> Vec<String> {
        // Others than the caller make an account's transitions.
        self.drains();
        let told = self.admin().transitions(account);
        let text = |one: &Value, field: &str| {
            one[field].as_str().unwrap_or_else(|| panic!("no {field}: {one}")).to_owned()
        };
        let line =
            |one: &Value| format!("{} > {}: {}", text(one, "from"), text(one, "to"), text(one, "reason"));
        let mut story: Vec<_> = told.iter().map(line).collect();
        assert_eq!(story.remove(0), "waiting > waiting: created");
        story
    }
}
