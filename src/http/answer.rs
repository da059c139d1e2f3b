//! How answers are written: the envelope, instants, series.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use chrono::{DateTime, SecondsFormat};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::error::Error;
use crate::events::PlannedEvents;
use crate::series::{Key, Millis};

/// A successful answer as Prometheus shapes it.
#[derive(Serialize)]
struct Envelope<'a, T> {
    status: &'static str,
    data: &'a T,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    warnings: &'a [String],
}

/// `{"status":"success","data":...}` with status 200. Numbers that are not finite become `null`.
pub(super) fn success<T: Serialize>(data: &T) -> Response {
    success_with(data, &[])
}

/// As [`success`], with what the asker should know of the answer, where Prometheus' clients look for it.
pub(super) fn success_with<T: Serialize>(data: &T, warnings: &[String]) -> Response {
    json(StatusCode::OK, &Envelope { status: "success", data, warnings })
}

/// Who has assumed more that are idle has seen enough.
const MAX_IDLE: usize = 10;
/// How often an event is held against a series for the sake of a warning; so many take a tenth of a second.
const MAX_COMPARED: usize = 1_000_000;

/// What is to be said of events that are assumed and concern none of `keys`: mostly a slip in a selector. Beside so
/// many series that it would take long, only of the first events.
pub(super) fn idle_events<'a>(assumed: &PlannedEvents, keys: impl Iterator<Item = &'a Key> + Clone) -> Vec<String> {
    if assumed.is_empty() {
        return Vec::new();
    }
    let n_compared = (MAX_COMPARED / keys.clone().count().max(1)).max(1);
    let idle = assumed.idle(keys.map(|key| (key, "")), n_compared).take(MAX_IDLE);
    idle.map(|name| format!("events: `{name}` concerns none of the series; check its `match`")).collect()
}

/// `body` as JSON with `status`.
pub(super) fn json<T: Serialize>(status: StatusCode, body: &T) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => with_body(status, "application/json", bytes),
        // Only a map with keys that are no strings fails, and no answer has one.
        Err(error) => with_body(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", error.to_string().into_bytes()),
    }
}

/// Bytes of a content type.
pub(super) fn with_body(status: StatusCode, content_type: &'static str, bytes: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// An instant, written as RFC 3339 in UTC with milliseconds.
#[derive(Clone, Copy, Debug, ToSchema)]
#[schema(value_type = String, format = DateTime, example = "2026-01-31T09:30:00.000Z")]
pub(super) struct Time(pub(super) Millis);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match DateTime::from_timestamp_millis(self.0) {
            Some(time) => serializer.serialize_str(&time.to_rfc3339_opts(SecondsFormat::Millis, true)),
            // Beyond the calendar's years: the number says it better than an error.
            None => serializer.serialize_i64(self.0),
        }
    }
}

/// Which series an answer is about.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct SeriesName {
    /// The selector that matches just this series.
    #[schema(example = "disk_used_bytes{host=\"db-1\"}")]
    pub(super) series: String,
    /// The metric's name.
    #[schema(example = "disk_used_bytes")]
    pub(super) metric: String,
    /// The other labels.
    pub(super) labels: BTreeMap<String, String>,
}

impl SeriesName {
    pub(super) fn of(key: &Key) -> SeriesName {
        let labels = key.labels().without_metric();
        SeriesName {
            series: key.to_string(),
            metric: key.metric().to_owned(),
            labels: labels.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        }
    }
}

/// What every handler answers.
pub(super) type Answer = Result<Response, Error>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_rfc_3339_and_nan_is_null() {
        let shown = serde_json::to_string(&(Time(0), Time(1_767_225_600_123), Time(Millis::MAX), f64::NAN)).unwrap();
        assert_eq!(shown, r#"["1970-01-01T00:00:00.000Z","2026-01-01T00:00:00.123Z",9223372036854775807,null]"#);
    }
}
