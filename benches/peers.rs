//! How fast, how small and how large in memory, next to the stores it is compared with, in one run?
//!
//! Starts VictoriaMetrics, Prometheus and barograph in turn on fresh directories, sends each the same remote write
//! requests over two connections, and prints samples per second, samples per CPU-second while loading and with what
//! the load left to flush and compact, acknowledgement times, resident memory and bytes per sample on disk.
//!
//! `cargo bench --bench peers`. The load is real server metrics when `../shared/data/smd` is there, and otherwise a
//! generated likeness: 456 series of 20,000 samples, a minute apart, 5,000 samples a request, one sample in each
//! series message. `PEERS=barograph,victoria-metrics,prometheus`, `BENCH_DIR` and `SAMPLES` (per series) change that.
//! The peers are Debian's packages: on the PATH, or where the test script unpacks them.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;

#[path = "server/message.rs"]
mod message;

const N_SERIES: usize = 456;
const SAMPLES_PER_REQUEST: usize = 5_000;
const STEP: i64 = 60_000;
// 2026-01-01, so that a run today and one in a year store the same bytes.
const START: i64 = 1_767_225_600_000;

fn main() {
    let n_samples = env_or("SAMPLES", 20_000);
    let series = real_series(n_samples).unwrap_or_else(|| {
        println!("../shared/data/smd is not there: the load is generated");
        generated_series(n_samples)
    });
    let n_all: usize = series.iter().map(Vec::len).sum();
    let requests = Arc::new([requests(&series[..N_SERIES / 2], 0), requests(&series[N_SERIES / 2..], 1)]);
    let n_requests = requests.iter().map(Vec::len).sum::<usize>();
    println!("{} series, {n_all} samples, {n_requests} requests on 2 connections", series.len());
    println!(
        "{:<18} {:>11} {:>13} {:>13} {:>9} {:>9} {:>9} {:>8} {:>10}",
        "", "samples/s", "/CPU-s load", "/CPU-s all", "p50 ms", "p99 ms", "max ms", "RSS MB", "bytes/sample"
    );
    let wanted = std::env::var("PEERS").unwrap_or_else(|_| "victoria-metrics,prometheus,barograph".to_owned());
    let mut results: Vec<(String, Measured)> = Vec::new();
    for name in wanted.split(',') {
        match Peer::start(name) {
            Ok(peer) => {
                let measured = measure(&peer, &requests, n_all);
                println!("{name:<18} {measured}");
                results.push((name.to_owned(), measured));
            }
            Err(reason) => println!("{name:<18} skipped: {reason}"),
        }
    }
    let Some((_, ours)) = results.iter().find(|(name, _)| name == "barograph") else { return };
    for (name, theirs) in results.iter().filter(|(name, _)| name != "barograph") {
        println!(
            "barograph / {name}: samples/s {:.2}, per CPU-second loading {:.2}, in all {:.2}, bytes/sample {:.2}",
            ours.rate / theirs.rate,
            ours.per_cpu_loading / theirs.per_cpu_loading,
            ours.per_cpu_in_all / theirs.per_cpu_in_all,
            ours.bytes_per_sample / theirs.bytes_per_sample
        );
    }
}

struct Measured {
    rate: f64,
    per_cpu_loading: f64,
    per_cpu_in_all: f64,
    acks: [f64; 3],
    resident: f64,
    bytes_per_sample: f64,
}

impl std::fmt::Display for Measured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Measured { rate, per_cpu_loading, per_cpu_in_all, acks: [p50, p99, max], resident, bytes_per_sample } =
            self;
        write!(
            f,
            "{rate:>11.0} {per_cpu_loading:>13.0} {per_cpu_in_all:>13.0} {p50:>9.2} {p99:>9.2} {max:>9.2} {resident:>8.0} {bytes_per_sample:>10.2}"
        )
    }
}

