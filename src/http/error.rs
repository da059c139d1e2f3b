//! The one place that maps errors to a status and to Prometheus' JSON shape.
//!
//! In: the errors of the rooms below. Out: `{"status":"error","errorType":..,"error":..}` with advice for the client;
//! what only the operator should see goes to the log.

use std::io::ErrorKind;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::answer::json;
use crate::forecast::ForecastError;
use crate::ingest::IngestError;
use crate::query::QueryError;
use crate::storage::{AppendError, BlockError, FlushError, SelectError};
use crate::watch::WatchError;

/// What went wrong, from the client's point of view; each has one status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// 400: the request says something that cannot be.
    BadData,
    /// 401: no token, or a wrong one.
    Unauthorized,
    /// 403: a web page of another site asks for what only an operator may.
    Forbidden,
    /// 404: no such route, or no series matches.
    NotFound,
    /// 405: the route has other methods.
    Method,
    /// 408: the body did not arrive in time.
    Slow,
    /// 413: over a size limit, as sent or after decompression.
    TooLarge,
    /// 415: a format or an encoding that the route does not read.
    Unsupported,
    /// 422: understood, but there is no answer for these series.
    Execution,
    /// 500: a bug here.
    Internal,
    /// 503: it took longer than allowed.
    Timeout,
    /// 503: not now; worth sending again.
    Unavailable,
    /// 507: the disk is full; worth sending again when there is room.
    Full,
}

impl Fault {
    fn status(self) -> StatusCode {
        match self {
            Fault::BadData => StatusCode::BAD_REQUEST,
            Fault::Unauthorized => StatusCode::UNAUTHORIZED,
            Fault::Forbidden => StatusCode::FORBIDDEN,
            Fault::NotFound => StatusCode::NOT_FOUND,
            Fault::Method => StatusCode::METHOD_NOT_ALLOWED,
            Fault::Slow => StatusCode::REQUEST_TIMEOUT,
            Fault::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Fault::Unsupported => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Fault::Execution => StatusCode::UNPROCESSABLE_ENTITY,
            Fault::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Fault::Timeout | Fault::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Fault::Full => StatusCode::INSUFFICIENT_STORAGE,
        }
    }

    /// Prometheus' word for it where it has one.
    fn error_type(self) -> &'static str {
        match self {
            Fault::BadData | Fault::Method | Fault::TooLarge | Fault::Unsupported => "bad_data",
            Fault::Unauthorized | Fault::Forbidden => "unauthorized",
            Fault::NotFound => "not_found",
            Fault::Execution => "execution",
            Fault::Internal => "internal",
            Fault::Slow | Fault::Timeout => "timeout",
            Fault::Unavailable | Fault::Full => "unavailable",
        }
    }
}

/// An answer that is not a success.
#[derive(Clone, Debug)]
pub(super) struct Error {
    pub(super) fault: Fault,
    /// What, where, and what to do.
    pub(super) text: String,
    /// What the client may want beside the text, such as the rejections.
    pub(super) data: Option<Value>,
    /// A 405 names the methods there are.
    pub(super) allow: Option<String>,
}

/// The body of every error.
#[derive(Serialize, ToSchema)]
pub(super) struct ErrorBody {
    /// Always `error`.
    #[schema(example = "error")]
    status: &'static str,
    /// `bad_data`, `unauthorized`, `not_found`, `execution`, `timeout`, `unavailable` or `internal`.
    #[serde(rename = "errorType")]
    #[schema(example = "bad_data")]
    error_type: &'static str,
    /// What is wrong, where, and what to do.
    error: String,
    /// Details, when there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Value>,
}

impl Error {
    pub(super) fn new(fault: Fault, text: impl Into<String>) -> Error {
        Error { fault, text: text.into(), data: None, allow: None }
    }

    pub(super) fn bad_data(text: impl Into<String>) -> Error {
        Error::new(Fault::BadData, text)
    }

    /// A bug: the client learns that it is not to blame, the log learns the rest.
    pub(super) fn internal(detail: &str) -> Error {
        tracing::error!(detail, "a request failed inside");
        Error::new(Fault::Internal, "something failed inside the server; its log says what")
    }

