//! `purser redemptions` against a running server and a simulated provider.

use crate::rig::{self, sending_to};
use crate::sentences::id_of;
use crate::support::api::User;
use crate::support::eventually;
use crate::support::server::{Ended, Process, Server, purser, run, run_reading};
use crate::support::store::{on_each_store, stores};
use serde_json::{Value, json};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;

fn add_accounts(server: &Server) {
    let plan = server.admin().plan(1_000_000, 8_000);
    for _ in 0..3 {
        server.admin().account(&plan);
    }
}

/// Runs the test on a fresh server for each store, with accounts for its cards and a provider of its own.
fn with_accounts(test: impl Fn(&Server)) {
    rig::on_each_store(|server, _| {
        add_accounts(server);
        test(server);
    });
}

/// A command of the user whose token it is given.
fn command(server: &Server, user: &User, arguments: &[&str]) -> Command {
    let token = server.cli(&["user", "token", "--email", &user.email]).stdout;
    let mut command = purser();
    command.arg("redemptions").args(arguments).args(["--url", &format!("http://{}", server.address())]);
    command.env("PURSER_TOKEN", token.trim());
    command
}

#[track_caller]
fn document(ended: &Ended, code: i32) -> Value {
    assert_eq!(ended.code, Some(code), "{ended:?}");
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("no JSON ({error}): {ended:?}"))
}

/// What an administrator is told.
#[track_caller]
fn told(server: &Server, arguments: &[&str]) -> Value {
    document(&server.cli(&[&["redemptions"], arguments, &["--json"]].concat()), 0)
}

/// A file in the server's directory.
fn file(server: &Server, text: &str) -> PathBuf {
    let path = server.data_dir().join("cards.csv");
    std::fs::write(&path, text).expect("written");
    path
}

#[test]
fn a_card_is_read_from_stdin_and_waited_for() {
    with_accounts(|server| {
        let user = server.buyer(0);
        let hand_in = |code: &str| {
            let arguments = ["hand-in", "--country", "de", "--face-value", "500", "--wait", "60", "--json"];
            run_reading(command(server, &user, &arguments), code)
        };
        let ended = hand_in(" ok500x-seven\r\nnot this\n");
        let card = document(&ended, 0);
        assert_eq!((&card["status"], &card["code_last4"]), (&json!("succeeded"), &json!("EVEN")));
        assert_eq!((&card["amount"], &card["payout"], user.balance()), (&json!(500), &json!(400), 400));
        assert_eq!(told(server, &["show", &id_of(&card)]), card);
        let refused = hand_in("INVALID-CARD");
        assert_eq!(document(&refused, 1)["status"], "failed", "it was waited for");
        let again = hand_in("OK500XSEVEN");
        again.expect(1, &["code_already_used"]);
        let short = hand_in("O-K");
        short.expect(2, &["the card's code must have at least 4 letters and digits"]);
        hand_in("").expect(2, &["the card's code is expected on the first line of stdin"]);
        for ended in [ended, refused, again, short] {
            let said = format!("{}{}", ended.stdout, ended.stderr).to_uppercase();
            assert!(
                !said.contains("OK500X") && !said.contains("INVALID-CARD") && !said.contains("O-K"),
                "{said}"
            );
        }
        let as_argument = run(command(server, &user, &["hand-in", "--country", "DE", "OK500XSEVEN"]));
        assert_eq!(as_argument.code, Some(2), "a code is no argument: {as_argument:?}");
    });
}

