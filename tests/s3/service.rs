//! The service, the program, and what to say to them.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::PATIENCE;
use super::python::python;

/// Blocks of the test: one for each 30 days.
pub const MONTHS: usize = 8;
const HOUR: i64 = 3_600_000;
const MONTH: i64 = 30 * 24 * HOUR;
/// A multiple of 30 days since the epoch, in 2023.
const START: i64 = 650 * MONTH;

/// moto, with one bucket.
pub struct Service {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    pub url: String,
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Service {
    /// `None` when there is no moto, which it says.
    pub fn start(test: &str) -> Option<Service> {
        let python = python("moto.server, boto3, pyarrow.dataset", test)?;
        let mut child = Command::new(python)
            .args(["-c", include_str!("service.py")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (to, from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut service = Service { child, to, from, url: String::new() };
        service.url = service.answer().as_str().unwrap().to_owned();
        Some(service)
    }

    /// Has the service do something to itself.
    pub fn ask(&mut self, command: &str) -> Value {
        writeln!(self.to, "{command}").unwrap();
        self.answer()
    }

    fn answer(&mut self) -> Value {
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: `{line}`"))
    }

    /// A configuration that uploads at once, with `more` in its section for the bucket.
    pub fn config(&self, dir: &TempDir, data: &str, prefix: &str, more: &str) -> PathBuf {
        let (path, data) = (dir.path().join(format!("{data}.yaml")), dir.path().join(data));
        let text = format!(
            "data: {}\nlisten: 127.0.0.1:0\nwatch:\n  enabled: false\nstore:\n  s3:\n    bucket: metrics\n    \
             endpoint: {}\n    allow_http: true\n    prefix: {prefix}\n    upload_after: 0s\n    timeout: 5s\n    {more}\n",
            data.display(),
            self.url
        );
        std::fs::write(&path, text).unwrap();
        path
    }

    pub fn keys(&self) -> [(&'static str, &'static str); 2] {
        [("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")]
    }

    /// Runs a command of the program to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        program().args(arguments).envs(self.keys()).output().unwrap()
    }
}

/// The program, with nothing of this machine's own keys.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_barograph"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_") || name == "RUST_LOG") {
        command.env_remove(name);
    }
    // A proxy is not asked for what is on this machine.
    command.env("NO_PROXY", "127.0.0.1").env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

/// A server that does not outlive its test.
pub struct Program {
    child: Child,
    pub address: String,
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Program {
    pub fn serve(config: &Path, keys: &[(&str, &str)]) -> Program {
        Program::start(program().args(["serve", "--config", config.to_str().unwrap()]).envs(keys.iter().copied()))
    }

    pub fn start(command: &mut Command) -> Program {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.split("http://").nth(1).and_then(|rest| rest.split(',').next());
        let Some(address) = address.map(str::to_owned) else {
            let mut log = String::new();
            child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
            panic!("it does not start: {log}");
        };
        Program { child, address }
    }

    /// As `kill -9` does.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// What it has written to standard error; after its end.
    pub fn log(&mut self) -> String {
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        log
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(60)))
        .build()
        .new_agent()
}

/// Status and text.
pub fn get(address: &str, path: &str) -> (u16, String) {
    let mut answer = agent().get(format!("http://{address}{path}")).call().unwrap();
    (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
}

fn post(address: &str, path: &str, kind: &str, body: &str) {
    let request = agent().post(format!("http://{address}{path}")).header("Content-Type", kind);
    let mut answer = request.send(body).unwrap();
    let text = answer.body_mut().read_to_string().unwrap();
    assert!(answer.status().is_success(), "{path}: {text}");
}

/// Sends the samples of one window.
pub fn write(address: &str, month: usize) {
    post(address, "/api/v1/ingest", "application/x-ndjson", &ndjson(month));
}

/// Has what is in memory written to blocks.
pub fn compact(address: &str) {
    post(address, "/api/v1/admin/compact", "application/x-www-form-urlencoded", "");
}

/// 700 hourly samples of one 30-day window.
fn ndjson(month: usize) -> String {
    let mut lines = String::new();
    for hour in 0..700_i64 {
        let (at, value) = (START + month as i64 * MONTH + hour * HOUR, hour as f64 / 8.0);
        let labels = r#"{"host": "web-1"}"#;
        writeln!(lines, r#"{{"metric": "load", "labels": {labels}, "timestamp": {at}, "value": {value}}}"#).unwrap();
    }
    lines
}

/// What a range query says of each window, and of the one after.
pub fn answers(address: &str) -> Vec<(u16, String)> {
    let answer = |month: usize| {
        let start = (START + month as i64 * MONTH) / 1000;
        let end = start + 699 * 3600;
        get(address, &format!("/api/v1/query_range?query=load&start={start}&end={end}&step=1h"))
    };
    (0..=MONTHS).map(answer).collect()
}

/// One of the program's own metrics, without `barograph_`.
pub fn metric(address: &str, name: &str) -> f64 {
    let (_, text) = get(address, "/metrics");
    let line = text.lines().find(|line| line.starts_with(&format!("barograph_{name} ")));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_else(|| panic!("no {name} in {text}"))
}

/// Waits for what must come.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
