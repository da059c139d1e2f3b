//! One known column, whatever tells it: windows of an event, or numbers on the series' own grid.

use crate::forecast::past::{Past, Regressor};
use crate::series::{Millis, Step, median};

/// What tells a column.
#[derive(Clone, Debug, PartialEq)]
enum Told {
    /// The share of each cell that lies in one of these, sorted and apart.
    Windows(Vec<(Millis, Millis)>),
    /// A number per cell from `start` on, NaN where it is not known; `usual` is taken off.
    Cells { start: Millis, step: Step, values: Vec<f64>, usual: f64 },
}

/// A column known beforehand.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::forecast) struct Column {
    pub name: String,
    told: Told,
}

impl Column {
    /// That of an event, which may be told in any order and more than once.
    pub fn of_windows(name: String, mut windows: Vec<(Millis, Millis)>) -> Column {
        windows.sort_unstable();
        windows.dedup_by(|later, before| {
            let meets = later.0 <= before.1;
            if meets {
                before.1 = before.1.max(later.1);
            }
            meets
        });
        Column { name, told: Told::Windows(windows) }
    }

    /// Numbers whose first belongs to the first cell of `past`, beyond their end unknown. What they are is counted from
    /// their median over the past: where nothing is known, what is usual is the best guess.
    pub fn of_cells(regressor: &Regressor, past: &Past<'_>) -> Column {
        let values = &regressor.values;
        let usual = median(&values[..past.len().min(values.len())]).unwrap_or(0.0);
        let told = Told::Cells { start: past.start(), step: past.step(), values: values.clone(), usual };
        Column { name: regressor.name.clone(), told }
    }

    /// Whether it is that of an event.
    pub fn is_of_event(&self) -> bool {
        matches!(self.told, Told::Windows(_))
    }

    /// What it is at a cell, less what it usually is; `None` where that is not known.
    pub fn at(&self, at: Millis, len: Millis) -> Option<f64> {
        match &self.told {
            Told::Windows(windows) => {
                let end = at.saturating_add(len);
                let first = windows.partition_point(|(_, to)| *to <= at);
                let shared = windows[first..].iter().take_while(|(from, _)| *from < end);
                let shared: Millis = shared.map(|(from, to)| end.min(*to) - at.max(*from)).sum();
                Some(shared as f64 / len.max(1) as f64)
            }
            Told::Cells { start, step, values, usual } => {
                // The nearest: months stand beside an even grid of them.
                let off = at.checked_sub(*start)?.saturating_add(step.millis() / 2);
                let idx = usize::try_from(off.div_euclid(step.millis())).ok()?;
                values.get(idx).map(|value| value - usual).filter(|value| value.is_finite())
            }
        }
    }

    /// The same without what lies before `from`, to be kept beside a model that stands there.
    pub fn after(&self, from: Millis) -> Column {
        let told = match &self.told {
            Told::Windows(windows) => Told::Windows(windows.iter().copied().filter(|(_, to)| *to > from).collect()),
            Told::Cells { start, step, values, usual } => {
                let skipped = (from.saturating_sub(*start) / step.millis()).max(0);
                let n = usize::try_from(skipped).unwrap_or(usize::MAX).min(values.len());
                let start = start.saturating_add(step.millis().saturating_mul(n as Millis));
                Told::Cells { start, step: *step, values: values[n..].to_vec(), usual: *usual }
            }
        };
        Column { name: self.name.clone(), told }
    }

    /// What it holds, in bytes.
    pub fn n_bytes(&self) -> usize {
        let told = match &self.told {
            Told::Windows(windows) => size_of_val(&windows[..]),
            Told::Cells { values, .. } => size_of_val(&values[..]),
        };
        self.name.capacity() + told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_counts_by_the_share_of_the_cell_it_covers() {
        let column = Column::of_windows("it".to_owned(), vec![(250, 280), (10, 60), (50, 120), (290, 300)]);
        let shares = [0, 100, 200, 300].map(|at| column.at(at, 100).unwrap());
        assert_eq!(shares, [0.9, 0.2, 0.4, 0.0]);
        assert_eq!(column.after(200).at(200, 100), Some(0.4));
    }

    #[test]
    fn numbers_are_counted_from_what_is_usual_and_unknown_beyond_their_end() {
        let values = [1.0, 2.0, 3.0];
        let past = Past::new(1_000, Step::seconds(1), &values);
        let told = [5.0, 7.0, f64::NAN, 9.0];
        let column = Column::of_cells(&Regressor { name: "load".to_owned(), values: told.to_vec() }, &past);
        let at = |column: &Column| [0, 1_000, 3_000, 4_000, 5_000].map(|at| column.at(at, 1_000));
        // The median of what is known of the past is 6.
        assert_eq!(at(&column), [None, Some(-1.0), None, Some(3.0), None]);
        assert_eq!(at(&column.after(past.end())), [None, None, None, Some(3.0), None]);
    }
}
