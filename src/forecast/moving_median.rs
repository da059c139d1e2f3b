//! Moving median: the middle of the last values, for every lead.
//!
//! In: at least two values, the last ones that are not gaps. Out: one level. Where values leap up and come back, or
//! stand on a few levels, it is where half of what comes lies on either side, which the mean is not; and one that went
//! astray does not move it. The window is one of a few shares and multiples of the horizon: the one whose median was
//! nearest to the horizon that followed, from up to [`N_LOOKS`] moments.

use std::collections::{BTreeMap, VecDeque};

use super::model::{FitError, Fitted, Forecaster, Horizon, Updated};
use super::past::{Past, Regressors};

/// Windows that are compared, in horizons.
const WINDOWS: [f64; 4] = [0.25, 1.0, 4.0, 16.0];

/// A window has at least so many values,
const SHORTEST: usize = 5;
/// and at most.
const LONGEST: usize = 5_040;

/// Cells that are looked at.
const LOOKED_AT: usize = 8 * LONGEST;

/// Moments at which windows are compared, a horizon apart or less.
const N_LOOKS: usize = 32;

/// Of a long horizon about so many values are taken for the comparison.
const N_TAKEN: usize = 64;

/// Of a long window about so many values stand for it, evenly: its median is off by a tenth of their spread.
const N_KEPT: usize = 128;

/// Used without a horizon.
const USUAL_HORIZON: usize = 12;

/// For a horizon.
#[derive(Clone, Copy, Debug)]
pub(super) struct MovingMedian {
    pub horizon: Option<Horizon>,
}

#[derive(Clone, Debug)]
struct FittedMovingMedian {
    // The last values of the window, each `stride`-th of them, or fewer when there are no more; never empty.
    kept: VecDeque<f64>,
    stride: usize,
    window: usize,
    // Values since the last that was kept.
    n_since: usize,
}

/// The upper one of two in the middle: a level that there is.
fn middle(mut values: Vec<f64>) -> f64 {
    let half = values.len() / 2;
    *values.select_nth_unstable_by(half, f64::total_cmp).1
}

/// Every so manieth of the last `window` of `values`, the last one among them, newest first.
fn thinned(values: &[f64], window: usize) -> impl Iterator<Item = f64> {
    values.iter().rev().take(window).copied().step_by(stride(window))
}

fn stride(window: usize) -> usize {
    window.div_ceil(N_KEPT)
}

impl MovingMedian {
    fn windows(self) -> [usize; WINDOWS.len()] {
        let horizon = self.horizon.map_or(USUAL_HORIZON, Horizon::steps);
        WINDOWS.map(|share| ((share * horizon as f64) as usize).clamp(SHORTEST, LONGEST))
    }

    fn best_window(self, values: &[f64]) -> usize {
        let horizon = self.horizon.map_or(USUAL_HORIZON, Horizon::steps);
        let windows = self.windows();
        let first = windows[1].max(values.len() / 4);
        let Some(room) = values.len().checked_sub(first.saturating_add(horizon)).filter(|room| *room > 0) else {
            return windows[1];
        };
        let n_looks = N_LOOKS.min(room);
        let mut errors = [0.0; WINDOWS.len()];
        for nr in 0..n_looks {
            let at = values.len() - horizon - room.min(horizon * N_LOOKS) * nr / n_looks;
            for (error, window) in errors.iter_mut().zip(windows) {
                let level = middle(thinned(&values[..at], window).collect());
                let after = values[at..at + horizon].iter().step_by(horizon.div_ceil(N_TAKEN));
                *error += after.map(|value| (value - level).abs()).sum::<f64>();
            }
        }
        let best = (0..windows.len()).min_by(|a, b| errors[*a].total_cmp(&errors[*b]));
        best.map_or(windows[1], |nr| windows[nr])
    }
}

