//! A value explained by earlier values of its series, its place in the cycle and whatever else is known of its moment,
//! by least squares.
//!
//! In: values with gaps and a [`Design`]. Out: what each earlier value, each place and each other column is worth. Rows
//! that touch a gap are left out; nothing is filled in.
//!
//! The places of the cycle are taken off every column before the sums are made, which gives what a column per place
//! would give at a fraction of the cost: O(n k^2 + m k) with k columns and m places. Source: Frisch and Waugh, "Partial
//! time regressions as compared with individual trends", 1933.

use super::least_squares::{Normal, dot};
use super::profile::mended;

/// Rows that a coefficient must have to itself.
const LEAST_ROWS: usize = 3;

/// What a row is off by at most, in mean sizes of that, to count in full: three in a hundred normal errors are further.
const FAR_OFF: f64 = 2.7;

/// What a value is explained by.
pub(super) struct Design<'a> {
    /// How many steps back the earlier values lie, none twice.
    pub lags: &'a [usize],
    /// Places of the cycle that have an effect each; 1 is a constant.
    pub n_places: usize,
    /// How many columns `others` writes.
    pub n_others: usize,
    /// Writes what else is known of a cell.
    pub others: &'a dyn Fn(usize, &mut [f64]),
    /// Cells after which a row counts half; all count alike without.
    pub half_life: Option<f64>,
}

/// What explains a value, and how much of it.
#[derive(Clone, Debug)]
pub(super) struct Explained {
    /// What a unit of each earlier value adds, in the order of the lags.
    pub on_lags: Vec<f64>,
    /// What a unit of each other column adds.
    pub on_others: Vec<f64>,
    /// What cell t has at `effects[t % len]`; their mean is the constant.
    pub effects: Vec<f64>,
    /// The standard error of the first lag's coefficient.
    pub first_error: f64,
    /// The errors' standard deviation, each counting as its row did: smaller than that of all where some were astray
    /// and counted for less.
    pub deviation: f64,
    /// Rows without a gap.
    pub n_rows: usize,
}

impl Explained {
    /// The mean of the effects.
    pub fn constant(&self) -> f64 {
        self.effects.iter().sum::<f64>() / self.effects.len() as f64
    }
}

/// The rows of a design that touch no gap, column by column.
struct Table {
    n_rows: usize,
    // One column after the other, the value last.
    columns: Vec<f64>,
    weights: Vec<f64>,
    places: Vec<usize>,
}

