//! Counts that are mostly zero: how much comes when something comes, and how often.
//!
//! In: values at or above zero; a gap is passed over, as nobody knows what it held. Out: one level, the mean per step.
//! Every weight is [`SMOOTHING`], as in the published comparisons, so a model that takes a value in agrees exactly with a
//! fit to the longer history.

use std::collections::BTreeMap;

use super::model::{FitError, Fitted, Updated};
use super::past::{Past, Regressors};

/// What the newest size, interval or chance counts for.
const SMOOTHING: f64 = 0.1;

/// How sizes and their frequency become a mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// Size by interval; both move only when something comes.
    Croston,
    /// The same, less its bias.
    Sba,
    /// Size times chance; the chance moves at every step.
    Tsb,
}

/// Where the recursion stands.
#[derive(Clone, Debug)]
struct Demand {
    rule: Rule,
    // 0 before anything came.
    size: f64,
    interval: f64,
    chance: f64,
    n_since: f64,
    n_seen: usize,
}

impl Demand {
    fn take(&mut self, value: f64) {
        if !(value.is_finite() && value >= 0.0) {
            return;
        }
        let comes = value > 0.0;
        let is_first = comes && self.size <= 0.0;
        self.n_since += 1.0;
        let chance = f64::from(u8::from(comes));
        self.chance = if self.n_seen == 0 { chance } else { self.chance + SMOOTHING * (chance - self.chance) };
        self.n_seen += 1;
        if comes {
            let towards = |old: f64, new: f64| if is_first { new } else { (1.0 - SMOOTHING) * old + SMOOTHING * new };
            self.size = towards(self.size, value);
            self.interval = towards(self.interval, self.n_since);
            self.n_since = 0.0;
        }
    }

    fn level(&self) -> f64 {
        match self.rule {
            _ if self.size <= 0.0 => 0.0,
            // Where something comes at every step there is no ratio to be wrong about.
            Rule::Croston | Rule::Sba if self.interval <= 1.0 => self.size,
            Rule::Croston => self.size / self.interval,
            Rule::Sba => (1.0 - SMOOTHING / 2.0) * self.size / self.interval,
            Rule::Tsb => self.size * self.chance,
        }
    }
}

/// Runs `rule` over all of `past`.
pub(super) fn fit(rule: Rule, past: &Past<'_>) -> Result<Box<dyn Fitted>, FitError> {
    let mut demand = Demand { rule, size: 0.0, interval: 1.0, chance: 0.0, n_since: 0.0, n_seen: 0 };
    let smallest = past.values().iter().copied().filter(|value| !value.is_nan()).fold(f64::INFINITY, f64::min);
    if smallest < 0.0 {
        return Err(FitError::NotPositive { smallest });
    }
    past.values().iter().for_each(|&value| demand.take(value));
    if demand.n_seen < 2 {
        return Err(FitError::TooShort { needed: 2, got: demand.n_seen });
    }
    Ok(Box::new(demand))
}

impl Fitted for Demand {
    fn points_into(&self, _known: Regressors<'_>, points: &mut [f64]) {
        points.fill(self.level());
    }

    fn update(&mut self, value: f64, _known: Regressors<'_>) -> Updated {
        self.take(value);
        Updated::Exact
    }

    fn settings(&self) -> BTreeMap<&'static str, f64> {
        BTreeMap::from([("size", self.size), ("interval", self.interval), ("chance", self.chance)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::Horizon;
    use crate::series::Step;

    fn level(rule: Rule, values: &[f64]) -> f64 {
        fit(rule, &Past::new(0, Step::seconds(1), values)).unwrap().points(Horizon::new(1).unwrap())[0]
    }

    /// statsforecast 2.1: CrostonClassic, CrostonSBA, TSB(0.1, 0.1).
    #[test]
    fn they_give_the_reference_levels() {
        let demand = [0.0, 0.0, 5.0, 0.0, 0.0, 0.0, 3.0, 0.0, 4.0, 0.0, 0.0, 6.0];
        for (rule, expected) in [(Rule::Croston, 1.620863), (Rule::Sba, 1.539819), (Rule::Tsb, 1.312310)] {
            assert!((level(rule, &demand) - expected).abs() < 5e-7, "{rule:?} {}", level(rule, &demand));
            assert_eq!(level(rule, &[0.0; 9]), 0.0);
        }
    }

    #[test]
    fn what_died_out_fades_in_tsb_alone() {
        let mut values = [0.0, 4.0].repeat(20);
        let before = [Rule::Croston, Rule::Tsb].map(|rule| level(rule, &values));
        values.extend([0.0; 40]);
        assert_eq!(level(Rule::Croston, &values), before[0]);
        assert!(level(Rule::Tsb, &values) < 0.05 * before[1]);
    }

    #[test]
    fn a_gap_is_passed_over_and_below_zero_there_is_no_demand() {
        let gap = f64::NAN;
        assert_eq!(level(Rule::Croston, &[0.0, 3.0, gap, 0.0, 5.0]), level(Rule::Croston, &[0.0, 3.0, 0.0, 5.0]));
        let past = [1.0, -2.0];
        let error = fit(Rule::Tsb, &Past::new(0, Step::seconds(1), &past)).unwrap_err();
        assert_eq!(error, FitError::NotPositive { smallest: -2.0 });
    }
}
