//! Blocks in a real S3 service: moto's, in a process of its own. The program is the real one, over HTTP.
//!
//! Needs the Python packages that `scripts/test.sh` installs; skips with a reason where they are missing.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod python;
#[path = "s3/service.rs"]
mod service;

use std::path::Path;
use std::time::Duration;

use barograph::storage::fsck;
use service::{MONTHS, Program, Service, answers, compact, get, metric, program, until, write};
use tempfile::TempDir;

#[test]
fn blocks_go_to_the_bucket_are_read_back_alike_and_restored_from_it_alone() {
    let Some(mut service) = Service::start("blocks_go_to_the_bucket_are_read_back_alike_and_restored_from_it_alone")
    else {
        return;
    };
    let dir = TempDir::new().unwrap();
    let config = service.config(&dir, "data", "site", "keep_local_size: 1");
    let server = Program::serve(&config, &service.keys());
    for month in 0..MONTHS {
        write(&server.address, month);
    }
    let before = answers(&server.address);
    assert!(before[..MONTHS].iter().all(|(status, text)| *status == 200 && text.contains("\"values\"")));
    compact(&server.address);
    until("all blocks are in the bucket only", || metric(&server.address, "s3_only_blocks") >= MONTHS as f64);
    assert_eq!(n_parquet(&dir.path().join("data/blocks")), 0);
    assert_eq!(metric(&server.address, "s3_backlog_blocks"), 0.0);
    assert_eq!(metric(&server.address, "s3_up"), 1.0);
    assert_eq!(answers(&server.address), before, "read from the bucket");
    assert!(metric(&server.address, "s3_cache_misses_total") > 0.0);
    let misses = metric(&server.address, "s3_cache_misses_total");
    assert_eq!(answers(&server.address), before, "read from the cache");
    assert_eq!(metric(&server.address, "s3_cache_misses_total"), misses);

    // Another reader reads the bucket itself, as plain Parquet.
    let rows = service.ask("rows site");
    assert_eq!(rows.as_array().unwrap().len(), MONTHS * 700);
    assert_eq!((&rows[0][1], &rows[699][1]), (&0.0.into(), &(699.0 / 8.0).into()));
    drop(server);

    // The check finds nothing, and a second data directory is refused.
    let data = dir.path().join("data");
    let checked = service.run(&["fsck", text(&data), "--config", text(&config), "--read-bucket"]);
    assert!(checked.status.success(), "{checked:?}");
    let other = service.config(&dir, "other", "site", "");
    let refused = service.run(&["serve", "--config", text(&other)]);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && told.contains("must not share"), "{told}");

    // The bucket alone becomes a directory that stands on its own, and one that goes on with the bucket.
    let copy = dir.path().join("copy");
    let restored = service.run(&["restore-s3", "--config", text(&config), text(&copy)]);
    assert!(restored.status.success(), "{restored:?}");
    assert_eq!(n_parquet(&copy.join("blocks")), MONTHS);
    assert!(fsck(&copy).unwrap().findings.is_empty());
    let alone = Program::start(program().args(["serve", "--listen", "127.0.0.1:0", "--data", text(&copy)]));
    assert_eq!(answers(&alone.address), before);
    drop(alone);
    let heir = dir.path().join("heir");
    let restored = service.run(&["restore-s3", "--take-over", "--config", text(&config), text(&heir)]);
    assert!(restored.status.success(), "{restored:?}");
    let config = service.config(&dir, "heir", "site", "keep_local_size: 1");
    let server = Program::serve(&config, &service.keys());
    assert_eq!(answers(&server.address), before);
}

#[test]
fn a_kill_during_an_upload_is_made_good_after_the_restart() {
    let Some(mut service) = Service::start("a_kill_during_an_upload_is_made_good_after_the_restart") else { return };
    let dir = TempDir::new().unwrap();
    let config = service.config(&dir, "data", "site", "keep_local_size: 1");
    let mut server = Program::serve(&config, &service.keys());
    for month in 0..MONTHS {
        write(&server.address, month);
    }
    let before = answers(&server.address);
    compact(&server.address);
    // Killed once after each few uploads.
    for n_uploads in [1, 4] {
        until("uploads are under way", || {
            metric(&server.address, "s3_uploads_total") >= f64::from(n_uploads)
                || metric(&server.address, "s3_only_blocks") >= MONTHS as f64
        });
        server.kill();
        server = Program::serve(&config, &service.keys());
        assert_eq!(answers(&server.address), before);
    }
    until("all blocks are in the bucket only", || metric(&server.address, "s3_only_blocks") >= MONTHS as f64);
    assert_eq!(answers(&server.address), before);
    server.kill();
    let checked = service.run(&["fsck", text(&dir.path().join("data")), "--config", text(&config), "--read-bucket"]);
    assert!(checked.status.success(), "{checked:?}");
    let names = service.ask("list");
    let n_blocks = names.as_array().unwrap().iter().filter(|name| name.as_str().unwrap().ends_with(".parquet")).count();
    assert_eq!(n_blocks, MONTHS, "nothing is there twice: {names}");
}

