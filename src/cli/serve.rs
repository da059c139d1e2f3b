//! `barograph serve`: the server, until it is told to stop.

use std::path::PathBuf;

use anyhow::Context;

use crate::config::{self, Config};
use crate::http::Server;

use super::Failure;

/// Run the server: record what is pushed, watch it, answer over HTTP
///
/// Listens on 127.0.0.1:9275 unless told otherwise and needs no other service. Stops on Ctrl-C or SIGTERM after
/// finishing what is under way and writing everything down.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  barograph serve --data /var/lib/barograph\n  \
    barograph serve --config barograph.yaml --listen 127.0.0.1:9300")]
pub(super) struct Arguments {
    /// A YAML file; see `barograph check-config`.
    #[arg(long, value_name = "F")]
    config: Option<PathBuf>,
    /// The data directory; wins over the file.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The address to listen on; wins over the file.
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Listen on an address that other machines can reach although no token is set.
    #[arg(long)]
    allow_remote_without_token: bool,
}

pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    let mut config = match &arguments.config {
        Some(path) => config::load(path)?,
        None => Config::default(),
    };
    config.data = arguments.data.unwrap_or(config.data);
    config.listen = arguments.listen.unwrap_or(config.listen);
    config.allow_remote_without_token |= arguments.allow_remote_without_token;
    let runtime = runtime()?;
    runtime.block_on(async {
        let server = Server::start(config).await?;
        println!("listening on http://{}, data in {}", server.address(), server.store().dir().display());
        stop_asked().await?;
        tracing::info!("stopping: finishing what is under way and writing everything down");
        server.shutdown().await.context("the last flush failed; the log is replayed at the next start")?;
        Ok(())
    })
}

pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    Ok(runtime.context("the runtime cannot be started")?)
}

/// Returns when the process is asked to stop, by Ctrl-C or SIGTERM.
pub(super) async fn stop_asked() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}
