//! The commands that look after a data directory, on a real one, beside a real server.

use std::path::{Path, PathBuf};

use barograph::series::{Batch, Key, Sample};
use barograph::storage::{Store, StoreSettings};
use tempfile::TempDir;

use super::serving::serve;
use super::support::{done, fails, stdout, text};

fn fill(dir: &Path, n: i64) {
    let store = Store::open(dir, StoreSettings::default()).unwrap();
    let key = Key::from_pairs("up", &[("host", "a")]).unwrap();
    let rows = (0..n).map(|at| (key.clone(), Sample { at: at * 3_600_000, value: at as f64 }));
    store.append(&Batch::from_samples(rows)).unwrap();
    store.close().unwrap();
}

fn blocks(dir: &Path) -> Vec<PathBuf> {
    let days = std::fs::read_dir(dir.join("blocks")).unwrap().map(|day| day.unwrap().path());
    let mut found: Vec<PathBuf> =
        days.flat_map(|day| std::fs::read_dir(day).unwrap().map(|entry| entry.unwrap().path())).collect();
    found.sort();
    found
}

#[test]
fn fsck_explains_quarantines_and_then_finds_nothing() {
    let dir = TempDir::new().unwrap();
    fails(&["fsck", text(&dir.path().join("none"))], 1, &["not a data directory"]);
    fill(dir.path(), 96);
    let told = stdout(&done(&["fsck", text(dir.path())]));
    assert!(told.contains("4 blocks with 96 samples are sound"), "{told}");

    let block = blocks(dir.path()).remove(1);
    let mut bytes = std::fs::read(&block).unwrap();
    bytes[40] ^= 4;
    std::fs::write(&block, bytes).unwrap();
    let output = super::support::program().args(["fsck", text(dir.path())]).output().unwrap();
    let told = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    for words in [text(&block), "checksum", "24 of its 24 samples", "--quarantine", "3 blocks with 72 samples"] {
        assert!(told.contains(words), "{told} does not say {words}");
    }
    assert!(block.exists(), "looking moves nothing");
    fails(&["fsck", text(dir.path()), "--quarantine"], 1, &["1 finding"]);
    assert!(!block.exists());
    done(&["fsck", text(dir.path())]);
    let (_server, address) = serve(dir.path());
    let url = format!("http://{address}/metrics");
    let metrics = ureq::get(url).call().unwrap().body_mut().read_to_string().unwrap();
    assert!(metrics.contains("barograph"), "{metrics}");
}

#[test]
fn fsck_snapshot_and_restore_beside_a_running_server() {
    let dir = TempDir::new().unwrap();
    fill(dir.path(), 50);
    let (server, address) = serve(dir.path());
    fails(&["fsck", text(dir.path())], 1, &["in use by another process", text(dir.path())]);
    fails(&["snapshot", text(dir.path())], 1, &["in use by another process", "--server"]);
    fails(&["snapshot", "--server", "nowhere:x"], 2, &["nowhere:x", "http://127.0.0.1:9275"]);
    let url = format!("http://{address}");
    let told = stdout(&done(&["snapshot", "--server", &url]));
    let (path, rest) = told.trim().split_once(": ").unwrap();
    assert_eq!(rest, "50 samples");
    assert!(stdout(&done(&["fsck", path])).contains("50 samples"), "a snapshot can be checked while serving");

    let target = TempDir::new().unwrap();
    let new = target.path().join("new");
    let told = stdout(&done(&["restore", path, text(&new)]));
    assert!(told.contains("50 samples") && told.contains("nothing wrong"), "{told}");
    fails(&["restore", path, text(&new)], 1, &["not empty", text(&new)]);
    fails(&["restore", text(target.path()), text(&target.path().join("other"))], 1, &["not a snapshot"]);
    drop(server);
    // Killed as it was, the directory is sound, and so is what was restored.
    done(&["fsck", text(dir.path())]);
    done(&["fsck", text(&new)]);
    let told = stdout(&done(&["snapshot", text(dir.path())]));
    assert!(told.contains("50 samples"), "{told}");
    let (_server, address) = serve(&new);
    assert_eq!(ureq::get(format!("http://{address}/ready")).call().unwrap().status(), 200);
}
