//! The commands that run a server or judge its configuration.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::support::{done, fails, program, stdout, text, write};

#[test]
fn check_config_says_good_or_where_it_is_not() {
    let dir = TempDir::new().unwrap();
    let good = write(&dir, "good.yaml", "data: ${BAROGRAPH_TEST_DATA:-/tmp/x}\nlisten: 127.0.0.1:0\n");
    assert!(stdout(&done(&["check-config", text(&good)])).contains("/tmp/x"));
    let bad = write(&dir, "bad.yaml", "data: /tmp/x\nlissten: 127.0.0.1:0\n");
    fails(&["check-config", text(&bad)], 1, &["bad.yaml", "2", "lissten"]);
    let unknown = write(&dir, "unknown.yaml", "presets: [mainframe]\n");
    fails(&["check-config", text(&unknown)], 1, &["unknown.yaml", "mainframe", "node"]);
    fails(&["check-config", text(&dir.path().join("none.yaml"))], 1, &["none.yaml"]);
    fails(&["check-config"], 2, &["<F>"]);
}

/// A child that does not outlive its test.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts `serve` and answers it with its address.
pub fn serve(data: &Path) -> (Running, String) {
    let mut child = program()
        .args(["serve", "--listen", "127.0.0.1:0", "--data", text(data)])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.split("http://").nth(1).and_then(|rest| rest.split(',').next()).expect("an address").to_owned();
    (Running(child), address)
}

#[test]
fn serve_answers_and_stops_when_told_to() {
    let dir = TempDir::new().unwrap();
    let (mut server, address) = serve(dir.path());
    assert_eq!(ureq::get(format!("http://{address}/health")).call().unwrap().status(), 200);

    // A second server on the same directory or the same port is refused.
    let (data, elsewhere) = (text(dir.path()), TempDir::new().unwrap());
    fails(&["serve", "--listen", "127.0.0.1:0", "--data", data], 1, &[data]);
    fails(&["serve", "--listen", &address, "--data", text(elsewhere.path())], 1, &["in use", "--listen"]);

    let id = server.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    let asked = Instant::now();
    let status = loop {
        if let Some(status) = server.0.try_wait().unwrap() {
            break status;
        }
        assert!(asked.elapsed() < Duration::from_secs(20), "the server does not stop");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(status.code(), Some(0));
    // The lock went with it.
    let (_server, address) = serve(dir.path());
    assert_eq!(ureq::get(format!("http://{address}/ready")).call().unwrap().status(), 200);
}

#[test]
fn serve_refuses_what_cannot_work_or_is_open_to_all_by_accident() {
    let dir = TempDir::new().unwrap();
    fails(&["serve", "--listen", "0.0.0.0:0", "--data", text(dir.path())], 1, &["token"]);
    fails(&["serve", "--listen", "nowhere", "--data", text(dir.path())], 1, &["nowhere"]);
    let file = write(&dir, "file", "x");
    fails(&["serve", "--listen", "127.0.0.1:0", "--data", text(&file)], 1, &[text(&file)]);
}

#[test]
fn demo_tells_of_everything_and_needs_its_history() {
    let started = Instant::now();
    let told = stdout(&done(&["demo", "--once"]));
    for word in
        ["samples acknowledged", "forecast of", "anomaly in", "true:", "incident at", "capacity of", "curl 'http"]
    {
        assert!(told.contains(word), "the demo does not tell of `{word}`:\n{told}");
    }
    // Builds without optimization on busy machines are slow; a release build's minute is measured in docs/results.md.
    assert!(started.elapsed() < Duration::from_secs(150), "{told}");
    fails(&["demo", "--once", "--data-dir", "/no/such/folder"], 1, &["/no/such/folder", "--data-dir"]);
}
