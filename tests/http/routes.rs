//! Every route's happy path.

use serde_json::{Value, json};

use crate::client::{Metadata, Running, WriteRequest, encode, gzip, now, sample, series, start};

const MINUTE: i64 = 60_000;

/// Two hosts, one sample a minute over `n` minutes up to now: a daily wave on one, growth on the other.
fn filled(n: i64) -> (Running, i64) {
    let server = start();
    let end = now() / MINUTE * MINUTE;
    let mut samples = Vec::new();
    for idx in 0..n {
        let at = end - (n - 1 - idx) * MINUTE;
        samples.push(sample("wave", "a", at, 50.0 + 10.0 * (idx as f64 / 30.0).sin()));
        samples.push(sample("disk_used", "b", at, 1000.0 + idx as f64));
    }
    let data = server.ingest(&Value::Array(samples)).data();
    assert_eq!(data, json!({"accepted": 2 * n, "rejected": 0, "reasons": []}));
    (server, end)
}

#[test]
fn json_ndjson_gzip_and_remote_write_all_arrive() {
    let server = start();
    let at = now();
    let one = sample("by_json", "a", at, 1.0);
    assert_eq!(server.ingest(&one).data()["accepted"], 1);
    let lines = format!("{}\n{}\n", sample("by_lines", "a", at, 1.0), sample("by_lines", "b", at, 2.0));
    assert_eq!(server.ndjson(lines.as_bytes()).data()["accepted"], 2);
    let zipped = gzip(sample("by_gzip", "a", at, 1.0).to_string().as_bytes());
    let headers = [("Content-Type", "application/json; charset=utf-8"), ("Content-Encoding", "gzip")];
    assert_eq!(server.post("/api/v1/ingest", &headers, &zipped).data()["accepted"], 1);
    let labels = [("__name__", "by_write"), ("host", "a")];
    let got = server
        .write(&WriteRequest { timeseries: vec![series(&labels, &[(at - 1000, 1.0), (at, 2.0)])], metadata: vec![] });
    assert_eq!((got.status, got.text.as_str()), (204, ""));
    // Prometheus sends messages of metadata alone once a minute.
    let metadata = vec![Metadata { kind: 1, family: "by_write".to_owned() }];
    assert_eq!(server.write(&WriteRequest { timeseries: vec![], metadata }).status, 204);
    let names = server.get("/api/v1/label/__name__/values").data();
    assert_eq!(names, json!(["by_gzip", "by_json", "by_lines", "by_write"]));
    assert_eq!(["by_json", "by_lines", "by_gzip", "by_write"].map(|name| server.count(name)), [1, 2, 1, 2]);
}

#[test]
fn prometheus_questions_get_prometheus_answers() {
    let (server, end) = filled(10);
    let seconds = end / 1000;
    let instant = server.get(&format!("/api/v1/query?query=disk_used&time={seconds}")).data();
    assert_eq!(
        instant,
        json!({"resultType": "vector", "result": [
            {"metric": {"__name__": "disk_used", "host": "b"}, "value": [seconds as f64, "1009"]}
        ]})
    );
    let start = seconds - 120;
    let range = server.get(&format!("/api/v1/query_range?query=disk_used&start={start}&end={seconds}&step=1m")).data();
    assert_eq!(range["resultType"], "matrix");
    let pairs = [(start, "1007"), (start + 60, "1008"), (seconds, "1009")].map(|(at, value)| json!([at as f64, value]));
    assert_eq!(range["result"][0]["values"], json!(pairs));
    // The same as a form, which is how Grafana asks by default.
    let form = format!("query=disk_used&start={start}&end={seconds}&step=60");
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    assert_eq!(server.post("/api/v1/query_range", &headers, form.as_bytes()).data(), range);
    assert_eq!(
        server.post("/api/v1/query", &headers, format!("query=disk_used&time={seconds}").as_bytes()).data(),
        instant
    );

    let both = json!([{"__name__": "disk_used", "host": "b"}, {"__name__": "wave", "host": "a"}]);
    assert_eq!(server.get("/api/v1/series?match[]=wave&match[]=disk_used").data(), both);
    assert_eq!(server.post("/api/v1/series", &headers, b"match[]=wave&match[]=disk_used").data(), both);
    assert_eq!(server.get(&format!("/api/v1/series?match[]=wave&end={}", seconds - 7200)).data(), json!([]));
    assert_eq!(server.get("/api/v1/labels").data(), json!(["__name__", "host"]));
    assert_eq!(server.get("/api/v1/label/host/values").data(), json!(["a", "b"]));
    assert_eq!(server.get("/api/v1/label/host/values?match[]=wave").data(), json!(["a"]));
    assert_eq!(server.get("/api/v1/label/host/values?limit=1").data(), json!(["a"]));
    assert_eq!(server.get("/api/v1/metadata").data()["wave"][0]["type"], "gauge");
    assert_eq!(server.get("/api/v1/status/buildinfo").data()["version"], env!("CARGO_PKG_VERSION"));
    // Prometheus ignores what it does not know, and Grafana sends such things.
    assert_eq!(server.get(&format!("/api/v1/query?query=disk_used&time={seconds}&stats=all")).data(), instant);
}

