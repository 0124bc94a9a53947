//! The checks of faults at Postgres can fail, too: with a deliberate bug in the binary, where the outcome of a COMMIT is in doubt, they
//! find it.

use crate::commits::at_many_commits;
use crate::proxy::Fault;
use crate::support::canaries::{CANARY, expect_found};
use crate::support::journal::lasting;
use purser::canary::Canary;

#[test]
fn a_binary_that_believes_in_a_commit_that_was_lost_is_found_out() {
    expect_found(Canary::AmbiguousCommitTrusted, |name, _| {
        at_many_commits(lasting().env(CANARY, name), name, Fault::CommitLost);
    });
}
