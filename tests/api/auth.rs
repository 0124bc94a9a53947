//! Registration, login, tokens and roles.

use crate::support::api::Actor;
use crate::support::expect::{expect_invalid, expect_problem};
use crate::support::http::Reply;
use crate::support::server::Server;
use crate::support::{all_at_once, eventually};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use serde_json::{Value, json};

const PASSWORD: &str = "correct horse battery";

fn login(server: &Server, email: &str, password: &str) -> Reply {
    server.guest().post("/auth/login", json!({"email": email, "password": password}))
}

fn refresh(server: &Server, token: &str) -> Reply {
    server.guest().post("/auth/refresh", json!({"refresh_token": token}))
}

fn tokens(answer: &Value) -> (String, String) {
    let token = |name: &str| answer[name].as_str().expect("a token").to_owned();
    (token("access_token"), token("refresh_token"))
}

#[test]
fn whoever_registers_is_logged_in_with_an_empty_balance() {
    let server = Server::start();
    let answer = server.register("ann@example.org", PASSWORD).expect(201);
    assert_eq!(answer["user"]["name"], "Ann");
    assert_eq!(answer["user"]["email"], "ann@example.org");
    assert_eq!(answer["user"]["role"], "user");
    assert_eq!(answer["token_type"], "Bearer");
    assert!(answer["expires_in"].as_u64().is_some_and(|seconds| seconds > 0), "{answer}");
    let ann = server.bearer(&tokens(&answer).0);
    for me in [ann.get("/auth/me"), ann.post("/auth/me", json!({}))] {
        let me = me.expect(200);
        for field in ["id", "name", "email", "role"] {
            assert_eq!(me[field], answer["user"][field], "{me}");
        }
        assert!(me["created_at"].is_string(), "{me}");
    }
    assert_eq!(ann.balance(), 0);
}

#[test]
fn a_login_answers_like_the_registration_and_ignores_the_case_of_the_address() {
    let server = Server::start();
    let user = server.register("Ann@Example.org", PASSWORD).expect(201)["user"].clone();
    let answer = login(&server, "ann@EXAMPLE.org", PASSWORD).expect(200);
    assert_eq!(answer["user"], user);
    assert_eq!(server.bearer(&tokens(&answer).0).get("/auth/me").expect(200)["id"], user["id"]);
}

#[test]
fn a_wrong_password_and_an_unknown_address_look_the_same() {
    let server = Server::start();
    server.register("ann@example.org", PASSWORD).expect(201);
    let wrong = expect_problem(&login(&server, "ann@example.org", "wrong horse"), 401, "invalid_credentials");
    let unknown = expect_problem(&login(&server, "bob@example.org", PASSWORD), 401, "invalid_credentials");
    assert_eq!(wrong["detail"], unknown["detail"]);
}

#[test]
fn an_address_is_taken_in_whatever_case() {
    let server = Server::start();
    server.register("ann@example.org", PASSWORD).expect(201);
    expect_problem(&server.register("ANN@example.ORG", PASSWORD), 409, "email_taken");
    let again = json!({"name": "Ann", "email": "Ann@example.org"});
    expect_problem(&server.admin().post("/users", again), 409, "email_taken");
}

#[test]
fn a_password_has_8_to_1024_characters_and_an_address_is_one() {
    let server = Server::start();
    expect_invalid(&server.register("a@example.org", "seven77"), "password");
    expect_invalid(&server.register("a@example.org", &"p".repeat(1_025)), "password");
    for address in ["", "ann", "@example.org", "ann@", "a nn@example.org"] {
        expect_invalid(&server.register(address, PASSWORD), "email");
    }
    server.register("short@example.org", "eight888").expect(201);
    server.register("long@example.org", &"p".repeat(1_024)).expect(201);
    login(&server, "long@example.org", &"p".repeat(1_024)).expect(200);
    // Characters, not bytes.
    expect_invalid(&server.register("a@example.org", &"ä".repeat(7)), "password");
    expect_invalid(&server.register("a@example.org", &"ä".repeat(1_025)), "password");
    expect_invalid(&login(&server, "wide@example.org", &"ä".repeat(1_025)), "password");
    server.register("wide@example.org", &"ä".repeat(1_024)).expect(201);
    login(&server, "wide@example.org", &"ä".repeat(1_024)).expect(200);
}