#[test]
fn a_forecast_has_points_a_band_a_model_and_its_accuracy() {
    let (server, end) = filled(600);
    let data = server.get("/api/v1/forecast?match=disk_used&horizon=1h&level=0.9&model=auto").data();
    assert_eq!((&data["matched"], data.get("truncated")), (&json!(1), None));
    let forecast = &data["forecasts"][0];
    assert_eq!((&forecast["series"], &forecast["metric"]), (&json!("disk_used{host=\"b\"}"), &json!("disk_used")));
    assert_eq!(
        (&forecast["step"], &forecast["level"], &forecast["kind"]),
        (&json!(60.0), &json!(0.9), &json!("gauge"))
    );
    let points = forecast["points"].as_array().unwrap();
    assert_eq!(points.len(), 60);
    let first = chrono::DateTime::parse_from_rfc3339(points[0]["time"].as_str().unwrap()).unwrap();
    assert_eq!(first.timestamp_millis(), end + MINUTE);
    for point in points {
        let [value, lower, upper] = ["value", "lower", "upper"].map(|name| point[name].as_f64().unwrap());
        assert!(lower <= value && value <= upper, "{point}");
    }
    let last = points[59]["value"].as_f64().unwrap();
    assert!((last - 1659.0).abs() < 30.0, "a straight line goes on: {last}");
    assert_eq!(forecast["direction"]["heading"], "rising");
    assert!(forecast["accuracy"]["mae"].is_number() && forecast["accuracy"]["baseline_mae"].is_number(), "{forecast}");
    assert!(forecast["model"].as_str().is_some_and(|model| model != "auto"), "{forecast}");
}

#[test]
fn a_forecast_says_when_its_series_fell_silent() {
    let server = start();
    let last = now() - 2 * 24 * 60 * MINUTE;
    let lines: Vec<String> =
        (0..300).map(|i| sample("stopped", "a", last - (299 - i) * MINUTE, i as f64).to_string()).collect();
    assert_eq!(server.ndjson(lines.join("\n").as_bytes()).status, 200);
    let ask = |from: &str| {
        server.get(&format!("/api/v1/forecast?match=stopped&horizon=1h&model=naive{from}")).data()["forecasts"][0]
            .clone()
    };
    let time =
        |value: &Value| chrono::DateTime::parse_from_rfc3339(value.as_str().unwrap()).unwrap().timestamp_millis();
    let from_end = ask("");
    assert_eq!((time(&from_end["last_sample"]), time(&from_end["points"][0]["time"])), (last, last + MINUTE));
    assert!(from_end["silent"].as_str().unwrap().contains("no sample for 2d"), "{from_end}");
    let from_now = ask("&from=now");
    assert!(time(&from_now["points"][0]["time"]) >= now() - MINUTE, "{from_now}");
    assert!(from_now["silent"].is_string() && from_now["band_reason"].is_string(), "{from_now}");
    server.get("/api/v1/forecast?match=stopped&from=later").error(400);
}

