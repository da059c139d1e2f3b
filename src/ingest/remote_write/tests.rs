use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::series::{STALE_MARKER_BITS, is_stale_marker};

// Prometheus' messages as prost writes them: an encoder that shares no code with the walk under test.
// Source for the field numbers: prometheus, prompb/remote.proto and prompb/types.proto.

#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<TimeSeries>,
    #[prost(message, repeated, tag = "3")]
    metadata: Vec<Metadata>,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<ProtoSample>,
    #[prost(message, repeated, tag = "3")]
    exemplars: Vec<Exemplar>,
    #[prost(message, repeated, tag = "4")]
    histograms: Vec<Histogram>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct ProtoSample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Exemplar {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(double, tag = "2")]
    value: f64,
    #[prost(int64, tag = "3")]
    timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Histogram {
    #[prost(uint64, tag = "1")]
    count: u64,
    #[prost(double, tag = "3")]
    sum: f64,
    #[prost(int64, tag = "15")]
    timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Metadata {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(string, tag = "2")]
    family: String,
    #[prost(string, tag = "4")]
    help: String,
}

const AT: Millis = 1_700_000_000_000;

fn labels(pairs: &[(&str, &str)]) -> Vec<Label> {
    pairs.iter().map(|(name, value)| Label { name: (*name).to_owned(), value: (*value).to_owned() }).collect()
}

fn series(pairs: &[(&str, &str)], samples: &[(Millis, f64)]) -> TimeSeries {
    let samples = samples.iter().map(|&(timestamp, value)| ProtoSample { value, timestamp }).collect();
    TimeSeries { labels: labels(pairs), samples, ..TimeSeries::default() }
}

fn request(timeseries: Vec<TimeSeries>) -> WriteRequest {
    WriteRequest { timeseries, metadata: Vec::new() }
}

fn body(request: &WriteRequest) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(&request.encode_to_vec()).unwrap()
}

fn decode(request: &WriteRequest) -> Decoded {
    RemoteWriteDecoder::new(Limits::default()).decode(&body(request), AT).unwrap()
}

fn told(decoded: &Decoded) -> Vec<String> {
    decoded.batch.iter().map(|(key, sample)| format!("{key} {} {}", sample.at - AT, sample.value)).collect()
}

#[test]
fn a_request_becomes_a_batch() {
    let mut with_extras = series(&[("__name__", "up"), ("job", "node")], &[(AT, 1.0), (AT + 5, 0.5)]);
    with_extras.exemplars.push(Exemplar { labels: labels(&[("trace_id", "x")]), value: 1.0, timestamp: AT });
    let mut request = request(vec![with_extras, series(&[("__name__", "down")], &[(AT, -3.0)])]);
    request.metadata.push(Metadata { kind: 1, family: "up".to_owned(), help: "whether".to_owned() });
    let decoded = decode(&request);
    assert_eq!(told(&decoded), ["up{job=\"node\"} 0 1", "up{job=\"node\"} 5 0.5", "down 0 -3"]);
    assert_eq!((decoded.n_rejected, decoded.batch.keys().len()), (0, 2));
}

#[test]
fn a_value_left_out_is_zero_and_every_nan_keeps_its_bits() {
    let odd = f64::from_bits(0x7ff8_0000_dead_beef);
    let values = [0.0, f64::from_bits(STALE_MARKER_BITS), f64::NAN, odd, f64::INFINITY, 5e-324];
    let samples: Vec<(Millis, f64)> = values.iter().enumerate().map(|(idx, &value)| (AT + idx as i64, value)).collect();
    let decoded = decode(&request(vec![series(&[("__name__", "a")], &samples)]));
    let bits: Vec<u64> = decoded.batch.columns().value.iter().map(|value| value.to_bits()).collect();
    assert_eq!(bits, values.map(f64::to_bits));
    assert!(is_stale_marker(decoded.batch.columns().value[1]));
}

