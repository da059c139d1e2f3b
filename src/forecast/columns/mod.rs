//! What known columns do to a series, learned from its past: paydays, holidays, planned loads.
//!
//! In: a past, and columns known beforehand ([`Regressor`]s, recurring events). Out: the past without what they did,
//! for any method to learn from, and what they will do ahead, for points and bands; what was learned is told in words.
//! As with planned events, no method need know of it: prior adjustment, as X-13ARIMA-SEATS does it (US Census Bureau,
//! "X-13ARIMA-SEATS Reference Manual"). What does not show in the past is not put into the future.

mod column;
mod estimate;
mod learnt;
#[cfg(test)]
mod tests;

use std::fmt;

pub(super) use column::Column;
pub(super) use learnt::{Freed, Learnt};

use super::events::{Affine, Change};
use super::past::{Past, Regressor};
use crate::series::{Millis, Season};
use estimate::LEAST_TIMES;

/// Columns of which effects are learned, at most: each costs as many sums as there are columns.
const MOST_COLUMNS: usize = 32;

/// From a standard deviation to what is not exceeded with 95 %.
const GIVE_OR_TAKE: f64 = 1.96;

/// What a known column does to a series, as its past has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Influence {
    /// What the column is called.
    pub name: String,
    /// How often it was above or below what is usual beside a value.
    pub n_times: usize,
    /// What it does.
    pub effect: Learned,
}

/// What was learned of a column's effect.
#[derive(Clone, Debug, PartialEq)]
pub enum Learned {
    /// It does this where it is furthest from what is usual: added or multiplied.
    Shows(Change),
    /// Nothing that shows; why.
    Nothing(String),
    /// The method that was asked for reckons with it by itself.
    ByMethod,
}

impl fmt::Display for Influence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Influence { name, n_times, effect } = self;
        let seen = match n_times {
            1 => "once".to_owned(),
            n => format!("{n} times"),
        };
        match effect {
            Learned::Shows(Change::Times { by, give_or_take }) => {
                write!(
                    f,
                    "`{name}` multiplies by {by:.3}, give or take {give_or_take:.3}: learned from what it did {seen}"
                )
            }
            Learned::Shows(Change::Add { by, give_or_take }) => {
                let (by, give_or_take) = (short(*by), short(*give_or_take));
                write!(f, "`{name}` adds {by}, give or take {give_or_take}: learned from what it did {seen}")
            }
            Learned::Shows(Change::Become(_) | Change::Measured) | Learned::ByMethod => {
                write!(f, "`{name}` is reckoned with by the method itself")
            }
            Learned::Nothing(reason) => write!(f, "`{name}` has no effect: {reason}"),
        }
    }
}

/// To four figures.
fn short(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    let digits = 3 - value.abs().log10().floor() as i32;
    let unit = 10f64.powi(digits.clamp(-300, 300));
    let rounded = (value * unit).round() / unit;
    if rounded.is_finite() { rounded.to_string() } else { value.to_string() }
}

/// What a unit of a column does.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Effect {
    /// A logarithm, or an amount in the unit of the values.
    by: f64,
    /// Its standard deviation from time to time.
    deviation: f64,
}

/// The columns of a series and what they do, kept beside a model that was fitted without them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Effects {
    columns: Vec<(Column, Effect)>,
    are_factors: bool,
    is_by_method: bool,
    influences: Vec<Influence>,
}

impl Effects {
    /// What `columns` do to the values of `past`, which has `seasons`; and the effects as they are in this past.
    pub fn learn(past: &Past<'_>, mut columns: Vec<Column>, seasons: &[Season]) -> (Effects, Learnt) {
        let left_out = columns.split_off(columns.len().min(MOST_COLUMNS));
        let learnt = Learnt::new(past, &columns, seasons);
        let unit = learnt.unit();
        let mut effects = Effects { are_factors: learnt.is_of_factors(), ..Effects::default() };
        for (nr, (column, estimate)) in columns.iter().zip(learnt.estimates()).enumerate() {
            let effect = Effect { by: estimate.coefficient * unit, deviation: estimate.deviation * unit };
            let learned = if estimate.coefficient != 0.0 {
                Learned::Shows(effect.change(learnt.furthest(nr), effects.are_factors))
            } else if estimate.n_times < LEAST_TIMES {
                Learned::Nothing(too_few(estimate.n_times))
            } else {
                Learned::Nothing(format!(
                    "what was seen at its {} times in the past is no more than chance would have it",
                    estimate.n_times
                ))
            };
            effects.influences.push(Influence {
                name: column.name.clone(),
                n_times: estimate.n_times,
                effect: learned,
            });
            effects.columns.push((column.after(past.end()), effect));
        }
        for column in left_out {
            let reason = format!("there are more than {MOST_COLUMNS} known columns, and the first are used");
            let name = column.name.clone();
            effects.influences.push(Influence { name, n_times: 0, effect: Learned::Nothing(reason) });
            // So that more windows of it are not taken for another thing, of which nothing was ever seen.
            effects.columns.push((column.after(past.end()), Effect::default()));
        }
        (effects, learnt)
    }

