//! Which blocks to merge, and how a flush is cut into blocks: pure decisions over times and sizes.
//!
//! Blocks lie in windows that begin at multiples of their length: 2 hours, a day, 30 days. When a window is over, the
//! blocks inside become one. Only blocks are merged between which nothing arrived for the same time, so that the
//! result can stand where they stood and last write wins stays true.
//!
//! What that costs: a sample that comes in time is rewritten once per level, and a few times more where flushes are
//! many, by blocks of about its block's size. Late samples gather in blocks of their own, at most `max_blocks` in a
//! window, which are merged with each other; the large block is rewritten for them when they are an eighth of it, or
//! when none has come for a week. So a window that is over is rewritten at most once a week, however little comes.

use std::collections::BTreeMap;
use std::ops::Range;

use super::block::Effort;
use crate::series::{DAY, HOUR, MINUTE, Millis};

/// The lengths of windows, shortest first.
pub(super) const WINDOWS: [Millis; 3] = [2 * HOUR, DAY, 30 * DAY];
const MONTH: usize = WINDOWS.len() - 1;
// After a window's end, before its blocks are merged: most of what is late has come by then.
const GRACE: [Millis; 3] = [10 * MINUTE, HOUR, 2 * HOUR];
// And so long nothing must have come for it.
const QUIET: Millis = 2 * MINUTE;
// Samples of a merged block at most, about 200 MB: an hour of 35,000 a second. One of half as many stays.
const MAX_SAMPLES: u64 = 128 << 20;
// Series in all sources of a merge, whose indexes are in memory at the same time; up to 120 bytes each where the sources
// have different series.
const MAX_RUNS: u64 = 500_000;
// After the end of a block's last day, and after it was written, before anything is made from it.
const SETTLED_AFTER: Millis = 2 * HOUR;
// A large block is not rewritten for less than this share of its samples,
const WORTH_SHARE: u64 = 8;
// until so long nothing has come that would have to be merged again.
const LATE_AFTER: Millis = 7 * DAY;

/// What a decision needs to know of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) sequence: u64,
    pub(super) min_time: Millis,
    pub(super) max_time: Millis,
    pub(super) n_samples: u64,
    pub(super) n_series: u64,
    /// When it was written, by the wall clock.
    pub(super) born: Millis,
    /// Whether it is compressed as one that stays.
    pub(super) is_lasting: bool,
    /// Whether its file is here or can be fetched: otherwise it is not merged now.
    pub(super) is_within_reach: bool,
}

impl Piece {
    fn overlaps(&self, other: &Piece) -> bool {
        self.min_time <= other.max_time && other.min_time <= self.max_time
    }

    /// The number of the window of this length that it is in, if it is in one.
    fn window(&self, length: Millis) -> Option<Millis> {
        let window = self.min_time.div_euclid(length);
        (self.max_time.div_euclid(length) == window).then_some(window)
    }
}

/// Blocks to merge, by their place among the pieces.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) blocks: Vec<usize>,
    pub(super) effort: Effort,
}

/// When to merge.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) now: Millis,
    /// Blocks of a window that is not over stay as they are, up to so many.
    pub(super) max_blocks: usize,
    /// Whether to wait until nothing comes any more.
    pub(super) is_patient: bool,
    /// The level of the longest windows whose blocks become one when they are over.
    pub(super) longest: usize,
}

/// The next merge, if one is due; `pieces` are in order of arrival.
pub(super) fn plan(pieces: &[Piece], rules: Rules) -> Option<Plan> {
    // Long windows first: what is to become a part of a long block need not become a short one before.
    for (level, length) in WINDOWS.into_iter().enumerate().rev() {
        let mut windows: BTreeMap<Millis, Vec<usize>> = BTreeMap::new();
        for (number, piece) in pieces.iter().enumerate().filter(|(_, piece)| may_merge(piece)) {
            if let Some(window) = piece.window(length) {
                windows.entry(window).or_default().push(number);
            }
        }
        for (window, members) in windows {
            let Some(wanted) = wanted(pieces, &members, level, window, rules) else { continue };
            let blocks = mergeable(pieces, &wanted);
            if blocks.len() >= 2 || blocks.len() == wanted.len() {
                let n_samples: u64 = blocks.iter().map(|number| pieces[*number].n_samples).sum();
                let is_lasting = level >= rules.longest || n_samples > MAX_SAMPLES / 2;
                return Some(Plan { blocks, effort: if is_lasting { Effort::Lasting } else { Effort::Fresh } });
            }
        }
    }
    None
}

