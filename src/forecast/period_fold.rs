//! Period fold: the series as a table of cycles, taken for one shape times a level per cycle.
//!
//! In: a history of at least [`LEAST_CYCLES`] cycles; gaps are bridged from the same place of other cycles. Out: the
//! level of the coming cycles times the shape of the last two, drawn towards that of all. Of several seasons the fold
//! is by the one whose table a single shape explains best; the next longer one that is a multiple becomes a second
//! shape, over cycles.
//!
//! The level, on a Box-Cox scale, goes on by a ridge regression of its changes on a damped trend and on itself. The
//! penalties are not chosen but averaged by their leave-one-out errors. With few cycles the last level is kept.
//!
//! Source: the FLAIR method, arXiv 2605.07222; points only, as bands are made elsewhere. Its shrinkage of the level by
//! random matrix theory is left out: at the levels that metrics have it is nothing (0.99996 on the airline passengers).

use std::collections::BTreeMap;

use super::least_squares::Normal;
use super::model::{FitError, Fitted, Forecaster};
use super::past::{Past, Regressors};
use super::recursion::bridged;
use super::scale::Scale;
use crate::series::{Season, median};

/// The least cycles that make a table.
const LEAST_CYCLES: usize = 2;

/// The most cycles that a fit looks back on.
const MOST_CYCLES: usize = 200;

/// Cycles whose proportions are the shape.
const OF_SHAPE: usize = 2;

/// Columns of the level's regression.
const N_COLUMNS: usize = 3;

/// Penalties from 1e-4 to 1e4.
const N_PENALTIES: i32 = 25;

/// Values are lifted until the smallest is so large a share of their reach, where it is not so already.
const LEAST_SHARE: f64 = 0.1;

/// What a cell is divided by is at least this share of the usual one.
const LEAST_EXPECTED: f64 = 0.1;

/// Uses the best of `seasons`, and perhaps a multiple of it.
#[derive(Clone, Debug)]
pub(super) struct PeriodFold {
    pub seasons: Vec<Season>,
}

#[derive(Clone, Debug)]
struct FittedPeriodFold {
    scale: Scale,
    lift: f64,
    shape: Vec<f64>,
    second: Vec<f64>,
    // The cycle that comes next, in the second shape.
    next: usize,
    level: Level,
}

/// The first singular value of a table of cycles, by power iteration, with its column and row vectors' product left
/// out.
fn first_singular_value(table: &[f64], season: usize) -> f64 {
    let mut by_place = vec![1.0 / (season as f64).sqrt(); season];
    let mut size = 0.0;
    for _ in 0..100 {
        let mut next = vec![0.0; season];
        for cycle in table.chunks_exact(season) {
            let along: f64 = cycle.iter().zip(&by_place).map(|(a, b)| a * b).sum();
            next.iter_mut().zip(cycle).for_each(|(slot, value)| *slot += along * value);
        }
        let length = next.iter().map(|value| value * value).sum::<f64>().sqrt();
        if length <= 0.0 {
            return 0.0;
        }
        let is_settled = (length - size).abs() <= 1e-13 * length;
        size = length;
        by_place = next.into_iter().map(|value| value / length).collect();
        if is_settled {
            break;
        }
    }
    size.sqrt()
}

/// How badly one shape times a level explains `values`, the numbers it takes counted in; less is better.
fn criterion(values: &[f64], season: usize, n_common: usize) -> f64 {
    let table = &values[values.len() - n_common / season * season..];
    let (n, n_cycles) = (table.len() as f64, (table.len() / season) as f64);
    let total: f64 = table.iter().map(|value| value * value).sum();
    let rest = (total - first_singular_value(table, season).powi(2)).max(1e-12 * total).max(f64::MIN_POSITIVE);
    // Per cell, as tables differ by a part of a cycle.
    (rest / n).ln() + (season as f64 + n_cycles - 1.0) * n.ln() / n
}

/// The last level and how it moves, on a Box-Cox scale.
#[derive(Clone, Debug)]
struct Level {
    lambda: f64,
    last: f64,
    // On 1, the damped trend and minus the level above the last one; none with few cycles.
    on: Option<[f64; N_COLUMNS]>,
    n_cycles: f64,
    damping: f64,
    // How far the next step lies from those that the regression has seen, 0 and up.
    leverage: f64,
}

fn to_box_cox(value: f64, lambda: f64) -> f64 {
    if lambda.abs() < 1e-9 { value.ln() } else { (value.powf(lambda) - 1.0) / lambda }
}

fn from_box_cox(value: f64, lambda: f64) -> f64 {
    if lambda.abs() < 1e-9 { value.exp() } else { (lambda * value + 1.0).max(1e-12).powf(1.0 / lambda) }
}

