//! The clocks of the place where a metric is, on the command line.

use std::path::PathBuf;

use barograph::batch::read;
use chrono::{DateTime, FixedOffset};
use tempfile::TempDir;

use super::support::{HOUR, START, done, fails, stderr, text, write};

/// Tokyo is nine hours ahead all year.
const TOKYO: i64 = 9 * HOUR;

/// Twelve weeks of hours, 40 lower on Saturdays and Sundays in Tokyo, up to a Monday (2024-03-25) by UTC.
fn office(t: i64) -> f64 {
    let days = (START + t * HOUR + TOKYO).div_euclid(24 * HOUR);
    // The first day of 1970 was a Thursday.
    let is_weekend = (days + 3) % 7 >= 5;
    let wobble = ((t * 7919) % 13) as f64 / 13.0;
    (if is_weekend { 60.0 } else { 100.0 }) + 5.0 * (t as f64 * std::f64::consts::TAU / 24.0).sin() + wobble
}

fn input(dir: &TempDir) -> PathBuf {
    let rows: String = (0..12 * 7 * 24).map(|t| format!("visits,{},{}\n", START + t * HOUR, office(t))).collect();
    write(dir, "office.csv", format!("series,timestamp,value\n{rows}"))
}

/// Time and value of each row that `forecast` writes.
fn forecast(dir: &TempDir, arguments: &[&str]) -> Vec<(DateTime<FixedOffset>, f64)> {
    let out = dir.path().join("out.csv");
    done(&[&["forecast"], arguments, &["-o", text(&out)]].concat());
    rows(&std::fs::read_to_string(&out).unwrap())
}

fn rows(csv: &str) -> Vec<(DateTime<FixedOffset>, f64)> {
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        (DateTime::parse_from_rfc3339(cells[2]).unwrap(), cells[3].parse().unwrap())
    };
    csv.lines().skip(1).map(row).collect()
}

/// The clock by UTC at which each point stands; the same for all.
fn clock(points: &[(DateTime<FixedOffset>, f64)]) -> String {
    let mut clocks: Vec<String> = points.iter().map(|(at, _)| at.to_utc().format("%H:%M").to_string()).collect();
    clocks.dedup();
    clocks.join(" ")
}

fn preset(dir: &TempDir, zone: &str) -> PathBuf {
    let rules =
        format!("name: mine\nsummary: mine\nrules:\n  - selector: visits\n    metric: {{ time_zone: {zone} }}\n");
    write(dir, "mine.yaml", rules)
}

#[test]
fn days_begin_at_midnight_where_the_metric_is() {
    let dir = TempDir::new().unwrap();
    let input = input(&dir);
    // More hours than can be read: forecast by days.
    let ask = [text(&input), "--model", "naive", "--horizon", "600d"];
    let clock_with = |more: &[&str]| clock(&forecast(&dir, &[&ask[..], more].concat()));
    assert_eq!(clock_with(&[]), "00:00");
    assert_eq!(clock_with(&["--time-zone", "Asia/Tokyo"]), "15:00");
    assert_eq!(clock_with(&["--time-zone", "-03:30"]), "03:30");
    // The last sample is one of March, before clocks there go forward.
    assert_eq!(clock_with(&["--time-zone", "Europe/Berlin"]), "23:00");
    assert_eq!(clock_with(&["--time-zone", "Asia/Tokyo", "--aggregate", "sum"]), "15:00");
    let mine = preset(&dir, "America/Phoenix");
    assert_eq!(clock_with(&["--time-zone", "Asia/Tokyo", "--presets", text(&mine)]), "07:00");
    let out = dir.path().join("out.csv");
    let told = stderr(&done(&[&["forecast"], &ask[..], &["--time-zone", "Asia/Tokyo", "-o", text(&out)]].concat()));
    assert!(told.contains("forecast every 1d, from means of whole days in Asia/Tokyo"), "{told}");
    assert!(told.contains("the last 1d began at 2024-03-24T15:00:00Z and is not over"), "{told}");
    // A day there is no mixture: the last is a Sunday.
    let last = forecast(&dir, &[&ask[..], &["--time-zone", "Asia/Tokyo"]].concat())[0].1;
    assert!((last - 60.5).abs() < 0.3, "{last}");
    let hours = |more: &[&str]| forecast(&dir, &[&[text(&input), "--model", "naive", "--horizon", "3"], more].concat());
    assert_eq!(hours(&[]), hours(&["--time-zone", "Asia/Kolkata"]), "hours stay where they are");
}

