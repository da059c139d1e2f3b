//! Isolation forest: how few random cuts set a point apart from the others?
//!
//! In: a matrix, one row per point. The estimator stands on its own and implements linfa's traits, so that it works
//! wherever linfa's do; `series` and `rows` make detectors of it.
//! Out: a score between 0 and 1 per point, and each column's share of it.
//! Promises: the same seed and rows give the same forest on every machine.
//! Source: Liu, Ting and Zhou, "Isolation Forest" (2008). The share of a column is exact: every node keeps the mean
//! path length of its training points, and a cut is to blame for how much it shortened what was to be expected.

mod rows;
mod series;

use linfa::dataset::DatasetBase;
use linfa::traits::{Fit, PredictInplace};
use linfa::{ParamGuard, param_guard};
use ndarray::{Array1, ArrayBase, ArrayView2, Data, Ix2};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

pub(super) use rows::build as build_rows;
pub(super) use series::build as build_series;

/// Euler's constant.
const EULER: f64 = 0.577_215_664_901_532_9;
/// A leaf has no column.
const LEAF: u32 = u32::MAX;

/// Why a forest could not be grown.
#[derive(Debug, thiserror::Error)]
pub enum ForestError {
    /// No trees asked for.
    #[error("a forest needs at least one tree")]
    NoTrees,
    /// Samples too small to cut.
    #[error("each tree needs at least two points, but the sample size is {0}")]
    SampleSize(usize),
    /// Nothing to cut.
    #[error("the matrix has {rows} rows and {columns} columns; a forest needs at least two rows and one column")]
    TooSmall {
        /// Rows given.
        rows: usize,
        /// Columns given.
        columns: usize,
    },
    /// A cell that is NaN or infinite.
    #[error("row {row}, column {column} is not finite; fill gaps first, for example with the column's median")]
    NotFinite {
        /// Which row, from 0.
        row: usize,
        /// Which column, from 0.
        column: usize,
    },
    /// From linfa itself.
    #[error(transparent)]
    Linfa(#[from] linfa::Error),
}

/// Checked settings of an isolation forest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IsolationForestValidParams {
    n_trees: usize,
    sample_size: usize,
    seed: u64,
}

/// Settings of an isolation forest, to be checked by [`ParamGuard`] or on fitting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IsolationForestParams(IsolationForestValidParams);

impl Default for IsolationForestParams {
    fn default() -> Self {
        IsolationForestParams(IsolationForestValidParams { n_trees: 100, sample_size: 256, seed: 0x0ba1_06a4 })
    }
}

impl IsolationForestParams {
    /// How many trees; default 100.
    #[must_use]
    pub fn n_trees(mut self, n_trees: usize) -> Self {
        self.0.n_trees = n_trees;
        self
    }

    /// How many points each tree sees, at most; default 256.
    #[must_use]
    pub fn sample_size(mut self, sample_size: usize) -> Self {
        self.0.sample_size = sample_size;
        self
    }

    /// What the random choices start from.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.0.seed = seed;
        self
    }
}

impl ParamGuard for IsolationForestParams {
    type Checked = IsolationForestValidParams;
    type Error = ForestError;

    fn check_ref(&self) -> Result<&Self::Checked, Self::Error> {
        if self.0.n_trees == 0 {
            return Err(ForestError::NoTrees);
        }
        if self.0.sample_size < 2 {
            return Err(ForestError::SampleSize(self.0.sample_size));
        }
        Ok(&self.0)
    }

    fn check(self) -> Result<Self::Checked, Self::Error> {
        self.check_ref()?;
        Ok(self.0)
    }
}

impl param_guard::TransformGuard for IsolationForestParams {}

impl<D: Data<Elem = f64>, T> Fit<ArrayBase<D, Ix2>, T, ForestError> for IsolationForestValidParams {
    type Object = IsolationForest;

    fn fit(&self, dataset: &DatasetBase<ArrayBase<D, Ix2>, T>) -> Result<IsolationForest, ForestError> {
        IsolationForest::grow(self, dataset.records.view())
    }
}

/// A grown forest.
#[derive(Clone, Debug)]
pub struct IsolationForest {
    trees: Vec<Tree>,
    /// The mean path length in a random tree over the sample.
    usual_path: f64,
    n_columns: usize,
}

impl IsolationForest {
    /// Settings to start from.
    pub fn params() -> IsolationForestParams {
        IsolationForestParams::default()
    }

    fn grow(params: &IsolationForestValidParams, rows: ArrayView2<'_, f64>) -> Result<IsolationForest, ForestError> {
        let (n, n_columns) = rows.dim();
        if n < 2 || n_columns == 0 {
            return Err(ForestError::TooSmall { rows: n, columns: n_columns });
        }
        if let Some(((row, column), _)) = rows.indexed_iter().find(|(_, value)| !value.is_finite()) {
            return Err(ForestError::NotFinite { row, column });
        }
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(params.seed);
        let size = params.sample_size.min(n);
        let max_depth = usize::BITS - (size - 1).leading_zeros();
        let mut all: Vec<usize> = (0..n).collect();
        let mut columns: Vec<usize> = (0..n_columns).collect();
        let trees = (0..params.n_trees)
            .map(|_| {
                // The first steps of a shuffle draw a sample without replacement.
                for idx in 0..size {
                    all.swap(idx, rng.gen_range(idx..n));
                }
                let mut tree = Tree { nodes: Vec::with_capacity(2 * size) };
                tree.grow(rows, &mut all[..size], &mut columns, 0, max_depth, &mut rng);
                tree
            })
            .collect();
        Ok(IsolationForest { trees, usual_path: usual_path(size), n_columns })
    }

