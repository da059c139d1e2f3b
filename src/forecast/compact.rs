//! Numbers that a fitted model keeps, in as few bytes as what they are for needs.
//!
//! In: finite values, or NaN for a gap, of a size that is known when the model is fitted. Out: the same but for a
//! rounding that is small beside what the values vary by, or beside the errors of the forecasts that are made of them:
//! there are thousands of models.

/// Steps of what stands for a place of the cycle, in errors that forecasts usually make: rounding adds a thousandth of
/// them at most, as what is off by itself adds to them by its square.
pub(super) const COARSE: f64 = 0.25;

/// The same where forecasts add up many of what is rounded.
pub(super) const FINE: f64 = 0.1;

/// What a value that does not fit may leave taken of the new codes, so that the next ones do fit.
const ROOMY: f64 = 0.75;

/// Values whole, or as their distances from a centre: in single precision, within a ten millionth of how far they lie
/// from it, or counted in steps.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Kept {
    centre: f64,
    step: f64,
    codes: Codes,
}

#[derive(Clone, Debug, PartialEq)]
enum Codes {
    Whole(Box<[f64]>),
    Singles(Box<[f32]>),
    // Numbers of steps; the least there is stands for a gap.
    Words(Box<[i16]>),
    Bytes(Box<[i8]>),
}

impl Default for Kept {
    fn default() -> Kept {
        Kept::none()
    }
}

impl Kept {
    /// In single precision.
    pub fn of(values: &[f64]) -> Kept {
        let centre = bounds(values).map_or(0.0, |(least, most)| f64::midpoint(least, most));
        let singles = values.iter().map(|value| single(value - centre)).collect();
        Kept { centre, step: 0.0, codes: Codes::Singles(singles) }
    }

    /// As they are.
    pub fn whole(values: &[f64]) -> Kept {
        Kept { centre: 0.0, step: 0.0, codes: Codes::Whole(values.into()) }
    }

    /// No values.
    pub fn none() -> Kept {
        Kept::whole(&[])
    }

    /// Rounds to multiples of `step`, or to single precision where that takes no more; a value that is set later and
    /// lies beyond what fits widens all.
    pub fn coarsen(&mut self, step: f64) {
        let values: Vec<f64> = self.iter().collect();
        let coarse = Kept::stepped(&values, step, 1.0);
        if coarse.n_bytes() < self.n_bytes() {
            *self = coarse;
        }
    }

    /// In the narrowest codes of which `values` take `share` at most.
    fn stepped(values: &[f64], step: f64, share: f64) -> Kept {
        let Some((least, most)) = bounds(values).filter(|_| step > 0.0 && step.is_finite()) else {
            return Kept::of(values);
        };
        let centre = f64::midpoint(least, most);
        let codes = || values.iter().map(|value| (value - centre) / step);
        let reach = (most - centre) / step;
        let codes = if reach <= share * f64::from(i8::MAX) {
            Codes::Bytes(codes().map(byte).collect())
        } else if reach <= share * f64::from(i16::MAX) {
            Codes::Words(codes().map(word).collect())
        } else {
            return Kept::of(values);
        };
        Kept { centre, step, codes }
    }

