//! A linear recursion with a cycle: the next value from earlier ones and the place of the cycle.
//!
//! In: weights on lags, an effect per place, the values it goes on from. Out: the values ahead, and the same after
//! values taken in. Estimated weights often explode a little, and are right all the same about the next cycle; beyond
//! one reach of the lags, calmed ones go on ([`calmed`]).

use super::compact::{FINE, Kept};
use super::profile::mended;
use super::recent::Shared;
use super::transform::Transform;

/// The lags' reaches over which growth is measured.
const REACHES: usize = 6;

/// Growth from one reach to the next that is an explosion rather than rounding or a root of one.
const MOST_GROWTH: f64 = 1.02;

/// value(t) = sum of on_lags[i] * value(t - lags[i]) + effects[t % len].
#[derive(Clone, Debug)]
struct Weights {
    on_lags: Box<[f64]>,
    effects: Kept,
}

/// Where the recursion stands.
#[derive(Clone, Debug)]
pub(super) struct Recursion {
    // Ascending.
    lags: Box<[u32]>,
    near: Weights,
    // Beyond one reach of the lags, where `near` would explode.
    far: Option<Box<Weights>>,
    // Counts the coming step; its effect is at `next % len`.
    next: usize,
    // The last values; one more than the longest lag, as who uses a cycle's value often asks for
    // the one before it. Without gaps. Not in single precision until it is known what forecasts are off by, as weights
    // that foretell exactly, one against the other, make a thousandfold of what is rounded.
    recent: Last,
}

#[derive(Clone, Debug)]
enum Last {
    Own {
        values: Kept,
        oldest: usize,
    },
    /// In the unit of the values.
    Lent {
        values: Shared,
        transform: Transform,
    },
}

impl Recursion {
    /// value(t) = sum of weights[i] * value(t - lags[i]) + effects[t % len], gone on from the end of `values`, whose
    /// gaps are bridged by what the recursion expected there.
    pub fn new(lags: &[usize], weights: &[f64], effects: &[f64], values: &[f64]) -> Recursion {
        let near = Weights { on_lags: weights.into(), effects: Kept::of(effects) };
        let far = calmed(lags, &near, values);
        Recursion::going_on(lags, near, far, values)
    }

    /// The same for the differences, given as `changes`: value(t) - value(t - 1) by weights on the differences at `lags`.
    pub fn integrated(lags: &[usize], weights: &[f64], effects: &[f64], values: &[f64], changes: &[f64]) -> Recursion {
        let mut all: Vec<usize> = lags.iter().flat_map(|&lag| [lag, lag + 1]).chain([1]).collect();
        all.sort_unstable();
        all.dedup();
        let on_levels = |weights: Weights| {
            let mut on_lags: Box<[f64]> = all.iter().map(|&lag| if lag == 1 { 1.0 } else { 0.0 }).collect();
            for (lag, weight) in lags.iter().zip(&weights.on_lags[..]) {
                let at = all.partition_point(|known| known < lag);
                on_lags[at] += weight;
                on_lags[at + 1] -= weight;
            }
            Weights { on_lags, effects: weights.effects }
        };
        let near = Weights { on_lags: weights.into(), effects: Kept::of(effects) };
        let far = calmed(lags, &near, changes).map(on_levels);
        Recursion::going_on(&all, on_levels(near), far, values)
    }

    fn going_on(lags: &[usize], near: Weights, far: Option<Weights>, values: &[f64]) -> Recursion {
        let reach = longest(lags.last().copied()) + 1;
        // The first reach of values cannot be expected; its gaps lie between neighbours of the same place.
        let from = values.len().saturating_sub(2 * reach);
        let upto = (from + reach).min(values.len());
        let known = bridged(&values[from..upto], near.effects.len());
        let first = known.first().copied().unwrap_or(0.0);
        let mut recent = vec![first; reach - known.len()];
        recent.extend(known);
        let recent = Last::Own { values: Kept::whole(&recent), oldest: 0 };
        let lags = lags.iter().map(|&lag| lag as u32).collect();
        let far = far.map(Box::new);
        let mut recursion = Recursion { lags, near, far, next: upto, recent };
        values[upto..].iter().for_each(|&value| recursion.take(value));
        recursion
    }

    /// How many of the last values it keeps.
    pub fn reach(&self) -> usize {
        match &self.recent {
            Last::Own { values, .. } => values.len(),
            Last::Lent { values, .. } => values.read().len(),
        }
    }

    /// The value `lag` steps before the next; `lag` is 1 up to the reach.
    pub fn recent(&self, lag: usize) -> f64 {
        match &self.recent {
            Last::Own { values, oldest } => values.get((oldest + values.len() - lag) % values.len()),
            Last::Lent { values, transform } => transform.apply(values.read().get(lag)),
        }
    }

