//! Bands from the errors a method made out of sample: split conformal prediction, pooled over the leads.
//!
//! In: the errors of a replay, one row per origin, one column per lead.
//! Out: what to add to the points for any coverage, or the reason why the coverage cannot be promised. Never a guess: a
//! width is made of errors that were made. The usual width does not shrink with the lead, and a larger coverage never
//! gives a narrower band.
//!
//! Each error is divided by the usual size at its lead and place of the cycle ([`Growth`]). Of n errors so divided, the
//! k-th smallest size times the usual size is half the band's width, k = ceil((n + 1) * coverage): then a further error
//! of the same kind is inside with at least that probability (Vovk, Gammerman and Shafer, "Algorithmic Learning in a
//! Random World", 2005; Lei et al., "Distribution-free predictive inference for regression", 2018). A cell that was
//! forecast from several origins counts once in n.
//!
//! The errors of one forecast are large together or small together, so the size of the next one's is known from as many
//! samples as there are forecasts that do not overlap, rather than from as many as there are errors (Dunn, Wasserman
//! and Ramdas, "Distribution-free prediction sets for two-layer hierarchical models", 2022). What they count for is n
//! over the design effect of clusters that [`ALIKE`] of the variance of sizes lies between (Kish, "Survey sampling",
//! 1965), and bands of few are wider by the ratio of Student's t quantiles with that many degrees of freedom, less one
//! for the usual size; so they are where k lies beyond n. Bands that are to hold a small share are narrower than the
//! quantile of few, of which even the smallest holds some ([`centred`]). Below [`LEAST_CELLS`] there is no band.
//!
//! Errors that are exactly zero are no part of the pool: the band of a lead, of whose errors a share is not zero, must
//! hold of those what its coverage leaves. Stretches of the cycle where errors are of another order have a pool of
//! their own ([`quiet`]), and errors at cells that went astray for once are a share of their own ([`once`]).
//!
//! A band leans to the side on which errors are larger as far as there are enough of them to tell: quantiles of errors
//! with their sign and quantiles of sizes are mixed, as how many independent errors theirs are worth, by their
//! correlation along the lead, is to [`LEAN_PRIOR`].

mod held_out;
mod nodes;
mod once;
mod quiet;

use std::cell::Cell;

use nodes::Nodes;
use once::Once;
use quiet::Quiet;

use super::backtest::Replay;
use super::growth::{Growth, is_moved};
use super::model::Coverage;
use super::student::{normal_quantile, student_quantile};

/// Cells forecast out of sample of which a band is made at least; and of one whole forecast.
const LEAST_CELLS: usize = 4;

/// The share of the variance of errors' sizes that lies between forecasts rather than within them. On replays of public
/// series its mean is 0.1 to 0.5 by the kind of series; a few forecasts do not tell it, so all lie at the careful end.
const ALIKE: f64 = 0.5;

/// Independent errors from which on the errors' own lean counts for half.
const LEAN_PRIOR: f64 = 40.0;

/// How far a band reaches at most, in largest errors.
const LARGEST: f64 = 1.5;

/// Quantiles are kept in singles: an error lies within a band that was made of it.
const ROUNDED: f64 = 1.0 + 1e-6;

/// Errors that are sorted at most; of more, every so manieth lead is taken.
const MOST_POOLED: usize = 20_000;

/// Distances along the lead whose products are summed at once.
const BESIDE: usize = 4;

/// What bands are made of.
#[derive(Clone, Debug, Default)]
pub(super) struct Conformal {
    growth: Growth,
    /// Sizes of scaled errors; lower ends are as far below.
    sizes: Nodes,
    /// Scaled errors with their sign: how far the lower ones lie below the forecast, and the upper ones above.
    below: Nodes,
    above: Nodes,
    /// The size of the largest error.
    most: f64,
    /// Cells that were forecast out of sample, each counted once.
    n_cells: usize,
    /// How many independent errors they tell of.
    n_telling: f64,
    /// How many independent errors with their sign they are worth.
    worth: f64,
    /// How many of 65,535 errors lie in bands of which coverage, held out; empty when that is not known.
    held_out: Vec<u16>,
    /// The cells whose errors are of another order, and what bands are made of there.
    quiet: Option<Box<(Quiet, Conformal)>>,
    /// The errors at cells that went astray for once, which are none of those above.
    once: Option<Box<Once>>,
}

