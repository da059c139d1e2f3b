//! What must not come in, and what it is told: each line of "bad input" once over each way in.

use serde_json::{Value, json};

use crate::client::{Running, TimeSeries, WriteRequest, gzip, now, sample, series, snappy, start, start_with};
use prost::Message;

/// The server still answers, and holds just `n` samples of `up`.
fn still_holds(server: &Running, n: u64) {
    assert_eq!(server.get("/health").status, 200);
    assert_eq!(server.count("up"), n);
}

fn write(series: Vec<TimeSeries>) -> WriteRequest {
    WriteRequest { timeseries: series, metadata: vec![] }
}

const JSON: (&str, &str) = ("Content-Type", "application/json");

#[test]
fn truncated_bodies() {
    let server = start();
    assert_eq!(server.ingest(&sample("up", "a", now(), 1.0)).status, 200);
    let whole = sample("up", "b", now(), 1.0).to_string();
    let error = server.post("/api/v1/ingest", &[JSON], &whole.as_bytes()[..whole.len() - 5]).error(400);
    assert!(error.contains("JSON"), "{error}");
    let zipped = gzip(whole.as_bytes());
    let headers = [JSON, ("Content-Encoding", "gzip")];
    let error = server.post("/api/v1/ingest", &headers, &zipped[..zipped.len() - 9]).error(400);
    assert!(error.contains("gzip"), "{error}");
    let message = write(vec![series(&[("__name__", "up"), ("host", "c")], &[(now(), 1.0)])]).encode_to_vec();
    let packed = snappy(&message);
    let error = server.write_raw(&packed[..packed.len() - 3]).error(400);
    assert!(error.contains("snappy"), "{error}");
    let error = server.write_raw(&snappy(&message[..message.len() - 3])).error(400);
    assert!(error.contains("remote write"), "{error}");
    // A line cut off at the end of NDJSON spoils only itself.
    let lines = format!("{}\n{}", sample("up", "d", now(), 1.0), &whole[..20]);
    let data = server.ndjson(lines.as_bytes()).data();
    assert_eq!((&data["accepted"], &data["rejected"], &data["reasons"][0]["line"]), (&json!(1), &json!(1), &json!(2)));
    still_holds(&server, 2);
}

#[test]
fn oversized_bodies_as_sent_and_after_decompression() {
    let server = start_with(|config| {
        config.limits.max_body = 20_000;
        config.limits.max_decoded = 100_000;
    });
    let mut many = vec![b' '; 30_000];
    let error = server.post("/api/v1/ingest", &[JSON], &many).error(413);
    assert!(error.contains("20000") && error.contains("limits.max_body"), "{error}");
    let error = server.write_raw(&many).error(413);
    assert!(error.contains("20000"), "{error}");
    many.resize(10_000_000, b' ');
    let bomb = gzip(&many[..2_000_000]);
    assert!(bomb.len() < 20_000, "small as sent");
    let error = server.post("/api/v1/ingest", &[JSON, ("Content-Encoding", "gzip")], &bomb).error(413);
    assert!(error.contains("after decompression") && error.contains("limits.max_decoded"), "{error}");
    let error = server.write_raw(&snappy(&many[..200_000])).error(413);
    assert!(error.contains("after decompression"), "{error}");
    // A snappy header that promises four gigabytes must not be believed.
    let error = server.write_raw(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0]).error(400);
    assert!(error.contains("snappy") && error.contains("4294967295"), "{error}");
    // Larger than the sockets' buffers: the client must still hear the answer.
    let huge = vec![b' '; 30 << 20];
    assert_eq!(server.post("/api/v1/ingest", &[JSON], &huge).status, 413);
    still_holds(&server, 0);
}