#[test]
fn cards_that_wait_are_listed_and_taken_back() {
    on_each_store(|server| {
        let (user, other) = (server.buyer(0), server.buyer(0));
        let hand_in = |user: &User, code: &str| {
            document(&run_reading(command(server, user, &["hand-in", "--country", "FR", "--json"]), code), 0)
        };
        let (first, second) = (hand_in(&user, "OK1X1"), hand_in(&other, "OK1X2"));
        let ids = |arguments: &[&str]| -> Vec<String> {
            let rows = told(server, &[&["list"], arguments].concat())["data"].clone();
            rows.as_array().expect("rows").iter().map(id_of).collect()
        };
        assert_eq!(ids(&["--status", "queued"]), [id_of(&second), id_of(&first)]);
        assert_eq!(ids(&["--user", &user.id.to_string()]), [id_of(&first)]);
        let own = document(&run(command(server, &user, &["list", "--json"])), 0);
        assert_eq!(own["data"].as_array().map(Vec::len), Some(1), "{own}");
        assert_eq!(told(server, &["cancel", &id_of(&first)])["status"], "cancelled");
        let line = server.cli(&["redemptions", "list", "--status", "cancelled"]).stdout;
        assert!(line.starts_with(&id_of(&first)) && line.contains("FR  …K1X1  cancelled"), "{line}");
        let not_ended = ["hand-in", "--country", "FR", "--wait", "1"];
        let ended = run_reading(command(server, &user, &not_ended), "OK1X3");
        assert_eq!(ended.code, Some(1), "nobody exchanges it: {ended:?}");
        assert!(ended.stdout.contains("queued"), "{ended:?}");
    });
}

#[test]
fn who_hands_in_without_a_sound_token_is_asked_for_that_of_the_cards_user() {
    with_accounts(|server| {
        let (user, path) = (server.buyer(0), file(server, "code,country\nOK1X2,DE\n"));
        let hand_in: &[&str] = &["hand-in", "--country", "DE"];
        let waiting: &[&str] = &["hand-in", "--country", "DE", "--wait", "5"];
        for arguments in [hand_in, waiting, &["batch", path.to_str().expect("a path")]] {
            let mut command = command(server, &user, arguments);
            command.env("PURSER_TOKEN", "none");
            let ended = run_reading(command, "OK1X1");
            assert_eq!(ended.code, Some(1), "{ended:?}");
            assert!(
                ended.stderr.contains("give the token of the cards' user by PURSER_TOKEN"),
                "{arguments:?}: {ended:?}"
            );
        }
    });
}

#[test]
fn a_file_is_handed_in_and_what_is_rejected_is_told_by_its_line_without_its_code() {
    with_accounts(|server| {
        let user = server.buyer(0);
        let path = file(
            server,
            "face_value,country, code \n\
         500,DE,OK500X-SECRET1\n\
         \n\
         ,de,ok300x secret2\n\
         ,DE,ok500xsecret1\n\
         ,DEU,OK500XSECRET3\n\
         much,DE,OK500XSECRET4\n\
         ,DE,\"OK500X\nSECRET5\"\n\
         ,DE,INVALIDSECRET6\n",
        );
        let path = path.to_str().expect("a path");
        let ended = run(command(server, &user, &["batch", path, "--wait", "--json"]));
        let report = document(&ended, 1);
        assert_eq!(report["handed_in"], 3, "{report}");
        let rejected: Vec<_> = report["rejected"]
            .as_array()
            .expect("rows")
            .iter()
            .map(|row| json!([row["line"], row["code"]]))
            .collect();
        let invalid = "validation_failed";
        assert_eq!(
            rejected,
            [json!([5, "code_already_used"]), json!([6, invalid]), json!([7, invalid]), json!([8, invalid])]
        );
        let figures = &report["figures"];
        assert_eq!(
            (&figures["succeeded"], &figures["failed"], &figures["payout"]),
            (&json!(2), &json!(1), &json!(640))
        );
        let batch = report["batches"][0]["id"].as_str().expect("a batch");
        assert_eq!(told(server, &["batch-status", batch])["succeeded"], 2);
        let in_words = run(command(server, &user, &["batch", path]));
        assert_eq!(in_words.code, Some(1), "{in_words:?}");
        for said in [
            "line 2: code_already_used\n",
            "line 6: validation_failed (country: must be",
            "1 cards were handed in, 6 rejected",
        ] {
            assert!(in_words.stdout.contains(said), "{said}: {in_words:?}");
        }
        for ended in [ended, in_words] {
            assert!(
                !format!("{}{}", ended.stdout, ended.stderr).to_uppercase().contains("SECRET"),
                "{ended:?}"
            );
        }
        let good = file(server, "code,country\nOK7XGOOD,DE\n");
        let ended = run(command(server, &user, &["batch", good.to_str().expect("a path"), "--wait"]));
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.stdout.contains("1 succeeded; worth 7, paid 5"), "{ended:?}");
        server.expect_clean_audit();
    });
}

