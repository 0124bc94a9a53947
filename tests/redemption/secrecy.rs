//! Card codes are secrets: nothing that the server writes or answers tells one, before the exchange or after it.

use crate::cards::{batch_id, card, last4, ok};
use crate::rig::simulator;
use crate::sentences::id_of;
use crate::support::server::Server;
use crate::support::store::stores;
use crate::traces::{expect_none, left_behind, place_of, readable, told};
use serde_json::json;

/// A text that must be found, or the search proves nothing.
const CANARY: &str = "a label that is no secret";

/// Cards of all kinds, written in all ways.
fn any_cards() -> Vec<String> {
    let rules =
        ["OK500", "INVALID", "USED", "DROPB500", "DROPA500", "E500500", "R429500", "TWICE500", "SLOW900X500"];
    let written = |(index, rule): (usize, &&str)| match index % 3 {
        0 => card(rule),
        1 => card(rule).to_lowercase(),
        _ => card(rule).as_bytes().chunks(4).map(|it| String::from_utf8_lossy(it) + "-").collect(),
    };
    rules.iter().enumerate().map(written).collect()
}

#[test]
fn no_card_code_is_in_the_files_the_database_the_log_or_an_answer() {
    for store in stores() {
        eprintln!("on {}", store.name);
        let folder = tempfile::tempdir().expect("a temporary directory");
        let log = folder.path().join("log");
        let provider = simulator(&[]);
        let mut server = provider
            .setup()
            .store(store)
            .under(&["sh", "-c", "exec \"$@\" 2>>\"$0\"", log.to_str().expect("a plain path")])
            .env("RUST_LOG", "debug,purser=trace")
            .env("PURSER__PROVIDER__TIMEOUT_MS", "400")
            .start();
        let user = server.buyer(0);
        let mut codes = any_cards();
        let accepted = user.hand_in_all(&codes);
        let batch = batch_id(&accepted.expect(202)).to_owned();
        let (single, french) = (ok(500), ok(500));
        let keyed = json!({"code": single, "country": "DE"});
        user.post_keyed("key", "/redemptions", &keyed).expect(202);
        let waits = id_of(&user.post("/redemptions", json!({"code": french, "country": "FR"})).expect(202));
        let replies = [
            accepted,
            user.hand_in(&single),
            user.hand_in_all(std::slice::from_ref(&single)),
            user.post("/redemptions", json!({"code": single, "cuontry": "DE"})),
            user.post("/redemptions", json!({"code": single, "country": "?"})),
            user.post("/redemptions", json!({"code": [single], "country": "DE"})),
            user.post("/redemptions", json!({"code": format!("{single}!"), "country": "DE"})),
            user.call("POST", "/redemptions").text(&format!("{{\"code\":{single}")).send(),
        ];
        let replies = replies.map(|reply| (reply.to, readable(reply.body))).to_vec();
        codes.extend([single, french]);
        expect_none(&replies, &codes, "answered");

        let batch_path = format!("/redemptions/batches/{batch}");
        let paths =
            ["/redemptions?limit=100", &batch_path, "/messages/stats", "/messages/failed", "/admin/owners"];
        let look = |server: &Server, when: &str| {
            expect_none(&left_behind(server, &log), &codes, when);
            expect_none(&told(server, &paths), &codes, when);
        };
        look(&server, "queued");
        server.drains();
        look(&server, "queued and stored");
        server.kill9();
        server.restart();
        look(&server, "queued, after a crash");

        let admin = server.admin();
        let plan = admin.plan(1_000_000, 10_000);
        let account = json!({"label": CANARY, "country": "DE", "plan_id": plan});
        admin.post("/redemption/accounts", account).expect(201);
        user.batch_ends(&batch);
        user.cancel_card(&waits).expect(200);
        look(&server, "exchanged");
        server.drains();
        look(&server, "exchanged and stored");
        let shown = told(&server, &["/redemptions?limit=100"]);
        let is_shown = |code: &String| place_of(&shown, last4(&code.replace('-', ""))).is_some();
        assert!(codes.iter().all(is_shown), "the last four characters may be shown, and are");
        server.expect_clean_audit();
        assert_eq!(server.sigterm(), Some(0));
        let left = left_behind(&server, &log);
        assert!(place_of(&left, CANARY).is_some(), "the search finds nothing at all");
        assert!(std::fs::metadata(&log).is_ok_and(|log| log.len() > 0), "no log was kept");
        expect_none(&left, &codes, "after the stop");
    }
}
