//! The server from outside: a real one in this process, on a port of its own, spoken to over HTTP.

mod bad_input;
mod client;
mod guard;
mod lifecycle;
mod routes;
mod shapes;
