//! The real binary, started for a measurement and stopped after it.

// Each benchmark uses the part of this that answers its question.
#![allow(dead_code)]

use std::fs;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub mod message;

/// A running `barograph serve` on a temporary directory; killed on drop. `BAROGRAPH` names another build's binary.
pub struct BenchServer {
    pub url: String,
    child: Child,
    _data: tempfile::TempDir,
}

impl BenchServer {
    /// Starts the binary and waits until it is ready.
    pub fn start() -> BenchServer {
        // `BENCH_DIR` picks the disk; the temporary directory may be memory, where a sync costs nothing.
        let parent = std::env::var("BENCH_DIR").unwrap_or_else(|_| env!("CARGO_TARGET_TMPDIR").to_owned());
        let data = tempfile::tempdir_in(parent).expect("a writable directory");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
        let listen = format!("127.0.0.1:{port}");
        let ours = std::env::var("BAROGRAPH").unwrap_or_else(|_| env!("CARGO_BIN_EXE_barograph").to_owned());
        let child = Command::new(ours)
            .args(["serve", "--listen", &listen, "--data"])
            .arg(data.path())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the binary starts");
        let server = BenchServer { url: format!("http://{listen}"), child, _data: data };
        let deadline = Instant::now() + Duration::from_secs(30);
        while ureq::get(format!("{}/ready", server.url)).call().is_err() {
            assert!(Instant::now() < deadline, "the server is not ready after 30 s");
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    /// User and system time the server has used, in seconds.
    pub fn cpu_seconds(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        // The command name may hold spaces; the fields after its closing parenthesis do not.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |idx: usize| fields.get(idx).and_then(|f| f.parse::<f64>().ok()).unwrap_or(f64::NAN);
        // utime and stime, at 100 ticks per second on every Linux in use.
        (ticks(11) + ticks(12)) / 100.0
    }

    /// Memory the server holds, in MB.
    pub fn resident_megabytes(&self) -> f64 {
        self.megabytes("VmRSS:")
    }

    /// The most it has held since it started or since [`forget_peak`](BenchServer::forget_peak), in MB.
    pub fn peak_megabytes(&self) -> f64 {
        self.megabytes("VmHWM:")
    }

    /// Begins a new peak.
    pub fn forget_peak(&self) {
        // Where the kernel does not let us, the peak is that of the whole run.
        let _ = fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5");
    }

    fn megabytes(&self, field: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let kib = line.and_then(|line| line.split_whitespace().next()).and_then(|kib| kib.parse::<f64>().ok());
        kib.unwrap_or(f64::NAN) * 1024.0 / 1e6
    }
}

impl Drop for BenchServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The environment variable `name`, or `default`.
pub fn env_or<T: FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The value below which `share` of the ascending durations lie.
pub fn percentile(sorted: &[Duration], share: f64) -> Duration {
    sorted[((sorted.len() - 1) as f64 * share) as usize]
}

/// This machine's clock, ms since the epoch.
pub fn now_millis() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
