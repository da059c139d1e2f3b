//! A power transform that evens out a spread that grows with the level: nothing, the square root, or the logarithm.
//!
//! In: positive values. Out: one of three powers, by Guerrero's rule: the one under which the spread within short blocks
//! depends least on their level. Only these three, as a fitted power hardly ever does better and explodes more often.
//! Source: Guerrero, "Time-series analysis supported by power transformations", 1993; Box and Cox, 1964.

/// A member of Box and Cox's family, by its exponent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Power {
    /// 1, less 1: values as they are.
    Identity,
    /// One half: 2 (√x - 1).
    Root,
    /// Zero: ln x.
    Log,
}

impl Power {
    /// By Guerrero's rule, from blocks of `block` values (at least 2) counted from the end; the identity where values
    /// are not positive or fill fewer than two blocks.
    pub fn of(values: &[f64], block: usize) -> Power {
        let spreads = Blocks::of(values, block);
        let [identity, root, log] = [Power::Identity, Power::Root, Power::Log].map(|power| {
            let unevenness = spreads.as_ref().map_or(0.0, |blocks| blocks.unevenness(power.exponent()));
            (power, unevenness)
        });
        // A tie, such as that of constants, stays as it is.
        [root, log].into_iter().fold(identity, |best, one| if one.1 < best.1 { one } else { best }).0
    }

    /// The exponent.
    pub fn exponent(self) -> f64 {
        match self {
            Power::Identity => 1.0,
            Power::Root => 0.5,
            Power::Log => 0.0,
        }
    }

    /// `value`, which must be positive unless this is the identity, transformed.
    pub fn apply(self, value: f64) -> f64 {
        match self {
            Power::Identity => value - 1.0,
            Power::Root => 2.0 * (value.sqrt() - 1.0),
            Power::Log => value.ln(),
        }
    }

    /// The value behind a transformed one.
    pub fn undo(self, transformed: f64) -> f64 {
        match self {
            Power::Identity => transformed + 1.0,
            Power::Root => (0.5 * transformed + 1.0).max(0.0).powi(2),
            Power::Log => transformed.exp(),
        }
    }
}

/// Mean and deviation of each block.
struct Blocks(Vec<(f64, f64)>);

impl Blocks {
    fn of(values: &[f64], block: usize) -> Option<Blocks> {
        if values.iter().any(|value| *value <= 0.0) {
            return None;
        }
        let blocks: Vec<(f64, f64)> = values
            .rchunks_exact(block.max(2))
            .filter_map(|chunk| {
                let seen = || chunk.iter().filter(|value| !value.is_nan());
                let n = seen().count() as f64;
                let mean = seen().sum::<f64>() / n;
                let squares: f64 = seen().map(|value| (value - mean) * (value - mean)).sum();
                (n >= 2.0 && mean > 0.0).then(|| (mean, (squares / (n - 1.0)).sqrt()))
            })
            .collect();
        (blocks.len() >= 2).then_some(Blocks(blocks))
    }

    /// The coefficient of variation of the spreads that `exponent` leaves.
    fn unevenness(&self, exponent: f64) -> f64 {
        let ratios: Vec<f64> = self.0.iter().map(|(mean, spread)| spread / mean.powf(1.0 - exponent)).collect();
        let n = ratios.len() as f64;
        let mean = ratios.iter().sum::<f64>() / n;
        let squares: f64 = ratios.iter().map(|ratio| (ratio - mean) * (ratio - mean)).sum();
        if mean > 0.0 { (squares / (n - 1.0)).sqrt() / mean } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::air_passengers::AIR_PASSENGERS;

    /// Coefficients of variation of Guerrero's rule for the airline passengers, computed from its definition in numpy.
    #[test]
    fn guerreros_rule_gives_the_reference_numbers_and_a_logarithm_for_the_passengers() {
        let blocks = Blocks::of(&AIR_PASSENGERS, 12).unwrap();
        for (exponent, expected) in [(-1.0, 0.334969), (0.0, 0.153081), (0.5, 0.346058), (1.0, 0.530315)] {
            assert!((blocks.unevenness(exponent) - expected).abs() < 1e-6, "{exponent}");
        }
        assert_eq!(Power::of(&AIR_PASSENGERS, 12), Power::Log);
        assert_eq!(Power::of(&[3.0; 20], 4), Power::Identity);
        assert_eq!(Power::of(&[3.0, -1.0, 2.0, 4.0], 2), Power::Identity);
    }

    #[test]
    fn what_is_transformed_comes_back() {
        for power in [Power::Identity, Power::Root, Power::Log] {
            for value in [1e-6, 0.3, 1.0, 7.5, 1e9] {
                assert!((power.undo(power.apply(value)) - value).abs() <= 1e-12 * value.max(1.0), "{power:?} {value}");
            }
        }
    }
}
