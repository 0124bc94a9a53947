//! A real `purser provider-sim` process: the gift-card provider that tests exchange cards with.

use super::http::{Http, Reply, Target};
use super::server::{Ended, Process, purser};
use serde_json::{Value, json};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use uuid::Uuid;

/// See the module.
pub struct Simulator {
    process: Process,
    address: SocketAddr,
    pub http: Http,
}

impl Simulator {
    #[track_caller]
    pub fn start(flags: &[&str]) -> Self {
        let mut command = purser();
        command.args(["provider-sim", "--listen", "127.0.0.1:0"]).args(flags);
        let process = Process::spawn(command);
        let address = process.wait_until_listening();
        Self { process, address, http: Http::new(Arc::new(Target::new(address))) }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Asks for an exchange on account `a`.
    pub fn exchange(&self, redemption_id: Uuid, code: &str) -> io::Result<Reply> {
        let body = exchange_body(redemption_id, code);
        let key = ("Idempotency-Key".to_owned(), redemption_id.to_string());
        self.http.send("POST", "/exchange", &[key], Some(body.as_bytes()))
    }

    /// What the provider knows of a redemption.
    #[track_caller]
    pub fn status(&self, redemption_id: Uuid) -> Value {
        let reply =
            self.http.send("GET", &format!("/exchange/{redemption_id}"), &[], None).expect("an answer");
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }

    /// Every exchange attempt that reached it.
    #[track_caller]
    pub fn ledger(&self) -> Vec<Value> {
        let reply = self.http.send("GET", "/ledger", &[], None).expect("an answer");
        reply.json().as_array().expect("a list").clone()
    }

    /// The ledger's words of what attempts came to, in the order in which they began.
    #[track_caller]
    pub fn statuses(&self) -> Vec<String> {
        let word = |entry: &Value| entry["status"].as_str().expect("a word").to_owned();
        self.ledger().iter().map(word).collect()
    }

    /// Asks the process to end.
    #[track_caller]
    pub fn stop(self) -> Ended {
        self.process.signal("TERM");
        self.process.wait()
    }
}

pub fn exchange_body(redemption_id: Uuid, code: &str) -> String {
    json!({"redemption_id": redemption_id, "account": "a", "code": code, "country": "DE"}).to_string()
}