impl Forecaster for MovingMedian {
    fn fit(&self, past: &Past<'_>) -> Result<Box<dyn Fitted>, FitError> {
        let values: Vec<f64> = past.tail(LOOKED_AT).values().iter().copied().filter(|value| !value.is_nan()).collect();
        if values.len() < 2 {
            return Err(FitError::TooShort { needed: 2, got: values.len() });
        }
        let window = self.best_window(&values);
        let kept = thinned(&values, window).collect::<VecDeque<f64>>().into_iter().rev().collect();
        Ok(Box::new(FittedMovingMedian { kept, stride: stride(window), window, n_since: 0 }))
    }
}

impl Fitted for FittedMovingMedian {
    fn points_into(&self, _known: Regressors<'_>, points: &mut [f64]) {
        points.fill(middle(self.kept.iter().copied().collect()));
    }

    fn update(&mut self, value: f64, _known: Regressors<'_>) -> Updated {
        if value.is_finite() {
            self.n_since += 1;
            if self.n_since == self.stride {
                self.n_since = 0;
                if self.kept.len() == self.window.div_ceil(self.stride) {
                    self.kept.pop_front();
                }
                self.kept.push_back(value);
            }
        }
        // The window is that of the fit.
        Updated::Filtered
    }

    fn settings(&self) -> BTreeMap<&'static str, f64> {
        BTreeMap::from([("window", self.window as f64)])
    }

    fn n_bytes(&self) -> usize {
        self.kept.capacity() * size_of::<f64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::tests::Noise;
    use crate::series::Step;

    fn fit(values: &[f64], horizon: usize) -> Box<dyn Fitted> {
        let method = MovingMedian { horizon: Horizon::new(horizon) };
        method.fit(&Past::new(0, Step::seconds(60), values)).unwrap()
    }

    fn level(fitted: &dyn Fitted) -> f64 {
        fitted.points(Horizon::new(3).unwrap())[2]
    }

    #[test]
    fn it_is_the_middle_of_the_window() {
        // Too few to compare windows: the one of a horizon.
        let mut fitted = fit(&[9.0, 1.0, f64::NAN, 2.0, 900.0, 6.0, 3.0], 5);
        assert_eq!((level(&*fitted), fitted.settings()["window"]), (3.0, 5.0));
        assert_eq!(fitted.update(8.0, Regressors::NONE), Updated::Filtered);
        fitted.update(f64::NAN, Regressors::NONE);
        assert_eq!(level(&*fitted), 6.0);
    }

    #[test]
    fn rare_events_do_not_move_it_and_a_new_level_does() {
        let rare: Vec<f64> = (0..600).map(|t| if t * 7919 % 97 < 10 { 8.0 } else { 0.0 }).collect();
        let last = rare.iter().rposition(|value| *value == 8.0).unwrap();
        assert_eq!(level(&*fit(&rare[..=last], 24)), 0.0);
        let levels: Vec<f64> = (0..600).map(|t| f64::from(t / 40 * 7 % 11)).collect();
        assert_eq!(level(&*fit(&levels[..590], 12)), levels[589]);
    }

    #[test]
    fn a_wandering_level_has_a_short_window_and_noise_a_long_one() {
        let mut noise = Noise::seeded(4);
        let still: Vec<f64> = (0..2_000).map(|_| noise.normal()).collect();
        let wandering: Vec<f64> = still.iter().scan(0.0, |at, step| Some(*at + step).inspect(|to| *at = *to)).collect();
        let window = |values: &[f64]| fit(values, 40).settings()["window"];
        assert!(window(&still) >= 160.0 && window(&wandering) <= 40.0, "{} {}", window(&still), window(&wandering));
    }

    #[test]
    fn a_long_window_is_small_and_moves_on() {
        let mut fitted = fit(&vec![1.0; 20_000], 10_000);
        assert!(fitted.n_bytes() <= 2048 && fitted.settings()["window"] <= LONGEST as f64, "{}", fitted.n_bytes());
        (0..2 * LONGEST).for_each(|_| assert_eq!(fitted.update(5.0, Regressors::NONE), Updated::Filtered));
        assert_eq!(level(&*fitted), 5.0);
    }
}
