//! Running the real binary, and the files to run it on.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

pub const HOUR: i64 = 3_600_000;
/// 2024-01-01T00:00:00Z.
pub const START: i64 = 1_704_067_200_000;

pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_barograph"));
    command.env_remove("RUST_LOG");
    command
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs and expects success.
pub fn done(arguments: &[&str]) -> Output {
    let output = program().args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{arguments:?}\n{}{}", stdout(&output), stderr(&output));
    output
}

/// Runs and expects `code` and each of `words` on standard error.
pub fn fails(arguments: &[&str], code: i32, words: &[&str]) {
    let output = program().args(arguments).output().unwrap();
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{told}");
    for word in words {
        assert!(told.contains(word), "{arguments:?} does not say `{word}`:\n{told}");
    }
    assert!(!told.contains("panicked"), "{told}");
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

pub fn write(dir: &TempDir, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = dir.path().join(name);
    std::fs::write(&path, content).unwrap();
    path
}

/// A daily wave of hours, with a small deterministic wobble so that a band has a width.
pub fn wave(t: i64) -> f64 {
    100.0 + 20.0 * (t as f64 * std::f64::consts::TAU / 24.0).sin() + ((t * 7919) % 13) as f64 / 4.0
}

/// Two weeks of two series in turns; one has a spike near the end. The label column says the opposite of the truth.
pub fn two_series(dir: &TempDir) -> PathBuf {
    let mut csv = String::from("series,timestamp,value,label\n");
    for t in 0..336 {
        let (at, calm) = (START + t * HOUR, wave(t));
        let spiky = if t == 320 { calm + 500.0 } else { calm };
        csv.push_str(&format!("calm,{at},{calm},1\nspiky,{at},{spiky},0\n"));
    }
    write(dir, "two.csv", csv)
}
