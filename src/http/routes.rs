//! The one table of routes.
//!
//! The router, the check of parameters, the token's guard, the labels of our own metrics and the API's description
//! all read it, so that none can drift from another.

use axum::http::Method;
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

use super::answer::Answer;
use super::params::Params;
use super::state::App;
use super::{
    admin, anomalies, capacity, forecast, health, incidents, ingest, metrics, openapi, query, stats, windows, write,
};

/// One parameter of a route.
#[derive(Clone, Copy, Debug)]
pub(super) struct Param {
    pub(super) name: &'static str,
    /// What it means and how it is written.
    pub(super) what: &'static str,
    pub(super) default: Option<&'static str>,
    pub(super) is_required: bool,
    pub(super) is_repeated: bool,
}

/// A parameter that must be given.
pub(super) const fn required(name: &'static str, what: &'static str) -> Param {
    Param { name, what, default: None, is_required: true, is_repeated: false }
}

/// A parameter that may be left out, and what that means.
pub(super) const fn optional(name: &'static str, what: &'static str, default: &'static str) -> Param {
    Param { name, what, default: Some(default), is_required: false, is_repeated: false }
}

/// A parameter that may be given several times.
pub(super) const fn repeated(name: &'static str, what: &'static str, is_required: bool) -> Param {
    Param { name, what, default: None, is_required, is_repeated: true }
}

/// Which methods a route has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verbs {
    /// GET, and HEAD with it.
    Get,
    /// POST, with a body of samples or with parameters.
    Post,
    /// GET, or POST with the parameters as a form, as Prometheus clients send long queries.
    GetOrForm,
    /// GET, or POST with the parameters as a form or as a JSON object, for what does not fit a query string.
    GetOrJson,
}

impl Verbs {
    pub(super) fn names(self) -> &'static [&'static str] {
        match self {
            Verbs::Get => &["GET"],
            Verbs::Post => &["POST"],
            Verbs::GetOrForm | Verbs::GetOrJson => &["GET", "POST"],
        }
    }

    pub(super) fn has(self, method: &Method) -> bool {
        let method = if method == Method::HEAD { "GET" } else { method.as_str() };
        self.names().contains(&method)
    }
}

/// What answers a route. All are plain functions, run where they may block.
#[derive(Clone, Copy)]
pub(super) enum Does {
    /// Answers from memory in microseconds, whatever the load.
    Tell(fn(&App, &Params, Accepts) -> Answer),
    /// Reads and calculates; waits for its turn.
    Ask(fn(&App, &Params) -> Answer),
    /// Changes the store as a whole, and takes the time it needs; not for web pages of other sites.
    Act(fn(&App, &Params) -> Answer),
    /// Takes a body in.
    Take(fn(&App, ingest::Upload) -> Answer),
}

/// What the client would rather read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accepts {
    /// It named OpenMetrics.
    OpenMetrics,
    /// Anything else.
    Any,
}

/// One path and everything known of it.
pub(super) struct Route {
    /// As axum and OpenAPI both write it.
    pub(super) path: &'static str,
    pub(super) verbs: Verbs,
    pub(super) does: Does,
    pub(super) summary: &'static str,
    pub(super) params: &'static [Param],
    /// Whether unknown parameters are refused. Prometheus ignores them, and its clients count on that.
    pub(super) is_strict: bool,
    /// Whether it answers without the token.
    pub(super) is_public: bool,
    /// What a success looks like.
    pub(super) answers: Answers,
}

