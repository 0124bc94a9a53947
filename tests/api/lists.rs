//! Lists: pages that stay put while things are added, and what a list promises to show.

use crate::support::api::{escaped, unique};
use crate::support::expect::expect_problem;
use crate::support::server::Server;
use serde_json::{Value, json};

fn ids(page: &Value) -> Vec<u64> {
    let data = page["data"].as_array().expect("a list has data");
    data.iter().map(|item| item["id"].as_u64().expect("an id")).collect()
}

#[test]
fn a_list_has_pages_of_twenty_newest_first() {
    let server = Server::start();
    let admin = server.admin();
    let mut created: Vec<u64> = (0..25).map(|_| admin.item(&unique("Lamp"), 1, 1).id).collect();
    created.reverse();
    let first = admin.get("/items").expect(200);
    assert_eq!(ids(&first), created[..20]);
    let cursor = first["next_cursor"].as_str().expect("there is more");
    let second = admin.get(&format!("/items?cursor={}", escaped(cursor))).expect(200);
    assert_eq!(ids(&second), created[20..]);
    assert_eq!(second["next_cursor"], Value::Null);
    assert_eq!(ids(&admin.get("/items?limit=100").expect(200)), created);
}

#[test]
fn pages_are_stable_while_items_are_added() {
    let server = Server::start();
    let admin = server.admin();
    let mut created: Vec<u64> = (0..10).map(|_| admin.item(&unique("Lamp"), 1, 1).id).collect();
    created.reverse();
    let mut seen = Vec::new();
    let mut path = "/items?limit=3".to_owned();
    loop {
        let page = admin.get(&path).expect(200);
        seen.extend(ids(&page));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/items?limit=3&cursor={}", escaped(cursor));
        admin.item(&unique("Late"), 1, 1);
    }
    assert_eq!(seen, created, "each of the first ten exactly once, none of the late ones");
}

#[test]
fn a_page_size_or_cursor_out_of_range_is_refused() {
    let server = Server::start();
    for query in [
        "limit=0",
        "limit=101",
        "limit=-1",
        "limit=ten",
        "cursor=no-cursor-of-ours",
        "q=a&q=b",
        "limit=1&limit=2",
    ] {
        expect_problem(&server.guest().get(&format!("/items?{query}")), 400, "bad_request");
    }
}

#[test]
fn a_list_shows_what_its_reader_was_just_told() {
    let server = Server::start();
    let (admin, buyer) = (server.admin(), server.buyer(1_000_000));
    let item = admin.item("Lamp", 10, 1_000);
    for n in 1..=30 {
        let bought = buyer.buy(item, 1).expect(201);
        let newest = buyer.get("/orders?limit=1").expect(200);
        assert_eq!(newest["data"][0]["id"], bought["order_id"], "purchase {n}");
        let entry = buyer.get("/balance/entries?limit=1").expect(200);
        assert_eq!(entry["data"][0]["order_id"], bought["order_id"], "purchase {n}");
        let restocked = admin.restock(item, 1);
        let movements = admin.get(&format!("/items/{}/movements?limit=1", item.id));
        assert_eq!(movements.expect(200)["data"][0]["seq"], restocked.seq(), "restock {n}");
    }
}

#[test]
fn a_list_waits_for_the_position_that_its_reader_names() {
    let server = Server::start();
    let admin = server.admin();
    for _ in 0..20 {
        let name = unique("Lamp");
        let created = admin.post("/items", json!({"name": name, "price": 1, "stock": 1}));
        let position = created.seq();
        let list = server
            .guest()
            .call("GET", "/items?limit=1")
            .header("Purser-Min-Seq", &position.to_string())
            .send();
        assert_eq!(list.expect(200)["data"][0]["name"], name);
        assert!(list.as_of() >= position, "as of {} instead of {position}", list.as_of());
    }
}

#[test]
fn what_is_read_is_no_older_than_what_its_reader_was_told_of_anything_else() {
    let server = Server::start();
    let admin = server.admin();
    let item = admin.item("Lamp", 10, 5);
    let path = format!("/items/{}", item.id);
    admin
        .call("PUT", "/levels")
        .json(&json!({"levels": [{"rank": 0, "name": "All", "threshold": 0}]}))
        .send();
    for n in 1..=20 {
        let told = admin.post("/items", json!({"name": "Mug", "price": 1, "stock": 1})).seq();
        for path in [path.as_str(), "/levels"] {
            let read = admin.get(path);
            read.expect(200);
            assert!(read.as_of() >= told, "item {n}: {path} as of {} after {told}", read.as_of());
        }
    }
}

#[test]
fn waiting_for_a_position_that_does_not_come_ends_with_read_timeout() {
    let server = Server::start();
    let list = server.guest().call("GET", "/items").header("Purser-Min-Seq", "900000000").send();
    expect_problem(&list, 503, "read_timeout");
}

#[test]
fn every_list_tells_the_position_that_it_shows() {
    let server = Server::start();
    let (admin, buyer) = (server.admin(), server.buyer(1_000));
    let item = admin.item("Lamp", 10, 5);
    buyer.buy(item, 1).expect(201);
    for (actor, path) in [
        (&buyer.actor, "/items".to_owned()),
        (&buyer.actor, "/orders".to_owned()),
        (&buyer.actor, "/balance/entries".to_owned()),
        (&admin, "/users".to_owned()),
        (&admin, "/orders".to_owned()),
        (&admin, format!("/items/{}/movements", item.id)),
        (&admin, format!("/users/{}/balance/entries", buyer.id)),
    ] {
        let list = actor.get(&path);
        assert!(list.expect(200)["data"].is_array(), "{path}");
        list.as_of();
    }
}

#[test]
fn lists_are_filtered_by_name_sku_user_and_status() {
    let server = Server::start();
    let (admin, ann, bob) = (server.admin(), server.buyer(1_000), server.buyer(1_000));
    admin.post("/items", json!({"name": "Brass lamp", "sku": "L-1", "price": 1, "stock": 9})).expect(201);
    let chair = admin.item("Oak chair", 10, 9);
    let names = |path: &str| -> Vec<Value> {
        server.admin().list(path).iter().map(|item| item["name"].clone()).collect()
    };
    assert_eq!(names("/items?q=lamp"), ["Brass lamp"]);
    assert_eq!(names("/items?sku=L-1"), ["Brass lamp"]);
    assert!(names("/items?sku=L").is_empty());

    let kept = ann.buy(chair, 1).expect(201)["order_id"].clone();
    let gone = ann.buy(chair, 1).expect(201)["order_id"].clone();
    ann.cancel(gone.as_str().expect("an id")).expect(200);
    // Another's purchase: whoever wants to see it at once names its position.
    let last = bob.buy(chair, 1).seq();
    let orders = |path: &str| -> Vec<Value> {
        let list = admin.call("GET", path).header("Purser-Min-Seq", &last.to_string()).send().expect(200);
        list["data"].as_array().expect("a list").iter().map(|order| order["id"].clone()).collect()
    };
    assert_eq!(orders(&format!("/orders?user_id={}", ann.id)), [gone.clone(), kept.clone()]);
    assert_eq!(orders("/orders").len(), 3);
    let of_ann = |status: &str| -> Vec<Value> {
        ann.list(&format!("/orders?status={status}")).iter().map(|order| order["id"].clone()).collect()
    };
    assert_eq!((of_ann("processed"), of_ann("cancelled")), (vec![kept], vec![gone]));
    assert_eq!(admin.list(&format!("/users?q={}", escaped(&ann.email))).len(), 1);
}
