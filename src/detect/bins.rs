//! Many levels in little memory: 16 bits each, around a base.
//!
//! In: levels of the bins of a cycle. Out: the same, rounded to a unit, a power of two that follows what there is to
//! hold: after each cycle the largest distance from the base, which is then in the middle, is between 8,192 and 32,767
//! units. So what is lost is below an eight thousandth of the bins' range, and a detector's least deviation to reckon
//! with is a thousandth of the range. What is not lost is three quarters of a fleet's memory for profiles.

/// No level: the bin was never visited.
const UNSEEN: i16 = i16::MIN;
/// The largest distance from the base, in units.
const MOST: f64 = i16::MAX as f64;
/// Below so many units for the largest distance the unit is finer than it must be coarse.
const COARSE: i16 = 1 << 13;
/// Visits that are told apart; more make no difference to a profile.
pub(super) const MAX_VISITS: u16 = 4;
/// Visits in a word, two bits each: one less than there were, as without any there is no level either.
const PER_WORD: usize = 8;

/// The level of each bin, and how often it was visited.
#[derive(Debug)]
pub(super) struct Bins {
    /// The levels in units, then the visits.
    words: Box<[u16]>,
    n: u16,
    n_seen: u16,
    base: f64,
    /// 0 as long as every level is the base.
    unit: f64,
}

impl Bins {
    /// `n` bins that were never visited; at most 65,535.
    pub(super) fn new(n: usize) -> Bins {
        let n = n.min(usize::from(u16::MAX));
        let mut words = vec![0; n + n.div_ceil(PER_WORD)].into_boxed_slice();
        words[..n].fill(UNSEEN.cast_unsigned());
        Bins { words, n: n as u16, n_seen: 0, base: 0.0, unit: 0.0 }
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.n)
    }

    /// Bins that were visited.
    pub(super) fn n_seen(&self) -> usize {
        usize::from(self.n_seen)
    }

    fn units(&self, bin: usize) -> i16 {
        self.words[bin].cast_signed()
    }

    /// The level of a bin; `None` before it was visited.
    pub(super) fn level(&self, bin: usize) -> Option<f64> {
        let units = self.units(bin);
        (units != UNSEEN).then(|| self.base + f64::from(units) * self.unit)
    }

    /// The mean of all levels there are; 0 without any.
    pub(super) fn mean(&self) -> f64 {
        let seen = self.words[..self.len()].iter().map(|word| word.cast_signed()).filter(|units| *units != UNSEEN);
        let sum: i64 = seen.map(i64::from).sum();
        self.base + sum as f64 / f64::from(self.n_seen.max(1)) * self.unit
    }

    /// How often a bin was visited, as far as that is counted.
    pub(super) fn visits(&self, bin: usize) -> u16 {
        let word = self.words[self.len() + bin / PER_WORD];
        if self.units(bin) == UNSEEN { 0 } else { (word >> (2 * (bin % PER_WORD)) & 0b11) + 1 }
    }

    /// A visit that left the bin at `level`.
    pub(super) fn visit(&mut self, bin: usize, level: f64) {
        let n_visits = self.visits(bin);
        if n_visits == 0 {
            if self.n_seen == 0 {
                self.base = level;
            }
            self.n_seen += 1;
        } else if n_visits < MAX_VISITS {
            self.words[self.len() + bin / PER_WORD] += 1 << (2 * (bin % PER_WORD));
        }
        let off = level - self.base;
        if off.abs() > MOST * self.unit {
            self.rescale(unit_for(off));
        }
        let units = if self.unit > 0.0 { (off / self.unit).round().clamp(-MOST, MOST) as i16 } else { 0 };
        self.words[bin] = units.cast_unsigned();
    }

    /// At the end of a cycle: the base in the middle, the unit as fine as it can be.
    pub(super) fn settle(&mut self) {
        let n = self.len();
        let seen = || self.words[..n].iter().map(|word| word.cast_signed()).filter(|units| *units != UNSEEN);
        let (Some(least), Some(most)) = (seen().min(), seen().max()) else { return };
        let middle = i16::midpoint(least, most);
        let base = self.base + f64::from(middle) * self.unit;
        // Where the base is so large that it cannot move by so little, it stays.
        if base - self.base == f64::from(middle) * self.unit {
            self.base = base;
            self.each(|units| (i32::from(units) - i32::from(middle)) as f64);
        }
        let largest = self.words[..n].iter().map(|word| word.cast_signed()).filter(|units| *units != UNSEEN);
        let mut largest = largest.map(i16::unsigned_abs).max().unwrap_or(0);
        if largest == 0 {
            // All are the same again; what comes next says how fine.
            self.unit = 0.0;
        }
        let mut unit = self.unit;
        while largest > 0 && largest < COARSE.unsigned_abs() && unit > f64::MIN_POSITIVE {
            (largest, unit) = (largest * 2, unit / 2.0);
        }
        if unit < self.unit {
            self.rescale(unit);
        }
    }

    fn rescale(&mut self, unit: f64) {
        let share = self.unit / unit;
        self.unit = unit;
        self.each(|units| f64::from(units) * share);
    }

    /// Changes every level there is.
    fn each(&mut self, change: impl Fn(i16) -> f64) {
        for word in &mut self.words[..usize::from(self.n)] {
            let units = word.cast_signed();
            if units != UNSEEN {
                *word = (change(units).round().clamp(-MOST, MOST) as i16).cast_unsigned();
            }
        }
    }
}

