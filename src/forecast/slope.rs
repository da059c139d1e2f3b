//! How sure is a slope, when nobody knows how much the values wander beside it?
//!
//! In: points on a line with unknown noise. Out: the slope and its two-sided p-value.
//!
//! The same rise is beyond doubt on top of independent noise and means nothing on top of a random walk, and a short
//! history rarely tells the two apart. So no explanation is picked: each of a grid of them (a level that keeps a share
//! of itself from point to point, with independent noise on top; a share of 1 is the random walk) answers with its own
//! generalised least squares, and the answers are averaged by how well each explains the points.
//!
//! Sources: Harvey, "Forecasting, Structural Time Series Models and the Kalman Filter", 1989, for the level with noise
//! and least squares by the filter's innovations; Patterson and Thompson, "Recovery of inter-block information when
//! block sizes are unequal", 1971, for the likelihood that does not favour steep lines; Hoeting and others, "Bayesian
//! model averaging: a tutorial", 1999.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// Below this many known points nothing can be said.
pub(super) const LEAST_POINTS: usize = 8;

/// The share of itself that a wandering level keeps from one point to the next. Independent noise is an explanation
/// of its own.
const KEPT: [f64; 8] = [0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 1.0];

/// The independent noise's variance, in units of that of a level's step. Below 0: means of a walk over blocks move more
/// smoothly than a walk (Working, "Note on the correlation of first differences of averages in a random chain", 1960,
/// has -1/6), and levels with a momentum more smoothly still; -1/4 would be as smooth as can be.
const NOISES: [f64; 9] = [-0.22, -1.0 / 6.0, 0.0, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0];

/// How much likelier a random walk is held to be, beforehand, than any other explanation. Chosen so that walks of 50 to
/// 300 values, with and without noise on top, are called rising or falling in less than one case of ten at 5 %.
const WALK_PRIOR: f64 = 32.0;

/// An explanation of less weight than this, the best counting 1 or more, is passed over.
const LEAST_WEIGHT: f64 = 1e-9;

/// Spreads that are multiplied before a logarithm is taken of the product: none is near 1e-30 or 1e30.
const SPREADS_PER_LOGARITHM: usize = 8;

/// One explanation's answer.
struct Fit {
    slope: f64,
    /// Its standard deviation, and of how many errors that is known.
    deviation: f64,
    freedom: f64,
    /// The logarithm of how well it explains the points.
    fit: f64,
}

/// The slope per point and its two-sided p-value, NaN marking a gap; `None` below [`LEAST_POINTS`] known points.
pub(super) fn slope_test(points: &[f64]) -> Option<(f64, f64)> {
    let seen: Vec<(f64, f64)> =
        points.iter().enumerate().filter(|(_, v)| !v.is_nan()).map(|(idx, &v)| (idx as f64, v)).collect();
    if seen.len() < LEAST_POINTS {
        return None;
    }
    let (intercept, slope) = super::smoothing::line_through(&seen);
    let power: f64 = seen.iter().map(|(x, y)| (y - intercept - slope * x).powi(2)).sum();
    let size: f64 = seen.iter().map(|(_, y)| y * y).sum();
    if power <= 1e-24 * size.max(f64::MIN_POSITIVE) {
        // Nothing but the line; rounding aside, it is certain.
        let is_flat = slope.abs() * seen.len() as f64 <= 1e-9 * size.sqrt();
        return Some(if is_flat { (0.0, 1.0) } else { (slope, 0.0) });
    }
    let independent = explain(&seen, 0.0, 0.0).map(|fit| (1.0, fit));
    let wandering = KEPT.iter().flat_map(|&kept| NOISES.map(|noise| (kept, noise))).filter_map(|(kept, noise)| {
        let prior = if kept == 1.0 { WALK_PRIOR } else { 1.0 };
        explain(&seen, kept, noise).map(|fit| (prior, fit))
    });
    let fits: Vec<(f64, Fit)> = independent.into_iter().chain(wandering).collect();
    let best = fits.iter().map(|(_, fit)| fit.fit).fold(f64::NEG_INFINITY, f64::max);
    let (mut weights, mut slope, mut p_value) = (0.0, 0.0, 0.0);
    for (prior, fit) in fits {
        let weight = prior * (fit.fit - best).exp();
        // What is this unlikely beside the best changes no digit that is told.
        if weight > LEAST_WEIGHT {
            weights += weight;
            slope += weight * fit.slope;
            p_value += weight * self::p_value(fit.slope, fit.deviation, fit.freedom);
        }
    }
    // Without any explanation nothing is said: no slope, by chance for certain.
    Some(if weights > 0.0 { (slope / weights, p_value / weights) } else { (0.0, 1.0) })
}

