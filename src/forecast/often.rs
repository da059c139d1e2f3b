//! Values that a series has often, exactly: the zero of a rare count, the level at which something idles.
//!
//! In: values, and the errors of a replay of them. Out: for such a value the share of forecasts so far away from it
//! that it came true after. A mean of methods lies a little beside it, or at a fraction that never comes; errors about
//! such points say how far away the value was from others, and a band made of them may end between the value and the
//! point, where nothing ever is. So a band is held against the value itself: where it comes at least as often as what
//! may lie beyond that edge, the band holds it (conformal prediction with the value's chance as score: Vovk, Gammerman
//! and Shafer, "Algorithmic Learning in a Random World", 2005).

use super::backtest::Replay;
use super::growth::isotonic;
use crate::series::median_of;

/// Values in which one that comes often is looked for, the last ones.
const LONGEST: usize = 20_160;

/// Shares of the past below which a value is not one that comes often.
const LEAST_SHARE: f64 = 0.005;

/// Spells for which a value has held that count as much as the belief that it will not come again.
const SPELLS_PRIOR: f64 = 2.0;

/// Distances at which the share is kept, at most.
const MOST_STEPS: usize = 8;

/// Forecasts that are looked at, at most.
const MOST_FORECASTS: usize = 20_000;

/// How much of a value, or of what values usually are, forecasts are off that are right but for rounding.
const ROUNDING: f64 = 1e-12;

/// How near to a value no forecast is told from it where values usually are of a `size`.
fn trifle(value: f64, size: f64) -> f64 {
    value.abs().max(size) * ROUNDING
}

/// The middle size of the last of `values` that are not zero: what idles at zero has none by itself.
fn usual_size(values: &[f64]) -> f64 {
    let recent = &values[values.len().saturating_sub(LONGEST)..];
    median_of(recent.iter().map(|value| value.abs()).filter(|size| *size > 0.0)).unwrap_or(0.0)
}

/// `replay`, made on `values`, without errors that are rounding.
pub(super) fn unrounded(mut replay: Replay, values: &[f64]) -> Replay {
    let size = usual_size(values);
    for (&origin, row) in replay.origins.iter().zip(&mut replay.errors) {
        for (error, value) in row.iter_mut().zip(&values[origin..]) {
            if error.abs() <= trifle(*value, size) {
                *error = 0.0;
            }
        }
    }
    replay
}

/// The values that come often.
#[derive(Clone, Debug, Default)]
pub(super) struct Often(Box<[Place]>);

/// One of them.
#[derive(Clone, Debug)]
struct Place {
    value: f64,
    // How near to it no forecast is told from it.
    near: f64,
    // Up to which distance of a forecast it came how often; the share falls with the distance.
    steps: Box<[(f32, f32)]>,
}

impl Often {
    /// Of `values`, and a `replay` made on them.
    pub fn of(values: &[f64], replay: &Replay) -> Often {
        let recent = &values[values.len().saturating_sub(LONGEST)..];
        let mut sorted: Vec<f64> = recent.iter().copied().filter(|value| value.is_finite()).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let runs = || sorted.chunk_by(|a, b| a == b);
        let usual = runs().max_by_key(|run| run.len());
        let mut candidates: Vec<&[f64]> = runs().next().into_iter().chain(runs().next_back()).chain(usual).collect();
        candidates.retain(|run| run.len() > 1 && run.len() as f64 >= LEAST_SHARE * sorted.len() as f64);
        candidates.dedup_by(|a, b| a[0] == b[0]);
        if candidates.len() > 2 && candidates[0][0] == candidates[2][0] {
            candidates.pop();
        }
        let size = usual_size(recent);
        let place = |run: &&[f64]| Place::of(run[0], trifle(run[0], size), recent, values, replay);
        Often(candidates.iter().filter_map(place).collect())
    }