#[test]
fn a_long_file_becomes_several_batches_each_of_which_can_be_taken_back() {
    on_each_store(|server| {
        let user = server.buyer(0);
        let rows: Vec<_> = (0..10_003).map(|number| format!("OK1X{number:012},DE")).collect();
        let path = file(server, &format!("code,country\n{}\n", rows.join("\n")));
        let ended = run(command(server, &user, &["batch", path.to_str().expect("a path"), "--json"]));
        let report = document(&ended, 0);
        let totals: Vec<_> = report["batches"]
            .as_array()
            .expect("batches")
            .iter()
            .map(|batch| batch["total"].clone())
            .collect();
        assert_eq!((totals, &report["handed_in"]), (vec![json!(10_000), json!(3)], &json!(10_003)));
        let last = report["batches"][1]["id"].as_str().expect("an id");
        let own = document(&run(command(server, &user, &["list", "--batch", last, "--json"])), 0);
        assert_eq!(own["data"].as_array().map(Vec::len), Some(3), "{own}");
        assert_eq!(told(server, &["batch-cancel", last])["cancelled"], 3);
        let line = server.cli(&["redemptions", "batch-status", last]).stdout;
        assert!(line.starts_with(last) && line.contains("3 cards: 3 cancelled; worth 0, paid 0"), "{line}");
        let first = report["batches"][0]["id"].as_str().expect("an id");
        assert_eq!(told(server, &["batch-status", first])["queued"], 10_000);
    });
}

#[test]
fn whoever_stops_waiting_is_told_how_far_it_came_and_the_cards_go_on() {
    on_each_store(|server| {
        let user = server.buyer(0);
        let path = file(server, "code,country\nOK7XONE,DE\nOK7XTWO,DE\n");
        let waiting =
            Process::spawn(command(server, &user, &["batch", path.to_str().expect("a path"), "--wait"]));
        eventually("the cards are handed in", || (user.list("/redemptions").len() == 2).then_some(()));
        waiting.minds_interruptions();
        waiting.signal("INT");
        let ended = waiting.wait();
        ended.expect(130, &["interrupted", "the cards go on"]);
        assert!(ended.stdout.contains("2 cards were handed in, 0 rejected\n2 queued"), "{ended:?}");
        assert_eq!(user.list("/redemptions?status=queued").len(), 2);
    });
}

#[test]
fn a_card_in_doubt_is_settled_by_hand() {
    // Connections are made, and nothing ever answers.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", silent.local_addr().expect("an address"));
    for store in stores() {
        let server = sending_to(&url).store(store).env("PURSER__PROVIDER__TIMEOUT_MS", "300").start();
        let server = &server;
        add_accounts(server);
        let user = server.buyer(0);
        let hand_in = command(server, &user, &["hand-in", "--country", "DE", "--json"]);
        let id = id_of(&document(&run_reading(hand_in, "OK500XDOUBT"), 0));
        eventually("the card is in doubt", || {
            (told(server, &["show", &id])["status"] == "in_doubt").then_some(())
        });
        let resolve =
            |arguments: &[&str]| server.cli(&[&["redemptions", "resolve", &id], arguments].concat());
        assert_eq!(resolve(&["--outcome", "succeeded"]).code, Some(2), "without an amount");
        resolve(&["--outcome", "failed", "--amount", "5"]).expect(1, &["validation_failed", "amount"]);
        let settled = document(&resolve(&["--outcome", "succeeded", "--amount", "500", "--json"]), 0);
        assert_eq!(
            (&settled["status"], &settled["payout"], user.balance()),
            (&json!("succeeded"), &json!(400), 400)
        );
        resolve(&["--outcome", "failed"]).expect(1, &["invalid_state"]);
        server.expect_clean_audit();
    }
}
