//! Which fate a message meets: the script first, then the seeded dice.
//!
//! The dice are a pure function of the seed and the number of the message in order of arrival, so a run with one
//! connection can be repeated exactly, and no lock is needed for many.

use super::settings::{Fate, SandboxSettings};

/// Independent numbers for one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dice {
    state: u64,
}

impl Dice {
    /// The dice of message `number` under `seed`.
    pub(super) fn of(seed: u64, number: u64) -> Self {
        Self { state: mix(seed).wrapping_add(number.wrapping_mul(GOLDEN)) }
    }

    /// 0 to 999.
    fn per_mille(&mut self) -> u16 {
        u16::try_from(self.next() % 1000).unwrap_or_default()
    }

    /// Evenly from `low` to `high`, both included; `low` if they are the wrong way round.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        let width = high.saturating_sub(low).saturating_add(1);
        low.saturating_add(self.next() % width)
    }

    /// The index of the share that is met, if any. Shares are per mille.
    pub(super) fn share<T: Copy>(&mut self, shares: &[(u16, T)]) -> Option<T> {
        let mut left = self.per_mille();
        for (share, what) in shares {
            if left < *share {
                return Some(*what);
            }
            left -= share;
        }
        None
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }
}

/// The increment of `SplitMix64`: 2^64 divided by the golden ratio (Steele, Lea, Flood, OOPSLA 2014).
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finaliser of `SplitMix64`.
fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// The fate that the shares of the settings give.
pub(super) fn by_shares(settings: &SandboxSettings, dice: &mut Dice) -> Fate {
    let shares = [
        (settings.refuse_per_mille, Fate::Refuse),
        (settings.throttle_per_mille, Fate::Throttle),
        (settings.fail_per_mille, Fate::Fail),
        (settings.hang_per_mille, Fate::Hang),
        (settings.cut_per_mille, Fate::Cut),
        (settings.reset_per_mille, Fate::Reset),
    ];
    dice.share(&shares).unwrap_or(Fate::Accept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_fates_and_the_shares_are_kept() {
        let settings = SandboxSettings { cut_per_mille: 100, fail_per_mille: 300, ..SandboxSettings::default() };
        let fates = |seed| (0..10_000).map(|n| by_shares(&settings, &mut Dice::of(seed, n))).collect::<Vec<_>>();
        assert_eq!(fates(7), fates(7));
        assert_ne!(fates(7), fates(8));
        let count = |fate| fates(7).into_iter().filter(|got| *got == fate).count();
        assert!((850..1150).contains(&count(Fate::Cut)), "{}", count(Fate::Cut));
        assert!((2700..3300).contains(&count(Fate::Fail)), "{}", count(Fate::Fail));
        assert_eq!(count(Fate::Reset), 0);
    }

    #[test]
    fn a_range_is_met_at_both_ends_and_nowhere_else() {
        let met: std::collections::BTreeSet<u64> = (0..200).map(|n| Dice::of(1, n).between(5, 9)).collect();
        assert_eq!(met.into_iter().collect::<Vec<_>>(), vec![5, 6, 7, 8, 9]);
        assert_eq!(Dice::of(1, 1).between(9, 5), 9);
        let all = Dice::of(1, 1).between(0, u64::MAX);
        assert_ne!(all, 0);
    }
}