    /// How many columns a point has.
    pub fn n_columns(&self) -> usize {
        self.n_columns
    }

    /// The score of one point: 0.5 and below is ordinary, towards 1 is set apart by few cuts.
    pub fn score(&self, point: &[f64]) -> f64 {
        let total: f64 = self.trees.iter().map(|tree| tree.path(point)).sum();
        self.score_of(total / self.trees.len() as f64)
    }

    /// The score of one point, and in `blame` each column's share of it: not negative, together 1, or all 0 when no
    /// cut made the point stand out.
    pub fn score_with_blame(&self, point: &[f64], blame: &mut Vec<f64>) -> f64 {
        blame.clear();
        blame.resize(self.n_columns, 0.0);
        let total: f64 = self.trees.iter().map(|tree| tree.blamed_path(point, blame)).sum();
        let mut sum = 0.0;
        for share in blame.iter_mut() {
            *share = share.max(0.0);
            sum += *share;
        }
        if sum > 0.0 {
            blame.iter_mut().for_each(|share| *share /= sum);
        }
        self.score_of(total / self.trees.len() as f64)
    }

    fn score_of(&self, path: f64) -> f64 {
        (-path / self.usual_path * std::f64::consts::LN_2).exp()
    }
}

impl<D: Data<Elem = f64>> PredictInplace<ArrayBase<D, Ix2>, Array1<f64>> for IsolationForest {
    fn predict_inplace(&self, rows: &ArrayBase<D, Ix2>, scores: &mut Array1<f64>) {
        for (row, score) in rows.outer_iter().zip(scores.iter_mut()) {
            *score = match row.as_slice() {
                Some(point) => self.score(point),
                None => self.score(&row.to_vec()),
            };
        }
    }

    fn default_target(&self, rows: &ArrayBase<D, Ix2>) -> Array1<f64> {
        Array1::zeros(rows.nrows())
    }
}

/// The mean path length of an unsuccessful search in a random tree over `n` points: what is left to cut in a leaf.
fn usual_path(n: usize) -> f64 {
    match n {
        0 | 1 => 0.0,
        2 => 1.0,
        _ => {
            let n = n as f64;
            2.0 * ((n - 1.0).ln() + EULER) - 2.0 * (n - 1.0) / n
        }
    }
}

#[derive(Clone, Debug)]
struct Node {
    /// The column it cuts, or [`LEAF`].
    column: u32,
    /// Where the part above the cut stands; the part below follows its parent.
    above: u32,
    cut: f64,
    /// The mean path length of the training points that pass here.
    path: f64,
}

#[derive(Clone, Debug)]
struct Tree {
    nodes: Vec<Node>,
}

impl Tree {
    /// Grows the part over `points` and returns its mean path length.
    fn grow(
        &mut self,
        rows: ArrayView2<'_, f64>,
        points: &mut [usize],
        columns: &mut [usize],
        depth: u32,
        max_depth: u32,
        rng: &mut Xoshiro256PlusPlus,
    ) -> f64 {
        let at = self.nodes.len();
        let n = points.len();
        let leaf_path = f64::from(depth) + usual_path(n);
        self.nodes.push(Node { column: LEAF, above: 0, cut: 0.0, path: leaf_path });
        if depth >= max_depth || n <= 1 {
            return leaf_path;
        }
        let Some((column, low, high)) = pick_column(rows, points, columns, rng) else {
            return leaf_path;
        };
        let mut cut = low + rng.r#gen::<f64>() * (high - low);
        if cut >= high {
            cut = low;
        }
        let mut n_below = 0;
        for idx in 0..n {
            if rows[(points[idx], column)] <= cut {
                points.swap(idx, n_below);
                n_below += 1;
            }
        }
        let (below, above) = points.split_at_mut(n_below);
        let path_below = self.grow(rows, below, columns, depth + 1, max_depth, rng);
        let above_at = self.nodes.len() as u32;
        let path_above = self.grow(rows, above, columns, depth + 1, max_depth, rng);
        let path = (path_below * n_below as f64 + path_above * (n - n_below) as f64) / n as f64;
        self.nodes[at] = Node { column: column as u32, above: above_at, cut, path };
        path
    }

    fn next(&self, at: usize, point: &[f64]) -> usize {
        let node = &self.nodes[at];
        if point[node.column as usize] <= node.cut { at + 1 } else { node.above as usize }
    }

    fn path(&self, point: &[f64]) -> f64 {
        let mut at = 0;
        while self.nodes[at].column != LEAF {
            at = self.next(at, point);
        }
        self.nodes[at].path
    }

    fn blamed_path(&self, point: &[f64], blame: &mut [f64]) -> f64 {
        let mut at = 0;
        while self.nodes[at].column != LEAF {
            let next = self.next(at, point);
            blame[self.nodes[at].column as usize] += self.nodes[at].path - self.nodes[next].path;
            at = next;
        }
        self.nodes[at].path
    }
}

/// A column chosen uniformly among those not constant over `points`, with its least and largest value.
fn pick_column(
    rows: ArrayView2<'_, f64>,
    points: &[usize],
    columns: &mut [usize],
    rng: &mut Xoshiro256PlusPlus,
) -> Option<(usize, f64, f64)> {
    for idx in 0..columns.len() {
        columns.swap(idx, rng.gen_range(idx..columns.len()));
        let column = columns[idx];
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for &point in points.iter() {
            let value = rows[(point, column)];
            low = low.min(value);
            high = high.max(value);
        }
        if low < high {
            return Some((column, low, high));
        }
    }
    None
}

#[cfg(test)]
mod tests;
