//! Complex exponential smoothing: a level and the information it leaves out, smoothed together by one complex weight.
//!
//! In: at least [`LEAST_VALUES`] values. Out: a level that may rise or fall without a trend of its own, without a season
//! (N), with one level per place of the cycle (simple, S), with a season that is added (partial, P) or with a second
//! pair of level and information per place (full, F): the form with the least AICc.
//!
//! With level l, information c and error e, both taken from one step back (one cycle for the seasonal pairs):
//! l' = l - (1-a1) c + (a0-a1) e and c' = l + (1-a0) c + (a0+a1) e. Weights stay where the influence of the past dies
//! away. Forecasts may still grow without end, a1 above 1 being how this method rises, so they are held within one
//! reach of the history beyond it. The first state is what a walk there and back over the first cycles leaves.
//!
//! Source: Svetunkov, Kourentzes and Ord, "Complex exponential smoothing", 2022.

use std::collections::BTreeMap;

use super::adjust::additive_profile;
use super::model::{FitError, Fitted, Forecaster, Updated};
use super::optimise::{Bounds, REACH, minimise};
use super::past::{Past, Regressors};
use super::scale::Scale;
use super::smoothing::{LONGEST, MOST_CYCLES};
use crate::series::{Season, filled};

/// Fewer have no AICc for the simplest form.
const LEAST_VALUES: usize = 6;

/// How much smaller the first information is than the first level; as in the author's own programs.
const INFORMATION: f64 = 1.0 / 1.1;

/// Cells and cycles over which the first state is settled there and back.
const SETTLED: usize = 100;
const SETTLED_CYCLES: usize = 4;

/// A value so many times the reach of the history is no value of this series.
const WILDEST: f64 = 1e100;

/// Which parts there are, and the length of the cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    None,
    Simple(usize),
    Partial(usize),
    Full(usize),
}

/// A complex weight.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Weight {
    re: f64,
    im: f64,
}

impl Weight {
    /// Whether the past's influence dies away: the roots of the discount matrix lie within the unit circle.
    fn is_stable(self) -> bool {
        let Weight { re, im } = self;
        let away = |x: f64, y: f64| (re - x).powi(2) + (im - y).powi(2);
        away(2.5, 0.0) > 1.25 && away(0.5, 1.0) > 0.25 && away(1.5, 0.5) < 1.5
    }

    /// The pair one step on.
    fn step(self, (level, information): (f64, f64), error: f64) -> (f64, f64) {
        let Weight { re, im } = self;
        (level - (1.0 - im) * information + (re - im) * error, level + (1.0 - re) * information + (re + im) * error)
    }
}

/// The numbers of a form; those it lacks are unused.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Weights {
    level: Weight,
    season: Weight,
}

/// Where the recursion stands: `season[next]` belongs to the coming step; a partial season has no information.
#[derive(Clone, Debug, PartialEq)]
struct State {
    level: (f64, f64),
    season: Vec<(f64, f64)>,
    next: usize,
}

impl State {
    /// The state to begin with, before it has settled.
    fn first(form: Form, scaled: &[f64]) -> State {
        let pair = |level: f64| (level, level * INFORMATION);
        let mean = |n: usize| {
            let seen: Vec<f64> = scaled.iter().take(n).copied().filter(|value| !value.is_nan()).collect();
            seen.iter().sum::<f64>() / seen.len().max(1) as f64
        };
        let (level, season) = match form {
            Form::None => (pair(mean(10)), Vec::new()),
            Form::Simple(steps) => ((0.0, 0.0), filled(scaled)[..steps].iter().map(|&value| pair(value)).collect()),
            Form::Partial(steps) | Form::Full(steps) => {
                (pair(mean(steps)), additive_profile(scaled, steps).into_iter().map(pair).collect())
            }
        };
        State { level, season, next: 0 }
    }