#[test]
fn bad_series_are_rejected_alone() {
    let long = "x".repeat(5_000);
    let many: Vec<(String, String)> = (0..10_000).map(|i| (format!("l{i}"), "v".to_owned())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let decoded = decode(&request(vec![
        series(&[("__name__", "good")], &[(AT, 1.0)]),
        series(&[], &[(AT, 1.0), (AT + 1, 1.0)]),
        series(&[("job", "node")], &[(AT, 1.0)]),
        series(&[("__name__", "a"), ("x", "1"), ("x", "2")], &[(AT, 1.0)]),
        series(&many, &[(AT, 1.0)]),
        series(&[("__name__", "a"), ("x", &long)], &[(AT, 1.0)]),
        series(&[("__name__", "late"), ("job", "node")], &[(AT / 1000, 1.0), (AT, 2.0), (0, 3.0)]),
        series(&[("__name__", "empty")], &[]),
    ]));
    assert_eq!(told(&decoded), ["good 0 1", "late{job=\"node\"} 0 2"]);
    assert_eq!(decoded.batch.keys().len(), 2);
    assert_eq!(decoded.n_rejected, 8);
    let reasons: Vec<String> =
        decoded.rejected.iter().map(|rejection| format!("{} {}", rejection.line, &rejection.reason)).collect();
    for (reason, (line, words)) in reasons.iter().zip([
        (2, "series 2: the metric name is missing"),
        (3, "series 3: the metric name is missing"),
        (4, "series 4 (a): the label `x` is given twice"),
        (5, "10000 labels, more than the 64"),
        (6, "5000 bytes"),
        (7, "series 7 (late): timestamp 1700000000 looks like seconds"),
        (7, "timestamp 0 is before 1990"),
    ]) {
        assert!(reason.starts_with(&format!("{line} ")) && reason.contains(words), "{reason}: {words}");
    }
    assert_eq!(reasons.len(), 7, "the two samples of series 2 share a reason");
}

#[test]
fn histograms_are_rejected_with_a_reason_and_samples_beside_them_kept() {
    let mut histogram = series(&[("__name__", "latency")], &[]);
    histogram.histograms = vec![Histogram { count: 1, sum: 0.5, timestamp: AT }; 3];
    let decoded = decode(&request(vec![histogram, series(&[("__name__", "a")], &[(AT, 1.0)])]));
    assert_eq!((decoded.n_rejected, told(&decoded)), (3, vec!["a 0 1".to_owned()]));
    assert_eq!(decoded.rejected[0].reason, "series 1 (latency): native histograms are not supported yet");
}

#[test]
fn text_that_is_not_utf_8_rejects_its_series_only() {
    let mut message =
        request(vec![series(&[("__name__", "bad?")], &[(AT, 1.0)]), series(&[("__name__", "ok")], &[(AT, 1.0)])])
            .encode_to_vec();
    let at = message.iter().position(|&byte| byte == b'?').unwrap();
    message[at] = 0xff;
    let decoded = RemoteWriteDecoder::new(Limits::default()).decode_message(&message, AT).unwrap();
    assert_eq!(told(&decoded), ["ok 0 1"]);
    assert!(decoded.rejected[0].reason.contains("a label value is not UTF-8"), "{:?}", decoded.rejected);
}

#[test]
fn a_series_twice_in_a_request_is_one_key_however_it_is_written() {
    let one = series(&[("__name__", "a"), ("x", "1")], &[(AT, 1.0)]);
    let unsorted = series(&[("x", "1"), ("__name__", "a"), ("empty", "")], &[(AT, 2.0)]);
    // Labels on both sides of the samples, as protobuf allows.
    let mut scattered = series(&[("__name__", "a")], &[(AT, 3.0)]).encode_to_vec();
    scattered.extend(series(&[("x", "1")], &[]).encode_to_vec());
    let mut message = request(vec![one.clone(), unsorted, one]).encode_to_vec();
    message.push(0x0a);
    message.push(u8::try_from(scattered.len()).unwrap());
    message.extend(&scattered);
    let decoded = RemoteWriteDecoder::new(Limits::default()).decode_message(&message, AT).unwrap();
    assert_eq!((decoded.batch.keys().len(), decoded.batch.len(), decoded.n_rejected), (1, 4, 0));
    assert_eq!(told(&decoded)[3], "a{x=\"1\"} 0 3");
}

#[test]
fn a_message_sees_nothing_of_the_ones_before_it() {
    let decoder = RemoteWriteDecoder::new(Limits::default());
    let many = request((0..500).map(|nr| series(&[("__name__", &format!("m{nr}"))], &[(AT, f64::from(nr))])).collect());
    let few = request(vec![series(&[("__name__", "a"), ("b", "c")], &[(AT, 1.0), (AT + 1, 2.0)])]);
    let mut damaged = body(&many);
    damaged.truncate(100);
    for _ in 0..3 {
        assert_eq!(told(&decoder.decode(&body(&many), AT).unwrap()), told(&decode(&many)));
        assert_eq!(told(&decoder.decode(&body(&few), AT).unwrap()), told(&decode(&few)));
        assert!(decoder.decode(&damaged, AT).is_err());
        assert!(decoder.decode(&snap::raw::Encoder::new().compress_vec(&[]).unwrap(), AT).unwrap().batch.is_empty());
    }
    assert!(decoder.rooms.lock().len() <= MAX_ROOMS);
}

#[test]
fn sizes_are_checked_before_memory_is_taken() {
    let limits = Limits { max_body: 1 << 20, max_decoded: 1000, ..Limits::default() };
    let decoder = RemoteWriteDecoder::new(limits);
    let too_large = decoder.decode(&snap::raw::Encoder::new().compress_vec(&[0; 1001]).unwrap(), AT);
    assert!(matches!(too_large, Err(IngestError::TooLarge { got: 1001, limit: 1000, .. })), "{too_large:?}");
    // Four gigabytes claimed by five bytes.
    let bomb = decoder.decode(&[0xff, 0xff, 0xff, 0xff, 0x0f], AT);
    assert!(matches!(bomb, Err(IngestError::BadSnappy { .. })), "{bomb:?}");
    assert!(matches!(decoder.decode(&vec![0; (1 << 20) + 1], AT), Err(IngestError::TooLarge { .. })));
    assert_eq!(decoder.decode(&[], AT).unwrap_err(), IngestError::Empty);
}

#[test]
fn other_formats_are_recognised_or_refused() {
    let decoder = RemoteWriteDecoder::new(Limits::default());
    let plain = request(vec![series(&[("__name__", "a")], &[(AT, 1.0)])]).encode_to_vec();
    assert!(matches!(decoder.decode(&plain, AT), Err(IngestError::BadSnappy { .. })));
    assert!(matches!(decoder.decode(b"{\"metric\":\"a\",\"value\":1}", AT), Err(IngestError::BadSnappy { .. })));
    let json = snap::raw::Encoder::new().compress_vec(b"{\"metric\":\"a\"}").unwrap();
    assert!(matches!(decoder.decode(&json, AT), Err(IngestError::BadProtobuf { .. })));
    // Remote write 2.0: symbols in field 4, series in field 5.
    let second = decoder.decode_message(&[0x22, 1, b'a', 0x2a, 0], AT).unwrap_err().to_string();
    assert!(second.contains("remote write 2.0"), "{second}");
    // An empty message is what Prometheus sends to probe.
    assert!(decoder.decode(&snap::raw::Encoder::new().compress_vec(&[]).unwrap(), AT).unwrap().batch.is_empty());
}

fn example() -> WriteRequest {
    let mut with_histogram = series(&[("__name__", "h"), ("é", "ü")], &[(AT, 1.0)]);
    with_histogram.histograms.push(Histogram { count: 1, sum: 0.5, timestamp: AT });
    let mut request =
        request(vec![series(&[("__name__", "up"), ("job", "node")], &[(AT, 1.0), (AT + 1, 2.0)]), with_histogram]);
    request.metadata.push(Metadata { kind: 1, family: "up".to_owned(), help: String::new() });
    request
}

#[test]
fn truncated_or_damaged_anywhere_it_never_panics_and_later_requests_are_untouched() {
    let decoder = RemoteWriteDecoder::new(Limits::default());
    let expected = told(&decoder.decode(&body(&example()), AT).unwrap());
    let message = example().encode_to_vec();
    for bytes in [message, body(&example())] {
        for end in 0..bytes.len() {
            let _ = decoder.decode_message(&bytes[..end], AT);
            let _ = decoder.decode(&bytes[..end], AT);
        }
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let _ = decoder.decode_message(&damaged, AT);
            let _ = decoder.decode(&damaged, AT);
        }
    }
    assert_eq!(told(&decoder.decode(&body(&example()), AT).unwrap()), expected);
}