#[test]
fn wrong_types_and_encodings() {
    let server = start();
    let body = sample("up", "a", now(), 1.0).to_string();
    for wrong in ["text/plain", "application/x-www-form-urlencoded", "application/x-protobuf"] {
        let error = server.post("/api/v1/ingest", &[("Content-Type", wrong)], body.as_bytes()).error(415);
        assert!(error.contains(wrong) && error.contains("application/x-ndjson"), "{error}");
    }
    assert!(server.post("/api/v1/ingest", &[], body.as_bytes()).error(415).contains("Content-Type"));
    let error = server.post("/api/v1/ingest", &[JSON, ("Content-Encoding", "br")], body.as_bytes()).error(415);
    assert!(error.contains("`br`") && error.contains("gzip"), "{error}");
    let error = server.post("/api/v1/ingest", &[JSON, ("Content-Encoding", "gzip")], body.as_bytes()).error(400);
    assert!(error.contains("gzip"), "{error}");

    let packed = snappy(&write(vec![series(&[("__name__", "up")], &[(now(), 1.0)])]).encode_to_vec());
    let write_with = |content_type: &str, encoding: &str| {
        server.post("/api/v1/write", &[("Content-Type", content_type), ("Content-Encoding", encoding)], &packed)
    };
    assert!(write_with("application/json", "snappy").error(415).contains("application/x-protobuf"));
    assert!(write_with("application/x-protobuf", "gzip").error(415).contains("snappy"));
    assert!(write_with("application/x-protobuf", "identity").error(415).contains("snappy"));
    let second = write_with("application/x-protobuf;proto=io.prometheus.write.v2.Request", "snappy").error(415);
    assert!(second.contains("2.0") && second.contains("prometheus.WriteRequest"), "{second}");
    still_holds(&server, 0);
    assert_eq!(write_with("application/x-protobuf;proto=prometheus.WriteRequest", "snappy").status, 204);
    still_holds(&server, 1);
}

#[test]
fn empty_bodies() {
    let server = start();
    for body in ["", " ", "\n\n"] {
        let error = server.post("/api/v1/ingest", &[JSON], body.as_bytes()).error(400);
        assert!(error.contains("empty"), "{error}");
        assert!(server.ndjson(body.as_bytes()).error(400).contains("empty"));
    }
    assert!(server.write_raw(b"").error(400).contains("empty"));
    still_holds(&server, 0);
}

#[test]
fn text_that_is_not_utf_8() {
    let server = start();
    let mut body = sample("up", "XX", now(), 1.0).to_string().into_bytes();
    let at = body.windows(2).position(|pair| pair == b"XX").unwrap();
    body[at] = 0xff;
    let error = server.post("/api/v1/ingest", &[JSON], &body).error(400);
    assert!(error.contains("UTF-8"), "{error}");
    let mut bad = series(&[("__name__", "up"), ("host", "bad")], &[(now(), 1.0)]);
    bad.labels[1].value = vec![0xff, 0xfe];
    let good = series(&[("__name__", "up"), ("host", "good")], &[(now(), 1.0)]);
    // The bad one is told, and the good one is stored.
    let error = server.write(&write(vec![bad, good])).error(400);
    assert!(error.contains("UTF-8") && error.contains("1 samples accepted, 1 rejected"), "{error}");
    still_holds(&server, 1);
    let error = server.get("/api/v1/forecast?match=%ff").error(400);
    assert!(error.contains("UTF-8"), "{error}");
}

#[test]
fn ten_thousand_labels() {
    let server = start();
    let names: Vec<String> = (0..10_000).map(|idx| format!("l{idx}")).collect();
    let labels: serde_json::Map<String, Value> = names.iter().map(|name| (name.clone(), json!("v"))).collect();
    let got = server.ingest(&json!({"metric": "up", "labels": labels, "timestamp": now(), "value": 1}));
    let error = got.error(400);
    assert!(error.contains("64") && error.contains("limits.max_labels"), "{error}");
    let pairs: Vec<(&str, &str)> =
        std::iter::once(("__name__", "up")).chain(names.iter().map(|name| (name.as_str(), "v"))).collect();
    let error = server.write(&write(vec![series(&pairs, &[(now(), 1.0)])])).error(400);
    assert!(error.contains("limits.max_labels"), "{error}");
    still_holds(&server, 0);
}

#[test]
fn seconds_for_milliseconds() {
    let server = start();
    let seconds = now() / 1000;
    let error = server.ingest(&sample("up", "a", seconds, 1.0)).error(400);
    assert!(error.contains("milliseconds") && error.contains("seconds"), "{error}");
    let error = server.write(&write(vec![series(&[("__name__", "up")], &[(seconds, 1.0)])])).error(400);
    assert!(error.contains("milliseconds"), "{error}");
    still_holds(&server, 0);
}