    /// The edges of a band of `share` about `point`, with what they must not leave out.
    pub fn held(&self, point: f64, (mut lower, mut upper): (f64, f64), share: f64) -> (f64, f64) {
        let beyond = (1.0 - share) / 2.0;
        // Where a series stands still points are exact but for rounding, and a band has no width.
        let is_exact = upper <= lower;
        for place in &self.0 {
            if (!is_exact && place.share(point) >= beyond) || (point - place.value).abs() <= place.near {
                lower = lower.min(place.value);
                upper = upper.max(place.value);
            }
        }
        (lower, upper)
    }

    /// What they hold on the heap.
    pub fn n_bytes(&self) -> usize {
        size_of_val(&*self.0) + self.0.iter().map(|place| size_of_val(&*place.steps)).sum::<usize>()
    }
}

impl Place {
    fn of(value: f64, near: f64, recent: &[f64], values: &[f64], replay: &Replay) -> Option<Place> {
        let n_spells = recent.chunk_by(|a, b| a == b).filter(|spell| spell[0] == value).count() as f64;
        let mut met: Vec<(f64, bool)> = Vec::new();
        let every = (replay.errors.iter().map(Vec::len).sum::<usize>()).div_ceil(MOST_FORECASTS).max(1);
        let cells =
            replay.origins.iter().zip(&replay.errors).flat_map(|(&origin, row)| values[origin..].iter().zip(row));
        for (came, error) in cells.step_by(every).filter(|(_, error)| !error.is_nan()) {
            met.push(((came - error - value).abs(), *came == value));
        }
        // What never came is not looked for.
        if !met.iter().any(|(_, is_hit)| *is_hit) {
            return None;
        }
        met.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        let hits: Vec<f64> = met.iter().map(|(_, is_hit)| f64::from(u8::from(*is_hit))).collect();
        let shares = isotonic(&hits, &vec![1.0; hits.len()]);
        // From far to near: the greatest distance, the least, the share and how many forecasts have it.
        let mut steps: Vec<(f64, f64, f64, f64)> = Vec::new();
        for ((distance, _), share) in met.iter().zip(shares) {
            match steps.last_mut() {
                Some(step) if step.2 == share || step.1 == *distance => {
                    step.1 = *distance;
                    step.2 = (step.2 * step.3 + share) / (step.3 + 1.0);
                    step.3 += 1.0;
                }
                _ => steps.push((*distance, *distance, share, 1.0)),
            }
        }
        while steps.len() > MOST_STEPS {
            let cost =
                |a: &(f64, f64, f64, f64), b: &(f64, f64, f64, f64)| (a.2 - b.2).powi(2) * a.3 * b.3 / (a.3 + b.3);
            let costs = steps.windows(2).map(|pair| cost(&pair[0], &pair[1])).enumerate();
            let (nr, _) = costs.min_by(|a, b| a.1.total_cmp(&b.1))?;
            let (far, near) = (steps[nr], steps.remove(nr + 1));
            let n = far.3 + near.3;
            steps[nr] = (far.0, near.1, (far.2 * far.3 + near.2 * near.3) / n, n);
        }
        let worth = n_spells / (n_spells + SPELLS_PRIOR);
        let mut kept: Vec<(f32, f32)> = Vec::with_capacity(steps.len());
        let mut farther: Option<f64> = None;
        for (most, least, share, _) in steps {
            // Half way, by orders, to those farther away.
            let upto = farther.map_or(f64::INFINITY, |farther| (farther * most).sqrt().max(most));
            kept.push((upto as f32, (share * worth) as f32));
            farther = Some(least);
        }
        kept.reverse();
        kept.iter().any(|(_, share)| f64::from(*share) >= LEAST_SHARE).then(|| Place {
            value,
            near,
            steps: kept.into(),
        })
    }