/// The exponent between 0 and 1 under which `levels` look most like normal ones.
fn likeliest_exponent(levels: &[f64]) -> f64 {
    if levels.len() < 10 {
        return 1.0;
    }
    let n = levels.len() as f64;
    let logs: f64 = levels.iter().map(|level| level.ln()).sum();
    let likelihood = |lambda: f64| {
        let z: Vec<f64> = levels.iter().map(|&level| to_box_cox(level, lambda)).collect();
        let mean = z.iter().sum::<f64>() / n;
        let variance = z.iter().map(|z| (z - mean).powi(2)).sum::<f64>() / n;
        (lambda - 1.0) * logs - 0.5 * n * variance.max(f64::MIN_POSITIVE).ln()
    };
    // Golden section; the likelihood has one hill.
    let golden = (5f64.sqrt() - 1.0) / 2.0;
    let (mut from, mut to) = (0.0, 1.0);
    while to - from > 1e-7 {
        let (a, b) = (to - golden * (to - from), from + golden * (to - from));
        if likelihood(a) >= likelihood(b) { to = b } else { from = a }
    }
    let ends = [0.0, f64::midpoint(from, to), 1.0];
    ends.into_iter().max_by(|a, b| likelihood(*a).total_cmp(&likelihood(*b))).unwrap_or(1.0)
}

impl Level {
    fn of(levels: &[f64]) -> Level {
        let lambda = likeliest_exponent(levels);
        let last = to_box_cox(levels[levels.len() - 1], lambda);
        let z: Vec<f64> = levels.iter().map(|&level| to_box_cox(level, lambda) - last).collect();
        let changes: Vec<f64> = z.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let n_cycles = levels.len() as f64;
        let mean = changes.iter().sum::<f64>() / changes.len().max(1) as f64;
        let power: f64 = changes.iter().map(|change| (change - mean).powi(2)).sum();
        let agreement: f64 = changes.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum();
        let damping = if changes.len() < 5 || power <= 0.0 { 0.0 } else { (agreement / power).clamp(0.0, 0.99) };
        let rows: Vec<[f64; N_COLUMNS]> = (1..z.len()).map(|j| [1.0, j as f64 / n_cycles, -z[j - 1]]).collect();
        let next = [1.0, (n_cycles - 1.0 + damping) / n_cycles, 0.0];
        let found = (changes.len() >= 2 * N_COLUMNS).then(|| averaged_ridge(&rows, &changes, &next)).flatten();
        let (on, leverage) = found.map_or((None, 1.0), |(on, leverage)| (Some(on), leverage));
        Level { lambda, last, on, n_cycles, damping, leverage }
    }

    /// The level of each coming cycle.
    fn ahead(&self, n: usize) -> Vec<f64> {
        let mut above = 0.0;
        let mut trend = 0.0;
        let mut power = 1.0;
        (0..n)
            .map(|_| {
                power *= self.damping;
                trend += power;
                if let Some([constant, on_trend, on_level]) = self.on {
                    above += constant + on_trend * (self.n_cycles - 1.0 + trend) / self.n_cycles - on_level * above;
                }
                from_box_cox(self.last + above, self.lambda)
            })
            .collect()
    }
}

/// Ridge coefficients, and the leverage of the row `next`, averaged over penalties by how well each foresees a row left
/// out.
fn averaged_ridge(
    rows: &[[f64; N_COLUMNS]],
    targets: &[f64],
    next: &[f64; N_COLUMNS],
) -> Option<([f64; N_COLUMNS], f64)> {
    let mut found: Vec<(f64, [f64; N_COLUMNS], f64)> = Vec::new();
    for nr in 0..N_PENALTIES {
        let penalty = 10f64.powf(-4.0 + 8.0 * f64::from(nr) / f64::from(N_PENALTIES - 1));
        let mut sums = Normal::new(N_COLUMNS);
        rows.iter().zip(targets).for_each(|(row, target)| sums.add(row, *target, 1.0));
        for column in 0..N_COLUMNS {
            let mut alone = [0.0; N_COLUMNS];
            alone[column] = penalty.sqrt();
            sums.add(&alone, 0.0, 1.0);
        }
        let solution = sums.solve()?;
        let errors = rows.iter().zip(targets).map(|(row, target)| {
            let expected: f64 = row.iter().zip(&solution.coefficients).map(|(x, c)| x * c).sum();
            ((target - expected) / (1.0 - solution.leverage(row)).max(1e-9)).powi(2)
        });
        let error = errors.sum::<f64>() / rows.len() as f64;
        found.push((error, std::array::from_fn(|idx| solution.coefficients[idx]), solution.leverage(next)));
    }
    let least = found.iter().map(|(error, ..)| *error).fold(f64::INFINITY, f64::min);
    let (mut total, mut mean, mut pull) = (0.0, [0.0; N_COLUMNS], 0.0);
    for (error, coefficients, leverage) in found {
        let weight = if least > 0.0 { (-(error - least) / least).exp() } else { f64::from(u8::from(error <= 0.0)) };
        total += weight;
        pull += weight * leverage;
        mean.iter_mut().zip(coefficients).for_each(|(mean, c)| *mean += weight * c);
    }
    let mean = mean.map(|sum| sum / total);
    mean.iter().all(|c| c.is_finite()).then_some((mean, (pull / total).clamp(0.0, 10.0)))
}

