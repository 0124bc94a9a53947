//! More work than the server admits.

use crate::sql::Sql;
use crate::support::api::Item;
use crate::support::eventually;
use crate::support::expect::expect_problem;
use crate::support::server::{Server, Setup};
use crate::with_postgres;

fn in_progress(server: &Server) -> u64 {
    let metrics = server.guest().call_at("GET", "/metrics".into()).send().text();
    let used = metrics.lines().find_map(|line| line.strip_prefix("purser_permits_used "));
    used.and_then(|number| number.trim().parse().ok())
        .unwrap_or_else(|| panic!("no purser_permits_used in {metrics}"))
}

#[test]
fn operations_beyond_the_limit_are_refused_as_overloaded_and_not_executed() {
    let (mut server, _cluster, database) =
        with_postgres(Setup::new().env("PURSER__ADMISSION__OPERATIONS_MAX", "1"));
    let (ann, bob) = (server.buyer(100), server.buyer(100));
    let item: Item = server.admin().item("Lamp", 10, 5);
    // After a restart the item has to be loaded; a locked table makes that last as long as we like.
    assert_eq!(server.sigterm(), Some(0));
    server.restart();
    let mut sql = Sql::connect(&database);
    sql.run("BEGIN; LOCK TABLE products IN ACCESS EXCLUSIVE MODE");
    std::thread::scope(|scope| {
        let first = scope.spawn(|| ann.buy(item, 1));
        eventually("the first is in progress", || (in_progress(&server) == 1).then_some(()));
        expect_problem(&bob.buy(item, 1), 503, "overloaded");
        expect_problem(&server.admin().credit(bob.id, 1), 503, "overloaded");
        sql.run("COMMIT");
        first.join().expect("a reply").expect(201);
    });
    eventually("the first is over", || (in_progress(&server) == 0).then_some(()));
    assert_eq!((server.stock(item), bob.balance()), (4, 100));
    bob.buy(item, 1).expect(201);
    server.expect_clean_audit();
}
