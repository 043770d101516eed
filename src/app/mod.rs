//! Putting the parts together: one function builds the actix app that the service and the tests share; another runs
//! it until it is told to stop or the store has failed.

mod background;
mod first_start;
mod limits;
pub mod logging;

use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::web::Data;
use actix_web::{App, HttpServer};

use crate::config::{Config, LogFormat};
use crate::http::{Clock, Inbox, Service, admin_routes, health_routes, inbox_routes};
use crate::store::{OpenError, Store, StoreOptions};

/// Longer than any proxy keeps its connections to us (Caddy: 120 s): otherwise a request could meet the closing of
/// its connection, and the sender would see a 502.
const KEEP_ALIVE: Duration = Duration::from_secs(150);
/// For the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const BACKLOG: u32 = 2_048;
/// What is in flight may finish within this time after a signal.
const SHUTDOWN_SECONDS: u64 = 4;
/// Then the store gets this long; all together stay below the 8 s that are promised.
const CLOSE_STORE_WITHIN: Duration = Duration::from_secs(3);
/// After the store has failed, replies on their way get this long.
const FAIL_WITHIN: Duration = Duration::from_millis(200);

/// The store has failed while running (EX_IOERR).
const EXIT_STORE_FAILED: u8 = 74;

pub mod admin_token {
    //! How the generated admin token is kept.

    /// The setting with its hash.
    pub const SETTING: &str = crate::http::ADMIN_TOKEN_SETTING;

    /// SHA-256 in lower-case hex: the token is random and long, nothing slower is needed.
    pub fn hash(token: &str) -> String {
        crate::http::token_hash(token.as_bytes())
    }
}

/// Runs the service until it is told to stop.
pub fn run(config: Config) -> ExitCode {
    logging::start(&config.log, config.log_format);
    let connections = limits::connections();
    let code = actix_web::rt::System::new().block_on(async {
        match Running::start(config, connections, time::OffsetDateTime::now_utc).await {
            Ok(running) => running.until_stopped().await,
            Err(error) => {
                eprintln!("creel: {error}");
                ExitCode::FAILURE
            }
        }
    });
    logging::flush();
    code
}

impl From<&Config> for StoreOptions {
    fn from(config: &Config) -> Self {
        Self {
            path: config.database.clone(),
            key: config.key.as_ref().map(|key| key.expose().to_vec()),
            checkpoint: config.checkpoint,
            min_free_bytes: config.min_free_bytes,
        }
    }
}

/// The service while it listens.
pub struct Running {
    store: Store,
    server: ServerHandle,
    done: actix_web::rt::task::JoinHandle<std::io::Result<()>>,
    /// Where it listens; the port is known only now when 0 was asked for.
    pub address: SocketAddr,
    pub admin_address: Option<SocketAddr>,
}

impl Running {
    /// Opens the store, binds, and serves.
    ///
    /// # Errors
    /// One line that says what to do.
    pub async fn start(mut config: Config, connections: usize, clock: Clock) -> Result<Self, OpenError> {
        let listener = listen(config.listen, "CREEL_LISTEN")?;
        let admin_listener =
            config.admin_listen.map(|address| listen(address, "CREEL_ADMIN_LISTEN")).transpose()?;
        let store = Store::open(&StoreOptions::from(&config))?;
        let address = local_address(&listener)?;
        let admin_address = admin_listener.as_ref().map(local_address).transpose()?;
        first_start::prepare(&mut config, &store, address, clock).await?;
        background::clean_up(&config, &store, clock);
        let github = background::github_addresses(&config, &store, clock).await;
        let format = config.log_format;
        let service = Data::new(Service::new(&config, store.clone(), github, clock));
        let sources = std::mem::take(&mut config.sources);
        let inboxes = Inbox::of_sources(&service, sources);
        let server = serve(service, inboxes, format, connections, listener, admin_listener)?;
        log::info!("listening on http://{address}");
        if let Some(admin) = admin_address {
            log::info!("admin on http://{admin}");
        }
        limits::survive_file_size_limit();
        Ok(Self {
            store,
            server: server.handle(),
            done: actix_web::rt::spawn(server),
            address,
            admin_address,
        })
    }

