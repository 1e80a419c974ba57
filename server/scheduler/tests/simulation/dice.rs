//! Random numbers of a world: SplitMix64, and mixing for contents that only depend on what they are of.

/// SplitMix64 (Steele, Lea, Flood 2014).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(GAMMA);
        (finish(self.0) % bound as u64) as usize
    }

    /// `least ..= most`.
    pub(crate) fn between(&mut self, least: usize, most: usize) -> usize {
        least + self.below(most - least + 1)
    }

    pub(crate) fn chance(&mut self, per_mille: usize) -> bool {
        self.below(1000) < per_mille
    }
}

const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

fn finish(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// One number of two; the order matters.
pub(crate) fn mix(left: u64, right: u64) -> u64 {
    finish(left.wrapping_mul(3).wrapping_add(GAMMA) ^ finish(right.wrapping_add(GAMMA)))
}
