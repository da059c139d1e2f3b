//! From a request to a route's function and back, the same way for all.
//!
//! The order matters: the token first, so that a stranger learns nothing; then route, method, parameters, body; then
//! the work, in a thread that may block, within a number of slots and a time. A panic anywhere is one answer 500 and
//! a line in the log.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{RawPathParams, Request};
use axum::http::{HeaderMap, Method, header, request::Parts};
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;

use super::answer::Answer;
use super::body::Incoming;
use super::error::{Error, Fault};
use super::ingest::Upload;
use super::params::Params;
use super::routes::{Accepts, Does, Route, Verbs};
use super::state::App;

/// Flushing, linking many files, waiting for a merge: minutes at the very most.
const ACT_TIME: Duration = Duration::from_secs(3600);
/// A form holds a query, not data.
const MAX_FORM: usize = 1 << 20;

/// Answers one request; `route` is `None` for a path that is not in the table.
pub(super) async fn dispatch(app: Arc<App>, route: Option<&'static Route>, request: Request) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    // A task of its own, so that a panic is a value here, and that a client who hangs up does not cut a write in two.
    let task = tokio::spawn(run(Arc::clone(&app), route, request));
    let response = match task.await {
        Ok(response) => response,
        Err(error) => Error::internal(&format!("{method} {path}: {error}")).into_response(),
    };
    let took = started.elapsed();
    app.metrics.answered(route.map_or("other", |route| route.path), &method, response.status(), took);
    tracing::debug!(%method, path, status = response.status().as_u16(), ms = took.as_millis(), "answered");
    response
}

async fn run(app: Arc<App>, route: Option<&'static Route>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let mut body = Incoming::new(body);
    match answer(&app, route, &mut parts, &mut body).await {
        Ok(response) => response,
        Err(error) => {
            body.drain().await;
            error.into_response()
        }
    }
}

async fn answer(app: &Arc<App>, route: Option<&'static Route>, parts: &mut Parts, body: &mut Incoming) -> Answer {
    if !route.is_some_and(|route| route.is_public) {
        check_token(app.config.token.as_deref(), &parts.headers)?;
    }
    let Some(route) = route else {
        return Err(Error::new(
            Fault::NotFound,
            format!("there is no route {}; /openapi.json lists them", parts.uri.path()),
        ));
    };
    if !route.verbs.has(&parts.method) {
        let methods = route.verbs.names().join(", ");
        let mut error = Error::new(Fault::Method, format!("{} takes {methods}, not {}", route.path, parts.method));
        error.allow = Some(methods);
        return Err(error);
    }
    let params = read_params(app, route, parts, body).await?;
    let time = app.config.http.query_timeout;
    match route.does {
        Does::Tell(tell) => tell(app, &params, accepts(&parts.headers)),
        Does::Ask(ask) => {
            let shared = Arc::clone(app);
            in_pool(&app.query_slots, time, move || ask(&shared, &params)).await
        }
        Does::Act(act) => {
            check_site(&parts.headers)?;
            let shared = Arc::clone(app);
            in_pool(&app.write_slots, ACT_TIME, move || act(&shared, &params)).await
        }
        Does::Take(take) => {
            let (limit, time_to_send) = (app.config.limits.max_body, app.config.http.body_timeout);
            let body = body.read(limit, "limits.max_body", time_to_send).await?;
            let upload = Upload::new(&parts.headers, body);
            let shared = Arc::clone(app);
            in_pool(&app.write_slots, time, move || take(&shared, upload)).await
        }
    }
}

/// Refuses what a browser sends on behalf of another site's page: without a token set, reaching this server is all it
/// takes to act, and a page must not act for whoever looks at it.
fn check_site(headers: &HeaderMap) -> Result<(), Error> {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let site = headers.get("sec-fetch-site").and_then(|value| value.to_str().ok());
    let is_own_site = matches!(site, None | Some("same-origin" | "none"));
    let is_own_origin = text(header::ORIGIN).is_none_or(|origin| {
        text(header::HOST).is_some_and(|host| origin.split_once("://").is_some_and(|(_, from)| from == host))
    });
    if is_own_site && is_own_origin {
        return Ok(());
    }
    Err(Error::new(Fault::Forbidden, "a web page of another site may not do this; send the request from a shell"))
}

fn check_token(token: Option<&str>, headers: &HeaderMap) -> Result<(), Error> {
    let Some(token) = token else { return Ok(()) };
    let given = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes());
    let given = given.and_then(|value| {
        let (scheme, rest) = value.split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then_some(rest.trim_ascii())
    });
    match given {
        // Constant in time for tokens of the right length; the length is no secret.
        Some(given) if bool::from(given.ct_eq(token.as_bytes())) => Ok(()),
        Some(_) => Err(Error::new(
            Fault::Unauthorized,
            "the token is not the right one; it is `token` in the server's configuration",
        )),
        None => Err(Error::new(
            Fault::Unauthorized,
            "this server wants a token; send the header `Authorization: Bearer TOKEN`",
        )),
    }
}