    /// Until a signal, or the failure of the store.
    async fn until_stopped(self) -> ExitCode {
        tokio::select! {
            signal = stop_signal() => {
                log::info!("{signal}: stopping");
                self.stop().await;
                ExitCode::SUCCESS
            }
            line = self.store.failed() => {
                log::error!("{line}");
                let _ = tokio::time::timeout(FAIL_WITHIN, self.server.stop(true)).await;
                logging::flush();
                // Nothing is closed in order any more: that would write to files that are not to be trusted.
                std::process::exit(i32::from(EXIT_STORE_FAILED))
            }
        }
    }

    /// Takes no more connections, finishes what is in flight, closes the store. A second signal ends it at once.
    pub async fn stop(self) {
        let graceful = async {
            self.server.stop(true).await;
            if let Ok(Err(error)) = self.done.await {
                log::warn!("the server stopped with an error: {error}");
            }
            self.store.close(CLOSE_STORE_WITHIN).await;
        };
        tokio::select! {
            () = graceful => log::info!("stopped"),
            signal = stop_signal() => log::warn!("{signal} again: stopping at once, what was acknowledged is safe"),
        }
    }
}

fn listen(address: SocketAddr, variable: &str) -> Result<TcpListener, OpenError> {
    let problem =
        |error: std::io::Error| OpenError(format!("cannot listen on {address} ({variable}): {error}"));
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)
        .map_err(problem)?;
    socket.set_reuse_address(true).map_err(problem)?;
    socket.set_nonblocking(true).map_err(problem)?;
    socket.bind(&address.into()).map_err(problem)?;
    socket.listen(i32::try_from(BACKLOG).unwrap_or(i32::MAX)).map_err(problem)?;
    Ok(socket.into())
}

fn local_address(listener: &TcpListener) -> Result<SocketAddr, OpenError> {
    listener
        .local_addr()
        .map_err(|error| OpenError(format!("cannot read the address of a listener: {error}")))
}

fn serve(
    service: Data<Service>,
    inboxes: Vec<Arc<Inbox>>,
    format: LogFormat,
    connections: usize,
    listener: TcpListener,
    admin_listener: Option<TcpListener>,
) -> Result<Server, OpenError> {
    let problem = |error: std::io::Error| OpenError(format!("cannot start the server: {error}"));
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let public = {
        let (service, inboxes) = (service.clone(), inboxes);
        let has_admin_listener = admin_listener.is_some();
        move || {
            App::new()
                .configure(|app| inbox_routes(app, &inboxes, format))
                .configure(|app| {
                    if !has_admin_listener {
                        admin_routes(app)
                    }
                })
                .configure(|app| health_routes(app, &service, format))
        }
    };
    let server = HttpServer::new(public)
        .workers(workers)
        .worker_max_blocking_threads(4)
        .max_connections((connections / workers).max(1))
        .backlog(BACKLOG)
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(HEAD_TIMEOUT)
        .client_disconnect_timeout(DISCONNECT_TIMEOUT)
        .shutdown_timeout(SHUTDOWN_SECONDS)
        .disable_signals()
        .listen(listener)
        .map_err(problem)?
        .run();
    if let Some(listener) = admin_listener {
        let admin = HttpServer::new(move || {
            App::new().configure(admin_routes).configure(|app| health_routes(app, &service, format))
        })
        .workers(1)
        .max_connections(limits::ADMIN_CONNECTIONS)
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(HEAD_TIMEOUT)
        .shutdown_timeout(1)
        .disable_signals()
        .listen(listener)
        .map_err(problem)?
        .run();
        actix_web::rt::spawn(admin);
    }
    Ok(server)
}

/// The next signal that asks the service to stop.
async fn stop_signal() -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        log::warn!("signals cannot be received: only SIGKILL stops this process");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}