/// The second shape: how the cycles within a longer one differ, shrunk towards no difference.
fn second_shape(levels: &[f64], n_places: usize) -> Vec<f64> {
    let n_rounds = levels.len() / n_places;
    let whole = &levels[levels.len() - n_rounds * n_places..];
    let mean = whole.iter().sum::<f64>() / whole.len() as f64;
    let weight = n_rounds as f64 / (n_rounds + n_places) as f64;
    let of_place = |place: usize| whole.iter().skip(place).step_by(n_places).sum::<f64>() / n_rounds as f64 / mean;
    let shape: Vec<f64> = (0..n_places).map(|place| (weight * of_place(place) + 1.0 - weight).max(1e-6)).collect();
    let mean = shape.iter().sum::<f64>() / n_places as f64;
    shape.into_iter().map(|share| share / mean).collect()
}

/// Draws each place towards what all cycles say of it, as far as they agree beyond doubt and `trust` goes.
fn correct(shape: &mut [f64], table: &[f64], levels: &[f64], trust: f64) {
    let season = shape.len();
    let n = levels.len() as f64;
    let expected: Vec<f64> = levels.iter().flat_map(|level| shape.iter().map(move |share| level * share)).collect();
    let least = LEAST_EXPECTED * median(&expected).unwrap_or(0.0).abs();
    for (place, share) in shape.iter_mut().enumerate() {
        let cells = || table.iter().zip(&expected).skip(place).step_by(season);
        let offs = || cells().map(|(value, expected)| (value - expected) / expected.max(least).max(f64::MIN_POSITIVE));
        let mean = offs().sum::<f64>() / n;
        let doubt = offs().map(|off| (off - mean).powi(2)).sum::<f64>() / (n * (n - 1.0).max(1.0));
        if mean != 0.0 {
            *share *= 1.0 + trust * mean * mean * mean / (mean * mean + doubt);
        }
    }
}

impl PeriodFold {
    fn fit_lifted(&self, past: &Past<'_>, lift: impl Fn(f64, f64) -> f64) -> Result<FittedPeriodFold, FitError> {
        let mut seasons: Vec<usize> = self.seasons.iter().map(|season| season.steps()).collect();
        seasons.sort_unstable();
        seasons.dedup();
        let shortest = *seasons.first().ok_or(FitError::NoSeason)?;
        let n_values = past.len() - past.n_gaps();
        seasons.retain(|steps| LEAST_CYCLES * steps <= past.len());
        let Some(&longest) = seasons.last().filter(|_| n_values >= LEAST_CYCLES * shortest) else {
            return Err(FitError::TooShort { needed: LEAST_CYCLES * shortest, got: n_values });
        };
        let tail = past.tail((MOST_CYCLES * shortest).max(LEAST_CYCLES * longest));
        let scale = Scale::uncentred(tail.values());
        let cells: Vec<f64> = tail.values().iter().map(|&value| scale.apply(value)).collect();
        let cells = bridged(&cells, shortest);
        let (least, most) = cells.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), &v| (a.min(v), b.max(v)));
        let lift = lift(least, most);
        let values: Vec<f64> = cells.iter().map(|value| value + lift).collect();
        let n_common = values.len() / longest * longest;
        let scored = seasons.iter().map(|&steps| (criterion(&values, steps, n_common), steps));
        let season = scored.min_by(|a, b| a.0.total_cmp(&b.0)).map_or(shortest, |best| best.1);
        let table = &values[values.len() % season..];
        let mut levels: Vec<f64> = table.chunks_exact(season).map(|cycle| cycle.iter().sum()).collect();
        let mut shape = vec![0.0; season];
        for (cycle, level) in table.chunks_exact(season).zip(&levels).rev().take(OF_SHAPE) {
            shape.iter_mut().zip(cycle).for_each(|(share, value)| *share += value / level);
        }
        let total: f64 = shape.iter().sum();
        shape.iter_mut().for_each(|share| *share /= total);
        let multiple =
            seasons.iter().rev().filter(|longer| longer.is_multiple_of(season)).map(|longer| longer / season);
        let n_places = multiple.filter(|n| *n >= 2 && 2 * n <= levels.len()).max();
        let second = n_places.map_or(vec![1.0], |n| second_shape(&levels, n));
        let whole_levels = levels.clone();
        // The coming cycle is the second shape's first place, as its table ends with the last cycle.
        for (back, level) in levels.iter_mut().rev().enumerate() {
            *level /= second[second.len() - 1 - back % second.len()];
        }
        let level = Level::of(&levels);
        correct(&mut shape, table, &whole_levels, 1.0 / (1.0 + level.leverage).sqrt());
        let fitted = FittedPeriodFold { scale, lift, shape, second, next: 0, level };
        let mut probe = vec![0.0; season];
        fitted.points_into(Regressors::NONE, &mut probe);
        let is_finite = probe.iter().all(|point| point.is_finite());
        if is_finite { Ok(fitted) } else { Err(FitError::NotFinite("the levels of the cycles".to_owned())) }
    }
}

