//! Chance that can be repeated: one number gives the same throws every time.

/// A generator of throws (splitmix64).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice for one purpose: the same seed and name throw the same.
    pub fn new(seed: u64, name: &str) -> Self {
        // FNV-1a, so that names which differ in one sign throw nothing alike.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(seed ^ hash)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number of `from..to`.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.next() % (to - from).max(1)
    }

    /// Whether something happens that happens so often in a thousand.
    pub fn hits(&mut self, in_a_thousand: u64) -> bool {
        self.between(0, 1000) < in_a_thousand
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_and_name_throw_the_same_and_others_do_not() {
        let throws = |seed, name| {
            let mut dice = Dice::new(seed, name);
            (0..8).map(|_| dice.between(0, 1 << 30)).collect::<Vec<_>>()
        };
        assert_eq!(throws(7, "lab-01"), throws(7, "lab-01"));
        assert_ne!(throws(7, "lab-01"), throws(7, "lab-02"));
        assert_ne!(throws(7, "lab-01"), throws(8, "lab-01"));
        assert!(throws(7, "lab-01").iter().all(|throw| *throw < 1 << 30));
    }
}
