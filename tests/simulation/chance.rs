//! All chance of a run, from one seed.

/// `SplitMix64`.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub const fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub const fn percent(&mut self, share: u64) -> bool {
        self.below(100) < share
    }

    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.below(choices.len() as u64)).expect("an index")]
    }

    /// The first ones more often.
    pub fn favourite_of<T: Copy>(&mut self, choices: &[T]) -> T {
        let count = choices.len() as u64;
        let place = self.below(count).min(self.below(count)).min(self.below(count));
        choices[usize::try_from(place).expect("an index")]
    }

    /// Another source that does not depend on how often this one is asked later.
    pub const fn branch(&mut self) -> Self {
        Self(self.next())
    }
}
