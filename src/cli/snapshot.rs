//! `barograph snapshot`: a consistent copy of a data directory, while it is served or while it is not.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow};
use serde_json::Value;

use crate::storage::{OpenError, Store, StoreSettings};

use super::Failure;
use super::demo::client::Client;

const PATIENCE: Duration = Duration::from_secs(3600);

/// Make a consistent copy of everything acknowledged so far
///
/// Asks a running server, or opens a data directory that is not being served. Blocks never change, so the copy shares
/// their files and takes hardly any space or time. It is a data directory of its own; `barograph restore` copies it to
/// another place.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  barograph snapshot\n  barograph snapshot --server http://127.0.0.1:9275\n  \
    barograph snapshot /var/lib/barograph")]
pub(super) struct Arguments {
    /// A data directory that no server has open; without it, the running server is asked.
    #[arg(value_name = "DIR", conflicts_with = "server")]
    dir: Option<PathBuf>,
    /// The server to ask.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9275")]
    server: String,
    /// The server's token, when it has one; better in the variable BAROGRAPH_TOKEN, where no list of processes shows it.
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (path, n_samples) = match &arguments.dir {
        Some(dir) => {
            if !dir.is_dir() {
                return Err(anyhow!("{} is not a directory", dir.display()).into());
            }
            let store = Store::open(dir, StoreSettings::default()).map_err(|error| match error {
                OpenError::Locked { .. } => anyhow!("{error}; a running server makes its own snapshot: --server URL"),
                error => error.into(),
            })?;
            let snapshot = store.snapshot()?;
            store.close()?;
            (snapshot.path.display().to_string(), snapshot.n_samples)
        }
        None => {
            let client = Client::new(address(&arguments.server).map_err(Failure::Usage)?);
            let token = arguments.token.clone().or_else(|| std::env::var("BAROGRAPH_TOKEN").ok());
            let made = client
                .act("/api/v1/admin/snapshot", token.as_deref(), PATIENCE)
                .with_context(|| format!("asking {} for a snapshot", arguments.server))?;
            let path = made.get("path").and_then(Value::as_str).context("the server's answer names no path")?;
            (path.to_owned(), made.get("samples").and_then(Value::as_u64).unwrap_or_default())
        }
    };
    println!("{path}: {n_samples} samples");
    Ok(())
}

/// The address of `http://host:port`.
fn address(server: &str) -> Result<SocketAddr, String> {
    let host = server.strip_prefix("http://").unwrap_or(server).trim_end_matches('/');
    let found = host.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
    found.ok_or_else(|| format!("`{server}` is not a server's address; write it like http://127.0.0.1:9275"))
}
