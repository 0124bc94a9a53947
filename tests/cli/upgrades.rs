//! `purser upgrades batch-check` against a running server.

use crate::support::eventually;
use crate::support::server::Server;
use serde_json::{Value, json};

#[test]
fn a_batch_check_goes_on_where_it_ended() {
    let server = Server::start();
    let admin = server.admin();
    let mut users: Vec<_> = (0..3).map(|_| server.buyer(100)).collect();
    users.sort_unstable_by_key(|user| user.id);
    for user in &users {
        let id = user.post("/withdrawals", json!({"amount": 50})).expect(201)["id"].clone();
        admin.post(&format!("/withdrawals/{}/complete", id.as_str().expect("an id")), json!({})).expect(200);
    }
    let levels = json!({"levels": [
        {"rank": 0, "name": "Starter", "threshold": 0}, {"rank": 1, "name": "Seller", "threshold": 50},
    ]});
    // By the levels there were, nobody climbs.
    eventually("all checks are done", || {
        let stats = admin.get("/messages/stats").expect(200);
        (stats["by_kind"]["upgrade_check"]["succeeded_total"] == 3).then_some(())
    });
    admin.call("PUT", "/levels").json(&levels).send().expect(200);
    let batch = |arguments: &[&str]| -> Value {
        let ended = server.cli(&[&["upgrades", "batch-check", "--level", "0", "--json"], arguments].concat());
        assert_eq!(ended.code, Some(0), "{ended:?}");
        serde_json::from_str(&ended.stdout).expect("one JSON document")
    };
    let first = batch(&["--limit", "2"]);
    assert_eq!((&first["checked"], &first["next_after"]), (&json!(2), &json!(users[1].id)));
    let rest = batch(&["--limit", "2", "--after", &users[1].id.to_string()]);
    assert_eq!((&rest["checked"], &rest["next_after"]), (&json!(1), &Value::Null));
    for user in &users {
        eventually("the distributor climbs", || {
            let seen = admin.get(&format!("/distributors/{}", user.id)).expect(200);
            (seen["level"] == json!({"rank": 1, "name": "Seller"})).then_some(())
        });
    }
    assert_eq!(server.cli(&["upgrades", "batch-check"]).code, Some(2), "without a limit");
}