impl Conformal {
    /// Of the errors of `replay`, of a series with a cycle of `season` steps.
    pub fn new(replay: &Replay, season: Option<usize>) -> Conformal {
        Conformal::beside(&[], 0.0, replay, season)
    }

    /// The same where there are `errors` beside those of `replay`, at cells that went astray for once and are a `share`
    /// of all.
    pub fn beside(errors: &[f64], share: f64, replay: &Replay, season: Option<usize>) -> Conformal {
        let once = Once::of(errors, share);
        Conformal {
            held_out: held_out::shares(replay, season, errors.len(), once.as_ref().map_or(1.0, Once::usual)),
            once: once.map(Box::new),
            ..Conformal::of(&replay.origins, &replay.errors, season)
        }
    }

    /// Without knowing what it would have held.
    fn of<R: AsRef<[f64]>>(origins: &[usize], rows: &[R], season: Option<usize>) -> Conformal {
        let Some(quiet) = season.and_then(|season| Quiet::find(origins, rows, season)) else {
            return Conformal::pooled(origins, rows, season);
        };
        let [loud, still] =
            [false, true].map(|is_quiet| Conformal::pooled(origins, &quiet.only(origins, rows, is_quiet), season));
        Conformal { quiet: Some(Box::new((quiet, still))), ..loud }
    }

    /// Of errors that are all of one kind.
    fn pooled<R: AsRef<[f64]>>(origins: &[usize], rows: &[R], season: Option<usize>) -> Conformal {
        let growth = Growth::of(origins, rows, season);
        let mut scaled_rows: Vec<Vec<f64>> = Vec::with_capacity(rows.len());
        growth.at_all(origins, |nr, usual| {
            let scaled = |(error, usual): (&f64, &f64)| if is_moved(*error) { share(*error, *usual) } else { f64::NAN };
            scaled_rows.push(rows[nr].as_ref().iter().zip(usual).map(scaled).collect());
        });
        let moved = || scaled_rows.iter().flatten().filter(|error| !error.is_nan());
        let every = moved().count().div_ceil(MOST_POOLED).max(1);
        let mut scaled: Vec<f64> = moved().step_by(every).copied().collect();
        scaled.sort_unstable_by(f64::total_cmp);
        let n_cells = n_cells(origins, rows);
        let n_moved = self::n_cells(origins, &scaled_rows);
        let sizes = sizes_of(&scaled);
        let quantile = |sorted: &[f64], beyond: f64| {
            // Off by a hair for what is a whole number but for rounding: 0.95 of 20 is 19.
            let level = (1.0 - beyond) * (n_moved as f64 + 1.0) / n_moved as f64;
            let idx = ((level * sorted.len() as f64 - 1e-9).ceil() as usize).clamp(1, sorted.len());
            sorted[idx - 1]
        };
        let nodes = |sorted: &[f64], share: f64| {
            if sorted.is_empty() { Nodes::default() } else { Nodes::new(|beyond| quantile(sorted, beyond * share)) }
        };
        let mirrored: Vec<f64> = scaled.iter().rev().map(|error| -error).collect();
        let worth = worth(scaled_rows, growth.n_leads(), n_moved);
        Conformal {
            // Both ends of a band share what lies beyond.
            sizes: nodes(&sizes, 2.0),
            below: nodes(&mirrored, 1.0),
            above: nodes(&scaled, 1.0),
            most: rows.iter().flat_map(AsRef::as_ref).fold(0.0, |most: f64, error| most.max(error.abs())),
            worth,
            n_telling: n_telling(rows, n_cells),
            growth,
            n_cells,
            held_out: Vec::new(),
            quiet: None,
            once: None,
        }
    }

