//! Does memory stay flat, and is every acknowledgement prompt, while samples come in evenly for a long time?
//!
//! Starts the real binary on a fresh directory and sends it 200,000 samples a second of 100,000 series over two
//! connections, each request when it is due, with flushes, merges and the watch going on as they do by default.
//! Prints a line a minute, then what memory did in the second half and how long acknowledgements took.
//!
//! `cargo bench --bench steady` runs 20 minutes, `cargo bench --bench steady -- 2` runs two; `RATE=200000`,
//! `SERIES=100000` and `BENCH_DIR` change the load and the disk.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

mod server;
use server::{BenchServer, env_or, message, percentile};

const N_CONNECTIONS: usize = 2;
const SERIES_PER_REQUEST: usize = 5_000;
const SLOW: Duration = Duration::from_millis(250);

fn main() {
    // Cargo adds flags of its own (`--bench`); the number is ours.
    let minutes: f64 = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(20.0);
    let (rate, n_series) = (env_or("RATE", 200_000.0), env_or("SERIES", 100_000_usize));
    let server = BenchServer::start();
    let (started, length) = (Instant::now(), Duration::from_secs_f64(minutes * 60.0));
    let acks: Mutex<Vec<Ack>> = Mutex::default();
    let is_done = AtomicBool::new(false);
    let mut resident: Vec<(f64, f64)> = Vec::new();
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..N_CONNECTIONS)
            .map(|connection| {
                let (server, acks) = (&server, &acks);
                let interval = Duration::from_secs_f64((SERIES_PER_REQUEST * N_CONNECTIONS) as f64 / rate);
                let n_series = n_series / N_CONNECTIONS;
                scope.spawn(move || send(server, connection, n_series, (started, interval, length), acks))
            })
            .collect();
        let watch = scope.spawn(|| {
            let mut resident = Vec::new();
            println!(
                "{:>6} {:>12} {:>10} {:>10} {:>10} {:>8}",
                "minute", "samples/s", "p50 ms", "p99 ms", "max ms", "RSS MB"
            );
            let mut next_line = 1;
            while !is_done.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_secs(1));
                let minutes = started.elapsed().as_secs_f64() / 60.0;
                resident.push((minutes, server.resident_megabytes()));
                if minutes >= f64::from(next_line) {
                    tell_minute(
                        next_line,
                        &acks.lock().expect("no sender has panicked"),
                        resident[resident.len() - 1].1,
                    );
                    next_line += 1;
                }
            }
            resident
        });
        senders.into_iter().for_each(|sender| sender.join().expect("a sender"));
        is_done.store(true, Ordering::Relaxed);
        resident = watch.join().expect("the watch over memory");
    });
    tell(&mut acks.into_inner().expect("no sender has panicked"), &resident, started.elapsed());
}

/// One acknowledgement: when its request was due, how late it was sent, and how long the answer took.
struct Ack {
    due: Duration,
    behind: Duration,
    took: Duration,
}

/// Sends each request when it is due.
fn send(
    server: &BenchServer,
    connection: usize,
    n_series: usize,
    (started, interval, length): (Instant, Duration, Duration),
    acks: &Mutex<Vec<Ack>>,
) {
    let agent = ureq::Agent::new_with_defaults();
    let url = format!("{}/api/v1/write", server.url);
    let mut fleet = message::fleet(connection, n_series).timeseries;
    let mut requests: Vec<message::WriteRequest> = Vec::new();
    while !fleet.is_empty() {
        let rest = fleet.split_off(fleet.len().min(SERIES_PER_REQUEST));
        requests.push(message::WriteRequest { timeseries: std::mem::replace(&mut fleet, rest) });
    }
    let n_requests = (length.as_secs_f64() / interval.as_secs_f64()) as usize;
    for number in 0..n_requests {
        let place = number % requests.len();
        let body = message::encode(&mut requests[place], server::now_millis());
        let due = interval.mul_f64(number as f64);
        std::thread::sleep(due.saturating_sub(started.elapsed()));
        let sent = Instant::now();
        let response = agent
            .post(&url)
            .header("Content-Encoding", "snappy")
            .header("Content-Type", "application/x-protobuf")
            .header("X-Prometheus-Remote-Write-Version", "0.1.0")
            .send(&body)
            .expect("the server answers");
        let took = sent.elapsed();
        assert!(response.status().is_success(), "status {}", response.status());
        let behind = (sent - started).saturating_sub(due);
        acks.lock().expect("no sender has panicked").push(Ack { due, behind, took });
    }
}

fn sorted<'a>(acks: impl Iterator<Item = &'a Ack>, pick: fn(&Ack) -> Duration) -> Vec<Duration> {
    let mut durations: Vec<Duration> = acks.map(pick).collect();
    durations.sort();
    durations
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn tell_minute(minute: u32, acks: &[Ack], resident: f64) {
    let (start, end) = (Duration::from_secs(60) * (minute - 1), Duration::from_secs(60) * minute);
    let took = sorted(acks.iter().filter(|ack| (start..end).contains(&ack.due)), |ack| ack.took);
    if let Some(max) = took.last() {
        let rate = (took.len() * SERIES_PER_REQUEST) as f64 / 60.0;
        let (p50, p99) = (percentile(&took, 0.5), percentile(&took, 0.99));
        println!("{minute:>6} {rate:>12.0} {:>10.1} {:>10.1} {:>10.1} {resident:>8.0}", ms(p50), ms(p99), ms(*max));
    }
}

fn tell(acks: &mut [Ack], resident: &[(f64, f64)], elapsed: Duration) {
    let took = sorted(acks.iter(), |ack| ack.took);
    let behind = sorted(acks.iter(), |ack| ack.behind);
    let (Some(max), Some(behind)) = (took.last(), behind.last()) else {
        println!("too short a time for one request");
        return;
    };
    let n_slow = took.iter().filter(|took| **took > SLOW).count();
    println!("samples/s             {:>10.0}", (took.len() * SERIES_PER_REQUEST) as f64 / elapsed.as_secs_f64());
    println!(
        "ack p50 / p99 / max   {:.1} / {:.1} / {:.1} ms; sent at most {:.0} ms after it was due",
        ms(percentile(&took, 0.5)),
        ms(percentile(&took, 0.99)),
        ms(*max),
        ms(*behind)
    );
    println!("acks above {} ms     {n_slow:>10} of {}", SLOW.as_millis(), took.len());
    let half = &resident[resident.len() / 2..];
    let most = resident.iter().map(|(_, megabytes)| *megabytes).fold(0.0, f64::max);
    println!("resident memory       {most:>7.0} MB at most; {:+.2} MB a minute in the second half", slope(half));
}

/// The slope of the straight line nearest to these points, by least squares.
fn slope(points: &[(f64, f64)]) -> f64 {
    let n = points.len() as f64;
    let mean = |pick: fn(&(f64, f64)) -> f64| points.iter().map(pick).sum::<f64>() / n;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let covariance: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    covariance / points.iter().map(|point| (point.0 - x).powi(2)).sum::<f64>()
}
