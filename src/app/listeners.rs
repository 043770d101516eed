//! The listening sockets: bound by this process, or inherited from the service manager.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::SockRef;

use crate::config::{Config, InheritedSockets};

/// Limit on connections that the kernel queues until they are accepted.
const BACKLOG: i32 = 1_024;
const WEBHOOKS: &str = "CREEL_LISTEN";
const ADMIN: &str = "CREEL_ADMIN_LISTEN";

/// Bound sockets that are not served yet.
#[derive(Debug)]
pub struct Listeners {
    pub webhooks: WebhookListener,
    pub operator: Option<TcpListener>,
}

/// The listening socket for webhooks.
#[derive(Debug)]
pub struct WebhookListener {
    pub socket: TcpListener,
    /// Whether the service manager also holds the socket. Connections in the socket's queue then
    /// stay queued for the next process.
    pub is_inherited: bool,
}

/// Failure to listen on an address.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} ({variable}): {error}{}", hint(error))]
pub struct BindError {
    variable: &'static str,
    address: SocketAddr,
    error: io::Error,
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another process listens there, such as a running creel, or systemd for creel.socket"
        }
        _ => "",
    }
}

impl Listeners {
    /// Binds the configured addresses.
    ///
    /// # Errors
    /// An address is in use, not assigned to this host, or not permitted.
    pub fn bind(config: &Config) -> Result<Self, BindError> {
        Self::open(config, InheritedSockets::default())
    }

    /// Binds the sockets that were not inherited.
    ///
    /// # Errors
    /// Same as for `bind`.
    pub fn open(config: &Config, inherited: InheritedSockets) -> Result<Self, BindError> {
        if let Some(warning) = &inherited.warning {
            log::warn!("{warning}");
        }
        warn_of_other_address(WEBHOOKS, Some(config.listen), inherited.webhooks.as_ref());
        warn_of_other_address(ADMIN, config.admin_listen, inherited.admin.as_ref());
        let is_inherited = inherited.webhooks.is_some();
        let socket = inherited.webhooks.map_or_else(|| bind(WEBHOOKS, config.listen), Ok)?;
        let operator = match (inherited.admin, config.admin_listen) {
            (Some(socket), _) => Some(socket),
            (None, Some(address)) => Some(bind(ADMIN, address)?),
            (None, None) => None,
        };
        Ok(Self { webhooks: WebhookListener { socket, is_inherited }, operator })
    }
}

fn bind(variable: &'static str, address: SocketAddr) -> Result<TcpListener, BindError> {
    let problem = |error| BindError { variable, address, error };
    let listener = TcpListener::bind(address).map_err(problem)?;
    // The standard library sets a shorter queue; a second `listen` only changes its length.
    SockRef::from(&listener).listen(BACKLOG).map_err(problem)?;
    Ok(listener)
}

/// Warns if the address of an inherited socket differs from the configured one, which commands on
/// this machine connect to.
fn warn_of_other_address(variable: &str, configured: Option<SocketAddr>, socket: Option<&TcpListener>) {
    let Some(Ok(address)) = socket.map(TcpListener::local_addr) else { return };
    if configured.is_some_and(|configured| is_reached_at(address, configured)) {
        return;
    }
    let value = configured.map_or_else(|| "not set".to_owned(), |configured| configured.to_string());
    log::warn!(
        "{variable} is {value}, but systemd has passed a socket on {address}, which is used: set {variable}={address}, so that \
         commands on this machine find the service"
    );
}

/// Whether a client that connects to `configured` reaches a socket that listens on `address`.
fn is_reached_at(address: SocketAddr, configured: SocketAddr) -> bool {
    let ip = address.ip();
    let is_wildcard = ip.is_unspecified() && (ip.is_ipv6() || configured.is_ipv4());
    address.port() == configured.port()
        && (is_wildcard || ip.to_canonical() == configured.ip().to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn socket_agrees_with_the_address_it_serves() {
        let rows = [
            ("127.0.0.1:8080", "127.0.0.1:8080", true),
            ("0.0.0.0:8080", "127.0.0.1:8080", true),
            ("[::]:8080", "127.0.0.1:8080", true),
            ("[::]:8080", "0.0.0.0:8080", true),
            ("[::ffff:127.0.0.1]:8080", "127.0.0.1:8080", true),
            ("127.0.0.1:8081", "127.0.0.1:8080", false),
            ("127.0.0.1:8080", "0.0.0.0:8080", false),
            ("0.0.0.0:8080", "[::1]:8080", false),
            ("192.0.2.7:8080", "127.0.0.1:8080", false),
            ("127.0.0.1:41000", "127.0.0.1:0", false),
        ];
        for (socket, configured, agrees) in rows {
            let found = is_reached_at(socket.parse().unwrap(), configured.parse().unwrap());
            assert_eq!(found, agrees, "{socket} {configured}");
        }
    }
}
