//! A series that stands still goes on at a level it has.
//!
//! In: a fitted model, and a past that mostly repeats its last value. Out: points at one of two levels: where the series
//! stands, and where it lately stood most. They differ during an excursion, which may be a blip or a shift that has just
//! begun. Which it is, and how long it will last, is what most earlier excursions did that were as large and had lasted
//! as long; where too few are known, each point of the model goes to the nearer level. Near a level that is kept to the
//! digit, a mean of methods is off by a trifle where naive is not off at all.

use std::collections::BTreeMap;

use super::model::{Fitted, Updated};
use super::past::{Past, Regressors};

/// Horizons in which a level counts as recent,
const RECENT: usize = 2;
/// and at least so many values.
const LEAST_RECENT: usize = 12;

/// Values that are searched for earlier excursions, the last ones: two weeks of minutes.
const LONGEST: usize = 20_160;

/// Earlier excursions from which on they are believed.
const LEAST_ALIKE: usize = 3;

/// The last so many of each length are remembered.
const MOST_KNOWN: usize = 24;

/// Excursions that differ in size by more than this factor are not alike.
const ALIKE: f64 = 4.0;

/// A moment at which the series was not where it usually is.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Excursion {
    /// How many values it had lasted.
    away: usize,
    /// How far off it was.
    size: f64,
    /// For how many more it stayed: the number that makes "there at first, then where it usually is" right most often;
    /// no end was seen where it is the largest there is.
    stayed: usize,
}

impl Excursion {
    /// Lengths that differ by less than a factor of two are alike.
    fn class(&self) -> usize {
        self.away.max(1).ilog2() as usize
    }

    fn is_like(&self, other: &Excursion) -> bool {
        self.class() == other.class() && self.size <= ALIKE * other.size && other.size <= ALIKE * self.size
    }
}

/// A model that keeps to levels.
#[derive(Debug)]
pub(super) struct Still {
    fitted: Box<dyn Fitted>,
    last: f64,
    usual: f64,
    // How many of the last values are nearer to the very last than to the usual one.
    away: usize,
    known: Vec<Excursion>,
}

impl Still {
    /// `fitted`, kept to the levels of `past`; as it is, when that is empty.
    pub fn over(fitted: Box<dyn Fitted>, past: &Past<'_>, horizon: usize) -> Box<dyn Fitted> {
        let n_recent = RECENT.saturating_mul(horizon).max(LEAST_RECENT);
        let tail = past.tail(LONGEST.max(n_recent.saturating_mul(2)));
        let values: Vec<f64> = tail.values().iter().copied().filter(|value| !value.is_nan()).collect();
        let usuals = usuals(&values, n_recent);
        let (Some(&last), Some(&usual)) = (values.last(), usuals.last()) else { return fitted };
        let known = excursions(&values, &usuals, horizon);
        Box::new(Still { fitted, last, usual, away: away(&values, usual), known })
    }

    /// For how many steps the last value will hold, as far as excursions like this one are known.
    fn stays(&self) -> Option<usize> {
        if self.last == self.usual {
            return Some(0);
        }
        let now = Excursion { away: self.away, size: (self.last - self.usual).abs(), stayed: 0 };
        let mut stayed: Vec<usize> =
            self.known.iter().filter(|known| known.is_like(&now)).map(|known| known.stayed).collect();
        stayed.sort_unstable();
        (stayed.len() >= LEAST_ALIKE).then(|| stayed[stayed.len() / 2])
    }
}

/// The middle one of the last `n_recent` values up to each, that one among them.
fn usuals(values: &[f64], n_recent: usize) -> Vec<f64> {
    let mut sorted: Vec<f64> = Vec::new();
    let place = |sorted: &[f64], value: f64| sorted.partition_point(|other| *other < value);
    let mut usual = |(idx, &value): (usize, &f64)| {
        sorted.insert(place(&sorted, value), value);
        if idx >= n_recent {
            sorted.remove(place(&sorted, values[idx - n_recent]));
        }
        sorted[sorted.len() / 2]
    };
    values.iter().enumerate().map(&mut usual).collect()
}

