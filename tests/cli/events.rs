//! Planned events on the command line.

use tempfile::TempDir;

use super::support::{HOUR, START, done, fails, program, stderr, stdout, text, two_series, wave, write};

/// The forecasts of `series` in a CSV that `forecast` wrote: value, lo and hi by step.
fn forecasts(csv: &str, series: &str) -> Vec<[f64; 3]> {
    let lines = csv.lines().filter(|line| line.starts_with(&format!("{series},")));
    let cells =
        |line: &str| -> Vec<f64> { line.split(',').skip(3).take(3).map(|cell| cell.parse().unwrap()).collect() };
    lines.map(|line| cells(line).try_into().unwrap()).collect()
}

#[test]
fn a_forecast_takes_planned_events_in_for_the_series_they_concern() {
    let dir = TempDir::new().unwrap();
    let input = two_series(&dir);
    let out = dir.path().join("out.csv");
    let ask = ["forecast", text(&input), "--horizon", "24", "--season", "24", "-o", text(&out)];
    let forecast = |more: &[&str]| {
        let told = stderr(&done(&[&ask[..], more].concat()));
        (std::fs::read_to_string(&out).unwrap(), told)
    };
    let (plain, _) = forecast(&[]);
    // The history ends with the hour before 2024-01-15T00:00:00Z.
    let plan = "events:\n  - name: more\n    match: calm\n    kind: step\n    at: 2024-01-15T06:00:00Z\n    add: 50\n    \
                give_or_take: 10\n  - name: stale\n    match: gone\n    kind: step\n    at: 2024-01-15\n    add: 1\n";
    let plan = write(&dir, "plan.yaml", plan);
    let (with, told) = forecast(&["--events", text(&plan)]);
    assert!(told.contains("`stale`") && !told.contains("`more`"), "{told}");
    assert_eq!(forecasts(&plain, "spiky"), forecasts(&with, "spiky"));
    let both = forecasts(&plain, "calm").into_iter().zip(forecasts(&with, "calm")).enumerate();
    for (idx, ([value, lo, hi], [with, with_lo, with_hi])) in both {
        if idx < 6 {
            assert_eq!([value, lo, hi], [with, with_lo, with_hi]);
        } else {
            assert!((with - value - 50.0).abs() < 1e-9, "{idx}");
            // The band is wider by what the amount may be off by, as independent errors add up.
            assert!((with_hi - with - (hi - value).hypot(10.0)).abs() < 1e-6, "{idx}: {with_hi} {hi}");
            assert!((with - with_lo - (value - lo).hypot(10.0)).abs() < 1e-6, "{idx}");
        }
    }
}

#[test]
fn what_lies_in_a_maintenance_window_is_neither_learned_nor_judged() {
    let dir = TempDir::new().unwrap();
    let broken = 300..310;
    let value = |t: i64| if broken.contains(&t) { 5_000.0 } else { wave(t) };
    let rows: Vec<String> = (0..336).map(|t| format!("{},{}\n", START + t * HOUR, value(t))).collect();
    let input = write(&dir, "broken.csv", format!("timestamp,value\n{}", rows.concat()));
    let at = |t: i64| chrono::DateTime::from_timestamp_millis(START + t * HOUR).unwrap().to_rfc3339();
    let plan = format!(r#"[{{"kind": "maintenance", "from": "{}", "to": "{}"}}]"#, at(300), at(310));
    let plan = write(&dir, "plan.json", plan);
    let out = dir.path().join("out.csv");
    let mae = |more: &[&str]| -> (f64, usize) {
        let ask = ["backtest", text(&input), "--model", "seasonal-naive", "--season", "24", "-o", text(&out)];
        done(&[&ask[..], &["--origins", "30"], more].concat());
        let csv = std::fs::read_to_string(&out).unwrap();
        let cells: Vec<&str> = csv.lines().nth(1).unwrap().split(',').collect();
        (cells[11].parse().unwrap(), cells[5].parse().unwrap())
    };
    let ((unaware, n_unaware), (aware, n_aware)) = (mae(&[]), mae(&["--events", text(&plan)]));
    assert!(aware < 5.0 && unaware > 50.0, "{aware} {unaware}");
    assert!(n_aware < n_unaware && n_unaware == 720, "{n_aware} of {n_unaware}");
}

#[test]
fn an_analysis_reckons_with_what_is_planned_for_a_disk() {
    let dir = TempDir::new().unwrap();
    let mut csv = String::from("metric,host,timestamp,value\n");
    for t in 0..336 {
        csv.push_str(&format!("disk_used_bytes,a,{},{}\n", START + t * HOUR, 1e9 + 1e6 * t as f64 + 1e5 * wave(t)));
    }
    let input = write(&dir, "disk.csv", csv);
    let plan = "- {name: import, kind: step, at: 2024-01-20, add: 400MB, match: disk_used_bytes}\n";
    let plan = write(&dir, "plan.yaml", plan);
    let folder = dir.path().join("out");
    let report = dir.path().join("report.json");
    let analyze = |more: &[&str]| -> serde_json::Value {
        let ask = ["analyze", text(&input), "--limit", "disk_used_bytes=2GB", "-o", text(&folder)];
        done(&[&ask[..], &["--report", text(&report)], more].concat());
        let json: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&report).unwrap()).unwrap();
        json["capacity"][0].clone()
    };
    let date = |answer: &serde_json::Value| {
        let p50 = answer["p50"].as_str().unwrap_or_else(|| panic!("{answer}"));
        chrono::DateTime::parse_from_rfc3339(p50).unwrap().timestamp_millis()
    };
    let (plain, with) = (analyze(&[]), analyze(&["--events", text(&plan)]));
    // 400 MB are some 17 days of growth at 24 MB a day.
    let days = (date(&plain) - date(&with)) as f64 / (24 * HOUR) as f64;
    assert!((14.0..20.0).contains(&days), "{days} days: {plain} {with}");
    assert!(with["recommendation"].as_str().unwrap().contains("`import`"), "{with}");
}

