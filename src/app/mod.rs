//! The service as a whole: startup order and shutdown. Building is separate from running, so that
//! tests can adjust a built service before it runs. This module must never make decisions about
//! messages.

mod endpoint_error;
mod endpoints;
mod error;
mod first_start;
mod isolation;
mod limits;
mod listeners;
mod logging;
mod routes;
mod server;
mod signals;
mod sink;
mod stop;
mod store_options;
mod targets;
mod tasks;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::{rt, web};
use futures_util::future::select_all;
use time::OffsetDateTime;

pub use error::StartError;
pub use isolation::protect_secrets;
pub use listeners::Listeners;

use crate::cleanup::Policy;
use crate::config::target_rules::KnownEvents;
use crate::config::{self, Config, InheritedSockets};
use crate::deliver::confirm::ConfirmationSource;
use crate::deliver::{self, DeliveryThread};
use crate::http::Service;
use crate::ingest::{DecodedBodies, Webhooks};
use crate::operate::{Operator, StorageRules};
use crate::outbound::Reach;
use crate::providers::{KeyRequest, KeyResponse, Roots};
use crate::store::{Clock, Consent, Store, StoreOptions};
use crate::verification::Sources;
use first_start::Notices;
use listeners::WebhookListener;
use logging::Log;
use routes::{RouteHandlers, Surface};
use server::Capacity;
use signals::Signals;
use stop::{SocketOrigin, WebhookServer};

/// The token of the admin API; only its hash is stored.
pub mod admin_token {
    pub use crate::http::tokens::{ADMIN_TOKEN_SETTING as SETTING, hash};
}

/// The parts of secret learning that commands need.
pub mod learned_secret {
    pub use crate::verification::{LEARNING_WINDOW as WINDOW, secret_setting, window_setting};
}

/// `EX_IOERR` in `sysexits.h`, an input/output error.
const STORE_FAILED: u8 = 74;
/// Size of the stack of the service's thread.
const SERVICE_STACK_BYTES: usize = 8 << 20;
/// Limit on closing the store. A stop can take 9.5 s in total: 5.5 s for requests and deliveries in
/// flight, 2 s for the last reports of the cleanup, and this.
const STORE_CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Time for requests in flight after a failure of the store: they only need an error response.
const STORE_FAILURE_TIMEOUT: Duration = Duration::from_millis(500);

/// Reason for the end of the service.
#[derive(Debug, PartialEq, Eq)]
pub enum ServiceEnd {
    /// Requested by a signal.
    Stopped,
    /// The store failed; one line with the cause.
    StoreFailed(String),
}

/// A service that is built but does not accept connections yet.
pub struct App {
    config: Config,
    policy: Policy,
    service: web::Data<Service>,
    sources: Arc<Sources>,
    servers: Vec<Server>,
    serving: WebhookServer,
    notices: Notices,
    webhooks: SocketAddr,
    operator: Option<SocketAddr>,
    uses_github_addresses: bool,
    deliveries: deliver::DeliverySettings,
    /// Sources whose messages need confirmation.
    confirmed: Vec<ConfirmationSource>,
}

/// Runs the service until it ends.
pub fn run(config: Config, inherited: InheritedSockets, consent: Consent) -> ExitCode {
    let log = match logging::start(&config.log, config.log_format) {
        Ok(log) => log,
        Err(error) => return report_error(&StartError::Server(error)),
    };
    isolation::warn_if_readable();
    let (report, ended) = std::sync::mpsc::sync_channel(1);
    let log_of_service = log.clone();
    let service = move || {
        let system = rt::System::new();
        let code = system.block_on(serve(config, inherited, consent, &log_of_service));
        log_of_service.flush();
        let _ = report.send(code);
        // This thread never exits. Dropping the system would wait without limit for blocking
        // threads, such as one that waits for another process's lock or for a hung name server.
        // Dropping its thread-locals would wake a task on a destroyed runtime, which aborts the
        // process.
        loop {
            std::thread::park();
        }
    };
    match std::thread::Builder::new()
        .name("service".to_owned())
        .stack_size(SERVICE_STACK_BYTES)
        .spawn(service)
    {
        Ok(_) => ended.recv().unwrap_or(ExitCode::FAILURE),
        Err(error) => report_error(&StartError::Server(error)),
    }
}

