//! Deliberate bugs, to prove that the checks can fail: each is a way in which a journal, a store or an owner has gone wrong in a
//! real system. Without the feature `canaries`, which no release has, none exists; with it none is on until a test says so.

mod moments;

pub use moments::Moment;

/// One bug each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Canary {
    /// The durable position is published once the frame is written, before it is synced.
    AcknowledgedBeforeSync,
    /// A sync that failed is tried again, and believed.
    SyncRetried,
    /// A new segment's name is not made durable.
    DirectoryNotSynced,
    /// A start goes on in the segment that it found, instead of a fresh copy.
    RecoveryNotCopied,
    /// Segments go before the store has all of them.
    SegmentDroppedEarly,
    /// After an ambiguous commit the batch is applied again, whatever the watermark says.
    AmbiguousCommitRepeated,
    /// After an ambiguous commit the batch counts as stored.
    AmbiguousCommitTrusted,
    /// A hold that is given up is not released.
    HoldLeaked,
    /// The key of an operation is not part of its record.
    KeyNotWritten,
    /// One more is sold than there is.
    StockEdge,
    /// A success is told before it is durable.
    ReplyBeforeDurable,
    /// A refusal is told before what it rests on is durable.
    RefusalBeforeDurable,
    /// What is read may not be durable yet.
    ReadBeforeDurable,
    /// An owner goes to rest although the store does not have all of it.
    PassivatedBeforeStored,
    /// Units under a hold are held for somebody else, too.
    UnitsHeldTwice,
    /// An owner that is loaded does not know the keys that were answered before.
    KeysNotLoaded,
    /// The store commits rows first, and the watermark in a transaction of its own.
    WatermarkApart,
    /// A card that the provider may have taken counts as refused.
    DoubtRefused,
}

impl Canary {
    pub const ALL: [Self; 18] = [
        Self::AcknowledgedBeforeSync,
        Self::SyncRetried,
        Self::DirectoryNotSynced,
        Self::RecoveryNotCopied,
        Self::SegmentDroppedEarly,
        Self::AmbiguousCommitRepeated,
        Self::AmbiguousCommitTrusted,
        Self::HoldLeaked,
        Self::KeyNotWritten,
        Self::StockEdge,
        Self::ReplyBeforeDurable,
        Self::RefusalBeforeDurable,
        Self::ReadBeforeDurable,
        Self::PassivatedBeforeStored,
        Self::UnitsHeldTwice,
        Self::KeysNotLoaded,
        Self::WatermarkApart,
        Self::DoubtRefused,
    ];
}

#[cfg(feature = "canaries")]
mod cage {
    use super::Canary;
    use std::cell::Cell;
    use std::sync::OnceLock;

    /// Names one that is on in the whole process.
    const EVERYWHERE: &str = "CANARY";

    static EVERYWHERE_OUT: OnceLock<Option<Canary>> = OnceLock::new();

    thread_local! {
        static OUT: Cell<Option<Canary>> = const { Cell::new(None) };
    }

    /// Ends a bug, also when it ends in a panic.
    struct Caught;

    impl Drop for Caught {
        fn drop(&mut self) {
            OUT.set(None);
        }
    }

    impl Canary {
        /// Whether this bug is on, on this thread or in the whole process.
        ///
        /// # Panics
        /// If the environment names none of them.
        pub fn sings(self) -> bool {
            OUT.get() == Some(self) || *EVERYWHERE_OUT.get_or_init(Self::named) == Some(self)
        }

        fn named() -> Option<Self> {
            let name = std::env::var(EVERYWHERE).ok().filter(|name| !name.is_empty())?;
            let named = Self::ALL.into_iter().find(|canary| format!("{canary:?}") == name);
            Some(named.unwrap_or_else(|| panic!("{EVERYWHERE} is no canary: {name}")))
        }

        /// Runs with this bug. Only what happens on the calling thread has it.
        pub fn let_out<T>(self, run: impl FnOnce() -> T) -> T {
            let _caught = Caught;
            OUT.set(Some(self));
            run()
        }
    }
}

#[cfg(not(feature = "canaries"))]
impl Canary {
    /// There are no bugs here.
    pub const fn sings(self) -> bool {
        false
    }
}
