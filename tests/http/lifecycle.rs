//! Starting, stopping, and what survives.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::client::{WriteRequest, now, sample, series, snappy, start, start_with};

#[test]
fn a_second_process_on_the_same_directory_is_refused() {
    let server = start();
    let second = Command::new(env!("CARGO_BIN_EXE_barograph"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(server.data())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(1), "{told}");
    assert!(second.stdout.is_empty(), "it must not say that it listens");
    // Which directory, who has it, and what to do.
    for part in [server.data().to_str().unwrap(), "in use by another process", "--data"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(told.contains(&std::process::id().to_string()), "{told}");
    // The first one did not notice.
    assert_eq!(server.ingest(&sample("kept", "a", now(), 1.0)).data()["accepted"], 1);
    // And neither may one process open it twice.
    let error = server.start_another(|_| {}).expect_err("the directory is locked");
    assert!(error.to_string().contains("in use by another process"), "{error}");
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let server = start();
    let error = server.start_another(|config| config.data = "/proc/barograph".into()).expect_err("nobody writes there");
    assert!(error.to_string().contains("/proc/barograph"), "{error}");
}

#[test]
fn what_was_accepted_is_there_after_a_restart() {
    let server = start();
    let at = now();
    let samples: Vec<Value> = (0..500).map(|idx| sample("kept", &format!("h{idx}"), at, f64::from(idx))).collect();
    assert_eq!(server.ingest(&Value::Array(samples)).data()["accepted"], 500);
    let server = server.restart();
    assert_eq!(server.count("kept"), 500);
}

#[test]
fn nothing_accepted_is_lost_while_others_send_rubbish() {
    let server = start();
    let n_accepted = AtomicU64::new(0);
    let begin = now() - 3_600_000;
    std::thread::scope(|scope| {
        for writer in 0..3 {
            let (server, n_accepted) = (&server, &n_accepted);
            scope.spawn(move || {
                let host = format!("h{writer}");
                for request in 0..20 {
                    let at = begin + request * 10_000;
                    let samples: Vec<(i64, f64)> = (0..50).map(|idx| (at + idx * 100, idx as f64)).collect();
                    let labels = [("__name__", "load"), ("host", host.as_str())];
                    let got =
                        server.write(&WriteRequest { timeseries: vec![series(&labels, &samples)], metadata: vec![] });
                    assert_eq!(got.status, 204, "{}", got.text);
                    n_accepted.fetch_add(50, Ordering::Relaxed);
                }
            });
        }
        for kind in 0..3 {
            let server = &server;
            scope.spawn(move || {
                for round in 0..20_u8 {
                    let status = match kind {
                        0 => server.write_raw(&[round; 64]).status,
                        1 => server.write_raw(&snappy(&[round | 0x80; 100])).status,
                        _ => server.ndjson(&[b'{', round, 0xff, b'\n']).status,
                    };
                    assert!((400..500).contains(&status), "{status}");
                }
            });
        }
    });
    let expected = n_accepted.load(Ordering::Relaxed);
    assert_eq!(expected, 3000);
    assert_eq!(server.count("load"), expected);
    let server = server.restart();
    assert_eq!(server.count("load"), expected);
}

#[test]
fn a_shutdown_lets_requests_under_way_finish() {
    let mut server = start();
    let body = sample("late", "a", now(), 1.0).to_string();
    let mut stream = TcpStream::connect(server.address).unwrap();
    let head = format!(
        "POST /api/v1/ingest HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&body.as_bytes()[..10]).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let stopping = server.shut_down_beside();
    std::thread::sleep(Duration::from_millis(200));
    assert!(TcpStream::connect(server.address).is_err(), "it takes no new connections");
    stream.write_all(&body.as_bytes()[10..]).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"accepted\":1"), "{answer}");
    server.wait(stopping);
}

#[test]
fn a_shutdown_does_not_wait_for_ever() {
    let mut server = start_with(|config| config.http.drain_timeout = Duration::from_millis(300));
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream
        .write_all(
            b"POST /api/v1/ingest HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{",
        )
        .unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let begun = std::time::Instant::now();
    server.shutdown();
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[test]
fn this_machine_is_recorded_when_asked() {
    let server = start_with(|config| {
        config.host.enabled = true;
        config.host.every = Duration::from_millis(200);
    });
    let names = (0..50).find_map(|_| {
        std::thread::sleep(Duration::from_millis(100));
        let names = server.get("/api/v1/label/__name__/values").data();
        let names: Vec<String> =
            names.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect();
        (names.len() >= 5).then_some(names)
    });
    let names = names.expect("the collector writes within five seconds");
    for part in ["cpu", "memory"] {
        assert!(names.iter().any(|name| name.contains(part)), "{part} is missing: {names:?}");
    }
}
