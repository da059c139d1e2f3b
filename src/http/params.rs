//! What a request asks with: the query string, the same as a form, or a JSON object.
//!
//! In: percent-encoded pairs, or the members of an object. Out: typed values, or an error that names the parameter,
//! what it is, and how to write it. Names a route does not know are refused there, so that a typo is not silently a
//! default.

use std::sync::Arc;

use serde_json::Value;

use super::error::Error;
use super::routes::Param;
use crate::events::PlannedEvents;
use crate::query;
use crate::series::{Millis, Selector, TimeRange, Zone, parse_duration};

/// The parameters of one request, in order; the path's own come first.
#[derive(Clone, Debug, Default)]
pub(super) struct Params {
    pairs: Vec<(String, String)>,
}

impl Params {
    /// Adds the pairs of a query string or a form.
    pub(super) fn read(&mut self, text: &[u8]) -> Result<(), Error> {
        for pair in text.split(|&b| b == b'&').filter(|pair| !pair.is_empty()) {
            let equals = pair.iter().position(|&b| b == b'=');
            let (name, value) = equals.map_or((pair, &pair[pair.len()..]), |at| (&pair[..at], &pair[at + 1..]));
            self.pairs.push((decode(name)?, decode(value)?));
        }
        Ok(())
    }

    /// Adds one decoded pair.
    pub(super) fn push(&mut self, name: &str, value: &str) {
        self.pairs.push((name.to_owned(), value.to_owned()));
    }

    /// Adds the members of a JSON object: texts and numbers as they are, anything else as JSON.
    pub(super) fn read_json(&mut self, body: &[u8]) -> Result<(), Error> {
        let wrong = |reason: String| Error::bad_data(format!("the body is no JSON object of parameters: {reason}"));
        let object: serde_json::Map<String, Value> =
            serde_json::from_slice(body).map_err(|error| wrong(error.to_string()))?;
        for (name, value) in object {
            let text = match value {
                Value::Null => continue,
                Value::String(text) => text,
                Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
            };
            self.pairs.push((name, text));
        }
        Ok(())
    }

    /// Events to assume, as JSON or YAML; times without an offset are those of `zone`.
    pub(super) fn events(&self, name: &str, zone: Zone, now: Millis) -> Result<Arc<PlannedEvents>, Error> {
        let Some(text) = self.one(name)? else { return Ok(Arc::default()) };
        parse(name, text, |text| PlannedEvents::assumed(text, zone, now)).map(Arc::new)
    }

    /// Refuses names that are not among `known`.
    pub(super) fn check(&self, known: &[Param]) -> Result<(), Error> {
        let unknown = self.pairs.iter().find(|(name, _)| known.iter().all(|param| param.name != name));
        let Some((name, _)) = unknown else { return Ok(()) };
        let names: Vec<&str> = known.iter().map(|param| param.name).collect();
        Err(Error::bad_data(if names.is_empty() {
            format!("unknown parameter `{name}`: this route takes none")
        } else {
            format!("unknown parameter `{name}`; this route takes {}", names.join(", "))
        }))
    }

    /// The value of `name`; an empty one counts as absent.
    pub(super) fn one(&self, name: &str) -> Result<Option<&str>, Error> {
        let mut values = self.pairs.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str());
        let first = values.next();
        if values.next().is_some() {
            return Err(Error::bad_data(format!("the parameter `{name}` is given more than once")));
        }
        Ok(first.filter(|value| !value.is_empty()))
    }

    /// Every value of `name`.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The value of `name`, which must be there.
    pub(super) fn required(&self, name: &str, example: &str) -> Result<&str, Error> {
        self.one(name)?.ok_or_else(|| {
            Error::bad_data(format!("the parameter `{name}` is missing; add it, for example {name}={example}"))
        })
    }

    /// A selector.
    pub(super) fn selector(&self, name: &str) -> Result<Option<Selector>, Error> {
        self.one(name)?.map(|text| parse(name, text, query::parse_selector)).transpose()
    }

    /// A selector that must be there.
    pub(super) fn required_selector(&self, name: &str) -> Result<Selector, Error> {
        parse(name, self.required(name, "disk_used_bytes{host=\"a\"}")?, query::parse_selector)
    }

    /// A span of time above zero.
    pub(super) fn span(&self, name: &str) -> Result<Option<Millis>, Error> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        match parse(name, text, parse_duration)? {
            span if span > 0 => Ok(Some(span)),
            _ => {
                Err(Error::bad_data(format!("parameter `{name}`: it must be longer than 0; write it like 7d or 1h30m")))
            }
        }
    }

    /// An instant, `default` when absent.
    pub(super) fn time(&self, name: &str, now: Millis, default: Millis) -> Result<Millis, Error> {
        self.one(name)?.map_or(Ok(default), |text| parse(name, text, |text| query::parse_time(text, now)))
    }

    /// `start` to `end`, both included; by default the last `span` up to now.
    pub(super) fn range(&self, now: Millis, span: Millis) -> Result<TimeRange, Error> {
        let end = self.time("end", now, now)?;
        let start = self.time("start", now, end.saturating_sub(span))?;
        self.closed(start, end)
    }

    /// `start` to `end`, both included; by default everything.
    pub(super) fn range_or_all(&self, now: Millis) -> Result<TimeRange, Error> {
        let (start, end) = (self.time("start", now, Millis::MIN)?, self.time("end", now, Millis::MAX)?);
        self.closed(start, end)
    }

    fn closed(&self, start: Millis, end: Millis) -> Result<TimeRange, Error> {
        TimeRange::new(start, end.saturating_add(1))
            .map_err(|_| Error::bad_data("`end` lies before `start`; swap them"))
    }

    /// A finite number.
    pub(super) fn number(&self, name: &str) -> Result<Option<f64>, Error> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Some(number)),
            _ => Err(Error::bad_data(format!("parameter `{name}`: `{text}` is not a finite number"))),
        }
    }

    /// A whole number from 1 to `most`.
    pub(super) fn count(&self, name: &str, default: usize, most: usize) -> Result<usize, Error> {
        let Some(text) = self.one(name)? else { return Ok(default) };
        match text.parse::<usize>() {
            Ok(count) if (1..=most).contains(&count) => Ok(count),
            _ => Err(Error::bad_data(format!("parameter `{name}`: `{text}` is not a whole number from 1 to {most}"))),
        }
    }

    /// Comma-separated spans of time, such as `1h,24h,7d`, each as it was written.
    pub(super) fn spans<'a>(&'a self, name: &str, default: &'a str) -> Result<Vec<(&'a str, Millis)>, Error> {
        let text = self.one(name)?.unwrap_or(default);
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let spans: Vec<(&str, Millis)> =
            parts.map(|part| Ok((part, parse(name, part, parse_duration)?))).collect::<Result<_, Error>>()?;
        match spans.iter().find(|(_, span)| *span <= 0) {
            Some((text, _)) => Err(Error::bad_data(format!("parameter `{name}`: {text} is not longer than 0"))),
            None if spans.is_empty() || spans.len() > MAX_SPANS => {
                Err(Error::bad_data(format!("parameter `{name}`: give 1 to {MAX_SPANS} windows, such as 1h,24h,7d")))
            }
            None => Ok(spans),
        }
    }
}