#[test]
fn a_point_of_a_span_that_has_begun_is_said_to_be_one() {
    let server = start();
    let (hour, day) = (60 * MINUTE, 24 * 60 * MINUTE);
    // The last sample lies half a day after a midnight.
    let last = now() / day * day - 12 * hour;
    let lines: Vec<String> =
        (0..2_400).map(|i| sample("load", "a", last - (2_399 - i) * hour, i as f64).to_string()).collect();
    assert_eq!(server.ndjson(lines.join("\n").as_bytes()).status, 200);
    let ask = |query: &str| {
        server.get(&format!("/api/v1/forecast?match=load&model=naive{query}")).data()["forecasts"][0].clone()
    };
    let time =
        |value: &Value| chrono::DateTime::parse_from_rfc3339(value.as_str().unwrap()).unwrap().timestamp_millis();
    let days = ask("&step=1d&horizon=3d");
    assert_eq!(time(&days["points"][0]["time"]), last - 12 * hour);
    let begun = days["begun"].as_str().unwrap();
    assert!(begun.contains("mean of 1d") && begun.contains("the first of them has begun"), "{days}");
    let sum = ask("&step=1d&horizon=3d&aggregate=sum");
    assert_eq!((time(&sum["points"][0]["time"]), time(&sum["last_sample"])), (last - 12 * hour, last));
    assert!(sum["begun"].is_string(), "{sum}");
    let hours = ask("&step=1h&horizon=3h");
    assert_eq!(time(&hours["points"][0]["time"]), last + hour);
    assert!(hours["begun"].is_null(), "{hours}");
}

#[test]
fn many_series_make_a_list_that_says_where_it_was_cut() {
    let (server, _) = filled(60);
    let selector = encode("{__name__=~\"wave|disk_used\"}");
    let data = server.get(&format!("/api/v1/forecast?match={selector}&horizon=5m&model=naive")).data();
    let names: Vec<&Value> = data["forecasts"].as_array().unwrap().iter().map(|one| &one["metric"]).collect();
    assert_eq!(names, ["disk_used", "wave"]);
    let data = server.get(&format!("/api/v1/forecast?match={selector}&horizon=5m&model=naive&limit=1")).data();
    assert_eq!((data["forecasts"].as_array().unwrap().len(), &data["matched"]), (1, &json!(2)));
    assert!(data["truncated"].as_str().unwrap().contains("limit"), "{data}");
}

#[test]
fn stats_describe_each_window() {
    let (server, _) = filled(120);
    let data = server.get("/api/v1/stats?match=disk_used&window=10m,24h").data();
    let windows = &data["series"][0]["windows"];
    assert_eq!((&windows[0]["window"], &windows[1]["window"]), (&json!("10m"), &json!("24h")));
    assert_eq!(
        (&windows[1]["count"], &windows[1]["min"], &windows[1]["max"]),
        (&json!(120), &json!(1000.0), &json!(1119.0))
    );
    assert_eq!((&windows[1]["p50"], &windows[1]["mean"]), (&json!(1059.5), &json!(1059.5)));
    assert!((windows[1]["rate"].as_f64().unwrap() - 1.0 / 60.0).abs() < 1e-9);
    assert!(windows[0]["count"].as_u64().unwrap() <= 11);
    let default = server.get("/api/v1/stats?match=disk_used").data();
    let lengths: Vec<&Value> =
        default["series"][0]["windows"].as_array().unwrap().iter().map(|one| &one["window"]).collect();
    assert_eq!(lengths, ["1h", "24h", "7d"]);
}