    /// The values it keeps, the latest last; none where they are lent to it.
    pub fn own(&self) -> Vec<f64> {
        match &self.recent {
            Last::Own { values, .. } => (1..=values.len()).rev().map(|lag| self.recent(lag)).collect(),
            Last::Lent { .. } => Vec::new(),
        }
    }

    /// Reads the last values from `values` from now on, where they reach as far as its own.
    pub fn lean_on(&mut self, values: &Shared, transform: Transform) {
        if values.read().len() >= self.reach() {
            self.recent = Last::Lent { values: Shared::clone(values), transform };
        }
    }

    /// What `weights` expect `ahead` steps after the next, where `points` holds the values before that.
    fn expected(&self, weights: &Weights, points: &[f64], ahead: usize) -> f64 {
        let lagged = |lag: usize| if lag <= ahead { points[ahead - lag] } else { self.recent(lag - ahead) };
        let of_lags: f64 =
            self.lags.iter().zip(&weights.on_lags).map(|(&lag, weight)| weight * lagged(lag as usize)).sum();
        weights.effects.get((self.next + ahead) % weights.effects.len()) + of_lags
    }

    /// Moves on by one step at which `value` was seen; NaN is a gap, where what was expected stands in.
    pub fn take(&mut self, value: f64) {
        let value = if value.is_nan() { self.expected(&self.near, &[], 0) } else { value };
        if let Last::Own { values, oldest } = &mut self.recent {
            values.set(*oldest, value);
            *oldest = (*oldest + 1) % values.len();
        }
        self.next += 1;
    }

    /// The values expected at the next steps, each passed through `held` before it counts for later ones.
    pub fn points_into(&self, points: &mut [f64], held: impl Fn(f64) -> f64) {
        let longest = longest(self.lags.last().map(|&lag| lag as usize));
        for ahead in 0..points.len() {
            let is_near = ahead < longest;
            let weights = self.far.as_deref().filter(|_| !is_near).unwrap_or(&self.near);
            points[ahead] = held(self.expected(weights, points, ahead));
        }
    }

    /// Keeps effects and values as well as values that may be off by `tolerance` need.
    pub fn thin(&mut self, tolerance: f64) {
        if let Last::Own { values, .. } = &mut self.recent {
            values.coarsen(FINE * tolerance);
        }
        for weights in std::iter::once(&mut self.near).chain(self.far.as_deref_mut()) {
            weights.effects.coarsen(FINE * tolerance);
        }
    }

    pub fn n_bytes(&self) -> usize {
        let of = |weights: &Weights| size_of_val(&weights.on_lags[..]) + weights.effects.n_bytes();
        let weights = of(&self.near) + self.far.as_deref().map_or(0, |far| size_of::<Weights>() + of(far));
        let recent = if let Last::Own { values, .. } = &self.recent { values.n_bytes() } else { 0 };
        weights + size_of_val(&self.lags[..]) + recent
    }
}

/// The longest of the lags; 1 without any.
fn longest(last: Option<usize>) -> usize {
    last.unwrap_or(1).max(1)
}

/// `values` with each gap filled by straight lines between the values of its place of the cycle, and what remains by
/// straight lines along time.
pub(super) fn bridged(values: &[f64], n_places: usize) -> Vec<f64> {
    if !values.iter().any(|value| value.is_nan()) {
        return values.to_vec();
    }
    let mut bridged = values.to_vec();
    for place in 0..n_places.min(values.len()) {
        let column: Vec<f64> = values.iter().skip(place).step_by(n_places).copied().collect();
        if n_places > 1 && column.iter().any(|value| value.is_nan()) {
            let column = crate::series::filled(&column);
            bridged.iter_mut().skip(place).step_by(n_places).zip(column).for_each(|(cell, value)| *cell = value);
        }
    }
    if bridged.iter().any(|value| value.is_nan()) { mended(&bridged) } else { bridged }
}

