//! The outside over HTTP: one file per resource, one table of routes, one place for errors.
//!
//! In: requests, of which nothing is trusted: size, encoding, content type, parameters, pace. Out: JSON in Prometheus'
//! shape. A write is answered after it is durable; work that may block runs in its own threads, within a number of
//! slots and a time, so that no client starves another.

mod answer;
mod body;
mod connection;
mod dispatch;
mod error;
mod params;
mod routes;
mod server;
mod state;

mod admin;
mod anomalies;
mod capacity;
mod forecast;
mod health;
mod incidents;
mod ingest;
mod metrics;
mod openapi;
mod query;
mod stats;
mod windows;
mod write;

pub use server::{ServeError, Server, router};
pub use state::App;