/// How many of the last values are nearer to the very last than to `usual`; fewer than half of the recent ones, or that
/// would be the usual one.
fn away(values: &[f64], usual: f64) -> usize {
    let Some(&last) = values.last() else { return 0 };
    values.iter().rev().take_while(|value| is_nearer(**value, last, usual)).count()
}

fn is_nearer(value: f64, one: f64, other: f64) -> bool {
    (value - one).abs() < (value - other).abs()
}

/// The excursions of which it is known what they did over `horizon` values, the last ones of each length.
fn excursions(values: &[f64], usuals: &[f64], horizon: usize) -> Vec<Excursion> {
    let mut n_known = [0; usize::BITS as usize];
    let mut known = Vec::new();
    for end in (1..=values.len().saturating_sub(horizon)).rev() {
        let (last, usual) = (values[end - 1], usuals[end - 1]);
        if last == usual {
            continue;
        }
        let mut excursion = Excursion { away: away(&values[..end], usual), size: (last - usual).abs(), stayed: 0 };
        let n_alike = &mut n_known[excursion.class()];
        if *n_alike == MOST_KNOWN {
            continue;
        }
        *n_alike += 1;
        let (mut best, mut lead) = (0i64, 0i64);
        for (nr, &value) in values[end..end + horizon].iter().enumerate() {
            lead += if is_nearer(value, last, usual) { 1 } else { -1 };
            if lead > best {
                (best, excursion.stayed) = (lead, nr + 1);
            }
        }
        if excursion.stayed == horizon {
            excursion.stayed = usize::MAX;
        }
        known.push(excursion);
    }
    known
}

impl Fitted for Still {
    fn points_into(&self, known: Regressors<'_>, points: &mut [f64]) {
        if let Some(stays) = self.stays() {
            let stays = stays.min(points.len());
            points[..stays].fill(self.last);
            points[stays..].fill(self.usual);
            return;
        }
        self.fitted.points_into(known, points);
        for point in points {
            *point = if is_nearer(*point, self.usual, self.last) { self.usual } else { self.last };
        }
    }

    fn update(&mut self, value: f64, known: Regressors<'_>) -> Updated {
        let updated = self.fitted.update(value, known);
        if updated != Updated::NeedsRefit && !value.is_nan() {
            let goes_on = is_nearer(value, self.last, self.usual);
            self.away = if goes_on { self.away + 1 } else { usize::from(value != self.usual) };
            self.last = value;
        }
        updated
    }

    fn settings(&self) -> BTreeMap<&'static str, f64> {
        self.fitted.settings()
    }

    fn n_bytes(&self) -> usize {
        size_of::<Still>() + size_of_val(self.known.as_slice()) + self.fitted.n_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::model::{Coverage, Horizon};
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
        #[derive(Debug)]
        struct Says(f64);
        impl Fitted for Says {
            fn points_into(&self, _: Regressors<'_>, points: &mut [f64]) {
                points.fill(self.0);
            }
            fn update(&mut self, _: f64, _: Regressors<'_>) -> Updated {
                Updated::Filtered
            }
            fn settings(&self) -> BTreeMap<&'static str, f64> {
                BTreeMap::new()
            }
        }
        Still::over(Box::new(Says(point)), &Past::new(0, Step::seconds(60), values), 6)
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
        // Blips of another size say nothing of this one.
        let mut larger = excursing(300, &from[..5], 1);
        larger[299] = 90.0;
        assert_eq!(six(&*kept(&larger, 88.0)), [90.0; 6]);
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
    fn a_blip_in_the_last_cell_is_not_repeated() {
        let mut values: Vec<f64> = (0..600).map(|t| if t * 7919 % 97 < 3 { 0.9 } else { 0.2 }).collect();
        values[599] = 0.9;
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
