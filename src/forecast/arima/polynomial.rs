//! Orders, and the weights they have: products of a polynomial in the step and one in the cycle.
//!
//! Weights come from partial autocorrelations, each between -1 and 1, so that whatever is searched is stationary and
//! invertible. Source: Barndorff-Nielsen and Schou, "On the parametrization of autoregressive models by partial
//! autocorrelations", 1973; Monahan, 1984.

use super::MOST_TERMS;

/// The largest partial autocorrelation: a root at 1 is the differences' business.
const MOST_PARTIAL: f64 = 0.995;

/// How many terms of each kind a model has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Orders {
    /// Autoregressive, moving average.
    pub ar: usize,
    pub ma: usize,
    /// The same at multiples of the cycle.
    pub cycle_ar: usize,
    pub cycle_ma: usize,
    /// Whether the differences have a mean.
    pub has_mean: bool,
}

impl Orders {
    pub fn n_parameters(&self) -> usize {
        self.ar + self.ma + self.cycle_ar + self.cycle_ma + usize::from(self.has_mean)
    }

    /// Parameters to begin with: those of `other` where it has them. A new one is small, and its sign tells a value's
    /// from an error's, which would undo each other.
    pub fn carried_over(&self, other: &Orders, parameters: &[f64]) -> Vec<f64> {
        let mut carried = Vec::with_capacity(self.n_parameters());
        let mut at = 0;
        let pairs = [
            (self.ar, other.ar, 0.1),
            (self.ma, other.ma, -0.1),
            (self.cycle_ar, other.cycle_ar, 0.1),
            (self.cycle_ma, other.cycle_ma, -0.1),
            (usize::from(self.has_mean), usize::from(other.has_mean), 0.0),
        ];
        for (own, others, new) in pairs {
            carried.extend((0..own).map(|nr| if nr < others { parameters[at + nr] } else { new }));
            at += others;
        }
        carried
    }
}

/// A weight at a lag, ascending.
pub(super) type Terms = Vec<(usize, f64)>;

/// What a model multiplies earlier values and errors with.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Weights {
    pub mean: f64,
    pub on_values: Terms,
    pub on_errors: Terms,
}

impl Weights {
    /// Those of `parameters`, free numbers in the order of [`Orders`]' fields, for a cycle of `steps`.
    pub fn of(orders: &Orders, parameters: &[f64], steps: usize) -> Weights {
        let mut weights = Weights::default();
        weights.set(orders, parameters, steps);
        weights
    }

    /// The same, in place: a search asks for thousands.
    pub fn set(&mut self, orders: &Orders, parameters: &[f64], steps: usize) {
        let mut rest = parameters;
        let mut take = |n: usize| {
            let (taken, left) = rest.split_at(n);
            rest = left;
            autoregression(taken)
        };
        let (ar, ma) = (take(orders.ar), take(orders.ma));
        let (cycle_ar, cycle_ma) = (take(orders.cycle_ar), take(orders.cycle_ma));
        self.mean = if orders.has_mean { rest[0] } else { 0.0 };
        product_into(&mut self.on_values, &ar[..orders.ar], &cycle_ar[..orders.cycle_ar], steps);
        product_into(&mut self.on_errors, &ma[..orders.ma], &cycle_ma[..orders.cycle_ma], steps);
        // A moving average is invertible where the autoregression with its weights turned round is stationary.
        self.on_errors.iter_mut().for_each(|(_, weight)| *weight = -*weight);
    }

    /// The longest lags on values and on errors.
    pub fn reaches(&self) -> (usize, usize) {
        let reach = |terms: &Terms| terms.last().map_or(0, |term| term.0);
        (reach(&self.on_values), reach(&self.on_errors))
    }
}

/// Durbin's recursion: weights at lags 1.. whose partial autocorrelations are those of the free `parameters`; zero
/// beyond as many.
fn autoregression(parameters: &[f64]) -> [f64; MOST_TERMS] {
    let mut weights = [0.0; MOST_TERMS];
    for (n, &free) in parameters.iter().enumerate() {
        let partial = MOST_PARTIAL * free / (1.0 + free * free).sqrt();
        let before = weights;
        for (weight, mirrored) in weights[..n].iter_mut().zip(before[..n].iter().rev()) {
            *weight -= partial * mirrored;
        }
        weights[n] = partial;
    }
    weights
}

/// Writes a and b of (1 - sum a B^i)(1 - sum b B^(steps i)) = 1 - sum of the terms.
fn product_into(terms: &mut Terms, step: &[f64], cycle: &[f64], steps: usize) {
    let of_step = || step.iter().enumerate().map(|(nr, &weight)| (nr + 1, weight));
    terms.clear();
    terms.extend(of_step());
    for (nr, &by_cycle) in cycle.iter().enumerate() {
        let lag = (nr + 1) * steps;
        terms.push((lag, by_cycle));
        terms.extend(of_step().map(|(step, weight)| (lag + step, -by_cycle * weight)));
    }
    merge(terms);
}

/// Puts terms in ascending order and adds up those at one lag.
fn merge(terms: &mut Terms) {
    terms.sort_by_key(|term| term.0);
    terms.dedup_by(|later, kept| {
        let is_same = later.0 == kept.0;
        kept.1 += if is_same { later.1 } else { 0.0 };
        is_same
    });
}

/// The weights on earlier values that differencing adds up to: (1 - B)^n (1 - B^steps)^n_cycle = 1 - sum of the terms.
pub(super) fn differencing(n: usize, n_cycle: usize, steps: usize) -> Terms {
    let mut all: Terms = vec![(0, 1.0)];
    for lag in std::iter::repeat_n(1, n).chain(std::iter::repeat_n(steps, n_cycle)) {
        let shifted: Terms = all.iter().map(|&(at, weight)| (at + lag, -weight)).collect();
        all.extend(shifted);
        merge(&mut all);
    }
    all.into_iter().skip(1).map(|(lag, weight)| (lag, -weight)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_have_the_terms_of_both_and_their_cross_terms() {
        let mut terms = Terms::new();
        product_into(&mut terms, &[0.5, -0.2], &[0.3], 12);
        let expected = [(1, 0.5), (2, -0.2), (12, 0.3), (13, -0.15), (14, 0.06)];
        for (term, expected) in terms.iter().zip(expected) {
            assert!(term.0 == expected.0 && (term.1 - expected.1).abs() < 1e-15, "{terms:?}");
        }
        assert_eq!(differencing(1, 1, 12), [(1, 1.0), (12, 1.0), (13, -1.0)]);
        assert_eq!(differencing(2, 0, 1), [(1, 2.0), (2, -1.0)]);
        assert_eq!(differencing(0, 0, 1), []);
    }

    #[test]
    fn whatever_is_searched_does_not_grow() {
        for parameters in [[9.0, -9.0, 9.0], [-50.0, 50.0, -50.0], [0.3, 2.0, -0.4]] {
            let weights = autoregression(&parameters);
            let mut answer: Vec<f64> = vec![0.0, 0.0, 1.0];
            for t in 3..60_000 {
                answer.push((0..3).map(|lag| weights[lag] * answer[t - 1 - lag]).sum());
            }
            let largest = |part: &[f64]| part.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
            // A root may come within 4e-8 of 1, and no further.
            assert!(largest(&answer[59_000..]) < largest(&answer[..1000]), "{parameters:?}");
        }
    }
}