#[test]
fn a_message_cut_inside_a_series_is_an_error() {
    let message = request(vec![series(&[("__name__", "up")], &[(AT, 1.0)])]).encode_to_vec();
    let decoder = RemoteWriteDecoder::new(Limits::default());
    for end in 1..message.len() {
        assert!(matches!(decoder.decode_message(&message[..end], AT), Err(IngestError::BadProtobuf { .. })), "{end}");
    }
}

fn any_series() -> impl Strategy<Value = TimeSeries> {
    let pair = ("[a-z]{1,3}", ".{0,6}");
    // prost, like Prometheus' own encoder, leaves out a negative zero as it does a zero.
    let value = prop_oneof![any::<f64>(), any::<u64>().prop_map(f64::from_bits)];
    let value = value.prop_map(|value| if value == 0.0 { 0.0 } else { value });
    let sample = (crate::ingest::EARLIEST..crate::ingest::LATEST, value);
    (proptest::collection::btree_map(pair.0, pair.1, 0..5), "[a-z:]{1,8}", proptest::collection::vec(sample, 0..4))
        .prop_map(|(pairs, metric, samples)| {
            let mut pairs: Vec<(&str, &str)> =
                pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            pairs.push(("__name__", &metric));
            series(&pairs, &samples)
        })
}

