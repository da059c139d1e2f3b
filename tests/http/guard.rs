//! The token, the address, and slow or greedy clients.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use barograph::http::ServeError;

use crate::client::{now, sample, start, start_in, start_with};

#[test]
fn a_token_guards_every_route_but_health_and_readiness() {
    let server = start_with(|config| config.token = Some("s3cret".to_owned()));
    let document = server.get_with("/openapi.json", "Authorization", "Bearer s3cret").json();
    for path in document["paths"].as_object().unwrap().keys().map(String::as_str).chain(["/no/such/route"]) {
        let got = server.get(path);
        if ["/health", "/ready"].contains(&path) {
            assert_eq!(got.status, 200, "{path}");
        } else {
            assert!(got.error(401).contains("token"), "{path}");
        }
    }
    for wrong in ["Bearer s3cre", "Bearer s3cret2", "Bearer S3cret", "Basic s3cret", "s3cret", "Bearer", ""] {
        assert_eq!(server.get_with("/api/v1/labels", "Authorization", wrong).status, 401, "{wrong}");
    }
    assert_eq!(server.get_with("/api/v1/labels", "Authorization", "bearer s3cret").status, 200);
    let body = sample("up", "a", now(), 1.0).to_string();
    let headers = [("Content-Type", "application/json"), ("Authorization", "Bearer no")];
    assert_eq!(server.post("/api/v1/ingest", &headers, body.as_bytes()).status, 401);
    let headers = [("Content-Type", "application/json"), ("Authorization", "Bearer s3cret")];
    assert_eq!(server.post("/api/v1/ingest", &headers, body.as_bytes()).status, 200);
}

#[test]
fn other_machines_need_a_token_or_a_clear_word() {
    let dir = || tempfile::tempdir().unwrap();
    let everywhere = |config: &mut barograph::config::Config| config.listen = "0.0.0.0:0".to_owned();
    let refused = start_in(dir(), everywhere).err().expect("no token, no flag");
    assert!(matches!(refused, ServeError::RemoteWithoutToken { .. }), "{refused}");
    assert!(refused.to_string().contains("allow_remote_without_token"), "{refused}");
    let with_token = |config: &mut barograph::config::Config| {
        everywhere(config);
        config.token = Some("s3cret".to_owned());
    };
    assert!(start_in(dir(), with_token).is_ok());
    let with_flag = |config: &mut barograph::config::Config| {
        everywhere(config);
        config.allow_remote_without_token = true;
    };
    assert!(start_in(dir(), with_flag).is_ok());
}

#[test]
fn a_port_in_use_and_a_bad_address_are_named() {
    let server = start();
    let taken = server.address.to_string();
    let error = start_in(tempfile::tempdir().unwrap(), |config| config.listen = taken.clone()).err().expect("taken");
    assert!(error.to_string().contains(&taken) && error.to_string().contains("in use"), "{error}");
    for wrong in ["nonsense", "127.0.0.1", "127.0.0.1:99999", ""] {
        let error =
            start_in(tempfile::tempdir().unwrap(), |config| config.listen = wrong.to_owned()).err().expect(wrong);
        assert!(error.to_string().contains("127.0.0.1:9275"), "{error}");
    }
}

#[test]
fn a_client_that_never_finishes_its_head_is_let_go() {
    let server = start_with(|config| config.http.header_timeout = Duration::from_millis(200));
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: ").unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let begun = Instant::now();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5), "it was cut by the server, not by this test");
    assert_eq!(server.get("/health").status, 200);
}

#[test]
fn a_client_that_never_finishes_its_body_is_told_so() {
    let server = start_with(|config| config.http.body_timeout = Duration::from_millis(200));
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.write_all(b"POST /api/v1/ingest HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{").unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
}

#[test]
fn more_connections_than_allowed_wait_their_turn() {
    let server = start_with(|config| config.http.max_connections = 2);
    let idle = [(); 2].map(|()| TcpStream::connect(server.address).unwrap());
    std::thread::sleep(Duration::from_millis(100));
    let mut third = TcpStream::connect(server.address).unwrap();
    third.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    third.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(third.read(&mut [0; 1]).is_err(), "it waits");
    drop(idle);
    third.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut answer = String::new();
    third.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
