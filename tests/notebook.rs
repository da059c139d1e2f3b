//! The notebook works: executed cell by cell against a real server that holds part of the sample history.
//!
//! Needs the Python packages that `scripts/test.sh` installs; skips with a reason where they are missing.

// A test that cannot go on says so where it stopped.
#![allow(clippy::unwrap_used)]

mod python;

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use polars::prelude::{ChunkCompareEq, DataFrame, ParquetReader, SerReader};
use python::python;
use serde_json::{Value, json};

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A `barograph serve` on `data`; killed when dropped.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(data: &Path) -> Server {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let listen = format!("127.0.0.1:{port}");
        let mut child = Command::new(env!("CARGO_BIN_EXE_barograph"))
            .args(["serve", "--listen", &listen, "--data"])
            .arg(data)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let url = format!("http://{listen}");
        let deadline = Instant::now() + Duration::from_secs(60);
        while ureq::get(format!("{url}/ready")).call().is_err() {
            assert!(child.try_wait().unwrap().is_none(), "the server ended before it was ready");
            assert!(Instant::now() < deadline, "the server is not ready after a minute");
            sleep(Duration::from_millis(50));
        }
        Server { child, url }
    }

    /// Asks the server to end and waits until it has flushed and gone.
    fn stop(mut self) {
        let asked = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(asked.success());
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "a server asked to end must end well: {status}");
                return;
            }
            assert!(Instant::now() < deadline, "the server is still there a minute after it was asked to end");
            sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Two weeks of the services around the incident and of one filling disk, ending about now.
struct Sample {
    lines: Vec<String>,
    /// What was added to every timestamp.
    shift: i64,
}

fn sample() -> Sample {
    const METRICS: [&str; 4] = [
        "db_connections_active",
        "http_request_duration_p95_seconds",
        "node_filesystem_avail_bytes",
        "node_filesystem_size_bytes",
    ];
    const LABELS: [&str; 3] = ["host", "service", "mountpoint"];
    let file = fs::File::open(root().join("data/generated.parquet")).unwrap();
    let frame: DataFrame = ParquetReader::new(file).finish().unwrap();
    let metrics = frame.column("metric").unwrap().str().unwrap();
    let wanted = METRICS.iter().map(|metric| metrics.equal(*metric)).reduce(|any, one| any | one).unwrap();
    let frame = frame.filter(&wanted).unwrap();

    let metrics = frame.column("metric").unwrap().str().unwrap();
    let labels = LABELS.map(|name| frame.column(name).unwrap().str().unwrap());
    let timestamps = frame.column("timestamp").unwrap().datetime().unwrap();
    let values = frame.column("value").unwrap().f64().unwrap();
    let last = timestamps.physical().iter().flatten().max().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    // Whole minutes, so that the samples stay on the grid they were made on.
    let shift = (now - last) / MINUTE * MINUTE;
    let lines = (0..frame.height())
        .map(|row| {
            let set = LABELS.iter().zip(&labels).filter_map(|(name, column)| Some((*name, column.get(row)?)));
            json!({
                "metric": metrics.get(row).unwrap(),
                "labels": set.collect::<std::collections::BTreeMap<_, _>>(),
                "timestamp": timestamps.physical().get(row).unwrap() + shift,
                "value": values.get(row).unwrap(),
            })
            .to_string()
        })
        .collect();
    Sample { lines, shift }
}

fn push(url: &str, lines: &[String]) {
    for chunk in lines.chunks(10_000) {
        let answer: Value = ureq::post(format!("{url}/api/v1/ingest"))
            .header("Content-Type", "application/x-ndjson")
            .send(chunk.join("\n"))
            .unwrap()
            .body_mut()
            .read_json()
            .unwrap();
        let accepted = answer.pointer("/data/accepted").or_else(|| answer.get("accepted"));
        assert_eq!(accepted.and_then(Value::as_u64), Some(chunk.len() as u64), "{answer}");
    }
}

/// Runs every cell and gives back the executed notebook. Stops at the first cell that fails.
fn execute(python: &Path, folder: &Path, url: &str, data: &Path) -> Value {
    const RUN: &str = "
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, timeout=300, kernel_name='python3').execute()
nbformat.write(notebook, sys.argv[2])
";
    let executed = folder.join("executed.ipynb");
    let output = Command::new(python)
        .args(["-c", RUN])
        .arg(root().join("notebooks/explore.ipynb"))
        .arg(&executed)
        .env("BAROGRAPH_URL", url)
        .env("BAROGRAPH_DATA", data)
        .env_remove("BAROGRAPH_TOKEN")
        // The kernel's files belong below the test's own folder.
        .env("JUPYTER_RUNTIME_DIR", folder.join("jupyter"))
        .env("IPYTHONDIR", folder.join("ipython"))
        .output()
        .unwrap();
    assert!(output.status.success(), "the notebook fails:\n{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&fs::read_to_string(executed).unwrap()).unwrap()
}

