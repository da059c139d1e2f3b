//! The sample history is what data/README.md says: small, in the long layout, with a truth that is about its series,
//! and made by the script beside it.

// A test that cannot go on says so where it stopped.
#![allow(clippy::unwrap_used)]

mod python;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

use barograph::batch::{DetectAsk, detect_all, read as read_rows};
use barograph::detect::{AlarmSettings, Settings};
use barograph::incident::{GroupSettings, Incident, Member, group};
use barograph::presets::Presets;
use barograph::query::parse_selector;
use barograph::series::{Key, Selector};
use polars::prelude::{DataFrame, DataType, ParquetReader, SerReader, TimeUnit};
use python::python;
use serde_json::Value;

const FILES: [&str; 2] = ["generated", "recorded"];

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data")
}

fn read(path: &Path) -> DataFrame {
    ParquetReader::new(fs::File::open(path).unwrap()).finish().unwrap()
}

fn truth(section: &str) -> Value {
    let text = fs::read_to_string(data().join("truth.json")).unwrap();
    Value::from_str(&text).unwrap()[section].clone()
}

/// Every series of a frame with the time of its first and last sample.
fn series(frame: &DataFrame) -> Vec<(Key, i64, i64)> {
    let names: Vec<String> = frame.get_column_names().iter().map(ToString::to_string).collect();
    let label_names: Vec<&String> =
        names.iter().filter(|name| !["metric", "timestamp", "value"].contains(&name.as_str())).collect();
    let metrics = frame.column("metric").unwrap().str().unwrap();
    let labels: Vec<_> = label_names.iter().map(|name| frame.column(name).unwrap().str().unwrap()).collect();
    let timestamps = frame.column("timestamp").unwrap().datetime().unwrap().physical();
    let mut found: Vec<(Key, i64, i64)> = Vec::new();
    for row in 0..frame.height() {
        let set: Vec<(&str, &str)> = label_names
            .iter()
            .zip(&labels)
            .filter_map(|(name, column)| Some((name.as_str(), column.get(row)?)))
            .collect();
        let key = Key::from_pairs(metrics.get(row).unwrap(), &set).unwrap();
        let at = timestamps.get(row).unwrap();
        match found.last_mut() {
            Some((last, _, end)) if *last == key => *end = at,
            _ => found.push((key, at, at)),
        }
    }
    found
}

#[test]
fn the_files_are_small_sorted_and_in_the_long_layout() {
    for name in FILES {
        let path = data().join(format!("{name}.parquet"));
        assert!(fs::metadata(&path).unwrap().len() < 4_000_000, "{name} grows beyond what a clone should carry");
        let frame = read(&path);
        assert!(frame.height() > 1000, "{name}");
        let columns = frame.columns();
        let (head, tail) = columns.split_at(columns.len() - 2);
        assert_eq!(head[0].name().as_str(), "metric");
        assert!(head.iter().all(|column| *column.dtype() == DataType::String), "{name}: labels are text");
        assert!(matches!(tail[0].dtype(), DataType::Datetime(TimeUnit::Milliseconds, Some(_))), "{name}");
        assert_eq!(*tail[1].dtype(), DataType::Float64, "{name}");
        let mut keys: Vec<Key> = series(&frame).into_iter().map(|(key, _, _)| key).collect();
        let n_runs = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), n_runs, "{name}: each series stands in one run");
        assert!(n_runs >= 15, "{name} has only {n_runs} series");
    }
}

#[test]
fn the_truth_is_about_series_that_are_there() {
    for name in FILES {
        let truth = truth(name);
        let series = series(&read(&data().join(format!("{name}.parquet"))));
        let matching = |selector: &Value| -> Vec<&(Key, i64, i64)> {
            let selector: Selector = parse_selector(selector.as_str().unwrap()).unwrap();
            series.iter().filter(|(key, _, _)| selector.matches(key.labels())).collect()
        };
        let events = truth["events"].as_array().unwrap();
        assert!(events.len() >= 8, "{name}");
        for event in events {
            let (start, end) = (event["start"].as_i64().unwrap(), event["end"].as_i64().unwrap());
            let found = matching(&event["selector"]);
            assert!(!found.is_empty(), "{name}: {event} is about no series");
            assert!(
                start < end && found.iter().any(|(_, first, last)| *first <= start + 600_000 && end <= *last + 600_000),
                "{name}: {event}"
            );
        }
        let capacity = truth["capacity"].as_array().unwrap();
        assert!(!capacity.is_empty(), "{name}");
        for limit in capacity {
            let found = matching(&limit["selector"]);
            assert_eq!(found.len(), 1, "{name}: {limit}");
            if let Some(crosses) = limit["crosses"].as_i64() {
                assert!(crosses > found[0].2, "{name}: {limit} must lie ahead of the data");
            }
        }
        for season in truth["seasons"].as_array().unwrap() {
            assert_eq!(matching(&season["selector"]).len(), 1, "{name}: {season}");
        }
        for incident in truth["incidents"].as_array().into_iter().flatten() {
            assert_eq!(matching(&incident["cause"]).len(), 1);
            assert!(
                incident["members"].as_array().unwrap().iter().all(|member| matching(&member["selector"]).len() == 1)
            );
        }
    }
}

