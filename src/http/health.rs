//! `GET /health` and `GET /ready`, for those who restart and those who route.

use axum::http::StatusCode;
use serde_json::json as value;

use super::answer::{Answer, json};
use super::error::{Error, Fault};
use super::params::Params;
use super::routes::Accepts;
use super::state::App;

/// The process answers.
pub(super) fn health(_: &App, _: &Params, _: Accepts) -> Answer {
    Ok(json(StatusCode::OK, &value!({"status": "ok"})))
}

/// The store is open and requests are welcome.
pub(super) fn ready(app: &App, _: &Params, _: Accepts) -> Answer {
    if app.is_ready() {
        Ok(json(StatusCode::OK, &value!({"status": "ready"})))
    } else {
        Err(Error::new(Fault::Unavailable, "the server is shutting down"))
    }
}
