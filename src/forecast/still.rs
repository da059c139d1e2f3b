//! A series that stands still goes on at a level it has.
//!
//! In: a fitted model, and a past that mostly repeats its last value. Out: points at one of two levels: where the series
//! stands, and where it lately stood most. They differ during an excursion, which may be a blip or a shift that has just
//! begun. Which it is, and how long it will last, is what most earlier excursions did that were as large and lasted at
//! least as long; where too few are known, each point of the model goes to the nearer level. Near a level that is kept
//! to the digit, a mean of methods is off by a trifle where naive is not off at all.

mod excursions;
mod levels;

use std::collections::BTreeMap;

use excursions::{Excursion, excursions, is_nearer, is_one_level};
use levels::Levels;

use super::model::{Fitted, Updated};
use super::past::{Past, Regressors};

/// Horizons in which a level counts as recent,
const RECENT: usize = 2;
/// and at least so many values,
const LEAST_RECENT: usize = 12;
/// and at most, as a model keeps them.
const MOST_RECENT: usize = LONGEST / 4;

/// Values that are searched for earlier excursions, the last ones: two weeks of minutes.
const LONGEST: usize = 20_160;

/// Earlier excursions from which on they are believed.
const LEAST_ALIKE: usize = 3;

/// How the chance that an excursion goes on falls with the time it has lasted: by this power, where nothing is known of
/// earlier ones: about as those like none before did in public series of servers' metrics that mostly stand still.
pub(super) const FALLS: f64 = 0.35;

/// As how many excursions that counts.
const FALLS_WORTH: f64 = 2.0;

/// A model that keeps to levels.
#[derive(Debug)]
pub(super) struct Still {
    fitted: Box<dyn Fitted>,
    levels: Levels,
    n_recent: usize,
    last: f64,
    known: Vec<Excursion>,
}

impl Still {
    /// `fitted`, kept to the levels of `past`; as it is, when that is empty.
    pub fn over(fitted: Box<dyn Fitted>, past: &Past<'_>, horizon: usize) -> Box<dyn Fitted> {
        let n_recent = RECENT.saturating_mul(horizon).clamp(LEAST_RECENT, MOST_RECENT);
        let values: Vec<f64> = past.tail(LONGEST).values().iter().copied().filter(|value| !value.is_nan()).collect();
        let Some(&last) = values.last() else { return fitted };
        let known = excursions(&values, n_recent);
        Box::new(Still { fitted, levels: Levels::of(&values, n_recent), n_recent, last, known })
    }

    /// How many of the last values are an excursion, if they are one.
    fn away(&self) -> usize {
        let usual = self.levels.usual();
        self.levels.count_back(|value| is_one_level(value, self.last, usual))
    }

    /// For how many steps the last value will hold, as far as excursions like this one are known.
    fn stays(&self) -> Option<usize> {
        let usual = self.levels.usual();
        if self.last == usual {
            return Some(0);
        }
        let (size, away) = ((self.last - usual).abs(), self.away());
        let is_like = |known: &&Excursion| known.length >= away && known.is_as_large_as(size);
        let mut stays: Vec<usize> = self.known.iter().filter(is_like).map(|known| known.length - away).collect();
        stays.sort_unstable();
        (stays.len() >= LEAST_ALIKE).then(|| stays[stays.len() / 2])
    }

    /// For how many more steps an excursion like none before lasts, if it lasts at all: for as long as it is more
    /// likely than not, where the chance falls by a power of the time, as those of all sizes have it. The power is that
    /// of Pareto's law by the likelihood of lengths, those for good cut off.
    fn lasts(&self) -> usize {
        let (mut ends, mut times) = (FALLS_WORTH, FALLS_WORTH / FALLS);
        for known in &self.known {
            let is_for_good = known.length == usize::MAX;
            ends += f64::from(!is_for_good);
            times += if is_for_good { self.n_recent as f64 } else { known.length as f64 + 0.5 }.ln();
        }
        (self.away() as f64 * ((times / ends).exp2() - 1.0)) as usize
    }
}

impl Fitted for Still {
    fn points_into(&self, known: Regressors<'_>, points: &mut [f64]) {
        let usual = self.levels.usual();
        if let Some(stays) = self.stays() {
            let stays = stays.min(points.len());
            points[..stays].fill(self.last);
            points[stays..].fill(usual);
            return;
        }
        self.fitted.points_into(known, points);
        let lasts = self.lasts();
        for (lead, point) in points.iter_mut().enumerate() {
            let is_back = lead >= lasts || is_nearer(*point, usual, self.last);
            *point = if is_back { usual } else { self.last };
        }
    }

