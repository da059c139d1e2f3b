//! The sum or the mean of several histories, as a history of its own.
//!
//! In: one history after the other, so that a thousand members need not be held at once. Out: a [`History`] whose every
//! value is of all members that were there, or a gap. A sum of not all its members is not the sum: where one of them has
//! a gap, so has the aggregate, but for gaps of few cells, which are bridged by a straight line. A member is there from
//! its first value to its last; before and after it adds nothing to a sum and does not count in a mean. Only one whose
//! last value is recent is late rather than gone: the aggregate then ends with it.

use std::fmt;
use std::str::FromStr;

use super::calendar::Calendar;
use super::history::{History, filled};
use super::time::{Millis, Step};

/// Cells of a gap that are bridged.
const BRIDGED: usize = 3;
/// A member silent for so many steps at the end is gone, and not late.
const LATE_STEPS: usize = 5;

/// What is made of several series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Aggregate {
    /// Their values added up.
    Sum,
    /// Their values added up, over how many there were.
    Mean,
}

impl fmt::Display for Aggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Aggregate::Sum => "sum",
            Aggregate::Mean => "mean",
        })
    }
}

/// A word that is no aggregate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no aggregate; known are sum and mean")]
pub struct UnknownAggregate(pub String);

impl FromStr for Aggregate {
    type Err = UnknownAggregate;

    fn from_str(text: &str) -> Result<Aggregate, UnknownAggregate> {
        match text.trim() {
            "sum" => Ok(Aggregate::Sum),
            "mean" => Ok(Aggregate::Mean),
            _ => Err(UnknownAggregate(text.to_owned())),
        }
    }
}

/// Adds histories up on one grid.
#[derive(Clone, Debug)]
pub struct Aggregator {
    start: Millis,
    step: Step,
    calendar: Option<Calendar>,
    sums: Vec<f64>,
    counts: Vec<u32>,
    /// Cells at which a member that was there has no value.
    holes: Vec<bool>,
    /// For each member the cell of its last value.
    lasts: Vec<usize>,
    /// And whether that is a month, or months, of which it has the beginning only.
    begun: Vec<bool>,
}

impl Aggregator {
    /// A grid of `n_cells` from `start` on.
    pub fn new(start: Millis, step: Step, n_cells: usize) -> Aggregator {
        Aggregator {
            start,
            step,
            calendar: None,
            sums: vec![0.0; n_cells],
            counts: vec![0; n_cells],
            holes: vec![false; n_cells],
            lasts: Vec::new(),
            begun: Vec::new(),
        }
    }

    /// The same cells of months, at the days of `calendar`: members are put into them by the months that their samples
    /// are of, on whatever day.
    #[must_use]
    pub fn on(self, calendar: Calendar) -> Aggregator {
        Aggregator { calendar: Some(calendar), ..self }
    }

    /// Adds a member. Finer cells are averaged, those of the same step go to the cell nearest to them; a coarser member
    /// has gaps. One without a value in the grid is none.
    pub fn add(&mut self, member: &History) {
        let own = self.on_grid(member);
        let (Some(first), Some(last)) =
            (own.iter().position(|it| !it.is_nan()), own.iter().rposition(|it| !it.is_nan()))
        else {
            return;
        };
        let life = &own[first..=last];
        let bridged = filled(life);
        let mut idx = 0;
        while idx < life.len() {
            let gap = life[idx..].iter().take_while(|value| value.is_nan()).count();
            let (from, to) = (idx, idx + gap.max(1));
            for (at, value) in bridged.iter().enumerate().take(to).skip(from) {
                if gap > BRIDGED {
                    self.holes[first + at] = true;
                } else {
                    self.sums[first + at] += value;
                    self.counts[first + at] += 1;
                }
            }
            idx = to;
        }
        self.lasts.push(last);
        self.begun.push(self.has_begun(member));
    }

    /// How many members it has.
    pub fn n_members(&self) -> usize {
        self.lasts.len()
    }

    /// The aggregate, from the first cell with a value to the last that all present members have, and, of months, have
    /// all of.
    pub fn finish(self, how: Aggregate) -> History {
        let latest = self.lasts.iter().copied().max().unwrap_or(0);
        let ends = self.lasts.iter().zip(&self.begun).filter(|(last, _)| *last + LATE_STEPS > latest);
        let end = ends.map(|(last, begun)| last + usize::from(!begun)).min().unwrap_or(0);
        let value = |idx: usize| match (self.holes[idx], self.counts[idx], how) {
            (true, ..) | (_, 0, _) => f64::NAN,
            (_, _, Aggregate::Sum) => self.sums[idx],
            (_, n, Aggregate::Mean) => self.sums[idx] / f64::from(n),
        };
        let values: Vec<f64> = (0..end).map(value).collect();
        let first = values.iter().position(|value| !value.is_nan()).unwrap_or(values.len());
        let even = self.start.saturating_add(self.step.millis().saturating_mul(first as Millis));
        let start = self.calendar.map_or(even, |calendar| calendar.next_to(even));
        History::new(start, self.step, values[first..].to_vec()).on(self.calendar)
    }

