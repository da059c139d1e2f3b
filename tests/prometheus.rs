//! The real Prometheus scrapes the real node-exporter and remote-writes into the real `barograph serve`; afterwards
//! every series and sample that Prometheus answers about must be in the data directory, to the bit, and no other.
//!
//! Needs Debian's `prometheus` and `prometheus-node-exporter` on the PATH or below the cache folder of
//! `scripts/test.sh`, which fetches them. Without them the test says so and passes; with `CI=true` it fails.

// A test that cannot go on says so where it stopped.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use barograph::series::{METRIC_NAME, Millis, Selector, TimeRange, is_stale_marker};
use barograph::storage::{Store, StoreSettings};

/// Node-exporter lives this long, then disappears, so that its series go stale.
const SCRAPED_FOR: Duration = Duration::from_secs(40);
/// From its death to the question: time for stale markers and some more samples of the others.
const SCRAPED_AFTER: Duration = Duration::from_secs(8);

/// Labels, sorted, to samples as (timestamp, bits of the value; one pattern for every NaN that is no stale marker).
type Recorded = BTreeMap<Vec<(String, String)>, BTreeMap<Millis, u64>>;

#[test]
fn everything_prometheus_wrote_is_stored_to_the_bit() {
    let (Some(prometheus), Some(exporter)) = (find("prometheus"), find("prometheus-node-exporter")) else {
        let missing = "prometheus and prometheus-node-exporter are not installed; run bash scripts/test.sh once";
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{missing}");
        eprintln!("skipped: {missing}");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let [barograph_at, exporter_at, prometheus_at] = [free_address(), free_address(), free_address()];
    let data = dir.path().join("data");

    let mut barograph = Command::new(env!("CARGO_BIN_EXE_barograph"));
    barograph.arg("serve").arg("--data").arg(&data).args(["--listen", &barograph_at]);
    let barograph = Running::start("barograph", &mut barograph, dir.path());
    barograph.wait_until_answers(&format!("http://{barograph_at}/ready"));

    let mut exporter = Command::new(exporter);
    exporter.arg(format!("--web.listen-address={exporter_at}"));
    let exporter = Running::start("node-exporter", &mut exporter, dir.path());
    exporter.wait_until_answers(&format!("http://{exporter_at}/"));

    let config = dir.path().join("prometheus.yml");
    std::fs::write(&config, prometheus_config(&barograph_at, &exporter_at, &prometheus_at)).unwrap();
    let mut prometheus = Command::new(prometheus);
    prometheus
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", dir.path().join("prometheus").display()))
        .arg(format!("--web.listen-address={prometheus_at}"));
    let prometheus = Running::start("prometheus", &mut prometheus, dir.path());
    prometheus.wait_until_answers(&format!("http://{prometheus_at}/-/ready"));

    std::thread::sleep(SCRAPED_FOR);
    exporter.stop();
    std::thread::sleep(SCRAPED_AFTER);
    // A little in the past, so that every scrape up to then is complete.
    let asked_at = unix_millis() - 2_000;
    let expected = ask_prometheus(&prometheus_at, asked_at);
    // Prometheus sends what is still queued before it ends.
    prometheus.stop();
    barograph.stop();

    let (stored, ended) = read_store(&data, asked_at);
    assert!(expected.len() > 300, "Prometheus answered only {} series", expected.len());
    let n_samples: usize = expected.values().map(BTreeMap::len).sum();
    assert!(n_samples > 10_000, "Prometheus answered only {n_samples} samples");
    compare(&expected, &stored);

    // What node-exporter exposed ended with a stale marker; what Prometheus adds about the scrape itself goes on.
    let of_exporter = |labels: &&Vec<(String, String)>| {
        let has = |name: &str, test: &dyn Fn(&str) -> bool| labels.iter().any(|(n, v)| n == name && test(v));
        has("job", &|job| job == "node") && !has(METRIC_NAME, &|name| name == "up" || name.starts_with("scrape_"))
    };
    let not_ended: Vec<_> = expected.keys().filter(of_exporter).filter(|labels| !ended.contains(labels)).collect();
    assert!(
        not_ended.is_empty(),
        "{} series have no stale marker at their end: {:?}",
        not_ended.len(),
        not_ended.first()
    );
    assert!(ended.len() > 200, "only {} series ended", ended.len());
    println!("{} series, {n_samples} samples, {} ended by a stale marker: all alike", expected.len(), ended.len());
}

fn prometheus_config(barograph_at: &str, exporter_at: &str, prometheus_at: &str) -> String {
    format!(
        "global: {{ scrape_interval: 1s, scrape_timeout: 1s }}
scrape_configs:
  - {{ job_name: node, static_configs: [ {{ targets: ['{exporter_at}'] }} ] }}
  - {{ job_name: prometheus, scrape_interval: 2s, static_configs: [ {{ targets: ['{prometheus_at}'] }} ] }}
remote_write:
  - url: http://{barograph_at}/api/v1/write
    queue_config: {{ batch_send_deadline: 1s }}
"
    )
}

/// Every sample Prometheus has up to `at`, as its own API tells it; stale markers are not among them.
fn ask_prometheus(address: &str, at: Millis) -> Recorded {
    let query = "%7B__name__%3D~%22.%2B%22%7D%5B2m%5D";
    let url = format!("http://{address}/api/v1/query?query={query}&time={}", at as f64 / 1e3);
    let mut answer = ureq::get(&url).call().unwrap();
    let body = answer.body_mut().with_config().limit(1 << 30).read_to_string().unwrap();
    let answer: serde_json::Value = serde_json::from_str(&body).unwrap();
    let series = answer["data"]["result"].as_array().expect("a matrix");
    series
        .iter()
        .map(|series| {
            let labels = series["metric"].as_object().unwrap();
            let labels = labels.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()));
            let samples = series["values"].as_array().unwrap().iter().map(|pair| {
                let seconds = pair[0].as_f64().unwrap();
                let value: f64 = pair[1].as_str().unwrap().parse().unwrap();
                ((seconds * 1e3).round() as Millis, comparable_bits(value))
            });
            let mut labels: Vec<(String, String)> = labels.collect();
            labels.sort();
            (labels, samples.collect())
        })
        .collect()
}