/// Least squares with a level that keeps the share `kept` of itself, and `noise` on top; 0 and 0 is independent noise.
fn explain(seen: &[(f64, f64)], kept: f64, noise: f64) -> Option<Fit> {
    let n = seen.len() as f64;
    let is_walk = kept >= 1.0;
    // The level's variance before the first point. A walk's may be anything: the line's constant takes it up.
    let mut variance = if is_walk { 1.0 } else { 1.0 / (1.0 - kept * kept) };
    let middle = f64::midpoint(seen[0].0, seen[seen.len() - 1].0);
    // Constant, time and value go through one filter; what it did not foresee of them is free of correlation.
    let mut level = [0.0; 3];
    let mut last_x = seen[0].0;
    let (mut cc, mut ct, mut tt, mut cy, mut ty, mut yy, mut ln_spread) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
    let mut product = 1.0;
    for (nr, &(x, y)) in seen.iter().enumerate() {
        let passed = x - last_x;
        last_x = x;
        if passed > 0.0 {
            let share = if passed == 1.0 { kept } else { kept.powf(passed) };
            level.iter_mut().for_each(|level| *level *= share);
            let moved = if is_walk { passed } else { (1.0 - share * share) / (1.0 - kept * kept) };
            variance = share * share * variance + moved;
        }
        let spread = variance + noise;
        if spread <= 0.0 {
            return None;
        }
        let gain = variance / spread;
        let row = [1.0, x - middle, y];
        let [c, t, v]: [f64; 3] = std::array::from_fn(|idx| row[idx] - level[idx]);
        for (level, off) in level.iter_mut().zip([c, t, v]) {
            *level += gain * off;
        }
        variance *= 1.0 - gain;
        product *= spread;
        if (nr + 1).is_multiple_of(SPREADS_PER_LOGARITHM) {
            ln_spread += product.ln();
            product = 1.0;
        }
        cc += c * c / spread;
        ct += c * t / spread;
        tt += t * t / spread;
        cy += c * v / spread;
        ty += t * v / spread;
        yy += v * v / spread;
    }
    ln_spread += product.ln();
    let determinant = cc * tt - ct * ct;
    if determinant <= 0.0 {
        return None;
    }
    let slope = (cc * ty - ct * cy) / determinant;
    let constant = (tt * cy - ct * ty) / determinant;
    let freedom = n - 2.0;
    let unit = (yy - constant * cy - slope * ty).max(f64::MIN_POSITIVE) / freedom;
    let deviation = (unit * cc / determinant).sqrt();
    let fit = -0.5 * (freedom * unit.ln() + ln_spread + determinant.ln());
    fit.is_finite().then_some(Fit { slope, deviation, freedom, fit })
}

fn p_value(slope: f64, deviation: f64, freedom: f64) -> f64 {
    if deviation <= 0.0 {
        return if slope == 0.0 { 1.0 } else { 0.0 };
    }
    match StudentsT::new(0.0, 1.0, freedom) {
        Ok(t) => (2.0 * t.sf((slope / deviation).abs())).min(1.0),
        Err(_) => 1.0,
    }
}
