//! Items: creation, change, stock and its movements, deletion.

use crate::support::api::LARGEST;
use crate::support::expect::{expect_invalid, expect_problem};
use crate::support::server::Server;
use serde_json::{Value, json};

#[test]
fn an_item_is_created_and_read_by_anyone() {
    let server = Server::start();
    let body = json!({"sku": "L-1", "name": "Lamp", "description": "Brass", "price": 1_999, "stock": 3});
    let created = server.admin().post("/items", body.clone()).expect(201);
    for (field, value) in body.as_object().expect("an object") {
        assert_eq!(&created[field], value, "{field}");
    }
    assert_eq!((&created["version"], &created["revision"]), (&json!(1), &json!(1)));
    assert_eq!(created["deleted_at"], Value::Null);
    assert!(created["created_at"].is_string() && created["updated_at"].is_string(), "{created}");
    let path = format!("/items/{}", created["id"]);
    let read = server.guest().get(&path);
    assert_eq!(read.expect(200), created);
    assert_eq!(read.header("ETag"), Some("\"1\""));
    let plain = server.admin().post("/items", json!({"name": "Plain", "price": 0, "stock": 0})).expect(201);
    assert_eq!(plain["sku"], Value::Null);
}

#[test]
fn the_version_counts_every_change_and_the_revision_only_those_of_the_item_itself() {
    let server = Server::start();
    let (admin, buyer) = (server.admin(), server.buyer(1_000));
    let item = admin.item("Lamp", 10, 10);
    let counts = || {
        let item = server.item(item);
        (item["version"].as_u64().expect("a version"), item["revision"].as_u64().expect("a revision"))
    };
    assert_eq!(counts(), (1, 1));
    buyer.buy(item, 1).expect(201);
    assert_eq!(counts(), (2, 1));
    admin.restock(item, 1).expect(200);
    assert_eq!(counts(), (3, 1));
    admin.reprice(item, 11).expect(200);
    assert_eq!(counts(), (4, 2));
    admin.remove(item).expect(204);
    assert_eq!(counts(), (5, 3));
    admin.restore(item).expect(200);
    assert_eq!(counts(), (6, 4));
}

#[test]
fn a_patch_changes_what_it_names_and_nothing_else() {
    let server = Server::start();
    let admin = server.admin();
    let item = admin.item("Lamp", 10, 5);
    let path = format!("/items/{}", item.id);
    let body = json!({"name": "Lantern", "price": 12, "description": "Tin", "sku": "T-1"});
    let changed = admin.patch(&path, body.clone()).expect(200);
    for (field, value) in body.as_object().expect("an object") {
        assert_eq!(&changed[field], value, "{field}");
    }
    let renamed = admin.patch(&path, json!({"name": "Light"})).expect(200);
    assert_eq!(renamed["name"], "Light");
    assert_eq!(
        (&renamed["price"], &renamed["sku"], &renamed["stock"]),
        (&json!(12), &json!("T-1"), &json!(5))
    );
    assert_eq!(server.guest().get(&path).expect(200)["name"], "Light");
    expect_problem(&admin.patch("/items/999999", json!({"name": "Light"})), 404, "not_found");
}

#[test]
fn a_change_on_a_stale_revision_is_refused_while_sales_do_not_disturb_it() {
    let server = Server::start();
    let (admin, buyer) = (server.admin(), server.buyer(100));
    let item = admin.item("Lamp", 10, 5);
    let if_match = |etag: &str, price: u64| {
        admin
            .call("PATCH", &format!("/items/{}", item.id))
            .header("If-Match", etag)
            .json(&json!({"price": price}))
            .send()
    };
    buyer.buy(item, 1).expect(201);
    if_match("\"1\"", 11).expect(200);
    expect_problem(&if_match("\"1\"", 12), 412, "version_conflict");
    assert_eq!(server.item(item)["price"], 11);
    if_match("\"2\"", 12).expect(200);
}

#[test]
fn an_sku_belongs_to_one_item_also_when_that_is_deleted() {
    let server = Server::start();
    let admin = server.admin();
    let with_sku = |sku: &str| admin.post("/items", json!({"name": "L", "sku": sku, "price": 1, "stock": 1}));
    let first = with_sku("A-1").expect(201);
    expect_problem(&with_sku("A-1"), 409, "sku_taken");
    with_sku("a-1").expect(201);
    let other = admin.item("Other", 1, 1);
    let take = |sku: &str| admin.patch(&format!("/items/{}", other.id), json!({"sku": sku}));
    expect_problem(&take("A-1"), 409, "sku_taken");
    admin.delete(&format!("/items/{}", first["id"])).expect(204);
    expect_problem(&take("A-1"), 409, "sku_taken");
    take("B-1").expect(200);
    expect_problem(&with_sku("B-1"), 409, "sku_taken");
    take("C-1").expect(200);
    with_sku("B-1").expect(201);
}

