//! A database audited by itself, where the server's directory is not at hand.

use crate::sql::Sql;
use crate::support::server::{Ended, Setup, purser, run};
use crate::with_postgres;

/// From a directory with nothing in it, where it leaves nothing.
fn audit(database: &str, more: &[&str]) -> Ended {
    let elsewhere = tempfile::tempdir().expect("a temporary directory");
    let mut command = purser();
    command.args(["audit", "--database-url", database]).args(more).current_dir(elsewhere.path());
    let ended = run(command);
    let left = std::fs::read_dir(elsewhere.path()).expect("a directory").count();
    assert_eq!(left, 0, "the audit left something behind: {ended:?}");
    ended
}

#[test]
fn a_database_is_audited_without_the_servers_directory_and_a_changed_row_exits_1() {
    let (mut server, _cluster, database) = with_postgres(Setup::new());
    let buyer = server.buyer(100);
    buyer.buy(server.admin().item("Lamp", 10, 5), 2).expect(201);
    assert_eq!(server.sigterm(), Some(0));
    let clean = audit(&database, &[]);
    assert_eq!(clean.code, Some(0), "{clean:?}");
    assert!(clean.stdout.contains("journal was not looked at"), "{clean:?}");
    let mut sql = Sql::connect(&database);
    for (change, undo, check) in [
        (
            "UPDATE products SET stock = stock + 1",
            "UPDATE products SET stock = stock - 1",
            "stock is the sum of its movements",
        ),
        (
            "UPDATE balances SET amount = amount + 1",
            "UPDATE balances SET amount = amount - 1",
            "money is conserved",
        ),
    ] {
        sql.run(change);
        let red = audit(&database, &["--json"]);
        assert_eq!(red.code, Some(1), "{change}: {red:?}");
        let printed: serde_json::Value = serde_json::from_str(&red.stdout).expect("one JSON document");
        let checks = printed["checks"].as_array().expect("checks");
        let found = checks.iter().find(|found| found["name"] == check).expect(check);
        assert_eq!((&found["ok"], &printed["ok"]), (&false.into(), &false.into()), "{change}: {printed:#}");
        sql.run(undo);
    }
    assert_eq!(audit(&database, &[]).code, Some(0), "after both were undone");
}