#[test]
fn a_wrong_file_of_events_says_where_and_what_to_do() {
    let dir = TempDir::new().unwrap();
    let input = two_series(&dir);
    let bad = write(&dir, "bad.yaml", "events:\n  - name: x\n    kind: jump\n    at: 2024-01-15\n");
    let ask = |command: &'static str| {
        [&[command, text(&input)][..], if command == "forecast" { &["--horizon", "3"] } else { &[] }].concat()
    };
    for command in ["forecast", "backtest", "analyze"] {
        let words = ["bad.yaml:3:11", "`x`", "jump", "step, ramp, one-off, holiday, maintenance, recurring, limit"];
        fails(&[&ask(command)[..], &["--events", text(&bad)]].concat(), 1, &words);
    }
    let missing = dir.path().join("none.yaml");
    fails(&[&ask("forecast")[..], &["--events", text(&missing)]].concat(), 1, &["none.yaml", "cannot be read"]);
    let steps = write(&dir, "steps.csv", "t,value\n1,1\n2,2\n3,3\n4,4\n5,5\n6,6\n7,7\n8,8\n9,9\n");
    let plan = write(&dir, "plan.yaml", "- {kind: step, at: 2024-01-15, add: 1}\n");
    let told = stderr(&done(&["forecast", text(&steps), "--horizon", "2", "--events", text(&plan)]));
    assert!(told.contains("count steps"), "{told}");
}

#[test]
fn a_file_that_is_one_series_is_meant_by_its_name() {
    let dir = TempDir::new().unwrap();
    let rows: String = (0..336).map(|t| format!("{},{}\n", START + t * HOUR, wave(t))).collect();
    let input = write(&dir, "disk-1.csv", format!("timestamp,value\n{rows}"));
    let plan = write(&dir, "plan.yaml", "- {name: more, match: disk-1.csv, kind: step, at: 2024-01-15, add: 1000}\n");
    let out = dir.path().join("out.csv");
    let ask = ["forecast", text(&input), "--horizon", "2", "--model", "naive", "--events", text(&plan)];
    let told = stderr(&done(&[&ask[..], &["-o", text(&out)]].concat()));
    assert!(!told.contains("warning"), "{told}");
    let csv = std::fs::read_to_string(&out).unwrap();
    assert!(csv.lines().nth(1).unwrap().split(',').nth(3).unwrap().parse::<f64>().unwrap() > 1_000.0, "{csv}");
    let folder = dir.path().join("analysis");
    let ask = ["analyze", text(&input), "--model", "naive", "-o", text(&folder), "--limit"];
    let analysis = done(&[&ask[..], &["disk-1.csv=500"]].concat());
    assert!(stdout(&analysis).contains("1 capacity answers") && !stderr(&analysis).contains("warning"));
    // What is neither a selector nor the name of a series is no limit, rather than one of nothing.
    for slip in ["disk-2.csv=500", "disk offset 5m=5", "disk + other=5", "avg by host of cpu=5"] {
        fails(&[&ask[..], &[slip]].concat(), 2, &[slip, "no series is called so"]);
    }
    assert!(stderr(&done(&[&ask[..], &["other=500"]].concat())).contains("--limit other: no series matches"));
    let slip = write(&dir, "slip.yaml", "- {name: more, match: disk-2.csv, kind: step, at: 2024-01-15, add: 1000}\n");
    let ask = ["forecast", text(&input), "--horizon", "2", "--events", text(&slip)];
    fails(&ask, 1, &["slip.yaml:1:23", "`disk-2.csv` is not a selector"]);
    // In a server series have no names but their metrics'.
    let config = write(&dir, "named.yaml", format!("data: /tmp/x\nevents: {}\n", text(&plan)));
    fails(&["check-config", text(&config)], 1, &["plan.yaml:1:23", "`disk-1.csv` is not a selector"]);
    // What is not forecast is told, and why, beside what could be analyzed.
    let ask = ["analyze", text(&input), "--model", "naive", "-o", text(&folder)];
    let far = stderr(&done(&[&ask[..], &["--horizon", "900000d"]].concat()));
    assert!(far.contains("warning: `disk-1.csv` could not be forecast: 900000d at a step of 1h"), "{far}");
}

#[test]
fn a_configuration_is_checked_with_its_events() {
    let dir = TempDir::new().unwrap();
    let plan = write(&dir, "plan.yaml", "- {name: x, kind: step, at: 2024-01-15, add: 1}\n");
    let config = write(&dir, "good.yaml", format!("data: /tmp/x\nevents: {}\n", text(&plan)));
    assert!(stdout(&done(&["check-config", text(&config)])).contains("good"));
    write(&dir, "plan.yaml", "- {name: x, kind: step, at: soon, add: 1}\n");
    fails(&["check-config", text(&config)], 1, &["good.yaml:2:1", "plan.yaml:1:29", "`soon`"]);
    std::fs::remove_file(&plan).unwrap();
    fails(&["check-config", text(&config)], 1, &["plan.yaml", "cannot be read"]);
    let output = program().args(["serve", "--config", text(&config)]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
}
