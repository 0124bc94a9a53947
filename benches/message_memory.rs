//! What a delayed message costs: resident memory of the board and the schedule with very many of them, each with a key of its
//! own, as after a receiver's outage. `cargo bench --bench message_memory [-- --messages 1000000]`

mod support;

use purser::domain::message::{Message, MessageKind, OpenMessage, Payload};
use purser::domain::{MessageId, Money, OrderId, Seq, Timestamp, UserId};
use purser::messages::board::{Board, Change, Notice};
use purser::messages::schedule::Schedule;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use support::{Table, resident_bytes, rounded};
use uuid::Uuid;

#[global_allocator]
static ALLOCATOR: support::Allocator = mimalloc::MiMalloc;

const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

fn main() -> anyhow::Result<()> {
    let count = support::argument("messages", 1_000_000);
    let directory = support::data_directory("messages-")?;
    support::banner(&format!("{count} delayed messages"), directory.path())?;
    let before = settled()?;
    let (board, mut listener) = Board::new();
    let mut schedule = Schedule::new(purser::messages::Profiles::default(), &BTreeMap::new());
    for place in 1..=count {
        board.restore(delayed(place), Seq::new(place));
        while let Ok(Notice { place, change: Change::Stands(open), .. }) = listener.try_recv() {
            schedule.stands(&open, place, NOW);
        }
    }
    let grown = settled()?.saturating_sub(before);
    let counted = schedule.stats().by_kind[&MessageKind::OrderShipped].delayed;
    anyhow::ensure!(counted == count, "{counted} are delayed");
    let mut table = Table::of(["messages", "bytes each"]);
    table.row([rounded(count as f64), rounded(grown as f64 / count as f64)]);
    table.print();
    Ok(())
}

/// Due within the next hours, in no particular order.
fn delayed(place: u64) -> OpenMessage {
    let order_id = OrderId::new(Uuid::now_v7());
    let message = Message {
        id: MessageId::new(Uuid::now_v7()),
        user_id: UserId::new(place),
        payload: Payload::OrderShipped { order_id, total: Money::ZERO },
        created_at: NOW,
    };
    let seconds = 1 + place.wrapping_mul(2_654_435_761) % 10_000;
    let next_attempt_at = Some(NOW.plus_seconds(i64::try_from(seconds).unwrap_or(i64::MAX)));
    OpenMessage { attempts: 1, next_attempt_at, ..OpenMessage::queued(Arc::new(message)) }
}

/// Resident memory once freed memory had the time to go back.
fn settled() -> anyhow::Result<u64> {
    std::thread::sleep(Duration::from_secs(1));
    Ok(resident_bytes()?)
}