    /// For a method that reckons with `columns` by itself, after `past`.
    pub fn by_method(past: &Past<'_>, columns: &[Column]) -> Effects {
        let influence = |column: &Column| {
            let known = |idx: usize| column.at(past.at(idx), past.length_of(idx));
            let side = |idx: usize| known(idx).filter(|x| *x != 0.0).map(|x| x > 0.0);
            let begins = |idx: &usize| side(*idx).is_some() && (*idx == 0 || side(*idx) != side(*idx - 1));
            let n_times = (0..past.len()).filter(begins).count();
            Influence { name: column.name.clone(), n_times, effect: Learned::ByMethod }
        };
        Effects {
            columns: columns.iter().map(|column| (column.after(past.end()), Effect::default())).collect(),
            are_factors: false,
            is_by_method: true,
            influences: columns.iter().map(influence).collect(),
        }
    }

    /// Whether there is no column.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// What was learned of each column.
    pub fn influences(&self) -> &[Influence] {
        &self.influences
    }

    /// The same with other windows of events ahead: columns of the same name do what they did, of others nothing is
    /// known.
    pub fn with_windows(&self, events: Vec<Column>) -> Effects {
        let mut effects = self.clone();
        for column in events {
            let known = effects.columns.iter_mut().find(|(own, _)| own.is_of_event() && own.name == column.name);
            match known {
                Some((own, _)) => *own = column,
                None => effects.influences.push(Influence {
                    name: column.name,
                    n_times: 0,
                    effect: Learned::Nothing(too_few(0)),
                }),
            }
        }
        effects
    }

    /// Whether the events called `name` do anything.
    pub fn shows(&self, name: &str) -> bool {
        let own = self.columns.iter().find(|(column, _)| column.is_of_event() && column.name == name);
        own.is_some_and(|(_, effect)| self.is_by_method || effect.by != 0.0)
    }

    /// What the columns make of a value at a cell.
    pub fn at(&self, at: Millis, len: Millis) -> Affine {
        let parts = self.columns.iter().filter(|(_, effect)| effect.by != 0.0);
        let by: f64 = parts.filter_map(|(column, effect)| Some(effect.by * column.at(at, len)?)).sum();
        match (by == 0.0, self.are_factors) {
            (true, _) => Affine::SAME,
            (false, true) => Affine { a: by.clamp(-MOST_LOG, MOST_LOG).exp(), b: 0.0 },
            (false, false) => Affine { a: 1.0, b: by },
        }
    }

    /// How far off that may be at a point, with 95 %, as independent errors add up.
    pub fn doubt(&self, at: Millis, len: Millis, point: f64) -> f64 {
        let parts = self.columns.iter().filter(|(_, effect)| effect.deviation > 0.0);
        let squares: f64 =
            parts.filter_map(|(column, effect)| Some((effect.deviation * column.at(at, len)?).powi(2))).sum();
        let size = if self.are_factors { point.abs() } else { 1.0 };
        GIVE_OR_TAKE * squares.sqrt() * size
    }

    /// A value at a cell without what the columns did.
    pub fn quieted(&self, value: f64, at: Millis, len: Millis) -> f64 {
        let effect = self.at(at, len);
        (value - effect.b) / effect.a
    }

    /// The columns at `n` cells, of which each begins `at` its own, for a method that reckons with them by itself; none
    /// for others.
    pub fn rows(&self, n: usize, at: impl Fn(usize) -> Millis) -> Vec<Regressor> {
        if !self.is_by_method {
            return Vec::new();
        }
        self.columns.iter().map(|(column, _)| row_of(column, n, &at)).collect()
    }

    /// What it holds, in bytes.
    pub fn n_bytes(&self) -> usize {
        let columns: usize = self.columns.iter().map(|(column, _)| column.n_bytes()).sum();
        let names: usize = self.influences.iter().map(|influence| influence.name.capacity()).sum();
        size_of_val(&self.columns[..]) + size_of_val(&self.influences[..]) + columns + names
    }
}

/// Factors beyond this power of e are none.
const MOST_LOG: f64 = 50.0;

impl Effect {
    /// What `x` units do.
    fn change(self, x: f64, are_factors: bool) -> Change {
        let (by, give_or_take) = (self.by * x, GIVE_OR_TAKE * self.deviation * x.abs());
        if are_factors {
            let factor = by.clamp(-MOST_LOG, MOST_LOG).exp();
            Change::Times { by: factor, give_or_take: give_or_take * factor }
        } else {
            Change::Add { by, give_or_take }
        }
    }
}

/// What a column is at `n` cells, of which each begins `at` its own; 0 where it is not known.
pub(super) fn row_of(column: &Column, n: usize, at: impl Fn(usize) -> Millis) -> Regressor {
    let known = |idx: usize| column.at(at(idx), at(idx + 1).saturating_sub(at(idx)));
    let values = (0..n).map(|idx| known(idx).unwrap_or(0.0)).collect();
    Regressor { name: column.name.clone(), values }
}

fn too_few(n_times: usize) -> String {
    let seen = match n_times {
        0 => "it was never seen beside a value".to_owned(),
        _ => "it was seen once".to_owned(),
    };
    format!("{seen}; what it does can be learned from {LEAST_TIMES} times or more")
}
