//! Remote write 1.0 messages as `prompb/remote.proto` has them, by an encoder that is not ours.

// Each benchmark uses the part of this that answers its question.
#![allow(dead_code)]

#[derive(Clone, PartialEq, prost::Message)]
pub struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    pub timeseries: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    pub labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    pub samples: Vec<Sample>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Label {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Sample {
    #[prost(double, tag = "1")]
    pub value: f64,
    #[prost(int64, tag = "2")]
    pub timestamp: i64,
}

/// Series with the ten labels a scraped container metric usually has.
pub fn fleet(connection: usize, n_series: usize) -> WriteRequest {
    let series = |idx: usize| {
        let labels = [
            ("__name__", format!("container_metric_{}", idx % 50)),
            ("cluster", "production-eu".to_owned()),
            ("container", format!("app-{}", idx % 7)),
            ("instance", format!("10.{connection}.{}.{}:9100", idx / 250, idx % 250)),
            ("job", "kubelet".to_owned()),
            ("namespace", format!("team-{}", idx % 13)),
            ("node", format!("node-{}", idx % 40)),
            ("pod", format!("app-{}-6f7d9c5b4-{idx:05}", idx % 7)),
            ("region", "eu-west-1".to_owned()),
            ("service", format!("service-{}", idx % 29)),
        ];
        TimeSeries {
            labels: labels.into_iter().map(|(name, value)| Label { name: name.to_owned(), value }).collect(),
            samples: vec![Sample { value: idx as f64, timestamp: 0 }],
        }
    };
    WriteRequest { timeseries: (0..n_series).map(series).collect() }
}

/// The request at `at`, every value moved a little, compressed.
pub fn encode(request: &mut WriteRequest, at: i64) -> Vec<u8> {
    for (idx, series) in request.timeseries.iter_mut().enumerate() {
        let sample = &mut series.samples[0];
        sample.timestamp = at;
        sample.value = (sample.value * 100.0 + ((idx as i64 + at / 1_000) % 7 - 3) as f64).round() / 100.0;
    }
    let bytes = prost::Message::encode_to_vec(request);
    snap::raw::Encoder::new().compress_vec(&bytes).expect("a message below 4 GiB compresses")
}
