//! The configuration: one YAML file, every field with its unit and default.
//!
//! In: a file, with `${VAR}` and `${VAR:-default}` filled in from the environment. Out: a checked [`Config`], or an
//! error with file, line and column. Each room documents its own settings; this room only reads and gathers them.
//! `barograph.example.yaml` lists every field with its default, and a test holds it to that.

mod expand;
mod file;
mod http;
mod units;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::events::PlannedEvents;
use crate::ingest::Limits;
use crate::presets::Presets;
use crate::series::Zone;
use crate::storage::StoreSettings;
use crate::watch::WatchSettings;

pub use http::HttpSettings;

/// Everything that can be set.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The data directory, made when it is not there; default `barograph-data` where the program runs.
    pub data: PathBuf,
    /// Address and port to listen on; port 0 takes any free one. Default `127.0.0.1:9275`: this machine only.
    pub listen: String,
    /// The bearer token that every request but `/health` and `/ready` must bring; default none. Empty counts as none.
    pub token: Option<String>,
    /// Whether to listen beyond this machine without a token; default false.
    pub allow_remote_without_token: bool,
    /// The store.
    pub store: StoreSettings,
    /// What one request may bring.
    pub limits: Limits,
    /// Connections, times and concurrency of the HTTP server.
    pub http: HttpSettings,
    /// The standing loop.
    pub watch: WatchSettings,
    /// Recording of this machine.
    pub host: HostSettings,
    /// Where days and weeks begin, unless a metric's preset or the file of events says otherwise; default UTC.
    pub time_zone: Zone,
    /// Presets by name, asked in this order: facts about the metrics people have. Default all that are shipped.
    pub presets: Vec<String>,
    /// A file of planned events, read again when it changes; default none.
    pub events: Option<PathBuf>,
}

/// Whether and how often this machine records itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostSettings {
    /// Whether it does; default false in `serve`, true in `demo`.
    pub enabled: bool,
    /// How often; default 5 s.
    pub every: Duration,
}

impl Default for HostSettings {
    fn default() -> Self {
        HostSettings { enabled: false, every: Duration::from_secs(5) }
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            data: PathBuf::from("barograph-data"),
            listen: "127.0.0.1:9275".to_owned(),
            token: None,
            allow_remote_without_token: false,
            store: StoreSettings::default(),
            limits: Limits::default(),
            http: HttpSettings::default(),
            watch: WatchSettings::default(),
            host: HostSettings::default(),
            time_zone: Zone::UTC,
            presets: ["node", "container", "database", "queue", "web"].map(str::to_owned).to_vec(),
            events: None,
        }
    }
}

/// Why a configuration cannot be used, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file, when there is one.
    pub path: Option<PathBuf>,
    /// Line, from 1, when the reason has a place.
    pub line: Option<u64>,
    /// Column in characters, from 1.
    pub column: Option<u64>,
    /// What is wrong and what to do.
    pub reason: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "{}", path.display())?,
            None => f.write_str("configuration")?,
        }
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.reason)
    }
}

impl std::error::Error for ConfigError {}

/// Reads the configuration in a file, with references filled in from the environment.
///
/// # Errors
/// When the file cannot be read, a variable is not set, YAML or a field is wrong; with line and column.
pub fn load(path: &Path) -> Result<Config, ConfigError> {
    let fail = |reason| ConfigError { path: Some(path.to_owned()), line: None, column: None, reason };
    let bytes = std::fs::read(path).map_err(|error| fail(format!("cannot be read: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|_| fail("is not UTF-8 text".to_owned()))?;
    parse(&text).map_err(|error| ConfigError { path: Some(path.to_owned()), ..error })
}

/// Reads the configuration in `text`, with references filled in from the environment.
///
/// # Errors
/// As [`load`], without a file.
pub fn parse(text: &str) -> Result<Config, ConfigError> {
    parse_with(text, &|name| std::env::var(name).ok())
}

fn parse_with(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
    let expanded = expand::expand(text, lookup).map_err(|error| ConfigError {
        path: None,
        line: Some(error.line as u64),
        column: Some(error.column as u64),
        reason: error.reason,
    })?;
    let config = file::read(&expanded)?;
    check(&config).map_err(|reason| {
        // The reason begins with the field, and the field has a line when the file sets it.
        let field = reason.split([':', ' ']).next().unwrap_or_default();
        let place = file::place_of(&expanded, field);
        let (line, column) = (place.map(|(line, _)| line), place.map(|(_, column)| column));
        ConfigError { path: None, line, column, reason }
    })?;
    Ok(config)
}

/// What no single field can know; the answer begins with the field's name.
fn check(config: &Config) -> Result<(), String> {
    let port = config.listen.rsplit_once(':').map(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if port != Some(true) {
        return Err(format!("listen: `{}` is not an address with a port; write it like 127.0.0.1:9275", config.listen));
    }
    if let Some(token) = &config.token
        && !token.bytes().all(|b| b.is_ascii_graphic())
    {
        return Err("token: it may hold letters, digits and punctuation of ASCII only, as a header must".to_owned());
    }
    if config.limits.max_body > config.limits.max_decoded {
        return Err("limits.max_decoded: it must not be smaller than limits.max_body".to_owned());
    }
    for (name, n) in
        [("http.max_connections", config.http.max_connections), ("http.max_writes", config.http.max_writes)]
    {
        // Beyond the second bound no semaphore can count.
        if n == 0 || n > 1_000_000 {
            return Err(format!("{name}: it must be from 1 to 1000000"));
        }
    }
    if config.http.max_query_samples == 0 {
        return Err("http.max_query_samples: it must be at least 1".to_owned());
    }
    if let Some(problem) = config.store.s3.problem() {
        return Err(format!("store.s3.{problem}"));
    }
    if let Some(problem) = config.watch.problem() {
        return Err(problem);
    }
    Presets::load(&config.presets).map_err(|error| format!("presets: {error}"))?;
    if let Some(path) = &config.events {
        PlannedEvents::load(path, config.time_zone).map_err(|error| format!("events: {error}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
