//! What recurs and what is known beforehand as numbers, on the command line.

use std::path::PathBuf;

use tempfile::TempDir;

use super::support::{HOUR, START, done, fails, stderr, text, wave, write};

const DAY: i64 = 24 * HOUR;
/// Days of hours that are in the files.
const N_DAYS: i64 = 70;

/// Two days of three, seven and eleven: paydays that no cycle explains.
fn is_payday(day: i64) -> bool {
    [3, 10, 21, 32, 39, 50, 61, 72].contains(&day)
}

fn value(t: i64) -> f64 {
    wave(t) * if is_payday(t / 24) { 1.6 } else { 1.0 }
}

/// A series with paydays and one without.
fn input(dir: &TempDir) -> PathBuf {
    let mut csv = String::from("metric,host,timestamp,value\n");
    for t in 0..N_DAYS * 24 {
        let at = START + t * HOUR;
        csv.push_str(&format!("sales,a,{at},{}\nsales,b,{at},{}\n", value(t), 3.0 * wave(t)));
    }
    write(dir, "sales.csv", csv)
}

fn date(day: i64) -> String {
    chrono::DateTime::from_timestamp_millis(START + day * DAY).unwrap().format("%Y-%m-%d").to_string()
}

fn plan(dir: &TempDir, selector: &str) -> PathBuf {
    let days: Vec<String> = (0..80).filter(|day| is_payday(*day)).map(date).collect();
    let plan = format!("- {{name: payday, kind: recurring, match: '{selector}', dates: [{}]}}\n", days.join(", "));
    write(dir, "plan.yaml", plan)
}

/// The mean forecast of a series on a day ahead, from 0, in a CSV that `forecast` wrote.
fn mean(csv: &str, series: &str, day: usize) -> f64 {
    let mut reader = csv.lines().filter(|line| line.contains(series)).skip(day * 24);
    let value = |line: &str| -> f64 { line.rsplit(',').nth(5).unwrap().parse().unwrap() };
    (0..24).map(|_| value(reader.next().unwrap())).sum::<f64>() / 24.0
}

#[test]
fn a_payday_is_learned_from_its_past_by_every_command_that_takes_events() {
    let dir = TempDir::new().unwrap();
    let (input, plan) = (input(&dir), plan(&dir, "sales{host=\"a\"}"));
    let out = dir.path().join("out.csv");
    let ask = ["forecast", text(&input), "--horizon", "4d", "--season", "24", "-o", text(&out)];
    for model in ["seasonal-naive", "theta"] {
        let told = stderr(&done(&[&ask[..], &["--model", model, "--events", text(&plan)]].concat()));
        assert!(told.contains("`payday` multiplies by 1.") && told.contains("what it did 7 times"), "{told}");
        let csv = std::fs::read_to_string(&out).unwrap();
        // The horizon's third day is the eighth payday.
        let raised = mean(&csv, "\"\"a\"\"", 2) / mean(&csv, "\"\"a\"\"", 1);
        assert!((raised - 1.6).abs() < 0.05, "{model}: {raised}");
        let other = mean(&csv, "\"\"b\"\"", 2) / mean(&csv, "\"\"b\"\"", 1);
        assert!((other - 1.0).abs() < 0.05, "{model}: {other}");
    }
    // Of the sum it concerns a part only; a plan that concerns all of it is learned.
    let sum = ["--model", "seasonal-naive", "--aggregate", "sum", "--events"];
    let told = stderr(&done(&[&ask[..], &sum, &[text(&plan)]].concat()));
    assert!(
        told.contains("the event `payday` concerns only some of its series") && !told.contains("multiplies"),
        "{told}"
    );
    let all = self::plan(&dir, "sales");
    let told = stderr(&done(&[&ask[..], &sum, &[text(&all)]].concat()));
    assert!(told.contains("`payday` multiplies by 1.1"), "{told}");

    let backtest = |more: &[&str]| -> (f64, String) {
        let ask = ["backtest", text(&input), "--model", "seasonal-naive", "--season", "24", "--horizon", "48"];
        let told = stderr(&done(&[&ask[..], &["--origins", "20", "-o", text(&out)], more].concat()));
        let csv = std::fs::read_to_string(&out).unwrap();
        (csv.lines().nth(1).unwrap().rsplit(',').nth(3).unwrap().parse().unwrap(), told)
    };
    let ((without, _), (with, told)) = (backtest(&[]), backtest(&["--events", text(&all)]));
    assert!(with < 0.6 * without, "{with} {without}");
    assert!(told.contains("by the whole past, `payday` multiplies by"), "{told}");

    let folder = dir.path().join("analysis");
    let told = stderr(&done(&["analyze", text(&input), "--events", text(&all), "-o", text(&folder)]));
    assert!(told.contains("`payday` multiplies by") && told.contains("`payday` has no effect"), "{told}");
}