/// Each window reads and sorts the series once more.
const MAX_SPANS: usize = 16;

fn parse<T, E: std::fmt::Display>(name: &str, text: &str, read: impl Fn(&str) -> Result<T, E>) -> Result<T, Error> {
    read(text).map_err(|error| Error::bad_data(format!("parameter `{name}`: {error}")))
}

fn decode(text: &[u8]) -> Result<String, Error> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        rest = tail;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                let byte = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok()).filter(|hex| {
                    // `from_str_radix` would also take a sign.
                    hex.bytes().all(|b| b.is_ascii_hexdigit())
                });
                let byte = byte.and_then(|hex| u8::from_str_radix(hex, 16).ok());
                let wrong =
                    "a `%` in the parameters is not followed by two hexadecimal digits; write a percent sign as %25";
                bytes.push(byte.ok_or_else(|| Error::bad_data(wrong))?);
                rest = &tail[2..];
            }
            other => bytes.push(*other),
        }
    }
    String::from_utf8(bytes)
        .map_err(|_| Error::bad_data("the parameters are not UTF-8; encode them as UTF-8, then percent-encode"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Params, Error> {
        let mut params = Params::default();
        params.read(text.as_bytes()).map(|()| params)
    }

    #[test]
    fn pairs_are_decoded() {
        let params = read("match=up%7Ba%3D%22b+c%22%7D&match%5B%5D=a&match[]=b&&x").unwrap();
        assert_eq!(params.one("match").unwrap(), Some("up{a=\"b c\"}"));
        assert_eq!(params.all("match[]").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(params.one("x").unwrap(), None);
        assert!(params.one("match[]").unwrap_err().text.contains("more than once"));
    }

    #[test]
    fn an_object_is_pairs_too() {
        let mut params = Params::default();
        let body =
            r#"{"match": "up", "level": 0.9, "limit": null, "events": [{"kind": "step", "at": "now", "add": 1}]}"#;
        params.read_json(body.as_bytes()).unwrap();
        assert_eq!((params.one("match").unwrap(), params.number("level").unwrap()), (Some("up"), Some(0.9)));
        assert_eq!((params.one("limit").unwrap(), params.events("events", Zone::UTC, 5).unwrap().len()), (None, 1));
        assert!(params.read_json(b"[1]").unwrap_err().text.contains("JSON object"));
        let mut wrong = Params::default();
        wrong.read_json(br#"{"events": [{"kind": "jump"}]}"#).unwrap();
        let error = wrong.events("events", Zone::UTC, 5).unwrap_err().text;
        assert!(error.contains("`events`") && error.contains("jump") && error.contains("step, ramp"), "{error}");
    }

    #[test]
    fn bad_encodings_are_refused() {
        for text in ["a=%", "a=%2", "a=%zz", "a=%+1", "a=%ff"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn errors_name_the_parameter() {
        let params = read("level=x&limit=0&step=0s&window=1h,x&horizon=7").unwrap();
        for (name, error) in [
            ("level", params.number("level").unwrap_err()),
            ("limit", params.count("limit", 1, 10).unwrap_err()),
            ("step", params.span("step").unwrap_err()),
            ("window", params.spans("window", "").unwrap_err()),
            ("horizon", params.span("horizon").unwrap_err()),
            ("match", params.required("match", "up").unwrap_err()),
        ] {
            assert!(error.text.contains(&format!("`{name}`")), "{}", error.text);
        }
    }
}
