//! The Theta family: exponential smoothing of a series bent towards or away from its own trend line.
//!
//! In: at least [`LEAST_VALUES`] values; a season is taken off first where it foretells. Out: a level that goes on with
//! a share of the trend. Four members: the trend line is that of the whole history (S for standard, O for optimised)
//! or of what was seen at each moment (D for dynamic), and the bend theta is 2 (ST) or estimated (OT). [`Theta`]
//! without a member fits all four, on the values and on a power of them where Guerrero's rule asks for one, and takes
//! that with the least AICc.
//!
//! Source: Assimakopoulos and Nikolopoulos, "The theta model", 2000; Fiorucci, Pellegrini, Louzada, Petropoulos and
//! Koehler, "Models for optimising the theta method and their relationship to state space models", 2016, whose
//! recursion this is. How the numbers are found is our own, see `estimate`.

mod estimate;
mod recursion;

use std::collections::BTreeMap;

use super::adjust::Adjustment;
use super::model::{FitError, Fitted, Forecaster, Updated};
use super::past::{Past, Regressors};
use super::power::Power;
use super::scale::Scale;
use crate::series::Season;
use estimate::{Estimated, Problem};
use recursion::{Lines, State};

/// Fewer leave nothing to estimate from, as the first three errors do not count.
const LEAST_VALUES: usize = 6;

/// Cells that a fit looks back on; a level has forgotten what lies before.
const LONGEST: usize = 1_500;

/// Cycles that a fit looks back on when that is longer.
const MOST_CYCLES: usize = 10;

/// A value so many times the reach of the history is no value of this series.
const WILDEST: f64 = 1e100;

/// One of the four models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// Whether the trend line is that of the values seen so far, and moves on with new ones.
    pub is_dynamic: bool,
    /// Whether theta is estimated; otherwise it is 2.
    pub is_optimised: bool,
}

impl Member {
    pub const STM: Member = Member { is_dynamic: false, is_optimised: false };
    pub const OTM: Member = Member { is_dynamic: false, is_optimised: true };
    pub const DSTM: Member = Member { is_dynamic: true, is_optimised: false };
    pub const DOTM: Member = Member { is_dynamic: true, is_optimised: true };

    const ALL: [Member; 4] = [Member::STM, Member::OTM, Member::DSTM, Member::DOTM];
}

/// A theta model with a season of its own.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Theta {
    pub season: Option<Season>,
    /// The one to fit; the best of the four without.
    pub member: Option<Member>,
}

#[derive(Clone, Debug)]
struct FittedTheta {
    scale: Scale,
    adjustment: Adjustment,
    power: Power,
    // The least and largest adjusted value: what a power is taken of, and undone to, stays near them.
    adjusted: (f64, f64),
    // Subtracted from transformed values, so that the level's bounds mean the same wherever zero is.
    centre: f64,
    member: Member,
    estimated: Estimated,
    state: State,
}

impl Forecaster for Theta {
    fn fit(&self, past: &Past<'_>) -> Result<Box<dyn Fitted>, FitError> {
        let steps = self.season.map_or(1, Season::steps);
        let (cells, _) = past.latest_at_least(LEAST_VALUES, LONGEST.max(MOST_CYCLES * steps))?;
        let scale = Scale::uncentred(cells);
        let mut adjusted: Vec<f64> = cells.iter().map(|&value| scale.apply(value)).collect();
        let mut adjustment = Adjustment::find(&adjusted, steps);
        for value in &mut adjusted {
            *value = adjustment.take_off(*value);
        }
        let mut best = best_of(self.members(), &adjusted, Power::Identity);
        if self.member.is_none() {
            let power = Power::of(&adjusted, steps);
            if power != Power::Identity {
                let powered = best_of(self.members(), &adjusted, power);
                if powered.aicc < best.aicc {
                    best = powered;
                }
            }
        }
        let Best { power, centre, member, estimated, state, .. } = best;
        if !state.is_finite() {
            return Err(FitError::NotFinite(format!("the theta recursion left the numbers with {estimated:?}")));
        }
        let adjusted = bounds_of(&adjusted);
        Ok(Box::new(FittedTheta { scale, adjustment, power, adjusted, centre, member, estimated, state }))
    }
}

impl Theta {
    fn members(&self) -> &[Member] {
        self.member.as_ref().map_or(&Member::ALL, std::slice::from_ref)
    }
}