#[test]
fn a_request_without_a_valid_token_is_unauthenticated() {
    let server = Server::start();
    let answer = server.register("ann@example.org", PASSWORD).expect(201);
    let (access, refresh_token) = tokens(&answer);
    expect_problem(&server.guest().get("/balance"), 401, "unauthenticated");
    let basic = server.guest().call("GET", "/balance").header("Authorization", "Basic YTpi").send();
    expect_problem(&basic, 401, "unauthenticated");
    for forged in forgeries(&access).iter().chain([&refresh_token]) {
        expect_problem(&server.bearer(forged).get("/balance"), 401, "unauthenticated");
    }
    server.bearer(&access).get("/balance").expect(200);
}

/// Tokens that someone without the secret can make out of a valid one.
fn forgeries(access: &str) -> Vec<String> {
    let parts: Vec<_> = access.split('.').collect();
    let [header, payload, signature] = parts[..] else { panic!("not a JWT: {access}") };
    let encoded = |value: &Value| BASE64.encode(value.to_string());
    let none = encoded(&json!({"alg": "none", "typ": "JWT"}));
    let shouted = encoded(&json!({"alg": "NONE", "typ": "JWT"}));
    let decoded = BASE64.decode(payload).expect("a payload is base64url");
    let mut claims: Value = serde_json::from_slice(&decoded).expect("a payload is JSON");
    claims["exp"] = json!(4_102_444_800_u64);
    claims["role"] = json!("admin");
    let promoted = encoded(&claims);
    let other = BASE64.encode([7; 32]);
    vec![
        String::new(),
        "token".into(),
        format!("{header}.{payload}"),
        format!("{header}.{payload}."),
        format!("{header}.{payload}.{other}"),
        format!("{header}.{promoted}.{signature}"),
        format!("{none}.{payload}."),
        format!("{none}.{promoted}.{signature}"),
        format!("{shouted}.{payload}."),
    ]
}

#[test]
fn parallel_refreshes_share_one_successor() {
    let server = Server::start();
    let (_, first) = tokens(&server.register("ann@example.org", PASSWORD).expect(201));
    let replies = all_at_once(10, |_| refresh(&server, &first));
    let successors: Vec<_> = replies.iter().map(|reply| tokens(&reply.expect(200))).collect();
    for (access, successor) in &successors {
        assert_eq!(successor, &successors[0].1, "two successors of one token");
        assert_ne!(successor, &first, "the token did not rotate");
        server.bearer(access).get("/auth/me").expect(200);
    }
    refresh(&server, &successors[0].1).expect(200);
}

#[test]
fn a_refresh_answers_where_it_stands_in_the_journal() {
    let server = Server::start();
    let registered = server.register("ann@example.org", PASSWORD);
    let (_, first) = tokens(&registered.expect(201));
    let refreshed = refresh(&server, &first);
    assert!(refreshed.seq() > registered.seq(), "{:?}", refreshed.headers);
    // The same successor, nothing new.
    assert_eq!(refresh(&server, &first).seq(), refreshed.seq());
    assert_eq!(refreshed.header("Purser-Durability"), Some("journal"));
}

#[test]
fn a_token_used_again_later_revokes_its_family() {
    let server = Server::start();
    let (_, first) = tokens(&server.register("ann@example.org", PASSWORD).expect(201));
    let (access, second) = tokens(&refresh(&server, &first).expect(200));
    let reused = eventually("the grace period of a used token ends", || {
        let reply = refresh(&server, &first);
        (reply.status == 401).then_some(reply)
    });
    expect_problem(&reused, 401, "token_revoked");
    expect_problem(&refresh(&server, &second), 401, "token_revoked");
    expect_problem(&server.bearer(&access).get("/auth/me"), 401, "token_revoked");
    login(&server, "ann@example.org", PASSWORD).expect(200);
}

#[test]
fn a_forged_refresh_token_is_refused_and_revokes_nothing() {
    let server = Server::start();
    let (access, token) = tokens(&server.register("ann@example.org", PASSWORD).expect(201));
    let other = if token.starts_with('A') { "B" } else { "A" };
    let tampered = format!("{other}{}", &token[1..]);
    for forged in ["", "token", &tampered, &access] {
        expect_problem(&refresh(&server, forged), 401, "unauthenticated");
    }
    server.bearer(&access).get("/auth/me").expect(200);
    refresh(&server, &token).expect(200);
}

#[test]
fn the_servers_own_token_has_no_session_to_end() {
    let server = Server::start();
    let problem = expect_problem(&server.admin().post("/auth/logout", json!({})), 400, "bad_request");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("no session")), "{problem}");
    server.admin().get("/auth/me").expect(200);
}

