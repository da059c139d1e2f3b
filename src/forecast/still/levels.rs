//! The last values of a series that mostly stands still, and the one in their middle.
//!
//! In: values one by one. Out: their median. They are kept as runs of equal ones, so that a long time at few levels takes
//! little room, and the median is kept up rather than selected anew.

use std::cmp::Ordering;
use std::collections::VecDeque;

/// The last values, `most` or fewer, and their median.
#[derive(Clone, Debug)]
pub struct Levels {
    runs: VecDeque<(f64, u32)>,
    len: usize,
    most: usize,
    middle: Middle,
}

/// The middle one, and how many lie on which side of it.
#[derive(Clone, Copy, Debug)]
struct Middle {
    value: f64,
    n_below: usize,
    n_equal: usize,
    n_above: usize,
}

impl Middle {
    /// How many lie where `value` does.
    fn side_of(&mut self, value: f64) -> &mut usize {
        match value.total_cmp(&self.value) {
            Ordering::Less => &mut self.n_below,
            Ordering::Equal => &mut self.n_equal,
            Ordering::Greater => &mut self.n_above,
        }
    }
}

impl Levels {
    /// The last `most` of `values`, of which there is one at least; none is NaN.
    pub fn of(values: &[f64], most: usize) -> Levels {
        let values = &values[values.len().saturating_sub(most)..];
        let mut sorted = values.to_vec();
        let value = *sorted.select_nth_unstable_by(values.len() / 2, f64::total_cmp).1;
        let middle = Middle { value, n_below: 0, n_equal: 0, n_above: 0 };
        let mut levels = Levels { runs: VecDeque::new(), len: 0, most, middle };
        values.iter().for_each(|value| levels.add(*value));
        levels.runs.shrink_to_fit();
        levels
    }

    /// The median; of an even number the greater of the two in the middle.
    pub fn usual(&self) -> f64 {
        self.middle.value
    }

    /// How many of the last values are so that `goes_on`.
    pub fn count_back(&self, goes_on: impl Fn(f64) -> bool) -> usize {
        self.runs.iter().rev().take_while(|(value, _)| goes_on(*value)).map(|(_, n)| *n as usize).sum()
    }

    /// Bytes on the heap.
    pub fn n_bytes(&self) -> usize {
        self.runs.capacity() * size_of::<(f64, u32)>()
    }

    /// Takes in `value`, and lets the oldest go where there are as many as are kept.
    pub fn push(&mut self, value: f64) {
        if self.len == self.most {
            self.let_go();
        }
        self.add(value);
        self.settle();
    }

    fn add(&mut self, value: f64) {
        match self.runs.back_mut() {
            Some((last, n)) if last.total_cmp(&value).is_eq() => *n += 1,
            _ => self.runs.push_back((value, 1)),
        }
        self.len += 1;
        *self.middle.side_of(value) += 1;
    }

    fn let_go(&mut self) {
        let Some((value, n)) = self.runs.front_mut() else { return };
        *n -= 1;
        let (value, is_used_up) = (*value, *n == 0);
        if is_used_up {
            self.runs.pop_front();
        }
        self.len -= 1;
        *self.middle.side_of(value) -= 1;
    }

    /// Moves the middle to the next values until half of them lie below it: mostly it stays, and else one will do.
    fn settle(&mut self) {
        let half = self.len / 2;
        loop {
            let middle = &mut self.middle;
            let is_below = half < middle.n_below;
            if !is_below && half < middle.n_below + middle.n_equal {
                return;
            }
            let side = if is_below { Ordering::Less } else { Ordering::Greater };
            let others = || self.runs.iter().filter(|(value, _)| value.total_cmp(&middle.value) == side);
            let is_next = |a: &f64, b: &f64| if is_below { b.total_cmp(a) } else { a.total_cmp(b) };
            let Some(next) = others().map(|(value, _)| *value).min_by(is_next) else { return };
            let n_next = others().filter(|(value, _)| value.total_cmp(&next).is_eq()).map(|(_, n)| *n as usize).sum();
            if is_below {
                (middle.n_below, middle.n_above) = (middle.n_below - n_next, middle.n_above + middle.n_equal);
            } else {
                (middle.n_below, middle.n_above) = (middle.n_below + middle.n_equal, middle.n_above - n_next);
            }
            (middle.value, middle.n_equal) = (next, n_next);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_kept_up_as_values_come_and_go() {
        let mut noise = crate::forecast::tests::Noise::seeded(5);
        let values: Vec<f64> = (0..600).map(|t| (noise.normal() * [1.0, 8.0][t / 300]).round() / 4.0).collect();
        let mut levels = Levels::of(&values[..3], 31);
        for n in 4..=values.len() {
            levels.push(values[n - 1]);
            let mut last = values[n.saturating_sub(31)..n].to_vec();
            last.sort_by(f64::total_cmp);
            assert!(levels.usual().total_cmp(&last[last.len() / 2]).is_eq(), "{n}");
        }
    }

    #[test]
    fn values_that_repeat_take_no_room() {
        let values: Vec<f64> = (0..40_000).map(|t| f64::from(t / 700)).collect();
        let levels = Levels::of(&values, 5000);
        assert_eq!((levels.usual(), levels.count_back(|value| value > 55.5)), (53.0, 800));
        assert!(levels.n_bytes() < 256, "{}", levels.n_bytes());
    }
}
