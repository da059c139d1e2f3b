//! The program as a user meets it: the real binary, its files, its messages and its exit codes.

// A test that cannot go on says so where it stopped.
#![allow(clippy::unwrap_used)]

#[path = "cli/aggregate.rs"]
mod aggregate;
#[path = "cli/backtest.rs"]
mod backtest;
#[path = "cli/events.rs"]
mod events;
#[path = "cli/keeping.rs"]
mod keeping;
#[path = "cli/known.rs"]
mod known;
#[path = "cli/ranges.rs"]
mod ranges;
#[path = "cli/serving.rs"]
mod serving;
#[path = "cli/support.rs"]
mod support;
#[path = "cli/zones.rs"]
mod zones;

use barograph::batch::{Column, Table, read};
use support::{HOUR, START, done, fails, stderr, stdout, text, two_series, wave, write};
use tempfile::TempDir;

#[test]
fn help_has_an_example_for_every_command_and_bad_usage_is_2() {
    let help = stdout(&done(&["--help"]));
    let of_data = ["fsck", "snapshot", "restore", "restore-s3"];
    for command in ["demo", "serve", "forecast", "detect", "analyze", "backtest", "models", "check-config"]
        .into_iter()
        .chain(of_data)
    {
        assert!(help.contains(command), "{command}");
        let own = stdout(&done(&[command, "--help"]));
        assert!(own.contains("Example") && own.contains(&format!("barograph {command}")), "{own}");
    }
    fails(&[], 2, &["Usage"]);
    fails(&["predict"], 2, &["predict"]);
    fails(&["forecast", "x.csv"], 2, &["--horizon"]);
    fails(&["forecast", "--horizon", "3"], 2, &["INPUT"]);
}

#[test]
fn models_lists_every_registry() {
    let listed = stdout(&done(&["models"]));
    let known = barograph::forecast::FORECASTERS.iter().map(|entry| (entry.name, entry.summary));
    let known = known.chain(barograph::detect::DETECTORS.iter().map(|entry| (entry.name, entry.summary)));
    let known = known.chain(barograph::detect::MATRIX_DETECTORS.iter().map(|entry| (entry.name, entry.summary)));
    for (name, summary) in known {
        let is_listed = listed.lines().any(|line| line.trim_start().starts_with(name) && line.ends_with(summary));
        assert!(is_listed, "{name}: {listed}");
    }
}