    fn update(&mut self, value: f64, known: Regressors<'_>) -> Updated {
        let updated = self.fitted.update(value, known);
        if updated != Updated::NeedsRefit && !value.is_nan() {
            self.levels.push(value);
            self.last = value;
        }
        updated
    }

    fn settings(&self) -> BTreeMap<&'static str, f64> {
        self.fitted.settings()
    }

    fn n_bytes(&self) -> usize {
        self.levels.n_bytes() + size_of_val(self.known.as_slice()) + size_of_val(&*self.fitted) + self.fitted.n_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::model::{Coverage, Horizon};
    use crate::forecast::tests::{Noise, Says};
    use crate::forecast::{Request, prepare};
    use crate::series::Step;

    /// What `auto` says of the next six steps, and whether it says that they keep to levels.
    fn points(values: &[f64]) -> (Vec<f64>, bool) {
        let horizon = Horizon::new(6).unwrap();
        let past = Past::new(0, Step::seconds(60), values);
        let request = Request { horizon, ..Request::default() };
        let forecast = prepare(past, &request).unwrap().forecast(horizon, Coverage::P95);
        (forecast.points, forecast.fallback.is_some_and(|reason| reason.contains("levels")))
    }

    #[test]
    fn a_series_that_stands_still_goes_on_exactly_there() {
        // At one level and then at another, which nobody foretold: means of both would be off.
        let mut values = vec![0.1; 300];
        values[180..].fill(0.7);
        assert_eq!(points(&values), (vec![0.7; 6], true));
    }

    /// What a model that says `point` throughout becomes, six steps ahead.
    fn kept(values: &[f64], point: f64) -> Box<dyn Fitted> {
        kept_for(6, values, point)
    }

    fn kept_for(horizon: usize, values: &[f64], point: f64) -> Box<dyn Fitted> {
        Still::over(Box::new(Says(point)), &Past::new(0, Step::seconds(60), values), horizon)
    }

    fn six(fitted: &dyn Fitted) -> Vec<f64> {
        fitted.points(Horizon::new(6).unwrap())
    }

    /// 2, and 9 for `held` values from every place given on.
    fn excursing(n: usize, from: &[usize], held: usize) -> Vec<f64> {
        let mut values = vec![2.0; n];
        from.iter().for_each(|&from| values[from..(from + held).min(n)].fill(9.0));
        values
    }

    #[test]
    fn the_first_excursion_is_what_the_model_takes_it_for() {
        let values = excursing(100, &[99], 1);
        assert_eq!(six(&*kept(&values, 2.4)), [2.0; 6]);
        assert_eq!(six(&*kept(&values, 8.8)), [9.0; 6]);
    }

    #[test]
    fn an_excursion_lasts_as_long_as_earlier_ones_did() {
        let from = [41, 83, 150, 177, 240, 299];
        assert_eq!(six(&*kept(&excursing(300, &from, 1), 8.8)), [2.0; 6]);
        assert_eq!(six(&*kept(&excursing(300, &from, 3), 8.8)), [9.0, 9.0, 2.0, 2.0, 2.0, 2.0]);
        // What shifts for good is followed at once.
        let shifts: Vec<f64> = (0..301).map(|t| f64::from(t / 50)).collect();
        assert_eq!(six(&*kept(&shifts, 5.2)), [6.0; 6]);
        // Blips of another size say that what goes on here does not last.
        let mut larger = excursing(300, &from[..5], 1);
        larger[299] = 90.0;
        assert_eq!(six(&*kept(&larger, 88.0)), [90.0, 2.0, 2.0, 2.0, 2.0, 2.0]);
    }

    #[test]
    fn values_taken_in_move_it_as_a_fit_would() {
        let values = excursing(304, &[41, 83, 150, 177, 240, 299], 3);
        let mut grown = kept(&values[..298], 2.0);
        for n in 299..=304 {
            assert_eq!(grown.update(values[n - 1], Regressors::NONE), Updated::Filtered);
            assert_eq!(six(&*grown), six(&*kept(&values[..n], 2.0)), "{n}");
        }
        assert!(grown.n_bytes() < 4096);
    }

    #[test]
    fn each_earlier_excursion_counts_once_by_how_long_it_was() {
        let twelve = |fitted: &dyn Fitted| fitted.points(Horizon::new(12).unwrap());
        // The sixth has lasted seven values of eight, or five.
        let values = excursing(400, &[41, 90, 150, 210, 300, 393], 8);
        let mut points = vec![2.0; 12];
        points[0] = 9.0;
        assert_eq!(twelve(&*kept_for(12, &values, 8.8)), points);
        points[..3].fill(9.0);
        assert_eq!(twelve(&*kept_for(12, &values[..398], 8.8)), points);
        // Two are too few, however many values they have; and those that were shorter say nothing.
        assert_eq!(twelve(&*kept_for(12, &excursing(400, &[41, 90, 395], 8), 8.8)), [9.0; 12]);
        assert_eq!(twelve(&*kept_for(12, &excursing(398, &[41, 90, 150, 210, 300, 396], 1), 8.8)), [2.0; 12]);
        let mut longer = excursing(398, &[41, 90, 150, 210, 300], 1);
        longer[396..].fill(9.0);
        let lasts = |points: &[f64]| points.iter().take_while(|point| **point == 9.0).count();
        assert_eq!(lasts(&twelve(&*kept_for(12, &longer, 8.8))), 2);
        // The longer it has lasted, the longer it will; and what went on for good before does so again.
        longer[392..].fill(9.0);
        assert_eq!(lasts(&twelve(&*kept_for(12, &longer, 8.8))), 6);
        assert_eq!(lasts(&twelve(&*kept_for(12, &excursing(100, &[99], 1), 8.8))), 6);
        let shifts: Vec<f64> = (0..181)
            .map(|t| {
                if t < 60 {
                    2.0
                } else if t < 120 {
                    60.0
                } else {
                    2.0 + f64::from(t / 180) * 7.0
                }
            })
            .collect();
        assert_eq!(lasts(&twelve(&*kept_for(12, &shifts, 8.8))), 12);
        // What lasted until it was the usual is for good.
        assert_eq!(excursions(&excursing(400, &[41, 200], 40), 24)[0].length, usize::MAX);
    }

    #[test]
    fn values_taken_in_move_what_is_usual() {
        let mut values = excursing(660, &[41, 90, 150], 1);
        values[160..].fill(9.0);
        values[658] = 2.0;
        let mut grown = kept(&values[..160], 2.0);
        for n in 161..=660 {
            grown.update(values[n - 1], Regressors::NONE);
        }
        assert_eq!((six(&*grown), six(&*kept(&values, 2.0))), (vec![9.0; 6], vec![9.0; 6]));
        // From one excursion into another, at another level.
        let mut values = excursing(300, &[41, 83, 150, 177, 240], 3);
        values[297..].copy_from_slice(&[9.0, 9.0, 3.0]);
        let mut grown = kept(&values[..296], 2.8);
        for n in 297..=300 {
            grown.update(values[n - 1], Regressors::NONE);
            assert_eq!(six(&*grown), six(&*kept(&values[..n], 2.8)), "{n}");
        }
        assert_eq!(six(&*grown), [3.0, 3.0, 2.0, 2.0, 2.0, 2.0]);
    }

    #[test]
    fn however_long_the_horizon_it_stays_small() {
        let values: Vec<f64> =
            (0..40_000).map(|t| if t * 7919 % 9973 < 40 { 7.0 } else { f64::from(t / 9000) }).collect();
        assert!(kept_for(50_000, &values, 2.0).n_bytes() < 4096);
    }

    #[test]
    fn a_blip_in_the_last_cell_is_not_repeated() {
        let mut noise = Noise::seeded(3);
        let mut values: Vec<f64> = (0..600).map(|_| if noise.uniform() < 0.03 { 0.9 } else { 0.2 }).collect();
        values[598..].copy_from_slice(&[0.2, 0.9]);
        assert_eq!(points(&values), (vec![0.2; 6], true));
    }

    #[test]
    fn a_job_that_comes_every_hour_is_not_stillness() {
        // Naive is exactly right from most origins, and wrong when the job runs, which others know.
        let values: Vec<f64> = (0..900).map(|t| if t % 60 >= 56 { 8.0 } else { 1.0 }).collect();
        let (found, keeps_to_levels) = points(&values[..894]);
        assert!(!keeps_to_levels && found[2..].iter().all(|point| *point > 6.0), "{found:?}");
    }
}
