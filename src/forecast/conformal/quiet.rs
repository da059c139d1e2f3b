//! The stretches of the cycle in which errors are of another order.
//!
//! In: errors by origin and lead, and the cycle. Out: which stretches are quiet beside the others, where some are. A
//! job that runs for an hour each night errs by what it does then and by next to nothing all day; pooled, the many
//! small errors would make bands that miss the job every night and are far too wide by day. So each kind has a pool of
//! its own, as conformal prediction by category has it (Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random
//! World", 2005, chapter 4.5). Stretches are apart when two in three errors of every quiet one are smaller than two in
//! three of every other: errors of the same kind look like that in practice never, and one large error does not do it.

use super::n_cells;
use crate::forecast::growth::{n_stretches, stretch, stretches_from};

/// Cycles that a replay must have gone through.
const LEAST_CYCLES: usize = 4;

/// Cells that either kind needs.
const LEAST_CELLS: usize = 8;

/// Which stretches of a cycle of `season` steps are quiet: a bit each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Quiet {
    season: usize,
    stretches: u64,
}

impl Quiet {
    /// Of errors `rows[nr][lead]` made at `origins`; `None` where all are of one kind, or too few are known.
    pub fn find<R: AsRef<[f64]>>(origins: &[usize], rows: &[R], season: usize) -> Option<Quiet> {
        let (first, last) = (origins.first()?, origins.last()?);
        let n_leads = rows.last()?.as_ref().len();
        if last + n_leads - first < LEAST_CYCLES.saturating_mul(season) {
            return None;
        }
        let n = n_stretches(season);
        let n_errors: usize = rows.iter().map(|row| row.as_ref().len()).sum();
        let mut sizes: Vec<Vec<f64>> = (0..n).map(|_| Vec::with_capacity(n_errors.div_ceil(n))).collect();
        for (&origin, row) in origins.iter().zip(rows) {
            let cells = row.as_ref().iter().zip(stretches_from(origin, season));
            cells.filter(|(error, _)| !error.is_nan()).for_each(|(error, stretch)| sizes[stretch].push(error.abs()));
        }
        let mut thirds: Vec<(f64, f64, usize)> = Vec::with_capacity(sizes.len());
        for (nr, sizes) in sizes.iter_mut().enumerate().filter(|(_, sizes)| !sizes.is_empty()) {
            let [at, later] = [1, 2].map(|third| (sizes.len() - 1) * third / 3);
            let (_, &mut lower, above) = sizes.select_nth_unstable_by(at, f64::total_cmp);
            let upper =
                if later == at { lower } else { *above.select_nth_unstable_by(later - at - 1, f64::total_cmp).1 };
            thirds.push((lower, upper, nr));
        }
        thirds.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let (mut widest, mut most, mut stretches) = (1.0, 0.0f64, 0);
        let mut so_far = 0;
        for pair in thirds.windows(2) {
            most = most.max(pair[0].1);
            so_far |= 1 << pair[0].2;
            if pair[1].0 / most > widest {
                (widest, stretches) = (pair[1].0 / most, so_far);
            }
        }
        let quiet = Quiet { season, stretches };
        let is_enough = |is_quiet| n_cells(origins, &quiet.only(origins, rows, is_quiet)) >= LEAST_CELLS;
        (stretches != 0 && is_enough(true) && is_enough(false)).then_some(quiet)
    }

    /// Whether a cell lies in a quiet stretch.
    pub fn holds(&self, cell: usize) -> bool {
        self.stretches >> stretch(cell, self.season) & 1 == 1
    }

    /// The errors of the cells that are quiet, or are not; NaN instead of the others.
    pub fn only<R: AsRef<[f64]>>(&self, origins: &[usize], rows: &[R], is_quiet: bool) -> Vec<Vec<f64>> {
        let is_own = |stretch: usize| (self.stretches >> stretch & 1 == 1) == is_quiet;
        let own = |(error, stretch): (&f64, usize)| if is_own(stretch) { *error } else { f64::NAN };
        let row = |(&origin, row): (&usize, &R)| -> Vec<f64> {
            row.as_ref().iter().zip(stretches_from(origin, self.season)).map(own).collect()
        };
        origins.iter().zip(rows).map(row).collect()
    }
}
