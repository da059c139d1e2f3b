//! The server as a whole: opened in the order in which its parts need each other, closed in the reverse.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::routing::any;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::connection;
use super::dispatch::dispatch;
use super::routes::ROUTES;
use super::state::App;
use crate::config::{Config, HostSettings};
use crate::events::{EventsError, PlannedEvents};
use crate::ingest::HostCollector;
use crate::presets::{PresetError, Presets};
use crate::storage::{FlushError, OpenError, Store};
use crate::watch::{Watch, WatchError};

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// `listen` is not an address.
    #[error("cannot listen on `{listen}`: {source}; write it like 127.0.0.1:9275")]
    Address {
        /// What the configuration says.
        listen: String,
        /// What the system says.
        source: io::Error,
    },
    /// The port is taken.
    #[error(
        "cannot listen on {address}: the port is in use by another program; stop that one, or choose another with --listen (port 0 takes any free one)"
    )]
    PortInUse {
        /// Which address.
        address: SocketAddr,
    },
    /// The address cannot be bound.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// Which address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// Open to the network, and no token.
    #[error(
        "{address} is reachable from other machines and no token is set: set `token`, listen on 127.0.0.1, or say `allow_remote_without_token: true`"
    )]
    RemoteWithoutToken {
        /// Which address.
        address: SocketAddr,
    },
    /// The presets.
    #[error(transparent)]
    Presets(#[from] PresetError),
    /// The store.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The planned events.
    #[error("events: {0}")]
    Events(#[from] EventsError),
    /// The standing loop.
    #[error(transparent)]
    Watch(#[from] WatchError),
    /// A part died while it was started.
    #[error("the server failed while starting: {0}")]
    Broken(String),
}

/// A running server.
pub struct Server {
    address: SocketAddr,
    app: Arc<App>,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
    collecting: Option<JoinHandle<()>>,
    planning: Option<JoinHandle<()>>,
}

impl Server {
    /// Binds, opens the store, starts the standing loop and the host collector, and takes requests.
    ///
    /// # Errors
    /// When the address is taken or unsafe, the data directory in use, unwritable or damaged, a preset unknown.
    pub async fn start(config: Config) -> Result<Server, ServeError> {
        let listener = bind(&config).await?;
        let address =
            listener.local_addr().map_err(|source| ServeError::Address { listen: config.listen.clone(), source })?;
        let opening = tokio::task::spawn_blocking(move || open(config));
        let app = opening.await.map_err(|error| ServeError::Broken(error.to_string()))??;
        let (stop, stopped) = watch::channel(false);
        let serving = connection::serve(listener, router(Arc::clone(&app)), app.config.http.clone(), stopped.clone());
        let host = app.config.host.clone();
        let collecting = host.enabled.then(|| tokio::spawn(collect(Arc::clone(&app), host, stopped.clone())));
        let planned = app.config.events.clone();
        let planning = planned.map(|path| tokio::spawn(keep_events(Arc::clone(&app), path, stopped)));
        let serving = tokio::spawn(serving);
        tracing::info!(%address, data = %app.store.dir().display(), "ready");
        Ok(Server { address, app, stop, serving, collecting, planning })
    }

    /// Where it listens; with port 0 asked for, the port it got.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The store it writes to.
    pub fn store(&self) -> &Arc<Store> {
        &self.app.store
    }

    /// The standing loop.
    pub fn watch(&self) -> &Arc<Watch> {
        &self.app.watch
    }

    /// Stops accepting, lets requests under way finish, then stops the standing loop and flushes the store.
    ///
    /// # Errors
    /// When the last flush fails; nothing is lost, the log is replayed at the next start.
    pub async fn shutdown(self) -> Result<(), FlushError> {
        let Server { app, stop, serving, collecting, planning, .. } = self;
        app.stop();
        // Nobody listening means that the tasks have ended already.
        let _ = stop.send(true);
        for task in std::iter::once(serving).chain(collecting).chain(planning) {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of the server failed");
            }
        }
        let closing = tokio::task::spawn_blocking(move || {
            app.watch.stop();
            app.store.close()
        });
        closing.await.unwrap_or_else(|error| {
            tracing::error!(%error, "closing failed");
            Err(FlushError::Closed)
        })
    }
}

fn open(config: Config) -> Result<Arc<App>, ServeError> {
    let presets = Presets::load(&config.presets)?.in_zone(config.time_zone);
    let store = Arc::new(Store::open(&config.data, config.store.clone())?);
    let planned = config.events.as_deref().map(|path| PlannedEvents::load(path, config.time_zone)).transpose()?;
    let watch = Watch::start(Arc::clone(&store), presets.clone(), config.watch.clone())?;
    if let Some(planned) = planned {
        watch.set_events(planned);
    }
    Ok(App::new(store, watch, presets, config))
}

async fn bind(config: &Config) -> Result<TcpListener, ServeError> {
    let wrong = |source| ServeError::Address { listen: config.listen.clone(), source };
    let listen = config.listen.clone();
    // A host name is looked up, which may block.
    let looking = tokio::task::spawn_blocking(move || listen.to_socket_addrs().map(|mut addresses| addresses.next()));
    let found = looking.await.map_err(|error| ServeError::Broken(error.to_string()))?.map_err(wrong)?;
    let address = found.ok_or_else(|| wrong(io::Error::other("the name has no address")))?;
    if !address.ip().is_loopback() && config.token.is_none() && !config.allow_remote_without_token {
        return Err(ServeError::RemoteWithoutToken { address });
    }
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => ServeError::PortInUse { address },
        _ => ServeError::Bind { address, source },
    })
}

