//! Spans of time and sizes as people write them in the configuration: `90d`, `64MiB`.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

use crate::series::{Millis, parse_duration};

/// A span of time above zero, written as Prometheus does: `90d`, `1h30m`, `500ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span(Millis);

/// A span of time that may be zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait(Millis);

macro_rules! converts {
    ($span:ident) => {
        impl From<Millis> for $span {
            fn from(span: Millis) -> $span {
                $span(span)
            }
        }

        impl From<$span> for Millis {
            fn from(span: $span) -> Millis {
                span.0
            }
        }

        impl From<Duration> for $span {
            fn from(duration: Duration) -> $span {
                $span(Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX))
            }
        }

        impl From<$span> for Duration {
            fn from(span: $span) -> Duration {
                Duration::from_millis(span.0.max(0).unsigned_abs())
            }
        }
    };
}

converts!(Span);
converts!(Wait);

/// A span that may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(super) struct OptionalSpan(Option<Span>);

impl From<Option<Millis>> for OptionalSpan {
    fn from(span: Option<Millis>) -> OptionalSpan {
        OptionalSpan(span.map(Span))
    }
}

impl From<OptionalSpan> for Option<Millis> {
    fn from(span: OptionalSpan) -> Option<Millis> {
        span.0.map(Millis::from)
    }
}

impl<'de> Deserialize<'de> for Wait {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Wait, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_duration(&text).map(Wait).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
        match Wait::deserialize(deserializer)? {
            Wait(0) => Err(D::Error::custom("the span must be longer than 0, such as 30s or 1h")),
            Wait(span) => Ok(Span(span)),
        }
    }
}

/// A number of bytes: `65536`, `64KiB`, `1GiB`, `500MB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size(u64);

impl From<u64> for Size {
    fn from(bytes: u64) -> Size {
        Size(bytes)
    }
}

impl From<usize> for Size {
    fn from(bytes: usize) -> Size {
        Size(bytes as u64)
    }
}

impl From<Size> for u64 {
    fn from(size: Size) -> u64 {
        size.0
    }
}

impl From<Size> for usize {
    /// Beyond this machine's address space, the largest there is.
    fn from(size: Size) -> usize {
        usize::try_from(size.0).unwrap_or(usize::MAX)
    }
}

/// A number of bytes that may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(super) struct OptionalSize(Option<Size>);

impl From<Option<u64>> for OptionalSize {
    fn from(bytes: Option<u64>) -> OptionalSize {
        OptionalSize(bytes.map(Size))
    }
}

impl From<OptionalSize> for Option<u64> {
    fn from(size: OptionalSize) -> Option<u64> {
        size.0.map(u64::from)
    }
}

const SIZES: [(&str, u64); 10] = [
    ("", 1),
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

fn parse_size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let n_digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let unit = text[n_digits..].trim_start();
    let scale = SIZES.iter().find(|(name, _)| *name == unit).map(|(_, scale)| *scale);
    let count = text[..n_digits].parse::<u64>().ok();
    match (count, scale) {
        (Some(count), Some(scale)) => {
            count.checked_mul(scale).ok_or_else(|| format!("`{text}` is larger than this program can count"))
        }
        _ => Err(format!("`{text}` is not a size; write it like 65536, 64KiB, 16MiB or 1GiB")),
    }
}

struct SizeVisitor;

impl Visitor<'_> for SizeVisitor {
    type Value = Size;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a size such as 65536, 64KiB, 16MiB or 1GiB")
    }

    fn visit_u64<E: Error>(self, bytes: u64) -> Result<Size, E> {
        Ok(Size(bytes))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Size, E> {
        parse_size(text).map(Size).map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Size, D::Error> {
        deserializer.deserialize_str(SizeVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_with_and_without_units() {
        for (text, expected) in [
            ("0", Some(0)),
            ("65536", Some(65536)),
            ("64KiB", Some(64 << 10)),
            ("16 MiB", Some(16 << 20)),
            ("1GiB", Some(1 << 30)),
            ("5MB", Some(5_000_000)),
            ("", None),
            ("MiB", None),
            ("5mib", None),
            ("-1", None),
            ("1.5GiB", None),
            ("99999999999TiB", None),
        ] {
            assert_eq!(parse_size(text).ok(), expected, "{text}");
        }
    }
}
