//! The moments of a change at which a test may have the process die, or the code panic: what if it ends right here?
//! Without the feature `canaries`, which no release has, nothing happens at any of them.

/// In the order in which a change comes to them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moment {
    /// An owner of this kind begins to handle a message.
    Turn(&'static str),
    /// An owner of this kind is about to decide a command: what panics there has changed nothing.
    Deciding(&'static str),
    /// The key is this operation's and nobody else's.
    KeyReserved,
    /// An owner of this kind has granted a hold.
    Held(&'static str),
    /// The decision is in memory, and queued for the journal.
    Decided,
    /// The frame is written and not synced.
    FrameWritten,
    FrameSynced,
    /// All in the process may know that it is durable.
    Published,
    /// A success is about to be told.
    Told,
    /// The store's transaction has begun.
    BatchBegun,
    WatermarkMoved,
    RowsWritten,
    /// The store has the batch, and the engine has not heard of it.
    BatchCommitted,
    /// The engine knows.
    BatchKnown,
    /// A segment that the store has is gone, its name not yet for good.
    SegmentRemoved,
}

#[cfg(not(feature = "canaries"))]
impl Moment {
    /// Goes on.
    pub const fn reached(self) {}
}

#[cfg(feature = "canaries")]
mod ends {
    use super::Moment;
    use std::fmt;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicI64, Ordering};

    /// `abort` or `panic`, the number of times that it is reached, and the moment: `abort 3 held product`.
    const FAIL_AT: &str = "FAIL_AT";

    struct Plan {
        panics: bool,
        left: AtomicI64,
        moment: String,
    }

    static PLAN: OnceLock<Option<Plan>> = OnceLock::new();

    impl Plan {
        fn read() -> Option<Self> {
            let text = std::env::var(FAIL_AT).ok().filter(|text| !text.is_empty())?;
            let words: Vec<_> = text.splitn(3, ' ').collect();
            let ([action @ ("abort" | "panic"), _, moment], Some(Ok(visits))) =
                (&words[..], words.get(1).map(|visits| visits.parse()))
            else {
                panic!("{FAIL_AT} is no plan: {text}")
            };
            let (panics, left) = (*action == "panic", AtomicI64::new(visits));
            Some(Self { panics, left, moment: (*moment).to_owned() })
        }
    }

    impl fmt::Display for Moment {
        fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            let name = match self {
                Self::Turn(kind) => return write!(out, "turn {kind}"),
                Self::Held(kind) => return write!(out, "held {kind}"),
                Self::Deciding(kind) => return write!(out, "deciding {kind}"),
                Self::KeyReserved => "key reserved",
                Self::Decided => "decided",
                Self::FrameWritten => "frame written",
                Self::FrameSynced => "frame synced",
                Self::Published => "published",
                Self::Told => "told",
                Self::BatchBegun => "batch begun",
                Self::WatermarkMoved => "watermark moved",
                Self::RowsWritten => "rows written",
                Self::BatchCommitted => "batch committed",
                Self::BatchKnown => "batch known",
                Self::SegmentRemoved => "segment removed",
            };
            out.write_str(name)
        }
    }

    impl Moment {
        /// Ends here if the environment says so.
        ///
        /// # Panics
        /// If the environment says that.
        pub fn reached(self) {
            let Some(plan) = PLAN.get_or_init(Plan::read) else { return };
            if plan.moment == self.to_string() && plan.left.fetch_sub(1, Ordering::SeqCst) == 1 {
                assert!(!plan.panics, "{self}, as a test wants it");
                // As a kill -9: nothing is unwound, flushed or closed.
                std::process::abort();
            }
        }
    }
}