#[test]
fn values_that_are_not_finite_are_kept_and_shown_as_null_or_text() {
    let server = start();
    let at = now() / 1000 * 1000;
    let values = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    let hosts = ["nan", "inf", "neg"];
    let many =
        hosts.iter().zip(values).map(|(host, value)| series(&[("__name__", "odd"), ("host", host)], &[(at, value)]));
    assert_eq!(server.write(&write(many.collect())).status, 204);
    let data = server.get(&format!("/api/v1/query?query=odd&time={}", at / 1000)).data();
    let shown: Vec<&Value> = data["result"].as_array().unwrap().iter().map(|one| &one["value"][1]).collect();
    assert_eq!(shown, ["+Inf", "NaN", "-Inf"]);
    let stats = server.get("/api/v1/stats?match=odd&window=1h").data();
    let window = &stats["series"][0]["windows"][0];
    assert_eq!((&window["count"], &window["mean"], &window["p99"]), (&json!(0), &Value::Null, &Value::Null));
    let text = json!({"metric": "odd", "labels": {"host": "text"}, "timestamp": at, "value": "NaN"});
    assert_eq!(server.ingest(&text).data()["accepted"], 1);
    // Nothing finite: no forecast, and the reason instead of a crash.
    let got = server.get("/api/v1/forecast?match=odd&horizon=1h");
    assert!(!got.error(422).is_empty());
}

#[test]
fn partial_success_is_told_with_lines_and_reasons() {
    let server = start();
    let good = sample("up", "a", now(), 1.0);
    let lines =
        format!("{good}\n{{\"metric\":\"up\"}}\nnot json\n{}\n", json!({"metric": "", "timestamp": now(), "value": 1}));
    let data = server.ndjson(lines.as_bytes()).data();
    assert_eq!((&data["accepted"], &data["rejected"]), (&json!(1), &json!(3)));
    let places: Vec<&Value> = data["reasons"].as_array().unwrap().iter().map(|one| &one["line"]).collect();
    assert_eq!(places, [2, 3, 4]);
    let got = server.ndjson(b"not json\nnor this\n");
    assert!(got.error(400).contains("0 samples accepted, 2 rejected"));
    assert_eq!(got.json()["data"]["reasons"].as_array().unwrap().len(), 2);
    still_holds(&server, 1);
}

