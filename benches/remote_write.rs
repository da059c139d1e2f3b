//! How many samples per second does remote write take in, each acknowledged after its fdatasync?
//!
//! Starts the real binary on a fresh directory and sends it requests of 5,000 series with one sample each, as a
//! Prometheus with that many targets would, over a few connections. Prints samples per second, the server's samples
//! per CPU-second, and how long acknowledgements took.
//!
//! `cargo bench --bench remote_write`; `SECONDS=30 CONNECTIONS=2 SERIES=5000` set the load.

use std::time::{Duration, Instant};

mod server;
use server::{BenchServer, env_or, message, percentile};

fn main() {
    // Criterion's own flags (`--bench`) arrive here too and mean nothing to this program.
    let seconds: u64 = env_or("SECONDS", 15);
    let n_connections: usize = env_or("CONNECTIONS", 2);
    let n_series: usize = env_or("SERIES", 5_000);
    let server = BenchServer::start();
    let url = format!("{}/api/v1/write", server.url);
    let deadline = Instant::now() + Duration::from_secs(seconds);
    let started = Instant::now();
    let cpu_before = server.cpu_seconds();

    let senders: Vec<_> = (0..n_connections)
        .map(|connection| {
            let url = url.clone();
            std::thread::spawn(move || {
                let agent = ureq::Agent::new_with_defaults();
                let mut request = message::fleet(connection, n_series);
                let mut acks = Vec::new();
                let mut at = server::now_millis();
                while Instant::now() < deadline {
                    at += 1_000;
                    let body = message::encode(&mut request, at);
                    let sent = Instant::now();
                    let response = agent
                        .post(&url)
                        .header("Content-Encoding", "snappy")
                        .header("Content-Type", "application/x-protobuf")
                        .header("X-Prometheus-Remote-Write-Version", "0.1.0")
                        .send(&body)
                        .expect("the server answers");
                    assert!(response.status().is_success(), "status {}", response.status());
                    acks.push(sent.elapsed());
                }
                acks
            })
        })
        .collect();
    let mut acks: Vec<Duration> = senders.into_iter().flat_map(|s| s.join().expect("sender")).collect();
    acks.sort();

    let elapsed = started.elapsed().as_secs_f64();
    let n_samples = (acks.len() * n_series) as f64;
    let cpu = server.cpu_seconds() - cpu_before;
    println!("samples/s             {:>12.0}", n_samples / elapsed);
    println!("samples/CPU-second    {:>12.0}", n_samples / cpu);
    println!(
        "ack p50 / p99 / max   {:.1?} / {:.1?} / {:.1?}",
        percentile(&acks, 0.5),
        percentile(&acks, 0.99),
        acks[acks.len() - 1]
    );
    println!("resident memory       {:>9.0} MB", server.resident_megabytes());
}
