//! Planned events and what would be if, over HTTP.

use serde_json::{Value, json};

use crate::client::{Running, encode, now, sample, start, start_with};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

/// Ten hours of minutes up to now: a wave around 100 on one host, growth by one a minute from 1000 on the other.
fn fill(server: &Running) -> i64 {
    let end = now() / MINUTE * MINUTE;
    let samples = (0..600).flat_map(|idx: i64| {
        let at = end - (599 - idx) * MINUTE;
        let wave = 100.0 + 10.0 * (idx as f64 / 30.0).sin() + ((idx * 7919) % 11) as f64 / 10.0;
        [sample("load", "a", at, wave), sample("disk_used", "b", at, 1000.0 + idx as f64)]
    });
    let samples: Vec<Value> = samples.collect();
    assert_eq!(server.ingest(&Value::Array(samples)).data()["accepted"], 1200);
    end
}

fn rfc3339(at: i64) -> String {
    chrono::DateTime::from_timestamp_millis(at).unwrap().to_rfc3339()
}

fn post(server: &Running, path: &str, body: &Value) -> Value {
    server.post(path, &[("Content-Type", "application/json")], body.to_string().as_bytes()).data()
}

fn values(data: &Value) -> Vec<f64> {
    let points = data["forecasts"][0]["points"].as_array().unwrap_or_else(|| panic!("{data}"));
    points.iter().map(|point| point["value"].as_f64().unwrap()).collect()
}

#[test]
fn what_would_be_if_changes_this_answer_and_no_other() {
    let server = start();
    let end = fill(&server);
    let path = "/api/v1/forecast?match=load&horizon=1h&model=naive";
    let plain = values(&server.get(path).data());
    assert!(server.get(path).json()["warnings"].is_null());
    let event =
        json!({"name": "launch", "match": "{host=\"a\"}", "kind": "step", "at": rfc3339(end + 31 * MINUTE), "add": 40});
    let ask = json!({"match": "load", "horizon": "1h", "model": "naive", "events": [event]});
    let answer = post(&server, "/api/v1/forecast", &ask);
    assert_eq!(answer["forecasts"][0]["events"], json!(["launch"]));
    for (idx, (plain, with)) in plain.iter().zip(values(&answer)).enumerate() {
        let expected = if idx < 30 { *plain } else { plain + 40.0 };
        assert!((with - expected).abs() < 1e-9, "{idx}: {with} {expected}");
    }
    // The same in a query string and in a form; and neither stays.
    let events = encode(&ask["events"].to_string());
    assert_eq!(values(&server.get(&format!("{path}&events={events}")).data()), values(&answer));
    let form = format!("match=load&horizon=1h&model=naive&events={events}");
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    assert_eq!(values(&server.post("/api/v1/forecast", &headers, form.as_bytes()).data()), values(&answer));
    let again = server.get(path).data();
    assert_eq!((values(&again), &again["forecasts"][0]["events"]), (plain, &json!([])));
    // Of another series.
    let other = json!({"match": "load", "horizon": "1h", "model": "naive", "events": [{"match": "disk_used", "kind": "step", "at": "now", "add": 1}]});
    let told = server.post("/api/v1/forecast", &[("Content-Type", "application/json")], other.to_string().as_bytes());
    assert_eq!(told.data()["forecasts"][0]["events"], json!([]));
    assert_eq!(told.json()["warnings"], json!(["events: `step` concerns none of the series; check its `match`"]));
    // Of the past: what was in the window is not learned, so that the last value is an earlier one.
    let masked = json!({"kind": "maintenance", "from": rfc3339(end - 10 * MINUTE), "to": "now+1h"});
    let ask = json!({"match": "disk_used", "horizon": "5m", "model": "naive", "events": [masked]});
    assert_eq!(values(&post(&server, "/api/v1/forecast", &ask)), [1588.0; 5]);
}

#[test]
fn what_recurs_is_learned_from_the_times_in_the_question() {
    let server = start();
    let end = now() / MINUTE * MINUTE;
    let begins = [40i64, 130, 190, 310, 380, 470, 545];
    let window = |idx: i64| begins.iter().any(|from| (*from..from + 8).contains(&idx));
    let samples = (0..600).map(|idx: i64| {
        let value = 100.0 + ((idx * 7919) % 11) as f64 / 10.0;
        sample("load", "a", end - (599 - idx) * MINUTE, if window(idx) { 2.0 * value } else { value })
    });
    server.ingest(&Value::Array(samples.collect()));
    let at = |idx: i64| rfc3339(end - (599 - idx) * MINUTE);
    let ahead = 620;
    let windows: Vec<Value> =
        begins.iter().chain([&ahead]).map(|from| json!({"from": at(*from), "to": at(from + 8)})).collect();
    let ask = |windows: &[Value]| {
        let event = json!({"name": "batch", "kind": "recurring", "match": "load", "windows": windows});
        let ask = json!({"match": "load", "horizon": "1h", "model": "moving-average", "events": [event]});
        post(&server, "/api/v1/forecast", &ask)
    };
    let answer = ask(&windows);
    let influence = &answer["forecasts"][0]["influences"][0];
    assert_eq!(
        (&influence["name"], &influence["occurrences"], &influence["add"]),
        (&json!("batch"), &json!(7), &Value::Null)
    );
    assert!((influence["times"].as_f64().unwrap() - 2.0).abs() < 0.02, "{influence}");
    assert!(influence["note"].as_str().unwrap().contains("multiplies by"), "{influence}");
    assert_eq!(answer["forecasts"][0]["events"], json!(["batch"]));
    for (idx, value) in values(&answer).iter().enumerate() {
        let expected = if (20..28).contains(&idx) { 200.0 } else { 100.0 };
        assert!((value / expected - 1.0).abs() < 0.02, "{idx}: {value}");
    }
    // One past time teaches nothing, and the answer says so; without events there is nothing to say.
    let once = ask(&windows[6..]);
    let influence = &once["forecasts"][0]["influences"][0];
    assert!(influence["note"].as_str().unwrap().contains("seen once") && influence["times"].is_null(), "{influence}");
    let plain = server.get("/api/v1/forecast?match=load&horizon=1h&model=moving-average").data();
    assert_eq!((values(&plain), &plain["forecasts"][0]["influences"]), (values(&once), &json!([])));
}