    /// Whether `member` has the beginning of its last months here, and no more.
    fn has_begun(&self, member: &History) -> bool {
        let newest = member.at(member.len().saturating_sub(1));
        self.calendar.is_some()
            && self.is_finer(member)
            && self.cell_of(member, newest).is_some_and(|cell| self.cell_of(member, member.end()) == Some(cell))
    }

    /// Whether several of the member's cells are in one of these. Months are not equally long, and so is the step of a
    /// member that is too young for a calendar.
    fn is_finer(&self, member: &History) -> bool {
        let step = self.calendar.and_then(|_| Calendar::even(member.step())).unwrap_or(member.step());
        step < self.step
    }

    /// In which cell what a member has at `at` belongs; there may be no such cell.
    fn cell_of(&self, member: &History, at: Millis) -> Option<i64> {
        // Months are counted, for they are not equally long.
        let (unit, off) = match self.calendar {
            None => (self.step.millis(), at.saturating_sub(self.start)),
            Some(own) => {
                let off = member.calendar().unwrap_or(own).month_of(at)? - own.month_of(self.start)?;
                (Calendar::months_in(self.step), off)
            }
        };
        let off = if self.is_finer(member) { off } else { off.saturating_add(unit / 2) };
        Some(off.div_euclid(unit))
    }

    /// The member's values in the cells of this grid.
    fn on_grid(&self, member: &History) -> Vec<f64> {
        let mut sums = vec![(0.0, 0u32); self.sums.len()];
        for sample in member.samples() {
            let cell = self.cell_of(member, sample.at).and_then(|cell| usize::try_from(cell).ok());
            if let Some((sum, n)) = cell.and_then(|cell| sums.get_mut(cell)) {
                *sum += sample.value;
                *n += 1;
            }
        }
        sums.into_iter().map(|(sum, n)| if n == 0 { f64::NAN } else { sum / f64::from(n) }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAP: f64 = f64::NAN;

    fn check(how: Aggregate, members: &[(Millis, &[f64])], expected: (Millis, &[f64])) {
        let mut all = Aggregator::new(0, Step::seconds(1), 20);
        for (start, values) in members {
            all.add(&History::new(*start, Step::seconds(1), values.to_vec()));
        }
        let got = all.finish(how);
        assert_eq!((got.start(), format!("{:?}", got.values())), (expected.0, format!("{:?}", expected.1)));
    }

    #[test]
    fn members_add_up_while_they_are_there() {
        let (a, b): (&[f64], &[f64]) = (&[1.0, 2.0, 3.0, 4.0, 5.0], &[10.0, 10.0, 10.0]);
        check(Aggregate::Sum, &[(0, a), (2_000, b)], (0, &[1.0, 2.0, 13.0, 14.0, 15.0]));
        check(Aggregate::Mean, &[(0, a), (2_000, b)], (0, &[1.0, 2.0, 6.5, 7.0, 7.5]));
        // Off the grid by less than half a step.
        check(Aggregate::Sum, &[(1_400, a)], (1_000, a));
        check(Aggregate::Sum, &[], (0, &[]));
    }

    #[test]
    fn a_short_gap_is_bridged_and_a_long_one_is_one_of_the_sum() {
        let short = [1.0, GAP, GAP, GAP, 5.0];
        check(Aggregate::Sum, &[(0, &short), (0, &[1.0; 5])], (0, &[2.0, 3.0, 4.0, 5.0, 6.0]));
        let long = [1.0, GAP, GAP, GAP, GAP, 6.0];
        check(Aggregate::Sum, &[(0, &long), (0, &[1.0; 6])], (0, &[2.0, GAP, GAP, GAP, GAP, 7.0]));
    }

    #[test]
    fn who_is_late_ends_the_sum_and_who_is_gone_does_not() {
        let ten = [1.0; 10];
        check(Aggregate::Sum, &[(0, &ten), (0, &[2.0; 8])], (0, &[3.0; 8]));
        let gone: Vec<f64> = [vec![3.0; 4], vec![1.0; 6]].concat();
        check(Aggregate::Sum, &[(0, &ten), (0, &[2.0; 4])], (0, &gone));
        check(Aggregate::Mean, &[(0, &ten), (0, &[3.0; 4])], (0, &[vec![2.0; 4], vec![1.0; 6]].concat()));
    }

    #[test]
    fn finer_members_are_averaged() {
        let mut all = Aggregator::new(0, Step::seconds(2), 3);
        all.add(&History::new(0, Step::seconds(1), vec![1.0, 3.0, 5.0, 7.0, 9.0, 11.0]));
        all.add(&History::new(0, Step::seconds(2), vec![10.0, 10.0, 10.0]));
        assert_eq!(all.n_members(), 2);
        assert_eq!(all.finish(Aggregate::Sum).values(), [12.0, 16.0, 20.0]);
    }

    #[test]
    fn the_words_are_known() {
        assert_eq!(("sum".parse(), "mean".parse()), (Ok(Aggregate::Sum), Ok(Aggregate::Mean)));
        assert!("max".parse::<Aggregate>().unwrap_err().to_string().contains("sum and mean"));
    }
}
