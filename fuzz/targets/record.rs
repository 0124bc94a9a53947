//! Any bytes are a record or an error, and what is a record is written and read again, told to a client and judged without panic.

#![no_main]

mod edits;

use libfuzzer_sys::fuzz_target;
use purser::auditor;
use purser::domain::Record;
use purser::domain::outcome::Outcome;
use purser::journal::codec;

fn encoded(record: &Record) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::encode(record, &mut bytes);
    bytes
}

fuzz_target!(|plan: &[u8]| {
    let Some((which, plan)) = plan.split_first() else { return };
    let mut bytes = encoded(&edits::RECORDS[usize::from(*which) % edits::RECORDS.len()]);
    edits::apply(plan, &mut bytes);
    let Ok(record) = codec::decode(&bytes) else { return };
    assert_eq!(codec::decode(&encoded(&record)).as_ref(), Ok(&record));
    let _ = Outcome::of(&record, None);
    let _ = auditor::check(&[auditor::entry(&record)], &[]);
});