    /// One step on: the error of the expected value, 0 at a gap, and what was expected.
    #[inline]
    fn step(&mut self, value: f64, weights: &Weights, form: Form) -> (f64, f64) {
        let slot = self.season.get(self.next).copied().unwrap_or((0.0, 0.0));
        let expected = match form {
            Form::None => self.level.0,
            Form::Simple(_) => slot.0,
            Form::Partial(_) | Form::Full(_) => self.level.0 + slot.0,
        };
        let error = if value.is_nan() { 0.0 } else { value - expected };
        if !matches!(form, Form::Simple(_)) {
            self.level = weights.level.step(self.level, error);
        }
        if let Some(slot) = self.season.get_mut(self.next) {
            *slot = match form {
                Form::Simple(_) => weights.level.step(*slot, error),
                Form::Partial(_) => (slot.0 + weights.season.re * error, slot.1),
                Form::None | Form::Full(_) => weights.season.step(*slot, error),
            };
            self.next = if self.next + 1 == self.season.len() { 0 } else { self.next + 1 };
        }
        (error, expected)
    }

    /// Settles the first state by a walk over `early` and back; a place of the cycle stays the same both ways.
    fn settle(&mut self, early: &[f64], weights: &Weights, form: Form) {
        for &value in early {
            self.step(value, weights, form);
        }
        let steps = self.season.len().max(1);
        for (idx, &value) in early.iter().enumerate().rev() {
            self.next = idx % steps;
            self.step(value, weights, form);
        }
        self.next = 0;
    }
}

/// Takes the better of four forms, or of one without a season.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ces {
    pub season: Option<Season>,
}

#[derive(Clone, Debug)]
struct FittedCes {
    scale: Scale,
    form: Form,
    weights: Weights,
    state: State,
    // Scaled points stay within.
    bounds: (f64, f64),
    aicc: f64,
}

impl Form {
    /// The box of its numbers: the level's weight, and what the season has.
    fn bounds(self) -> Vec<Bounds> {
        let weight = [Bounds::new(0.3, 2.7, 1.3), Bounds::new(-0.7, 1.7, 1.0)];
        match self {
            Form::None | Form::Simple(_) => weight.to_vec(),
            Form::Partial(_) => [&weight[..], &[Bounds::new(1e-3, 1.5, 0.1)]].concat(),
            Form::Full(_) => [weight, weight].concat(),
        }
    }

    /// `None` for weights that would not forget.
    fn weights(self, at: &[f64]) -> Option<Weights> {
        let level = Weight { re: at[0], im: at[1] };
        let season = match self {
            Form::None | Form::Simple(_) => level,
            Form::Partial(_) => Weight { re: at[2], im: 0.0 },
            Form::Full(_) => Weight { re: at[2], im: at[3] },
        };
        let is_stable = level.is_stable() && (!matches!(self, Form::Full(_)) || season.is_stable());
        is_stable.then_some(Weights { level, season })
    }

    /// Walks over `scaled`: the state before and after, and the sum of squared errors.
    fn walk(self, first: &State, scaled: &[f64], weights: &Weights, state: &mut State) -> f64 {
        let early = SETTLED.max(SETTLED_CYCLES * first.season.len()).min(scaled.len());
        (state.level, state.next) = (first.level, 0);
        state.season.copy_from_slice(&first.season);
        state.settle(&scaled[..early], weights, self);
        let mut squares = 0.0;
        for &value in scaled {
            let (error, _) = state.step(value, weights, self);
            squares += error * error;
        }
        squares
    }
}

impl Forecaster for Ces {
    fn fit(&self, past: &Past<'_>) -> Result<Box<dyn Fitted>, FitError> {
        let steps = self.season.map_or(1, Season::steps);
        let (cells, n_values) = past.latest_at_least(LEAST_VALUES, LONGEST.max(MOST_CYCLES * steps))?;
        let scale = Scale::uncentred(cells);
        let scaled: Vec<f64> = cells.iter().map(|&value| scale.apply(value)).collect();
        let has_season = steps > 1 && cells.len().min(2 * n_values) >= 2 * steps;
        let seasonal = [Form::Simple(steps), Form::Partial(steps), Form::Full(steps)];
        let forms = std::iter::once(Form::None).chain(seasonal.into_iter().filter(|_| has_season));
        let best = forms
            .map(|form| fitted(form, &scaled, n_values, scale))
            .reduce(|best, one| if one.aicc < best.aicc { one } else { best })
            .expect("one form needs no season");
        let State { level, season, .. } = &best.state;
        if !season.iter().chain([level]).all(|pair| pair.0.is_finite() && pair.1.is_finite()) {
            return Err(FitError::NotFinite(format!("the state left the numbers with {:?}", best.weights)));
        }
        Ok(Box::new(best))
    }
}

