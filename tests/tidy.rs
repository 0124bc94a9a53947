//! The house rules as tests: which module may know which, how long a file may be, what must not be called or left behind,
//! and that the documents agree with the code and with each other. Reads files only; starts nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What each top-level module may import of ours. `lib` and `main` are above all.
const MAY_KNOW: [(&str, &[&str]); 16] = [
    ("canary", &[]),
    ("domain", &["canary"]),
    ("auditor", &["domain"]),
    ("clock", &["domain"]),
    ("control", &[]),
    ("config", &[]),
    ("telemetry", &[]),
    ("journal", &["domain", "canary"]),
    ("store", &["domain", "journal", "canary"]),
    ("messages", &["domain", "journal", "clock", "control"]),
    ("provider", &["domain", "clock"]),
    ("redemption", &["domain", "clock", "control", "provider", "canary"]),
    ("owners", &["domain", "journal", "store", "messages", "redemption", "clock", "canary"]),
    (
        "engine",
        &[
            "domain",
            "auditor",
            "journal",
            "store",
            "messages",
            "redemption",
            "owners",
            "provider",
            "clock",
            "control",
            "canary",
        ],
    ),
    ("http", &["domain", "store", "engine", "clock"]),
    (
        "cli",
        &[
            "domain",
            "journal",
            "messages",
            "redemption",
            "provider",
            "engine",
            "http",
            "config",
            "telemetry",
            "clock",
        ],
    ),
];

/// Crates that the domain must not know: it has no effects, no time and no chance.
const IMPURE: [&str; 9] =
    ["actix", "actix_rt", "actix_web", "tokio", "sqlx", "rand", "std::fs", "std::net", "std::thread"];

/// Where a text must not occur, and what to do instead.
const BANNED: [(&str, &str, &str); 10] = [
    ("src/", "tokio::fs", "it can swallow a failed write; use std::fs"),
    ("src/", "actix::Supervisor", "it does not survive a panic"),
    ("src/owners/", "ResponseActFuture", "handlers are synchronous"),
    ("src/owners/", "ctx.spawn(", "an owner runs no futures"),
    ("src/owners/", "ctx.wait(", "an owner never stops its mailbox"),
    ("src/owners/", "into_actor(", "an owner runs no futures"),
    ("benches/", "tempdir_in(\".\")", "data lies below target/, where nobody commits it"),
    ("src/", "todo!(", "finish it"),
    ("src/", "unimplemented!(", "finish it"),
    ("src/", "process::exit(", "return an exit code"),
];

const LINES_MEDIAN_MAX: usize = 120;
const LINES_MAX: usize = 500;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn collect(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.expect("a readable folder").path()) {
        if path.is_dir() {
            collect(&path, extension, found);
        } else if path.extension().is_some_and(|it| it == extension) {
            found.push(path);
        }
    }
}

/// Files below `folder` by their path from the root, with their text.
fn files(folder: &str, extension: &str) -> BTreeMap<String, String> {
    let mut found = Vec::new();
    collect(&root().join(folder), extension, &mut found);
    found.into_iter().map(|path| (name(&path), read(&path))).collect()
}

