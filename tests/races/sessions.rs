//! What meets at one session.

use crate::support::api::unique;
use crate::support::expect::expect_problem;
use crate::support::http::Reply;
use crate::support::server::Server;
use crate::support::{expect_serial, race};
use crate::{many_rounds, tells, told};
use serde_json::{Value, json};

const PASSWORD: &str = "long enough";

/// A session's tokens.
struct Session {
    access: String,
    refresh: String,
}

impl Session {
    fn of(answer: &Value) -> Self {
        let token = |name: &str| answer[name].as_str().expect("a token").to_owned();
        Self { access: token("access_token"), refresh: token("refresh_token") }
    }

    fn refresh(&self, server: &Server) -> Reply {
        server.guest().post("/auth/refresh", json!({"refresh_token": self.refresh}))
    }

    fn log_out(&self, server: &Server) -> Reply {
        server.bearer(&self.access).post("/auth/logout", json!({}))
    }

    #[track_caller]
    fn expect_dead(&self, server: &Server) {
        expect_problem(&server.bearer(&self.access).get("/auth/me"), 401, "token_revoked");
        expect_problem(&self.refresh(server), 401, "token_revoked");
    }
}

fn registered(server: &Server) -> (String, Session) {
    let email = format!("{}@example.org", unique("ann"));
    let session = Session::of(&server.register(&email, PASSWORD).expect(201));
    (email, session)
}

#[test]
fn two_refreshes_share_one_successor() {
    many_rounds(|server| {
        let (_, session) = registered(server);
        let (one, other) = race(|| session.refresh(server), || session.refresh(server));
        let (one, other) = (Session::of(&one.expect(200)), Session::of(&other.expect(200)));
        assert_eq!(one.refresh, other.refresh, "two successors");
        one.refresh(server).expect(200);
    });
}

#[test]
fn a_session_is_dead_after_its_logout_refreshed_or_not() {
    many_rounds(|server| {
        let (_, session) = registered(server);
        let (out, refreshed) = race(|| session.log_out(server), || session.refresh(server));
        assert_eq!(out.status, 204, "{}", out.text());
        expect_serial(&told(&refreshed), &[tells(200, ""), tells(401, "token_revoked")]);
        session.expect_dead(server);
        if refreshed.status == 200 {
            Session::of(&refreshed.json()).expect_dead(server);
        }
    });
}

#[test]
fn a_login_lives_on_beside_the_logout_of_another_session() {
    many_rounds(|server| {
        let (email, session) = registered(server);
        let login = || server.guest().post("/auth/login", json!({"email": email, "password": PASSWORD}));
        let (out, answer) = race(|| session.log_out(server), login);
        assert_eq!(out.status, 204, "{}", out.text());
        session.expect_dead(server);
        let fresh = Session::of(&answer.expect(200));
        server.bearer(&fresh.access).get("/auth/me").expect(200);
        fresh.refresh(server).expect(200);
    });
}

#[test]
fn two_logouts_of_one_session_end_it() {
    many_rounds(|server| {
        let (_, session) = registered(server);
        let (one, other) = race(|| session.log_out(server), || session.log_out(server));
        let ends = [told(&one), told(&other)];
        assert!(ends.contains(&tells(204, "")), "{ends:?}");
        for end in &ends {
            expect_serial(end, &[tells(204, ""), tells(401, "token_revoked")]);
        }
        session.expect_dead(server);
    });
}

#[test]
fn a_purchase_comes_before_the_logout_or_is_refused() {
    many_rounds(|server| {
        let (_, session) = registered(server);
        let buyer = server.bearer(&session.access);
        let item = server.admin().item("Leaflet", 0, 5);
        let (out, bought) = race(|| session.log_out(server), || buyer.buy(item, 1));
        assert_eq!(out.status, 204, "{}", out.text());
        expect_serial(&told(&bought), &[tells(201, ""), tells(401, "token_revoked")]);
        assert_eq!(server.stock(item), if bought.status == 201 { 4 } else { 5 });
    });
}
