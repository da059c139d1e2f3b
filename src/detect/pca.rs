//! PCA: do the columns still go together as they did?
//!
//! In: standardised rows. Out: how far the row lies from the plane that usual rows lie in (Q), and how far out within
//! that plane (T²), each against what is usual, whichever says more. A column's blame is its part of the distance from
//! the plane, and of its own deviation when it is T² that stands out.
//! Source: Jackson and Mudholkar, "Control Procedures for Residuals Associated with Principal Component Analysis"
//! (1979); the limits are learned from the training rows' tail rather than from a chi-square. Eigenpairs by Jacobi's
//! rotations.

use ndarray::{Array1, Array2, ArrayView1, Axis};

use super::matrix::MatrixDetector;
use super::registry::Settings;
use super::rows::{RowModel, Scheduled};
use super::tail::tail_quantile;

/// The share of rows that may be above the limit.
const PROBABILITY: f64 = 2e-5;
/// The share of the variance that spans the plane.
const KEPT_VARIANCE: f64 = 0.8;
/// Deviations are cut here before the plane is laid.
const CLIP: f64 = 8.0;
/// A component with less variance than this has no direction worth a division.
const LEAST_VARIANCE: f64 = 1e-9;
/// Jacobi's rotations converge quadratically; more sweeps than this are never needed.
const MAX_SWEEPS: usize = 30;

/// Builds the method.
pub(super) fn build(_settings: &Settings) -> Box<dyn MatrixDetector> {
    Box::new(Scheduled::<Pca>::detector())
}

/// The plane of usual rows and the limits around it.
#[derive(Debug)]
pub(super) struct Pca {
    mean: Array1<f64>,
    /// One row per direction of the plane.
    directions: Array2<f64>,
    variances: Vec<f64>,
    distance_limit: f64,
    within_limit: f64,
}

impl RowModel for Pca {
    fn fit(rows: &Array2<f64>) -> Option<Pca> {
        let (n, n_columns) = rows.dim();
        if n < 2 || n_columns == 0 {
            return None;
        }
        let clipped = rows.mapv(|z| z.clamp(-CLIP, CLIP));
        let mean = clipped.mean_axis(Axis(0))?;
        let centred = &clipped - &mean;
        let covariance = centred.t().dot(&centred) / (n - 1) as f64;
        let (values, vectors) = eigen(covariance);
        let mut order: Vec<usize> = (0..n_columns).collect();
        order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
        let total: f64 = values.iter().map(|value| value.max(0.0)).sum();
        let mut kept = Vec::new();
        let mut sum = 0.0;
        for idx in order {
            if sum >= KEPT_VARIANCE * total || values[idx] < LEAST_VARIANCE {
                break;
            }
            sum += values[idx];
            kept.push(idx);
        }
        let directions = Array2::from_shape_fn((kept.len(), n_columns), |(k, column)| vectors[(column, kept[k])]);
        let variances = kept.iter().map(|&idx| values[idx]).collect();
        let mut pca = Pca { mean, directions, variances, distance_limit: 0.0, within_limit: 0.0 };
        let mut residual = vec![0.0; n_columns];
        let (mut distances, mut withins): (Vec<f64>, Vec<f64>) =
            rows.outer_iter().map(|row| pca.measure(row, &mut residual)).unzip();
        // The plane was laid through these very rows; new ones lie further off, the more so the fewer they were.
        let caution = 1.0 + (20.0 + 2.0 * n_columns as f64) / n as f64;
        distances.sort_unstable_by(f64::total_cmp);
        withins.sort_unstable_by(f64::total_cmp);
        pca.distance_limit = caution * tail_quantile(&distances, PROBABILITY)?;
        pca.within_limit = caution * tail_quantile(&withins, PROBABILITY)?;
        Some(pca)
    }

    fn judge(&self, row: &[f64], blame: &mut Vec<f64>) -> f64 {
        blame.clear();
        blame.resize(row.len(), 0.0);
        let (distance, within) = self.measure(ArrayView1::from(row), blame);
        // Rounding leaves a trace of a distance where there is none.
        let against = |measured: f64, limit: f64| if limit > 1e-9 { measured / limit } else { 0.0 };
        let (off_plane, in_plane) = (against(distance, self.distance_limit), against(within, self.within_limit));
        for (share, &z) in blame.iter_mut().zip(row) {
            *share = if in_plane > off_plane { z * z } else { *share * *share };
        }
        off_plane.max(in_plane)
    }
}