/// Whether it is neither full nor out of reach.
fn may_merge(piece: &Piece) -> bool {
    piece.n_samples <= MAX_SAMPLES / 2 && piece.is_within_reach
}

/// Those of a window's blocks that should become one.
fn wanted(pieces: &[Piece], members: &[usize], level: usize, window: Millis, rules: Rules) -> Option<Vec<usize>> {
    let is_quiet_for = |members: &[usize], span: Millis| {
        members.iter().all(|number| rules.now.saturating_sub(pieces[*number].born) >= span)
    };
    let is_quiet = |members: &[usize]| !rules.is_patient || is_quiet_for(members, QUIET);
    let sizes = |members: &[usize]| members.iter().map(|number| pieces[*number].n_samples).collect::<Vec<_>>();
    let picked = |members: Vec<usize>| pick(&sizes(&members), rules.max_blocks).map(|range| members[range].to_vec());
    let is_over = rules.now >= (window + 1).saturating_mul(WINDOWS[level]).saturating_add(GRACE[level]);
    if is_over && level <= rules.longest {
        let largest = members.iter().map(|number| pieces[*number]).max_by_key(|piece| piece.n_samples)?;
        let all: u64 = sizes(members).iter().sum();
        let is_due = is_worth(all - largest.n_samples, largest.n_samples) || is_quiet_for(members, LATE_AFTER);
        // What stays is written once as what stays, be it alone.
        let is_last_time = level == rules.longest && !largest.is_lasting;
        if is_quiet(members) && (is_last_time || (members.len() >= 2 && is_due)) {
            return Some(members.to_vec());
        }
        // While late samples go on coming, theirs must not become ever more.
        return picked(members.to_vec());
    }
    if level == MONTH && level == rules.longest {
        // Days that are over need not wait for the month's end.
        let today = rules.now.div_euclid(DAY) * DAY - HOUR;
        let past: Vec<usize> = members.iter().copied().filter(|number| pieces[*number].max_time < today).collect();
        if is_quiet(&past)
            && let Some(wanted) = picked(past)
        {
            return Some(wanted);
        }
    }
    // Blocks that reach over shorter windows will be found there.
    let is_of_this_level = |number: &usize| level == 0 || pieces[*number].window(WINDOWS[level - 1]).is_none();
    picked(members.iter().copied().filter(is_of_this_level).collect())
}

/// Whether so many samples are enough to rewrite a block of `n_samples` for.
fn is_worth(n_more: u64, n_samples: u64) -> bool {
    n_more.saturating_mul(WORTH_SHARE) >= n_samples
}

/// The longest windows worth filling when samples are deleted at this age: a block goes as a whole, when its newest
/// sample does, and must not keep the others for long.
pub(super) fn longest(retention: Option<Millis>) -> usize {
    let is_short = retention.is_some_and(|retention| retention < 2 * WINDOWS[MONTH]);
    if is_short { MONTH - 1 } else { MONTH }
}

/// The number of the 30 days in which this instant is; no merge reaches over their end.
pub(super) fn month_of(at: Millis) -> Millis {
    at.div_euclid(WINDOWS[MONTH])
}

/// Whether a block's days are over and no other block is there that it should become one with, so that what is made
/// from it holds for a while.
pub(super) fn is_settled(pieces: &[Piece], number: usize, now: Millis) -> bool {
    let piece = &pieces[number];
    let end = (piece.max_time.div_euclid(DAY) + 1).saturating_mul(DAY);
    if now <= end.saturating_add(SETTLED_AFTER) || now.saturating_sub(piece.born) <= SETTLED_AFTER {
        return false;
    }
    // Blocks that are full are merged with none.
    let may_merge = |piece: &Piece| piece.n_samples <= MAX_SAMPLES / 2;
    let others = pieces.iter().enumerate().filter(|(other, _)| *other != number).map(|(_, other)| other);
    let n_others: u64 =
        others.filter(|other| may_merge(other) && piece.overlaps(other)).map(|other| other.n_samples).sum();
    !may_merge(piece) || n_others == 0 || !is_worth(n_others, piece.n_samples)
}