#[test]
fn forecast_answers_every_series_in_every_format() {
    let dir = TempDir::new().unwrap();
    let input = two_series(&dir);
    for name in ["out.parquet", "out.csv", "out.json"] {
        let out = dir.path().join(name);
        done(&["forecast", text(&input), "--horizon", "24", "-o", text(&out)]);
        assert!(out.metadata().unwrap().len() > 0);
    }
    let csv = std::fs::read_to_string(dir.path().join("out.csv")).unwrap();
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!((lines[0], lines.len()), ("series,step,timestamp,value,lo,hi,model,season,fallback,kind", 49));
    assert!(lines[1..].iter().all(|line| line.ends_with(",gauge")), "{csv}");
    assert!(lines[1].starts_with("calm,1,2024-01-15T00:00:00Z,") && lines[25].starts_with("spiky,1,"), "{csv}");
    for line in &lines[1..25] {
        let cells: Vec<&str> = line.split(',').collect();
        let step: i64 = cells[1].parse().unwrap();
        let numbers: Vec<f64> = cells[3..6].iter().map(|cell| cell.parse().unwrap()).collect();
        assert!(numbers[1] < numbers[0] && numbers[0] < numbers[2], "{line}");
        assert!((numbers[0] - wave(335 + step)).abs() < 10.0, "far from the wave that goes on: {line}");
    }
    let json = std::fs::read_to_string(dir.path().join("out.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 48);
    // Parquet reads back as the long table that it is.
    let rows = read(&[text(&dir.path().join("out.parquet")).to_owned()]).unwrap();
    assert_eq!((rows.len(), rows.sources.len(), rows.at[0]), (48, 2, START + 336 * HOUR));
    // A duration, and a table for people.
    let table = stdout(&done(&["forecast", text(&input), "--horizon", "6h", "--season", "24"]));
    assert_eq!(table.lines().count(), 13, "{table}");
}

#[test]
fn series_without_a_clock_are_forecast_by_steps() {
    let dir = TempDir::new().unwrap();
    let mut csv = String::from("series,t,value\n");
    for t in 1..=96 {
        csv.push_str(&format!("w,{t},{}\n", wave(t)));
    }
    let input = write(&dir, "steps.csv", csv);
    let out = dir.path().join("out.csv");
    done(&["forecast", text(&input), "--horizon", "3", "-o", text(&out)]);
    let csv = std::fs::read_to_string(&out).unwrap();
    assert!(csv.lines().nth(1).unwrap().starts_with("w,1,,"), "no made-up timestamp: {csv}");
    fails(&["forecast", text(&input), "--horizon", "7d"], 1, &["steps", "not a duration"]);
}

#[test]
fn detect_keeps_the_order_of_rows_and_finds_the_spike() {
    let dir = TempDir::new().unwrap();
    let input = two_series(&dir);
    let out = dir.path().join("scores.csv");
    done(&["detect", text(&input), "-o", text(&out)]);
    let csv = std::fs::read_to_string(&out).unwrap();
    let lines: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(lines[0], ["series", "timestamp", "value", "score", "expected", "lo", "hi", "anomaly", "kind"]);
    assert_eq!(lines.len(), 1 + 2 * 336);
    assert!(lines[1..].chunks(2).all(|pair| pair[0][0] == "calm" && pair[1][0] == "spiky"));
    let is_number = |line: &Vec<&str>| line[3].parse::<f64>().is_ok_and(f64::is_finite);
    assert!(lines[1..].iter().all(is_number), "every row has a score to rank by");
    let empty = dir.path().join("empty.csv");
    done(&["detect", text(&input), "--keep-empty", "-o", text(&empty)]);
    let empty = std::fs::read_to_string(&empty).unwrap();
    let empty: Vec<Vec<&str>> = empty.lines().skip(1).map(|line| line.split(',').collect()).collect();
    let n_cold = empty.iter().take_while(|line| line[3].is_empty()).count();
    assert!((2..100).contains(&n_cold), "{n_cold} rows before the first score");
    assert!(empty[n_cold..].iter().all(is_number), "then every row has a score");
    let spike = &lines[1 + 2 * 320 + 1];
    assert!(spike[3].parse::<f64>().unwrap() > 1.0 && spike[7] == "true" && spike[8] == "spike", "{spike:?}");
    // Scores depend on earlier rows only: a shorter file has the same ones.
    let lines = std::fs::read_to_string(&input).unwrap();
    let head: String = lines.lines().take(401).map(|line| format!("{line}\n")).collect();
    let head = write(&dir, "head.csv", head);
    let out_head = dir.path().join("head_scores.csv");
    done(&["detect", text(&head), "-o", text(&out_head)]);
    let scores = |csv: &str| -> Vec<String> {
        csv.lines().skip(1).take(400).map(|line| line.split(',').nth(3).unwrap().to_owned()).collect()
    };
    assert_eq!(scores(&csv), scores(&std::fs::read_to_string(&out_head).unwrap()));
}

#[test]
fn a_series_too_short_to_score_has_no_scores() {
    let dir = TempDir::new().unwrap();
    let input = write(&dir, "one.csv", "timestamp,value\n2024-01-01,5\n");
    let table = stdout(&done(&["detect", text(&input)]));
    let row: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[..4], ["one.csv", "2024-01-01T00:00:00Z", "5", "-"], "{table}");
}

#[test]
fn a_warm_up_is_learned_from_and_not_told() {
    let dir = TempDir::new().unwrap();
    let input = two_series(&dir);
    let lines = std::fs::read_to_string(&input).unwrap();
    let header = lines.lines().next().unwrap();
    let half = |range: std::ops::Range<usize>| -> String {
        let rows = lines.lines().skip(1).skip(range.start).take(range.len());
        std::iter::once(header).chain(rows).map(|line| format!("{line}\n")).collect()
    };
    let before = write(&dir, "before.csv", half(0..336));
    let after = write(&dir, "after.csv", half(336..672));
    let (whole_out, out) = (dir.path().join("whole.csv"), dir.path().join("out.csv"));
    done(&["detect", text(&input), "-o", text(&whole_out)]);
    done(&["detect", text(&after), "--warmup", text(&before), "-o", text(&out)]);
    let whole = std::fs::read_to_string(&whole_out).unwrap();
    let told = std::fs::read_to_string(&out).unwrap();
    let second_half: Vec<&str> = whole.lines().skip(1 + 336).collect();
    assert_eq!(told.lines().skip(1).collect::<Vec<_>>(), second_half);
}

#[test]
fn multivariate_blames_the_column() {
    let dir = TempDir::new().unwrap();
    let n_rows = 1500usize;
    let at = (0..n_rows).map(|t| Some(START + t as i64 * 60_000)).collect();
    let mut table = Table::new().with("timestamp", Column::Time(at));
    for column in 0..4i64 {
        let value = |t: usize| {
            let strange = if column == 2 && (1400..1410).contains(&t) { 400.0 } else { 0.0 };
            wave(t as i64 + 5 * column) + strange
        };
        table = table.with(format!("m{column:02}"), Column::Float((0..n_rows).map(value).collect()));
    }
    for name in ["a.parquet", "b.parquet"] {
        table.write(&dir.path().join(name)).unwrap();
    }
    let out = dir.path().join("scores.csv");
    done(&["detect", text(&dir.path().join("a.parquet")), "--multivariate", "-o", text(&out)]);
    let csv = std::fs::read_to_string(&out).unwrap();
    assert_eq!(csv.lines().next(), Some("series,timestamp,score,anomaly,kind,m00,m01,m02,m03"));
    assert_eq!(csv.lines().count(), 1 + n_rows);
    let cells: Vec<&str> = csv.lines().nth(1 + 1402).unwrap().split(',').collect();
    let blame: Vec<f64> = cells[5..].iter().map(|cell| cell.parse().unwrap()).collect();
    assert!(cells[2].parse::<f64>().unwrap() > 1.0, "{cells:?}");
    assert!(blame.iter().all(|share| *share <= blame[2]), "{blame:?}");
    assert!((blame.iter().sum::<f64>() - 1.0).abs() < 1e-6, "{blame:?}");
    // Several entities need a folder.
    let both = format!("{}/?.parquet", text(dir.path()));
    fails(&["detect", &both, "--multivariate", "-o", text(&out)], 2, &["2 entities", "folder"]);
    let folder = dir.path().join("scores");
    done(&["detect", &both, "--multivariate", "-o", text(&folder)]);
    assert!(folder.join("a.parquet").exists() && folder.join("b.parquet").exists());
}

#[test]
fn what_is_not_warmed_up_is_told() {
    let dir = TempDir::new().unwrap();
    let rows: String = (0..300).map(|t| format!("{},{},{}\n", START + t * 60_000, wave(t), wave(t + 7))).collect();
    let (full, none) = (format!("timestamp,cpu,load\n{rows}"), "timestamp,cpu,load\n");
    std::fs::create_dir(dir.path().join("now")).unwrap();
    std::fs::create_dir(dir.path().join("earlier")).unwrap();
    for (name, text) in [("now/a.csv", &*full), ("now/b.csv", none), ("earlier/a.csv", none), ("earlier/b.csv", &full)]
    {
        write(&dir, name, text);
    }
    let path = |name: &str| text(&dir.path().join(name)).to_owned();
    let (now, earlier, out) = (path("now"), path("earlier"), path("out"));
    let told = |now: &str, earlier: &str, more: &[&str]| {
        stderr(&done(&[&["detect", now, "--warmup", earlier, "-o", &out], more].concat()))
    };
    // Of two files the ones that are left do not belong together; of one there is no doubt.
    let two = told(&now, &earlier, &["--multivariate"]);
    assert!(two.contains("warning: `a` is not warmed up: no earlier file"), "{two}");
    let one = told(&path("now/a.csv"), &path("earlier/b.csv"), &["--multivariate"]);
    assert!(!one.contains("not warmed up"), "{one}");
    let values: String = (0..300).map(|t| format!("{},{}\n", START + t * 60_000, wave(t))).collect();
    let series = |name: &str| write(&dir, name, format!("timestamp,value\n{values}"));
    let (today, before) = (series("today.csv"), series("before.csv"));
    let out = path("scores.csv");
    let ask = ["detect", text(&today), "--warmup", text(&before), "-o", &out];
    let alone = stderr(&done(&ask));
    assert!(
        alone.contains("1 of 1 series are not warmed up, as `today.csv`") && alone.contains("`before.csv`"),
        "{alone}"
    );
}

#[test]
fn analyze_writes_everything_and_a_report() {
    let dir = TempDir::new().unwrap();
    let mut csv = String::from("metric,host,timestamp,value\n");
    for t in 0..336 {
        let at = START + t * HOUR;
        let trouble = if (300..304).contains(&t) { 300.0 } else { 0.0 };
        csv.push_str(&format!("latency_seconds,a,{at},{}\n", wave(t) + trouble));
        csv.push_str(&format!("queue_depth,a,{at},{}\n", 2.0 * wave(t + 3) + 2.0 * trouble));
        csv.push_str(&format!("disk_used_bytes,a,{at},{}\n", 1e9 + 1e6 * t as f64 + 1e5 * wave(t)));
    }
    let input = write(&dir, "metrics.csv", csv);
    let folder = dir.path().join("out");
    let report = dir.path().join("report.md");
    let limit = "disk_used_bytes{host=\"a\"}=2GB";
    let analyze = |report: &str| {
        stdout(&done(&["analyze", text(&input), "--limit", limit, "-o", text(&folder), "--report", report]))
    };
    let told = analyze(text(&report));
    assert!(told.contains("1008 samples of 3 series") && told.contains("disk_used_bytes"), "{told}");
    for name in ["forecasts", "anomalies", "incidents", "capacity"] {
        assert!(folder.join(format!("{name}.parquet")).metadata().unwrap().len() > 0, "{name}");
    }
    let report = std::fs::read_to_string(&report).unwrap();
    for word in ["# Analysis", "## Capacity", "## Incidents", "## Anomalies", "## Forecasts", "disk_used_bytes{host="] {
        assert!(report.contains(word), "{word}:\n{report}");
    }
    let json_path = dir.path().join("report.json");
    analyze(text(&json_path));
    let json: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&json_path).unwrap()).unwrap();
    // 24 MB a day from 1.34 GB: the limit is some 27 days away.
    let disk = &json["capacity"][0];
    assert_eq!(disk["outcome"], "expected", "{disk}");
    let p50 = chrono::DateTime::parse_from_rfc3339(disk["p50"].as_str().unwrap()).unwrap().timestamp_millis();
    let days = (p50 - (START + 335 * HOUR)) / (24 * HOUR);
    assert!((20..35).contains(&days), "{days} days: {disk}");
    let anomalies = json["anomalies"].as_array().unwrap();
    let of = |metric: &str| anomalies.iter().any(|anomaly| anomaly["series"].as_str().unwrap().starts_with(metric));
    assert!(of("latency_seconds") && of("queue_depth"), "{anomalies:?}");
    assert!(!json["incidents"].as_array().unwrap().is_empty());
    assert_eq!(json["forecasts"].as_array().unwrap().len(), 3);
    assert_eq!(json["forecasts"][0]["start"], "2024-01-15T00:00:00Z");
    fails(&["analyze", text(&input), "--report", "r.html"], 2, &[".md", ".json"]);
    fails(&["analyze", text(&input), "--limit", "disk"], 2, &["VALUE"]);
}