struct Best {
    aicc: f64,
    power: Power,
    centre: f64,
    member: Member,
    estimated: Estimated,
    state: State,
}

/// The one of `members` with the least AICc on a power of `adjusted`.
fn best_of(members: &[Member], adjusted: &[f64], power: Power) -> Best {
    let mut values: Vec<f64> = adjusted.iter().map(|&value| power.apply(value)).collect();
    let (sum, n) = values.iter().filter(|v| !v.is_nan()).fold((0.0, 0), |(sum, n), v| (sum + v, n + 1));
    let centre = sum / f64::from(n.max(1));
    values.iter_mut().for_each(|value| *value -= centre);
    // The density of a transformed value is that of the value over the transform's slope.
    let slopes = match power {
        Power::Identity => 0.0,
        _ => adjusted.iter().filter(|value| !value.is_nan()).map(|value| value.ln()).sum::<f64>(),
    };
    let jacobian = 2.0 * (1.0 - power.exponent()) * slopes;
    let lines = [false, true].map(|is_dynamic| {
        let is_needed = members.iter().any(|member| member.is_dynamic == is_dynamic);
        is_needed.then(|| Lines::of(&values, is_dynamic))
    });
    let mut problems = lines.each_ref().map(|lines| lines.as_ref().map(|lines| Problem::new(&values, lines)));
    let fits = members.iter().filter_map(|&member| {
        let problem = problems[usize::from(member.is_dynamic)].as_mut()?;
        let (estimated, aicc) = problem.solve(member.is_optimised);
        Some((member, estimated, aicc + jacobian))
    });
    let (member, estimated, aicc) =
        fits.reduce(|best, one| if one.2 < best.2 { one } else { best }).expect("there is a member");
    let state = State::after(&values, &estimated, member.is_dynamic);
    Best { aicc, power, centre, member, estimated, state }
}

fn bounds_of(values: &[f64]) -> (f64, f64) {
    values.iter().filter(|v| !v.is_nan()).fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)))
}

impl Fitted for FittedTheta {
    fn points_into(&self, _known: Regressors<'_>, points: &mut [f64]) {
        self.state.points_into(&self.estimated, points);
        if self.power != Power::Identity {
            // A transformed value goes no further beyond its past than its past reaches: powers explode.
            let (least, most) = (self.power.apply(self.adjusted.0), self.power.apply(self.adjusted.1));
            let reach = most - least;
            for point in points.iter_mut() {
                *point = (*point + self.centre).clamp(least - reach, most + reach);
                *point = self.power.undo(*point);
            }
        } else {
            points.iter_mut().for_each(|point| *point = self.power.undo(*point + self.centre));
        }
        self.adjustment.put_on(points);
        points.iter_mut().for_each(|point| *point = self.scale.undo(*point));
    }

    fn update(&mut self, value: f64, _known: Regressors<'_>) -> Updated {
        let scaled = self.scale.apply(value);
        // A value absurdly far beyond those of the fit is passed over like a gap, lest the state become infinite.
        let taken = if scaled.abs() < WILDEST { scaled } else { f64::NAN };
        let mut adjusted = self.adjustment.take_off(taken);
        if self.power != Power::Identity {
            // Zero and less have no logarithm: they stand for half of the least there was.
            adjusted = if adjusted.is_nan() { adjusted } else { adjusted.max(0.5 * self.adjusted.0) };
        }
        self.state.step(self.power.apply(adjusted) - self.centre, &self.estimated);
        Updated::Filtered
    }

    fn settings(&self) -> BTreeMap<&'static str, f64> {
        let mut settings = BTreeMap::from([
            ("alpha", self.estimated.alpha),
            ("theta", self.estimated.theta()),
            ("dynamic", f64::from(u8::from(self.member.is_dynamic))),
            ("power", self.power.exponent()),
        ]);
        if let Some(steps) = self.adjustment.steps() {
            settings.insert("season", steps as f64);
        }
        settings
    }

    fn thin(&mut self, tolerance: f64) {
        let largest = self.adjusted.0.abs().max(self.adjusted.1.abs());
        self.adjustment.thin(tolerance / self.scale.unit(), largest);
    }

    fn n_bytes(&self) -> usize {
        self.adjustment.n_bytes()
    }
}

#[cfg(test)]
mod tests;
