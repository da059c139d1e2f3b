//! ARIMA: the differences of a series by earlier differences and earlier errors, in steps and in cycles.
//!
//! In: at least [`LEAST_VALUES`] values. Out: the recursion, continued, and added up again. A cycle is differenced where
//! its season is strong, a step where KPSS says that the level wanders. Orders are those with the least AICc on a walk
//! from neighbour to neighbour; a neighbour starts from the weights of the one before it, so each costs a few passes.
//! Weights are those with the least sum of squares given a quiet past, not those of the exact likelihood, whose cost
//! grows with the square of the cycle.
//!
//! A difference that touches a gap is a gap: it has no error, and what was expected stands in.
//!
//! Source: Box and Jenkins, "Time Series Analysis: Forecasting and Control", 1976; the walk over the orders follows
//! Hyndman and Khandakar, "Automatic time series forecasting: the forecast package for R", 2008, and the strength of a
//! season Wang, Smith and Hyndman, "Characteristic-based clustering for time series data", 2006.

mod estimate;
mod polynomial;

use std::collections::BTreeMap;

use super::adjust::seasonal_strength;
use super::model::{FitError, Fitted, Forecaster, Updated};
use super::past::{Past, Regressors};
use super::scale::Scale;
use super::smoothing::{LONGEST, MOST_CYCLES};
use super::stationarity::{differences, n_differences};
use crate::series::Season;
use estimate::{Errors, Scratch};
use polynomial::{Orders, Terms, Weights, differencing};

/// Fewer leave too few differences for one weight.
const LEAST_VALUES: usize = 10;

/// A season this strong is differenced; the bound that R's `nsdiffs` uses.
const STRONG: f64 = 0.64;

/// The largest order.
const MOST_TERMS: usize = 3;

/// A cycle this long has one term at most, on values or on errors: each keeps a cycle in memory.
const LONG_CYCLE: usize = 24;

/// Models that are looked at, and how many values may be walked over for all of them together.
const MOST_MODELS: usize = 24;
const MOST_WALKED: usize = 60_000;

/// Steps of the search within a model, while looking and at last.
const FEW_STEPS: usize = 5;
const MANY_STEPS: usize = 25;

/// A value so many times the reach of the history is no value of this series.
const WILDEST: f64 = 1e100;

/// Uses one season.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Arima {
    pub season: Option<Season>,
}

/// The last numbers of a row, as many as a recursion looks back on.
#[derive(Clone, Debug, PartialEq)]
struct Recent {
    numbers: Vec<f64>,
    oldest: usize,
}

impl Recent {
    fn new(n: usize) -> Recent {
        Recent { numbers: vec![0.0; n], oldest: 0 }
    }

    fn push(&mut self, number: f64) {
        if let Some(slot) = self.numbers.get_mut(self.oldest) {
            *slot = number;
            self.oldest = if self.oldest + 1 == self.numbers.len() { 0 } else { self.oldest + 1 };
        }
    }

    /// The sum of the terms over the numbers at their lags.
    fn weighted(&self, terms: &Terms) -> f64 {
        let len = self.numbers.len();
        let at = |lag: usize| if self.oldest >= lag { self.oldest - lag } else { self.oldest + len - lag };
        terms.iter().map(|&(lag, weight)| weight * self.numbers[at(lag)]).sum()
    }
}

/// What was chosen and estimated.
#[derive(Clone, Debug)]
struct Model {
    orders: Orders,
    parameters: Vec<f64>,
    n_differences: usize,
    n_cycle_differences: usize,
    steps: usize,
    weights: Weights,
    summing: Terms,
}

/// Where the recursion stands: values, differences less their mean, and errors.
#[derive(Clone, Debug)]
struct State {
    values: Recent,
    centred: Recent,
    errors: Recent,
}

impl State {
    /// The state after `values`, whose first is no gap.
    fn after(values: &[f64], model: &Model) -> State {
        let reach = model.summing.last().map_or(0, |term| term.0);
        let (of_values, of_errors) = model.weights.reaches();
        let mut state =
            State { values: Recent::new(reach), centred: Recent::new(of_values), errors: Recent::new(of_errors) };
        // The first values have no difference: they are only remembered, with gaps bridged.
        for value in crate::series::filled(&values[..reach.min(values.len())]) {
            state.values.push(value);
        }
        for &value in values.iter().skip(reach) {
            state.step(value, model);
        }
        state
    }

    /// What is expected of the coming step, less what its earlier values add up to.
    fn expected(&self, model: &Model) -> f64 {
        self.centred.weighted(&model.weights.on_values) + self.errors.weighted(&model.weights.on_errors)
    }

    /// Takes in the value of the coming step; at a gap what is expected stands in. Returns that.
    fn step(&mut self, value: f64, model: &Model) -> f64 {
        let (expected, before) = (self.expected(model), self.values.weighted(&model.summing));
        let summed = expected + model.weights.mean + before;
        let (value, centred) =
            if value.is_nan() { (summed, expected) } else { (value, value - before - model.weights.mean) };
        self.values.push(value);
        self.centred.push(centred);
        self.errors.push(centred - expected);
        summed
    }
}