#[test]
fn what_recurs_says_what_it_lacks() {
    let dir = TempDir::new().unwrap();
    let input = input(&dir);
    let ask = |plan: &str| -> Vec<String> {
        let plan = write(&dir, "wrong.yaml", plan);
        ["forecast", text(&input), "--horizon", "1d", "--events", text(&plan)].map(str::to_owned).to_vec()
    };
    let refuses = |plan: &str, words: &[&str]| {
        let ask = ask(plan);
        fails(&ask.iter().map(String::as_str).collect::<Vec<_>>(), 1, words);
    };
    refuses("- {kind: recurring, dates: [2024-01-04]}\n", &["wrong.yaml:1:10", "`name` is missing"]);
    refuses("- {kind: recurring, name: x}\n", &["`dates` or `windows` is missing", "past times"]);
    refuses("- {kind: recurring, name: x, dates: [2024-01-04], add: 3}\n", &["takes no `add`", "dates, windows"]);
    let ask = ask("- {kind: recurring, name: x, dates: [2024-01-04, 2024-03-13]}\n");
    let told = stderr(&done(&ask.iter().map(String::as_str).collect::<Vec<_>>()));
    assert!(told.contains("`x` has no effect: it was seen once"), "{told}");
}

#[test]
fn columns_of_a_file_move_the_forecast_as_they_moved_the_past() {
    let dir = TempDir::new().unwrap();
    let input = input(&dir);
    let out = dir.path().join("out.csv");
    // A number a day: of the host with paydays its own, of every host one that means nothing.
    let mut known = String::from("date,host,payday,moon\n");
    for day in 0..N_DAYS + 3 {
        let moon = (day as f64 / 29.5 * std::f64::consts::TAU).cos();
        known.push_str(&format!("{},a,{},\n", date(day), i32::from(is_payday(day))));
        known.push_str(&format!("{},,,{moon}\n", date(day)));
    }
    let known = write(&dir, "known.csv", known);
    let ask = ["forecast", text(&input), "--horizon", "4d", "--season", "24", "--model", "theta", "-o", text(&out)];
    let told = stderr(&done(&[&ask[..], &["--columns", text(&known)]].concat()));
    assert!(told.contains("`payday` multiplies by 1.") && told.contains("`moon` has no effect"), "{told}");
    assert!(told.contains("`payday` reaches to 2024-03-13T23:00:00Z, 72 of 96 steps ahead"), "{told}");
    let csv = std::fs::read_to_string(&out).unwrap();
    let [raised, other] = ["a", "b"].map(|host| {
        let name = format!("\"\"{host}\"\"");
        mean(&csv, &name, 2) / mean(&csv, &name, 1)
    });
    assert!((raised - 1.6).abs() < 0.05 && (other - 1.0).abs() < 0.05, "{raised} {other}");

    // True and false are numbers as well.
    let days = (0..N_DAYS + 3).map(|day| format!("{},a,{}\n", date(day), is_payday(day))).collect::<String>();
    let truths = write(&dir, "truths.csv", format!("date,host,is_payday\n{days}"));
    let told = stderr(&done(&[&ask[..], &["--columns", text(&truths)]].concat()));
    assert!(told.contains("`is_payday` multiplies by 1."), "{told}");

    let backtest = |more: &[&str]| -> f64 {
        let ask = ["backtest", text(&input), "--model", "theta", "--season", "24", "--origins", "20"];
        done(&[&ask[..], &["-o", text(&out)], more].concat());
        let csv = std::fs::read_to_string(&out).unwrap();
        csv.lines().nth(1).unwrap().rsplit(',').nth(3).unwrap().parse().unwrap()
    };
    let (without, with) = (backtest(&[]), backtest(&["--columns", text(&known)]));
    assert!(with < 0.7 * without, "{with} {without}");
}

#[test]
fn wrong_columns_say_what_is_wrong() {
    let dir = TempDir::new().unwrap();
    let input = input(&dir);
    for command in [&["forecast", text(&input), "--horizon", "1d"][..], &["backtest", text(&input)]] {
        let refuses = |known: &str, words: &[&str]| {
            let known = write(&dir, "known.csv", known);
            fails(&[command, &["--columns", text(&known)]].concat(), 1, words);
        };
        refuses("when,load\nnoon,1\n", &["known.csv", "no time column", "one number column for each thing"]);
        refuses("date,name\n2024-01-01,x\n", &["known.csv", "no number column"]);
        refuses("date,load\n2024-01-01,1\n2024-01-02,much\n", &["known.csv", "`much`"]);
        refuses("date,load\n2019-01-01,1\n2019-01-02,2\n", &["`load` is known from 2019-01-01", "do not overlap"]);
        refuses("t,load\n1,1\n2,2\n", &["not dated alike"]);
        let two = "date,store,load\n2024-01-01,1,1.5\n2024-01-01,2,2\n";
        refuses(
            two,
            &["`load` is both 1.5 and 2 at 2024-01-01T00:00:00Z", "if `store` says which", "as their label is called"],
        );
        fails(&[command, &["--columns", "none.csv"]].concat(), 1, &["none.csv", "no such file"]);
    }
    let other = write(&dir, "other.csv", "date,host,load\n2024-01-01,c,1\n");
    let told = stderr(&done(&["forecast", text(&input), "--horizon", "1d", "--columns", text(&other)]));
    assert!(told.contains("`load{host=\"c\"}` concerns none"), "{told}");
    fails(&["backtest", text(&input), "--detector", "auto", "--columns", text(&other)], 2, &["--columns"]);
}
