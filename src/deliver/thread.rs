//! The delivery thread: runs the engine and the replays on its own event loop, and stops them.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use ipnet::IpNet;
use tokio::sync::watch;

use super::clock::monotonic;
use super::engine::Engine;
use super::route::Routes;
use super::{command, replays};
use crate::config::{self, CommandEnvironment};
use crate::outbound::{DeliveryClient, Reach};
use crate::store::{Clock, DeliveryQueue, TargetId};

/// Timeout for stopping the thread. Longer than the sum of the engine's timeouts for attempts in
/// flight and for storing outcomes.
const STOP_TIMEOUT: Duration = Duration::from_millis(5_500);

/// Limit on threads for database reads, starts of commands and large requests.
const BLOCKING_THREADS: usize = 32;

/// Settings for deliveries.
pub struct DeliverySettings {
    /// The targets from the environment, by their ids in the store.
    pub declared: Vec<(TargetId, config::TargetConfig)>,
    pub environment: CommandEnvironment,
    /// Private networks that targets created through the API may reach.
    pub allowed: Vec<IpNet>,
}

/// The delivery thread.
#[derive(Debug)]
pub struct DeliveryThread {
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl DeliveryThread {
    /// Starts deliveries on a thread with its own event loop, which is not shared with requests.
    ///
    /// # Errors
    /// The system cannot create a thread.
    pub fn start(store: DeliveryQueue, clock: Clock, settings: DeliverySettings) -> std::io::Result<Self> {
        let (stop, stopping) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS)
            .thread_keep_alive(Duration::from_secs(10))
            .thread_name("deliver-blocking")
            .build()?;
        let work = move || {
            let DeliverySettings { declared, environment, allowed } = settings;
            let routes = Routes {
                declared: HashMap::from_iter(declared),
                environment,
                anywhere: DeliveryClient::new(Reach::Anywhere),
                public: DeliveryClient::new(Reach::Public { allowed: Arc::from(allowed) }),
            };
            let replaying = replays::run(store.clone(), clock, stopping.clone());
            let delivering = Engine::run(store, clock, monotonic, routes, stopping);
            runtime.spawn(command::collect_orphans());
            runtime.block_on(async { tokio::join!(replaying, delivering) });
            // A blocking call that hangs must not delay the shutdown.
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name("deliver".to_owned()).spawn(work)?;
        Ok(Self { stop, thread })
    }

    /// Starts no further attempts, and resolves when those in flight have ended or were
    /// interrupted.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        let thread = self.thread;
        let ended = tokio::task::spawn_blocking(move || thread.join());
        if tokio::time::timeout(STOP_TIMEOUT, ended).await.is_err() {
            log::warn!("deliveries did not stop in time");
        }
    }
}