#[test]
fn capacity_is_asked_with_a_larger_disk_or_more_on_it() {
    let server = start();
    fill(&server);
    let ask = |events: Value| {
        let body = json!({"match": "disk_used", "limit": 3000, "horizon": "7d", "events": events});
        post(&server, "/api/v1/capacity", &body)["series"][0].clone()
    };
    let hours = |answer: &Value| {
        let p50 = answer["exhaustion"]["p50"].as_str().unwrap_or_else(|| panic!("{answer}"));
        (chrono::DateTime::parse_from_rfc3339(p50).unwrap().timestamp_millis() - now()) as f64 / HOUR as f64
    };
    let plain = ask(json!([]));
    assert!((hours(&plain) - 1401.0 / 60.0).abs() < 2.0 && plain["events"] == json!([]), "{plain}");
    let more = ask(json!([{"name": "import", "kind": "step", "at": "now+2h", "add": 600}]));
    assert!((hours(&more) - 801.0 / 60.0).abs() < 2.0, "{more}");
    assert_eq!(more["events"], json!(["import"]));
    assert!(more["recommendation"].as_str().unwrap().contains("`import`"), "{more}");
    let larger = ask(json!([{"name": "resize", "kind": "limit", "at": "now+2h", "add": 300}]));
    assert!((hours(&larger) - 1701.0 / 60.0).abs() < 2.0, "{larger}");
    assert_eq!(ask(json!([])), plain, "what was assumed is not kept");
    let elsewhere = json!([{"name": "import", "match": "load", "kind": "step", "at": "now+2h", "add": 600}]);
    let body = json!({"match": "disk_used", "limit": 3000, "events": elsewhere}).to_string();
    let told = server.post("/api/v1/capacity", &[("Content-Type", "application/json")], body.as_bytes()).json();
    assert!(told["warnings"][0].as_str().unwrap().contains("`import` concerns none of the series"), "{told}");
    // Of a fleet without limits an event of every series is no slip, and one of a series that is not there is.
    let mine = json!({"name": "mine", "match": "nothing", "kind": "step", "at": "now+2h", "add": 600});
    let all = json!({"name": "all", "kind": "step", "at": "now+2h", "add": 600});
    let body = json!({"events": [all, mine]}).to_string();
    let told = server.post("/api/v1/capacity", &[("Content-Type", "application/json")], body.as_bytes()).json();
    assert_eq!(told["warnings"], json!(["events: `mine` concerns none of the series; check its `match`"]), "{told}");
    // What recurs is no part of capacity, so that assuming it would change nothing.
    let windows = json!([{"from": "now-2d", "to": "now-47h"}, {"from": "now+1d", "to": "now+25h"}]);
    let batch = json!([{"name": "batch", "kind": "recurring", "windows": windows}]);
    let body = json!({"match": "disk_used", "limit": 3000, "events": batch}).to_string();
    let got = server.post("/api/v1/capacity", &[("Content-Type", "application/json")], body.as_bytes());
    let error = got.error(400);
    assert!(error.contains("`events`: `batch` recurs") && error.contains("one-off"), "{error}");
}

#[test]
fn wrong_events_are_refused_with_their_place() {
    let server = start();
    fill(&server);
    let ask = |events: Value| json!({"match": "load", "events": events}).to_string();
    let refused = |body: &str| {
        let got = server.post("/api/v1/forecast", &[("Content-Type", "application/json")], body.as_bytes());
        got.error(400)
    };
    for (events, words) in [
        (json!([{"name": "x", "kind": "jump"}]), ["event 1 `x`", "step, ramp"]),
        (json!([{"kind": "step", "add": 1}]), ["`at` is missing", "line 1"]),
        (json!([{"kind": "step", "at": "tomorrow", "add": 1}]), ["tomorrow", "2026-12-01T08:00:00Z"]),
        (json!([{"kind": "step", "at": "now", "add": 1, "match": "a{"}]), ["match:", "a{"]),
        (json!("soon"), ["`events`", ""]),
    ] {
        let error = refused(&ask(events));
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    }
    assert!(refused("[1, 2]").contains("JSON object"));
    assert!(refused("{\"match\": \"load\", \"event\": []}").contains("events"), "the name is told");
    let got = server.post("/api/v1/forecast", &[("Content-Type", "text/yaml")], b"match: load");
    assert!(got.error(415).contains("application/json"));
    let got = server.post("/api/v1/query", &[("Content-Type", "application/json")], b"{\"query\": \"load\"}");
    assert!(!got.error(415).contains("application/json"), "Prometheus' routes take forms");
}

