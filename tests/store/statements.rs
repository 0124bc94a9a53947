//! Every statement with which a batch changes a store fails once: the batch leaves nothing, and is written when it comes again.

use crate::fixture::{Fixture, TABLES};
use crate::on_both_stores;
use crate::story::Story;
use purser::store::{Batch, StoreError};
use std::collections::BTreeSet;

on_both_stores!(every_statement_fails_once_and_the_batch_is_written_when_it_comes_again);

/// So few that most rows are changed by a later batch than the one that brought them.
const RECORDS: usize = 12;

/// What goes before each change counts it, and fails at the one that `trouble` names. The count is rolled back with it. SQLite
/// has triggers for rows only, so there each row of a statement is such a place.
const SQLITE: &str = "CREATE TRIGGER trouble_TABLE_CHANGE BEFORE CHANGE ON TABLE BEGIN
        UPDATE trouble SET seen = seen + 1;
        SELECT RAISE(ABORT, 'trouble with TABLE.') FROM trouble WHERE seen = place;
    END;";
const POSTGRES: &str =
    "CREATE TRIGGER trouble_CHANGE BEFORE CHANGE ON TABLE FOR EACH STATEMENT EXECUTE FUNCTION trouble();";
const POSTGRES_FUNCTION: &str = "CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        UPDATE trouble SET seen = seen + 1;
        IF (SELECT seen = place FROM trouble) THEN
            RAISE EXCEPTION USING ERRCODE = 'deadlock_detected', MESSAGE = 'trouble with ' || TG_TABLE_NAME || '.';
        END IF;
        RETURN NULL;
    END $$;";

async fn lay_trouble(store: &Fixture) {
    let mut sql =
        "CREATE TABLE trouble (seen bigint, place bigint); INSERT INTO trouble VALUES (0, 0);".to_owned();
    let trigger = if store.is_sqlite() {
        SQLITE
    } else {
        sql.push_str(POSTGRES_FUNCTION);
        POSTGRES
    };
    for table in TABLES {
        for change in ["INSERT", "UPDATE", "DELETE"] {
            sql.push_str(
                &trigger
                    .replace("CHANGE", change)
                    .replace("ON TABLE", &format!("ON {table}"))
                    .replace("TABLE", table),
            );
        }
    }
    store.tamper(&sql).await;
}

/// The table whose change failed.
fn troubled(error: &StoreError) -> &'static str {
    let text = error.to_string();
    let named = |table: &&&str| text.contains(&format!("trouble with {table}."));
    TABLES.iter().find(named).unwrap_or_else(|| panic!("it fails for something else: {text}"))
}

async fn every_statement_fails_once_and_the_batch_is_written_when_it_comes_again(store: Fixture) {
    let story = Story::full();
    let calm = store.sibling().await.holding(&story.records).await;
    let lease = store.acquired().await;
    lay_trouble(&store).await;
    let (mut after, mut failures, mut tables) = (lease.watermark, 0, BTreeSet::new());
    for chunk in story.records.chunks(RECORDS) {
        let batch = Batch::of(after, chunk);
        for place in 1.. {
            store.tamper(&format!("UPDATE trouble SET seen = 0, place = {place}")).await;
            let Err(error) = store.store.apply(lease.epoch, &batch).await else { break };
            tables.insert(troubled(&error));
            failures += 1;
            let stands = store.store.position().await.expect("a position").watermark;
            assert_eq!(stands, after, "the watermark moved, and place {place} failed");
        }
        after = batch.to;
    }
    assert_eq!(tables, BTreeSet::from(TABLES), "all tables are changed");
    assert!(failures > 100, "only {failures} changes failed");
    // Whatever a failed batch had left would be there twice, or in the way.
    assert_eq!(store.tables().await, calm.tables().await);
    let name = if store.is_sqlite() { "sqlite" } else { "postgres" };
    println!("proof: tier=T3 what=each-statement-{name} runs={failures} faults={failures} acks=0");
}