#[test]
fn unknown_names_list_the_known() {
    let dir = TempDir::new().unwrap();
    let input = two_series(&dir);
    fails(&["forecast", text(&input), "--horizon", "3", "--model", "oracle"], 2, &["oracle", "auto", "naive"]);
    fails(&["detect", text(&input), "--detector", "psychic"], 2, &["psychic", "auto", "zscore"]);
    fails(&["detect", text(&input), "--multivariate", "--detector", "psychic"], 2, &["psychic", "auto", "pca"]);
    fails(&["backtest", text(&input), "--model", "auto,oracle"], 2, &["oracle", "auto", "`all`"]);
    fails(&["analyze", text(&input), "--detector", "psychic"], 2, &["psychic", "auto"]);
}

#[test]
fn arguments_out_of_range_are_bad_usage() {
    let dir = TempDir::new().unwrap();
    let input = two_series(&dir);
    let input = text(&input);
    fails(&["forecast", input, "--horizon", "0"], 2, &["horizon"]);
    fails(&["forecast", input, "--horizon", "soon"], 2, &["duration"]);
    fails(&["forecast", input, "--horizon", "-3"], 2, &["the horizon is `-3`", "between 1 and"]);
    fails(&["forecast", input, "--horizon", "3", "--season", "-5"], 2, &["`-5`", "at least 2"]);
    fails(&["detect", input, "--threshold", "-1"], 2, &["above 0"]);
    fails(&["forecast", input, "--horizon", "3", "--level", "95"], 2, &["0.95"]);
    fails(&["forecast", input, "--horizon", "3", "--season", "1"], 2, &["at least 2"]);
    fails(&["forecast", input, "--horizon", "3", "-o", "out.xlsx"], 2, &[".parquet"]);
    fails(&["detect", input, "-o", "out.xlsx"], 2, &[".parquet"]);
}

