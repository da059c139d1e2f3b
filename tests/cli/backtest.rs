//! `barograph backtest`: methods judged on the past.

use tempfile::TempDir;

use super::support::{HOUR, START, done, fails, stderr, stdout, text, two_series, wave, write};

#[test]
fn models_are_judged_by_series_and_lead_and_as_a_whole() {
    let dir = TempDir::new().unwrap();
    let input = two_series(&dir);
    let out = dir.path().join("backtest.csv");
    let ask = ["backtest", text(&input), "--model", "seasonal-naive,naive", "--horizon", "6", "--season", "24"];
    let told = stdout(&done(&[&ask[..], &["--origins", "12", "-o", text(&out)]].concat()));
    for word in ["mase", "msis", "coverage", "By lead time", "Over all series", "3-4", "5-6", "spiky"] {
        assert!(told.contains(word), "`{word}`:\n{told}");
    }
    let csv = std::fs::read_to_string(&out).unwrap();
    let lines: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    let columns = "series,model,chosen,origins,lead,n,mase,relative,smape,msis,coverage,mae,bias,season,fallbacks";
    assert_eq!(lines[0].join(","), columns);
    // Two series and the whole, two models each, six leads and all of them.
    assert_eq!(lines.len(), 1 + 3 * 2 * 7, "{csv}");
    let number = |line: &[&str], name: &str| -> f64 {
        line[columns.split(',').position(|column| column == name).unwrap()].parse().unwrap()
    };
    let of = |series: &str, model: &str| -> Vec<Vec<&str>> {
        lines.iter().filter(|line| line[0] == series && line[1] == model).cloned().collect()
    };
    let seasonal = of("calm", "seasonal-naive");
    assert_eq!((seasonal[0][4], number(&seasonal[0], "n"), number(&seasonal[0], "origins")), ("", 72.0, 12.0));
    assert_eq!(number(&seasonal[0], "relative"), 1.0);
    assert!((number(&seasonal[0], "mase") - 1.0).abs() < 0.2, "{:?}", seasonal[0]);
    assert!(number(&of("calm", "naive")[6], "mae") > 2.0 * number(&of("calm", "naive")[1], "mae"), "{csv}");
    // Leads join to the whole, and series too; units do not.
    let mean = |lines: &[Vec<&str>]| lines.iter().map(|line| number(line, "mae")).sum::<f64>() / 6.0;
    assert!((mean(&seasonal[1..]) - number(&seasonal[0], "mae")).abs() < 1e-9);
    let whole = &of("", "seasonal-naive")[0];
    assert_eq!((number(whole, "n"), whole[11], whole[12]), (144.0, "", ""));
    assert_eq!((number(&seasonal[0], "season"), number(&seasonal[0], "fallbacks")), (24.0, 0.0));
}

#[test]
fn series_of_different_units_are_relative_to_their_own_scale() {
    // The same wave as a ratio and in bytes; at the end of the bytes everything is off.
    let dir = TempDir::new().unwrap();
    let mut csv = String::from("series,timestamp,value\n");
    for t in 0..336 {
        let off = if t > 250 { (t % 5) as f64 } else { 1.0 };
        csv.push_str(&format!("ratio,{0},{1}\nbytes,{0},{2}\n", START + t * HOUR, wave(t) / 1e3, off * wave(t) * 1e9));
    }
    let input = write(&dir, "units.csv", csv);
    let out = dir.path().join("out.csv");
    done(&[
        "backtest",
        text(&input),
        "--model",
        "moving-average",
        "--horizon",
        "6",
        "--season",
        "24",
        "-o",
        text(&out),
    ]);
    let csv = std::fs::read_to_string(&out).unwrap();
    let relative = |series: &str| -> f64 {
        let line = csv.lines().find(|line| line.starts_with(&format!("{series},moving-average"))).unwrap();
        line.split(',').nth(7).unwrap().parse().unwrap()
    };
    let (ratio, bytes, both) = (relative("ratio"), relative("bytes"), relative(""));
    assert!((ratio - bytes).abs() > 0.2, "{ratio} {bytes}");
    let (least, most) = (ratio.min(bytes), ratio.max(bytes));
    let margin = 0.02 * (most - least);
    assert!((least + margin..most - margin).contains(&both), "{both} is not between {ratio} and {bytes}");
}

#[test]
fn nothing_of_the_future_reaches_a_judged_forecast() {
    // The level doubles at the end, behind every target: the figures must not change.
    let dir = TempDir::new().unwrap();
    let out = dir.path().join("out.csv");
    let judged = |last: f64| {
        let value = |t: i64| if t == 335 { last } else { wave(t) };
        let rows: Vec<String> = (0..336).map(|t| format!("{},{}\n", START + t * HOUR, value(t))).collect();
        let input = write(&dir, "one.csv", format!("timestamp,value\n{}", rows.concat()));
        done(&["backtest", text(&input), "--horizon", "24", "--origins", "3", "-o", text(&out)]);
        let csv = std::fs::read_to_string(&out).unwrap();
        // Only the last lead of the last origin meets the changed value.
        csv.lines().filter(|line| !line.contains(",24,")).skip(2).take(23).map(str::to_owned).collect::<Vec<_>>()
    };
    let (calm, wild) = (judged(100.0), judged(1e9));
    assert_eq!(calm.len(), 23);
    assert_eq!(calm, wild);
}

#[test]
fn every_method_is_meant_by_one_word() {
    let dir = TempDir::new().unwrap();
    let rows: Vec<String> = (0..60).map(|t| format!("s,{t},{}\n", wave(t))).collect();
    let input = write(&dir, "steps.csv", format!("series,t,value\n{}", rows.concat()));
    let told = stdout(&done(&["backtest", text(&input), "--model", "all", "--horizon", "2", "--origins", "2"]));
    for entry in barograph::forecast::FORECASTERS {
        let is_told = told.lines().any(|line| line.split_whitespace().next() == Some(entry.name));
        assert!(is_told, "{}:\n{told}", entry.name);
    }
}

#[test]
fn a_detector_tells_how_often_it_would_have_fired() {
    let dir = TempDir::new().unwrap();
    let input = two_series(&dir);
    let told = stdout(&done(&["backtest", text(&input), "--detector", "auto"]));
    assert!(told.contains("auto would have fired") && told.contains("spiky"), "{told}");
    fails(&["backtest", text(&input), "--detector", "auto", "--model", "naive"], 2, &["cannot be used with"]);
}

#[test]
fn what_cannot_be_judged_is_told() {
    let dir = TempDir::new().unwrap();
    let input = two_series(&dir);
    fails(&["backtest", text(&input), "--origins", "0"], 2, &["--origins"]);
    fails(&["backtest", text(&input), "--level", "1"], 2, &["0.95"]);
    let far = stderr(&done(&["backtest", text(&input), "--model", "naive", "--horizon", "5000"]));
    assert!(far.contains("of 5000 steps ahead are judged at most: its history has no more than"), "{far}");
    fails(&["backtest", text(&input), "-o", "out.xlsx"], 2, &[".parquet"]);
    fails(&["backtest", text(&input), "--horizon", "never"], 2, &["duration"]);
    let short = write(&dir, "short.csv", "timestamp,value\n2024-01-01,1\n2024-01-02,2\n");
    fails(&["backtest", text(&short)], 1, &["too short"]);
}
