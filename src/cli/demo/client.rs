//! The few lines of HTTP that the demo and other commands need to ask a server, as any stranger would.
//!
//! One request per connection, answers read to their end: enough for a loopback server whose answers carry
//! Content-Length or come in chunks.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;

/// The longest that one answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks one server.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Client {
    address: SocketAddr,
}

impl Client {
    pub(in crate::cli) fn new(address: SocketAddr) -> Client {
        Client { address }
    }

    /// The `data` of a GET's answer.
    pub(super) fn get(&self, path: &str, parameters: &[(&str, &str)]) -> anyhow::Result<Value> {
        let target = target(path, parameters);
        let answer = self.ask(&format!("GET {target} HTTP/1.1\r\n"), &[], PATIENCE)?;
        Ok(answer.get("data").cloned().unwrap_or(Value::Null))
    }

    /// Pushes samples, one JSON object per line; answers how many were accepted.
    pub(super) fn push(&self, lines: &str) -> anyhow::Result<u64> {
        let head = "POST /api/v1/ingest HTTP/1.1\r\nContent-Type: application/x-ndjson\r\n";
        let answer = self.ask(head, lines.as_bytes(), PATIENCE)?;
        let accepted = answer.pointer("/data/accepted").or(answer.get("accepted"));
        accepted.and_then(Value::as_u64).with_context(|| format!("an unexpected answer to a push: {answer}"))
    }

    /// The URL of a GET, for people to try.
    pub(super) fn url(&self, path: &str, parameters: &[(&str, &str)]) -> String {
        format!("http://{}{}", self.address, target(path, parameters))
    }

    /// The `data` of the answer to a POST without a body that may take its time.
    pub(in crate::cli) fn act(&self, path: &str, token: Option<&str>, patience: Duration) -> anyhow::Result<Value> {
        let token = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        let answer = self.ask(&format!("POST {path} HTTP/1.1\r\n{token}"), &[], patience)?;
        Ok(answer.get("data").cloned().unwrap_or(Value::Null))
    }

    fn ask(&self, head: &str, body: &[u8], patience: Duration) -> anyhow::Result<Value> {
        let mut stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        stream.set_read_timeout(Some(patience))?;
        let rest = format!("Host: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", self.address, body.len());
        stream.write_all(head.as_bytes())?;
        stream.write_all(rest.as_bytes())?;
        stream.write_all(body)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let (status, body) = parse_answer(&answer)?;
        let value: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        if status >= 400 {
            let reason = value.get("error").and_then(Value::as_str).unwrap_or("no reason given");
            bail!("the server answered {status}: {reason}");
        }
        Ok(value)
    }
}

fn target(path: &str, parameters: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={}", percent(value))).collect();
    if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", pairs.join("&")) }
}

fn percent(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn parse_answer(answer: &[u8]) -> anyhow::Result<(u16, Vec<u8>)> {
    let split = answer.windows(4).position(|window| window == b"\r\n\r\n").context("the answer has no end of head")?;
    let head = String::from_utf8_lossy(&answer[..split]).to_lowercase();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("the answer has no status")?;
    let body = &answer[split + 4..];
    if head.contains("transfer-encoding: chunked") { Ok((status, unchunk(body)?)) } else { Ok((status, body.to_vec())) }
}

fn unchunk(mut body: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        let end = body.windows(2).position(|window| window == b"\r\n").context("a chunk has no size")?;
        let size =
            usize::from_str_radix(std::str::from_utf8(&body[..end])?.split(';').next().unwrap_or("").trim(), 16)?;
        if size == 0 {
            return Ok(whole);
        }
        whole.extend_from_slice(body.get(end + 2..end + 2 + size).context("a chunk is cut short")?);
        body = body.get(end + 4 + size..).context("a chunk is cut short")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_whole_or_in_chunks() {
        let whole = parse_answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").unwrap();
        assert_eq!(whole, (200, b"{}".to_vec()));
        let chunked =
            b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=1\r\nde\r\n0\r\n\r\n";
        assert_eq!(parse_answer(chunked).unwrap(), (404, b"abcde".to_vec()));
        assert!(parse_answer(b"HTTP/1.1 200 OK").is_err());
        assert!(unchunk(b"5\r\nab").is_err());
    }

    #[test]
    fn selectors_are_escaped_in_urls() {
        let url = Client::new("127.0.0.1:9275".parse().unwrap())
            .url("/api/v1/forecast", &[("match", "up{a=\"b c\"}"), ("horizon", "1d")]);
        assert_eq!(url, "http://127.0.0.1:9275/api/v1/forecast?match=up%7Ba%3D%22b%20c%22%7D&horizon=1d");
    }
}