/// What the data directory holds up to `at`, and the series whose last sample, whenever it came, is a stale marker.
fn read_store(data: &Path, at: Millis) -> (Recorded, Vec<Vec<(String, String)>>) {
    let store = Store::open(data, StoreSettings::default()).unwrap();
    let found = store.select(&Selector::all(), TimeRange::ALL).unwrap();
    store.close().unwrap();
    let (mut recorded, mut ended) = (Recorded::new(), Vec::new());
    for series in found {
        let labels: Vec<(String, String)> =
            series.key.labels().iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        if series.samples.last().is_some_and(|sample| is_stale_marker(sample.value)) {
            ended.push(labels.clone());
        }
        let samples: BTreeMap<Millis, u64> = series
            .samples
            .iter()
            .filter(|sample| sample.at <= at && !is_stale_marker(sample.value))
            .map(|sample| (sample.at, comparable_bits(sample.value)))
            .collect();
        if !samples.is_empty() {
            recorded.insert(labels, samples);
        }
    }
    (recorded, ended)
}

fn comparable_bits(value: f64) -> u64 {
    if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() }
}

fn compare(expected: &Recorded, stored: &Recorded) {
    let missing: Vec<_> = expected.keys().filter(|labels| !stored.contains_key(*labels)).collect();
    assert!(missing.is_empty(), "{} series are missing, {:?} among them", missing.len(), missing[0]);
    let extra: Vec<_> = stored.keys().filter(|labels| !expected.contains_key(*labels)).collect();
    assert!(extra.is_empty(), "{} series Prometheus does not know, {:?} among them", extra.len(), extra[0]);
    for (labels, expected) in expected {
        let stored = &stored[labels];
        for (at, value) in expected {
            assert_eq!(stored.get(at), Some(value), "{labels:?} at {at}");
        }
        assert_eq!(stored.len(), expected.len(), "{labels:?} has samples Prometheus does not know");
    }
}

/// A process that ends with the test, whichever way that goes.
struct Running {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Running {
    fn start(name: &'static str, command: &mut Command, dir: &Path) -> Running {
        let log = dir.join(format!("{name}.log"));
        let file = File::create(&log).unwrap();
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        Running { name, child, log }
    }

    fn wait_until_answers(&self, url: &str) {
        let patience = Instant::now() + Duration::from_secs(30);
        while let Err(error) = ureq::get(url).call() {
            assert!(Instant::now() < patience, "{} does not answer at {url}: {error}\n{}", self.name, self.log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Asks it to end and waits until it has.
    fn stop(mut self) {
        let asked = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(asked.success());
        let patience = Instant::now() + Duration::from_secs(60);
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < patience, "{} does not end\n{}", self.name, self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- {}\n{}", self.name, self.log());
        }
        // Fails when it has ended already, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    let unpacked = cache.map(|cache| cache.join("barograph/debian/usr/bin"));
    std::env::split_paths(&path).chain(unpacked).map(|dir| dir.join(name)).find(|file| file.is_file())
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn unix_millis() -> Millis {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as Millis
}
