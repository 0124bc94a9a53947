//! Everything that a server leaves behind, to be searched for what must not be there.

use crate::support::server::Server;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::path::{Path, PathBuf};
use tokio::runtime::Builder;

/// Texts by their places, in lower case.
pub type Traces = Vec<(String, String)>;

/// Without what stands empty in the files, which is most of them.
pub fn readable(mut bytes: Vec<u8>) -> String {
    bytes.retain(|byte| *byte != 0);
    String::from_utf8_lossy(&bytes).to_ascii_lowercase()
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for path in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// Every table of the database as text, bytes in hexadecimal.
fn tables(url: &str) -> Traces {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut sql = PgConnection::connect(url).await.expect("a connection");
        let names = "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables \
            WHERE schemaname NOT IN ('pg_catalog', 'information_schema')";
        let names: Vec<String> = sqlx::query_scalar(names).fetch_all(&mut sql).await.expect("the tables");
        let mut traces = Vec::new();
        for name in names {
            let rows = AssertSqlSafe(format!("SELECT it::text FROM {name} AS it"));
            let rows: Vec<String> = sqlx::query_scalar(rows).fetch_all(&mut sql).await.expect("its rows");
            traces.push((name, rows.join("\n").to_ascii_lowercase()));
        }
        traces
    })
}

/// What is on the disk, in the database and in the log.
pub fn left_behind(server: &Server, log: &Path) -> Traces {
    let mut paths = vec![log.to_owned()];
    files(server.data_dir(), &mut paths);
    // A segment may go while we look.
    let read = |path: PathBuf| Some((path.display().to_string(), readable(std::fs::read(&path).ok()?)));
    let mut traces: Traces = paths.into_iter().filter_map(read).collect();
    traces.extend(server.database_url().map(tables).unwrap_or_default());
    traces
}

/// What the server tells its administrator.
pub fn told(server: &Server, paths: &[&str]) -> Traces {
    let admin = server.admin();
    let mut traces: Traces =
        paths.iter().map(|path| ((*path).to_owned(), readable(admin.get(path).body))).collect();
    traces.push(("/metrics".into(), readable(admin.call_at("GET", "/metrics".into()).send().body)));
    traces
}

/// The first place that holds this text, as it is or in hexadecimal.
pub fn place_of<'a>(traces: &'a Traces, text: &str) -> Option<&'a str> {
    let hexadecimal = |text: &str| {
        let bytes: Vec<_> = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        bytes.concat()
    };
    let needles = [text.to_lowercase(), hexadecimal(&text.to_lowercase()), hexadecimal(&text.to_uppercase())];
    let holds = |trace: &String| needles.iter().any(|needle| trace.contains(needle));
    traces.iter().find(|(_, trace)| holds(trace)).map(|(place, _)| place.as_str())
}

/// None of these codes is anywhere, however it is written.
#[track_caller]
pub fn expect_none(traces: &Traces, codes: &[String], when: &str) {
    for code in codes {
        for writing in [code, &code.replace('-', "")] {
            let place = place_of(traces, writing);
            assert!(place.is_none(), "{when}: {} holds {writing}", place.unwrap_or_default());
        }
    }
}
