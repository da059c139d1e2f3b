//! How the HTTP server treats its clients. Here because the server may read the configuration, not the reverse.

use std::time::Duration;

/// Connections, times and concurrency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpSettings {
    /// Open connections beyond which new ones wait; default 1024.
    pub max_connections: usize,
    /// How long a client may take to send a request's head, idle time between requests included; default 60 s.
    pub header_timeout: Duration,
    /// How long a client may take to send a request's body; default 30 s.
    pub body_timeout: Duration,
    /// How long a request may wait for its turn, and how long it may then work; default 30 s each.
    pub query_timeout: Duration,
    /// Queries that work at the same time, the others wait; 0 (the default) is twice the number of processors.
    pub max_queries: usize,
    /// Samples that one query may read; default 10,000,000, about 16 bytes of memory each and twice that while blocks
    /// and memory are merged. Beyond it the answer is an error that says so.
    pub max_query_samples: usize,
    /// Writes that are decoded and appended at the same time, the others wait; default 64. They share group commits.
    pub max_writes: usize,
    /// How long a shutdown waits for requests under way; default 10 s.
    pub drain_timeout: Duration,
}

impl Default for HttpSettings {
    fn default() -> Self {
        HttpSettings {
            max_connections: 1024,
            header_timeout: Duration::from_secs(60),
            body_timeout: Duration::from_secs(30),
            query_timeout: Duration::from_secs(30),
            max_queries: 0,
            max_query_samples: 10_000_000,
            max_writes: 64,
            drain_timeout: Duration::from_secs(10),
        }
    }
}

impl HttpSettings {
    /// How many queries work at the same time.
    pub(crate) fn n_queries(&self) -> usize {
        match self.max_queries {
            0 => 2 * std::thread::available_parallelism().map_or(1, usize::from),
            n => n,
        }
    }
}