/// The power of two of which `off` is between 16,384 and 32,768.
fn unit_for(off: f64) -> f64 {
    let exponent = off.abs().to_bits() >> 52;
    f64::from_bits(exponent.saturating_sub(14).max(1) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(levels: &[f64]) -> Bins {
        let mut bins = Bins::new(levels.len());
        for (bin, level) in levels.iter().enumerate() {
            bins.visit(bin, *level);
        }
        bins
    }

    #[test]
    fn levels_come_back_to_a_share_of_their_range() {
        for (base, range) in [(0.0, 1.0), (1e12, 3.0), (-5.0, 1e-9), (0.0, 1e150), (7e8, 1e5), (0.0, 1e-300)] {
            let levels: Vec<f64> = (0..96).map(|bin| base + range * (f64::from(bin) / 15.0).sin()).collect();
            let mut bins = filled(&levels);
            for n_cycles in 0..3 {
                let worst = (0..96).map(|bin| (bins.level(bin).unwrap() - levels[bin]).abs()).fold(0.0, f64::max);
                // Twice the range, a unit of it at most, half of one by rounding, twice.
                let least = base.abs() * 4.0 * f64::EPSILON;
                assert!(worst <= (2.0 * range / 8192.0).max(least), "{base} {range} {n_cycles}: {worst}");
                bins.settle();
                levels.iter().enumerate().for_each(|(bin, level)| bins.visit(bin, *level));
            }
            let mean = levels.iter().sum::<f64>() / 96.0;
            assert!((bins.mean() - mean).abs() <= range / 4_000.0 + base.abs() * 1e-12);
        }
    }

    #[test]
    fn a_level_far_from_the_rest_is_held_and_then_left_behind() {
        let mut bins = filled(&[0.0, 1e9, 1e9 + 1.0, 1e9 + 2.0]);
        assert!((bins.level(3).unwrap() - 1e9).abs() < 1e9 / 8_192.0);
        bins.visit(0, 1e9);
        for _ in 0..2 {
            bins.settle();
            [1e9, 1e9, 1e9 + 1.0, 1e9 + 2.0].iter().enumerate().for_each(|(bin, level)| bins.visit(bin, *level));
        }
        bins.settle();
        [1e9, 1e9, 1e9 + 1.0, 1e9 + 2.0].iter().enumerate().for_each(|(bin, level)| bins.visit(bin, *level));
        assert!((bins.level(3).unwrap() - 1e9 - 2.0).abs() < 1e-3, "{bins:?}");
    }

    #[test]
    fn visits_are_counted_as_far_as_they_matter() {
        let mut bins = Bins::new(20);
        assert_eq!((bins.visits(9), bins.level(9), bins.n_seen(), bins.mean()), (0, None, 0, 0.0));
        for visit in 1..7 {
            bins.visit(9, 5.0);
            assert_eq!((bins.visits(9), bins.visits(8), bins.visits(10)), (visit.min(MAX_VISITS), 0, 0));
        }
        bins.visit(10, 5.0);
        assert_eq!((bins.n_seen(), bins.level(9), bins.mean(), bins.unit), (2, Some(5.0), 5.0, 0.0));
    }
}