#[test]
fn a_file_of_events_is_read_at_the_start_and_when_it_changes() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("plan.yaml");
    let plan = |add: u32| format!("- {{name: plan, kind: step, at: {}, add: {add}}}\n", rfc3339(now() + 30 * MINUTE));
    std::fs::write(&file, plan(1_000)).unwrap();
    let server = start_with(|config| config.events = Some(file.clone()));
    fill(&server);
    let last = || {
        let data = server.get("/api/v1/forecast?match=load&horizon=1h&model=naive").data();
        values(&data)[59] - values(&data)[0]
    };
    assert!((last() - 1_000.0).abs() < 1e-6, "{}", last());
    let wait_for = |expected: f64| {
        let began = std::time::Instant::now();
        while (last() - expected).abs() > 1e-6 {
            assert!(began.elapsed().as_secs() < 30, "{} instead of {expected}", last());
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    };
    std::fs::write(&file, plan(20_000)).unwrap();
    wait_for(20_000.0);
    // A file that is wrong changes nothing; one that is right again does.
    std::fs::write(&file, "- {kind: nonsense}\n").unwrap();
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert!((last() - 20_000.0).abs() < 1e-6);
    std::fs::write(&file, "[]\n").unwrap();
    wait_for(0.0);
    let error = server.start_another(|config| config.events = Some("/nowhere/plan.yaml".into())).unwrap_err();
    // The data directory is in use too, but the events are read first or it is told; either way nothing starts.
    assert!(!error.to_string().is_empty());
}

#[test]
fn a_sum_of_many_is_forecast_as_one() {
    let server = start();
    let end = now() / MINUTE * MINUTE;
    let mut samples = Vec::new();
    for idx in 0..300 {
        for (host, value) in [("a", idx as f64), ("b", 2.0 * idx as f64), ("c", 1000.0)] {
            // The third came late and has a hole.
            if host != "c" || (idx >= 100 && idx != 200) {
                samples.push(sample("disk_used", host, end - (299 - idx) * MINUTE, value));
            }
        }
        samples.push(sample("load", "a", end - (299 - idx) * MINUTE, 1.0));
    }
    for part in samples.chunks(500) {
        assert_eq!(server.ingest(&Value::Array(part.to_vec())).data()["rejected"], 0);
    }
    let ask = |query: &str| server.get(&format!("/api/v1/forecast?horizon=10m&model=naive&match={query}"));
    let sum = ask("disk_used&aggregate=sum").data();
    assert_eq!((&sum["matched"], &sum["forecasts"][0]["aggregate"]), (&json!(1), &json!({"of": "sum", "members": 3})));
    assert_eq!(values(&sum), [299.0 * 3.0 + 1000.0; 10]);
    assert!(sum["forecasts"][0]["points"][0]["lower"].is_number(), "{sum}");
    let mean = ask("disk_used&aggregate=mean").data();
    assert!((values(&mean)[0] - (299.0 * 3.0 + 1000.0) / 3.0).abs() < 1e-9);
    let by = ask("disk_used&aggregate=sum&by=host").data();
    assert_eq!((&by["matched"], &by["forecasts"][1]["labels"]), (&json!(3), &json!({"host": "b"})));
    // Metrics are never added up.
    let both = ask(&format!("{}&aggregate=sum", encode("{__name__=~\"disk_used|load\"}"))).data();
    let names: Vec<&Value> = both["forecasts"].as_array().unwrap().iter().map(|one| &one["metric"]).collect();
    assert_eq!(names, ["disk_used", "load"]);
    let event = json!([{"name": "part", "kind": "step", "at": "now+5m", "add": 7, "match": "{host=\"a\"}"},
                       {"name": "lost", "kind": "step", "at": "now+5m", "times": 7, "match": "{host=\"a\"}"}]);
    let with = ask(&format!("disk_used&aggregate=sum&events={}", encode(&event.to_string()))).data();
    assert!((values(&with)[9] - values(&sum)[9] - 7.0).abs() < 1e-9, "{with}");
    assert_eq!(with["forecasts"][0]["aggregate"]["events_left_out"], json!(["lost"]));
    assert!(ask("disk_used&aggregate=max").error(400).contains("sum and mean"));
    assert!(ask("disk_used&by=host").error(400).contains("aggregate"));
    assert!(ask("disk_used&aggregate=sum&by=host,nope").error(400).contains("`nope`"));
    ask("nothing_here&aggregate=sum").error(404);
}
