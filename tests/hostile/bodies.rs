//! Bodies that no honest client sends, on every operation that takes JSON. Whatever they are, they are answered, never with
//! a failure of the server, and a refusal leaves nothing in the journal.

use crate::access::{Who, honest, table};
use crate::document::{Operation, operations};
use crate::mutations::mutant;
use crate::proof;
use crate::scene::Scene;
use crate::support::api::Actor;
use crate::support::expect::expect_problem;
use crate::support::http::Reply;
use crate::support::{Dice, setting};
use std::collections::BTreeSet;

/// Statuses of requests that are the client's mistake, or that the state stands against.
const MISTAKES: [u16; 11] = [400, 401, 403, 404, 409, 410, 412, 413, 415, 422, 429];

/// What hostile requests came to.
#[derive(Default)]
pub struct Tally {
    pub sent: usize,
    pub refused: usize,
    pub taken: usize,
    pub codes: BTreeSet<String>,
    /// The requests have keys: a refusal that an owner decided is written, so that a repetition hears it again.
    pub is_keyed: bool,
    position: u64,
}

impl Tally {
    pub fn beginning(scene: &Scene) -> Self {
        Self { position: scene.position(), ..Self::default() }
    }

    /// As [`Self::count`], of bytes that may be no HTTP: there is nobody yet who could say it in a problem.
    #[track_caller]
    pub fn count_bytes(&mut self, scene: &Scene, what: &str, reply: &Reply) {
        if !is_no_http(reply) {
            return self.count(scene, what, reply);
        }
        assert_eq!(scene.position(), self.position, "{what}: {} was refused and written", reply.to);
        self.sent += 1;
        self.refused += 1;
    }

    /// The reply is a success, or a whole problem after which the journal is where it was.
    #[track_caller]
    pub fn count(&mut self, scene: &Scene, what: &str, reply: &Reply) {
        self.sent += 1;
        if reply.status < 400 {
            self.taken += 1;
        }
        let position = scene.position();
        if reply.status >= 400 {
            let code = reply.json()["code"].as_str().unwrap_or_default().to_owned();
            assert!(
                MISTAKES.contains(&reply.status) || (reply.status, code.as_str()) == (408, "request_timeout"),
                "{what}: {} answered {} {}",
                reply.to,
                reply.status,
                reply.text()
            );
            expect_problem(reply, reply.status, &code);
            let is_noted = self.is_keyed && reply.header("Purser-Seq") == Some(&position.to_string());
            let written = position - self.position;
            assert!(written == 0 || (written == 1 && is_noted), "{what}: {} and written", reply.text());
            self.codes.insert(code);
            self.refused += 1;
        }
        self.position = position;
    }
}

/// The answer to what cannot be read as HTTP: its status is all there is, and the connection is closed.
#[track_caller]
pub fn is_no_http(reply: &Reply) -> bool {
    let is_bare = reply.status == 400 && reply.body.is_empty();
    assert!(!is_bare || reply.header("Connection") == Some("close"), "it goes on: {:?}", reply.headers);
    is_bare
}

/// Who sends an operation's honest requests.
pub fn sender(scene: &Scene, who: Who) -> &Actor {
    match who {
        Who::Admin => &scene.admin,
        Who::Owner => &scene.ann,
        Who::Anyone | Who::Visitor | Who::User => &scene.mallory,
    }
}

/// The seed of a test's dice, for a message if it fails.
pub fn seeded() -> (Dice, String) {
    let seed = setting("PURSER_HOSTILE_SEED", 1);
    (Dice::new(seed as u64), format!("PURSER_HOSTILE_SEED={seed}"))
}

#[test]
fn no_body_makes_the_server_fail_and_no_refused_body_is_written() {
    let scene = Scene::open().at_rest();
    let operations = operations();
    let table = table(&operations);
    let with_body: Vec<&Operation> = operations.iter().filter(|it| it.fields.is_some()).collect();
    let anns = scene.ann.balance();
    let mut tally = Tally::beginning(&scene);
    let call = |operation: &Operation| {
        sender(&scene, table[&operation.name()]).call_at(operation.method, scene.anns.put_in(&operation.path))
    };
    for operation in &with_body {
        let reply = call(operation).json(&honest(&scene, operation)).send();
        assert!(!matches!(reply.status, 400 | 422), "{} is not honest: {}", reply.to, reply.text());
        tally.count(&scene, "an honest body", &reply);
    }
    let honestly = tally.taken;
    let (mut dice, seed) = seeded();
    let inputs = setting("PURSER_HOSTILE_INPUTS", 2_000);
    for input in 0..inputs {
        let operation = with_body[input % with_body.len()];
        let fields = operation.fields.as_deref().expect("a body");
        let mutant = mutant(&honest(&scene, operation), fields, &mut dice);
        let shown = String::from_utf8_lossy(&mutant.bytes).chars().take(300).collect::<String>();
        let what = format!("{seed}, input {input}, {}: {shown}", mutant.what);
        let sent = call(operation).body("application/json", &mutant.bytes).try_send();
        let reply =
            sent.unwrap_or_else(|error| panic!("{what}: {} answered nothing: {error}", operation.name()));
        let hopeless = mutant.is_hopeless && reply.status < 400;
        assert!(!hopeless, "{what}: {} took it: {}", reply.to, reply.text());
        tally.count(&scene, &what, &reply);
    }
    assert!(scene.ann.balance().abs_diff(anns) < 1 << 53, "a balance beyond what the API knows");
    scene.server.expect_clean_audit();
    assert!(tally.codes.len() >= 8, "only these codes were met: {:?}", tally.codes);
    proof("bodies", [tally.sent, tally.refused, tally.taken], [inputs, inputs / 2, honestly + inputs / 100]);
    assert!(honestly >= 15, "only {honestly} honest bodies were taken");
}
