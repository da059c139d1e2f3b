//! Delta: the series goes on by its usual change, held down by whatever speaks for a smaller one.
//!
//! In: a history, in logarithms where it is well above zero. Out: where differences say more than levels, the last value
//! and a change of which several estimates, robust and recent, long and short, agree in sign, the smallest; else the mean
//! of the last cycles. The places of the cycle are added where they differ, weighted towards the last cycles.
//! Source: Doornik, Castle and Hendry, "Card forecasts for M4", International Journal of Forecasting 36, 2020.

use std::collections::BTreeMap;

use super::card_data::{Nature, Stretch, changes};
use super::compact::{COARSE, FINE, Kept};
use super::model::{FitError, Fitted, Forecaster, Updated};
use super::past::{Past, Regressors};
use super::transform::Transform;
use crate::series::Season;

/// What the last cycles count for in the profile of differences, the oldest first.
const OF_CHANGES: [f64; 4] = [1.0, 2.0, 3.0, 9.0];

/// What the last cycles count for in the profile of levels, the oldest first.
const OF_LEVELS: [f64; 6] = [1.0, 2.0, 3.0, 4.0, 5.0, 20.0];

/// How many of the last changes, or cycles, are recent.
const RECENT: usize = 6;

/// With one season, the one that stands out most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delta {
    pub season: Option<Season>,
}

/// Where the path stands, on the method's scale.
#[derive(Clone, Debug)]
pub(super) struct Path {
    kind: Kind,
    // Empty without a profile; `profile[next % len]` belongs to the coming step.
    profile: Kept,
    next: usize,
    // Steps since the last value seen.
    n_silent: usize,
}

#[derive(Clone, Debug)]
enum Kind {
    /// Goes on from `last`.
    Changes { last: f64, first: f64, later: f64 },
    /// Goes back to a level; `cells` are those of the shorter mean.
    Levels { near: f64, far: f64, cells: f64 },
}

