//! Golden files: what version 1 looks like on disk, for ever. They are never made again; a journal written by the first
//! release must be read by the last. `examples/make_golden_journal.rs` makes those of a new version.

use crate::golden_files::{FOLDERS, JOURNAL_ID, fixtures, make};
use crate::golden_records::records;
use purser::domain::Seq;
use purser::journal::disk::Directory;
use purser::journal::{reader, segment};

fn stored(folder: &str) -> Vec<u8> {
    std::fs::read(fixtures().join(folder).join(segment::file_name(1))).expect("the golden file")
}

#[test]
fn a_journal_of_version_1_is_read_as_it_was_meant() {
    let disk = Directory::open(&fixtures().join("v1")).expect("the golden files");
    let mut read = Vec::new();
    let survey = reader::read(&disk, Seq::new(1), |record, _| {
        read.push(record);
        Ok(())
    })
    .expect("a sound journal");
    assert_eq!(survey.journal_id, Some(JOURNAL_ID));
    assert_eq!(survey.torn, None);
    assert_eq!(read, records());
}

#[test]
fn this_build_writes_version_1_byte_for_byte() {
    let place = tempfile::tempdir().expect("a directory");
    make(place.path(), &records()).expect("made");
    for folder in FOLDERS {
        let made = place.path().join(folder);
        let today = std::fs::read(made.join(segment::file_name(1))).expect("just made");
        let differs = today.iter().zip(&stored(folder)).position(|(one, other)| one != other);
        assert_eq!(
            differs, None,
            "the first byte of {folder} that differs; a new layout needs a new version"
        );
        assert_eq!(today.len(), stored(folder).len());
    }
}

#[test]
fn golden_files_are_never_made_again() {
    let place = tempfile::tempdir().expect("a directory");
    make(place.path(), &records()).expect("made");
    let again = make(place.path(), &records()).expect_err("they are there");
    assert_eq!(again.kind(), std::io::ErrorKind::AlreadyExists);
}

/// What the debug texts of all records must show.
const WORDS: [&str; 106] = [
    "Purchase",
    "Order,",
    "Cancel,",
    "Ship,",
    "Deliver,",
    "Return,",
    "Increment,",
    "Decrement,",
    "Transfer,",
    "CreateItem",
    "ChangeItem",
    "MoveStock",
    "DeleteItem",
    "RestoreItem",
    "Register",
    "Login",
    "Refresh",
    "Logout",
    "ProductCreated",
    "ProductChanged",
    "StockMoved",
    "UserRegistered",
    "EntryPosted",
    "OrderPlaced",
    "OrderAdvanced",
    "GoodsReturned",
    "SessionOpened",
    "SessionRotated",
    "SessionRevoked",
    "NameTaken",
    "NameFreed",
    "DecideOrder",
    "StepMessage",
    "MessageQueued",
    "ProcessOrder {",
    "OrderShipped {",
    "AsGiven",
    "MessageFailed",
    "MessageDone",
    "MessageRetried",
    "MessagePurged",
    "OrderFailed",
    "NotFound(Message)",
    "RequestWithdrawal",
    "CompleteWithdrawal",
    "RejectWithdrawal",
    "CheckUpgrade",
    "QueueCheck",
    "SetLevels",
    "RetryMessages",
    "BatchCheck",
    "WithdrawalRequested",
    "WithdrawalEnded",
    "PayoutCounted",
    "DistributorUpgraded",
    "LevelsSet",
    "UpgradeCheck {",
    "NotFound(Withdrawal)",
    "NothingLeftToShip",
    "CreatePlan",
    "CreateAccount,",
    "ImportAccounts",
    "SetLogin",
    "CompleteAccount",
    "PlanCreated",
    "AccountCreated",
    "AccountChanged",
    "UnknownPlan",
    "AccountLocked",
    "HandInCards",
    "CancelRedemption",
    "CancelBatch",
    "StartRedemption",
    "DoubtRedemption",
    "EndRedemption",
    "ResolveRedemption",
    "PayCard",
    "CardsHandedIn",
    "RedemptionStepped",
    "NamesTaken",
    "NamesFreed",
    "Card,",
    "Payout,",
    "RedeemCard {",
    "RedeemCard,",
    "AlreadyUsed",
    "Invalid)",
    "Queued,",
    "Locking,",
    "Succeeded,",
    "Failed,",
    "InDoubt,",
    "Cancelled,",
    "SealedCode",
    "CardFailure",
    "ExchangeStarted",
    "ExchangeSucceeded",
    "TargetReached",
    "ExchangeFailed",
    "LateAnswer",
    "Redemption(Redemption {",
    "Lock(Lock {",
    "NotFound(Redemption)",
    "CodeAlreadyUsed",
    "RedemptionState {",
    "AccountNotFree",
];

#[test]
fn the_golden_records_leave_nothing_out() {
    let shown = format!("{:?}", records());
    for word in WORDS {
        assert!(shown.contains(word), "{word} is in no golden record");
    }
}

#[test]
fn damage_is_told_in_these_words() {
    let disk = Directory::open(&fixtures().join("v1-damaged")).expect("the golden files");
    let error = reader::survey(&disk).expect_err("a damaged journal");
    let told =
        std::fs::read_to_string(fixtures().join("v1-damaged").join("error.txt")).expect("the error's text");
    assert_eq!(error.to_string(), told.trim_end());
    let changed: Vec<_> =
        stored("v1").iter().zip(stored("v1-damaged")).map(|(one, other)| (*one, other)).enumerate().collect();
    assert_eq!(changed.iter().filter(|(_, (one, other))| one != other).count(), 1, "one byte was changed");
}