#[derive(Clone, Debug)]
struct FittedArima {
    scale: Scale,
    model: Model,
    state: State,
}

impl Forecaster for Arima {
    fn fit(&self, past: &Past<'_>) -> Result<Box<dyn Fitted>, FitError> {
        let steps = self.season.map_or(1, Season::steps);
        let (scale, values) = scaled(past, steps)?;
        let has_cycle = steps > 1 && values.len() >= 3 * steps;
        let n_cycle_differences = usize::from(has_cycle && seasonal_strength(&values, steps) > STRONG);
        let by_cycle = if n_cycle_differences == 1 { differences(&values, steps) } else { values.clone() };
        let n_differences = n_differences(&by_cycle, 2 - n_cycle_differences);
        let summing = differencing(n_differences, n_cycle_differences, steps);
        let reach = summing.last().map_or(0, |term| term.0);
        let changes = &differences_of_steps(by_cycle, n_differences)[reach..];
        let may_have_mean = n_differences + n_cycle_differences <= 1;
        let search = Search { changes, steps: if has_cycle { steps } else { 1 }, may_have_mean };
        let (orders, parameters) =
            search.run().ok_or_else(|| FitError::NotFinite("too few values stand beside each other".to_owned()))?;
        let steps = search.steps;
        let weights = Weights::of(&orders, &parameters, steps);
        let model = Model { orders, parameters, n_differences, n_cycle_differences, steps, weights, summing };
        Ok(Box::new(FittedArima::walked(scale, model, &values)?))
    }
}

/// The latest cells of `past` for a cycle of so many steps, from a value on.
fn scaled(past: &Past<'_>, steps: usize) -> Result<(Scale, Vec<f64>), FitError> {
    let (cells, _) = past.latest_at_least(LEAST_VALUES, LONGEST.max(MOST_CYCLES * steps))?;
    let scale = Scale::centred(cells);
    Ok((scale, cells.iter().map(|&value| scale.apply(value)).collect()))
}

fn differences_of_steps(values: Vec<f64>, n: usize) -> Vec<f64> {
    (0..n).fold(values, |values, _| differences(&values, 1))
}

impl FittedArima {
    /// The recursion over all `values`.
    fn walked(scale: Scale, model: Model, values: &[f64]) -> Result<FittedArima, FitError> {
        let state = State::after(values, &model);
        let numbers = [&state.values, &state.centred, &state.errors].map(|recent| &recent.numbers);
        if !numbers.into_iter().flatten().all(|number| number.is_finite()) {
            return Err(FitError::NotFinite(format!("the recursion left the numbers with {:?}", model.weights)));
        }
        Ok(FittedArima { scale, model, state })
    }
}

/// The same errors count for every model, those from which on most of them see all they look back on.
fn errors_of(changes: &[f64], steps: usize) -> Errors<'_> {
    let cycle = if steps > 1 { steps } else { 0 };
    Errors { values: changes, steps, n_unscored: (cycle + MOST_TERMS).min(changes.len() / 4) }
}

/// The walk over the orders.
struct Search<'a> {
    changes: &'a [f64],
    steps: usize,
    may_have_mean: bool,
}