    /// How many leads were calibrated.
    pub fn n_leads(&self) -> usize {
        self.growth.n_leads()
    }

    /// What it holds on the heap.
    pub fn n_bytes(&self) -> usize {
        let quiet = self.quiet.as_deref().map_or(0, |quiet| size_of_val(quiet) + quiet.1.n_bytes());
        let quiet = quiet + self.once.as_deref().map_or(0, size_of_val);
        self.growth.n_bytes() + size_of_val(self.held_out.as_slice()) + quiet
    }

    /// Whether bands can be promised for the next `n_leads` steps.
    ///
    /// # Errors
    /// The reason why not.
    pub fn check(&self, n_leads: usize) -> Result<(), String> {
        if self.n_known() == 0 {
            return Err("the history is too short to replay a forecast, and a band comes from replayed errors".into());
        }
        if n_leads > self.n_leads() {
            return Err(format!(
                "errors are known up to {} steps ahead, not {n_leads}; a longer history or calibration horizon gives \
                 more",
                self.n_leads(),
            ));
        }
        if !self.is_enough() {
            return Err(format!(
                "a band takes {} errors that were made out of sample, and the history has room for {}; record longer \
                 or ask for a shorter horizon",
                self.n_leads().max(LEAST_CELLS),
                self.n_known(),
            ));
        }
        Ok(())
    }

    /// How many cells were forecast, each counted once.
    fn n_known(&self) -> usize {
        self.n_cells + self.quiet.as_deref().map_or(0, |(_, bands)| bands.n_cells)
    }

    /// Whether the errors carry a band. Those of one forecast do: how far to trust them is in its width.
    fn is_enough(&self) -> bool {
        self.n_known() >= self.n_leads().max(LEAST_CELLS)
    }

