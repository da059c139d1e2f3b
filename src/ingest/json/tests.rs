use super::*;
use crate::series::LabelLimits;

const NOW: Millis = 1_700_000_000_000;

fn decode(body: &str) -> Result<Decoded, IngestError> {
    decode_json(body.as_bytes(), &Limits::default(), NOW)
}

/// One line per sample: `key at value-bits`.
fn accepted(body: &str) -> Vec<String> {
    let decoded = decode(body).unwrap();
    assert_eq!(decoded.rejected, []);
    decoded.batch.iter().map(|(key, sample)| format!("{key} {} {}", sample.at, sample.value)).collect()
}

fn rejects(element: &str, words: &str) {
    let body = format!("[{{\"metric\":\"a\",\"value\":1}},{element},{{\"metric\":\"a\",\"value\":2}}]");
    let decoded = decode(&body).unwrap();
    assert_eq!((decoded.batch.len(), decoded.n_rejected, decoded.rejected.len()), (2, 1, 1), "{body}");
    let rejection = &decoded.rejected[0];
    assert_eq!(rejection.line, 2);
    assert!(rejection.reason.starts_with("element 2: "), "{}", rejection.reason);
    assert!(rejection.reason.contains(words), "{} does not say {words}", rejection.reason);
}

fn fails(body: &[u8], words: &str) {
    let error = decode_json(body, &Limits::default(), NOW).unwrap_err().to_string();
    assert!(error.contains(words), "{error} does not say {words}");
}