/// `form` with its best weights.
fn fitted(form: Form, scaled: &[f64], n: usize, scale: Scale) -> FittedCes {
    let first = State::first(form, scaled);
    let mut state = first.clone();
    let bounds = form.bounds();
    let found = minimise(&bounds, REACH, 60 * bounds.len(), |at| {
        let Some(weights) = form.weights(at) else { return f64::INFINITY };
        (form.walk(&first, scaled, &weights, &mut state).max(f64::MIN_POSITIVE)).ln() * n as f64
    });
    let start: Vec<f64> = bounds.iter().map(|bound| bound.start).collect();
    let weights = form.weights(&found).or_else(|| form.weights(&start)).expect("the start is stable");
    let squares = form.walk(&first, scaled, &weights, &mut state).max(f64::MIN_POSITIVE);
    let (n, k) = (n as f64, (bounds.len() + 1) as f64);
    let correction = if n > k + 1.0 { 2.0 * k * (k + 1.0) / (n - k - 1.0) } else { f64::INFINITY };
    let aicc = n * (squares.ln() + 2.0 * scale.unit().ln()) + 2.0 * k + correction;
    let seen = || scaled.iter().copied().filter(|value| !value.is_nan());
    let (least, most) = seen().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
    FittedCes { scale, form, weights, state, bounds: (2.0 * least - most, 2.0 * most - least), aicc }
}

impl Fitted for FittedCes {
    fn points_into(&self, _known: Regressors<'_>, points: &mut [f64]) {
        let mut ahead = self.state.clone();
        for point in points {
            let (_, expected) = ahead.step(f64::NAN, &self.weights, self.form);
            *point = self.scale.undo(expected.clamp(self.bounds.0, self.bounds.1));
        }
    }

    fn update(&mut self, value: f64, _known: Regressors<'_>) -> Updated {
        let scaled = self.scale.apply(value);
        // A value absurdly far beyond those of the fit is passed over like a gap, lest the state become infinite.
        let taken = if scaled.abs() < WILDEST { scaled } else { f64::NAN };
        self.state.step(taken, &self.weights, self.form);
        if !taken.is_nan() {
            let (least, most) = self.bounds;
            self.bounds = (least.min(taken), most.max(taken));
        }
        Updated::Filtered
    }

