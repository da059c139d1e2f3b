//! The clocks of the place where a metric is, over HTTP.

use chrono::{DateTime, Datelike, FixedOffset, Weekday};
use serde_json::{Value, json};

use crate::client::{Running, encode, now, sample, start, start_in, start_with};

const HOUR: i64 = 3_600_000;

/// The hour that has begun.
fn this_hour() -> i64 {
    now() / HOUR * HOUR
}

/// Forty days of hours up to `end`, on two hosts.
fn fill(server: &Running, end: i64) {
    let samples = (0..960).flat_map(|idx: i64| {
        let at = end - (959 - idx) * HOUR;
        [sample("load", "a", at, (idx % 24) as f64), sample("load", "b", at, (idx % 24) as f64)]
    });
    assert_eq!(server.ingest(&Value::Array(samples.collect())).data()["accepted"], 1920);
}

/// When each point stands.
fn times(forecast: &Value) -> Vec<DateTime<FixedOffset>> {
    let points = forecast["points"].as_array().unwrap_or_else(|| panic!("{forecast}"));
    points.iter().map(|point| DateTime::parse_from_rfc3339(point["time"].as_str().unwrap()).unwrap()).collect()
}

fn forecast(server: &Running, ask: &str) -> Value {
    server.get(&format!("/api/v1/forecast?model=naive&{ask}")).data()["forecasts"][0].clone()
}

/// That all of `forecast` stands at midnight in its zone, where clocks are `offset` ahead of UTC.
fn is_midnight(forecast: &Value, zone: &str, offset: i32) {
    assert_eq!(forecast["time_zone"], zone, "{forecast}");
    let offset = FixedOffset::east_opt(offset).unwrap();
    let clocks: Vec<String> =
        times(forecast).iter().map(|at| at.with_timezone(&offset).format("%H:%M").to_string()).collect();
    assert!(!clocks.is_empty() && clocks.iter().all(|clock| clock == "00:00"), "{zone}: {clocks:?}");
}

#[test]
fn days_and_weeks_begin_where_the_configuration_says() {
    let (by_utc, end) = (start(), this_hour());
    fill(&by_utc, end);
    is_midnight(&forecast(&by_utc, "match=load&horizon=7d&step=1d"), "UTC", 0);
    let there = start_with(|config| config.time_zone = "Asia/Kolkata".parse().unwrap());
    fill(&there, end);
    let ahead = 5 * 3_600 + 1_800;
    is_midnight(&forecast(&there, "match=load&horizon=7d&step=1d"), "Asia/Kolkata", ahead);
    is_midnight(&forecast(&there, "match=load&horizon=7d&step=1d&aggregate=sum"), "Asia/Kolkata", ahead);
    for (server, offset) in [(&by_utc, 0), (&there, ahead)] {
        let weeks = times(&forecast(server, "match=load&horizon=28d&step=7d"));
        let offset = FixedOffset::east_opt(offset).unwrap();
        let days: Vec<Weekday> = weeks.iter().map(|at| at.with_timezone(&offset).weekday()).collect();
        assert_eq!(days, [Weekday::Mon; 4]);
    }
    // Hours stay where they are.
    let hours = |server| times(&forecast(server, "match=load&horizon=6h&step=3h"));
    assert_eq!(hours(&by_utc), hours(&there));
}

#[test]
fn a_preset_names_the_zone_of_its_metrics() {
    let dir = tempfile::tempdir().unwrap();
    let mine = dir.path().join("mine.yaml");
    let rules =
        "name: mine\nsummary: mine\nrules:\n  - selector: 'load{host=\"a\"}'\n    metric: { time_zone: Asia/Tokyo }\n";
    std::fs::write(&mine, rules).unwrap();
    let name = mine.to_str().unwrap().to_owned();
    let server = start_in(tempfile::tempdir().unwrap(), |config| {
        config.presets = vec![name];
        config.time_zone = "-03:00".parse().unwrap();
    })
    .unwrap_or_else(|error| panic!("{error}"));
    fill(&server, this_hour());
    let of_host =
        |host: &str| forecast(&server, &format!("match={}&step=1d", encode(&format!("load{{host=\"{host}\"}}"))));
    is_midnight(&of_host("a"), "Asia/Tokyo", 9 * 3_600);
    is_midnight(&of_host("b"), "-03:00", -3 * 3_600);
    // Of two places an aggregate has neither's.
    is_midnight(&forecast(&server, "match=load&step=1d&aggregate=mean"), "-03:00", -3 * 3_600);
    std::fs::write(&mine, rules.replace("Asia/Tokyo", "Tokyo")).unwrap();
    let name = mine.to_str().unwrap().to_owned();
    let error = start_in(dir, |config| config.presets = vec![name]).err().unwrap().to_string();
    assert!(error.contains("`Tokyo` is no time zone") && error.contains("line 5"), "{error}");
}

#[test]
fn times_of_events_are_those_of_the_configured_zone() {
    let dir = tempfile::tempdir().unwrap();
    let plan = dir.path().join("plan.yaml");
    let (zone, end) = (FixedOffset::east_opt(19_800).unwrap(), this_hour());
    // In 31 hours, as a clock there shows it.
    let at = DateTime::from_timestamp_millis(end + 31 * HOUR).unwrap().with_timezone(&zone).format("%Y-%m-%dT%H:%M");
    std::fs::write(&plan, format!("[{{kind: step, at: '{at}', add: 100}}]")).unwrap();
    let server = start_with(|config| {
        config.time_zone = "+05:30".parse().unwrap();
        config.events = Some(plan.clone());
    });
    fill(&server, end);
    let begins = |forecast: &Value| {
        let points = forecast["points"].as_array().unwrap();
        let first = points.iter().position(|point| point["value"].as_f64().unwrap() >= 100.0).unwrap();
        (times(forecast)[first].timestamp_millis() - end) / HOUR
    };
    assert_eq!(begins(&forecast(&server, "match=load&horizon=48h")), 31);
    let assumed = json!([{"kind": "step", "at": at.to_string(), "add": 500}]).to_string();
    let asked = forecast(&server, &format!("match=load&horizon=48h&events={}", encode(&assumed)));
    assert_eq!(begins(&asked), 31);
    assert!(asked["points"][40]["value"].as_f64().unwrap() >= 600.0, "{asked}");
}