#[test]
fn stock_moves_by_deltas_and_every_movement_is_on_record() {
    let server = Server::start();
    let (admin, buyer) = (server.admin(), server.buyer(1_000));
    let item = admin.item("Lamp", 10, 5);
    let path = format!("/items/{}/stock", item.id);
    let restocked = admin.post(&path, json!({"delta": 7, "reason": "delivery"})).expect(200);
    assert_eq!(restocked["stock"], 12);
    assert_eq!(admin.restock(item, -2).expect(200)["stock"], 10);
    let order = buyer.buy(item, 3).expect(201)["order_id"].clone();
    buyer.cancel(order.as_str().expect("an id")).expect(200);
    let sold = buyer.buy(item, 4).expect(201)["order_id"].clone();
    admin.take_back(buyer.id, sold.as_str().expect("an id"), item, 1).expect(201);

    let mut movements = admin.list(&format!("/items/{}/movements", item.id));
    movements.reverse();
    let kinds: Vec<_> = movements.iter().map(|movement| (&movement["kind"], &movement["delta"])).collect();
    let expected = [
        ("initial", 5),
        ("restock", 7),
        ("adjust", -2),
        ("sale", -3),
        ("cancel", 3),
        ("sale", -4),
        ("return", 1),
    ]
    .map(|(kind, delta)| (json!(kind), json!(delta)));
    assert_eq!(kinds, expected.iter().map(|(kind, delta)| (kind, delta)).collect::<Vec<_>>());
    assert_eq!(movements[1]["reason"], "delivery");
    assert_eq!((&movements[3]["order_id"], &movements[4]["order_id"]), (&order, &order));
    let seqs: Vec<_> = movements.iter().map(|movement| movement["seq"].as_u64().expect("a seq")).collect();
    assert!(seqs.is_sorted_by(|earlier, later| earlier < later), "{seqs:?}");
    assert_eq!(server.stock(item), 7);
}

#[test]
fn stock_never_goes_below_zero_or_past_the_largest_number() {
    let server = Server::start();
    let admin = server.admin();
    let item = admin.item("Lamp", 10, 5);
    let refused = expect_problem(&admin.restock(item, -6), 409, "insufficient_stock");
    assert_eq!((&refused["available"], &refused["product_id"]), (&json!(5), &json!(item.id)));
    admin.restock(item, -5).expect(200);
    let room = i64::try_from(LARGEST).expect("53 bits");
    admin.restock(item, room).expect(200);
    let full = expect_problem(&admin.restock(item, 1), 409, "stock_limit");
    assert_eq!(full["product_id"], item.id);
    assert_eq!(server.stock(item), LARGEST);
    let path = format!("/items/{}/stock", item.id);
    expect_invalid(&admin.post(&path, json!({"delta": LARGEST + 1})), "delta");
    expect_problem(&admin.post("/items/999999/stock", json!({"delta": 1})), 404, "not_found");
}

#[test]
fn a_deleted_item_is_hidden_cannot_be_bought_and_can_be_restored() {
    let server = Server::start();
    let (admin, buyer) = (server.admin(), server.buyer(100));
    let item = admin.item("Lamp", 10, 5);
    let path = format!("/items/{}", item.id);
    admin.remove(item).expect(204);
    expect_problem(&server.guest().get(&path), 404, "not_found");
    expect_problem(&admin.get(&path), 404, "not_found");
    assert!(admin.list("/items").is_empty(), "a deleted item is listed");
    assert_eq!(admin.list("/items?include_deleted=true").len(), 1);
    assert!(server.item(item)["deleted_at"].is_string(), "no time of deletion");
    expect_problem(&buyer.get(&format!("{path}?include_deleted=true")), 404, "not_found");
    expect_problem(&buyer.buy(item, 1), 410, "item_deleted");
    let restored = admin.restore(item).expect(200);
    assert_eq!((&restored["deleted_at"], &restored["stock"]), (&Value::Null, &json!(5)));
    server.guest().get(&path).expect(200);
    buyer.buy(item, 1).expect(201);
    expect_problem(&admin.delete("/items/999999"), 404, "not_found");
    expect_problem(&admin.post("/items/999999/restore", json!({})), 404, "not_found");
}