/// Every route of the table, and the answers for whatever is not in it.
pub fn router(app: Arc<App>) -> Router {
    let mut router = Router::new();
    for route in ROUTES {
        let app = Arc::clone(&app);
        router = router.route(route.path, any(move |request: Request| dispatch(app, Some(route), request)));
    }
    router.fallback(move |request: Request| dispatch(app, None, request))
}

/// How often it is looked whether the file of events has changed.
const LOOK_AT_EVENTS: Duration = Duration::from_secs(2);

/// Reads the planned events again whenever their file changes; while it is wrong, what was read before holds.
async fn keep_events(app: Arc<App>, path: PathBuf, mut stop: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(LOOK_AT_EVENTS);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let state = |path: &Path| std::fs::metadata(path).ok().map(|known| (known.modified().ok(), known.len()));
    let mut known = state(&path);
    // The file may have changed between its first reading and this look.
    let mut is_new = true;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = connection::stopped(&mut stop) => return,
        }
        let (shared, file, before) = (Arc::clone(&app), path.clone(), known);
        let looked = tokio::task::spawn_blocking(move || {
            let now = state(&file);
            if now != before || is_new {
                match PlannedEvents::load(&file, shared.config.time_zone) {
                    Ok(events) => {
                        if now != before {
                            tracing::info!(file = %file.display(), events = events.len(), "planned events read again");
                        }
                        shared.watch.set_events(events);
                    }
                    Err(error) => tracing::error!(%error, "planned events stay as they were read before"),
                }
            }
            now
        });
        match looked.await {
            Ok(now) => (known, is_new) = (now, false),
            Err(error) => tracing::error!(%error, "the look at the planned events failed"),
        }
    }
}

/// Records this machine until told to stop.
async fn collect(app: Arc<App>, settings: HostSettings, mut stop: watch::Receiver<bool>) {
    let mut collector = HostCollector::new();
    let mut ticks = tokio::time::interval(settings.every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = connection::stopped(&mut stop) => return,
        }
        let shared = Arc::clone(&app);
        let collected = tokio::task::spawn_blocking(move || {
            let batch = collector.collect(shared.now());
            if let Err(error) = shared.append(batch) {
                tracing::warn!(error = error.text, "this machine's metrics were not stored");
            }
            collector
        });
        match collected.await {
            Ok(back) => collector = back,
            Err(error) => {
                tracing::error!(%error, "the host collector failed and starts anew");
                collector = HostCollector::new();
            }
        }
    }
}