impl<'a> Design<'a> {
    /// Earlier values and places alone.
    pub fn of(lags: &'a [usize], n_places: usize) -> Design<'a> {
        Design { lags, n_places, n_others: 0, others: &|_, _| {}, half_life: None }
    }

    /// The cells of `values` from `from` on that touch no gap.
    fn table(&self, values: &[f64], from: usize) -> Table {
        let first = from.max(self.lags.iter().copied().max().unwrap_or(0));
        let has_gaps = values.iter().any(|value| value.is_nan());
        let is_whole = |idx: &usize| {
            !has_gaps || !(values[*idx].is_nan() || self.lags.iter().any(|lag| values[idx - lag].is_nan()))
        };
        let cells: Vec<usize> = (first..values.len()).filter(is_whole).collect();
        let n_rows = cells.len();
        let mut columns = Vec::with_capacity(n_rows * (self.lags.len() + self.n_others + 1));
        for lag in self.lags {
            columns.extend(cells.iter().map(|idx| values[idx - lag]));
        }
        if self.n_others > 0 {
            let mut row = vec![0.0; self.n_others];
            columns.resize(n_rows * (self.lags.len() + self.n_others), 0.0);
            let others = &mut columns[n_rows * self.lags.len()..];
            for (nr, &idx) in cells.iter().enumerate() {
                (self.others)(idx, &mut row);
                others[nr..].iter_mut().step_by(n_rows).zip(&row).for_each(|(cell, other)| *cell = *other);
            }
        }
        columns.extend(cells.iter().map(|idx| values[*idx]));
        let weights = match self.half_life {
            None => vec![1.0; n_rows],
            Some(half_life) => {
                // From the last cell backwards a row loses this share; forwards it gains it.
                let gain = 2f64.powf(1.0 / half_life);
                let mut weight = gain.powf(first as f64 - values.len() as f64);
                let mut stood = first;
                let weigh = |&idx: &usize| {
                    (stood..=idx).for_each(|_| weight *= gain);
                    stood = idx + 1;
                    weight
                };
                cells.iter().map(weigh).collect()
            }
        };
        let places = cells.iter().map(|idx| idx % self.n_places).collect();
        Table { n_rows, columns, weights, places }
    }

    /// The best explanation of all cells, with those that are astray counting for less if it `is_calm`.
    pub fn explain_as(&self, values: &[f64], is_calm: bool) -> Option<Explained> {
        if is_calm { self.explain_calmly(values) } else { self.explain(values, 0) }
    }

    /// The best explanation after what was far off counts for less: as much as if it had been as far off as counts in
    /// full. Values astray would bend an explanation towards themselves, by the square of how far they are. One round
    /// of Huber, "Robust estimation of a location parameter", 1964; a second changes no error by a hundredth.
    fn explain_calmly(&self, values: &[f64]) -> Option<Explained> {
        let mut table = self.table(values, 0);
        let first = table.explain(self)?;
        let off = table.off(&first);
        let n: f64 = table.weights.iter().sum();
        let most = FAR_OFF * dot(&table.weights, &off) / n;
        if !(most.is_finite() && most > 0.0) {
            return Some(first);
        }
        for (weight, off) in table.weights.iter_mut().zip(&off).filter(|(_, off)| **off > most) {
            *weight *= most / off;
        }
        table.explain(self).or(Some(first))
    }

    /// The best explanation of the cells from `from` on; `None` when there are too few without a gap, or the sums are
    /// not finite.
    pub fn explain(&self, values: &[f64], from: usize) -> Option<Explained> {
        self.table(values, from).explain(self)
    }
}

impl Table {
    /// Columns, and the value as the last.
    fn columns(&self) -> impl Iterator<Item = &[f64]> + Clone {
        self.columns.chunks_exact(self.n_rows.max(1))
    }

    /// How far each row is from what was `explained` of it.
    fn off(&self, explained: &Explained) -> Vec<f64> {
        let mut sums = vec![0.0; self.n_rows];
        let weights = explained.on_lags.iter().chain(&explained.on_others);
        for (column, weight) in self.columns().zip(weights) {
            sums.iter_mut().zip(column).for_each(|(sum, cell)| *sum += cell * weight);
        }
        let values = self.columns().last().unwrap_or_default();
        let both = sums.iter().zip(&self.places).zip(values);
        both.map(|((sum, place), value)| (value - sum - explained.effects[*place]).abs()).collect()
    }

