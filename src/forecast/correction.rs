//! What forecasts that came true say of the bands of those to come.
//!
//! In: how large their errors were, in widths of the bands they were issued with, as these were before a correction.
//! Out: a factor on the widths, by lead.
//!
//! A band comes from errors of a replay, most of them old: where a series becomes restless, a fresh fit knows it late.
//! The factor has three parts. One tracks the promised share over all that comes: outside widens a little, inside
//! narrows by as much less as the promise says, on the logarithm of the width, so that in the long run the share is held
//! (Gibbs and Candès, "Adaptive conformal inference under distribution shift", 2021). One does the same for each lead
//! beside the others. The third looks at sizes, which say sooner than misses that something has changed, and soonest
//! that it is over: the size of late errors over the usual one, as far as it is not chance (a proportional term beside
//! the integral one; Angelopoulos, Candès and Tibshirani, "Conformal PID control for time series prediction", 2023).
//!
//! Forecasts of long leads overlap: all that are out when the noise grows miss together, and all of them were issued
//! before it did. Each counts for its share of those that were out at once, so that a lead learns as much while one
//! forecast comes true, however often it is issued. Holding errors against the width of now would be quicker, but of
//! errors that last, the width would follow the very ones that it is held against, and be too narrow for the next.

use crate::series::Millis;

/// How far one miss moves the logarithm of all widths. A hit moves it back by the share that is due.
const PACE: f64 = 0.06;
/// The same for one lead beside the others.
const PACE_OF_LEAD: f64 = 0.02;

/// What one cell counts for in the size of late errors, and at least in the usual size.
const LATE: f64 = 0.1;
const USUAL: f64 = 0.002;

/// The largest error that tells of sizes, in half widths, and by how much sizes alone may change a width.
const MOST_SIZE: f64 = 3.0;
const MOST_BY_SIZE: f64 = 4.0;

/// Widths stay within this factor, either way.
const MOST: f64 = 20.0;

/// Leads that have a part of their own.
const MOST_LEADS: usize = 16;

/// The logarithm of a factor, held within bounds.
fn within(ln: f64) -> f64 {
    ln.clamp(-MOST.ln(), MOST.ln())
}

/// How one forecast of a cell turned out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// How far ahead it was said.
    pub lead: Millis,
    /// The error, in distances from the point to the band's edge on its side without a correction; not NaN.
    pub size: f64,
    /// What a correction had multiplied that distance by.
    pub factor: f64,
    /// The share of values that the band promised to hold.
    pub promised: f64,
    /// How many forecasts of this lead were issued until this one came true, itself among them.
    pub n_alike: usize,
}

impl Outcome {
    /// What it counts for: forecasts that overlap err together.
    fn weight(&self) -> f64 {
        1.0 / self.n_alike.max(1) as f64
    }

    /// Misses beyond those that are due.
    fn surplus(&self) -> f64 {
        f64::from(u8::from(self.size > self.factor)) - (1.0 - self.promised)
    }
}

/// The factor on the widths of one series' bands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Correction {
    /// The logarithm of what all leads have in common.
    common: f64,
    /// What each lead has beside that, ascending.
    leads: Vec<(Millis, f64)>,
    /// The mean size of late errors; that of usual ones, and of their squares.
    late: f64,
    usual: f64,
    usual_square: f64,
    n_cells: u32,
}

impl Correction {
    /// What it holds on the heap.
    pub fn n_bytes(&self) -> usize {
        size_of_val(self.leads.as_slice())
    }

    /// From the factors by lead that a forecast was issued with.
    pub fn restored(factors: impl IntoIterator<Item = (Millis, f64)>) -> Correction {
        let known = factors.into_iter().filter(|(_, factor)| *factor > 0.0 && factor.is_finite());
        let mut leads: Vec<(Millis, f64)> = known.map(|(lead, factor)| (lead, factor.ln())).collect();
        leads.sort_by_key(|(lead, _)| *lead);
        leads.dedup_by_key(|(lead, _)| *lead);
        leads.truncate(MOST_LEADS);
        let common = leads.iter().map(|(_, ln)| ln).sum::<f64>() / leads.len().max(1) as f64;
        leads.iter_mut().for_each(|(_, ln)| *ln -= common);
        Correction { common, leads, ..Correction::default() }
    }