fn name(path: &Path) -> String {
    path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn rust() -> BTreeMap<String, String> {
    ["src", "tests", "benches", "examples"].into_iter().flat_map(|folder| files(folder, "rs")).collect()
}

fn documents() -> BTreeMap<String, String> {
    let mut found = files("docs", "md");
    for entry in std::fs::read_dir(root()).expect("the root").flatten() {
        if entry.path().extension().is_some_and(|it| it == "md") {
            found.insert(name(&entry.path()), read(&entry.path()));
        }
    }
    found
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().filter(|(_, line)| !is_comment(line)).map(|(index, line)| (index + 1, line))
}

/// Lines of a file up to its inline tests, without blanks and comments.
fn code_lines(text: &str) -> usize {
    let own = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    code(own).filter(|(_, line)| !line.trim().is_empty()).count()
}

#[track_caller]
fn assert_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

/// Our top-level modules that a line names by `crate::`, alone or in braces.
fn named_modules(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in code(text) {
        for rest in line.split("crate::").skip(1) {
            let many = rest.strip_prefix('{').map(|inside| inside.split(',').collect::<Vec<_>>());
            for name in many.unwrap_or_else(|| vec![rest]) {
                let is_name = |it: &char| it.is_ascii_lowercase() || *it == '_';
                found.push((number, name.trim_start().chars().take_while(is_name).collect()));
            }
        }
    }
    found
}

#[test]
fn modules_know_only_what_stands_below_them() {
    let allowed: BTreeMap<_, _> = MAY_KNOW.into_iter().collect();
    let mut complaints = Vec::new();
    for (file, text) in files("src", "rs") {
        let module =
            file.trim_start_matches("src/").trim_end_matches(".rs").split('/').next().unwrap_or_default();
        if ["lib", "main"].contains(&module) {
            continue;
        }
        let Some(known) = allowed.get(module) else {
            complaints.push(format!("{file}: `{module}` has no line in this test's table"));
            continue;
        };
        for (line, other) in named_modules(&text) {
            if allowed.contains_key(&*other) && other != module && !known.contains(&&*other) {
                complaints.push(format!("{file}:{line}: `{module}` must not know `{other}`"));
            }
        }
    }
    assert_none(&complaints);
}

#[test]
fn the_domain_is_pure() {
    let mut complaints = Vec::new();
    for (file, text) in files("src/domain", "rs") {
        for (line, code) in code(&text) {
            for banned in IMPURE.iter().filter(|banned| code.contains(&format!("{banned}::"))) {
                complaints.push(format!("{file}:{line}: the domain must not use {banned}"));
            }
        }
    }
    assert_none(&complaints);
}

#[test]
fn files_are_short() {
    let mut lengths: Vec<(usize, String)> =
        files("src", "rs").into_iter().map(|(file, text)| (code_lines(&text), file)).collect();
    lengths.sort();
    let long: Vec<_> = lengths
        .iter()
        .filter(|(lines, _)| *lines > LINES_MAX)
        .map(|(lines, file)| format!("{file}: {lines} lines of code, at most {LINES_MAX}"))
        .collect();
    assert_none(&long);
    let (median, _) = lengths[lengths.len() / 2];
    assert!(
        median <= LINES_MEDIAN_MAX,
        "the median file has {median} lines of code, at most {LINES_MEDIAN_MAX}"
    );
}

/// The files that the `mod` lines of `file` stand for.
fn children(file: &str, text: &str) -> Vec<String> {
    let folder = Path::new(file).parent().expect("a folder");
    let stem = Path::new(file).file_stem().and_then(|it| it.to_str()).unwrap_or_default();
    // Test binaries and benchmarks are crate roots as `lib.rs` is.
    let is_root = ["lib", "main", "mod"].contains(&stem) || folder.parent() == Some(Path::new(""));
    let below = if is_root { folder.to_path_buf() } else { folder.join(stem) };
    let (mut found, mut path) = (Vec::new(), None);
    for line in text.lines().map(str::trim) {
        if let Some(given) = line.strip_prefix("#[path = \"").and_then(|rest| rest.strip_suffix("\"]")) {
            path = Some(folder.join(given));
            continue;
        }
        let module = line
            .trim_start_matches("pub(crate) ")
            .trim_start_matches("pub ")
            .strip_prefix("mod ")
            .and_then(|rest| rest.strip_suffix(';'));
        if let Some(module) = module {
            match path.take() {
                Some(path) => found.push(path),
                None => found.extend([below.join(format!("{module}.rs")), below.join(module).join("mod.rs")]),
            }
        }
    }
    found.iter().map(|path| path.to_string_lossy().into_owned()).collect()
}

#[test]
fn no_file_is_dead() {
    let all = rust();
    let is_root = |file: &&String| {
        let parts: Vec<_> = file.split('/').collect();
        parts.len() == 2 && (parts[0] != "src" || ["lib.rs", "main.rs"].contains(&parts[1]))
    };
    let mut open: Vec<String> = all.keys().filter(is_root).cloned().collect();
    let mut reached = BTreeSet::new();
    while let Some(file) = open.pop() {
        if let Some(text) = all.get(&file).filter(|_| reached.insert(file.clone())) {
            open.extend(children(&file, text));
        }
    }
    let dead: Vec<_> = all
        .keys()
        .filter(|file| !reached.contains(*file))
        .map(|file| format!("{file}: no mod line leads here"))
        .collect();
    assert_none(&dead);
}

#[test]
fn nothing_banned_is_called_or_left_behind() {
    let mut complaints = Vec::new();
    let me = "tests/tidy.rs";
    for (file, text) in rust().into_iter().filter(|(file, _)| file != me) {
        let mut before = "";
        for (line, code) in code(&text).filter(|(_, line)| !line.trim().is_empty()) {
            for (place, call, reason) in BANNED {
                if file.starts_with(place) && code.contains(call) {
                    complaints.push(format!("{file}:{line}: `{call}`: {reason}"));
                }
            }
            if code.contains("SystemTime::now") && file.starts_with("src/") && file != "src/clock.rs" {
                complaints.push(format!("{file}:{line}: only clock.rs asks the system for the time"));
            }
            if code.contains("#[ignore") {
                complaints.push(format!("{file}:{line}: a test is run or removed, never ignored"));
            }
            let starts_statement = before.is_empty() || before.ends_with([';', '{', '}']);
            before = code.trim();
            if starts_statement && before.starts_with("matches!(") && before.ends_with(");") {
                complaints.push(format!("{file}:{line}: a bare matches! asserts nothing"));
            }
        }
        for marker in ["FIXME", "TODO", "XXX"].iter().filter(|marker| text.contains(*marker)) {
            complaints.push(format!("{file}: {marker}: mend it, or open an issue"));
        }
    }
    assert_none(&complaints);
}

#[test]
fn no_two_schemas_of_the_document_have_one_name() {
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    let mut complaints = Vec::new();
    for (file, text) in files("src", "rs") {
        let mut is_schema = false;
        for (_, line) in code(&text) {
            is_schema |= line.contains("derive(") && line.contains("ToSchema");
            let words: Vec<_> = line.split(|it: char| !it.is_ascii_alphanumeric()).collect();
            let name = words.iter().position(|word| ["struct", "enum"].contains(word));
            let Some(name) = name.filter(|_| is_schema).and_then(|at| words.get(at + 1)) else { continue };
            is_schema = false;
            if let Some(other) = seen.insert((*name).to_owned(), file.clone()) {
                complaints
                    .push(format!("{file}: {name} is also in {other}; the document has one of the two"));
            }
        }
    }
    assert!(seen.len() > 30, "only {} schemas were found", seen.len());
    assert_none(&complaints);
}

#[test]
fn both_stores_have_the_same_migrations() {
    let names = |folder: &str| -> BTreeSet<String> {
        let below = files(folder, "sql");
        below.keys().filter_map(|file| file.rsplit('/').next().map(str::to_owned)).collect()
    };
    let (sqlite, postgres) = (names("migrations/sqlite"), names("migrations/postgres"));
    assert!(!sqlite.is_empty());
    assert_eq!(sqlite, postgres);
}

/// A document's lines outside fenced blocks.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

#[test]
fn each_document_has_one_title() {
    let mut complaints = Vec::new();
    for (file, text) in documents() {
        let titles = prose(&text).filter(|line| line.starts_with("# ")).count();
        if titles != 1 {
            complaints.push(format!("{file}: {titles} titles"));
        }
    }
    assert_none(&complaints);
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut complaints = Vec::new();
    for (file, text) in documents() {
        for line in prose(&text) {
            for target in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                let path = target.split('#').next().unwrap_or_default();
                let place = root().join(&file).parent().expect("a folder").join(path);
                if !target.contains("://") && !path.is_empty() && !place.exists() {
                    complaints.push(format!("{file}: {target} leads nowhere"));
                }
            }
        }
    }
    assert_none(&complaints);
}