async fn serve(config: Config, inherited: InheritedSockets, consent: Consent, log: &Log) -> ExitCode {
    let built = match Listeners::open(&config, inherited) {
        Ok(listeners) => App::build_with(config, listeners, OffsetDateTime::now_utc, consent).await,
        Err(error) => Err(error.into()),
    };
    let ended = match built {
        Ok(app) => app.run(Some(log.clone())).await,
        Err(error) => Err(error),
    };
    match ended {
        Ok(ServiceEnd::Stopped) => ExitCode::SUCCESS,
        Ok(ServiceEnd::StoreFailed(line)) => {
            log::error!("{line}");
            ExitCode::from(STORE_FAILED)
        }
        Err(error) => {
            log.flush();
            report_error(&error)
        }
    }
}

fn report_error(error: &StartError) -> ExitCode {
    // The error cannot be reported if stderr is closed.
    let _ = writeln!(io::stderr(), "creel: {error}");
    ExitCode::FAILURE
}

impl App {
    /// Opens the store and assembles the service. Must be called inside an actix system.
    ///
    /// # Errors
    /// The database, a stored setting or a socket cannot be used.
    pub async fn build(config: Config, listeners: Listeners, clock: Clock) -> Result<Self, StartError> {
        Self::build_with(config, listeners, clock, Consent::default()).await
    }

    /// Builds the service with the operator's decisions for this start.
    async fn build_with(
        mut config: Config,
        listeners: Listeners,
        clock: Clock,
        consent: Consent,
    ) -> Result<Self, StartError> {
        let limits = limits::connection_limits(listeners.operator.is_some());
        let store = Store::open_with(&StoreOptions::from(&config), consent)?;
        if let Err(why) = store.listener_registry().pause_listeners(clock()).await {
            log::warn!("cannot store the connection states of listeners: {why}");
        }
        let notices = first_start::complete(&mut config, &store, clock).await?;
        let github = tasks::github_addresses(&store).await;
        let uses_github_addresses =
            config.sources.iter().any(|source| source.allow.as_ref().is_some_and(|allow| allow.github));
        let policy = Policy::from_config(&config);
        let storage = StorageRules::from_config(&config);
        let confirmed = ConfirmationSource::among(&config.sources);
        let deliveries = deliver::DeliverySettings {
            declared: targets::declare(&mut config, &store, clock()).await?,
            environment: config::command_environment(),
            allowed: config.target_allow_ips.clone(),
        };

        targets::warn_of_disabled(&store).await?;
        let WebhookListener { socket, is_inherited } = listeners.webhooks;
        let webhooks = socket.local_addr()?;
        let operator = listeners.operator.as_ref().map(std::net::TcpListener::local_addr).transpose()?;
        let service = web::Data::new(Service::new(&config, store, clock));
        let decoding = DecodedBodies::new(service.budget.clone(), config.max_body_bytes);
        let known_events = config.known_events();
        let configured = std::mem::take(&mut config.sources);
        let public_url = config.public_url.as_deref();
        let sources = Arc::new(Sources::new(configured, public_url, github, Box::new(decoding)));
        sources.recall(&service.store).await?;
        let operations = operations(&service, sources.clone(), known_events, storage, &config);
        let handlers = RouteHandlers {
            webhooks: Arc::new(Webhooks::new(service.clone(), sources.clone())),
            service: service.clone(),
            sources: sources.clone().into(),
            operator: web::Data::new(operations),
        };
        let surface = if operator.is_some() { Surface::Webhooks } else { Surface::Everything };
        let workers = std::thread::available_parallelism().map_or(2, usize::from);
        // The server divides the connections evenly among its workers.
        let connections = service.connections("webhooks", (limits.webhooks / workers).max(1) * workers);
        tasks::keep_room(&connections);
        let held =
            if is_inherited { SocketOrigin::Inherited } else { SocketOrigin::Own(socket.try_clone()?) };
        let capacity = Capacity { workers, connections: connections.clone() };
        let server = server::server(socket, handlers.clone(), surface, capacity)?;
        let serving = WebhookServer { handle: server.handle(), connections, socket: held };
        let mut servers = vec![server];
        if let Some(listener) = listeners.operator {
            let connections = service.connections("admin", limits.operator);
            tasks::keep_room(&connections);
            let capacity = Capacity { workers: 1, connections };
            servers.push(server::server(listener, handlers, Surface::Operator, capacity)?);
        }
        Ok(Self {
            config,
            policy,
            service,
            sources,
            servers,
            serving,
            notices,
            webhooks,
            operator,
            uses_github_addresses,
            deliveries,
            confirmed,
        })
    }

    /// Presets the key responses of the source's provider, so that nothing is fetched. Used by
    /// tests.
    pub fn preload_only(&self, source: &str, known: Vec<(KeyRequest, KeyResponse)>) {
        if let Some(source) = self.sources.find(source) {
            source.fetches.preload(known);
        }
    }

    /// Replaces the system's trusted certificate authorities. Used by tests.
    pub fn trust(&self, roots: Roots) {
        self.sources.trust(roots);
    }