    /// The share of forecasts as far away as `point` after which the value came.
    fn share(&self, point: f64) -> f64 {
        let distance = (point - self.value).abs();
        let step = self.steps.iter().find(|(upto, _)| distance <= f64::from(*upto) + self.near);
        step.map_or(0.0, |(_, share)| f64::from(*share))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Forecasts of `point` one step ahead of all but the first values.
    fn replay(values: &[f64], point: impl Fn(usize) -> f64) -> Replay {
        let errors = (10..values.len()).map(|at| vec![values[at] - point(at)]).collect();
        Replay { origins: (10..values.len()).collect(), errors, takes_values: true }
    }

    #[test]
    fn a_band_of_rare_counts_holds_zero_and_one_of_busy_hours_does_not() {
        // Zero in seven of eight quiet cells, and never in the busy half of each day.
        let is_busy = |at: usize| at % 24 >= 12;
        let values: Vec<f64> =
            (0..400)
                .map(|at| {
                    if is_busy(at) { 20.0 + at as f64 * 0.37 % 5.0 } else { f64::from(u8::from(at * 7 % 8 == 0)) * 5.0 }
                })
                .collect();
        let point = |at: usize| if is_busy(at) { 22.0 } else { 0.5 + (at % 3) as f64 / 10.0 };
        let often = Often::of(&values, &replay(&values, point));
        assert_eq!(often.held(0.6, (0.2, 1.1), 0.8), (0.0, 1.1));
        assert_eq!(often.held(0.6, (0.2, 1.1), 0.5), (0.0, 1.1));
        assert_eq!(often.held(22.0, (20.5, 23.5), 0.99), (20.5, 23.5));
        // What stands still is right as it is, also by a hair's breadth.
        assert_eq!(often.held(0.6, (0.6, 0.6), 0.8), (0.6, 0.6));
        assert_eq!(often.held(24.0, (24.0, 24.0), 0.8), (24.0, 24.0));
    }

    #[test]
    fn a_value_beside_which_forecasts_lie_by_a_trifle_is_held_and_one_that_came_once_is_not() {
        let values: Vec<f64> = (0..300).map(|at| if at % 24 == 0 { 40.0 + (at % 7) as f64 } else { 5.0 }).collect();
        let point = |at: usize| if at.is_multiple_of(24) { 43.0 } else { 5.0 + 1e-5 * ((at % 9) as f64 - 4.0) };
        let often = Often::of(&values, &replay(&values, point));
        assert_eq!(often.held(5.00002, (5.00001, 5.00003), 0.8), (5.0, 5.00003));
        assert_eq!(often.held(4.99998, (4.99997, 4.99999), 0.8), (4.99997, 5.0));
        assert_eq!(often.held(43.0, (41.0, 45.0), 0.95), (41.0, 45.0));
        let once: Vec<f64> = (0..300).map(|at| at as f64 * 0.37 % 11.0).collect();
        assert_eq!(Often::of(&once, &replay(&once, |_| 5.0)).n_bytes(), 0);
        assert_eq!(Often::of(&[], &Replay::default()).n_bytes(), 0);
    }

    #[test]
    fn errors_of_rounding_are_none() {
        let values = [62.0; 12];
        let replay = unrounded(replay(&values, |at| if at == 11 { 61.0 } else { 62.000_000_000_000_01 }), &values);
        assert_eq!(replay.errors, [vec![0.0], vec![1.0]]);
        // What idles at zero is as exact as what it is when it does not.
        let idles: Vec<f64> = (0..40).map(|at| if at % 8 == 0 { 20.0 } else { 0.0 }).collect();
        let said = |at: usize| if at % 8 == 1 { 1e-5 } else { 1e-17 };
        let unrounded = unrounded(self::replay(&idles, said), &idles);
        let off = |at: usize| {
            if at.is_multiple_of(8) {
                20.0 - said(at)
            } else if at % 8 == 1 {
                -1e-5
            } else {
                0.0
            }
        };
        assert_eq!(unrounded.errors, (10..40).map(|at| vec![off(at)]).collect::<Vec<_>>());
        let often = Often::of(&idles, &unrounded);
        assert_eq!(often.held(1e-17, (1e-17, 1e-17), 0.8), (0.0, 1e-17));
    }
}
