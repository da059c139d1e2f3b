//! How much memory does a running server take, and for how many series?
//!
//! Starts the real binary on a fresh directory and writes one sample of every series at a time: at a pace, at full
//! speed, and then has it flush and compact. Prints, after each, the memory it holds, the most it held meanwhile, both
//! per series, and what its own `/metrics` say of where that is.
//!
//! `cargo bench --bench memory`, or `cargo bench --bench memory -- 1000000` for as many series. `SCRAPES`, `PACE`
//! (milliseconds between paced scrapes) and `CONNECTIONS` set the load, `LIMIT` (MB) makes more than that a failure,
//! `BAROGRAPH` measures another build.

use std::sync::Arc;
use std::time::{Duration, Instant};

mod server;
use server::{BenchServer, env_or, message, now_millis};

/// Series of a request.
const PER_REQUEST: usize = 5_000;
/// Between two samples of a series.
const STEP: i64 = 15_000;
/// Attempts at a request that is told to come back later.
const MAX_TRIES: usize = 100;

fn main() {
    let n_asked = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let n_series: usize = n_asked.unwrap_or_else(|| env_or("SERIES", 100_000));
    let (n_scrapes, pace) = (env_or("SCRAPES", 40), Duration::from_millis(env_or("PACE", 1_000)));
    let n_paced = (n_scrapes / 4).max(1);
    let server = Arc::new(BenchServer::start());
    let mut fleet = Fleet { templates: templates(n_series), at: now_millis() - 4 * n_scrapes as i64 * STEP };
    println!("{n_series} series, {n_paced} scrapes at a pace and {n_scrapes} at full speed; MB, and bytes per series");
    println!(
        "{:<14} {:>8} {:>8} {:>10} {:>12} {:>11}",
        "", "resident", "peak", "per series", "samples/s", "/CPU-second"
    );
    let empty = server.resident_megabytes();
    report("started", &server, n_series, &Load::default());
    let paced = fleet.send(&server, n_paced, pace);
    report("at a pace", &server, n_series, &paced);
    server.forget_peak();
    let full = fleet.send(&server, n_scrapes, Duration::ZERO);
    let peak = report("full speed", &server, n_series, &full);
    parts(&server, n_series);
    server.forget_peak();
    ureq::post(format!("{}/api/v1/admin/compact", server.url)).send_empty().expect("it compacts");
    let compacting = report("compacted", &server, n_series, &Load::default());
    parts(&server, n_series);
    server.forget_peak();
    std::thread::sleep(Duration::from_secs(env_or("REST", 20)));
    let rested = report("rested", &server, n_series, &Load::default());
    let most = peak.max(compacting).max(rested);
    println!(
        "at most {most:.0} MB, {:.0} bytes per series above an empty server",
        (most - empty) * 1e6 / n_series as f64
    );
    let limit: f64 = env_or("LIMIT", f64::INFINITY);
    assert!(most <= limit, "{most:.0} MB are more than {limit}");
}

#[derive(Default)]
struct Load {
    n_samples: usize,
    seconds: f64,
    cpu: f64,
}

/// Prints a line; answers the peak in MB.
fn report(name: &str, server: &BenchServer, n_series: usize, load: &Load) -> f64 {
    let (resident, peak) = (server.resident_megabytes(), server.peak_megabytes());
    let per =
        |seconds: f64| if seconds > 0.0 { format!("{:.0}", load.n_samples as f64 / seconds) } else { String::new() };
    let (rate, per_cpu) = (per(load.seconds), per(load.cpu));
    println!("{name:<14} {resident:>8.0} {peak:>8.0} {:>10.0} {rate:>12} {per_cpu:>11}", peak * 1e6 / n_series as f64);
    peak
}

