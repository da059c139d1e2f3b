//! Bands that keep their promise while the series drifts: each value that comes in corrects them.
//!
//! In: what a band expected of a step, and the value that came. Out: a factor on the width per coverage and lead.
//!
//! A few bands, one per lead and coverage of a small grid, are held against what comes: outside widens them a little,
//! inside narrows them by as much less as the coverage says, so that in the long run each holds its share whatever the
//! series does: adaptive conformal inference in its quantile-tracking form (Gibbs and Candès, "Adaptive conformal
//! inference under distribution shift", 2021; Angelopoulos, Candès and Tibshirani, "Conformal PID control for time
//! series prediction", 2023), on the logarithm of the width. A forecast of several steps is issued when the last
//! one of its lead has come true, so that a lead costs one look ahead per lead.

use super::compact::single;

/// Coverages that are followed; those between are interpolated.
pub(super) const FOLLOWED: [f64; 5] = [0.5, 0.8, 0.9, 0.95, 0.99];

/// Leads that are followed: the first, the last, and some between.
const N_LEADS: usize = 4;

/// How far one miss moves the logarithm of a width. A hit moves it back by the share that is due.
const PACE: f64 = 0.06;

/// Widths stay within these factors.
const LEAST: f64 = 0.05;
const MOST: f64 = 20.0;

#[derive(Clone, Copy, Debug, Default)]
struct Followed {
    /// Steps ahead, from 1; 0 for a place that is not used.
    lead: u32,
    /// Steps until the forecast that is out comes true.
    left: u32,
    /// What its bands go out from,
    centre: f64,
    /// and how far they reach from there: far less than seven digits of it are known.
    edges: [(f32, f32); FOLLOWED.len()],
    /// Logarithms of the factors.
    widths: [f32; FOLLOWED.len()],
}

/// The factors on the widths of bands, by lead and coverage.
#[derive(Clone, Debug)]
pub(super) struct Recalibration {
    followed: [Followed; N_LEADS],
}

impl Recalibration {
    /// For bands of up to `n_leads` steps; nothing has been learnt.
    pub fn new(n_leads: usize) -> Recalibration {
        let mut followed = [Followed::default(); N_LEADS];
        let mut before = 0;
        for (nr, one) in followed.iter_mut().enumerate() {
            // 1, then evenly in the logarithm up to the last.
            let lead = (n_leads as f64).powf(nr as f64 / (N_LEADS - 1) as f64).round() as u32;
            if lead > before {
                (one.lead, before) = (lead, lead);
            }
        }
        Recalibration { followed }
    }

    /// The same with the factors that `of` says for each coverage followed, by its number, and lead, counted from 0.
    pub fn with_factors(n_leads: usize, of: impl Fn(usize, usize) -> f64) -> Recalibration {
        let mut recalibration = Recalibration::new(n_leads);
        for one in recalibration.followed.iter_mut().filter(|one| one.lead > 0) {
            for (nr, width) in one.widths.iter_mut().enumerate() {
                *width = of(nr, one.lead as usize - 1).ln().clamp(LEAST.ln(), MOST.ln()) as f32;
            }
        }
        recalibration
    }

    /// Takes in the value of the step that has come; NaN is a gap, of which nothing is learnt.
    pub fn take(&mut self, value: f64) {
        for one in self.followed.iter_mut().filter(|one| one.left > 0) {
            one.left -= 1;
            if one.left > 0 || value.is_nan() {
                continue;
            }
            // Rounded as the edges were: what is at an edge is inside.
            let off = single(value - one.centre);
            for ((coverage, (lower, upper)), width) in FOLLOWED.iter().zip(one.edges).zip(&mut one.widths) {
                let is_outside = off < lower || off > upper;
                let miss = if is_outside { *coverage } else { coverage - 1.0 };
                let moved = f64::from(*width) + PACE * miss;
                *width = moved.clamp(LEAST.ln(), MOST.ln()) as f32;
            }
        }
    }