#[test]
fn after_a_logout_the_session_is_dead_also_after_a_restart_and_others_live() {
    let mut server = Server::start();
    let (access, token) = tokens(&server.register("ann@example.org", PASSWORD).expect(201));
    let (other, other_token) = tokens(&login(&server, "ann@example.org", PASSWORD).expect(200));
    server.bearer(&access).post("/auth/logout", json!({})).expect(204);
    let check = |server: &Server| {
        expect_problem(&server.bearer(&access).get("/auth/me"), 401, "token_revoked");
        expect_problem(&refresh(server, &token), 401, "token_revoked");
        server.bearer(&other).get("/auth/me").expect(200);
    };
    check(&server);
    server.kill9();
    server.restart();
    check(&server);
    assert_eq!(server.sigterm(), Some(0));
    server.restart();
    check(&server);
    refresh(&server, &other_token).expect(200);
}

#[test]
fn a_user_without_a_password_cannot_log_in() {
    let server = Server::start();
    let user = server.buyer(0);
    for password in ["", "password", "null"] {
        expect_problem(&login(&server, &user.email, password), 401, "invalid_credentials");
    }
}

#[test]
fn an_administrator_creates_users_who_can_log_in() {
    let server = Server::start();
    let body = json!({"name": "Root", "email": "root@example.org", "password": PASSWORD, "role": "admin"});
    let user = server.admin().post("/users", body).expect(201);
    assert_eq!((&user["role"], &user["email"]), (&json!("admin"), &json!("root@example.org")));
    let (access, _) = tokens(&login(&server, "root@example.org", PASSWORD).expect(200));
    server.bearer(&access).get("/users").expect(200);
    assert_eq!(
        server.admin().get(&format!("/users/{}", user["id"])).expect(200)["email"],
        "root@example.org"
    );
    expect_problem(&server.admin().get("/users/999999"), 404, "not_found");
}

#[test]
fn what_is_for_administrators_is_forbidden_to_users_and_closed_to_guests() {
    let server = Server::start();
    let user = server.buyer(100);
    let item = server.admin().item("Lamp", 1, 1);
    let order = "018f0000-0000-7000-8000-000000000001";
    let (item, id) = (item.id, user.id);
    let asks = |who: &Actor| -> Vec<Reply> {
        vec![
            who.post("/items", json!({"name": "L", "price": 1, "stock": 1})),
            who.patch(&format!("/items/{item}"), json!({"price": 2})),
            who.post(&format!("/items/{item}/stock"), json!({"delta": 1})),
            who.get(&format!("/items/{item}/movements")),
            who.delete(&format!("/items/{item}")),
            who.post(&format!("/items/{item}/restore"), json!({})),
            who.post(&format!("/orders/{order}/ship"), json!({})),
            who.post(&format!("/orders/{order}/deliver"), json!({})),
            who.post("/returns", json!({"user_id": id, "items": []})),
            who.post("/users", json!({"name": "A", "email": "x@example.org"})),
            who.post(&format!("/users/{id}/token"), json!({})),
            who.get("/users"),
            who.get(&format!("/users/{id}")),
            who.get(&format!("/users/{id}/balance")),
            who.get(&format!("/users/{id}/balance/entries")),
            who.post(&format!("/users/{id}/balance/increment"), json!({"amount": 1})),
            who.post(&format!("/users/{id}/balance/decrement"), json!({"amount": 1})),
            who.get("/admin/owners"),
            who.get("/admin/audit"),
        ]
    };
    for reply in asks(&user) {
        expect_problem(&reply, 403, "forbidden");
    }
    for reply in asks(&server.guest()) {
        expect_problem(&reply, 401, "unauthenticated");
    }
    assert_eq!(user.balance(), 100);
}

#[test]
fn a_token_that_an_admin_issued_can_be_logged_out_and_stays_so() {
    let mut server = Server::start();
    let buyer = server.buyer(10);
    let issue = || {
        let issued = server.admin().post(&format!("/users/{}/token", buyer.id), json!({}));
        assert!(issued.seq() > 0);
        issued.expect(201)["access_token"].as_str().expect("a token").to_owned()
    };
    let (ended, other) = (issue(), issue());
    server.bearer(&ended).post("/auth/logout", json!({})).expect(204);
    for _ in 0..2 {
        expect_problem(&server.bearer(&ended).get("/balance"), 401, "token_revoked");
        server.bearer(&other).get("/balance").expect(200);
        server.kill9();
        server.restart();
    }
    expect_problem(&server.admin().post("/users/999999/token", json!({})), 404, "not_found");
}
