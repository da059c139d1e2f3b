//! Forecasts of sums and means on the command line.

use tempfile::TempDir;

use super::support::{HOUR, START, done, fails, stderr, text, wave, write};

/// Three hosts of one metric, whose waves are in step, and one of another metric.
fn fleet(dir: &TempDir) -> std::path::PathBuf {
    let mut csv = String::from("metric,host,zone,timestamp,value\n");
    for t in 0..336 {
        let at = START + t * HOUR;
        for (host, zone, factor) in [("a", "x", 1.0), ("b", "x", 2.0), ("c", "y", 3.0)] {
            // With what does not repeat, or there is nothing to be unsure of.
            let rest = (t * t * 31 % 1_009) as f64 / 500.0;
            csv.push_str(&format!("load,{host},{zone},{at},{}\n", factor * (wave(t) + rest)));
        }
        csv.push_str(&format!("queue_depth,a,x,{at},{}\n", 5.0 + (t % 3) as f64));
    }
    write(dir, "fleet.csv", csv)
}

/// Value, lo and hi of each row of a series.
fn rows(csv: &str, series: &str) -> Vec<[f64; 3]> {
    let of = |line: &&str| line.trim_start_matches('"').starts_with(series);
    let cells =
        |line: &str| -> Vec<f64> { line.split(',').skip(3).take(3).map(|cell| cell.parse().unwrap()).collect() };
    csv.lines().filter(of).map(|line| cells(line).try_into().unwrap()).collect()
}

#[test]
fn a_sum_is_forecast_per_metric_and_by_label_with_a_band_of_its_own() {
    let dir = TempDir::new().unwrap();
    let input = fleet(&dir);
    let out = dir.path().join("out.csv");
    let forecast = |more: &[&str]| {
        let ask = ["forecast", text(&input), "--horizon", "24", "--season", "24", "-o", text(&out)];
        let told = stderr(&done(&[&ask[..], more].concat()));
        (std::fs::read_to_string(&out).unwrap(), told)
    };
    let (sum, told) = forecast(&["--aggregate", "sum"]);
    assert!(
        told.contains("`sum(load)` is of 3 series") && told.contains("`sum(queue_depth)` is of 1 series"),
        "{told}"
    );
    let total = rows(&sum, "sum(load)");
    assert_eq!((total.len(), rows(&sum, "sum(queue_depth)").len()), (24, 24));
    for (t, [value, lo, hi]) in total.iter().enumerate() {
        let expected = 6.0 * (wave(336 + t as i64) + 1.0);
        assert!((value - expected).abs() < 0.1 * expected, "{t}: {value} {expected}");
        assert!(lo < value && value < hi, "{t}");
    }
    // By a method that searches for nothing: a third is not exact, and where searches end depends on the last digit.
    let [(sum, _), (mean, _)] = ["sum", "mean"].map(|how| forecast(&["--aggregate", how, "--model", "seasonal-naive"]));
    for ([total, ..], [mean, ..]) in rows(&sum, "sum(load)").iter().zip(rows(&mean, "mean(load)")) {
        assert!((total - 3.0 * mean).abs() < 1e-6 * total);
    }
    let (zones, _) = forecast(&["--aggregate", "sum", "--by", "zone"]);
    let (x, y) = (rows(&zones, "sum(load){zone=\"\"x\"\"}"), rows(&zones, "sum(load){zone=\"\"y\"\"}"));
    assert_eq!((x.len(), y.len()), (24, 24), "{zones}");
    assert!(x.iter().zip(&y).all(|([x, ..], [y, ..])| (x / y - 1.0).abs() < 0.05));
    // What is planned for one of them is planned for the sum.
    let plan = "- {name: more, match: 'load{host=\"c\"}', kind: step, at: 2024-01-15, add: 100}\n";
    let plan = write(&dir, "plan.yaml", plan);
    let (with, _) = forecast(&["--aggregate", "sum", "--events", text(&plan)]);
    let moved = rows(&with, "sum(load)").into_iter().zip(&total).map(|([with, ..], [plain, ..])| with - plain);
    assert!(moved.into_iter().all(|moved| (moved - 100.0).abs() < 1e-6));
}

#[test]
fn what_concerns_only_some_of_a_sum_is_left_out_and_told() {
    let dir = TempDir::new().unwrap();
    let input = fleet(&dir);
    let plan = "- {name: twice, match: 'load{host=\"c\"}', kind: step, at: 2024-01-15, times: 2}\n";
    let plan = write(&dir, "plan.yaml", plan);
    let days = |t: i64| if t % 5 == 0 { 1 } else { 0 };
    let row = |t: i64| format!("{},c,{}\n{},,{}\n", START + t * 24 * HOUR, days(t), START + t * 24 * HOUR, days(t + 1));
    let known: String = (0..17).map(row).collect();
    let known = write(&dir, "known.csv", format!("timestamp,host,campaign\n{known}"));
    let ask = ["forecast", text(&input), "--horizon", "3", "--model", "naive", "--events", text(&plan)];
    let told = |more: &[&str]| stderr(&done(&[&ask[..], &["--columns", text(&known)], more].concat()));
    let sum = told(&["--aggregate", "sum"]);
    assert!(sum.contains("`sum(load)`: the event `twice` concerns only some of its series"), "{sum}");
    assert!(sum.contains("`sum(load)`: numbers of the known column `campaign` that concern only some"), "{sum}");
    assert!(!sum.contains("`sum(queue_depth)`: the event"), "{sum}");
    for all in [told(&["--aggregate", "sum", "--by", "host"]), told(&[])] {
        assert!(!all.contains("only some"), "{all}");
    }
}

#[test]
fn what_is_no_aggregate_is_refused() {
    let dir = TempDir::new().unwrap();
    let input = fleet(&dir);
    let ask = ["forecast", text(&input), "--horizon", "3"];
    fails(&[&ask[..], &["--aggregate", "max"]].concat(), 2, &["max", "sum and mean"]);
    fails(&[&ask[..], &["--by", "zone"]].concat(), 2, &["--aggregate"]);
    fails(&[&ask[..], &["--aggregate", "sum", "--by", "rack"]].concat(), 2, &["rack", "no series"]);
}