    /// Address that receives webhooks.
    pub fn address(&self) -> SocketAddr {
        self.webhooks
    }

    /// Accepts and serves connections until a signal arrives or the store fails.
    ///
    /// # Errors
    /// Signals cannot be watched, the delivery thread cannot be started, or a server ends
    /// unexpectedly.
    pub async fn run(mut self, log: Option<Log>) -> Result<ServiceEnd, StartError> {
        let mut signals = Signals::watch()?;
        let service = self.service.clone();
        let store = service.store.clone();
        let clock = service.clock;
        let interval = self.config.cleanup_interval;
        let cleaning = tasks::clean_up_regularly(self.policy.clone(), interval, store.clone(), clock);
        if self.uses_github_addresses {
            let url = self.config.github_meta_url.clone();
            tasks::keep_github_addresses_fresh(url, self.sources.github.clone(), store.clone(), clock);
        }
        let counting = tasks::count_older(store.clone(), clock);
        let confirming = tasks::confirm(std::mem::take(&mut self.confirmed), store.clone(), clock);
        let handles: Vec<ServerHandle> = self.servers.iter().map(Server::handle).collect();
        let of_operator = handles.get(1..).unwrap_or_default();
        let servers: Vec<_> = self.servers.drain(..).map(rt::spawn).collect();
        self.announce();
        let deliveries = DeliveryThread::start(store.delivery_queue(), clock, self.deliveries)?;
        tokio::select! {
            (name, _) = signals.next() => log::info!("{name}: stopping"),
            line = store.failed() => {
                service.end_streams();
                cleaning.stop(&store).await;
                // `serving` has a copy of the socket, which would keep the address open after the
                // servers have closed it.
                drop(self.serving);
                let stopped = stop(&handles);
                if tokio::time::timeout(STORE_FAILURE_TIMEOUT, stopped).await.is_err() {
                    log::warn!("some requests were aborted");
                }
                return Ok(ServiceEnd::StoreFailed(line));
            }
            error = first_to_end(servers) => return Err(error.into()),
        }
        signals.end_immediately(log);
        service.begin_stop();
        service.end_streams();
        // Aborted confirmation requests are sent again after the next start.
        confirming.abort();
        counting.abort();
        tokio::join!(self.serving.stop(), stop(of_operator), deliveries.stop());
        cleaning.stop(&store).await;
        store.close(STORE_CLOSE_TIMEOUT).await;
        log::info!("stopped");
        Ok(ServiceEnd::Stopped)
    }

    fn announce(&mut self) {
        let base = self.config.public_url.clone().unwrap_or_else(|| {
            self.config.listen = self.webhooks;
            self.config.local_url()
        });
        let text = std::mem::take(&mut self.notices).text(&base);
        let mut stdout = io::stdout().lock();
        // The service also runs with a closed stdout.
        let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
        drop(stdout);
        log::info!("listening on http://{}", self.webhooks);
        if let Some(operator) = self.operator {
            log::info!("admin on http://{operator}");
        }
    }
}

/// Returns the operations of the admin API.
fn operations(
    service: &Service,
    sources: Arc<Sources>,
    known_events: KnownEvents,
    storage: StorageRules,
    config: &Config,
) -> Operator {
    let reach = Reach::Public { allowed: config.target_allow_ips.as_slice().into() };
    let proxies = config.trusted_proxies.as_slice().into();
    Operator::new(service.store.clone(), sources, service.clock, known_events, reach, proxies, storage)
}

/// Stops accepting connections and waits for the requests in flight, up to the timeout of the
/// servers.
async fn stop(handles: &[ServerHandle]) {
    let stops: Vec<_> = handles.iter().map(|handle| rt::spawn(handle.stop(true))).collect();
    for stopped in stops {
        if let Err(error) = stopped.await {
            log::warn!("a server did not stop cleanly: {error}");
        }
    }
}

/// Resolves with an error when one of the servers ends. This is unexpected, because servers run
/// until they are stopped.
async fn first_to_end(servers: Vec<rt::task::JoinHandle<io::Result<()>>>) -> io::Error {
    match select_all(servers).await.0 {
        Ok(Err(error)) => error,
        Ok(Ok(())) | Err(_) => io::Error::other("a server ended unexpectedly"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn end_of_any_server_is_detected() {
        let servers = vec![rt::spawn(std::future::pending()), rt::spawn(async { Ok(()) })];
        let ended = tokio::time::timeout(Duration::from_secs(20), first_to_end(servers)).await;
        assert_eq!(ended.unwrap().to_string(), "a server ended unexpectedly");
    }
}
