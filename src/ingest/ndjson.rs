//! NDJSON: one sample object per line.
//!
//! In: a body whose lines end in `\n` or `\r\n`; empty lines are passed over but counted. Out: the samples; a line
//! that is not UTF-8, not JSON or no sample is rejected with its number, and its neighbours are kept.

use serde::de::DeserializeSeed;

use super::decoded::{Decoded, IngestError, check_size};
use super::json::syntax_reason;
use super::limits::Limits;
use super::sample_object::{Intake, SampleSeed};
use crate::series::Millis;

/// Reads one sample per line; a sample without a timestamp gets `now`.
///
/// # Errors
/// When the body is too large or has no line with content; bad lines are rejections.
pub fn decode_ndjson(body: &[u8], limits: &Limits, now: Millis) -> Result<Decoded, IngestError> {
    check_size(body, limits.max_body)?;
    let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
    let mut intake = Intake::new(limits, now, "");
    let mut is_empty = true;
    for (idx, line) in body.split(|&byte| byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        is_empty = false;
        match std::str::from_utf8(line) {
            Ok(line) => take_line(&mut intake, idx + 1, line),
            Err(error) => {
                let column = error.valid_up_to() + 1;
                intake.reject(idx + 1, format!("the line is not UTF-8: the bytes at column {column} are no character"));
            }
        }
    }
    if is_empty { Err(IngestError::Empty) } else { Ok(intake.finish()) }
}

fn take_line(intake: &mut Intake<'_>, place: usize, line: &str) {
    let mut deserializer = serde_json::Deserializer::from_str(line);
    let read = SampleSeed { max_labels: intake.max_labels() }.deserialize(&mut deserializer);
    match read.and_then(|read| deserializer.end().map(|()| read)) {
        Ok(read) => intake.take(place, read),
        Err(error) => {
            let advice = if error.is_eof() { "; each line must hold one whole object" } else { "" };
            let (column, reason) = (error.column(), syntax_reason(&error, line));
            intake.reject(place, format!("the line is not valid JSON at column {column}: {reason}{advice}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = 1_700_000_000_000;

    fn check(body: &[u8], accepted: &[f64], rejected: &[(usize, &str)]) {
        let decoded = decode_ndjson(body, &Limits::default(), NOW).unwrap();
        let values: Vec<f64> = decoded.batch.iter().map(|(_, sample)| sample.value).collect();
        assert_eq!(values, accepted);
        assert_eq!(decoded.n_rejected, rejected.len());
        for (got, (line, words)) in decoded.rejected.iter().zip(rejected) {
            assert_eq!(got.line, *line, "{got:?}");
            assert!(got.reason.contains(words), "{got:?}");
        }
    }

    #[test]
    fn bad_lines_are_rejected_and_their_neighbours_kept() {
        let body = b"{\"metric\":\"a\",\"value\":1}\r\n\n{\"metric\":\"a\"\n{\"metric\":\"a\",\"value\":2}\nhello\n\xff\xfe\n[1]\n{\"metric\":\"a\",\"value\":3} x\n{\"metric\":\"a\",\"value\":4}";
        let rejected = [
            (3, "not valid JSON at column 13: EOF while parsing an object; each line must hold one whole object"),
            (5, "column 1"),
            (6, "not UTF-8"),
            (7, "not an array"),
            (8, "trailing characters"),
        ];
        check(body, &[1.0, 2.0, 4.0], &rejected);
    }

    #[test]
    fn a_flood_of_bad_lines_is_counted_but_not_listed() {
        let limits = Limits { max_rejections_listed: 3, ..Limits::default() };
        let decoded = decode_ndjson(&b"x\n".repeat(10_000), &limits, NOW).unwrap();
        assert_eq!((decoded.n_rejected, decoded.rejected.len(), decoded.batch.len()), (10_000, 3, 0));
    }

    #[test]
    fn nothing_is_an_error() {
        for body in [&b""[..], b"\n \r\n", "\u{feff}".as_bytes()] {
            assert_eq!(decode_ndjson(body, &Limits::default(), NOW).unwrap_err(), IngestError::Empty);
        }
    }

    /// Run by hand: `cargo test --release --lib ndjson::tests::a_body -- --ignored --nocapture`.
    #[test]
    #[ignore = "a measurement, for the release profile"]
    fn a_body_of_fifty_thousand_lines() {
        let line = |i: usize| {
            let (host, at) = (i % 500, NOW + i as i64);
            format!(
                "{{\"metric\":\"http_requests_total\",\"labels\":{{\"host\":\"web-{host}\",\"env\":\"production\",\"code\":\"200\"}},\"timestamp\":{at},\"value\":{i}.5}}\n"
            )
        };
        let body: String = (0..50_000).map(line).collect();
        let start = std::time::Instant::now();
        let decoded = decode_ndjson(body.as_bytes(), &Limits::default(), NOW).unwrap();
        println!("{} bytes, {} samples in {:?}", body.len(), decoded.batch.len(), start.elapsed());
        assert_eq!((decoded.batch.len(), decoded.batch.keys().len()), (50_000, 500));
    }
}