impl Search<'_> {
    /// The best orders and their parameters; `None` where there are too few values for any.
    fn run(&self) -> Option<(Orders, Vec<f64>)> {
        let cycle = if self.steps > 1 { self.steps } else { 0 };
        let n = self.changes.len();
        let errors = errors_of(self.changes, self.steps);
        let n_scored = errors.n_scored() as f64;
        let mut scratch = Scratch::default();
        let n_models = (MOST_WALKED / n.max(1)).clamp(8, MOST_MODELS);
        let of = |ar, ma, cycle_ar, cycle_ma| {
            let has_cycle = cycle > 0;
            let cycle_ma = if has_cycle && (cycle <= LONG_CYCLE || cycle_ar == 0) { cycle_ma } else { 0 };
            Orders { ar, ma, cycle_ar: if has_cycle { cycle_ar } else { 0 }, cycle_ma, has_mean: self.may_have_mean }
        };
        let mut seen: Vec<Orders> = Vec::new();
        let mut best: Option<(f64, Orders, Vec<f64>)> = None;
        let mut look = |orders: Orders, best: &mut Option<(f64, Orders, Vec<f64>)>| -> bool {
            let k = (orders.n_parameters() + 1) as f64;
            if seen.contains(&orders) || seen.len() >= n_models || n_scored <= k + 2.0 {
                return false;
            }
            seen.push(orders);
            let start = match best {
                Some((_, other, parameters)) => orders.carried_over(other, parameters),
                None => vec![self.mean(); orders.n_parameters()],
            };
            let (parameters, loss) = errors.minimise(&orders, start, FEW_STEPS, &mut scratch);
            let aicc =
                n_scored * loss.max(f64::MIN_POSITIVE).ln() + 2.0 * k + 2.0 * k * (k + 1.0) / (n_scored - k - 1.0);
            let is_better = best.as_ref().is_none_or(|best| aicc < best.0);
            if is_better {
                *best = Some((aicc, orders, parameters));
            }
            is_better
        };
        for orders in [of(0, 0, 0, 0), of(1, 0, 1, 0), of(0, 1, 0, 1), of(2, 2, 1, 1)] {
            look(orders, &mut best);
        }
        loop {
            let (_, here, _) = best.clone()?;
            if !self.neighbours(&here).into_iter().any(|orders| look(orders, &mut best)) {
                break;
            }
        }
        let (_, orders, parameters) = best?;
        let (parameters, _) = errors.minimise(&orders, parameters, MANY_STEPS, &mut scratch);
        Some((orders, parameters))
    }

    /// The mean of the changes, which the first model begins with.
    fn mean(&self) -> f64 {
        let seen = || self.changes.iter().filter(|change| !change.is_nan());
        seen().sum::<f64>() / seen().count().max(1) as f64
    }

    /// Orders one term away, cycles first; and the same without or with a mean.
    fn neighbours(&self, here: &Orders) -> Vec<Orders> {
        let most_of_cycle = usize::from(self.steps > 1);
        let moved = |order: usize, by: i32, most: usize| -> Option<usize> {
            let moved = if by < 0 { order.checked_sub(1)? } else { order + by as usize };
            (moved <= most).then_some(moved)
        };
        let mut found = Vec::new();
        for (ar, ma) in [(-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (1, 1)] {
            if let (Some(cycle_ar), Some(cycle_ma)) =
                (moved(here.cycle_ar, ar, most_of_cycle), moved(here.cycle_ma, ma, most_of_cycle))
                && (self.steps <= LONG_CYCLE || cycle_ar + cycle_ma <= 1)
            {
                found.push(Orders { cycle_ar, cycle_ma, ..*here });
            }
        }
        for (ar, ma) in [(-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (1, 1)] {
            if let (Some(ar), Some(ma)) = (moved(here.ar, ar, MOST_TERMS), moved(here.ma, ma, MOST_TERMS)) {
                found.push(Orders { ar, ma, ..*here });
            }
        }
        if self.may_have_mean {
            found.push(Orders { has_mean: !here.has_mean, ..*here });
        }
        found
    }
}

impl Fitted for FittedArima {
    fn points_into(&self, _known: Regressors<'_>, points: &mut [f64]) {
        let mut ahead = self.state.clone();
        for point in points {
            *point = self.scale.undo(ahead.step(f64::NAN, &self.model));
        }
    }

    fn update(&mut self, value: f64, _known: Regressors<'_>) -> Updated {
        let scaled = self.scale.apply(value);
        // A value absurdly far beyond those of the fit is passed over like a gap, lest the state become infinite.
        self.state.step(if scaled.abs() < WILDEST { scaled } else { f64::NAN }, &self.model);
        Updated::Filtered
    }

    fn fitted_again(&self, past: &Past<'_>) -> Option<Box<dyn Fitted>> {
        let Model { orders, n_differences, n_cycle_differences, steps, .. } = self.model;
        let (scale, values) = scaled(past, steps).ok()?;
        let by_cycle = if n_cycle_differences == 1 { differences(&values, steps) } else { values.clone() };
        let reach = self.model.summing.last().map_or(0, |term| term.0);
        let changes = differences_of_steps(by_cycle, n_differences);
        let errors = errors_of(changes.get(reach..)?, steps);
        // The mean is in the unit of the values.
        let mut parameters = self.model.parameters.clone();
        if let Some(mean) = parameters.last_mut().filter(|_| orders.has_mean) {
            *mean *= self.scale.unit() / scale.unit();
        }
        let (parameters, _) = errors.minimise(&orders, parameters, MANY_STEPS, &mut Scratch::default());
        let weights = Weights::of(&orders, &parameters, steps);
        let fitted = FittedArima::walked(scale, Model { parameters, weights, ..self.model.clone() }, &values).ok()?;
        Some(Box::new(fitted))
    }

    fn settings(&self) -> BTreeMap<&'static str, f64> {
        let Orders { ar, ma, cycle_ar, cycle_ma, has_mean } = self.model.orders;
        let mut settings = BTreeMap::from([("p", ar as f64), ("d", self.model.n_differences as f64), ("q", ma as f64)]);
        if has_mean {
            settings.insert("mean", self.model.weights.mean * self.scale.unit());
        }
        if self.model.steps > 1 {
            settings.insert("season", self.model.steps as f64);
            settings.insert("seasonal_p", cycle_ar as f64);
            settings.insert("seasonal_d", self.model.n_cycle_differences as f64);
            settings.insert("seasonal_q", cycle_ma as f64);
        }
        settings
    }

    fn n_bytes(&self) -> usize {
        let Model { parameters, weights, summing, .. } = &self.model;
        let terms = [&weights.on_values, &weights.on_errors, summing].map(|terms| size_of_val(terms.as_slice()));
        let parameters = size_of_val(parameters.as_slice());
        let State { values, centred, errors } = &self.state;
        let recent = [values, centred, errors].map(|recent| size_of_val(recent.numbers.as_slice()));
        terms.into_iter().chain(recent).chain([parameters]).sum()
    }
}

#[cfg(test)]
mod tests;
