//! Least squares with a handful of columns, from running sums.
//!
//! In: rows, one at a time. Out: coefficients, their standard errors and what is left over. Rows are not kept: n rows of
//! k columns cost O(n k^2) time and O(k^2) memory.
//!
//! The normal equations are brought to a unit diagonal and solved by Cholesky's factorisation. A column that the ones
//! before it explain but for rounding gets the coefficient 0, so that constants and columns given twice have a defined
//! answer. Columns should be centred by the caller: a large mean
//! squares into the sums. Source: Golub and Van Loan, "Matrix Computations", 4th edition, 2013, section 5.3.

/// The part of a column that its predecessors must leave for it to count; squared, as sums of squares are.
const LEAST_PART: f64 = 1e-11;

/// The sums of a regression.
#[derive(Clone, Debug)]
pub(super) struct Normal {
    k: usize,
    // The lower triangle of the columns' products, row by row: k * k numbers, the upper triangle unused.
    gram: Vec<f64>,
    rhs: Vec<f64>,
    power: f64,
    // The rows' weights, added up.
    n: f64,
}

impl Normal {
    /// For rows of `k` columns.
    pub fn new(k: usize) -> Normal {
        Normal { k, gram: vec![0.0; k * k], rhs: vec![0.0; k], power: 0.0, n: 0.0 }
    }

    /// Adds a row of as many columns and the value beside it, which counts for as many rows as its weight says.
    pub fn add(&mut self, row: &[f64], value: f64, weight: f64) {
        for (i, x) in row.iter().enumerate() {
            let x = weight * x;
            let products = &mut self.gram[i * self.k..i * self.k + i + 1];
            for (product, other) in products.iter_mut().zip(row) {
                *product += x * other;
            }
            self.rhs[i] += x * value;
        }
        self.power += weight * value * value;
        self.n += weight;
    }

    /// The sums of whole columns, one after the other, beside their values; rows count as their weights say, all in
    /// full without.
    pub fn of_columns<'a>(
        columns: impl Iterator<Item = &'a [f64]> + Clone,
        values: &[f64],
        weights: Option<&[f64]>,
    ) -> Normal {
        let mut sums = Normal::new(columns.clone().count());
        let mut weighted = Vec::new();
        for (i, column) in columns.clone().enumerate() {
            let counted = counted(column, weights, &mut weighted);
            for (product, other) in sums.gram[i * sums.k..=i * sums.k + i].iter_mut().zip(columns.clone()) {
                *product = dot(counted, other);
            }
            sums.rhs[i] = dot(counted, values);
        }
        sums.power = dot(counted(values, weights, &mut weighted), values);
        sums.n = weights.map_or(values.len() as f64, |weights| weights.iter().sum());
        sums
    }

    /// Adds to each column's sum of squares a `share` of it, as Levenberg and Marquardt have it: steps stay short along
    /// what the rows hardly tell apart.
    pub fn damp(&mut self, share: f64) {
        self.gram.iter_mut().step_by(self.k + 1).for_each(|square| *square += share * *square);
    }

    /// The regression on some of the columns, in this order.
    pub fn on(&self, columns: &[usize]) -> Normal {
        let k = columns.len();
        let mut part = Normal { rhs: columns.iter().map(|&column| self.rhs[column]).collect(), ..self.clone() };
        (part.k, part.gram) = (k, vec![0.0; k * k]);
        for (i, &a) in columns.iter().enumerate() {
            for (j, &b) in columns[..=i].iter().enumerate() {
                part.gram[i * k + j] = self.gram[a.max(b) * self.k + a.min(b)];
            }
        }
        part
    }

    /// The best coefficients; `None` when a sum is not finite.
    pub fn solve(&self) -> Option<Solution> {
        let k = self.k;
        let sizes: Vec<f64> = (0..k).map(|i| self.gram[i * k + i].sqrt()).collect();
        if !(self.power.is_finite() && sizes.iter().chain(&self.rhs).all(|sum| sum.is_finite())) {
            return None;
        }
        let mut factor = vec![0.0; k * k];
        let mut z = vec![0.0; k];
        for i in 0..k {
            if sizes[i] <= 0.0 {
                continue;
            }
            for j in 0..i {
                if factor[j * k + j] > 0.0 {
                    let known: f64 = (0..j).map(|l| factor[i * k + l] * factor[j * k + l]).sum();
                    factor[i * k + j] = (self.gram[i * k + j] / (sizes[i] * sizes[j]) - known) / factor[j * k + j];
                }
            }
            let part = 1.0 - (0..i).map(|l| factor[i * k + l].powi(2)).sum::<f64>();
            if part > LEAST_PART {
                factor[i * k + i] = part.sqrt();
                let known: f64 = (0..i).map(|l| factor[i * k + l] * z[l]).sum();
                z[i] = (self.rhs[i] / sizes[i] - known) / factor[i * k + i];
            }
        }
        let mut coefficients = vec![0.0; k];
        for i in (0..k).rev().filter(|&i| factor[i * k + i] > 0.0) {
            let later: f64 = (i + 1..k).map(|l| factor[l * k + i] * coefficients[l]).sum();
            coefficients[i] = (z[i] - later) / factor[i * k + i];
        }
        for (coefficient, size) in coefficients.iter_mut().zip(&sizes).filter(|(_, size)| **size > 0.0) {
            *coefficient /= size;
        }
        let mut rest = self.power;
        let taken = z.iter().map(|z| {
            rest = (rest - z * z).max(0.0);
            rest
        });
        let rests: Vec<f64> = std::iter::once(self.power).chain(taken).collect();
        let rest = rests.last().copied().unwrap_or(self.power);
        let is_finite = coefficients.iter().all(|coefficient| coefficient.is_finite());
        is_finite.then_some(Solution { coefficients, rest, rests, n: self.n, sizes, factor })
    }
}

