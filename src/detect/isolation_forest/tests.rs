use linfa::traits::Predict;
use linfa::{Dataset, ParamGuard};
use ndarray::{Array2, array};

use super::*;

/// Gaussian-like noise around the origin with one point far out in column 1.
fn cloud(n: usize) -> Array2<f64> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(7);
    let mut noise = move || (0..12).map(|_| rng.r#gen::<f64>()).sum::<f64>() - 6.0;
    let mut rows = Array2::from_shape_fn((n + 1, 3), |_| noise());
    rows.row_mut(n).assign(&array![0.0, 8.0, 0.0]);
    rows
}

#[test]
fn path_lengths_are_those_of_the_paper() {
    for (n, expected) in [(0, 0.0), (1, 0.0), (2, 1.0), (3, 1.207392), (16, 4.695532), (256, 10.244771)] {
        assert!((usual_path(n) - expected).abs() < 1e-5, "{n}: {}", usual_path(n));
    }
}

#[test]
fn linfa_fits_and_predicts_it() {
    let rows = cloud(500);
    let forest = IsolationForest::params().fit(&Dataset::from(rows.clone())).unwrap();
    let scores: Array1<f64> = forest.predict(&rows);
    let far = scores[500];
    let ordinary = scores.iter().take(500).sum::<f64>() / 500.0;
    assert!(far > 0.6 && ordinary < 0.5, "{far} against {ordinary}");
    // One column of three: a few of the cloud's own corners come close.
    assert!(scores.iter().take(500).filter(|&&score| score >= far).count() <= 5);
    assert!(forest.score(&[0.0; 3]) < 0.45);
}

#[test]
fn the_column_that_is_off_gets_the_blame() {
    let rows = cloud(500);
    let forest = IsolationForest::params().fit(&Dataset::from(rows)).unwrap();
    let mut blame = Vec::new();
    let with_blame = forest.score_with_blame(&[0.0, 8.0, 0.0], &mut blame);
    assert_eq!(with_blame, forest.score(&[0.0, 8.0, 0.0]));
    assert!(blame[1] > 0.8, "{blame:?}");
    assert!((blame.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    assert!(blame.iter().all(|&share| share >= 0.0));
}

#[test]
fn the_same_seed_grows_the_same_forest() {
    let data = Dataset::from(cloud(300));
    let score = |seed| IsolationForest::params().seed(seed).fit(&data).unwrap().score(&[1.0, 2.0, 0.5]);
    assert_eq!(score(1).to_bits(), score(1).to_bits());
    assert_ne!(score(1).to_bits(), score(2).to_bits());
}

#[test]
fn constant_columns_are_never_cut() {
    let rows = Array2::from_elem((50, 2), 3.0);
    let forest = IsolationForest::params().fit(&Dataset::from(rows)).unwrap();
    assert!((forest.score(&[3.0, 3.0]) - 0.5).abs() < 1e-12);
    assert_eq!(forest.score(&[9.0, 9.0]), forest.score(&[3.0, 3.0]));
}

#[test]
fn what_cannot_be_grown_is_refused_with_the_reason() {
    assert!(matches!(IsolationForest::params().n_trees(0).check(), Err(ForestError::NoTrees)));
    assert!(matches!(IsolationForest::params().sample_size(1).check(), Err(ForestError::SampleSize(1))));
    let empty = Dataset::from(Array2::<f64>::zeros((1, 2)));
    assert!(matches!(IsolationForest::params().fit(&empty), Err(ForestError::TooSmall { rows: 1, columns: 2 })));
    let gap = Dataset::from(array![[1.0, 2.0], [f64::NAN, 3.0]]);
    assert!(matches!(IsolationForest::params().fit(&gap), Err(ForestError::NotFinite { row: 1, column: 0 })));
}
