//! A history taken apart: the seasonal profile, the level in blocks, and the noise around it.

use crate::forecast::find_season;
use crate::series::{DAY, History, Millis, Season, Step, median};

/// More cells than this are averaged down first; dates do not need more.
const MAX_CELLS: usize = 4_096;
/// Into how many blocks the level is cut: enough to see it bend, few enough for all pairs of them.
const N_BLOCKS: usize = 120;
/// Cycles the history must hold before a profile is taken from it.
const MIN_CYCLES: usize = 2;
/// The share of the scatter around the moving average that the other cycles must explain of each cycle.
const LEAST_EXPLAINED: f64 = 0.2;

/// A history taken apart. Values grow towards the limit: mirrored when the limit is below.
#[derive(Clone, Debug)]
pub(super) struct Level {
    /// The cells' spacing, ms.
    pub cell: Step,
    /// The cells without the profile; NaN marks a gap.
    pub cells: Vec<f64>,
    /// What the season adds at each phase, counted from the first cell; empty without a season.
    pub profile: Vec<f64>,
    /// Cells per block.
    pub block_len: usize,
    /// The mean of each block's cells, the last block ending at the last cell; NaN marks a gap.
    pub blocks: Vec<f64>,
    /// How far each block's highest cell stands above its mean, ascending, without the wildest.
    pub peaks: Vec<f64>,
}

impl Level {
    /// Takes `history` apart; `sign` is -1 when the limit is below.
    pub fn of(history: &History, season: Option<Season>, sign: f64) -> Level {
        let coarse = coarsen(history, season);
        let factor = coarse.step().millis() / history.step().millis();
        let known = season.and_then(|season| Season::new(season.steps() / usize::try_from(factor).unwrap_or(1).max(1)));
        let season =
            known.or_else(|| find_season(&coarse)).filter(|season| coarse.len() >= MIN_CYCLES * season.steps());
        let mirrored: Vec<f64> = coarse.values().iter().map(|value| sign * value).collect();
        let grid = History::new(coarse.start(), coarse.step(), mirrored);
        let profile = season.map(|season| profile_of(&grid, season.steps())).unwrap_or_default();
        let cells: Vec<f64> =
            grid.values().iter().enumerate().map(|(idx, value)| value - at_phase(&profile, idx)).collect();
        let block_len = (cells.len() / N_BLOCKS).max(1);
        let (blocks, peaks) = into_blocks(&cells, block_len);
        Level { cell: coarse.step(), cells, profile, block_len, blocks, peaks }
    }

    /// A block's length, ms.
    pub fn block_millis(&self) -> f64 {
        self.cell.millis() as f64 * self.block_len as f64
    }

    /// The most the season adds between `from` and `to`, in cells after the last cell.
    pub fn profile_max(&self, from: f64, to: f64) -> f64 {
        let n = self.profile.len();
        if n == 0 {
            return 0.0;
        }
        let (from, to) = (from.ceil().max(1.0) as usize, to.ceil().max(1.0) as usize);
        let count = (to.saturating_sub(from) + 1).min(n);
        let first = self.cells.len() - 1 + from;
        (first..first + count).map(|idx| self.profile[idx % n]).fold(f64::NEG_INFINITY, f64::max)
    }

    /// The most the season ever adds.
    pub fn profile_top(&self) -> f64 {
        if self.profile.is_empty() { 0.0 } else { self.profile.iter().copied().fold(f64::NEG_INFINITY, f64::max) }
    }
}

fn at_phase(profile: &[f64], idx: usize) -> f64 {
    if profile.is_empty() { 0.0 } else { profile[idx % profile.len()] }
}

/// Averages neighbours so that at most about [`MAX_CELLS`] remain, on a spacing that divides the season or the day.
fn coarsen(history: &History, season: Option<Season>) -> History {
    let least = history.len().div_ceil(MAX_CELLS).max(1);
    if least == 1 {
        return history.clone();
    }
    let step = history.step().millis();
    let fits = |factor: &usize| match season {
        Some(season) => season.steps().is_multiple_of(*factor),
        None => DAY % (step * *factor as Millis) == 0,
    };
    let factor = (least..=4 * least).find(fits).unwrap_or(least);
    // The first, partial group is left out, so that the last cell ends where the history does.
    let skip = history.len() % factor;
    let values = history.values()[skip..].chunks(factor).map(mean).collect();
    // A mean stands for the middle of its group; its last instant is the honest time for a level that has happened.
    let start = history.at(skip + factor - 1);
    let step = Step::new(step.saturating_mul(factor as Millis)).unwrap_or(history.step());
    History::new(start, step, values)
}