async fn read_params(app: &App, route: &Route, parts: &mut Parts, body: &mut Incoming) -> Result<Params, Error> {
    let mut params = Params::default();
    if route.path.contains('{') {
        use axum::extract::FromRequestParts;
        let from_path = RawPathParams::from_request_parts(parts, &()).await;
        let from_path = from_path.map_err(|error| Error::bad_data(format!("the path cannot be read: {error}")))?;
        for (name, value) in &from_path {
            params.push(name, value);
        }
    }
    params.read(parts.uri.query().unwrap_or_default().as_bytes())?;
    if parts.method == Method::POST && matches!(route.does, Does::Ask(_) | Does::Act(_)) {
        let content_type = content_type(&parts.headers);
        let (takes_json, form) = (route.verbs == Verbs::GetOrJson, "application/x-www-form-urlencoded");
        let is_json = takes_json && content_type.as_deref() == Some("application/json");
        if !is_json && content_type.as_deref().is_some_and(|kind| kind != form) {
            let json = if takes_json { " or application/json" } else { "" };
            let text = format!(
                "{} reads parameters from the query string or from its body; send Content-Type: {form}{json}",
                route.path
            );
            return Err(Error::new(Fault::Unsupported, text));
        }
        let body = body.read(MAX_FORM, "fixed for parameters", app.config.http.body_timeout).await?;
        if is_json {
            params.read_json(&body)?;
        } else {
            params.read(&body)?;
        }
    }
    if route.is_strict {
        params.check(route.params)?;
    }
    Ok(params)
}

/// The content type without its parameters, in lower case.
pub(super) fn content_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

fn accepts(headers: &HeaderMap) -> Accepts {
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    if accept.into_iter().any(|value| value.contains("application/openmetrics-text")) {
        Accepts::OpenMetrics
    } else {
        Accepts::Any
    }
}

/// Runs blocking work when a slot is free. The slot is kept until the work ends, even when nobody waits any more.
async fn in_pool(slots: &Arc<Semaphore>, time: Duration, work: impl FnOnce() -> Answer + Send + 'static) -> Answer {
    let busy = || Error::new(Fault::Unavailable, "the server is busy; send the request again in a few seconds");
    let waiting = tokio::time::timeout(time, Arc::clone(slots).acquire_owned());
    let slot = waiting.await.map_err(|_| busy())?.map_err(|_| busy())?;
    let working = tokio::task::spawn_blocking(move || {
        let _slot = slot;
        work()
    });
    match tokio::time::timeout(time, working).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => Err(Error::internal(&error.to_string())),
        Err(_) => Err(Error::new(
            Fault::Timeout,
            format!("the answer took longer than {} s; ask for fewer series or a shorter time range", time.as_secs()),
        )),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::StatusCode;

    use super::*;
    use crate::config::Config;
    use crate::http::routes::Answers;
    use crate::presets::Presets;
    use crate::storage::{Store, StoreSettings};
    use crate::watch::{Watch, WatchSettings};

    static PANICS: Route = Route {
        path: "/panics",
        verbs: Verbs::Get,
        does: Does::Ask(|_, _| panic!("as a bug would")),
        summary: "",
        params: &[],
        is_strict: false,
        is_public: true,
        answers: Answers::Json(""),
    };
    static PANICS_OUTSIDE: Route = Route { does: Does::Tell(|_, _, _| panic!("as a bug would")), ..PANICS };
    static SLEEPS: Route = Route {
        does: Does::Ask(|_, _| {
            std::thread::sleep(Duration::from_millis(300));
            Ok(crate::http::answer::success(&1))
        }),
        ..PANICS
    };

    #[test]
    fn pages_of_other_sites_may_not_act() {
        let check = |pairs: &[(&'static str, &'static str)], expected: bool| {
            let headers = pairs
                .iter()
                .map(|(name, value)| (header::HeaderName::from_static(name), header::HeaderValue::from_static(value)));
            assert_eq!(check_site(&headers.collect()).is_ok(), expected, "{pairs:?}");
        };
        check(&[("host", "127.0.0.1:9275")], true);
        check(
            &[("host", "127.0.0.1:9275"), ("origin", "http://127.0.0.1:9275"), ("sec-fetch-site", "same-origin")],
            true,
        );
        check(&[("host", "127.0.0.1:9275"), ("origin", "https://evil.example")], false);
        check(&[("host", "127.0.0.1:9275"), ("origin", "null")], false);
        check(&[("host", "127.0.0.1:9275"), ("sec-fetch-site", "cross-site")], false);
    }

    fn app(dir: &std::path::Path, query_timeout: Duration) -> Arc<App> {
        let store = Arc::new(Store::open(dir, StoreSettings::default()).unwrap());
        let watch = Watch::start(Arc::clone(&store), Presets::none(), WatchSettings::default()).unwrap();
        let mut config = Config::default();
        config.http.query_timeout = query_timeout;
        config.http.max_queries = 1;
        App::new(store, watch, Presets::none(), config)
    }

    async fn status(app: &Arc<App>, route: &'static Route) -> StatusCode {
        let request = Request::builder().uri("/panics").body(Body::empty()).unwrap();
        dispatch(Arc::clone(app), Some(route), request).await.status()
    }

    #[tokio::test]
    async fn a_panic_is_a_500_and_the_slot_is_free_again() {
        let dir = tempfile::tempdir().unwrap();
        let app = app(dir.path(), Duration::from_secs(5));
        for route in [&PANICS, &PANICS_OUTSIDE, &PANICS] {
            assert_eq!(status(&app, route).await, StatusCode::INTERNAL_SERVER_ERROR);
        }
        assert_eq!(status(&app, &SLEEPS).await, StatusCode::OK);
        app.watch.stop();
    }

    #[tokio::test]
    async fn slow_work_is_a_503_and_keeps_its_slot_until_it_ends() {
        let dir = tempfile::tempdir().unwrap();
        let app = app(dir.path(), Duration::from_millis(100));
        assert_eq!(status(&app, &SLEEPS).await, StatusCode::SERVICE_UNAVAILABLE);
        // The one slot is still taken, so this one does not even begin.
        assert_eq!(app.query_slots.available_permits(), 0);
        assert_eq!(status(&app, &SLEEPS).await, StatusCode::SERVICE_UNAVAILABLE);
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert_eq!(app.query_slots.available_permits(), 1);
        app.watch.stop();
    }
}