    /// What the width of a band at `lead` is to be multiplied by.
    pub fn factor(&self, lead: Millis) -> f64 {
        within(self.shared() + self.beside(lead)).exp()
    }

    /// Takes in all that was said of one cell and has come true.
    pub fn learn(&mut self, cell: &[Outcome]) {
        let weights = cell.iter().map(Outcome::weight).sum::<f64>();
        if cell.is_empty() {
            return;
        }
        let mean = |of: &dyn Fn(&Outcome) -> f64| cell.iter().map(|one| one.weight() * of(one)).sum::<f64>() / weights;
        let surplus = mean(&Outcome::surplus);
        let most = MOST_SIZE * self.shared().exp();
        let size = mean(&|one| (one.size / self.beside(one.lead).exp()).min(most));
        self.resize(size);
        self.common = within(self.common + PACE * surplus);
        for one in cell {
            let moved = PACE_OF_LEAD * one.weight() * one.surplus();
            if let Some(of_lead) = self.of_lead(one.lead) {
                *of_lead = within(*of_lead + moved);
            }
        }
    }

    /// The logarithm of what all leads have in common, by misses and by sizes.
    fn shared(&self) -> f64 {
        self.common + self.by_size()
    }

    /// By how much late errors are larger than usual, in logarithms, beyond what may be chance.
    fn by_size(&self) -> f64 {
        if !(self.late > 0.0 && self.usual > 0.0) {
            return 0.0;
        }
        let variation = (self.usual_square / self.usual.powi(2) - 1.0).max(0.0);
        let chance = (variation * LATE / (2.0 - LATE)).sqrt();
        let grown = (self.late / self.usual).ln();
        let beyond = (grown.abs() - chance).max(0.0).copysign(grown);
        beyond.clamp(-MOST_BY_SIZE.ln(), MOST_BY_SIZE.ln())
    }

    /// Takes in the size of a cell's errors. What is beyond chance does not become usual by lasting: while it does, the
    /// fits learn of it themselves, and then sizes fall.
    fn resize(&mut self, size: f64) {
        let calm = size / self.by_size().exp();
        self.n_cells = self.n_cells.saturating_add(1);
        let share = |least: f64| (1.0 / f64::from(self.n_cells)).max(least);
        let (late, usual) = (share(LATE), share(USUAL));
        self.late += late * (size - self.late);
        self.usual += usual * (calm - self.usual);
        self.usual_square += usual * (calm * calm - self.usual_square);
    }

    /// What `lead` has beside the others, in logarithms; between those known on straight lines by the lead's logarithm.
    fn beside(&self, lead: Millis) -> f64 {
        let after = self.leads.partition_point(|(known, _)| *known < lead);
        match (after.checked_sub(1).map(|before| self.leads[before]), self.leads.get(after)) {
            (Some((a, of_a)), Some((b, of_b))) => {
                let ln = |lead: Millis| (lead.max(1) as f64).ln();
                let share = if ln(*b) > ln(a) { (ln(lead) - ln(a)) / (ln(*b) - ln(a)) } else { 1.0 };
                of_a * (1.0 - share) + of_b * share
            }
            (Some((_, of)), None) => of,
            (None, Some((_, of))) => *of,
            (None, None) => 0.0,
        }
    }