    pub fn len(&self) -> usize {
        match &self.codes {
            Codes::Whole(values) => values.len(),
            Codes::Singles(offsets) => offsets.len(),
            Codes::Words(codes) => codes.len(),
            Codes::Bytes(codes) => codes.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn get(&self, idx: usize) -> f64 {
        let stepped = |code: f64| self.centre + code * self.step;
        match &self.codes {
            Codes::Whole(values) => values[idx],
            Codes::Singles(offsets) => self.centre + f64::from(offsets[idx]),
            Codes::Words(codes) if codes[idx] != i16::MIN => stepped(f64::from(codes[idx])),
            Codes::Bytes(codes) if codes[idx] != i8::MIN => stepped(f64::from(codes[idx])),
            Codes::Words(_) | Codes::Bytes(_) => f64::NAN,
        }
    }

    pub fn set(&mut self, idx: usize, value: f64) {
        let code = (value - self.centre) / self.step;
        match &mut self.codes {
            Codes::Whole(values) => values[idx] = value,
            Codes::Singles(offsets) => offsets[idx] = single(value - self.centre),
            Codes::Words(codes) if code.is_nan() || code.abs() <= f64::from(i16::MAX) => codes[idx] = word(code),
            Codes::Bytes(codes) if code.is_nan() || code.abs() <= f64::from(i8::MAX) => codes[idx] = byte(code),
            Codes::Words(_) | Codes::Bytes(_) => {
                let mut values: Vec<f64> = self.iter().collect();
                values[idx] = value;
                *self = Kept::stepped(&values, self.step, ROOMY);
            }
        }
    }

    /// Drops the first and appends `value`; nothing where nothing is kept.
    pub fn shift(&mut self, value: f64) {
        let Some(last) = self.len().checked_sub(1) else { return };
        match &mut self.codes {
            Codes::Whole(values) => values.rotate_left(1),
            Codes::Singles(offsets) => offsets.rotate_left(1),
            Codes::Words(codes) => codes.rotate_left(1),
            Codes::Bytes(codes) => codes.rotate_left(1),
        }
        self.set(last, value);
    }

    /// Appends `value`.
    pub fn push(&mut self, value: f64) {
        let values: Vec<f64> = self.iter().chain([value]).collect();
        *self = match &self.codes {
            Codes::Whole(_) => Kept::whole(&values),
            Codes::Singles(_) | Codes::Words(_) | Codes::Bytes(_) => Kept::stepped(&values, self.step, ROOMY),
        };
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = f64> + Clone + '_ {
        (0..self.len()).map(|idx| self.get(idx))
    }

    /// What it holds on the heap, in bytes.
    pub fn n_bytes(&self) -> usize {
        match &self.codes {
            Codes::Whole(values) => size_of_val(&values[..]),
            Codes::Singles(offsets) => size_of_val(&offsets[..]),
            Codes::Words(codes) => size_of_val(&codes[..]),
            Codes::Bytes(codes) => size_of_val(&codes[..]),
        }
    }
}

/// The least and the greatest that are finite.
fn bounds(values: &[f64]) -> Option<(f64, f64)> {
    let finite = values.iter().copied().filter(|value| value.is_finite());
    finite.map(|value| (value, value)).reduce(|(least, most), (value, _)| (least.min(value), most.max(value)))
}

/// The nearest single, finite for all that is.
pub(super) fn single(value: f64) -> f32 {
    value.clamp(-f64::from(f32::MAX), f64::from(f32::MAX)) as f32
}

/// The nearest number of steps within what a word holds; the code of a gap for NaN.
fn word(code: f64) -> i16 {
    let most = f64::from(i16::MAX);
    if code.is_nan() { i16::MIN } else { code.round().clamp(-most, most) as i16 }
}

/// The same for a byte.
fn byte(code: f64) -> i8 {
    let most = f64::from(i8::MAX);
    if code.is_nan() { i8::MIN } else { code.round().clamp(-most, most) as i8 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn singles_round_by_how_far_values_vary_and_not_by_how_large_they_are() {
        let values: Vec<f64> = (0..100).map(|t| 1e9 + f64::from(t * 37 % 101) / 7.0).collect();
        let mut kept = Kept::of(&values);
        kept.shift(1e9 + 0.3);
        for (kept, value) in kept.iter().zip(values[1..].iter().chain([&(1e9 + 0.3)])) {
            assert!((kept - value).abs() < 1e-6, "{kept} {value}");
        }
        assert_eq!((kept.len(), kept.n_bytes()), (100, 400));
        kept.set(3, f64::INFINITY);
        assert!(kept.get(3).is_finite() && kept.get(3) > 1e30);
        kept.set(3, f64::NAN);
        assert!(kept.get(3).is_nan() && Kept::none().is_empty());
        // A constant stays what it is.
        let mut constant = Kept::of(&[0.1; 7]);
        constant.coarsen(1.0);
        assert!(constant.iter().all(|value| value == 0.1));
    }

    #[test]
    fn steps_take_as_many_bytes_as_their_number_asks_for() {
        let values: Vec<f64> = (0..100).map(|t| 1e6 + f64::from(t * 37 % 101)).collect();
        for (step, n_bytes) in [(1.0, 100), (0.01, 200), (1e-6, 400), (0.0, 400)] {
            let mut kept = Kept::whole(&values);
            assert_eq!(kept.n_bytes(), 800);
            kept.coarsen(step);
            assert_eq!(kept.n_bytes(), n_bytes, "{step}");
            kept.set(5, f64::NAN);
            kept.shift(1e6 + 50.3);
            let expected = values[1..].iter().copied().chain([1e6 + 50.3]).enumerate();
            for (idx, value) in expected.filter(|(idx, _)| *idx != 4) {
                assert!((kept.get(idx) - value).abs() <= 0.501 * step + 1e-5, "{step}: {idx}");
            }
            assert!(kept.get(4).is_nan());
            // What lies beyond is kept as well as the others were.
            kept.set(7, 1e6 + 900.0);
            assert!((kept.get(7) - 1e6 - 900.0).abs() <= 0.501 * step + 1e-4 && kept.get(4).is_nan());
            assert!((kept.get(8) - values[9]).abs() <= 1.01 * step + 1e-4);
        }
    }
}