#[test]
fn a_bucket_that_is_gone_or_out_of_reach_holds_up_nothing_that_is_here() {
    let Some(mut service) = Service::start("a_bucket_that_is_gone_or_out_of_reach_holds_up_nothing_that_is_here")
    else {
        return;
    };
    let dir = TempDir::new().unwrap();
    let config = service.config(&dir, "data", "site", "keep_local_size: 1");
    let server = Program::serve(&config, &service.keys());
    for month in 0..MONTHS {
        write(&server.address, month);
    }
    compact(&server.address);
    until("all blocks are in the bucket only", || metric(&server.address, "s3_only_blocks") >= MONTHS as f64);
    drop(server);
    for trouble in ["drop_bucket", "stop"] {
        service.ask(trouble);
        std::fs::remove_dir_all(dir.path().join("data/cache")).unwrap();
        let server = Program::serve(&config, &service.keys());
        // What is written now is kept and answered, and names of old series are known.
        write(&server.address, MONTHS);
        let answers = answers(&server.address);
        for (status, text) in &answers[..MONTHS] {
            assert!(*status == 503 && text.contains("s3://metrics/site/"), "{trouble}: {status} {text}");
        }
        assert_eq!(answers[MONTHS].0, 200, "{}", answers[MONTHS].1);
        let (status, labels) = get(&server.address, "/api/v1/label/host/values");
        assert!(status == 200 && labels.contains("web-1"), "{labels}");
    }
}

#[test]
fn wrong_keys_are_told_without_being_shown_and_right_ones_need_no_restart() {
    let Some(mut service) = Service::start("wrong_keys_are_told_without_being_shown_and_right_ones_need_no_restart")
    else {
        return;
    };
    let dir = TempDir::new().unwrap();
    let right = service.ask("enforce");
    let file = dir.path().join("keys");
    let keys = |id: &str, secret: &str| {
        std::fs::write(&file, format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n"))
            .unwrap();
    };
    keys("AKIAWRONG", "hunter2hunter2");
    let config = service.config(&dir, "data", "site", &format!("credentials_file: {}", text(&file)));
    let mut server = Program::serve(&config, &[]);
    write(&server.address, 0);
    compact(&server.address);
    until("the refusal is counted", || metric(&server.address, "s3_upload_errors_total") >= 1.0);
    assert_eq!(metric(&server.address, "s3_up"), 0.0);
    assert!(answers(&server.address)[0].1.contains("\"values\""));
    keys(right[0].as_str().unwrap(), right[1].as_str().unwrap());
    // No further than this: moto checks the signature of a path with an encoded `=` otherwise than AWS does.
    until("the prefix is taken", || service.ask("list").as_array().unwrap().contains(&"site/owner.json".into()));
    server.kill();
    let log = server.log();
    assert!(log.contains("s3://metrics/site/owner.json") && log.contains("refuses"), "{log}");
    for secret in ["hunter2", "AKIAWRONG", right[1].as_str().unwrap()] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[test]
fn a_configuration_that_cannot_work_is_told_with_its_line() {
    let dir = TempDir::new().unwrap();
    let check = |s3: &str, words: &[&str]| {
        let path = dir.path().join("barograph.yaml");
        std::fs::write(&path, format!("store:\n  s3:\n    bucket: metrics\n    {s3}\n")).unwrap();
        let output = program().args(["check-config", text(&path)]).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(words.iter().all(|word| told.contains(word)), "{told}");
    };
    check("endpoint: http://127.0.0.1:9000", &["barograph.yaml:4:5", "allow_http"]);
    check("prefix: /a", &["barograph.yaml:4:5", "prefix"]);
    check("upload_after: soon", &["barograph.yaml:4", "soon"]);
    check("secret_access_key: x", &["barograph.yaml:4", "secret_access_key"]);
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn n_parquet(dir: &Path) -> usize {
    let days = std::fs::read_dir(dir).unwrap().map(|day| day.unwrap().path());
    days.map(|day| std::fs::read_dir(day).unwrap().count()).sum()
}

/// How long to wait for what must come.
const PATIENCE: Duration = Duration::from_secs(120);
