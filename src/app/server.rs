//! The actix servers: sockets, worker threads, timeouts.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{ConnectionType, HttpService, KeepAlive};
use actix_service::{IntoServiceFactory, Service as _, ServiceFactoryExt, apply_fn_factory, map_config};
use actix_web::Error;
use actix_web::dev::{AppConfig, Server, ServiceResponse};
use tokio::net::TcpStream;

use crate::app::routes::{RouteHandlers, Surface, application};
use crate::http::connection::Connection;
use crate::http::connections::{Connections, Registration};

/// Limit on receiving the complete head of the first request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Idle timeout, longer than that of proxies (Caddy: 120 s): if the server closes first, the close
/// races with the next request.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(150);
/// Time to discard the rest of a body after an early rejection. Closing the connection immediately
/// could make the client lose the reply.
const LINGER: Duration = Duration::from_secs(1);
/// Limit on finishing requests in flight, after the grace period (see `stop.rs`).
const SHUTDOWN_TIMEOUT_SECONDS: u64 = 4;
/// Blocking threads of each worker. They hash large bodies, so more threads than processors do not
/// help.
const BLOCKING_THREADS: usize = 4;

/// Resources of one address.
#[derive(Clone, Debug)]
pub struct Capacity {
    pub workers: usize,
    pub connections: Arc<Connections>,
}

/// Creates the server of one address, which runs once it is awaited. It does not handle signals.
///
/// # Errors
/// The socket cannot be used.
pub fn server(
    listener: TcpListener,
    handlers: RouteHandlers,
    surface: Surface,
    capacity: Capacity,
) -> io::Result<Server> {
    let builder = Server::build()
        .workers(capacity.workers)
        .max_concurrent_connections((capacity.connections.limit() / capacity.workers).max(1))
        .worker_max_blocking_threads(BLOCKING_THREADS)
        .shutdown_timeout(SHUTDOWN_TIMEOUT_SECONDS)
        .disable_signals();
    let shutdown = builder.graceful_shutdown_signal();
    let connections = move || {
        let shutdown = shutdown.clone();
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let shutdown = shutdown.clone();
                async move { shutdown.notified().await }
            })
            .on_connect_ext(|connection: &Connection, data| {
                data.insert(connection.disconnect_signal());
                data.insert(connection.link());
            })
            .keep_alive(KeepAlive::Timeout(KEEP_ALIVE_TIMEOUT))
            .client_request_timeout(HEAD_TIMEOUT)
            .client_disconnect_timeout(LINGER);
        let app = application(&handlers, surface).into_factory();
        let app = app.map_err(|error: Error| error.error_response());
        let stopping = handlers.service.clone();
        let app = app.map(move |mut response: ServiceResponse| {
            if stopping.is_stopping() {
                response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
            }
            response
        });
        let (registry, service) = (capacity.connections.clone(), handlers.service.clone());
        apply_fn_factory(http.h1(map_config(app, |()| AppConfig::default())), move |stream, http| {
            let accepted = accept(stream, &registry).map(|(connection, peer, registered)| {
                // The registry entry is removed when the connection is closed.
                (http.call((connection, peer)), registered)
            });
            let service = service.clone();
            async move {
                let (served, registered) = accepted?;
                let result = served.await;
                service.malformed.connection_ended(registered.link(), &result);
                result
            }
        })
    };
    Ok(builder.listen("creel", listener, connections)?.run())
}

fn accept(
    stream: TcpStream,
    registry: &Arc<Connections>,
) -> Result<(Connection, Option<SocketAddr>, Registration), DispatchError> {
    // Replies are written in one piece, so batching would only delay them.
    stream.set_nodelay(true)?;
    let peer = stream.peer_addr().ok();
    let registered = registry.register(peer.map(|peer| peer.ip()));
    Ok((Connection::new(stream, registered.link().clone()), peer, registered))
}