impl Forecaster for PeriodFold {
    fn fit(&self, past: &Past<'_>) -> Result<Box<dyn Fitted>, FitError> {
        // Proportions need positive values; those that are stay as they are.
        let lift = |least: f64, most: f64| {
            let reach = if most > least { most - least } else { most.abs().max(1.0) };
            (LEAST_SHARE * reach - least).max(0.0)
        };
        Ok(Box::new(self.fit_lifted(past, lift)?))
    }
}

impl Fitted for FittedPeriodFold {
    fn points_into(&self, _known: Regressors<'_>, points: &mut [f64]) {
        let season = self.shape.len();
        let levels = self.level.ahead(points.len().div_ceil(season));
        for (ahead, point) in points.iter_mut().enumerate() {
            let cycle = ahead / season;
            let level = levels[cycle] * self.second[(self.next + cycle) % self.second.len()];
            *point = self.scale.undo((level * self.shape[ahead % season]).clamp(-1e60, 1e60) - self.lift);
        }
    }

    fn settings(&self) -> BTreeMap<&'static str, f64> {
        let season = self.shape.len();
        let mut settings =
            BTreeMap::from([("season", season as f64), ("lambda", self.level.lambda), ("damping", self.level.damping)]);
        if self.second.len() > 1 {
            settings.insert("second_season", (season * self.second.len()) as f64);
        }
        settings
    }

    fn n_bytes(&self) -> usize {
        size_of_val(self.shape.as_slice()) + size_of_val(self.second.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::Horizon;
    use crate::forecast::air_passengers::AIR_PASSENGERS;
    use crate::series::Step;

    /// The passengers lifted by 1: the singular value by numpy, the exponent by scipy; the points are means of 4000
    /// paths of a re-computation of FLAIR in numpy, exact to about 2.
    #[test]
    fn it_gives_the_worked_numbers() {
        let lifted = AIR_PASSENGERS.map(|value| value + 1.0);
        assert!((first_singular_value(&lifted, 12) - 3666.254).abs() < 5e-4, "{}", first_singular_value(&lifted, 12));
        let past = Past::new(0, Step::seconds(1), &AIR_PASSENGERS);
        let fold = PeriodFold { seasons: Season::new(12).into_iter().collect() };
        let scale = Scale::uncentred(&AIR_PASSENGERS);
        let fitted = fold.fit_lifted(&past, |_, _| 1.0 / scale.unit()).unwrap();
        assert!((fitted.level.lambda - 0.331256).abs() < 2e-6 && fitted.level.damping == 0.0, "{:?}", fitted.level);
        let points = fitted.points(Horizon::new(12).unwrap());
        let expected = [431., 421., 483., 478., 489., 556., 629., 628., 540., 479., 418., 469.];
        for (point, expected) in points.iter().zip(expected) {
            assert!((point - expected).abs() < 5.0, "{points:?}");
        }
    }

    #[test]
    fn weekdays_are_a_second_shape() {
        let at = |t: usize| {
            let of_day = if t / 24 % 7 >= 5 { 0.5 } else { 1.0 };
            of_day * (100.0 + 50.0 * (std::f64::consts::TAU * (t % 24) as f64 / 24.0).sin())
        };
        let values: Vec<f64> = (0..24 * 7 * 20).map(at).collect();
        let seasons = [24, 168].into_iter().filter_map(Season::new).collect();
        let fitted = PeriodFold { seasons }.fit(&Past::new(0, Step::seconds(3600), &values)).unwrap();
        assert_eq!((fitted.settings()["season"], fitted.settings()["second_season"]), (24.0, 168.0));
        let points = fitted.points(Horizon::new(168).unwrap());
        let error = points.iter().enumerate().map(|(t, p)| (p - at(t)).abs()).sum::<f64>() / 168.0;
        assert!(error < 12.0, "{error}");
        assert!(points[..24].iter().sum::<f64>() > 1.5 * points[144..].iter().sum::<f64>());
    }
}