/// The incidents that the default detector's anomalies in the generated file make.
fn incidents_found() -> Vec<Incident> {
    let path = data().join("generated.parquet").to_str().unwrap().to_owned();
    let rows = read_rows(&[path]).unwrap();
    let (settings, alarm) = (Settings::default(), AlarmSettings::default());
    let ask = DetectAsk { detector: "auto".to_owned(), settings, alarm };
    let found = detect_all(&rows, None, &ask, &Presets::shipped(), || {}).unwrap();
    let members: Vec<Member> = rows
        .sources
        .iter()
        .zip(found)
        .flat_map(|(source, scores)| scores.anomalies.into_iter().map(|anomaly| (source.key.clone(), anomaly)))
        .map(|(key, anomaly)| Member { key, anomaly })
        .collect();
    group(&members, &GroupSettings::default())
}

#[test]
fn the_true_incident_is_found_whole_with_its_cause_among_the_first() {
    let found = incidents_found();
    for truth in truth("generated")["incidents"].as_array().unwrap() {
        let selector = |text: &Value| parse_selector(text.as_str().unwrap()).unwrap();
        let (start, end) = (truth["start"].as_i64().unwrap(), truth["end"].as_i64().unwrap());
        let members: Vec<Selector> =
            truth["members"].as_array().unwrap().iter().map(|member| selector(&member["selector"])).collect();
        let told = |incident: &&Incident| {
            let here = incident.start < end && incident.end >= start;
            let n_members = members
                .iter()
                .filter(|member| incident.causes.iter().any(|cause| member.matches(cause.key.labels())))
                .count();
            here && n_members == members.len()
        };
        let summaries: Vec<String> =
            found.iter().map(|incident| format!("{}: {}", incident.start - start, incident.summary)).collect();
        let incident = found.iter().find(told).unwrap_or_else(|| panic!("not in one: {summaries:#?}"));
        let cause = selector(&truth["cause"]);
        let rank = incident.causes.iter().position(|it| cause.matches(it.key.labels()));
        let strangers = incident.causes.len() - members.len();
        println!("rank {rank:?}, {strangers} strangers; {}", incident.summary);
        assert!(rank < Some(3) && strangers <= 2, "rank {rank:?}, {strangers} strangers: {:#?}", incident.causes);
    }
}

#[test]
fn the_script_makes_the_generated_file_again() {
    let Some(python) = python("numpy, pyarrow", "the_script_makes_the_generated_file_again") else { return };
    let folder = tempfile::tempdir().unwrap();
    let script = data().with_file_name("scripts").join("generate_data.py");
    let output = Command::new(python).arg("-B").arg(script).arg("--out").arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (made, kept) = (read(&folder.path().join("generated.parquet")), read(&data().join("generated.parquet")));
    assert_eq!(made.height(), kept.height());
    assert_eq!(series(&made), series(&kept));
    let values = |frame: &DataFrame| frame.column("value").unwrap().f64().unwrap().clone();
    for (made, kept) in values(&made).iter().zip(values(&kept).iter()) {
        let (made, kept) = (made.unwrap(), kept.unwrap());
        // Processors differ in the last bit of an exponential, which may tip a rounding.
        assert!((made - kept).abs() <= 1e-3 * kept.abs(), "{made} is not {kept}");
    }
    let section = |path: PathBuf| Value::from_str(&fs::read_to_string(path).unwrap()).unwrap()["generated"].clone();
    assert_eq!(section(folder.path().join("truth.json")), section(data().join("truth.json")));
}
