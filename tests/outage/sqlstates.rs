//! Every class of SQLSTATE but success (appendix A of Postgres' manual), raised by a trigger under load: in a statement of a
//! batch, and only at its COMMIT. What may pass is tried again without noise; what is a refusal is an alarm. Neither ever skips
//! a record, and both end with the trigger.

use crate::load::{Day, Shop};
use crate::proof::prove;
use crate::sql::Sql;
use crate::support::journal::lasting;
use crate::support::server::Server;
use crate::support::{eventually, setting};
use crate::with_postgres;

/// Connections, log-in, databases, transaction states and roll-backs, resources, being asked to stop, the server's own
/// trouble: the same batch may be stored later.
const PASSING: [&str; 27] = [
    "08000", "08006", "08007", "25006", "25P02", "25P03", "26000", "28000", "3D000", "40000", "40001",
    "40003", "40P01", "53000", "53100", "53200", "53300", "55P03", "57014", "57P01", "57P02", "57P03",
    "57P04", "58000", "58030", "XX000", "08P01",
];

/// What says that the batch or the tables are wrong, that stored data is damaged, or what nobody expects of these statements
/// (warnings and "no data" raised as errors among it): somebody has to look.
const REFUSED: [&str; 50] = [
    "01000", "02000", "03000", "09000", "0A000", "0B000", "0F000", "0L000", "0P000", "0Z000", "10608",
    "20000", "21000", "22000", "22003", "22P02", "23000", "23502", "23503", "23505", "23514", "23P01",
    "24000", "27000", "2B000", "2D000", "2F000", "34000", "38000", "39000", "3B000", "3F000", "42000",
    "42501", "42703", "42883", "42P01", "42P05", "44000", "54000", "54001", "55000", "55006", "57000",
    "72000", "F0000", "HV000", "P0001", "XX001", "XX002",
];

/// Raises what the table `trouble` says, and counts how often: a sequence is not rolled back.
const TRIGGERS: &str = "
    CREATE TABLE trouble (code text NOT NULL, place text NOT NULL);
    CREATE SEQUENCE raised MINVALUE 0 START 0;
    SELECT nextval('raised');
    CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE wanted text := (SELECT code FROM trouble WHERE place = TG_ARGV[0]);
    BEGIN
        IF wanted IS NOT NULL THEN
            PERFORM nextval('raised');
            RAISE EXCEPTION USING ERRCODE = wanted, MESSAGE = 'raised by a test';
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER trouble_at_once AFTER INSERT ON entries
        FOR EACH STATEMENT EXECUTE FUNCTION trouble('statement');
    CREATE CONSTRAINT TRIGGER trouble_at_commit AFTER INSERT ON entries DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION trouble('commit')";

fn refusals(server: &Server) -> u64 {
    let metrics = server.guest().call_at("GET", "/metrics".into()).send().text();
    let count = metrics.lines().find_map(|line| line.strip_prefix("purser_store_refused_total "));
    // A counter that never counted is not there.
    count.map_or(0, |number| number.trim().parse().expect("a count"))
}

fn raised(sql: &mut Sql) -> i64 {
    sql.number("SELECT last_value FROM raised")
}

/// Waits until the server has logged that code in a line with these words.
#[track_caller]
fn logs(server: &Server, code: &str, words: &[&str]) {
    let state = format!("SQLSTATE {code}");
    eventually(&format!("the log tells of {state}"), || {
        let tells = |line: &str| line.contains(&state) && words.iter().all(|word| line.contains(word));
        server.output().lines().any(tells).then_some(())
    });
}

/// Nothing is stored while the code is raised, and all of it afterwards.
fn raise(sql: &mut Sql, day: &Day, code: &str, place: &str, meanwhile: impl FnOnce()) {
    let before = raised(sql);
    sql.run_with("INSERT INTO trouble (code, place) VALUES ($1, $2)", &[code, place]);
    eventually("it is raised", || (raised(sql) > before).then_some(()));
    let stands = sql.watermark();
    eventually("the batch is tried again and again", || (raised(sql) > before + 2).then_some(()));
    day.more(10);
    meanwhile();
    assert_eq!(sql.watermark(), stands, "something was stored behind {code}");
    sql.run("DELETE FROM trouble");
    eventually("the batch is stored", || (sql.watermark() > stands).then_some(()));
}

fn raise_each(what: &str, codes: &[&str], judge: impl Fn(&Server, &str, u64)) {
    let (server, _cluster, database) = with_postgres(lasting());
    let mut shop = Shop::open(&server, 2);
    let mut sql = Sql::connect(&database);
    sql.run(TRIGGERS);
    // A round of all codes is long. Two of them, as in ten cycles, raise each code in both places.
    let rounds = setting("PURSER_OUTAGE_CYCLES", 1).div_ceil(5);
    shop.trade_throughout(1, |day| {
        for round in 0..rounds {
            for (index, code) in codes.iter().enumerate() {
                let place = if (round + index) % 2 == 0 { "statement" } else { "commit" };
                let before = refusals(&server);
                raise(&mut sql, day, code, place, || judge(&server, code, before));
            }
        }
    });
    let faults = usize::try_from(raised(&mut sql)).expect("a count");
    prove(what, (rounds * codes.len(), faults), server, shop);
}

#[test]
fn every_code_that_may_pass_is_tried_again_until_the_batch_is_stored() {
    raise_each("passing-sqlstates", &PASSING, |server, code, before| {
        logs(server, code, &["WARN", "a flush failed"]);
        assert_eq!(server.health()["store"]["reachable"], false, "{code}");
        assert_eq!(refusals(server), before, "{code} was taken for a refusal");
    });
}

#[test]
fn every_code_that_is_a_refusal_stops_write_behind_with_an_alarm_and_skips_nothing() {
    raise_each("refusing-sqlstates", &REFUSED, |server, code, before| {
        logs(server, code, &["ERROR", "the store refuses a batch"]);
        // The one before the last was counted before the last was raised.
        assert!(refusals(server) >= before + 2, "{code}");
        assert!(server.backlog() > 0, "{code}");
    });
}