/// A route's success, for the API's description.
#[derive(Clone, Copy)]
pub(super) enum Answers {
    /// `{"status":"success","data":...}` with this schema, registered by the function.
    Data(&'static str, fn(&mut Schemas)),
    /// JSON of its own.
    Json(&'static str),
    /// Text.
    Text(&'static str),
    /// Status 204.
    Nothing(&'static str),
}

/// Named schemas, collected from the routes.
pub(super) type Schemas = Vec<(String, RefOr<Schema>)>;

fn register<T: ToSchema>(schemas: &mut Schemas) {
    T::schemas(schemas);
    schemas.push((T::name().into_owned(), T::schema()));
}

/// Every route, in the order in which the documentation lists them.
pub(super) const ROUTES: &[Route] = &[
    Route {
        path: "/api/v1/ingest",
        verbs: Verbs::Post,
        does: Does::Take(ingest::take),
        summary: "Takes samples in as JSON or NDJSON",
        params: &[],
        is_strict: true,
        is_public: false,
        answers: Answers::Data("Ingested", register::<ingest::Ingested>),
    },
    Route {
        path: "/api/v1/write",
        verbs: Verbs::Post,
        does: Does::Take(write::take),
        summary: "Takes samples in as Prometheus remote write 1.0",
        params: &[],
        is_strict: false,
        is_public: false,
        answers: Answers::Nothing("every sample is durable"),
    },
    Route {
        path: "/api/v1/query",
        verbs: Verbs::GetOrForm,
        does: Does::Ask(query::instant),
        summary: "The values of the series that a selector matches, at one instant, as Prometheus answers",
        params: query::INSTANT_PARAMS,
        is_strict: false,
        is_public: false,
        answers: Answers::Json("Prometheus' answer: resultType vector, values as text"),
    },
    Route {
        path: "/api/v1/query_range",
        verbs: Verbs::GetOrForm,
        does: Does::Ask(query::range),
        summary: "The values of the series that a selector matches, over a time range, as Prometheus answers",
        params: query::RANGE_PARAMS,
        is_strict: false,
        is_public: false,
        answers: Answers::Json("Prometheus' answer: resultType matrix, values as text"),
    },
    Route {
        path: "/api/v1/series",
        verbs: Verbs::GetOrForm,
        does: Does::Ask(query::series),
        summary: "The label sets of the matching series",
        params: query::SERIES_PARAMS,
        is_strict: false,
        is_public: false,
        answers: Answers::Json("Prometheus' answer: a list of label sets"),
    },
    Route {
        path: "/api/v1/labels",
        verbs: Verbs::GetOrForm,
        does: Does::Ask(query::labels),
        summary: "The label names there are",
        params: query::LABELS_PARAMS,
        is_strict: false,
        is_public: false,
        answers: Answers::Json("Prometheus' answer: a list of names"),
    },
    Route {
        path: "/api/v1/label/{name}/values",
        verbs: Verbs::Get,
        does: Does::Ask(query::label_values),
        summary: "The values of one label; of __name__, the metrics",
        params: query::LABEL_VALUES_PARAMS,
        is_strict: false,
        is_public: false,
        answers: Answers::Json("Prometheus' answer: a list of values"),
    },
    Route {
        path: "/api/v1/metadata",
        verbs: Verbs::Get,
        does: Does::Ask(query::metadata),
        summary: "What kind each metric is",
        params: query::METADATA_PARAMS,
        is_strict: false,
        is_public: false,
        answers: Answers::Json("Prometheus' answer: by metric, a list of type, help and unit"),
    },
    Route {
        path: "/api/v1/status/buildinfo",
        verbs: Verbs::Get,
        does: Does::Tell(query::build_info),
        summary: "Which program and version answers",
        params: &[],
        is_strict: false,
        is_public: false,
        answers: Answers::Json("Prometheus' answer: version and build"),
    },
    Route {
        path: "/api/v1/forecast",
        verbs: Verbs::GetOrJson,
        does: Does::Ask(forecast::answer),
        summary: "What comes next for each matching series: points with a band, the model and its accuracy",
        params: forecast::PARAMS,
        is_strict: true,
        is_public: false,
        answers: Answers::Data("Forecasts", register::<forecast::Forecasts>),
    },
    Route {
        path: "/api/v1/anomalies",
        verbs: Verbs::Get,
        does: Does::Ask(anomalies::answer),
        summary: "Spans in which a series was odd: kind, score, expected value, band, explanation",
        params: anomalies::PARAMS,
        is_strict: true,
        is_public: false,
        answers: Answers::Data("Anomalies", register::<anomalies::Anomalies>),
    },
    Route {
        path: "/api/v1/incidents",
        verbs: Verbs::Get,
        does: Does::Ask(incidents::answer),
        summary: "Anomalies that belong together, with likely causes",
        params: incidents::PARAMS,
        is_strict: true,
        is_public: false,
        answers: Answers::Data("Incidents", register::<incidents::Incidents>),
    },
    Route {
        path: "/api/v1/capacity",
        verbs: Verbs::GetOrJson,
        does: Does::Ask(capacity::answer),
        summary: "When each matching series crosses its limit, and what to do; without match the fleet, soonest first",
        params: capacity::PARAMS,
        is_strict: true,
        is_public: false,
        answers: Answers::Data("Capacity", register::<capacity::Capacity>),
    },
    Route {
        path: "/api/v1/stats",
        verbs: Verbs::Get,
        does: Does::Ask(stats::answer),
        summary: "Mean, extremes, deviation, percentiles, count and rate over windows",
        params: stats::PARAMS,
        is_strict: true,
        is_public: false,
        answers: Answers::Data("Stats", register::<stats::Stats>),
    },
    Route {
        path: "/api/v1/windows",
        verbs: Verbs::Get,
        does: Does::Ask(windows::answer),
        summary: "Least, greatest, sum, count and last value per window, from the tier that suits range and step",
        params: windows::PARAMS,
        is_strict: true,
        is_public: false,
        answers: Answers::Data("SeriesInWindows", register::<windows::SeriesInWindows>),
    },
    Route {
        path: "/api/v1/admin/snapshot",
        verbs: Verbs::Post,
        does: Does::Act(admin::snapshot),
        summary: "Makes a consistent copy of everything acknowledged so far, below snapshots/ in the data directory",
        params: &[],
        is_strict: true,
        is_public: false,
        answers: Answers::Data("SnapshotMade", register::<admin::SnapshotMade>),
    },
    Route {
        path: "/api/v1/admin/compact",
        verbs: Verbs::Post,
        does: Does::Act(admin::compact),
        summary: "Writes what is in memory to blocks and merges them now, without waiting for late samples",
        params: &[],
        is_strict: true,
        is_public: false,
        answers: Answers::Data("Compacted", register::<admin::Compacted>),
    },
    Route {
        path: "/api/v1/admin/delete",
        verbs: Verbs::Post,
        does: Does::Act(admin::delete),
        summary: "Deletes the samples, acknowledged so far, of the series that a selector matches",
        params: admin::DELETE_PARAMS,
        is_strict: true,
        is_public: false,
        answers: Answers::Data("SamplesDeleted", register::<admin::SamplesDeleted>),
    },
    Route {
        path: "/health",
        verbs: Verbs::Get,
        does: Does::Tell(health::health),
        summary: "Whether the process lives",
        params: &[],
        is_strict: false,
        is_public: true,
        answers: Answers::Json("{\"status\":\"ok\"}"),
    },
    Route {
        path: "/ready",
        verbs: Verbs::Get,
        does: Does::Tell(health::ready),
        summary: "Whether the server takes requests; 503 while it shuts down",
        params: &[],
        is_strict: false,
        is_public: true,
        answers: Answers::Json("{\"status\":\"ready\"}"),
    },
    Route {
        path: "/metrics",
        verbs: Verbs::Get,
        does: Does::Tell(metrics::answer),
        summary: "The server's own metrics in Prometheus' text format, or OpenMetrics when asked",
        params: &[],
        is_strict: false,
        is_public: false,
        answers: Answers::Text("text/plain; version=0.0.4"),
    },
    Route {
        path: "/openapi.json",
        verbs: Verbs::Get,
        does: Does::Tell(openapi::answer),
        summary: "This description",
        params: &[],
        is_strict: true,
        is_public: false,
        answers: Answers::Json("OpenAPI 3.1"),
    },
];