proptest! {
    #[test]
    fn what_prost_writes_is_read_back(timeseries in proptest::collection::vec(any_series(), 0..8)) {
        let decoder = RemoteWriteDecoder::new(Limits::default());
        let body = body(&request(timeseries.clone()));
        // The second time from the cache.
        for _ in 0..2 {
            let decoded = decoder.decode(&body, AT).unwrap();
            prop_assert_eq!(decoded.n_rejected, 0);
            let got: Vec<(Key, Millis, u64)> =
                decoded.batch.iter().map(|(key, sample)| (key.clone(), sample.at, sample.value.to_bits())).collect();
            let expected: Vec<(Key, Millis, u64)> = timeseries
                .iter()
                .flat_map(|series| {
                    let pairs = series.labels.iter().map(|label| (label.name.as_str(), label.value.as_str()));
                    let key = Key::new(Labels::new(pairs, &Limits::default().labels).unwrap());
                    series.samples.iter().map(move |sample| (key.clone(), sample.timestamp, sample.value.to_bits()))
                })
                .collect();
            prop_assert_eq!(got, expected);
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let decoder = RemoteWriteDecoder::new(Limits::default());
        let _ = decoder.decode(&bytes, AT);
        let _ = decoder.decode_message(&bytes, AT);
    }
}

/// Run by hand: `cargo test --release --lib remote_write::tests::a_warm_request -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement, for the release profile"]
fn a_warm_request_of_five_thousand_series() {
    let many = (0..5_000).map(|i| {
        let instance = format!("host-{i:05}.example.com:9100");
        let pairs = [
            ("__name__", "node_cpu_seconds_total"),
            ("cluster", "production-1"),
            ("cpu", "3"),
            ("datacenter", "eu-central-1"),
            ("env", "production"),
            ("instance", instance.as_str()),
            ("job", "node-exporter"),
            ("mode", "idle"),
            ("rack", "r17"),
            ("team", "platform"),
        ];
        series(&pairs, &[(AT, i as f64)])
    });
    let body = body(&request(many.collect()));
    let decoder = RemoteWriteDecoder::new(Limits::default());
    let cold = std::time::Instant::now();
    assert_eq!(decoder.decode(&body, AT).unwrap().batch.len(), 5_000);
    let cold = cold.elapsed();
    let mut took: Vec<std::time::Duration> = (0..200)
        .map(|_| {
            let start = std::time::Instant::now();
            std::hint::black_box(decoder.decode(&body, AT).unwrap());
            start.elapsed()
        })
        .collect();
    took.sort();
    println!("{} bytes; cold {cold:?}; warm median {:?}, p99 {:?}", body.len(), took[100], took[198]);
}
