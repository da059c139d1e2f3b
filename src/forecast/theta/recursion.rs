//! The recursion that the four members share, in constant time per value.
//!
//! With w = 1 - 1/theta, a level l that learns by alpha, and the line A + B t, the expected value at step t is
//! l + w g, where g = (1-alpha)^(t-1) A + (1 - (1-alpha)^t) / alpha B. Powers are carried along, never taken.

use super::estimate::Estimated;

/// A power so small that it is nothing; below it, floats slow down.
const NOTHING: f64 = 1e-200;

/// Ordinary least squares of the values seen so far on their step number, from 1 on; Welford's update in two columns.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Line {
    n: f64,
    mean_step: f64,
    mean: f64,
    steps_squared: f64,
    steps_by_values: f64,
    intercept: f64,
    slope: f64,
}

impl Line {
    fn add(&mut self, step: f64, value: f64) {
        self.n += 1.0;
        let (off_step, off) = (step - self.mean_step, value - self.mean);
        self.mean_step += off_step / self.n;
        self.mean += off / self.n;
        self.steps_squared += off_step * (step - self.mean_step);
        self.steps_by_values += off_step * (value - self.mean);
        self.slope = if self.steps_squared > 0.0 { self.steps_by_values / self.steps_squared } else { 0.0 };
        self.intercept = self.mean - self.slope * self.mean_step;
    }
}

/// The line to use at each step: intercept and slope.
#[derive(Debug)]
pub(super) struct Lines(pub Vec<(f64, f64)>);

impl Lines {
    /// The one of all `values`, or at each step that of the values before it.
    pub fn of(values: &[f64], is_dynamic: bool) -> Lines {
        let mut line = Line::default();
        let mut lines = Vec::with_capacity(values.len());
        for (idx, &value) in values.iter().enumerate() {
            lines.push((line.intercept, line.slope));
            if !value.is_nan() {
                line.add((idx + 1) as f64, value);
            }
        }
        if !is_dynamic {
            lines.fill((line.intercept, line.slope));
        }
        Lines(lines)
    }
}

/// How (1-alpha)^t and its sum go on from step to step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Decay {
    // (1-alpha)^(t-1) and the sum of the powers before it, for the coming step t.
    power: f64,
    sum: f64,
}

impl Decay {
    pub const START: Decay = Decay { power: 1.0, sum: 0.0 };

    /// (1-alpha)^(t-1) for the coming step t.
    #[inline(always)]
    pub fn power(&self) -> f64 {
        self.power
    }

    /// g at the coming step, for a line; moves on to the next.
    #[inline(always)]
    pub fn step(&mut self, kept: f64, (intercept, slope): (f64, f64)) -> f64 {
        self.sum += self.power;
        let bend = self.power * intercept + self.sum * slope;
        self.power = if self.power > NOTHING { self.power * kept } else { 0.0 };
        bend
    }
}

/// Where the recursion stands: all it needs of the past.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct State {
    level: f64,
    decay: Decay,
    line: Line,
    n_steps: f64,
    is_dynamic: bool,
}

impl State {
    /// The state before the first of `values`, which is no gap; a line that is not dynamic is that of all of them.
    pub fn before(values: &[f64], estimated: &Estimated, is_dynamic: bool) -> State {
        let mut line = Line::default();
        if !is_dynamic {
            for (idx, &value) in values.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
                line.add((idx + 1) as f64, value);
            }
        }
        State { level: estimated.level, decay: Decay::START, line, n_steps: 0.0, is_dynamic }
    }

    /// The state after the last of `values`.
    pub fn after(values: &[f64], estimated: &Estimated, is_dynamic: bool) -> State {
        let mut state = State::before(values, estimated, is_dynamic);
        for &value in values {
            state.step(value, estimated);
        }
        state
    }

    /// Takes in the value of the coming step; returns the error of the expected one, or `None` at a gap, which moves
    /// the level as if what was expected had come and teaches the line nothing.
    pub fn step(&mut self, value: f64, estimated: &Estimated) -> Option<f64> {
        let expected = self.expected(estimated);
        self.decay.step(1.0 - estimated.alpha, (self.line.intercept, self.line.slope));
        self.n_steps += 1.0;
        let taken = if value.is_nan() { expected } else { value };
        self.level += estimated.alpha * (taken - self.level);
        if value.is_nan() {
            return None;
        }
        // Before anything was seen a dynamic line knows nothing, and its first error is none.
        let is_first = self.is_dynamic && self.line.n == 0.0;
        if self.is_dynamic {
            self.line.add(self.n_steps, value);
        }
        Some(if is_first { 0.0 } else { value - expected })
    }

    /// The expected value of the coming step.
    fn expected(&self, estimated: &Estimated) -> f64 {
        let bend = { self.decay }.step(1.0 - estimated.alpha, (self.line.intercept, self.line.slope));
        self.level + estimated.share * bend
    }

    /// The expected values ahead. A dynamic line goes on learning from them, as its authors have it.
    pub fn points_into(&self, estimated: &Estimated, points: &mut [f64]) {
        let mut ahead = *self;
        for point in points {
            let expected = ahead.expected(estimated);
            ahead.step(expected, estimated);
            *point = expected;
        }
    }

    pub fn is_finite(&self) -> bool {
        [self.level, self.line.intercept, self.line.slope].iter().all(|number| number.is_finite())
    }
}