#[test]
fn weekdays_are_those_on_the_wall() {
    let dir = TempDir::new().unwrap();
    let input = input(&dir);
    let models = ["--model", "dynamic-regression", "--season", "24", "--horizon", "168"];
    let worst = |more: &[&str]| {
        let points = forecast(&dir, &[&[text(&input)], &models[..], more].concat());
        let off = points.iter().zip(2_016..).map(|((_, value), t)| (value - office(t)).abs());
        off.fold(0.0, f64::max)
    };
    let (utc, tokyo) = (worst(&[]), worst(&["--time-zone", "Asia/Tokyo"]));
    assert!(utc > 15.0 && tokyo < 3.0, "{utc} {tokyo}");
    let mine = preset(&dir, "Asia/Tokyo");
    assert_eq!(worst(&["--presets", text(&mine)]), tokyo);
    // The same of the past.
    let out = dir.path().join("backtest.csv");
    let mae = |more: &[&str]| -> f64 {
        let ask = [&["backtest", text(&input)], &models[..], &["--origins", "3", "-o", text(&out)], more].concat();
        done(&ask);
        let csv = std::fs::read_to_string(&out).unwrap();
        let column = csv.lines().next().unwrap().split(',').position(|name| name == "mae").unwrap();
        csv.lines().nth(1).unwrap().split(',').nth(column).unwrap().parse().unwrap()
    };
    assert!(2.0 * mae(&["--time-zone", "Asia/Tokyo"]) < mae(&[]));
}

#[test]
fn an_analysis_averages_to_whole_days_there() {
    let dir = TempDir::new().unwrap();
    // More than 4,000 cells of twelve hours.
    let rows: String = (0..8_101).map(|t| format!("{},{}\n", START + t * 6 * HOUR, t % 28)).collect();
    let input = write(&dir, "visits.csv", format!("timestamp,visits\n{rows}"));
    let into = dir.path().join("analysis");
    let first = |more: &[&str]| {
        let ask = ["analyze", text(&input), "--model", "naive", "--horizon", "3", "-o", text(&into)];
        let told = stderr(&done(&[&ask[..], more].concat()));
        // The last sample is one of the first of its day.
        assert!(told.contains("of 1 of 1 series the last 1d began and is not over"), "{told}");
        let rows = read(&[text(&into.join("forecasts.parquet")).to_owned()]).unwrap();
        rows.at[0].rem_euclid(24 * HOUR)
    };
    assert_eq!(first(&[]), 0);
    // At midnight in Tokyo no sample was taken; the first one after it comes three hours later.
    assert_eq!(first(&["--time-zone", "Asia/Tokyo"]), 24 * HOUR - TOKYO);
}

#[test]
fn planned_times_are_those_of_the_place_unless_the_file_says_otherwise() {
    let dir = TempDir::new().unwrap();
    let input = input(&dir);
    // The first point stands at 2024-03-25T00:00:00Z, nine in the morning in Tokyo.
    let event = "{kind: step, at: 2024-03-25T12:00, add: 1000}";
    let begins = |plan: &str, more: &[&str]| {
        let plan = write(&dir, "plan.yaml", plan);
        let ask = [text(&input), "--model", "naive", "--horizon", "24", "--events", text(&plan)];
        let points = forecast(&dir, &[&ask[..], more].concat());
        points.iter().position(|(_, value)| *value > 1_000.0).unwrap()
    };
    assert_eq!(begins(&format!("- {event}\n"), &[]), 12);
    assert_eq!(begins(&format!("- {event}\n"), &["--time-zone", "Asia/Tokyo"]), 3);
    let named = format!("time_zone: UTC\nevents:\n  - {event}\n");
    assert_eq!(begins(&named, &["--time-zone", "Asia/Tokyo"]), 12);
}

#[test]
fn a_wrong_zone_is_told_with_what_to_write() {
    let dir = TempDir::new().unwrap();
    let input = input(&dir);
    let ask = ["forecast", text(&input), "--horizon", "3"];
    let words = ["`Mars/Olympus` is no time zone", "Europe/Berlin", "+02:00"];
    for command in ["forecast", "backtest", "analyze"] {
        fails(&[command, text(&input), "--horizon", "3", "--time-zone", "Mars/Olympus"], 2, &words);
    }
    fails(&["backtest", text(&input), "--detector", "zscore", "--time-zone", "UTC"], 2, &["--time-zone"]);
    let mine = preset(&dir, "Mars/Olympus");
    fails(&[&ask[..], &["--presets", text(&mine)]].concat(), 1, &["mine.yaml", "line 5", words[0]]);
    let config = write(&dir, "barograph.yaml", "data: here\ntime_zone: Mars/Olympus\n");
    fails(&["check-config", text(&config)], 1, &["barograph.yaml:2:12", words[0]]);
    let good = write(&dir, "barograph.yaml", "time_zone: Europe/Berlin\n");
    done(&["check-config", text(&good)]);
}
