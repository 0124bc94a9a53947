//! Starts behind a journal that the store lags behind, and what is loaded after them.

use crate::house::{House, KINDS_SWEPT, adjustment, in_time};
use purser::clock::{ManualClock, SystemClock};
use purser::domain::Timestamp;
use purser::domain::text::{Email, Name};
use purser::domain::user::Role;
use purser::engine::boot::Progress;
use purser::engine::{
    Busy, Call, Durability, Engine, EngineError, EngineOptions, Freshness, NewUserRequest, StartError,
};
use purser::journal::disk::Directory;
use purser::journal::{HaltReason, ReadError, reader, segment};
use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

/// A copy of a running engine's store, as a backup would be.
async fn back_up(from: &Path, to: &Path) {
    let options = SqliteConnectOptions::new().filename(from.join("store.db"));
    let mut sql = SqliteConnection::connect_with(&options).await.expect("the store");
    let copy = to.join("store.db");
    sqlx::query("VACUUM INTO ?")
        .bind(copy.to_str().expect("a path"))
        .execute(&mut sql)
        .await
        .expect("a copy");
    sql.close().await.expect("closed");
}

fn copy_journal(from: &Path, to: &Path) {
    std::fs::copy(from.join("secret"), to.join("secret")).expect("a copy");
    std::fs::create_dir(to.join("journal")).expect("a directory");
    for file in std::fs::read_dir(from.join("journal")).expect("a directory") {
        let file = file.expect("a file");
        std::fs::copy(file.path(), to.join("journal").join(file.file_name())).expect("a copy");
    }
}

async fn start(options: EngineOptions, progress: Progress) -> Result<Engine, StartError> {
    Engine::start_with(options, Arc::new(SystemClock), progress).await
}

#[tokio::test]
async fn a_journal_that_cannot_be_read_while_the_store_catches_up_ends_the_start() {
    let house = House::new(|options| {
        options.journal.segment_bytes = 192 << 10;
        options.journal.keep_segments = 100;
        options.batch_records_max = 1;
    })
    .await;
    let ann = house.buyer("ann", 1).await;
    let stored = Call::default().durable_in(Durability::Store);
    house.credit(ann, 1, stored).await.expect("stored");
    let restored = tempfile::tempdir().expect("a directory");
    back_up(house.directory(), restored.path()).await;
    // Long texts fill segments soon.
    let text = "\u{1f4a1}".repeat(2_000);
    for _ in 0..60 {
        house.engine.credit(Call::default(), adjustment(ann, 1, Some(&text))).await.expect("credited");
    }
    house.engine.shutdown().await;
    copy_journal(house.directory(), restored.path());
    let journal = restored.path().join("journal");
    let survey = reader::survey(&Directory::open(&journal).expect("a directory")).expect("a sound journal");
    assert!(survey.segments.len() > 1, "{survey:?}");
    let (second, aside) = (journal.join(segment::file_name(2)), restored.path().join("aside"));
    let options = EngineOptions { data_dir: restored.path().to_owned(), ..house.options().clone() };
    // The journal was found sound, and the store has got its first record from it.
    let lose_the_second = {
        let (second, aside) = (second.clone(), aside.clone());
        move |_, _| {
            if second.exists() {
                std::fs::rename(&second, &aside).expect("moved");
            }
        }
    };
    match start(options.clone(), Arc::new(lose_the_second)).await {
        Err(StartError::Journal(ReadError::Io(_))) => {}
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it started without the records that it could not read"),
    }
    std::fs::rename(&aside, &second).expect("moved");
    let engine = start(options, Arc::new(|_, _| {})).await.expect("the journal is whole again");
    assert_eq!(engine.balance(ann, Freshness::default()).await.expect("it exists").value.amount, 62);
    engine.shutdown().await;
}

/// Every segment's bytes.
fn segments(data_dir: &Path) -> BTreeMap<OsString, Vec<u8>> {
    let files = std::fs::read_dir(data_dir.join("journal")).expect("a directory");
    let files = files.map(|file| file.expect("a file"));
    files.map(|file| (file.file_name(), std::fs::read(file.path()).expect("its bytes"))).collect()
}

/// Who took the store how often, and where it stands; none when nobody did.
async fn standing(data_dir: &Path) -> Option<(i64, i64)> {
    let options = SqliteConnectOptions::new().filename(data_dir.join("store.db"));
    let mut sql = SqliteConnection::connect_with(&options).await.expect("the store");
    let row = sqlx::query_as("SELECT epoch, watermark FROM engine").fetch_optional(&mut sql).await;
    sql.close().await.expect("closed");
    row.expect("a row")
}

