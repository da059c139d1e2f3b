//! A server for one test, and a client that shows what came back.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use barograph::config::Config;
use barograph::http::{ServeError, Server};
use prost::Message;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A running server; its data directory goes with it.
pub struct Running {
    pub address: SocketAddr,
    server: Option<Server>,
    runtime: Runtime,
    dir: TempDir,
}

/// Status and body of an answer.
#[derive(Debug)]
pub struct Got {
    pub status: u16,
    pub text: String,
    pub allow: Option<String>,
    pub content_type: String,
}

impl Got {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The `data` of a success.
    pub fn data(&self) -> Value {
        let json = self.json();
        assert_eq!((self.status, json["status"].as_str()), (200, Some("success")), "{}", self.text);
        json["data"].clone()
    }

    /// The text of an error of this status, in Prometheus' shape.
    pub fn error(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.text);
        let json = self.json();
        assert_eq!(json["status"], "error", "{}", self.text);
        assert!(json["errorType"].is_string(), "{}", self.text);
        json["error"].as_str().expect("an error has a text").to_owned()
    }
}

pub fn config(dir: &std::path::Path) -> Config {
    Config { data: dir.to_owned(), listen: "127.0.0.1:0".to_owned(), ..Config::default() }
}

pub fn start() -> Running {
    start_with(|_| {})
}

pub fn start_with(change: impl FnOnce(&mut Config)) -> Running {
    start_in(tempfile::tempdir().unwrap(), change).unwrap_or_else(|error| panic!("{error}"))
}

pub fn start_in(dir: TempDir, change: impl FnOnce(&mut Config)) -> Result<Running, ServeError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut config = config(dir.path());
    change(&mut config);
    let server = runtime.block_on(Server::start(config))?;
    Ok(Running { address: server.address(), server: Some(server), runtime, dir })
}

impl Running {
    /// Where its data are.
    pub fn data(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// Starts a second server beside this one.
    pub fn start_another(&self, change: impl FnOnce(&mut Config)) -> Result<(), ServeError> {
        let mut config = config(self.dir.path());
        change(&mut config);
        self.runtime.block_on(Server::start(config)).map(drop)
    }

    /// Shuts down and starts again on the same data.
    pub fn restart(mut self) -> Running {
        self.shutdown();
        let Running { dir, .. } = self;
        start_in(dir, |_| {}).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Shuts down; the data stay until the value goes.
    pub fn shutdown(&mut self) {
        let server = self.server.take().expect("shut down once");
        self.runtime.block_on(server.shutdown()).unwrap();
    }

    /// Shuts down on another thread, for tests that watch it happen.
    pub fn shut_down_beside(&mut self) -> tokio::task::JoinHandle<()> {
        let server = self.server.take().expect("shut down once");
        self.runtime.spawn(async move { server.shutdown().await.unwrap() })
    }

    pub fn wait<T>(&self, task: tokio::task::JoinHandle<T>) -> T {
        self.runtime.block_on(task).unwrap()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn get(&self, path: &str) -> Got {
        show(agent().get(self.url(path)).call())
    }

    pub fn get_with(&self, path: &str, header: &str, value: &str) -> Got {
        show(agent().get(self.url(path)).header(header, value).call())
    }

    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Got {
        let mut request = agent().post(self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        show(request.send(body))
    }

    pub fn ingest(&self, samples: &Value) -> Got {
        self.post("/api/v1/ingest", &[("Content-Type", "application/json")], samples.to_string().as_bytes())
    }

    pub fn ndjson(&self, lines: &[u8]) -> Got {
        self.post("/api/v1/ingest", &[("Content-Type", "application/x-ndjson")], lines)
    }

    pub fn write(&self, request: &WriteRequest) -> Got {
        self.write_raw(&snappy(&request.encode_to_vec()))
    }

    pub fn write_raw(&self, body: &[u8]) -> Got {
        let headers = [("Content-Type", "application/x-protobuf"), ("Content-Encoding", "snappy")];
        self.post("/api/v1/write", &headers, body)
    }

    /// How many samples of `selector` the last hour holds.
    pub fn count(&self, selector: &str) -> u64 {
        let got = self.get(&format!("/api/v1/stats?window=1d&match={}", encode(selector)));
        if got.status == 404 {
            return 0;
        }
        let data = got.data();
        let series = data["series"].as_array().unwrap();
        series.iter().map(|one| one["windows"][0]["count"].as_u64().unwrap()).sum()
    }
}

pub fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(60)))
        .build()
        .new_agent()
}

fn show(answered: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Got {
    let mut answer = answered.unwrap_or_else(|error| panic!("no answer: {error}"));
    let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let (allow, content_type) = (header("allow"), header("content-type").unwrap_or_default());
    let bytes = answer.body_mut().with_config().limit(64 << 20).read_to_vec().unwrap();
    Got { status: answer.status().as_u16(), text: String::from_utf8(bytes).unwrap(), allow, content_type }
}

pub fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// Percent-encodes everything that is not a letter or a digit.
pub fn encode(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

pub fn snappy(bytes: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(bytes).unwrap()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// One sample as the JSON route takes it.
pub fn sample(metric: &str, host: &str, at: i64, value: f64) -> Value {
    json!({"metric": metric, "labels": {"host": host}, "timestamp": at, "value": value})
}

// Remote write 1.0 as an independent encoder writes it; field numbers from prometheus' prompb.
#[derive(Clone, PartialEq, Message)]
pub struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    pub timeseries: Vec<TimeSeries>,
    #[prost(message, repeated, tag = "3")]
    pub metadata: Vec<Metadata>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Metadata {
    #[prost(int32, tag = "1")]
    pub kind: i32,
    #[prost(string, tag = "2")]
    pub family: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    pub labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    pub samples: Vec<Sample>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Label {
    #[prost(bytes = "vec", tag = "1")]
    pub name: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Sample {
    #[prost(double, tag = "1")]
    pub value: f64,
    #[prost(int64, tag = "2")]
    pub timestamp: i64,
}

pub fn series(labels: &[(&str, &str)], samples: &[(i64, f64)]) -> TimeSeries {
    let bytes = |text: &str| text.as_bytes().to_vec();
    TimeSeries {
        labels: labels.iter().map(|(name, value)| Label { name: bytes(name), value: bytes(value) }).collect(),
        samples: samples.iter().map(|&(timestamp, value)| Sample { value, timestamp }).collect(),
    }
}