    fn settings(&self) -> BTreeMap<&'static str, f64> {
        let Weights { level, season } = self.weights;
        let mut settings = BTreeMap::from([("alpha_0", level.re), ("alpha_1", level.im), ("aicc", self.aicc)]);
        let (parts, steps) = match self.form {
            Form::None => (0.0, None),
            Form::Simple(steps) => (1.0, Some(steps)),
            Form::Partial(steps) => (2.0, Some(steps)),
            Form::Full(steps) => (3.0, Some(steps)),
        };
        settings.insert("seasonal_form", parts);
        if let Some(steps) = steps {
            settings.insert("season", steps as f64);
        }
        if matches!(self.form, Form::Partial(_) | Form::Full(_)) {
            settings.insert("beta_0", season.re);
            settings.insert("beta_1", season.im);
        }
        settings
    }

    fn n_bytes(&self) -> usize {
        size_of_val(self.state.season.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::Horizon;
    use crate::forecast::air_passengers::AIR_PASSENGERS;
    use crate::forecast::tests::Noise;
    use crate::series::Step;

    const S8: [f64; 8] = [10.0, 12.0, 11.0, 14.0, 13.0, 16.0, 15.0, 19.0];
    const START: Weight = Weight { re: 1.3, im: 1.0 };

    fn fit(season: usize, values: &[f64]) -> Box<dyn Fitted> {
        Ces { season: Season::new(season) }.fit(&Past::new(0, Step::seconds(1), values)).unwrap()
    }

    /// One pass computed from the published equations in numpy; three passes (there, back, there) of statsforecast 2.1,
    /// without a season and with the weights (1.3, 1).
    #[test]
    fn the_recursion_gives_the_reference_errors() {
        let weights = Weights { level: START, season: START };
        let check = |mut state: State, expected: &[f64]| {
            for (value, expected) in S8.iter().zip(expected) {
                let (error, _) = state.step(*value, &weights, Form::None);
                assert!((error - expected).abs() < 1e-5, "{error} {expected}");
            }
            state
        };
        let state = State { level: (10.0, 10.0 * INFORMATION), season: Vec::new(), next: 0 };
        let end = check(state.clone(), &[0.0, 2.0, 0.4, 3.28, 1.296, 3.9072, 1.73504, 5.214528]);
        assert!((end.level.0 - 15.349830).abs() < 1e-5 && (end.level.1 - 22.231871).abs() < 1e-5, "{end:?}");
        let mut settled = state;
        settled.settle(&S8, &weights, Form::None);
        let errors = [-2.204453, 0.456883, -0.680182, 2.523873, 0.766711, 3.536698, 1.475688, 5.032982];
        let end = check(settled, &errors);
        assert!((end.level.0 - 15.476913).abs() < 1e-5);
    }

    /// AICc of statsforecast 2.1.1's `AutoCES` on the airline passengers: N 1753.438, S 1589.517, P 1490.644, F 1433.361,
    /// from the same first states and the same count of parameters, in a narrower box.
    #[test]
    fn every_form_is_about_as_likely_as_the_reference_and_the_full_one_is_chosen() {
        let scale = Scale::uncentred(&AIR_PASSENGERS);
        let scaled: Vec<f64> = AIR_PASSENGERS.iter().map(|&value| scale.apply(value)).collect();
        for (form, expected) in [
            (Form::None, 1753.438),
            (Form::Simple(12), 1589.517),
            (Form::Partial(12), 1490.644),
            (Form::Full(12), 1433.361),
        ] {
            let aicc = fitted(form, &scaled, 144, scale).aicc;
            assert!(aicc < expected + 3.0, "{form:?}: {aicc}");
        }
        let chosen = fit(12, &AIR_PASSENGERS);
        assert_eq!(chosen.settings()["seasonal_form"], 3.0);
        let points = chosen.points(Horizon::new(3).unwrap());
        for (point, expected) in points.iter().zip([453.018, 429.323, 488.628]) {
            assert!((point - expected).abs() < 12.0, "{points:?}");
        }
    }

    #[test]
    fn weights_that_do_not_forget_are_refused() {
        assert!(START.is_stable() && Weight { re: 1.8, im: 0.98 }.is_stable());
        for (re, im) in [(0.4, 1.0), (2.6, 0.2), (1.5, 2.0), (0.2, 0.5)] {
            let weight = Weight { re, im };
            // What an error leaves in the state after many steps in which the error is what the state says.
            let mut pair = (1.0, 1.0);
            for _ in 0..400 {
                pair = weight.step(pair, -pair.0);
            }
            assert!(!weight.is_stable() && (pair.0.abs() + pair.1.abs() > 1e-3), "{weight:?} {pair:?}");
        }
    }

    #[test]
    fn a_season_is_continued_over_gaps_and_values_taken_in() {
        let mut noise = Noise::seeded(9);
        let at = |t: usize| 60.0 + 10.0 * ((t % 24) as f64 / 24.0 * std::f64::consts::TAU).sin();
        let mut values: Vec<f64> = (0..600).map(|t| at(t) + 0.5 * noise.normal()).collect();
        (values[100], values[598], values[599]) = (f64::NAN, f64::NAN, f64::NAN);
        let mut fitted = fit(24, &values);
        assert_eq!(fitted.settings()["season"], 24.0);
        for t in 600..660 {
            assert_eq!(fitted.update(if t == 610 { f64::NAN } else { at(t) }, Regressors::NONE), Updated::Filtered);
        }
        for (ahead, point) in fitted.points(Horizon::new(48).unwrap()).into_iter().enumerate() {
            assert!((point - at(660 + ahead)).abs() < 3.0, "{ahead}: {point}");
        }
        let weekly: Vec<f64> = (0..1000).map(|t| 10.0 + f64::from(t % 168 * 13 % 29)).collect();
        let fitted = fit(168, &weekly);
        assert_eq!(fitted.settings()["season"], 168.0);
        assert!(size_of::<FittedCes>() + fitted.n_bytes() < 4096);
    }
}