/// What the last cell printed: the notebook's summary.
fn summary(notebook: &Value) -> Value {
    let cells = notebook["cells"].as_array().unwrap();
    let mut ran = cells.iter().filter(|cell| cell["cell_type"] == "code");
    assert!(ran.clone().all(|cell| cell["execution_count"].is_u64()), "every code cell has run");
    let text = ran.next_back().unwrap()["outputs"][0]["text"].clone();
    // nbformat writes text as one string or as its lines.
    let text = match text {
        Value::Array(lines) => lines.iter().map(|line| line.as_str().unwrap()).collect(),
        other => other.as_str().unwrap().to_string(),
    };
    serde_json::from_str(&text).unwrap()
}

fn millis(time: &Value) -> i64 {
    chrono::DateTime::parse_from_rfc3339(time.as_str().unwrap()).unwrap().timestamp_millis()
}

#[test]
fn the_notebook_reads_the_blocks_and_asks_the_server() {
    let test = "the_notebook_reads_the_blocks_and_asks_the_server";
    let Some(python) = python("polars, nbclient, ipykernel", test) else { return };
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let sample = sample();
    let n_samples = sample.lines.len() as u64;

    // Once to take the samples in, and once more over the blocks that its end has flushed.
    let server = Server::start(&data);
    push(&server.url, &sample.lines);
    server.stop();
    let server = Server::start(&data);
    let truth: Value = serde_json::from_str(&fs::read_to_string(root().join("data/truth.json")).unwrap()).unwrap();
    let truth = &truth["generated"];
    wait_for_anomalies(&server.url);
    let summary = summary(&execute(&python, folder.path(), &server.url, &data));

    assert_eq!(summary["samples_in_blocks"], n_samples, "polars sees every sample that was accepted");
    assert_eq!(summary["metrics"].as_array().unwrap().len(), 4);
    assert_eq!(summary["services"], json!(["gateway", "inventory", "orders", "payments"]));

    // Six hours of a series sampled every two minutes.
    assert_eq!(summary["forecast_points"], 180);
    assert_eq!(summary["points_inside_band"], 180, "the band holds its own points");

    let incident = &truth["incidents"][0];
    let begins = incident["start"].as_i64().unwrap() + sample.shift;
    let ends = incident["end"].as_i64().unwrap() + sample.shift;
    let in_incident: Vec<&str> = summary["anomalies"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|anomaly| millis(&anomaly[1]) < ends && millis(&anomaly[2]) >= begins)
        .map(|anomaly| anomaly[0].as_str().unwrap())
        .collect();
    for service in ["payments-db", "payments", "orders"] {
        let label = format!("service=\"{service}\"");
        assert!(in_incident.iter().any(|series| series.contains(&label)), "{service} is not among {in_incident:?}");
    }

    let disk = &truth["capacity"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["selector"].as_str().unwrap().contains("avail_bytes{host=\"db-1\""))
        .unwrap();
    let crosses = disk["crosses"].as_i64().unwrap() + sample.shift;
    let capacity = summary["capacity"].as_object().unwrap();
    let (_, exhaustion) =
        capacity.iter().find(|(series, _)| series.contains("db-1")).expect("the filling disk is listed");
    let p50 = millis(&exhaustion["p50"]);
    assert!((p50 - crosses).abs() < 3 * DAY, "the disk is full {} days off the truth", (p50 - crosses) / DAY);
}

/// The watch scores stored history in the background after a start.
fn wait_for_anomalies(url: &str) {
    let deadline = Instant::now() + Duration::from_secs(120);
    let mut n_before = usize::MAX;
    loop {
        let answer: Value =
            ureq::get(format!("{url}/api/v1/anomalies?start=0")).call().unwrap().body_mut().read_json().unwrap();
        let n = answer["data"]["anomalies"].as_array().map_or(0, Vec::len);
        // Found something, and nothing more in the last seconds.
        if n > 0 && n == n_before {
            return;
        }
        assert!(Instant::now() < deadline, "the watch found no anomaly in two minutes");
        n_before = n;
        sleep(Duration::from_secs(3));
    }
}