    /// The leads, from 1, at which a forecast is due to be issued.
    pub fn due(&self) -> impl Iterator<Item = usize> + '_ {
        self.followed.iter().filter(|one| one.lead > 0 && one.left == 0).map(|one| one.lead as usize)
    }

    /// Issues the forecast of `lead`: the edges of its bands.
    pub fn issue(&mut self, lead: usize, edges: [(f64, f64); FOLLOWED.len()]) {
        // Halved before they are added, which could overflow.
        let centre = edges[0].0 / 2.0 + edges[0].1 / 2.0;
        let from_centre = |(lower, upper): (f64, f64)| (single(lower - centre), single(upper - centre));
        for one in self.followed.iter_mut().filter(|one| one.lead as usize == lead) {
            (one.left, one.centre, one.edges) = (one.lead, centre, edges.map(from_centre));
        }
    }

    /// The factor on the width of a band of `coverage` at `lead`, counted from 0.
    pub fn factor(&self, coverage: f64, lead: usize) -> f64 {
        let ahead = lead as u32 + 1;
        let used = || self.followed.iter().filter(|one| one.lead > 0);
        let after = used().find(|one| one.lead >= ahead);
        let before = used().rev().find(|one| one.lead <= ahead);
        let on = |one: &Followed| on_grid(&one.widths, coverage);
        let ln = match (before, after) {
            (Some(a), Some(b)) if a.lead < b.lead => {
                let share = f64::from(ahead - a.lead) / f64::from(b.lead - a.lead);
                on(a) * (1.0 - share) + on(b) * share
            }
            (Some(one), _) | (None, Some(one)) => on(one),
            (None, None) => 0.0,
        };
        ln.exp()
    }
}

/// The logarithm of the factor at `coverage`, on straight lines between those followed.
fn on_grid(widths: &[f32; FOLLOWED.len()], coverage: f64) -> f64 {
    let after = FOLLOWED.partition_point(|followed| *followed < coverage);
    let at = |idx: usize| f64::from(widths[idx]);
    if after == 0 {
        return at(0);
    }
    if after == FOLLOWED.len() {
        return at(after - 1);
    }
    let share = (coverage - FOLLOWED[after - 1]) / (FOLLOWED[after] - FOLLOWED[after - 1]);
    at(after - 1) * (1.0 - share) + at(after) * share
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leads_are_spread_from_the_first_to_the_last() {
        let leads = |n| Recalibration::new(n).due().collect::<Vec<_>>();
        assert_eq!(leads(1), [1]);
        assert_eq!(leads(3), [1, 2, 3]);
        assert_eq!(leads(64), [1, 4, 16, 64]);
    }

    #[test]
    fn misses_widen_by_what_hits_narrow_at_the_promised_share() {
        let mut bands = Recalibration::new(1);
        for nr in 0..400 {
            bands.issue(1, FOLLOWED.map(|coverage| (-bands_width(coverage), bands_width(coverage))));
            // One in five is out of the 80 % band, and all of them are out of the 50 % band.
            bands.take(if nr % 5 == 0 { 9.0 } else { 2.0 });
        }
        assert!((bands.factor(0.8, 0) - 1.0).abs() < 0.2, "{}", bands.factor(0.8, 0));
        assert!(bands.factor(0.5, 0) > 10.0 && bands.factor(0.65, 0) > 1.5);
    }

    fn bands_width(coverage: f64) -> f64 {
        if coverage < 0.6 { 1.0 } else { 5.0 }
    }

    #[test]
    fn a_gap_teaches_nothing() {
        let mut bands = Recalibration::new(1);
        bands.issue(1, [(-1.0, 1.0); FOLLOWED.len()]);
        bands.take(f64::NAN);
        assert_eq!(bands.factor(0.95, 0), 1.0);
        assert_eq!(bands.due().collect::<Vec<_>>(), [1]);
    }
}
