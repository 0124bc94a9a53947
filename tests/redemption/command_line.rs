//! `purser plans` and `purser accounts` against a running server.

use crate::support::server::{Ended, Server, purser, run};
use crate::support::store::on_each_store;
use serde_json::Value;

fn call(server: &Server, arguments: &[&str]) -> Ended {
    server.cli(&[arguments, &["--json"]].concat())
}

#[track_caller]
fn told(server: &Server, arguments: &[&str]) -> Value {
    let ended = call(server, arguments);
    assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("no JSON ({error}): {}", ended.stdout))
}

#[test]
fn plans_and_accounts_are_created_listed_and_stepped() {
    on_each_store(|server| {
        let plan =
            told(server, &["plans", "create", "--name", "Plan", "--target", "500", "--payout-bps", "8000"]);
        assert_eq!(told(server, &["plans", "list"])["data"][0], plan);
        let plan = plan["id"].as_str().expect("an id");
        let create = ["accounts", "create", "--label", "One", "--country", "de", "--plan", plan];
        let account = told(server, &create);
        let id = account["id"].as_str().expect("an id");
        for (step, field, value) in [
            ("logout", "login_status", "inactive"),
            ("login", "login_status", "active"),
            ("complete", "status", "completed"),
        ] {
            assert_eq!(told(server, &["accounts", step, id])[field], value);
            assert_eq!(told(server, &["accounts", "show", id])[field], value);
        }
        let reasons: Vec<_> = told(server, &["accounts", "transitions", id])["data"]
            .as_array()
            .expect("rows")
            .iter()
            .map(|row| row["reason"].clone())
            .collect();
        assert_eq!(reasons, ["completed_by_operator", "logged_in", "logged_out", "created"]);
        let list = |status| {
            told(server, &["accounts", "list", "--status", status])["data"].as_array().expect("rows").len()
        };
        assert_eq!((list("completed"), list("waiting")), (1, 0));
    });
}

#[test]
fn what_fails_says_how_far_it_came_and_leaves_an_earlier_export_as_it_was() {
    on_each_store(|server| {
        let (file, exported) = (server.data_dir().join("new.csv"), server.data_dir().join("old.csv"));
        std::fs::write(&file, "label,country,plan_id\none,DE,00000000-0000-7000-8000-000000000000\n")
            .expect("written");
        std::fs::write(&exported, "kept").expect("written");
        let path = |path: &std::path::Path| path.to_str().expect("a path").to_owned();
        let failing = |arguments: &[&str]| {
            let mut command = purser();
            command.args(arguments).arg("--json").env("PURSER_TOKEN", "wrong");
            command.args(["--url", &format!("http://{}", server.address())]);
            run(command)
        };
        let ended = failing(&["accounts", "import", &path(&file)]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains("nothing from line 2 on was imported"), "{ended:?}");
        assert!(ended.stdout.contains("\"imported\": 0"), "{ended:?}");
        let ended = failing(&["accounts", "export", "--output", &path(&exported)]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert_eq!(std::fs::read_to_string(&exported).expect("a file"), "kept");
    });
}

#[test]
fn a_long_file_is_imported_in_parts_and_exported_again() {
    on_each_store(|server| {
        let plan =
            told(server, &["plans", "create", "--name", "Plan", "--target", "500", "--payout-bps", "8000"]);
        let plan = plan["id"].as_str().expect("an id");
        let rows = |number: usize| match number {
            // Line 703 of the file, in its second part.
            701 => "wrong,DEU,\n".to_owned(),
            _ => format!("\"Account {number}, ready\",DE,{plan}\n"),
        };
        let file = server.data_dir().join("accounts.csv");
        let text = format!("label,country,plan_id\n{}", (0..1_200).map(rows).collect::<String>());
        std::fs::write(&file, text).expect("written");
        let ended = call(server, &["accounts", "import", file.to_str().expect("a path")]);
        assert_eq!(ended.code, Some(1), "a row was rejected: {ended:?}");
        let report: Value = serde_json::from_str(&ended.stdout).expect("a report");
        assert_eq!(
            (&report["imported"], &report["rejected"][0]["line"]),
            (&1_199.into(), &703.into()),
            "{report}"
        );
        let exported = server.data_dir().join("exported.csv");
        let ended = call(server, &["accounts", "export", "--output", exported.to_str().expect("a path")]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let text = std::fs::read_to_string(&exported).expect("a file");
        assert_eq!(text.lines().count(), 1_200);
        assert!(text.lines().nth(1).is_some_and(|line| line.contains("Account 1199, ready")), "newest first");
        // What was exported can be imported: further columns are ignored.
        let ended = call(server, &["accounts", "import", exported.to_str().expect("a path")]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        server.expect_clean_audit();
    });
}