#[test]
fn bad_input_says_what_where_and_what_to_do() {
    let dir = TempDir::new().unwrap();
    let missing = dir.path().join("missing.csv");
    let bad_columns = write(&dir, "columns.csv", "when,amount\nnow,much\n");
    let empty = write(&dir, "empty.csv", "");
    let header = write(&dir, "header.csv", "timestamp,value\n");
    let garbage = write(&dir, "garbage.csv", [0u8, 159, 146, 150, 10, 255, 254, 0, 44, 10]);
    let word = write(&dir, "word.csv", "timestamp,value\n2024-01-01,1\n2024-01-02,lots\n");
    let time = write(&dir, "time.csv", "timestamp,value\nyesterday,1\n");
    let whole = dir.path().join("whole.parquet");
    let column = Column::Float(vec![1.0; 1000]);
    Table::new().with("a", column.clone()).with("b", column).write(&whole).unwrap();
    let bytes = std::fs::read(&whole).unwrap();
    let truncated = write(&dir, "truncated.parquet", &bytes[..bytes.len() / 2]);
    let shifted = write(&dir, "shifted.parquet", &bytes[4..]);
    let notes = write(&dir, "notes.md", "# notes");
    let folder = dir.path().join("nothing");
    std::fs::create_dir(&folder).unwrap();
    let pattern = format!("{}/*.none", text(dir.path()));
    let out = dir.path().join("out");
    let commands: [&[&str]; 4] =
        [&["forecast", "--horizon", "3"], &["detect"], &["backtest"], &["analyze", "-o", text(&out)]];
    for command in commands {
        let with = |input: &str, code: i32, words: &[&str]| {
            let arguments: Vec<&str> = command.iter().copied().chain([input]).collect();
            fails(&arguments, code, words);
        };
        with(text(&missing), 1, &["missing.csv", "no such file"]);
        with(text(&bad_columns), 1, &["columns.csv", "when", "amount", "needed", "timestamp", "value"]);
        with(text(&whole), 1, &["whole.parquet", "a (float64)", "needed"]);
        with(text(&empty), 1, &["empty.csv", "empty"]);
        with(text(&header), 1, &["header.csv"]);
        with(text(&garbage), 1, &["garbage.csv"]);
        with(text(&word), 1, &["word.csv", "row 2", "lots", "not a number"]);
        with(text(&time), 1, &["time.csv", "row 1", "yesterday"]);
        with(text(&truncated), 1, &["truncated.parquet", "cannot be read"]);
        with(text(&shifted), 1, &["shifted.parquet"]);
        with(text(&notes), 1, &["notes.md", "neither Parquet nor CSV"]);
        with(text(&folder), 1, &["nothing", ".parquet"]);
        with(&pattern, 1, &["matches no file"]);
        with("data/[", 2, &["pattern", "not valid"]);
    }
    let input = two_series(&dir);
    let into_nowhere = ["forecast", text(&input), "--horizon", "3", "-o", "/no/such/folder/out.csv"];
    fails(&into_nowhere, 1, &["/no/such/folder", "create it"]);
    // Told before the work, and so before a look at the input.
    for command in [&["forecast", "--horizon", "3"][..], &["detect"], &["backtest"], &["detect", "--multivariate"]] {
        let ask = [command, &[text(&missing), "-o", "/no/such/folder/out.csv"]].concat();
        fails(&ask, 1, &["/no/such/folder", "create it"]);
    }
    let report = ["analyze", text(&input), "-o", text(&out), "--report", "/no/such/folder/report.md"];
    fails(&report, 1, &["/no/such/folder", "create it"]);
    assert!(!out.join("forecasts.parquet").exists());
    fails(&["analyze", text(&input), "-o", text(&empty)], 1, &["empty.csv", "give a folder"]);
    let moment = write(&dir, "moment.csv", "timestamp,value\n2024-01-01,1\n");
    fails(&["forecast", text(&moment), "--horizon", "3"], 1, &["one moment only", "record longer"]);
    fails(&["forecast", text(&input), "--horizon", "900000d"], 1, &["900000d ahead", "shorter horizon"]);
}