/// Prints what the server says that its parts take.
fn parts(server: &BenchServer, n_series: usize) {
    let metrics =
        ureq::get(format!("{}/metrics", server.url)).call().and_then(|mut answer| answer.body_mut().read_to_string());
    for line in metrics.unwrap_or_default().lines().filter(|line| line.starts_with("barograph_memory_bytes{")) {
        let (name, value) = line.rsplit_once(' ').expect("a sample");
        let part = name.split('"').nth(1).unwrap_or_default();
        let bytes: f64 = value.parse().expect("a number");
        println!("  {part:<20} {:>8.1} MB {:>7.0} bytes per series", bytes / 1e6, bytes / n_series as f64);
    }
}

/// A request that was encoded once, and where each series ends in it: its sample's timestamp, and before that its value.
struct Template {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

/// Bytes of a timestamp of our times as a varint, and of its tag.
const TIME: usize = 6;

fn templates(n_series: usize) -> Vec<Template> {
    (0..n_series.div_ceil(PER_REQUEST))
        .map(|number| {
            let mut request = message::fleet(number, PER_REQUEST.min(n_series - number * PER_REQUEST));
            let mut bytes = Vec::new();
            let mut ends = Vec::new();
            for mut series in request.timeseries.drain(..) {
                // Neither is zero, which proto3 leaves out.
                series.samples[0] = message::Sample { value: 1.0, timestamp: now_millis() };
                let one = message::WriteRequest { timeseries: vec![series] };
                bytes.extend(prost::Message::encode_to_vec(&one));
                ends.push(bytes.len());
            }
            Template { bytes, ends }
        })
        .collect()
}

impl Template {
    /// The request at `at`, every value moved a little, compressed.
    fn body(&mut self, at: i64) -> Vec<u8> {
        let mut varint = [0; TIME];
        for (idx, byte) in varint.iter_mut().enumerate() {
            *byte = ((at >> (7 * idx)) & 0x7f) as u8 | if idx + 1 < TIME { 0x80 } else { 0 };
        }
        for (idx, end) in self.ends.iter().enumerate() {
            self.bytes[end - TIME..*end].copy_from_slice(&varint);
            let value = &mut self.bytes[end - TIME - 9..end - TIME - 1];
            let moved = idx as f64 + ((idx as i64 * 7 + at / STEP) * 7919 % 100) as f64 / 100.0;
            value.copy_from_slice(&moved.to_le_bytes());
        }
        snap::raw::Encoder::new().compress_vec(&self.bytes).expect("a message below 4 GiB compresses")
    }
}

struct Fleet {
    templates: Vec<Template>,
    at: i64,
}

impl Fleet {
    /// Sends `n` scrapes of the whole fleet, each `pace` after the one before at the soonest.
    fn send(&mut self, server: &BenchServer, n: usize, pace: Duration) -> Load {
        let n_connections: usize = env_or("CONNECTIONS", 2);
        let per_connection = self.templates.len().div_ceil(n_connections);
        let (started, cpu_before, first) = (Instant::now(), server.cpu_seconds(), self.at);
        self.at += n as i64 * STEP;
        std::thread::scope(|scope| {
            for templates in self.templates.chunks_mut(per_connection) {
                scope.spawn(|| {
                    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
                    for scrape in 0..n {
                        std::thread::sleep((pace * scrape as u32).saturating_sub(started.elapsed()));
                        for template in &mut *templates {
                            post(&agent, &server.url, &template.body(first + scrape as i64 * STEP));
                        }
                    }
                });
            }
        });
        let n_samples = n * self.templates.iter().map(|template| template.ends.len()).sum::<usize>();
        Load { n_samples, seconds: started.elapsed().as_secs_f64(), cpu: server.cpu_seconds() - cpu_before }
    }
}

/// Sends a request, again as long as the server is overloaded, as a sender of remote write does.
fn post(agent: &ureq::Agent, url: &str, body: &[u8]) {
    for _ in 0..MAX_TRIES {
        let request = agent.post(format!("{url}/api/v1/write"));
        let request = request.header("Content-Encoding", "snappy").header("Content-Type", "application/x-protobuf");
        let status = request.send(body).expect("the server answers").status().as_u16();
        match status {
            200..300 => return,
            429 | 503 => std::thread::sleep(Duration::from_millis(100)),
            other => panic!("status {other}"),
        }
    }
    panic!("the server stays overloaded");
}