/// The mean of what is not NaN; NaN when nothing is.
fn mean(values: &[f64]) -> f64 {
    let (sum, n) =
        values.iter().filter(|value| !value.is_nan()).fold((0.0, 0.0), |(sum, n), value| (sum + value, n + 1.0));
    sum / n
}

/// What the season adds at each phase: medians of the distances to the centred moving average, which sum to zero.
fn profile_of(grid: &History, season: usize) -> Vec<f64> {
    let filled = grid.filled();
    let half = season / 2;
    let mut at_phase: Vec<Vec<f64>> = vec![Vec::new(); season];
    let mut sums = vec![0.0; filled.len() + 1];
    for (idx, value) in filled.iter().enumerate() {
        sums[idx + 1] = sums[idx] + value;
    }
    for idx in half..filled.len().saturating_sub(half) {
        let value = grid.values()[idx];
        if value.is_nan() {
            continue;
        }
        let whole = sums[idx + half + 1] - sums[idx - half];
        // With an even season both ends count half, so that every phase weighs the same.
        let centre = if season.is_multiple_of(2) {
            (whole - 0.5 * (filled[idx - half] + filled[idx + half])) / season as f64
        } else {
            whole / season as f64
        };
        at_phase[idx % season].push(value - centre);
    }
    // A step or a leak looks like a season to whom it happens once: what a cycle does, the others must foretell.
    if explained(&at_phase) < LEAST_EXPLAINED {
        return Vec::new();
    }
    let mut profile: Vec<f64> = at_phase.iter().map(|off| median(off).unwrap_or(0.0)).collect();
    let centre = mean(&profile);
    profile.iter_mut().for_each(|off| *off -= centre);
    profile
}

/// The share of the squared distances that the mean of the same phase's other cycles explains; 0 when too few phases
/// were seen twice.
fn explained(at_phase: &[Vec<f64>]) -> f64 {
    let (mut whole, mut left, mut n) = (0.0, 0.0, 0);
    for seen in at_phase.iter().filter(|seen| seen.len() >= 2) {
        let sum: f64 = seen.iter().sum();
        for off in seen {
            let others = (sum - off) / (seen.len() - 1) as f64;
            whole += off * off;
            left += (off - others) * (off - others);
        }
        n += 1;
    }
    if 2 * n >= at_phase.len() && whole > 0.0 { 1.0 - left / whole } else { 0.0 }
}

/// Means of blocks that end with the last cell, and how far their highest cells stand above them.
fn into_blocks(cells: &[f64], block_len: usize) -> (Vec<f64>, Vec<f64>) {
    let skip = cells.len() % block_len;
    let blocks: Vec<f64> = cells[skip..].chunks(block_len).map(mean).collect();
    let mut peaks: Vec<f64> = Vec::new();
    for (idx, block) in cells[skip..].chunks(block_len).enumerate() {
        let centre = blocks[idx];
        // Growth within a block is no noise: measure from the line through the neighbours.
        let (from, to) = (idx.saturating_sub(1), (idx + 1).min(blocks.len() - 1));
        let slope = (blocks[to] - blocks[from]) / ((to - from).max(1) * block_len) as f64;
        let slope = if slope.is_nan() { 0.0 } else { slope };
        let middle = (block_len - 1) as f64 / 2.0;
        let above = |(idx, value): (usize, &f64)| value - centre - slope * (idx as f64 - middle);
        let top = block.iter().enumerate().map(above).filter(|off| !off.is_nan()).fold(f64::NEG_INFINITY, f64::max);
        if top.is_finite() {
            peaks.push(top.max(0.0));
        }
    }
    peaks.sort_unstable_by(f64::total_cmp);
    // One spike is no usual peak: what stands beyond three deviations counts as the edge.
    if let Some(centre) = median(&peaks) {
        let off: Vec<f64> = peaks.iter().map(|peak| (peak - centre).abs()).collect();
        let edge = centre + 3.0 * 1.4826 * median(&off).unwrap_or(0.0);
        peaks.iter_mut().for_each(|peak| *peak = peak.min(edge));
    }
    (blocks, peaks)
}
