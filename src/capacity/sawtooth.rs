//! Series that fill and are emptied again: log rotations, purges, garbage collections.
//!
//! Their mean says nothing about the limit, and neither does the slope between two purges; their peaks do.

use crate::series::{mad, median};

/// The least number of completed teeth before their peaks are judged.
const MIN_TEETH: usize = 4;

/// The teeth of a saw-tooth.
#[derive(Clone, Debug)]
pub(super) struct Sawtooth {
    /// The value before each fall, in order of time.
    pub peaks: Vec<f64>,
    /// Mean length of a tooth, in cells.
    pub tooth_len: f64,
    /// Where the current, unfinished tooth begins.
    pub current: usize,
    /// Cells since the last peak.
    pub since_peak: usize,
}

impl Sawtooth {
    /// The teeth of `cells`, NaN where there is a gap; `None` when it is no saw-tooth.
    pub fn of(cells: &[f64]) -> Option<Sawtooth> {
        let present: Vec<(usize, f64)> =
            cells.iter().copied().enumerate().filter(|(_, value)| !value.is_nan()).collect();
        if present.len() < 3 * MIN_TEETH {
            return None;
        }
        let (low, high) = present
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), (_, value)| (low.min(*value), high.max(*value)));
        let moves: Vec<f64> = present.windows(2).map(|pair| pair[1].1 - pair[0].1).collect();
        let usual = median(&moves)?;
        let edge = (6.0 * 1.4826 * mad(&moves, usual)?).max(0.2 * (high - low));
        if edge <= 0.0 {
            return None;
        }
        // A fall may take two cells when a mean straddles it: neighbouring falls are one.
        let mut falls: Vec<(usize, usize)> = Vec::new();
        for (idx, step) in moves.iter().enumerate() {
            if *step < -edge {
                match falls.last_mut() {
                    Some(last) if last.1 == idx => last.1 = idx + 1,
                    _ => falls.push((idx, idx + 1)),
                }
            }
        }
        if falls.len() < MIN_TEETH || falls.len() * 4 > present.len() {
            return None;
        }
        let n_rising = falls.windows(2).filter(|pair| present[pair[1].0].1 > present[pair[0].1].1 + 0.5 * edge).count();
        let rises = moves.iter().filter(|step| **step > edge).count();
        // Teeth climb step by step; a switch between two levels jumps both ways.
        if n_rising * 10 < (falls.len() - 1) * 8 || rises * 2 > falls.len() {
            return None;
        }
        let peaks: Vec<f64> = falls.iter().map(|(top, _)| present[*top].1).collect();
        let (first, last) = (falls[0].0, falls[falls.len() - 1]);
        let tooth_len = (present[last.0].0 - present[first].0) as f64 / (falls.len() - 1) as f64;
        let since_peak = cells.len() - 1 - present[last.0].0;
        Some(Sawtooth { peaks, tooth_len, current: present[last.1].0, since_peak })
    }

    /// Whether the current tooth has outgrown the others: the rotation or purge no longer happens.
    pub fn is_overdue(&self, cells: &[f64]) -> bool {
        let Some(last) = cells.iter().rev().copied().find(|value| !value.is_nan()) else { return false };
        let centre = median(&self.peaks).unwrap_or(last);
        let spread = 1.4826 * mad(&self.peaks, centre).unwrap_or(0.0);
        let highest = self.peaks.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        last > highest && last > centre + 3.0 * spread && self.since_peak as f64 > 1.25 * self.tooth_len
    }
}