    fn explain(&self, design: &Design<'_>) -> Option<Explained> {
        let (k, n_places) = (design.lags.len() + design.n_others, design.n_places);
        let mut counts = vec![0.0; n_places];
        self.places.iter().zip(&self.weights).for_each(|(place, weight)| counts[*place] += weight);
        let n_known = counts.iter().filter(|count| **count > 0.0).count();
        if n_known == 0 || self.n_rows < k + n_known + LEAST_ROWS * k.max(1) {
            return None;
        }
        // Of each column the means of the places, which are taken off it.
        let mut means = vec![0.0; n_places * (k + 1)];
        let mut off = Vec::with_capacity(self.columns.len());
        for (column, means) in self.columns().zip(means.chunks_exact_mut(n_places)) {
            if n_places == 1 {
                means[0] = dot(column, &self.weights);
            } else {
                for ((cell, place), weight) in column.iter().zip(&self.places).zip(&self.weights) {
                    means[*place] += weight * cell;
                }
            }
            let known = means.iter_mut().zip(&counts).filter(|(_, count)| **count > 0.0);
            known.for_each(|(mean, count)| *mean /= count);
            off.extend(column.iter().zip(&self.places).map(|(cell, place)| cell - means[*place]));
        }
        let (columns, values) = off.split_at(k * self.n_rows);
        let solution = Normal::of_columns(columns.chunks_exact(self.n_rows), values, Some(&self.weights)).solve()?;
        let effect = |place: usize| {
            let mean = |column: usize| means[column * n_places + place];
            let explained: f64 = solution.coefficients.iter().enumerate().map(|(nr, c)| mean(nr) * c).sum();
            if counts[place] > 0.0 { mean(k) - explained } else { f64::NAN }
        };
        let effects: Vec<f64> = (0..n_places).map(effect).collect();
        let deviation = solution.deviation(n_known);
        let first_error = if k > 0 { solution.standard_error(0, deviation) } else { 0.0 };
        let mut on_lags = solution.coefficients;
        let on_others = on_lags.split_off(design.lags.len());
        let effects = if n_known < n_places { mended(&effects) } else { effects };
        Some(Explained { on_lags, on_others, effects, first_error, deviation, n_rows: self.n_rows })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_taken_off_give_what_a_column_each_gives() {
        // Five places, two lags, a trend, and gaps.
        let mut values: Vec<f64> =
            (0..90u32).map(|i| f64::from(i.wrapping_mul(2_654_435_761) >> 20) / 4096.0).collect();
        (values[17], values[51], values[52]) = (f64::NAN, f64::NAN, f64::NAN);
        let others = |idx: usize, row: &mut [f64]| row[0] = idx as f64 / 50.0;
        let design = Design { lags: &[1, 5], n_places: 5, n_others: 1, others: &others, half_life: None };
        let found = design.explain(&values, 0).unwrap();
        let mut sums = Normal::new(8);
        let mut n_rows = 0;
        for idx in 5..90 {
            let mut row = [0.0; 8];
            (row[0], row[1], row[2]) = (values[idx - 1], values[idx - 5], idx as f64 / 50.0);
            row[3 + idx % 5] = 1.0;
            if !(values[idx] + row[0] + row[1]).is_nan() {
                sums.add(&row, values[idx], 1.0);
                n_rows += 1;
            }
        }
        let solution = sums.solve().unwrap();
        let all: Vec<f64> = found.on_lags.iter().chain(&found.on_others).chain(&found.effects).copied().collect();
        for (ours, plain) in all.iter().zip(&solution.coefficients) {
            assert!((ours - plain).abs() < 1e-9, "{all:?} {solution:?}");
        }
        let deviation = solution.deviation(0);
        assert!((found.deviation - deviation).abs() < 1e-12);
        assert!((found.first_error - solution.standard_error(0, deviation)).abs() < 1e-12);
        assert_eq!(found.n_rows, n_rows);
    }

    #[test]
    fn values_astray_bend_it_less() {
        // Half of what is known beside it, and 3 or 5 by turns.
        let mut noise = crate::forecast::tests::Noise::seeded(4);
        let known = |idx: usize| (idx * 37 % 101) as f64 / 10.0;
        let mut values: Vec<f64> =
            (0..400).map(|t| 0.5 * known(t) + [3.0, 5.0][t % 2] + 0.1 * noise.normal()).collect();
        (20..400).step_by(37).for_each(|t| values[t] += 30.0 * known(t));
        let others = |idx: usize, row: &mut [f64]| row[0] = known(idx);
        let design = Design { n_others: 1, others: &others, ..Design::of(&[], 2) };
        let off = |is_calm: bool| {
            let found = design.explain_as(&values, is_calm).unwrap();
            (found.on_others[0] - 0.5).abs() + (found.effects[0] - 3.0).abs() + (found.effects[1] - 5.0).abs()
        };
        assert!(off(true) < 0.4 * off(false), "{} {}", off(true), off(false));
    }

    #[test]
    fn what_is_astray_goes_by_the_rows_that_count() {
        // Long ago all was wild; of late one value is.
        let mut values: Vec<f64> = (0..400).map(|t| if t % 2 == 0 { 1.0 } else { -1.0 }).collect();
        values[..200].iter_mut().for_each(|value| *value *= 100.0);
        values[390] = 50.0;
        let mean = |is_calm: bool| {
            let design = Design { half_life: Some(10.0), ..Design::of(&[], 1) };
            design.explain_as(&values, is_calm).unwrap().constant().abs()
        };
        assert!(mean(true) < 0.6 * mean(false), "{} {}", mean(true), mean(false));
    }

    #[test]
    fn too_few_rows_explain_nothing() {
        let values: Vec<f64> = (0..12).map(f64::from).collect();
        assert!(Design::of(&[1, 4], 4).explain(&values, 0).is_none());
        assert!(Design::of(&[1], 1).explain(&[f64::NAN; 40], 0).is_none());
    }
}