    pub(super) fn with_data(mut self, data: Value) -> Error {
        self.data = Some(data);
        self
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let Error { fault, text, data, allow } = self;
        let body = ErrorBody { status: "error", error_type: fault.error_type(), error: text, data };
        let mut response = json(fault.status(), &body);
        let headers = response.headers_mut();
        match fault {
            Fault::Unauthorized => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Fault::Unavailable | Fault::Timeout | Fault::Full => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
            }
            Fault::BadData
            | Fault::Forbidden
            | Fault::NotFound
            | Fault::Method
            | Fault::Slow
            | Fault::TooLarge
            | Fault::Unsupported
            | Fault::Execution
            | Fault::Internal => {}
        }
        if let Some(allow) = allow.and_then(|methods| HeaderValue::try_from(methods).ok()) {
            headers.insert(header::ALLOW, allow);
        }
        response
    }
}

impl From<IngestError> for Error {
    fn from(error: IngestError) -> Error {
        let fault = match error {
            IngestError::TooLarge { .. } => Fault::TooLarge,
            IngestError::Empty
            | IngestError::NotUtf8 { .. }
            | IngestError::BadSnappy { .. }
            | IngestError::BadProtobuf { .. }
            | IngestError::BadJson { .. }
            | IngestError::Unsupported(_) => Fault::BadData,
        };
        Error::new(fault, error.to_string())
    }
}

impl From<AppendError> for Error {
    fn from(error: AppendError) -> Error {
        tracing::warn!(%error, "samples were not stored");
        let fault = match error {
            AppendError::DiskFull { .. } => Fault::Full,
            AppendError::Io { .. } | AppendError::Overloaded { .. } | AppendError::Closed => Fault::Unavailable,
        };
        Error::new(fault, error.to_string())
    }
}

impl From<FlushError> for Error {
    fn from(error: FlushError) -> Error {
        let cause = match &error {
            FlushError::Io { source, .. } | FlushError::Block { source: BlockError::Io(source), .. } => {
                Some(source.kind())
            }
            FlushError::Block { .. } | FlushError::Remote(_) | FlushError::Closed => None,
        };
        let fault = match (&error, cause) {
            (FlushError::Closed | FlushError::Remote(_), _) => Fault::Unavailable,
            (FlushError::Block { source: BlockError::Remote(_), .. }, _) => Fault::Unavailable,
            (_, Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded)) => Fault::Full,
            _ => return Error::internal(&error.to_string()),
        };
        tracing::warn!(%error, "the store could not be changed");
        Error::new(fault, format!("{error}; nothing was changed"))
    }
}

impl From<SelectError> for Error {
    fn from(error: SelectError) -> Error {
        if error.is_for_want_of_a_bucket() {
            tracing::warn!(%error, "a question could not be answered");
            let advice = "ask for a younger range, of which the samples are on this machine, or again later";
            return Error::new(Fault::Unavailable, format!("{error}; {advice}"));
        }
        Error::internal(&error.to_string())
    }
}

impl From<QueryError> for Error {
    fn from(error: QueryError) -> Error {
        match error {
            QueryError::Select(error) => error.into(),
            QueryError::TooManySamples { .. } => Error::new(Fault::Execution, error.to_string()),
            QueryError::Selector { .. }
            | QueryError::NotSelector { .. }
            | QueryError::Limit { .. }
            | QueryError::Time { .. }
            | QueryError::Window(_)
            | QueryError::Step(_)
            | QueryError::TooManySteps { .. }
            | QueryError::TooLong
            | QueryError::Range(_) => Error::bad_data(error.to_string()),
        }
    }
}

impl From<WatchError> for Error {
    fn from(error: WatchError) -> Error {
        let fault = match &error {
            WatchError::Select(error) if error.is_for_want_of_a_bucket() => Fault::Unavailable,
            WatchError::Select(_) | WatchError::Settings(_) | WatchError::Results { .. } | WatchError::Thread(_) => {
                return Error::internal(&error.to_string());
            }
            WatchError::NoSamples(_) => Fault::NotFound,
            WatchError::Forecast { source: ForecastError::UnknownModel(_), .. }
            | WatchError::Ask(_)
            | WatchError::NoLimit(_) => Fault::BadData,
            WatchError::History { .. } | WatchError::Forecast { .. } => Fault::Execution,
        };
        Error::new(fault, error.to_string())
    }
}