/// Which of some blocks, by their sizes and in order of arrival, to merge so that at most `max_blocks` stay.
///
/// Rather than always merging everything, it takes the youngest blocks as long as they are of about one size with
/// what they are merged into: each sample is rewritten only logarithmically often.
fn pick(n_samples: &[u64], max_blocks: usize) -> Option<Range<usize>> {
    let n_blocks = n_samples.len();
    let max_blocks = max_blocks.max(2);
    if n_blocks <= max_blocks {
        return None;
    }
    let (mut start, mut sum) = (n_blocks - 1, n_samples[n_blocks - 1]);
    while start > 0 && n_samples[start - 1] <= sum.saturating_mul(2) {
        start -= 1;
        sum += n_samples[start];
    }
    if n_blocks - start > max_blocks / 2 {
        return Some(start..n_blocks);
    }
    // No such tail: the cheapest neighbours that bring the number down.
    let len = n_blocks - max_blocks + 1;
    let cost = |start: usize| n_samples[start..start + len].iter().sum::<u64>();
    (0..=n_blocks - len).min_by_key(|start| cost(*start)).map(|start| start..start + len)
}

/// The first of `wanted` that can be merged with each other: not too large, and nothing came between them.
fn mergeable(pieces: &[Piece], wanted: &[usize]) -> Vec<usize> {
    let mut taken: Vec<usize> = Vec::new();
    // Blocks of one flush have no sample in common: they come together.
    for flush in wanted.chunk_by(|a, b| pieces[*a].sequence == pieces[*b].sequence) {
        let all = || taken.iter().chain(flush).map(|number| &pieces[*number]);
        let n_samples: u64 = all().map(|piece| piece.n_samples).sum();
        let n_series: u64 = all().map(|piece| piece.n_series).sum();
        let is_too_large = n_samples > MAX_SAMPLES || (taken.len() >= 2 && n_series > MAX_RUNS);
        if is_too_large || comes_between(pieces, &taken, flush) {
            if taken.len() >= 2 {
                break;
            }
            taken.clear();
        }
        taken.extend(flush);
    }
    taken
}

/// Whether a block that is left out arrived after one of `taken`, has samples of the same time, and would be beaten by
/// a block that stands where `next` stands.
fn comes_between(pieces: &[Piece], taken: &[usize], next: &[usize]) -> bool {
    let Some(end) = next.first().map(|number| pieces[*number].sequence) else { return false };
    let is_left_out = |number: &usize| !taken.contains(number) && !next.contains(number);
    let others = || (0..pieces.len()).filter(is_left_out).map(|number| &pieces[number]);
    taken.iter().map(|number| &pieces[*number]).any(|piece| {
        others().any(|other| piece.sequence < other.sequence && other.sequence <= end && piece.overlaps(other))
    })
}

/// How a flush is cut into blocks: for each block the windows of 2 hours it takes.
///
/// `counts` has about how many samples each window has, by its number: what came twice counts twice. What is much gets a
/// block of its own; the little that is late or old and lies in many windows shares one per day, or per 30 days, instead
/// of making many tiny ones.
pub(super) fn cut(counts: &BTreeMap<Millis, u64>) -> Vec<Vec<Millis>> {
    let n_all: u64 = counts.values().sum();
    let mut blocks = Vec::new();
    for (_, windows) in by_window(counts.keys().copied(), MONTH) {
        cut_window(counts, windows, MONTH, n_all, &mut blocks);
    }
    blocks
}

// A part of a flush with at least this share of its samples gets blocks of its own.
const LARGE_SHARE: u64 = 10;
// And so do a few small parts.
const MAX_SMALL: usize = 2;

fn cut_window(
    counts: &BTreeMap<Millis, u64>,
    windows: Vec<Millis>,
    level: usize,
    n_all: u64,
    blocks: &mut Vec<Vec<Millis>>,
) {
    if level == 0 || windows.len() == 1 {
        blocks.push(windows);
        return;
    }
    let parts: Vec<Vec<Millis>> = by_window(windows.into_iter(), level - 1).into_values().collect();
    let is_large = |part: &Vec<Millis>| part.iter().map(|window| counts[window]).sum::<u64>() * LARGE_SHARE >= n_all;
    let (large, small): (Vec<_>, Vec<_>) = parts.into_iter().partition(is_large);
    let (alone, together) = if small.len() <= MAX_SMALL { (small, Vec::new()) } else { (Vec::new(), small) };
    for part in large.into_iter().chain(alone) {
        cut_window(counts, part, level - 1, n_all, blocks);
    }
    blocks.extend(Some(together.concat()).filter(|together| !together.is_empty()));
}

/// Windows of 2 hours by the longer ones they are in.
fn by_window(windows: impl Iterator<Item = Millis>, level: usize) -> BTreeMap<Millis, Vec<Millis>> {
    let mut parts: BTreeMap<Millis, Vec<Millis>> = BTreeMap::new();
    for window in windows {
        parts.entry(window.div_euclid(WINDOWS[level] / WINDOWS[0])).or_default().push(window);
    }
    parts
}

#[cfg(test)]
mod tests;
