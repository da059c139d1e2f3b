//! How long does a warm forecast take over HTTP?
//!
//! Starts the real binary, pushes one seasonal series of 10,000 points, asks once to warm the model, then asks again
//! and again, with a new sample now and then, as a dashboard on a live series does. Prints the latency.
//!
//! `cargo bench --bench forecast_http`; `POINTS=10000 REQUESTS=500` set the load.

use std::time::Instant;

mod server;
use server::{BenchServer, env_or, percentile};

fn main() {
    let n_points: i64 = env_or("POINTS", 10_000);
    let n_requests: usize = env_or("REQUESTS", 500);
    let server = BenchServer::start();
    let step = 60_000;
    let start = server::now_millis() - n_points * step;
    let line = |idx: i64| {
        let phase = (idx % 1_440) as f64 / 1_440.0 * std::f64::consts::TAU;
        let wobble = (idx.wrapping_mul(2_654_435_761) % 1_000) as f64 / 100.0;
        let (at, value) = (start + idx * step, 100.0 + 20.0 * phase.sin() + wobble);
        format!(
            "{{\"metric\":\"requests_in_flight\",\"labels\":{{\"host\":\"a\"}},\"timestamp\":{at},\"value\":{value}}}\n"
        )
    };
    let push = |body: String| {
        let sent = ureq::post(format!("{}/api/v1/ingest", server.url))
            .header("Content-Type", "application/x-ndjson")
            .send(&body)
            .expect("the server answers");
        assert!(sent.status().is_success());
    };
    push((0..n_points).map(line).collect());

    let url = format!("{}/api/v1/forecast?match=requests_in_flight&horizon=1d", server.url);
    let agent = ureq::Agent::new_with_defaults();
    let ask = || {
        let asked = Instant::now();
        let answer = agent.get(&url).call().expect("the server answers").body_mut().read_to_string().expect("a body");
        assert!(answer.contains("\"success\""), "{answer}");
        asked.elapsed()
    };
    println!("first (cold)          {:.1?}", ask());
    let mut times = Vec::with_capacity(n_requests);
    for idx in 0..n_requests {
        if idx % 20 == 19 {
            push(line(n_points + (idx / 20) as i64));
        }
        times.push(ask());
    }
    times.sort();
    println!(
        "warm p50 / p99 / max  {:.1?} / {:.1?} / {:.1?}",
        percentile(&times, 0.5),
        percentile(&times, 0.99),
        times[times.len() - 1]
    );
}