/// The codes that the page of errors explains: its headings of second rank.
fn explained() -> BTreeSet<String> {
    let page = read(&root().join("docs/errors.md"));
    prose(&page).filter_map(|line| line.strip_prefix("## `")?.strip_suffix('`').map(str::to_owned)).collect()
}

/// A string literal of lower-case words joined by underscores.
fn literals(line: &str) -> impl Iterator<Item = &str> {
    let is_word =
        |text: &&str| !text.is_empty() && text.chars().all(|it| it.is_ascii_lowercase() || it == '_');
    line.split('"').skip(1).step_by(2).filter(is_word)
}

/// The codes that the source can answer with: those of the domain, and each literal where a problem is made.
fn answered() -> BTreeSet<String> {
    let domain = read(&root().join("src/domain/rejection.rs"));
    let body = domain.split("pub const fn code(").nth(1).and_then(|rest| rest.split("pub const fn").next());
    let mut codes: BTreeSet<String> =
        body.expect("Rejection::code").lines().flat_map(literals).map(str::to_owned).collect();
    for (_, text) in files("src/http", "rs").into_iter().filter(|(file, _)| !file.ends_with("_tests.rs")) {
        let statements: String = code(&text).map(|(_, line)| line.trim()).collect::<Vec<_>>().join(" ");
        for maker in ["Problem::new(", "Self::new(", "Self::unauthorized("] {
            for call in statements.split(maker).skip(1) {
                let given = call.split(['(', ')', ';']).next().unwrap_or_default();
                codes.extend(literals(given).next().map(str::to_owned));
            }
        }
        // Codes that are chosen first and used afterwards.
        for line in text.lines().filter(|line| line.contains("Busy::") || line.contains("let code =")) {
            codes.extend(
                literals(line).filter(|it| it.contains('_') || *it == "overloaded").map(str::to_owned),
            );
        }
    }
    codes
}

#[test]
fn every_error_code_is_explained_and_every_explained_code_exists() {
    assert_eq!(explained(), answered(), "left: docs/errors.md, right: the source");
}