#[test]
fn questions_that_cannot_be_answered() {
    let server = start();
    assert_eq!(server.ingest(&sample("up", "a", now(), 1.0)).status, 200);
    for (path, status, words) in [
        ("/api/v1/forecast", 400, "`match`"),
        ("/api/v1/forecast?match=", 400, "`match`"),
        ("/api/v1/forecast?match=up&model=oracle", 400, "seasonal-naive"),
        ("/api/v1/forecast?match=up&horizon=7", 400, "`horizon`"),
        ("/api/v1/forecast?match=up&horizon=-1d", 400, "`horizon`"),
        ("/api/v1/forecast?match=up&horizon=0s", 400, "`horizon`"),
        ("/api/v1/forecast?match=up&horizon=1000y&step=1ms", 400, "points"),
        ("/api/v1/forecast?match=up&level=1", 400, "`level`"),
        ("/api/v1/forecast?match=up&level=95", 400, "`level`"),
        ("/api/v1/forecast?match=up&level=NaN", 400, "`level`"),
        ("/api/v1/forecast?match=up&step=0s", 400, "`step`"),
        ("/api/v1/forecast?match=up&limit=0", 400, "`limit`"),
        ("/api/v1/forecast?match=up&match=up", 400, "more than once"),
        ("/api/v1/forecast?match=up&horizn=7d", 400, "horizon"),
        ("/api/v1/forecast?match=up{", 400, "`match`"),
        ("/api/v1/forecast?match=rate(up[5m])", 400, "selector"),
        ("/api/v1/forecast?match=down", 404, "/api/v1/label/__name__/values"),
        ("/api/v1/forecast?match=up{host=\"z\"}", 404, "exists"),
        ("/api/v1/stats?match=down", 404, "/api/v1/label/__name__/values"),
        ("/api/v1/stats?match=up&window=x", 400, "`window`"),
        ("/api/v1/stats?match=up&window=", 200, ""),
        ("/api/v1/stats?match=up&window=0s", 400, "`window`"),
        ("/api/v1/anomalies?start=tomorrow", 400, "`start`"),
        ("/api/v1/anomalies?start=now&end=now-1h", 400, "`end`"),
        ("/api/v1/anomalies?min_score=high", 400, "`min_score`"),
        ("/api/v1/incidents?match=up", 400, "start, end"),
        ("/api/v1/capacity?limit=5", 400, "`match`"),
        ("/api/v1/capacity?match=up&limit=much", 400, "`limit`"),
        ("/api/v1/capacity?match=up&limit=5&side=left", 400, "`side`"),
        ("/api/v1/capacity?match=down&limit=5", 404, "/api/v1/label/__name__/values"),
        ("/api/v1/capacity?match=up", 400, "limit="),
        ("/api/v1/query", 400, "`query`"),
        ("/api/v1/query?query=sum(up)", 400, "selector"),
        ("/api/v1/query?query=up&time=never", 400, "`time`"),
        ("/api/v1/query_range?query=up&start=1&end=2", 400, "`step`"),
        ("/api/v1/query_range?query=up&start=2&end=1&step=1", 400, "`end`"),
        ("/api/v1/query_range?query=up&start=0&end=9999999&step=1", 400, "11000"),
        ("/api/v1/query_range?query=up&start=0&end=1&step=0", 400, "`step`"),
        ("/api/v1/series", 400, "`match[]`"),
        ("/api/v1/series?match[]=%zz", 400, "hexadecimal"),
        ("/api/v1/labels?match[]=up{", 400, "`match[]`"),
        ("/api/v1/labels?limit=-1", 400, "`limit`"),
    ] {
        let path: String = path
            .chars()
            .map(|c| if "{}\"".contains(c) { format!("%{:02X}", c as u32) } else { c.to_string() })
            .collect();
        let got = server.get(&path);
        assert_eq!(got.status, status, "{path}: {}", got.text);
        if status != 200 {
            let error = got.error(status);
            assert!(error.contains(words), "{path}: {error} does not say {words}");
        }
    }
    let form = server.post("/api/v1/query", &[JSON], b"{}").error(415);
    assert!(form.contains("application/x-www-form-urlencoded"), "{form}");
    still_holds(&server, 1);
}

#[test]
fn queries_for_everything_there_ever_was() {
    let server = start_with(|config| config.http.max_query_samples = 500);
    let end = now();
    let samples = |host: &str| -> Vec<Value> {
        (0..400).map(|i| sample("up", host, end - (400 - i) * 1_000, i as f64)).collect()
    };
    for host in ["a", "b"] {
        assert_eq!(server.ingest(&Value::Array(samples(host))).status, 200);
    }
    let query = "/api/v1/query_range?query=%7B__name__%3D~%22.%2B%22%7D";
    let all_time = format!("{query}&start=-1e300&end=1e300&step=1e300");
    let error = server.get(&all_time).error(400);
    assert!(error.contains("shorter"), "{error}");
    // One series fits, two do not.
    let hour = format!("start={}&end={}&step=60", end / 1000 - 3600, end / 1000);
    assert_eq!(server.get(&format!("/api/v1/query_range?query=up%7Bhost%3D%22a%22%7D&{hour}")).status, 200);
    for path in [
        format!("{query}&{hour}"),
        "/api/v1/stats?match=up&window=1h".to_owned(),
        format!("/api/v1/query?query=up&time={}", end / 1000 - 50),
    ] {
        let error = server.get(&path).error(422);
        assert!(
            error.contains("500") && error.contains("narrow the selector") && error.contains("http.max_query_samples"),
            "{path}: {error}"
        );
    }
    let keys = server.get("/api/v1/series?match%5B%5D=up").data();
    assert_eq!(keys.as_array().map(Vec::len), Some(2), "listing series costs no samples");
}
