//! What a metric can be, and how much of a long history is looked at.

use tempfile::TempDir;

use super::support::{HOUR, START, done, fails, stderr, text, write};

/// A level that falls to nearly nothing, give or take a little.
fn draining(t: i64) -> f64 {
    100.0 - 0.29 * t as f64 + ((t * 7919) % 13) as f64 / 4.0
}

fn series(name: &str, offset: f64) -> String {
    let rows = (0..336).map(|t| format!("{name},{},{}\n", START + t * HOUR, draining(t) + offset));
    format!("series,timestamp,value\n{}", rows.collect::<String>())
}

/// Value, lo and hi of each row.
fn forecast(dir: &TempDir, arguments: &[&str]) -> Vec<[f64; 3]> {
    let out = dir.path().join("out.csv");
    done(&[&["forecast"], arguments, &["--model", "linear", "--horizon", "96", "-o", text(&out)]].concat());
    let csv = std::fs::read_to_string(&out).unwrap();
    let cells = |line: &str| line.split(',').skip(3).take(3).map(|cell| cell.parse().unwrap()).collect::<Vec<f64>>();
    csv.lines().skip(1).map(|line| cells(line).try_into().unwrap()).collect()
}

#[test]
fn what_was_never_below_zero_stays_there_unless_a_setting_says_otherwise() {
    let dir = TempDir::new().unwrap();
    let queue = write(&dir, "queue.csv", series("backlog", 0.0));
    let kept = forecast(&dir, &[text(&queue)]);
    assert!(kept.iter().flatten().all(|value| *value >= 0.0) && kept[95][0] == 0.0, "{kept:?}");
    let level = write(&dir, "level.csv", series("level", -50.0));
    assert!(forecast(&dir, &[text(&level)])[95][0] < -50.0, "what was below zero may go on");

    let rules = "name: mine\nsummary: mine\nrules:\n  - selector: backlog\n    metric: { valid_min: -.inf }\n";
    let mine = write(&dir, "mine.yaml", rules);
    assert!(forecast(&dir, &[text(&queue), "--presets", text(&mine)])[95][0] < -10.0);
    let rules =
        "name: mine\nsummary: mine\nrules:\n  - selector: backlog\n    metric: { valid_min: 4, valid_max: 9 }\n";
    let mine = write(&dir, "mine.yaml", rules);
    let narrow = forecast(&dir, &[text(&queue), "--presets", text(&mine)]);
    assert!(narrow.iter().flatten().all(|value| (4.0..=9.0).contains(value)), "{narrow:?}");
    fails(&["forecast", text(&queue), "--horizon", "3", "--presets", "none.yaml"], 1, &["none.yaml", "read"]);
    fails(&["forecast", text(&queue), "--horizon", "3", "--presets", "node"], 2, &["node", ".yaml"]);
}

#[test]
fn a_series_or_file_that_is_called_like_a_metric_is_taken_for_it() {
    let dir = TempDir::new().unwrap();
    let rules = "name: mine\nsummary: mine\nrules:\n  - selector: spare_parts\n    metric: { valid_min: 7 }\n";
    let mine = write(&dir, "mine.yaml", rules);
    let as_series = write(&dir, "a.csv", series("spare_parts", 0.0));
    let as_file = write(&dir, "spare_parts.csv", series("x", 0.0).replace("series,", "").replace("x,", ""));
    for input in [as_series, as_file] {
        assert_eq!(forecast(&dir, &[text(&input), "--presets", text(&mine)])[95][0], 7.0, "{}", input.display());
    }
}

#[test]
fn what_is_left_out_of_a_long_history_is_told() {
    let dir = TempDir::new().unwrap();
    let input = write(&dir, "queue.csv", series("backlog", 0.0));
    let ask = ["forecast", text(&input), "--model", "naive", "--horizon"];
    let told = |more: &[&str]| stderr(&done(&[&ask[..], more].concat()));
    assert!(!told(&["3"]).contains("note"));
    // What is wrong with a horizon of the past is the horizon, and no argument of that name.
    for command in ["forecast", "analyze", "backtest"] {
        fails(&[command, text(&input), "--horizon", "-3d"], 2, &["'-3d' for '--horizon <H>'"]);
    }
    let cut = told(&["3", "--cells", "100"]);
    assert!(
        cut.contains("note: `backlog`: the oldest 236 of 336 steps are left out") && cut.contains("--cells 336"),
        "{cut}"
    );
    let coarse = told(&["100d"]);
    assert!(coarse.contains("samples come every 1h") && coarse.contains("forecast every 3h"), "{coarse}");
    let season = told(&["3", "--season", "1000000"]);
    assert!(season.contains("a season of 1000000 steps") && season.contains("none is used"), "{season}");
    let many: String =
        (0..7).map(|nr| series(&format!("s{nr}"), 0.0).replacen("series,timestamp,value\n", "", 1)).collect();
    let many = write(&dir, "many.csv", format!("series,timestamp,value\n{many}"));
    let told = stderr(&done(&["forecast", text(&many), "--model", "naive", "--horizon", "3", "--cells", "100"]));
    assert_eq!((told.matches("are left out").count(), told.contains("the same of 4 more series")), (3, true), "{told}");
}
