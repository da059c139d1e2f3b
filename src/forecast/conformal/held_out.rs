//! How much of a replay bands would have held that were made without it.
//!
//! In: a replay. Out: the share of its errors that lie in bands of each coverage. The origins are cut into parts, and
//! each part is held against bands made of the others, as far as their forecasts do not overlap.

use super::nodes::{N_NODES, beyond};
use super::{Conformal, share};
use crate::forecast::backtest::Replay;
use crate::forecast::growth::is_moved;
use crate::forecast::model::Coverage;

/// Parts into which the origins are cut, each to be held by a band made of the others.
const N_PARTS: usize = 5;

/// Coverages at which what was held is counted.
const N_LEVELS: usize = 100;

/// How many of 65,535 errors of `replay` lie in bands of which coverage, held out; empty when that is not known. Beside
/// them there are `n_once` at cells astray, which no band without them would have held, and cells that are not are a
/// share `usual` of all.
pub(super) fn shares(replay: &Replay, season: Option<usize>, n_once: usize, usual: f64) -> Vec<u16> {
    let mut counts = vec![0u32; N_LEVELS + 1];
    for level in held_out_levels(replay, season).iter().flatten().filter(|level| !level.is_nan()) {
        counts[(level * usual * N_LEVELS as f64) as usize] += 1;
    }
    if counts.iter().all(|count| *count == 0) {
        return Vec::new();
    }
    counts[N_LEVELS] += u32::try_from(n_once).unwrap_or(u32::MAX);
    let n: u32 = counts.iter().fold(0, |sum, count| sum.saturating_add(*count));
    let mut inside = 0;
    let shares = counts[..N_LEVELS].iter().map(|count| {
        inside += count;
        (f64::from(inside) / f64::from(n) * f64::from(u16::MAX)) as u16
    });
    shares.collect()
}

/// The share of errors in bands of `coverage`, by what [`shares`] found.
pub(super) fn share_at(held_out: &[u16], coverage: Coverage) -> Option<f64> {
    let idx = ((coverage.share() * N_LEVELS as f64 - 1e-9).ceil() as usize).saturating_sub(1);
    held_out.get(idx).map(|held| f64::from(*held) / f64::from(u16::MAX))
}

impl Conformal {
    /// The coverages of the nodes, and how far their bands reach below and above.
    pub(super) fn ladder(&self) -> Vec<(f64, f64, f64)> {
        (0..N_NODES)
            .map(|nr| 1.0 - 2.0 * beyond(nr))
            .map(|coverage| {
                let (below, above) = self.reach(coverage, self.widening(coverage));
                (coverage, below, above)
            })
            .collect()
    }

    /// For each of the errors of forecasts made at `origins` the coverage above which a band holds it; NaN where bands
    /// would be of too few.
    fn levels(&self, origins: &[usize], rows: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let mut levels: Vec<Vec<f64>> = rows.iter().map(|row| vec![f64::NAN; row.len()]).collect();
        if !self.is_enough() {
            return levels;
        }
        let quiet = self.quiet.as_deref();
        let holds = |cell: usize| quiet.is_some_and(|(quiet, _)| quiet.holds(cell));
        for (is_quiet, bands) in std::iter::once((false, self)).chain(quiet.map(|(_, bands)| (true, bands))) {
            let ladder = bands.ladder();
            let moved: Vec<f64> = (0..bands.n_leads()).map(|lead| bands.growth.moved(lead)).collect();
            bands.growth.at_all(origins, |nr, usual| {
                let sizes = rows[nr].iter().zip(usual).zip(&moved);
                for (lead, ((error, usual), moved)) in sizes.enumerate().filter(|(_, ((error, _), _))| !error.is_nan())
                {
                    if holds(origins[nr] + lead) == is_quiet {
                        // Right to the digit is within any band.
                        let of_moved = if is_moved(*error) { level_on(&ladder, share(*error, *usual)) } else { 0.0 };
                        let held = 1.0 - moved * (1.0 - of_moved);
                        levels[nr][lead] = if is_moved(*error) { held } else { 0.0 };
                    }
                }
            });
        }
        levels
    }
}

/// The coverage from which on the bands of `ladder` hold an error of so many usual sizes; 1 when none does.
pub(super) fn level_on(ladder: &[(f64, f64, f64)], scaled: f64) -> f64 {
    let reach = |rung: &(f64, f64, f64)| if scaled < 0.0 { rung.1 } else { rung.2 };
    let size = scaled.abs();
    let first = ladder.partition_point(|rung| reach(rung) < size);
    match (first, ladder.get(first)) {
        (_, None) => 1.0,
        (0, _) => 0.0,
        (_, Some(after)) => {
            let before = &ladder[first - 1];
            let share = (size - reach(before)) / (reach(after) - reach(before)).max(f64::MIN_POSITIVE);
            before.0 + share.min(1.0) * (after.0 - before.0)
        }
    }
}

/// For each error the coverage above which a band made of other, not overlapping origins holds it; NaN where there are
/// too few of those.
fn held_out_levels(replay: &Replay, season: Option<usize>) -> Vec<Vec<f64>> {
    let n = replay.origins.len();
    let part_len = n.div_ceil(N_PARTS).max(1);
    let mut levels = Vec::with_capacity(n);
    for (nr, part) in replay.errors.chunks(part_len).enumerate() {
        let part_origins = &replay.origins[nr * part_len..nr * part_len + part.len()];
        let n_leads = part.iter().map(Vec::len).max().unwrap_or(0);
        let is_apart = |origin: usize| part_origins.iter().all(|own| own.abs_diff(origin) >= n_leads);
        let (origins, rows): (Vec<usize>, Vec<&[f64]>) = replay
            .origins
            .iter()
            .zip(&replay.errors)
            .filter(|(origin, _)| is_apart(**origin))
            .map(|(origin, row)| (*origin, &row[..]))
            .unzip();
        let rest = Conformal::of(&origins, &rows, season);
        levels.extend(rest.levels(part_origins, part));
    }
    levels
}
