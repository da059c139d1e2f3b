//! The server from outside: a real one in this process, on a port of its own, spoken to over HTTP.

// A test that cannot go on says so where it stopped.
#![allow(clippy::unwrap_used)]

mod admin;
mod bad_input;
mod client;
mod events;
mod guard;
mod lifecycle;
#[path = "../python/mod.rs"]
mod python;
mod routes;
mod shapes;
mod zones;
