//! barograph records operations metrics as plain Parquet, forecasts them, finds what is odd, and says what runs
//! out, when, and what to do.
//!
//! The modules stand in the order of a sample's journey, and each may use only those above it (ARCHITECTURE.md has
//! the exact list). The numeric core, from [`series`] to [`capacity`], knows no clock, file, thread or socket.

#![deny(missing_docs)]

pub mod series;

pub mod forecast;

pub mod detect;

pub mod storage;

pub mod ingest;

pub mod query;

pub mod presets;

pub mod events;

pub mod incident;

pub mod capacity;

pub mod watch;

pub mod batch;

pub mod config;

pub mod http;

pub mod cli;