fn measure(peer: &Peer, requests: &Arc<[Vec<Vec<u8>>; 2]>, n_samples: usize) -> Measured {
    let cpu_before = peer.cpu_seconds();
    let started = Instant::now();
    let senders: Vec<_> = (0..2)
        .map(|connection| {
            let (requests, port, path) = (Arc::clone(requests), peer.port, peer.write_path);
            std::thread::spawn(move || {
                let mut sender = Sender::connect(port);
                requests[connection].iter().map(|body| sender.post(path, body)).collect::<Vec<_>>()
            })
        })
        .collect();
    let mut acks: Vec<Duration> = senders.into_iter().flat_map(|sender| sender.join().expect("a sender")).collect();
    let elapsed = started.elapsed().as_secs_f64();
    let cpu_loading = peer.cpu_seconds() - cpu_before;
    let resident = peer.resident_megabytes();
    acks.sort();
    let ms = |share: f64| acks[((acks.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    peer.settle();
    let cpu_in_all = peer.cpu_seconds() - cpu_before;
    Measured {
        rate: n_samples as f64 / elapsed,
        per_cpu_loading: n_samples as f64 / cpu_loading,
        per_cpu_in_all: n_samples as f64 / cpu_in_all,
        acks: [ms(0.5), ms(0.99), ms(1.0)],
        resident,
        bytes_per_sample: peer.bytes_on_disk() as f64 / n_samples as f64,
    }
}

/// One connection that is kept open, with no more client than the measurement needs.
struct Sender {
    stream: BufReader<TcpStream>,
}

impl Sender {
    fn connect(port: u16) -> Sender {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("the peer listens");
        stream.set_nodelay(true).expect("a TCP socket");
        Sender { stream: BufReader::new(stream) }
    }

    fn post(&mut self, path: &str, body: &[u8]) -> Duration {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\nX-Prometheus-Remote-Write-Version: 0.1.0\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let sent = Instant::now();
        let stream = self.stream.get_mut();
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).expect("the peer reads");
        let (mut status, mut length, mut line) = (String::new(), 0_u64, String::new());
        self.stream.read_line(&mut status).expect("a status line");
        loop {
            line.clear();
            self.stream.read_line(&mut line).expect("headers");
            let header = line.trim().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
        }
        let mut answer = String::new();
        self.stream.by_ref().take(length).read_to_string(&mut answer).expect("the answer");
        assert!(status.split_whitespace().nth(1).is_some_and(|code| code.starts_with('2')), "{status}{answer}");
        sent.elapsed()
    }
}

struct Peer {
    name: String,
    port: u16,
    write_path: &'static str,
    child: Child,
    data: tempfile::TempDir,
}

impl Peer {
    fn start(name: &str) -> Result<Peer, String> {
        let parent = std::env::var("BENCH_DIR")
            .ok()
            .or(option_env!("CARGO_TARGET_TMPDIR").map(str::to_owned))
            .ok_or("BENCH_DIR is not set")?;
        let data = tempfile::tempdir_in(parent).map_err(|error| error.to_string())?;
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
        let listen = format!("127.0.0.1:{port}");
        let dir = data.path().join("data");
        let mut command = match name {
            "barograph" => {
                let ours = option_env!("CARGO_BIN_EXE_barograph").map(str::to_owned);
                let ours = std::env::var("BAROGRAPH").ok().or(ours).ok_or("BAROGRAPH is not set")?;
                let mut command = Command::new(ours);
                command.args(["serve", "--listen", &listen, "--data"]).arg(&dir);
                command
            }
            "victoria-metrics" => {
                let mut command = Command::new(find(name)?);
                command.arg(format!("-httpListenAddr={listen}")).arg("-retentionPeriod=100y");
                command.arg(format!("-storageDataPath={}", dir.display()));
                command
            }
            "prometheus" => {
                let config = data.path().join("prometheus.yml");
                // The two connections do not keep step, and it refuses what is an hour behind unless told not to.
                let text = "storage: {tsdb: {out_of_order_time_window: 30d}}\n";
                fs::write(&config, text).map_err(|error| error.to_string())?;
                let mut command = Command::new(find(name)?);
                command.args(["--web.enable-remote-write-receiver", "--storage.tsdb.retention.time=100y"]);
                command.arg(format!("--web.listen-address={listen}"));
                command.arg(format!("--config.file={}", config.display()));
                command.arg(format!("--storage.tsdb.path={}", dir.display()));
                command
            }
            _ => return Err("it is not one of victoria-metrics, prometheus, barograph".to_owned()),
        };
        let log = fs::File::create(data.path().join("log")).map_err(|error| error.to_string())?;
        let errors = log.try_clone().map_err(|error| error.to_string())?;
        let child = command.stdout(log).stderr(errors).spawn().map_err(|error| error.to_string())?;
        let write_path = "/api/v1/write";
        let peer = Peer { name: name.to_owned(), port, write_path, child, data };
        let deadline = Instant::now() + Duration::from_secs(30);
        while peer.get("/metrics").is_none() {
            if Instant::now() > deadline {
                let log = fs::read_to_string(peer.data.path().join("log")).unwrap_or_default();
                return Err(format!("it is not ready after 30 s: {log}"));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(peer)
    }

    fn get(&self, path: &str) -> Option<String> {
        self.ask("GET", path)
    }

    fn ask(&self, method: &str, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.split_whitespace().nth(1).is_some_and(|code| code.starts_with('2')).then_some(answer)
    }

    /// Has the peer flush and compact all it has, and waits until it rests.
    fn settle(&self) {
        match self.name.as_str() {
            "victoria-metrics" => {
                self.get("/internal/force_flush");
                self.get("/internal/force_merge");
            }
            "barograph" => {
                self.ask("POST", "/api/v1/admin/compact").expect("barograph compacts");
            }
            _ => {}
        }
        let deadline = Instant::now() + Duration::from_secs(180);
        let mut before = self.cpu_seconds();
        let mut n_quiet = 0;
        while n_quiet < 3 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_secs(1));
            let now = self.cpu_seconds();
            n_quiet = if now - before < 0.03 { n_quiet + 1 } else { 0 };
            before = now;
        }
    }

    fn cpu_seconds(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |idx: usize| fields.get(idx).and_then(|field| field.parse::<f64>().ok()).unwrap_or(f64::NAN);
        (ticks(11) + ticks(12)) / 100.0
    }

    fn resident_megabytes(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        let kib = line.split_whitespace().next().and_then(|kib| kib.parse::<f64>().ok());
        kib.unwrap_or(f64::NAN) * 1024.0 / 1e6
    }

    fn bytes_on_disk(&self) -> u64 {
        fn size(path: &Path) -> u64 {
            let Ok(metadata) = fs::symlink_metadata(path) else { return 0 };
            if !metadata.is_dir() {
                return metadata.len();
            }
            fs::read_dir(path).map_or(0, |dir| dir.filter_map(Result::ok).map(|entry| size(&entry.path())).sum())
        }
        size(&self.data.path().join("data"))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn find(program: &str) -> Result<PathBuf, String> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")));
    let unpacked = cache.map(|cache| cache.join("barograph/debian/usr/bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut dirs = std::env::split_paths(&path).chain(unpacked);
    let found = dirs.find_map(|dir| Some(dir.join(program)).filter(|file| file.is_file()));
    found.ok_or_else(|| format!("{program} is not installed; `bash scripts/test.sh --no-run` unpacks Debian's package"))
}

/// Every sample of the series, in requests of one moment after another.
fn requests(series: &[Vec<f64>], connection: usize) -> Vec<Vec<u8>> {
    let n_moments = series.iter().map(Vec::len).max().unwrap_or(0);
    let fleet = message::fleet(connection, series.len()).timeseries;
    let mut bodies = Vec::new();
    let mut request = message::WriteRequest { timeseries: Vec::new() };
    let close = |request: &mut message::WriteRequest, bodies: &mut Vec<Vec<u8>>| {
        let bytes = prost::Message::encode_to_vec(request);
        bodies.push(snap::raw::Encoder::new().compress_vec(&bytes).expect("a message below 4 GiB compresses"));
        request.timeseries.clear();
    };
    for moment in 0..n_moments {
        for (values, named) in series.iter().zip(&fleet) {
            let Some(value) = values.get(moment) else { continue };
            let sample = message::Sample { value: *value, timestamp: START + moment as i64 * STEP };
            request.timeseries.push(message::TimeSeries { labels: named.labels.clone(), samples: vec![sample] });
            if request.timeseries.len() == SAMPLES_PER_REQUEST {
                close(&mut request, &mut bodies);
            }
        }
    }
    if !request.timeseries.is_empty() {
        close(&mut request, &mut bodies);
    }
    bodies
}

/// Server metrics from `../shared/data/smd`; `None` when they are not there.
fn real_series(n_samples: usize) -> Option<Vec<Vec<f64>>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/smd");
    let mut all = Vec::new();
    for part in ["train", "test"] {
        let mut files: Vec<PathBuf> =
            fs::read_dir(root.join(part)).ok()?.filter_map(|entry| Some(entry.ok()?.path())).collect();
        files.sort();
        for file in files {
            let reader = SerializedFileReader::new(fs::File::open(file).ok()?).ok()?;
            let mut columns: Vec<Vec<f64>> = Vec::new();
            for row in reader.get_row_iter(None).ok()?.take(n_samples) {
                let row = row.ok()?;
                let metrics = row.get_column_iter().filter(|(name, _)| name.starts_with('m'));
                for (idx, (_, field)) in metrics.enumerate() {
                    if columns.len() <= idx {
                        columns.push(Vec::with_capacity(n_samples));
                    }
                    columns[idx].push(match field {
                        Field::Double(value) => *value,
                        Field::Float(value) => f64::from(*value),
                        _ => f64::NAN,
                    });
                }
            }
            all.append(&mut columns);
        }
    }
    all.truncate(N_SERIES);
    (all.len() == N_SERIES).then_some(all)
}

/// What server metrics are like: many that hardly change, counters, noisy shares with few digits.
fn generated_series(n_samples: usize) -> Vec<Vec<f64>> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    (0..N_SERIES)
        .map(|idx| {
            let mut level = random();
            (0..n_samples)
                .map(|moment| {
                    let day = (moment as f64 / 1440.0 * std::f64::consts::TAU).sin();
                    level += (random() - 0.5) * 0.01;
                    match idx % 4 {
                        0 => 0.0,
                        1 if random() < 0.02 => 1.0,
                        1 => 0.0,
                        2 => ((0.3 + 0.2 * day + 0.1 * random()) * 1e3).round() / 1e3,
                        _ => (level * 1e6).round() / 1e6,
                    }
                })
                .collect()
        })
        .collect()
}

fn env_or<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