#[test]
fn three_shapes_are_understood() {
    let sample = r#"{"metric":"up","labels":{"host":"a"},"timestamp":1700000000001,"value":1.5}"#;
    let expected = ["up{host=\"a\"} 1700000000001 1.5"];
    assert_eq!(accepted(sample), expected);
    assert_eq!(accepted(&format!(" [ {sample} ] ")), expected);
    assert_eq!(accepted(&format!("{{\"samples\": [{sample}]}}")), expected);
    assert_eq!(accepted(&format!("\u{feff}{sample}")), expected);
    assert_eq!(accepted("[]").len() + accepted(r#"{"samples":[]}"#).len(), 0);
}

#[test]
fn a_timestamp_is_milliseconds_or_rfc_3339_or_now() {
    assert_eq!(accepted(r#"{"metric":"up","value":1}"#), ["up 1700000000000 1"]);
    assert_eq!(accepted(r#"{"metric":"up","value":1,"timestamp":"2023-11-14T22:13:20.5Z"}"#), ["up 1700000000500 1"]);
    assert_eq!(accepted(r#"{"metric":"up","value":1,"timestamp":1.7e12}"#), ["up 1700000000000 1"]);
    rejects(r#"{"metric":"up","value":1,"timestamp":1700000000}"#, "1700000000 looks like seconds; send milliseconds");
    rejects(r#"{"metric":"up","value":1,"timestamp":18446744073709551616}"#, "after the year 2199");
    rejects(r#"{"metric":"up","value":1,"timestamp":0}"#, "before 1990");
    rejects(r#"{"metric":"up","value":1,"timestamp":null}"#, "leave it out for now");
    rejects(r#"{"metric":"up","value":1,"timestamp":"yesterday"}"#, "not RFC 3339");
}

#[test]
fn values_json_has_no_numbers_for_have_names() {
    let samples = ["\"NaN\"", "\"+Inf\"", "\"Inf\"", "\"-Inf\"", "-0.0", "5e-324"]
        .map(|value| format!(r#"{{"metric":"a","value":{value}}}"#));
    let decoded = decode(&format!("[{}]", samples.join(","))).unwrap();
    let bits: Vec<u64> = decoded.batch.columns().value.iter().map(|value| value.to_bits()).collect();
    let inf = f64::INFINITY;
    assert_eq!(bits, [f64::NAN, inf, inf, -inf, -0.0, 5e-324].map(f64::to_bits));
    rejects(r#"{"metric":"a","value":"5"}"#, "the string \"5\"; send a number without quotes");
    rejects(r#"{"metric":"a","value":null}"#, "null");
    rejects(r#"{"metric":"a","value":true}"#, "must be a number, not true or false");
    rejects(r#"{"metric":"a"}"#, "`value` is missing");
}

#[test]
fn wrong_types_and_names_are_told() {
    rejects("5", "not a number");
    rejects("[[[[1]]]]", "not an array");
    rejects(r#"{"metric":5,"value":1}"#, "`metric` must be a string, not a number");
    rejects(r#"{"metric":"a","labels":["x"],"value":1}"#, "`labels` must be an object");
    rejects(r#"{"metric":"a","labels":{"port":80},"value":1}"#, "the label `port` must be a string, not a number");
    rejects(r#"{"metric":"a","labels":{"x":{"y":[1,{}]}},"value":1}"#, "not an object");
    rejects(r#"{"name":"a","value":1}"#, "unknown field `name`; the fields are metric, labels, timestamp and value");
    rejects(r#"{"metric":"a","value":1,"value":2}"#, "`value` is given twice");
    rejects(r#"{"value":1}"#, "metric name is missing");
    rejects(r#"{"metric":"","value":1}"#, "metric name is missing");
    rejects(r#"{"metric":"a","labels":{"x":"1","x":"2"},"value":1}"#, "`x` is given twice");
    rejects(r#"{"metric":"a","labels":{"":"1"},"value":1}"#, "label name is empty");
    rejects(r#"{"metric":"a","labels":{"x\n":"1"},"value":1}"#, "control characters");
}

#[test]
fn ten_thousand_labels_are_one_rejection() {
    let labels: Vec<String> = (0..10_000).map(|i| format!("\"l{i}\":\"v\"")).collect();
    rejects(
        &format!(r#"{{"metric":"a","labels":{{{}}},"value":1}}"#, labels.join(",")),
        "10001 labels, more than the 64",
    );
    let long = "x".repeat(5000);
    rejects(&format!(r#"{{"metric":"a","labels":{{"x":"{long}"}},"value":1}}"#), "5000 bytes");
    rejects(&format!(r#"{{"{long}":1}}"#), "xxx...`");
}

#[test]
fn what_is_not_json_says_where() {
    fails(b"", "empty");
    fails(b" \n ", "empty");
    fails(b"{\"metric\":\"\xff\"}", "not UTF-8");
    fails(b"[\n{\"metric\":\"a\",\n\"value\":}]", "line 3, column 9");
    fails(b"[{\"metric\":\"a\",\"value\":1}", "EOF while parsing");
    fails(b"{\"metric\":\"a\",\"value\":1}\n{\"metric\":\"a\",\"value\":1}", "application/x-ndjson");
    fails(b"{\"metric\":\"a\",\"value\":NaN}", "line 1");
    fails(b"up 1", "line 1, column 1");
    for (body, kind) in [("5", "a number"), ("\"x\"", "a string"), ("null", "null"), ("true", "true or false")] {
        fails(body.as_bytes(), &format!("the body is {kind}; send one sample object"));
    }
    fails(b"{\"samples\":5}", "`samples` is a number, not an array");
    fails(b"{\"samples\":{}}", "`samples` is an object, not an array");
    fails(b"{\"samples\":[],\"extra\":1}", "unknown field `extra`");
}

#[test]
fn deep_nesting_neither_crashes_nor_passes() {
    for deep in ["[".repeat(1_000_000), "{\"labels\":".repeat(500_000), "{\"a\":".repeat(1_000_000)] {
        assert!(matches!(decode(&deep), Err(IngestError::BadJson { .. })));
    }
    rejects(&format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)), "not an array");
}

#[test]
fn a_series_is_added_once_however_it_is_written() {
    let body = r#"[{"metric":"a","labels":{"x":"1","y":"2"},"value":1},{"value":2,"labels":{"y":"2","x":"1"},"metric":"a"},
        {"labels":{"__name__":"a","\u0078":"1","y":"2","z":""},"value":3}]"#;
    let decoded = decode(body).unwrap();
    assert_eq!((decoded.batch.keys().len(), decoded.batch.len()), (1, 3));
}

#[test]
fn a_body_over_the_limit_is_refused() {
    let limits = Limits { max_body: 10, labels: LabelLimits::default(), ..Limits::default() };
    let error = decode_json(b"[         ]", &limits, NOW).unwrap_err();
    assert!(matches!(error, IngestError::TooLarge { got: 11, limit: 10, .. }), "{error:?}");
}

#[test]
fn truncated_anywhere_it_is_an_error_and_never_a_panic() {
    let body = r#"{"samples":[{"metric":"a\u00e9","labels":{"x":"1"},"timestamp":1700000000000,"value":-1.5e3}]}"#;
    for end in 0..body.len() {
        assert!(decode(&body[..end]).is_err(), "{end}");
    }
}

#[test]
fn numbers_that_json_does_not_have_are_named() {
    for number in ["NaN", "nan", "Infinity", "-Infinity", "+Inf", "-inf"] {
        fails(format!("{{\"metric\":\"a\",\n\"value\":{number}}}").as_bytes(), "write it in quotes: \"NaN\"");
    }
    let lines = "{\"metric\":\"a\",\"value\":1}\n{\"metric\":\"a\",\"value\":NaN}";
    let decoded = crate::ingest::decode_ndjson(lines.as_bytes(), &Limits::default(), NOW).unwrap();
    assert!(decoded.rejected[0].reason.contains("write it in quotes"), "{:?}", decoded.rejected);
    assert!(!decode("[nonsense]").unwrap_err().to_string().contains("quotes"));
}
