//! The contracts for several columns together, checked for every registered matrix detector.

use ndarray::Array2;

use super::made::Noise;
use super::*;

fn matrix(n: usize, seed: u64) -> Array2<f64> {
    let mut noise = Noise::new(seed);
    let mut next = move || noise.next().unwrap();
    let mut rows = Array2::zeros((n, 5));
    for mut row in rows.outer_iter_mut() {
        let common = next();
        row[0] = 10.0 + common + 0.1 * next();
        row[1] = 500.0 - 20.0 * common + 2.0 * next();
        row[2] = next();
        row[3] = 1e6 + 1e3 * next();
        row[4] = 7.0;
    }
    rows
}

fn row_scores(entry: &MatrixEntry, rows: &Array2<f64>) -> Vec<Option<RowScore>> {
    let mut scorer = (entry.build)(&Settings::default()).start(Array2::zeros((0, rows.ncols())).view()).unwrap();
    let rows = rows.outer_iter().enumerate();
    rows.map(|(idx, row)| scorer.score(START + idx as Millis * MINUTE, &row.to_vec())).collect()
}

fn check_row(name: &str, score: &RowScore) {
    assert!(score.value.is_finite() && score.value >= 0.0, "{name}: {score:?}");
    assert!(score.blame.iter().all(|share| (0.0..=1.0).contains(share)), "{name}: {score:?}");
    assert!((score.blame.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{name}: {score:?}");
}

#[test]
fn matrix_scores_name_the_column_at_fault() {
    for entry in MATRIX_DETECTORS {
        let mut rows = matrix(800, 21);
        rows[(700, 2)] = 12.0;
        rows[(740, 4)] = 7.5;
        rows[(760, 3)] = 1.1e6;
        let got = row_scores(entry, &rows);
        assert!(got[..64].iter().all(Option::is_none) && got[64..].iter().all(Option::is_some), "{}", entry.name);
        got.iter().flatten().for_each(|score| check_row(entry.name, score));
        for (row, column) in [(700, 2), (740, 4), (760, 3)] {
            let score = got[row].as_ref().unwrap();
            assert!(score.value > 1.0, "{} at {row}: {score:?}", entry.name);
            assert!(score.blame[column] > 0.5, "{} at {row}: {score:?}", entry.name);
        }
        let n_false = got[64..700].iter().flatten().filter(|score| score.value > 1.0).count();
        assert!(n_false <= 3, "{}: {n_false} false", entry.name);
    }
}

#[test]
fn columns_that_stop_going_together_are_seen_by_pca() {
    // Each value is usual for its column; together they never were.
    for name in ["auto", "pca"] {
        let mut rows = matrix(800, 22);
        (rows[(700, 0)], rows[(700, 1)]) = (12.0, 540.0);
        let got = row_scores(find_matrix(name).unwrap(), &rows);
        let score = got[700].as_ref().unwrap();
        assert!(score.value > 1.5, "{name}: {score:?}");
        assert!(score.blame[0] + score.blame[1] > 0.9, "{name}: {score:?}");
    }
}

#[test]
fn hostile_rows_have_defined_answers() {
    for entry in MATRIX_DETECTORS {
        let mut scorer = (entry.build)(&Settings::default()).start(Array2::zeros((0, 3)).view()).unwrap();
        let odd = [f64::NAN, f64::INFINITY, f64::MAX, f64::MIN, 5e-324, -0.0, 1e200];
        for (idx, z) in Noise::new(23).take(700).enumerate() {
            let row = match idx % 9 {
                3 => vec![odd[idx % odd.len()], z, z],
                5 => vec![f64::NAN; 3],
                6 => vec![z],
                7 => vec![],
                _ => vec![z, 2.0 * z, 1.0],
            };
            let at = if idx % 11 == 0 { 0 } else { START + idx as Millis };
            let score = scorer.score(at, &row);
            if let Some(score) = &score {
                check_row(entry.name, score);
            }
            assert!(score.is_none() || (row.len() == 3 && row.iter().any(|v| v.is_finite())), "{}", entry.name);
        }
    }
}

#[test]
fn constant_matrices_score_zero_and_a_change_above_one() {
    for entry in MATRIX_DETECTORS {
        let mut rows = Array2::from_elem((200, 3), 4.0);
        rows[(199, 1)] = 4.001;
        let got = row_scores(entry, &rows);
        assert!(got[64..199].iter().all(|score| score.as_ref().unwrap().value == 0.0), "{}", entry.name);
        let last = got[199].as_ref().unwrap();
        assert!(last.value > 1.0 && last.blame[1] == 1.0, "{}: {last:?}", entry.name);
        let none = row_scores(entry, &Array2::zeros((100, 0)));
        assert!(none.iter().all(Option::is_none), "{}", entry.name);
        assert!(row_scores(entry, &Array2::zeros((1, 3))).iter().all(Option::is_none), "{}", entry.name);
    }
}

#[test]
fn starting_a_matrix_halfway_equals_scoring_all() {
    let rows = matrix(700, 24);
    for entry in MATRIX_DETECTORS {
        let whole = row_scores(entry, &rows);
        for split in [1, 64, 300] {
            let warmup = rows.slice_axis(ndarray::Axis(0), (0..split).into());
            let mut rest = (entry.build)(&Settings::default()).start(warmup).unwrap();
            for (idx, expected) in whole.iter().enumerate().skip(split) {
                let score = rest.score(START + idx as Millis * MINUTE, &rows.row(idx).to_vec());
                assert_eq!(score, *expected, "{} split at {split}", entry.name);
            }
        }
    }
}

#[test]
fn rows_become_anomalies_that_name_their_columns() {
    let mut rows = matrix(800, 25);
    for row in 700..705 {
        rows[(row, 2)] = 15.0;
    }
    let times: Vec<Millis> = (0..800).map(|idx| START + idx * MINUTE).collect();
    let columns: Vec<String> = ["cpu", "latency", "queue", "bytes", "threads"].map(str::to_owned).to_vec();
    let settings = Settings::default();
    let found = detect_rows(&times, rows.view(), &columns, "auto", &settings, &AlarmSettings::default()).unwrap();
    let anomaly = found.anomalies.iter().find(|a| a.start == times[700]).unwrap();
    assert_eq!((anomaly.kind, anomaly.end, anomaly.value), (Kind::Multivariate, times[704], 15.0));
    assert!(anomaly.explanation.contains("queue at 15"), "{}", anomaly.explanation);
    assert!(found.in_anomaly[702] && !found.in_anomaly[699]);
    let shape = detect_rows(&times[1..], rows.view(), &columns, "auto", &settings, &AlarmSettings::default());
    assert!(shape.unwrap_err().to_string().contains("800 rows and 5 columns"));
}