#[test]
fn capacity_dates_the_crossing_of_a_limit() {
    let (server, end) = filled(600);
    let data = server.get("/api/v1/capacity?match=disk_used&limit=3k&horizon=30d").data();
    let one = &data["series"][0];
    assert_eq!(
        (&one["exhaustion"]["status"], &one["limit"], &one["level"]),
        (&json!("expected"), &json!(3000.0), &json!(1599.0))
    );
    let p50 = chrono::DateTime::parse_from_rfc3339(one["exhaustion"]["p50"].as_str().unwrap()).unwrap();
    let hours = (p50.timestamp_millis() - end) as f64 / 3.6e6;
    assert!((hours - 1401.0 / 60.0).abs() < 3.0, "one a minute from 1599 to 3000: {hours} hours");
    assert_eq!(one["headroom"][0]["value"], 1401.0);
    assert!(!one["recommendation"].as_str().unwrap().is_empty());
    let crossed = server.get("/api/v1/capacity?match=disk_used&limit=1500").data();
    assert_eq!(crossed["series"][0]["exhaustion"]["status"], "crossed");
    let below = server.get("/api/v1/capacity?match=disk_used&limit=500&side=down").data();
    assert_eq!(below["series"][0]["exhaustion"]["status"], "not growing");
    assert!(server.get("/api/v1/capacity").data()["series"].is_array());
}

#[test]
fn a_jump_becomes_an_anomaly_with_what_was_normal_beside_it() {
    let server = start();
    let end = now() / 1000 * 1000;
    // Noise that repeats, so that the test is the same every time.
    let value = |idx: i64| 100.0 + ((idx * 7919) % 11) as f64;
    let mut samples: Vec<Value> =
        (0..600).map(|idx| sample("queue_depth", "a", end - (660 - idx) * 5000, value(idx))).collect();
    samples.extend((600..660).map(|idx| sample("queue_depth", "a", end - (660 - idx) * 5000, 2000.0)));
    for part in samples.chunks(100) {
        assert_eq!(server.ingest(&Value::Array(part.to_vec())).data()["rejected"], 0);
    }
    // Scoring follows the write; it is not part of it.
    let mut found = Value::Null;
    for _ in 0..100 {
        found = server.get("/api/v1/anomalies?match=queue_depth&start=now-2h&min_score=1").data();
        if found["matched"] != 0 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let worst = found["anomalies"]
        .as_array()
        .unwrap()
        .iter()
        .max_by(|a, b| a["score"].as_f64().unwrap().total_cmp(&b["score"].as_f64().unwrap()));
    let worst = worst.expect("a jump to twenty times the value is an anomaly");
    assert_eq!((&worst["metric"], &worst["value"]), (&json!("queue_depth"), &json!(2000.0)));
    assert!(worst["score"].as_f64().unwrap() > 1.0 && worst["expected"].as_f64().unwrap() < 200.0, "{worst}");
    assert!(["spike", "trend"].contains(&worst["kind"].as_str().unwrap()), "{worst}");
    assert!(!worst["explanation"].as_str().unwrap().is_empty());
    assert!(worst["hour_before"]["mean"].as_f64().unwrap() < 200.0, "{worst}");
    assert_eq!(server.get("/api/v1/anomalies?match=other").data()["matched"], 0);
    assert!(server.get("/api/v1/incidents?start=now-2h").data()["incidents"].is_array());
}

#[test]
fn health_readiness_and_metrics_answer() {
    let (server, _) = filled(5);
    assert_eq!(server.get("/health").json(), json!({"status": "ok"}));
    assert_eq!(server.get("/ready").json(), json!({"status": "ready"}));
    let plain = server.get("/metrics");
    assert!(plain.content_type.starts_with("text/plain; version=0.0.4"), "{}", plain.content_type);
    for expected in [
        "# TYPE barograph_http_requests_total counter",
        "barograph_http_requests_total{route=\"/api/v1/ingest\",method=\"POST\",status=\"200\"} 1",
        "barograph_http_request_duration_seconds_bucket",
        "barograph_samples_accepted_total 10",
        "barograph_store_series",
        "process_resident_memory_bytes",
    ] {
        assert!(plain.text.contains(expected), "{expected} is missing:\n{}", plain.text);
    }
    assert!(!plain.text.contains("# EOF"));
    let open = server.get_with("/metrics", "Accept", "application/openmetrics-text; version=1.0.0");
    assert!(open.content_type.starts_with("application/openmetrics-text"), "{}", open.content_type);
    assert!(open.text.ends_with("# EOF\n"));
}