    /// How far a band reaches below and above the point at a lead, counted from 0, of a forecast made at an origin:
    /// `(origin, lead)`. Neither is negative, and neither beyond [`LARGEST`] times the largest error there was at any
    /// lead, but for what few errors widen: one leap that many forecasts of a long lead missed and few of a short one
    /// is not the same share of the usual size in both.
    pub fn reaches(&self, share: f64) -> impl Fn(usize, usize) -> (f64, f64) + '_ {
        let n = self.n_known() as f64;
        let most = n / (n + 1.0);
        let (astray_below, astray_above) = self.once.as_ref().map_or((0.0, 0.0), |once| once.reach(share));
        let share = self.once.as_ref().map_or(share, |once| once.of_usual(share, most));
        let usual = self.own_reaches(share);
        let quiet = self.quiet.as_deref().map(|(quiet, bands)| (quiet, bands.own_reaches(share)));
        move |origin, lead| {
            let (below, above) = match &quiet {
                Some((quiet, reaches)) if quiet.holds(origin.wrapping_add(lead)) => reaches(origin, lead),
                _ => usual(origin, lead),
            };
            (below.max(astray_below), above.max(astray_above))
        }
    }

    /// The same where errors are of the usual kind.
    fn own_reaches(&self, share: f64) -> impl Fn(usize, usize) -> (f64, f64) + '_ {
        // Neighbouring leads mostly have the same.
        let known = Cell::new((f64::NAN, (0.0, 0.0, 0.0)));
        move |origin, lead| {
            let moved = self.growth.moved(lead);
            if known.get().0 != moved {
                known.set((moved, self.reach_of_moved(share, moved)));
            }
            let (_, (below, above, most)) = known.get();
            let usual = self.growth.at(origin, lead) * ROUNDED;
            ((usual * below).min(most), (usual * above).min(most))
        }
    }

    /// How far a band reaches below and above, in usual sizes, and at most, where this share of errors is not zero.
    fn reach_of_moved(&self, share: f64, moved: f64) -> (f64, f64, f64) {
        let of_moved = share_of_moved(share, moved);
        if of_moved <= 0.0 {
            return (0.0, 0.0, 0.0);
        }
        // Where most are right to the digit others are often all as large: a narrower band would hold none of them.
        let widen = self.widening(of_moved).max(if moved < 1.0 { 1.0 } else { 0.0 });
        let (below, above) = self.reach(of_moved, widen);
        (below, above, LARGEST * self.most * widen.max(1.0))
    }

    /// How far a band, so much widened, reaches below and above, in usual sizes; neither is negative.
    fn reach(&self, share: f64, widen: f64) -> (f64, f64) {
        let beyond = (1.0 - share) / 2.0;
        let lean = self.worth / (self.worth + LEAN_PRIOR);
        let size = self.sizes.at(beyond);
        let side = |nodes: &Nodes| ((lean * nodes.at(beyond) + (1.0 - lean) * size) * widen).max(0.0);
        (side(&self.below), side(&self.above))
    }

    /// By how much a band of few errors is wider than their quantile, or narrower where it is to hold a few only.
    fn widening(&self, share: f64) -> f64 {
        let n = self.n_cells as f64;
        // The largest coverage that n errors have a quantile for.
        let most = share.min(n / (n + 1.0));
        let few = student_quantile(tail(share), (self.n_telling - 1.0).min(n)) / student_quantile(tail(most), n);
        if few.is_finite() { few.max(1.0).min(centred(share, self.n_telling.min(n))) } else { 1.0 }
    }

    /// The share of replayed values inside a band made without them or their neighbours. It cannot tell of a factor
    /// that all errors have in common, as the band has it too.
    pub fn coverage(&self, coverage: Coverage) -> Option<f64> {
        held_out::share_at(&self.held_out, coverage)
    }
}

/// The share of errors that are not zero, of which a share `moved` of all is, that a band of `share` of all must hold.
fn share_of_moved(share: f64, moved: f64) -> f64 {
    if moved >= 1.0 { share } else { 1.0 - (1.0 - share) / moved }
}

/// The level of the upper edge of a band of so much coverage.
fn tail(share: f64) -> f64 {
    f64::midpoint(1.0, share)
}

/// The width, over that of the quantile of `n` errors at `share`, of a band that holds this share: a quantile of few
/// holds more than its share below a half, and less above; infinite where they have none that holds enough.
///
/// Of n values the k-th lies on average where k / (n + 1) of all are below, and stands for (k - 1/2) / n of them. Below
/// a half the quantile is narrowed by what it holds too much. Above, the one that holds enough is taken, which at about
/// 80 % meets Student's t.
fn centred(share: f64, n: f64) -> f64 {
    let n = n.max(1.0);
    if share < 0.5 {
        let holds = (share * n + 0.5) / (n + 1.0);
        return normal_quantile(tail(share)) / normal_quantile(tail(holds));
    }
    let level = (share * (n + 1.0) - 0.5) / n;
    if level < 1.0 { normal_quantile(tail(level)) / normal_quantile(tail(share)) } else { f64::INFINITY }
}

/// `error` in units of the usual size.
fn share(error: f64, usual: f64) -> f64 {
    match (error, usual) {
        (error, usual) if usual > 0.0 => error / usual,
        (0.0, _) => 0.0,
        (error, _) => error.signum() * f64::from(f32::MAX),
    }
}

/// The sizes of `sorted` values, sorted: those below zero backwards, merged with the others.
fn sizes_of(sorted: &[f64]) -> Vec<f64> {
    let (below, above) = sorted.split_at(sorted.partition_point(|value| *value < 0.0));
    let mut below = below.iter().rev().map(|value| -value).peekable();
    let mut above = above.iter().copied().peekable();
    let mut sizes = Vec::with_capacity(sorted.len());
    while let Some(next) = match (below.peek(), above.peek()) {
        (Some(a), Some(b)) if a <= b => below.next(),
        (_, Some(_)) => above.next(),
        _ => below.next(),
    } {
        sizes.push(next);
    }
    sizes
}

