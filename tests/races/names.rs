//! What meets at one name: addresses and SKUs.

use crate::support::api::{escaped, unique};
use crate::support::{expect_serial, race};
use crate::{many_rounds, tells, told};
use serde_json::{Value, json};

fn taken() -> (u16, String) {
    tells(409, "sku_taken")
}

#[test]
fn an_address_is_registered_once() {
    many_rounds(|server| {
        let email = format!("{}@example.org", unique("ann"));
        let shouted = email.to_uppercase();
        let (one, other) = race(
            || server.register(&email, "long enough"),
            || server.admin().post("/users", json!({"name": "Ann", "email": shouted})),
        );
        let seen = (told(&one), told(&other));
        let refused = || tells(409, "email_taken");
        expect_serial(&seen, &[(tells(201, ""), refused()), (refused(), tells(201, ""))]);
        let (winner, last) = match one.status {
            201 => (one.json()["user"].clone(), one.seq()),
            _ => (other.json(), other.seq()),
        };
        // Another's write: whoever wants to see it at once names its position.
        let admin = server.admin();
        let list = admin.call("GET", &format!("/users?q={}", escaped(&email)));
        let listed = list.header("Purser-Min-Seq", &last.to_string()).send().expect(200);
        let holders: Vec<_> =
            listed["data"].as_array().expect("a list").iter().map(|user| &user["id"]).collect();
        assert_eq!(holders, [&winner["id"]]);
    });
}

#[test]
fn an_sku_goes_to_one_of_two_new_items() {
    many_rounds(|server| {
        let (admin, sku) = (server.admin(), unique("sku"));
        let create =
            |name: &str| admin.post("/items", json!({"name": name, "sku": sku, "price": 1, "stock": 1}));
        let (one, other) = race(|| create("Lamp"), || create("Chair"));
        expect_serial(&(told(&one), told(&other)), &[(tells(201, ""), taken()), (taken(), tells(201, ""))]);
        let holders = admin.list(&format!("/items?sku={sku}"));
        let winner = if one.status == 201 { one.json() } else { other.json() };
        assert_eq!(holders.len(), 1);
        assert_eq!(holders[0]["id"], winner["id"]);
    });
}

#[test]
fn an_sku_goes_to_one_of_two_items_that_change_to_it() {
    many_rounds(|server| {
        let (admin, sku) = (server.admin(), unique("sku"));
        let (lamp, chair) = (admin.item("Lamp", 1, 1), admin.item("Chair", 1, 1));
        let take = |id: u64| admin.patch(&format!("/items/{id}"), json!({"sku": sku}));
        let (one, other) = race(|| take(lamp.id), || take(chair.id));
        let seen =
            (told(&one), told(&other), server.item(lamp)["sku"].clone(), server.item(chair)["sku"].clone());
        let (ok, held) = (|| tells(200, ""), json!(sku));
        let serial = [(ok(), taken(), held.clone(), Value::Null), (taken(), ok(), Value::Null, held)];
        expect_serial(&seen, &serial);
    });
}

#[test]
fn an_item_that_changes_to_an_sku_twice_has_it_and_is_not_told_that_it_is_taken() {
    many_rounds(|server| {
        let (admin, sku) = (server.admin(), unique("sku"));
        let lamp = admin.item("Lamp", 1, 1);
        let take = || admin.patch(&format!("/items/{}", lamp.id), json!({"sku": sku}));
        let (one, other) = race(take, take);
        let seen = (told(&one), told(&other), server.item(lamp)["sku"].clone());
        expect_serial(&seen, &[(tells(200, ""), tells(200, ""), json!(sku))]);
    });
}

#[test]
fn an_sku_goes_to_a_new_item_or_to_one_that_changes_to_it() {
    many_rounds(|server| {
        let (admin, sku) = (server.admin(), unique("sku"));
        let chair = admin.item("Chair", 1, 1);
        let (created, changed) = race(
            || admin.post("/items", json!({"name": "Lamp", "sku": sku, "price": 1, "stock": 1})),
            || admin.patch(&format!("/items/{}", chair.id), json!({"sku": sku})),
        );
        let seen = (told(&created), told(&changed));
        expect_serial(&seen, &[(tells(201, ""), taken()), (taken(), tells(200, ""))]);
        assert_eq!(admin.list(&format!("/items?sku={sku}")).len(), 1);
    });
}

#[test]
fn an_sku_can_be_taken_once_it_is_given_up() {
    many_rounds(|server| {
        let (admin, sku) = (server.admin(), unique("sku"));
        let held = json!({"name": "Lamp", "sku": sku, "price": 1, "stock": 1});
        let lamp = admin.post("/items", held).expect(201)["id"].as_u64().expect("an id");
        let chair = admin.item("Chair", 1, 1);
        let (freed, took) = race(
            || admin.patch(&format!("/items/{lamp}"), json!({"sku": unique("other")})),
            || admin.patch(&format!("/items/{}", chair.id), json!({"sku": sku})),
        );
        freed.expect(200);
        expect_serial(&told(&took), &[tells(200, ""), taken()]);
        let holders = admin.list(&format!("/items?sku={sku}"));
        assert_eq!(holders.len(), usize::from(took.status == 200), "{holders:?}");
        // Whoever lost may have it now: the name was not leaked.
        let again = admin.patch(&format!("/items/{}", chair.id), json!({"sku": sku}));
        assert_eq!(again.expect(200)["sku"], sku);
    });
}

#[test]
fn two_items_cannot_exchange_their_skus() {
    many_rounds(|server| {
        let admin = server.admin();
        let (left, right) = (unique("left"), unique("right"));
        let item = |sku: &str| {
            let body = json!({"name": "Lamp", "sku": sku, "price": 1, "stock": 1});
            admin.post("/items", body).expect(201)["id"].as_u64().expect("an id")
        };
        let (one, other) = (item(&left), item(&right));
        let take = |id: u64, sku: &str| admin.patch(&format!("/items/{id}"), json!({"sku": sku}));
        let (first, second) = race(|| take(one, &right), || take(other, &left));
        // In any serial order the first finds its name held by the other, and so does the second.
        assert_eq!((told(&first), told(&second)), (taken(), taken()));
        let holder = |sku: &str| admin.list(&format!("/items?sku={sku}"))[0]["id"].clone();
        assert_eq!((holder(&left), holder(&right)), (json!(one), json!(other)));
    });
}
