//! How a line to a machine on the far side misbehaves: the store, or the provider of gift cards.

/// See the module; in percent of the calls.
#[derive(Clone, Copy, Default, Debug)]
pub struct Line {
    /// The call never arrives.
    pub lost_before: u64,
    /// The call takes effect and the answer is lost.
    pub lost_after: u64,
    /// To the store: the answer takes so long that it counts as out of reach, and reads give up. To the provider: the call arrives
    /// after its caller has given it up.
    pub hanging: u64,
    /// To the store: so many of its writes are chosen as the victim of a deadlock, which takes a second, and rolled back.
    pub deadlocks: u64,
    /// Nobody is there, and it takes a while to find out.
    pub away: u64,
}

impl Line {
    pub const fn is_bad(&self) -> bool {
        self.lost_before + self.lost_after + self.hanging + self.deadlocks + self.away > 0
    }
}
