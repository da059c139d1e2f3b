//! Numbers that a fitted model keeps, at half or a quarter of their size.
//!
//! In: finite values, or NaN for a gap, of a size that is known when the model is fitted. Out: the same but for a
//! rounding that is small beside what the values vary by: what a forecast is made of is known far less well than to
//! seven digits, and there are thousands of models.

/// Values as their distances from a centre, in single precision: within a ten millionth of how far they lie from it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Singles {
    centre: f64,
    offsets: Vec<f32>,
}

impl Singles {
    /// No values.
    pub const NONE: Singles = Singles { centre: 0.0, offsets: Vec::new() };

    /// About the middle of `values`.
    pub fn of(values: &[f64]) -> Singles {
        let bounds = values
            .iter()
            .filter(|value| value.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), &value| (least.min(value), most.max(value)));
        let centre = if bounds.0 <= bounds.1 { f64::midpoint(bounds.0, bounds.1) } else { 0.0 };
        Singles { centre, offsets: values.iter().map(|value| single(value - centre)).collect() }
    }

    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    pub fn get(&self, idx: usize) -> f64 {
        self.centre + f64::from(self.offsets[idx])
    }

    pub fn set(&mut self, idx: usize, value: f64) {
        self.offsets[idx] = single(value - self.centre);
    }

    /// Drops the first and appends `value`; nothing where nothing is kept.
    pub fn shift(&mut self, value: f64) {
        if let Some(last) = self.offsets.len().checked_sub(1) {
            self.offsets.rotate_left(1);
            self.set(last, value);
        }
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = f64> + Clone + '_ {
        self.offsets.iter().map(|offset| self.centre + f64::from(*offset))
    }

    /// What it holds on the heap, in bytes.
    pub fn n_bytes(&self) -> usize {
        size_of_val(&self.offsets[..])
    }
}

/// The nearest single, finite for all that is.
fn single(value: f64) -> f32 {
    value.clamp(-f64::from(f32::MAX), f64::from(f32::MAX)) as f32
}

/// Values about the size of one in half precision (IEEE 754 binary16): within a two thousandth of themselves, or of
/// 0.00006, whichever is more.
#[derive(Clone, Debug)]
pub(super) struct Halves(Box<[u16]>);

const SIGN: u16 = 0x8000;
const NAN: u16 = 0x7fff;
const MOST: f32 = 65_504.0;

/// Makes a half's exponent of a single's, 2 to the power of -112: their biases are 15 and 127.
const REBIAS: f32 = f32::from_bits((127 - 112) << 23);

/// Digits that a single has more.
const DIGITS: u32 = 13;

impl Halves {
    /// `n` gaps.
    pub fn gaps(n: usize) -> Halves {
        Halves(vec![NAN; n].into())
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn get(&self, idx: usize) -> f64 {
        let bits = self.0[idx];
        if bits == NAN {
            return f64::NAN;
        }
        let size = f32::from_bits(u32::from(bits & !SIGN) << DIGITS) / REBIAS;
        f64::from(if bits & SIGN == 0 { size } else { -size })
    }

    /// Keeps what is nearest to `value`; beyond 65,504 that.
    pub fn set(&mut self, idx: usize, value: f64) {
        if value.is_nan() {
            self.0[idx] = NAN;
            return;
        }
        let size = (value.abs() as f32).min(MOST) * REBIAS;
        // Half of the last digit that stays is added, then the rest is cut off.
        let bits = ((size.to_bits() + (1 << (DIGITS - 1))) >> DIGITS) as u16;
        self.0[idx] = if value < 0.0 { bits | SIGN } else { bits };
    }

    /// Drops the first of the values at `from..upto` and appends `value` to them.
    pub fn shift(&mut self, from: usize, upto: usize, value: f64) {
        self.0[from..upto].rotate_left(1);
        self.set(upto - 1, value);
    }

    /// What it holds on the heap, in bytes.
    pub fn n_bytes(&self) -> usize {
        size_of_val(&self.0[..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn singles_round_by_how_far_values_vary_and_not_by_how_large_they_are() {
        let values: Vec<f64> = (0..100).map(|t| 1e9 + f64::from(t * 37 % 101) / 7.0).collect();
        let mut kept = Singles::of(&values);
        kept.shift(1e9 + 0.3);
        for (kept, value) in kept.iter().zip(values[1..].iter().chain([&(1e9 + 0.3)])) {
            assert!((kept - value).abs() < 1e-6, "{kept} {value}");
        }
        assert_eq!((kept.len(), kept.n_bytes()), (100, 400));
        kept.set(3, f64::INFINITY);
        assert!(kept.get(3).is_finite() && kept.get(3) > 1e30);
        kept.set(3, f64::NAN);
        assert!(kept.get(3).is_nan() && Singles::NONE.is_empty());
        // A constant stays what it is.
        assert!(Singles::of(&[0.1; 7]).iter().all(|value| value == 0.1));
    }

    #[test]
    fn halves_are_those_of_the_standard() {
        let mut kept = Halves::gaps(1);
        let mut bits = |value: f64| {
            kept.set(0, value);
            (kept.0[0], kept.get(0))
        };
        for (value, expected) in
            [(1.0, 0x3c00), (-2.0, 0xc000), (65_504.0, 0x7bff), (0.0, 0), (6.103_515_6e-5, 0x0400), (1.0 / 3.0, 0x3555)]
        {
            assert_eq!(bits(value).0, expected, "{value}");
        }
        for value in [0.734_21, -0.000_123_4, 3.999, -1e-6] {
            let found = bits(value).1;
            assert!((found - value).abs() <= (value.abs() / 2048.0).max(6e-8), "{value} {found}");
        }
        assert_eq!((bits(1e9).1, bits(-1e300).1), (65_504.0, -65_504.0));
        assert!(bits(f64::NAN).1.is_nan());
    }
}
