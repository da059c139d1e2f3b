//! A metric that was stuck: one value to the digit for longer than a cycle, in a series that hardly ever has one twice.
//!
//! In: values. Out: the runs of cells that are no measurement but the last one told again, and the values with gaps
//! there. Where it was stuck, whoever repeats it was right to the digit, for weeks: he would be chosen, with bands of
//! no width, for what comes after. It is told with hindsight, from the value on that is another: what has not moved yet
//! may be stuck or stand still, and is forecast to go on so.
//!
//! What stands still by nature is none: what has levels or whole numbers repeats values elsewhere too; what idles comes
//! back to the value; what hardly ever falls, a counter or a disk that fills, goes on from where it stood.

use std::borrow::Cow;
use std::ops::Range;

/// Cells of a run that are looked at.
const LEAST_RUN: usize = 12;

/// One in so many of the values elsewhere may be one that comes twice.
const HARDLY_EVER: usize = 50;

/// In a series that goes one way fewer than one in so many changes go the other.
const ONE_WAY: usize = 10;

/// Values elsewhere that tell whether they repeat.
const LEAST_KNOWN: usize = 50;

/// The runs of one value in `values` that are over, and like nothing else there; gaps end none.
pub(super) fn runs(values: &[f64]) -> Vec<Range<usize>> {
    let long = long_runs(values);
    if long.is_empty() {
        return long;
    }
    // What is not in one of these, and of each of these one.
    let mut elsewhere = Vec::with_capacity(values.len());
    let mut from = 0;
    for run in &long {
        elsewhere.extend(values[from..=run.start].iter().filter(|value| !value.is_nan()));
        from = run.end;
    }
    elsewhere.extend(values[from..].iter().filter(|value| !value.is_nan()));
    if elsewhere.len() < LEAST_KNOWN || is_one_way(&elsewhere) {
        return Vec::new();
    }
    elsewhere.sort_unstable_by(f64::total_cmp);
    let n_twice: usize = elsewhere.chunk_by(|a, b| a == b).map(<[f64]>::len).filter(|n| *n > 1).sum();
    if n_twice * HARDLY_EVER > elsewhere.len() {
        return Vec::new();
    }
    let is_unlike_others = |run: &Range<usize>| {
        let first = elsewhere.partition_point(|other| *other < values[run.start]);
        elsewhere.get(first + 1).is_none_or(|next| *next != values[run.start])
    };
    long.into_iter().filter(is_unlike_others).collect()
}

/// The runs of one value, from the first cell that has it to the last, that have values before and after them.
fn long_runs(values: &[f64]) -> Vec<Range<usize>> {
    let mut known = values.iter().enumerate().filter(|(_, value)| !value.is_nan());
    let Some((first, &value)) = known.next() else { return Vec::new() };
    let mut runs = Vec::new();
    let (mut run, mut same, mut n) = (first..first + 1, value, 1);
    for (idx, &value) in known {
        if value == same {
            (run.end, n) = (idx + 1, n + 1);
            continue;
        }
        if n >= LEAST_RUN && run.start > first {
            runs.push(run);
        }
        (run, same, n) = (idx..idx + 1, value, 1);
    }
    runs
}

/// `values` with gaps in place of `runs`.
pub(super) fn without<'a>(values: &'a [f64], runs: &[Range<usize>]) -> Cow<'a, [f64]> {
    let mut shown = Cow::Borrowed(values);
    runs.iter().for_each(|run| shown.to_mut()[run.clone()].fill(f64::NAN));
    shown
}

/// Whether nearly all changes are rises, or falls.
fn is_one_way(values: &[f64]) -> bool {
    let n_rises = values.windows(2).filter(|pair| pair[1] > pair[0]).count();
    let n_few = (values.len() - 1) / ONE_WAY;
    n_rises <= n_few || n_rises + n_few + 1 >= values.len()
}

#[cfg(test)]
mod tests;