    /// The part of `lead`, begun as its neighbours have it; `None` when there is no room for one more.
    fn of_lead(&mut self, lead: Millis) -> Option<&mut f64> {
        let idx = self.leads.partition_point(|(known, _)| *known < lead);
        if self.leads.get(idx).is_none_or(|(known, _)| *known != lead) {
            if self.leads.len() >= MOST_LEADS {
                return None;
            }
            self.leads.insert(idx, (lead, self.beside(lead)));
        }
        Some(&mut self.leads[idx].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::tests::Noise;

    const LEADS: [Millis; 5] = [60_000, 120_000, 240_000, 480_000, 960_000];

    /// What holds 95 % of normal errors of one.
    const HALF: f64 = 1.96;

    /// Share held and mean half width of the bands of each cell, at each lead; a cell is forecast at every lead, as wide
    /// as was known when that was issued, from fits that say `half(lead)`.
    fn held(
        n: usize,
        seed: u64,
        learns: bool,
        size: impl Fn(usize) -> f64,
        half: impl Fn(Millis) -> f64,
    ) -> Vec<(f64, f64)> {
        let mut noise = Noise::seeded(seed);
        let mut correction = Correction::default();
        let mut factors: Vec<Vec<f64>> = Vec::new();
        let mut told = Vec::new();
        for cell in 0..n {
            factors.push(LEADS.iter().map(|lead| correction.factor(*lead)).collect());
            let error = (noise.normal() * size(cell)).abs();
            let (mut inside, mut width, mut outcomes) = (0.0, 0.0, Vec::new());
            for (nr, lead) in LEADS.iter().enumerate() {
                let issued = cell.saturating_sub((lead / LEADS[0]) as usize);
                let edge = half(*lead) * factors[issued][nr];
                inside += f64::from(u8::from(error <= edge)) / LEADS.len() as f64;
                width += edge / LEADS.len() as f64;
                let n_alike = (lead / LEADS[0]) as usize;
                let size = error / half(*lead);
                outcomes.push(Outcome { lead: *lead, size, factor: factors[issued][nr], promised: 0.95, n_alike });
            }
            told.push((inside, width));
            if learns {
                correction.learn(&outcomes);
            }
        }
        told
    }

    /// Over twenty series: the share held and the width, from one cell to another.
    fn means(learns: bool, size: impl Fn(usize) -> f64 + Copy, spans: &[(usize, usize)]) -> Vec<(f64, f64)> {
        let n = spans.iter().map(|(_, to)| *to).max().unwrap();
        let all: Vec<Vec<(f64, f64)>> = (0..20).map(|seed| held(n, seed + 1, learns, size, |_| HALF)).collect();
        let mean = |&(from, to): &(usize, usize)| {
            let cells = || all.iter().flat_map(|told| &told[from..to]);
            let n = cells().count() as f64;
            (cells().map(|it| it.0).sum::<f64>() / n, cells().map(|it| it.1).sum::<f64>() / n)
        };
        spans.iter().map(mean).collect()
    }

    #[test]
    fn noise_three_times_as_large_is_held_soon_and_for_good() {
        let size = |cell: usize| if cell < 300 { 1.0 } else { 3.0 };
        let spans = [(100, 300), (360, 460), (460, 560), (560, 760), (760, 1_260)];
        let told = means(true, size, &spans);
        assert!(told.iter().all(|(share, _)| (0.92..=0.98).contains(share)), "{told:?}");
        let without = means(false, size, &spans);
        assert!(without[1..].iter().all(|(share, _)| *share < 0.6), "{without:?}");
    }

    #[test]
    fn when_it_is_over_bands_are_not_wide_for_long() {
        let size = |cell: usize| if (300..500).contains(&cell) { 3.0 } else { 1.0 };
        let told = means(true, size, &[(400, 500), (540, 600), (600, 800), (800, 1_300)]);
        let times: Vec<f64> = told.iter().map(|(_, width)| width / HALF).collect();
        assert!(times[0] > 2.4 && times[1] < 1.6 && times[2] < 1.4 && times[3] < 1.15, "{told:?}");
        assert!(told.iter().all(|(share, _)| *share > 0.92), "{told:?}");
    }

    #[test]
    fn a_calm_series_keeps_its_bands() {
        let told = means(true, |_| 1.0, &[(100, 600), (600, 2_600)]);
        for (share, width) in told {
            assert!((0.94..=0.96).contains(&share) && (width / HALF - 1.0).abs() < 0.05, "{share} {width}");
        }
    }

    /// Of a walk all forecasts that are out at once err alike, and by the root of their lead.
    #[test]
    fn errors_that_last_leave_long_leads_their_bands() {
        let (n, leads) = (3_000, [1usize, 4, 16, 64]);
        let (mut inside, mut widths, mut n_judged) = ([0.0; 4], [0.0; 4], 0.0);
        for seed in 1..=10 {
            let walk = Noise::seeded(seed).walk(n, 1.0);
            let mut correction = Correction::default();
            let mut factors: Vec<[f64; 4]> = Vec::new();
            for cell in 0..n {
                factors.push(leads.map(|lead| correction.factor(lead as Millis)));
                if cell < 100 {
                    continue;
                }
                let outcome = |nr: usize| {
                    let (lead, factor) = (leads[nr], factors[cell - leads[nr]][nr]);
                    let size = (walk[cell] - walk[cell - lead]).abs() / (HALF * (lead as f64).sqrt());
                    Outcome { lead: lead as Millis, size, factor, promised: 0.95, n_alike: lead }
                };
                let outcomes = [0, 1, 2, 3].map(outcome);
                for (nr, one) in outcomes.iter().enumerate() {
                    inside[nr] += f64::from(u8::from(one.size <= one.factor));
                    widths[nr] += one.factor;
                }
                n_judged += 1.0;
                correction.learn(&outcomes);
            }
        }
        for (share, width) in inside.map(|n| n / n_judged).into_iter().zip(widths.map(|sum| sum / n_judged)) {
            assert!((0.93..=0.97).contains(&share) && (width - 1.0).abs() < 0.05, "{share} {width}");
        }
    }

    #[test]
    fn a_lead_whose_bands_are_too_narrow_gets_wider_ones_than_the_others() {
        let half = |lead: Millis| if lead == LEADS[4] { HALF / 2.0 } else { HALF };
        let mut correction = Correction::default();
        let mut noise = Noise::seeded(3);
        for _ in 0..3_000 {
            let error = noise.normal().abs();
            let outcome = |lead: Millis| {
                let factor = correction.factor(lead);
                Outcome { lead, size: error / half(lead), factor, promised: 0.95, n_alike: 1 }
            };
            correction.learn(&LEADS.map(outcome));
        }
        let [first, last] = [LEADS[0], LEADS[4]].map(|lead| correction.factor(lead));
        assert!((0.8..1.3).contains(&first) && (1.6..2.6).contains(&last), "{first} {last}");
        let between = correction.factor(700_000);
        assert!(first < between && between < last, "{between}");
        assert_eq!(correction.factor(i64::MAX), last);
        assert_eq!(correction.factor(0), first);
        // What it was issued with is enough to go on from.
        let again = Correction::restored(LEADS.map(|lead| (lead, correction.factor(lead))));
        for lead in LEADS {
            assert!((again.factor(lead) / correction.factor(lead) - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn it_stays_within_bounds_whatever_comes() {
        for size in [0.0, f64::MAX, f64::INFINITY] {
            let mut correction = Correction::default();
            for cell in 0..5_000 {
                let lead = 1_000 * (cell % 40 + 1);
                let factor = correction.factor(lead);
                correction.learn(&[Outcome { lead, size, factor, promised: 0.95, n_alike: 0 }]);
                correction.learn(&[]);
                let factor = correction.factor(lead);
                assert!((1.0 / MOST - 1e-9..=MOST + 1e-9).contains(&factor), "{size}: {factor}");
            }
            assert!(correction.leads.len() <= MOST_LEADS);
        }
        assert_eq!(Correction::restored([(1, f64::NAN), (2, 0.0)]), Correction::default());
        assert_eq!(Correction::default().factor(5), 1.0);
    }
}
