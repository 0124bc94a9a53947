//! How a test of faults under load ends: by the clients' books, by the audit of the store, and by the whole journal; and by
//! a line that says how much it was, so that nothing passes because nothing happened.

use crate::load::Shop;
use crate::support::server::{Server, purser, run};
use crate::{check, history};

/// Nothing is wrong with the store and the journal of a server that does not run.
#[track_caller]
pub fn expect_clean_audit_of_stopped(server: &Server) {
    let mut audit = purser();
    audit.args(["audit", "--database-url", server.database_url().expect("a database")]);
    audit.arg("--data-dir").arg(server.data_dir());
    let ended = run(audit);
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

/// Every acknowledged operation is there once, in the store too, and the journal explains all that was told.
#[track_caller]
pub fn prove(what: &str, (runs, faults): (usize, usize), mut server: Server, mut shop: Shop) {
    server.drains();
    shop.ask_again();
    check::everything_once(&server, &shop);
    // A batch taken for stored that is not comes back from the journal, and nobody would notice that it was given up.
    assert!(!server.output().contains("the store was rewound"), "{}", server.output());
    server.kill9();
    expect_clean_audit_of_stopped(&server);
    let told = shop.log.iter().flatten().filter_map(|operation| operation.told.as_ref());
    let acks = told.filter(|reply| matches!(reply.status, 200 | 201)).count();
    history::explains(&server, &shop, acks);
    assert!(
        faults >= runs && acks >= 5 * runs,
        "{what}: {runs} runs, {faults} faults, {acks} acknowledgements"
    );
    println!("proof: tier=T3 what={what} runs={runs} faults={faults} acks={acks}");
}
