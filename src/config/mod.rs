//! The configuration: one YAML file, every field with its unit and default.
//!
//! In: a file, with `${VAR}` and `${VAR:-default}` filled in from the environment. Out: a checked [`Config`], or an
//! error with file, line and column. Each room documents its own settings; this room only reads and gathers them.
//! `barograph.example.yaml` lists every field with its default, and a test holds it to that.

mod expand;
mod file;
mod units;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::http::HttpSettings;
use crate::ingest::Limits;
use crate::storage::StoreSettings;
use crate::watch::WatchSettings;

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
    /// Presets by name, asked in this order: facts about the metrics people have. Default all that are shipped.
    pub presets: Vec<String>,
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
            presets: ["node", "container", "database", "queue", "web"].map(str::to_owned).to_vec(),
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
    check(&config).map_err(|reason| ConfigError { path: None, line: None, column: None, reason })?;
    Ok(config)
}

/// What no single field can know.
fn check(config: &Config) -> Result<(), String> {
    if let Some(token) = &config.token
        && !token.bytes().all(|b| b.is_ascii_graphic())
    {
        return Err("token: it may hold letters, digits and punctuation of ASCII only, as a header must".to_owned());
    }
    if config.limits.max_body > config.limits.max_decoded {
        return Err("limits.max_decoded: it must not be smaller than limits.max_body".to_owned());
    }
    if let Some(problem) = config.watch.problem() {
        return Err(problem);
    }
    for (name, span) in [
        ("host.every", config.host.every),
        ("http.header_timeout", config.http.header_timeout),
        ("http.body_timeout", config.http.body_timeout),
        ("http.query_timeout", config.http.query_timeout),
    ] {
        if span.is_zero() {
            return Err(format!("{name}: it must be longer than 0"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