/// The smaller of two that agree in sign, else nothing.
fn smaller(a: f64, b: f64) -> f64 {
    if a * b > 0.0 { a.signum() * a.abs().min(b.abs()) } else { 0.0 }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// The mean without the `n` largest in size; 0 when there are no more.
fn mean_without(values: &[f64], n: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    mean(&sorted[..sorted.len().saturating_sub(n)])
}

/// The weighted mean of the last rows, without its mean.
fn profile_of(rows: &[&[f64]], weights: &[f64]) -> Vec<f64> {
    let n = rows.len().min(weights.len());
    let (rows, weights) = (&rows[rows.len() - n..], &weights[weights.len() - n..]);
    let total: f64 = weights.iter().sum();
    let mut profile = vec![0.0; rows.first().map_or(0, |row| row.len())];
    for (row, weight) in rows.iter().zip(weights) {
        profile.iter_mut().zip(*row).for_each(|(slot, value)| *slot += weight / total * value);
    }
    super::profile::centred(profile)
}

impl Path {
    /// Of `values` without gaps, one at least.
    pub fn of(values: &[f64], season: usize, nature: Nature) -> Path {
        let z = if nature.wanders { changes(values) } else { values.to_vec() };
        let rows: Vec<&[f64]> = z[z.len() % season..].chunks_exact(season).collect();
        let row_means: Vec<f64> = rows.iter().map(|row| mean(row)).collect();
        let recent = |values: &[f64]| mean(&values[values.len().saturating_sub(RECENT)..]);
        let (kind, profile) = if nature.wanders {
            let (units, profile) = match nature.has_profile {
                true => (&row_means, profile_of(&rows, &OF_CHANGES)),
                false => (&z, Vec::new()),
            };
            let mut usual = mean(&z);
            if !nature.has_profile && values.len() > season {
                let n = values.len() - season;
                let over_cycles: f64 = (0..n).map(|idx| values[idx + season] - values[idx]).sum();
                usual = smaller(usual, over_cycles / (n * season) as f64);
            }
            let change = smaller(recent(units), usual);
            let first = smaller(change, mean_without(units, 1));
            let later = smaller(change, mean_without(units, 3));
            (Kind::Changes { last: values[values.len() - 1], first, later }, profile)
        } else if nature.has_profile {
            let (near, six) = (row_means[row_means.len() - 1], recent(&row_means));
            let profile = profile_of(&rows, &OF_LEVELS);
            (Kind::Levels { near, far: f64::midpoint(near, six), cells: season as f64 }, profile)
        } else {
            let last = |n: usize| mean(&z[z.len().saturating_sub(n)..]);
            let (near, far) = (last(season), f64::midpoint(last(season), last(RECENT * season)));
            (Kind::Levels { near, far, cells: season as f64 }, Vec::new())
        };
        Path { kind, profile: Kept::of(&profile), next: 0, n_silent: 0 }
    }

    fn of_place(&self, ahead: usize) -> f64 {
        if self.profile.is_empty() { 0.0 } else { self.profile.get((self.next + ahead) % self.profile.len()) }
    }

    /// The values ahead.
    pub fn points_into(&self, points: &mut [f64]) {
        match self.kind {
            Kind::Changes { last, first, later } => {
                let mut level = last;
                for (ahead, point) in points.iter_mut().enumerate() {
                    level += self.of_place(ahead) + if self.n_silent + ahead == 0 { first } else { later };
                    *point = level;
                }
            }
            Kind::Levels { near, far, .. } => {
                for (ahead, point) in points.iter_mut().enumerate() {
                    *point = self.of_place(ahead) + if self.n_silent + ahead == 0 { near } else { far };
                }
            }
        }
    }

    /// Moves on by one step; NaN is a gap.
    pub fn take(&mut self, value: f64) {
        let of_place = self.of_place(0);
        let is_first = self.n_silent == 0;
        self.n_silent = if value.is_nan() { self.n_silent + 1 } else { 0 };
        self.next = if self.profile.is_empty() { 0 } else { (self.next + 1) % self.profile.len() };
        match &mut self.kind {
            Kind::Changes { last, first, later } => {
                let expected = *last + of_place + if is_first { *first } else { *later };
                *last = if value.is_nan() { expected } else { value };
            }
            Kind::Levels { near, far, cells } if !value.is_nan() => {
                let off = value - of_place;
                *near += (off - *near) / *cells;
                *far += (off - *far) / (*cells * RECENT as f64 / 2.0);
            }
            Kind::Levels { .. } => {}
        }
    }

    /// Keeps the profile as well as values that may be off by `tolerance` need.
    pub fn thin(&mut self, tolerance: f64) {
        // Those of changes are added up.
        let step = if matches!(self.kind, Kind::Changes { .. }) { FINE } else { COARSE };
        self.profile.coarsen(step * tolerance);
    }

    pub fn n_bytes(&self) -> usize {
        self.profile.n_bytes()
    }
}

#[derive(Clone, Debug)]
struct FittedDelta {
    transform: Transform,
    path: Path,
}

impl Forecaster for Delta {
    fn fit(&self, past: &Past<'_>) -> Result<Box<dyn Fitted>, FitError> {
        let stretch = Stretch::of(past, self.season.as_slice())?;
        let nature = Nature::of(&stretch.values, stretch.season());
        let mut path = Path::of(&stretch.values, stretch.season(), nature);
        (0..stretch.n_silent).for_each(|_| path.take(f64::NAN));
        Ok(Box::new(FittedDelta { transform: stretch.transform, path }))
    }
}

impl Fitted for FittedDelta {
    fn points_into(&self, _known: Regressors<'_>, points: &mut [f64]) {
        self.path.points_into(points);
        points.iter_mut().for_each(|point| *point = self.transform.undo(*point));
    }

    fn update(&mut self, value: f64, _known: Regressors<'_>) -> Updated {
        self.path.take(self.transform.apply(value));
        Updated::Filtered
    }

    fn settings(&self) -> BTreeMap<&'static str, f64> {
        let mut settings = match self.path.kind {
            Kind::Changes { later, .. } => BTreeMap::from([("change", later)]),
            Kind::Levels { far, .. } => BTreeMap::from([("level", self.transform.undo(far))]),
        };
        if !self.path.profile.is_empty() {
            settings.insert("season", self.path.profile.len() as f64);
        }
        settings
    }

    fn thin(&mut self, tolerance: f64) {
        self.path.thin(self.transform.tolerance(tolerance));
    }

    fn n_bytes(&self) -> usize {
        self.path.n_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::Horizon;
    use crate::forecast::air_passengers::AIR_PASSENGERS;
    use crate::series::Step;

    fn fit(values: &[f64], season: usize) -> Box<dyn Fitted> {
        Delta { season: Season::new(season) }.fit(&Past::new(0, Step::seconds(1), values)).unwrap()
    }

    /// Worked by hand and in numpy from the paper's rules.
    #[test]
    fn it_gives_the_worked_numbers() {
        let fitted = fit(&AIR_PASSENGERS, 12);
        assert!((fitted.settings()["change"] - 0.0078029).abs() < 5e-8, "{:?}", fitted.settings());
        let points = fitted.points(Horizon::new(6).unwrap());
        for (point, expected) in points.iter().zip([447.93, 421.89, 468.71, 491.03, 507.93, 581.41]) {
            assert!((point - expected).abs() < 0.0051, "{points:?}");
        }
    }

    #[test]
    fn changes_that_disagree_are_not_continued_and_noise_goes_back_to_its_mean() {
        // Up for long, down lately: the recent mean and the long one differ in sign.
        let tent: Vec<f64> = (0..60).map(|t| if t < 50 { f64::from(t) } else { 100.0 - f64::from(t) } - 30.0).collect();
        assert_eq!(fit(&tent, 0).points(Horizon::new(2).unwrap()), [11.0, 11.0]);
        let noise: Vec<f64> = (0..200).map(|t| f64::from(t * 37 % 11) - 5.0).collect();
        let mut fitted = fit(&noise, 0);
        fitted.update(60.0, Regressors::NONE);
        assert!(fitted.points(Horizon::new(3).unwrap())[2].abs() < 30.0);
    }

    #[test]
    fn silence_moves_the_path_on() {
        let values: Vec<f64> = (0..80).map(|t| f64::from(t) - 40.0 + [0.0, 7.0, -2.0, -5.0][t as usize % 4]).collect();
        let ahead = fit(&values, 4).points(Horizon::new(9).unwrap());
        let mut silent = values;
        silent.extend([f64::NAN; 5]);
        let later = fit(&silent, 4).points(Horizon::new(4).unwrap());
        assert!(ahead[5..].iter().zip(&later).all(|(a, b)| (a - b).abs() < 1e-9), "{ahead:?} {later:?}");
    }
}