impl Pca {
    /// The distance from the plane and the distance within it, the latter in deviations; `residual` gets the former's
    /// parts.
    fn measure(&self, row: ArrayView1<'_, f64>, residual: &mut [f64]) -> (f64, f64) {
        for ((part, &z), &mean) in residual.iter_mut().zip(row).zip(&self.mean) {
            *part = z - mean;
        }
        let mut within = 0.0;
        for (direction, &variance) in self.directions.outer_iter().zip(&self.variances) {
            // The residual is orthogonal to the directions already taken off, so this is the projection.
            let along: f64 = direction.iter().zip(residual.iter()).map(|(a, b)| a * b).sum();
            within += along * along / variance;
            for (part, &step) in residual.iter_mut().zip(direction) {
                *part -= along * step;
            }
        }
        (residual.iter().map(|part| part * part).sum::<f64>().sqrt(), within.sqrt())
    }
}

/// Eigenvalues and, as columns, eigenvectors of a symmetric matrix.
fn eigen(mut matrix: Array2<f64>) -> (Vec<f64>, Array2<f64>) {
    let n = matrix.nrows();
    let mut vectors = Array2::eye(n);
    for _ in 0..MAX_SWEEPS {
        let off: f64 = (0..n).flat_map(|i| (0..i).map(move |j| (i, j))).map(|at| matrix[at] * matrix[at]).sum();
        let scale: f64 = matrix.diag().iter().map(|value| value * value).sum();
        if off <= 1e-22 * scale || off == 0.0 {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                rotate(&mut matrix, &mut vectors, p, q);
            }
        }
    }
    (matrix.diag().to_vec(), vectors)
}

/// One rotation that makes the element at (p, q) zero.
fn rotate(matrix: &mut Array2<f64>, vectors: &mut Array2<f64>, p: usize, q: usize) {
    let off = matrix[(p, q)];
    if off == 0.0 {
        return;
    }
    let half = (matrix[(q, q)] - matrix[(p, p)]) / (2.0 * off);
    let tangent = half.signum() / (half.abs() + (half * half + 1.0).sqrt());
    let cosine = 1.0 / (tangent * tangent + 1.0).sqrt();
    let sine = tangent * cosine;
    let turn = |a: f64, b: f64| (cosine * a - sine * b, sine * a + cosine * b);
    for k in 0..matrix.nrows() {
        let (a, b) = turn(matrix[(k, p)], matrix[(k, q)]);
        (matrix[(k, p)], matrix[(k, q)]) = (a, b);
    }
    for k in 0..matrix.nrows() {
        let (a, b) = turn(matrix[(p, k)], matrix[(q, k)]);
        (matrix[(p, k)], matrix[(q, k)]) = (a, b);
        let (a, b) = turn(vectors[(k, p)], vectors[(k, q)]);
        (vectors[(k, p)], vectors[(k, q)]) = (a, b);
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn eigenpairs_rebuild_the_matrix() {
        let matrix = array![[4.0, 1.0, 0.5], [1.0, 3.0, -0.25], [0.5, -0.25, 1.0]];
        let (values, vectors) = eigen(matrix.clone());
        let rebuilt = vectors.dot(&Array2::from_diag(&Array1::from(values))).dot(&vectors.t());
        assert!((&rebuilt - &matrix).iter().all(|off| off.abs() < 1e-12), "{rebuilt}");
    }

    #[test]
    fn the_worked_example() {
        // Two columns with correlation 0.8: variances 1.8 and 0.2 along the diagonals.
        let pca = Pca {
            mean: array![0.0, 0.0],
            directions: array![[std::f64::consts::FRAC_1_SQRT_2, std::f64::consts::FRAC_1_SQRT_2]],
            variances: vec![1.8],
            distance_limit: 1.0,
            within_limit: 1.0,
        };
        let mut residual = vec![0.0; 2];
        let (distance, within) = pca.measure(array![2.0, -1.0].view(), &mut residual);
        assert!((distance * distance - 4.5).abs() < 1e-12);
        assert!((within * within - 0.5 / 1.8).abs() < 1e-12);
    }
}