/// How many independent errors those of overlapping forecasts are worth, by how long they agree along the lead.
fn worth(mut scaled: Vec<Vec<f64>>, n_leads: usize, n_cells: usize) -> f64 {
    scaled.iter_mut().flatten().for_each(|error| *error = error.clamp(-1e6, 1e6));
    // Far apart, one stands for the few after it: every pair of a thousand leads would take longer than the fits.
    let n_like_it = |apart: usize| (apart / 16).max(1);
    let mut distances = std::iter::successors(Some(0), |apart| Some(apart + n_like_it(*apart)));
    let (mut power, mut agreeing) = (0.0, 1.0);
    'all: loop {
        let beside: [usize; BESIDE] = std::array::from_fn(|_| distances.next().unwrap_or(usize::MAX));
        for (apart, product) in beside.into_iter().zip(mean_products(&scaled, beside)) {
            if apart == 0 {
                power = product;
                continue;
            }
            let correlation = product / power.max(f64::MIN_POSITIVE);
            if apart >= n_leads || correlation < 0.05 {
                break 'all;
            }
            agreeing += 2.0 * correlation.min(1.0) * n_like_it(apart) as f64;
        }
    }
    let n_apart = n_cells as f64 / n_leads.max(1) as f64;
    (n_cells as f64 / agreeing).max(n_apart.min(n_cells as f64))
}

/// The mean products of neighbours in `rows` so far `apart`, ascending; several at once, as each sum waits for itself.
fn mean_products(rows: &[Vec<f64>], apart: [usize; BESIDE]) -> [f64; BESIDE] {
    let mut sums = [(0.0, 0usize); BESIDE];
    let take = |(sum, n): &mut (f64, usize), product: f64| {
        let is_known = !product.is_nan();
        *sum += if is_known { product } else { 0.0 };
        *n += usize::from(is_known);
    };
    for row in rows {
        let n_all = row.len().saturating_sub(apart[BESIDE - 1]);
        for (at, error) in row[..n_all].iter().enumerate() {
            sums.iter_mut().zip(apart).for_each(|(sum, apart)| take(sum, error * row[at + apart]));
        }
        for (sum, apart) in sums.iter_mut().zip(apart) {
            let later = row.get(n_all.saturating_add(apart)..).unwrap_or_default();
            row[n_all..].iter().zip(later).for_each(|(a, b)| take(sum, a * b));
        }
    }
    sums.map(|(sum, n)| if n > 0 { sum / n as f64 } else { 0.0 })
}

/// How many independent errors those of `n_cells` cells tell of.
fn n_telling<R: AsRef<[f64]>>(rows: &[R], n_cells: usize) -> f64 {
    let counts =
        || rows.iter().map(|row| row.as_ref().iter().filter(|error| !error.is_nan()).count()).filter(|n| *n > 0);
    let n_leads = counts().sum::<usize>() as f64 / counts().count().max(1) as f64;
    n_cells as f64 / (1.0 + (n_leads - 1.0).max(0.0) * ALIKE)
}

/// How many cells were forecast, each counted once.
pub(super) fn n_cells<R: AsRef<[f64]>>(origins: &[usize], rows: &[R]) -> usize {
    let mut counted_to = 0;
    let mut n = 0;
    for (&origin, row) in origins.iter().zip(rows) {
        let row = row.as_ref();
        let from = counted_to.max(origin);
        n += row.iter().skip(from - origin).filter(|error| !error.is_nan()).count();
        counted_to = counted_to.max(origin + row.len());
    }
    n
}

#[cfg(test)]
mod tests;