/// Says who took the store last, as the operator is told.
async fn refuses_for_a_gap(options: &EngineOptions) -> String {
    match start(options.clone(), Arc::new(|_, _| {})).await {
        Err(StartError::Gap { holder, .. }) => holder,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it started although records are missing"),
    }
}

#[tokio::test]
async fn a_journal_that_does_not_continue_the_store_is_refused_and_both_are_left_as_they_were() {
    let house = House::new(|options| {
        options.journal.segment_bytes = 192 << 10;
        options.journal.keep_segments = 0;
    })
    .await;
    let ann = house.buyer("ann", 1).await;
    house.credit(ann, 1, Call::default().durable_in(Durability::Store)).await.expect("stored");
    let restored = tempfile::tempdir().expect("a directory");
    back_up(house.directory(), restored.path()).await;
    let taken_by = house.directory().display().to_string();
    let text = "\u{1f4a1}".repeat(2_000);
    for _ in 0..60 {
        house.engine.credit(Call::default(), adjustment(ann, 1, Some(&text))).await.expect("credited");
    }
    // What is stored may go, and goes before the journal is closed.
    house.credit(ann, 1, Call::default().durable_in(Durability::Store)).await.expect("stored");
    house.engine.shutdown().await;
    copy_journal(house.directory(), restored.path());
    let options = EngineOptions { data_dir: restored.path().to_owned(), ..house.options().clone() };
    let before = (segments(restored.path()), standing(restored.path()).await);
    assert!(before.1.is_some_and(|(epoch, _)| epoch == 1), "{:?}", before.1);
    let holder = refuses_for_a_gap(&options).await;
    assert!((segments(restored.path()), standing(restored.path()).await) == before, "something was changed");
    assert!(holder.contains(&taken_by), "{holder}");
    // A database that is the wrong one may be empty as well.
    std::fs::remove_file(restored.path().join("store.db")).expect("removed");
    assert_eq!(refuses_for_a_gap(&options).await, "nobody");
    assert!(segments(restored.path()) == before.0, "the journal was changed");
    assert_eq!(standing(restored.path()).await, None, "the empty store was taken");
}

#[tokio::test]
async fn a_panic_while_owners_are_loaded_halts_the_engine_and_is_its_reason() {
    let house = House::new(|options| options.sweep_seconds = 3_600).await;
    let ann = house.buyer("ann", 100).await;
    let house = house.reopened().await;
    // Each kind's sweep asks once at its beginning, and so does the pruning of keys: the loader is next.
    house.clock.asked_since_the_start(KINDS_SWEPT + 1).await;
    house.clock.break_for_the_store();
    let engine = house.engine.clone();
    let reading = tokio::spawn(async move { engine.balance(ann, Freshness::default()).await });
    assert_eq!(in_time("a halt", house.engine.halted()).await, HaltReason::Panic("a loader".into()));
    let health = house.engine.health();
    assert_eq!((health.ready, health.state), (false, "halted"));
    assert_eq!(health.reason, Some("a part of the engine panicked: a loader".into()));
    let late = in_time("an answer", house.credit(ann, 1, Call::default())).await;
    assert_eq!(late, Err(EngineError::NotExecuted(Busy::ShuttingDown)));
    reading.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logout_is_remembered_as_long_as_any_token_may_live_whatever_they_live_today() {
    let directory = tempfile::tempdir().expect("a directory");
    let clock = Arc::new(ManualClock::at(Timestamp::from_micros(1_700_000_000_000_000)));
    let start = |seconds| {
        let options =
            EngineOptions { access_token_seconds: seconds, ..EngineOptions::embedded(directory.path()) };
        Engine::start_with(options, clock.clone(), Arc::new(|_, _| {}))
    };
    let engine = start(900).await.expect("started");
    let request = NewUserRequest {
        name: Name::parse("Ann").expect("a name"),
        email: Email::parse("ann@example.org").expect("an email"),
        password: None,
        role: Role::User,
        open_session: true,
    };
    let family = engine.register(request).await.expect("registered").session.expect("a session").family_id;
    engine.log_out(family).await.expect("logged out");
    clock.advance_seconds(899);
    engine.shutdown().await;
    drop(engine);
    let engine = start(1).await.expect("started again");
    assert!(engine.revoked_by(family).is_some(), "tokens of this session would be taken again");
    engine.shutdown().await;
}