/// What a column counts for with these weights, perhaps in `scratch`.
fn counted<'a>(column: &'a [f64], weights: Option<&[f64]>, scratch: &'a mut Vec<f64>) -> &'a [f64] {
    let Some(weights) = weights else { return column };
    scratch.clear();
    scratch.extend(column.iter().zip(weights).map(|(cell, weight)| weight * cell));
    scratch
}

/// The sum of products, in a few sums side by side that do not wait for one another.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    const ABREAST: usize = 8;
    let (heads, rest) = a.as_chunks::<ABREAST>();
    let (others, other_rest) = b.as_chunks::<ABREAST>();
    let mut sums = [0.0; ABREAST];
    for (a, b) in heads.iter().zip(others) {
        for lane in 0..ABREAST {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f64>() + rest.iter().zip(other_rest).map(|(a, b)| a * b).sum::<f64>()
}

/// What a regression came to.
#[derive(Clone, Debug)]
pub(super) struct Solution {
    /// One per column; 0 for those that others explain.
    pub coefficients: Vec<f64>,
    /// The sum of squares that is left.
    pub rest: f64,
    /// The sums of squares that none of the columns, the first, the first two and so on leave.
    pub rests: Vec<f64>,
    n: f64,
    sizes: Vec<f64>,
    factor: Vec<f64>,
}

impl Solution {
    /// How far a row pulls its own answer towards its value, 0 to 1 for a row among those added.
    pub fn leverage(&self, row: &[f64]) -> f64 {
        let k = self.coefficients.len();
        let mut w = vec![0.0; k];
        for i in (0..k).filter(|i| self.factor[i * k + i] > 0.0) {
            let known: f64 = (0..i).map(|l| self.factor[i * k + l] * w[l]).sum();
            w[i] = (row[i] / self.sizes[i] - known) / self.factor[i * k + i];
        }
        w.iter().map(|w| w * w).sum()
    }

    /// How many columns count.
    pub fn n_used(&self) -> usize {
        let k = self.coefficients.len();
        (0..k).filter(|i| self.factor[i * k + i] > 0.0).count()
    }

    /// The errors' standard deviation, `n_taken` degrees of freedom having gone to what was taken off beforehand;
    /// 0 when none is left.
    pub fn deviation(&self, n_taken: usize) -> f64 {
        let freedom = self.n - (n_taken + self.n_used()) as f64;
        if freedom > 0.0 { (self.rest / freedom).sqrt() } else { 0.0 }
    }

    /// The standard error of the coefficient of `column`, where errors have the standard deviation `deviation`.
    pub fn standard_error(&self, column: usize, deviation: f64) -> f64 {
        let k = self.coefficients.len();
        // The column's place on the diagonal of the inverse is the length of L^-1 e.
        let mut w = vec![0.0; k];
        for i in (column..k).filter(|i| self.factor[i * k + i] > 0.0) {
            let known: f64 = (column..i).map(|l| self.factor[i * k + l] * w[l]).sum();
            w[i] = (f64::from(u8::from(i == column)) - known) / self.factor[i * k + i];
        }
        let length = w.iter().map(|w| w * w).sum::<f64>().sqrt();
        if self.sizes[column] > 0.0 { deviation * length / self.sizes[column] } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Longley's data of 1967 with its certified answers, from NIST's Statistical Reference Datasets: columns so nearly
    /// dependent that careless arithmetic gets no figure right.
    #[test]
    fn nearly_dependent_columns_are_told_apart() {
        const LONGLEY: [[f64; 7]; 16] = [
            [60323., 83.0, 234289., 2356., 1590., 107608., 1947.],
            [61122., 88.5, 259426., 2325., 1456., 108632., 1948.],
            [60171., 88.2, 258054., 3682., 1616., 109773., 1949.],
            [61187., 89.5, 284599., 3351., 1650., 110929., 1950.],
            [63221., 96.2, 328975., 2099., 3099., 112075., 1951.],
            [63639., 98.1, 346999., 1932., 3594., 113270., 1952.],
            [64989., 99.0, 365385., 1870., 3547., 115094., 1953.],
            [63761., 100.0, 363112., 3578., 3350., 116219., 1954.],
            [66019., 101.2, 397469., 2904., 3048., 117388., 1955.],
            [67857., 104.6, 419180., 2822., 2857., 118734., 1956.],
            [68169., 108.4, 442769., 2936., 2798., 120445., 1957.],
            [66513., 110.8, 444546., 4681., 2637., 121950., 1958.],
            [68655., 112.6, 482704., 3813., 2552., 123366., 1959.],
            [69564., 114.2, 502601., 3931., 2514., 125368., 1960.],
            [69331., 115.7, 518173., 4806., 2572., 127852., 1961.],
            [70551., 116.9, 554894., 4007., 2827., 130081., 1962.],
        ];
        let certified = [
            15.0618722713733,
            -0.358191792925910e-1,
            -2.02022980381683,
            -1.03322686717359,
            -0.511041056535807e-1,
            1829.15146461355,
        ];
        let errors = [
            84.9149257747669,
            0.334910077722432e-1,
            0.488399681651699,
            0.214274163161675,
            0.226073200069370,
            455.478499142212,
        ];
        let mean = |column: usize| LONGLEY.iter().map(|row| row[column]).sum::<f64>() / 16.0;
        let means: [f64; 7] = std::array::from_fn(mean);
        let mut sums = Normal::new(6);
        for row in LONGLEY {
            let centred: [f64; 7] = std::array::from_fn(|idx| row[idx] - means[idx]);
            sums.add(&centred[1..], centred[0], 1.0);
        }
        let solution = sums.solve().unwrap();
        let deviation = solution.deviation(1);
        assert!((deviation / 304.854073561965 - 1.0).abs() < 1e-9, "{deviation}");
        for idx in 0..6 {
            assert!((solution.coefficients[idx] / certified[idx] - 1.0).abs() < 1e-7, "{:?}", solution.coefficients);
            assert!((solution.standard_error(idx, deviation) / errors[idx] - 1.0).abs() < 1e-7, "{idx}");
        }
    }

    #[test]
    fn a_column_that_others_explain_counts_for_nothing() {
        let mut sums = Normal::new(4);
        for i in 0..20 {
            let x = f64::from(i * 7 % 11) - 5.0;
            sums.add(&[x, 2.0 * x, 0.0, f64::from(i) - 9.5], 3.0 * x, 1.0);
        }
        let solution = sums.solve().unwrap();
        assert_eq!((solution.n_used(), solution.standard_error(2, 1.0)), (2, 0.0));
        let expected = [3.0, 0.0, 0.0, 0.0];
        assert!(solution.coefficients.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{solution:?}");
        assert!(solution.rest < 1e-9);
        assert!(Normal::new(2).solve().is_some_and(|solution| solution.coefficients == [0.0; 2]));
    }

    #[test]
    fn what_overflows_has_no_answer() {
        let mut sums = Normal::new(1);
        (0..10).for_each(|_| sums.add(&[2.0], 6.0, 1.0));
        assert!((sums.solve().unwrap().coefficients[0] - 3.0).abs() < 1e-12);
        sums.add(&[1e200], 1e200, 1.0);
        assert!(sums.solve().is_none());
    }

    #[test]
    fn leverages_add_up_to_the_columns() {
        let rows: Vec<[f64; 2]> = (0..9).map(|i| [1.0, f64::from(i * i)]).collect();
        let mut sums = Normal::new(2);
        rows.iter().for_each(|row| sums.add(row, 1.0, 1.0));
        let solution = sums.solve().unwrap();
        assert!((rows.iter().map(|row| solution.leverage(row)).sum::<f64>() - 2.0).abs() < 1e-12);
    }
}
