//! Accepting connections and letting go of them.
//!
//! axum's own `serve` sets no timeouts; this loop gives each connection a time for its request heads, bounds their
//! number, and on the signal to stop lets requests under way finish.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::config::HttpSettings;

/// After a failed accept, such as no file handles left: wait instead of spinning.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves connections until `stop` turns true, then waits for those under way, but no longer than the settings allow.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    settings: HttpSettings,
    mut stop: watch::Receiver<bool>,
) {
    let slots = Arc::new(Semaphore::new(settings.max_connections.max(1)));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepting = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            accepted = accepting => accepted,
            () = stopped(&mut stop) => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let (router, stop, header_timeout) = (router.clone(), stop.clone(), settings.header_timeout);
                connections.spawn(async move {
                    let _slot = slot;
                    connection(stream, router, header_timeout, stop).await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let draining = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(settings.drain_timeout, draining).await.is_err() {
        tracing::warn!(
            n_connections = connections.len(),
            "connections were cut: their requests took too long to finish"
        );
    }
}

async fn connection(stream: TcpStream, router: Router, header_timeout: Duration, mut stop: watch::Receiver<bool>) {
    // Answers are written whole; waiting to fill a packet only delays them.
    let _ = stream.set_nodelay(true);
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut serving = std::pin::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = stopped(&mut stop) => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Returns when the server is told to stop, or is gone.
pub(super) async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|is_stopping| *is_stopping).await;
}
