//! The fuzzer's bytes as changes of something that is sound: from nothing it would hardly get behind the first field.

#[path = "../../tests/journal/golden_records.rs"]
mod golden_records;

use purser::domain::Record;
use std::sync::LazyLock;

/// Records of every kind.
pub static RECORDS: LazyLock<Vec<Record>> = LazyLock::new(golden_records::records);

/// Each four bytes of the plan set, insert or take out one byte somewhere.
pub fn apply(plan: &[u8], bytes: &mut Vec<u8>) {
    for change in plan.chunks_exact(4) {
        let place = usize::from(u16::from_le_bytes([change[1], change[2]]));
        if bytes.is_empty() {
            return;
        }
        let place = place % bytes.len();
        match change[0] % 4 {
            0 => bytes.insert(place, change[3]),
            1 => drop(bytes.remove(place)),
            _ => bytes[place] = change[3],
        }
    }
}