/// Weights shrunk, the more the older their lag, until what a unit set off does not grow; `None` if it does not.
///
/// The growth is that of the answer to a unit from one reach of the lags to the next, measured after it has settled.
/// What is taken from the lags goes to the effects, so that a value as usual is followed by one as usual. `values` are
/// those that the lags are about.
fn calmed(lags: &[usize], weights: &Weights, values: &[f64]) -> Option<Weights> {
    let reach = lags.iter().copied().max().unwrap_or(0);
    let mut calm = weights.clone();
    // No weights that add up to less than 1 in size can explode.
    while reach > 0 && calm.on_lags.iter().map(|weight| weight.abs()).sum::<f64>() > 1.0 {
        let mut answer = vec![0.0; REACHES * reach];
        answer[0] = 1.0;
        for t in 1..answer.len() {
            let known = lags.iter().zip(&calm.on_lags).filter(|(lag, _)| **lag <= t);
            answer[t] = known.map(|(lag, weight)| weight * answer[t - lag]).sum::<f64>().clamp(-1e100, 1e100);
        }
        let size = |nr: usize| {
            let part = &answer[nr * reach..(nr + 1) * reach];
            part.iter().map(|value| value * value).sum::<f64>().sqrt()
        };
        let (before, after) = (size(REACHES - 3), size(REACHES - 1));
        let growth = (after / before.max(f64::MIN_POSITIVE)).sqrt();
        if growth <= MOST_GROWTH {
            break;
        }
        let keep = growth.powf(-1.0 / reach as f64).min(0.999);
        for (weight, &lag) in calm.on_lags.iter_mut().zip(lags) {
            *weight *= keep.powf(lag as f64);
        }
    }
    if calm.on_lags == weights.on_lags {
        return None;
    }
    let usual = usual(values, weights.effects.len());
    let effect = |(place, effect): (usize, f64)| {
        // A lag may be longer than many cycles.
        let at = |lag: usize| usual[(place + lag.next_multiple_of(usual.len()) - lag) % usual.len()];
        let taken = lags.iter().zip(&weights.on_lags).zip(&calm.on_lags);
        effect + taken.map(|((&lag, before), after)| (before - after) * at(lag)).sum::<f64>()
    };
    let effects: Vec<f64> = weights.effects.iter().enumerate().map(effect).collect();
    calm.effects = Kept::of(&effects);
    Some(calm)
}

/// The mean at each place of the cycle.
fn usual(values: &[f64], n_places: usize) -> Vec<f64> {
    let mut sums = vec![(0.0, 0.0); n_places];
    for (idx, value) in values.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
        let (sum, n) = &mut sums[idx % n_places];
        (*sum, *n) = (*sum + value, *n + 1.0);
    }
    let means: Vec<f64> = sums.into_iter().map(|(sum, n)| sum / n).collect();
    if means.iter().any(|mean| mean.is_nan()) { mended(&means) } else { means }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ahead(recursion: &Recursion, n: usize) -> Vec<f64> {
        let mut points = vec![0.0; n];
        recursion.points_into(&mut points, |point| point);
        points
    }

    #[test]
    fn it_goes_on_from_its_values_and_bridges_gaps_by_itself() {
        let values = [1.0, 2.0, 4.0, 3.0, f64::NAN];
        let recursion = Recursion::new(&[1, 2], &[0.5, 0.25], &[1.0, -1.0], &values);
        // At 4: 1 + 3 / 2 + 4 / 4 = 3.5; at 5: -1 + 3.5 / 2 + 3 / 4 = 1.5; at 6: 1 + 0.75 + 0.875 = 2.625.
        assert_eq!(ahead(&recursion, 2), [1.5, 2.625]);
        let mut moved = recursion;
        moved.take(f64::NAN);
        assert_eq!(ahead(&moved, 1), [2.625]);
        moved.take(10.0);
        assert_eq!(ahead(&moved, 1), [-1.0 + 5.0 + 0.375]);
    }

    #[test]
    fn differences_are_added_up() {
        let values = [0.0, 1.0, 3.0, 4.0, 6.0];
        let changes = [f64::NAN, 1.0, 2.0, 1.0, 2.0];
        let recursion = Recursion::integrated(&[2], &[1.0], &[0.5], &values, &changes);
        assert_eq!(ahead(&recursion, 4), [7.5, 10.0, 12.0, 15.0]);
    }

    #[test]
    fn what_explodes_is_calmed_and_what_does_not_is_left() {
        let is_calm = |lags: &[usize], weights: &[f64]| {
            calmed(lags, &Weights { on_lags: weights.into(), effects: Kept::of(&[0.0]) }, &[1.0; 9]).is_none()
        };
        assert!(is_calm(&[1, 2], &[1.5, -0.6]) && is_calm(&[4], &[1.0]));
        assert!(!is_calm(&[1, 2], &[1.5, -0.4]));
        // The effect keeps a value of 1 where it is under the weights as they were.
        for (lags, weights) in [(vec![1, 24], vec![0.9, 0.5]), (vec![1], vec![-3.0]), (vec![3], vec![30.0])] {
            let effect = 1.0 - weights.iter().sum::<f64>();
            let mut recursion = Recursion::new(&lags, &weights, &[effect], &[1.0; 60]);
            assert!(ahead(&recursion, 400).iter().all(|point| (point - 1.0).abs() < 1e-9), "{lags:?}");
            recursion.take(2.0);
            let after = ahead(&recursion, 400);
            let largest = |points: &[f64]| points.iter().fold(0.0f64, |most, point| most.max(point.abs()));
            assert!(largest(&after) <= 1.1 * largest(&after[..lags[lags.len() - 1] + 1]), "{lags:?}");
        }
    }
}
