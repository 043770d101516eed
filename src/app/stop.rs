//! Stops serving an address, in an order that loses no request. Proxies and senders keep
//! connections open, and a request that is sent while its connection closes is lost, because most
//! clients never retry a POST. So first every reply has `Connection: close`, and idle connections
//! are closed a second later.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use socket2::{SockFilter, SockRef};
use tokio::time::{sleep, timeout};

use crate::http::connections::Connections;

/// Time for which idle connections are still served. A proxy reuses its connections more often than
/// this.
const GRACE: Duration = Duration::from_secs(1);
/// Time for the workers to pick up the connections accepted last: a stopping worker drops its
/// queue.
const SETTLE: Duration = Duration::from_millis(50);
/// Time for the first request on a newly accepted connection to arrive.
const LAST_REQUESTS: Duration = Duration::from_millis(200);

/// Packet filter that drops only requests for new connections. The data starts with the TCP header,
/// whose byte 13 holds the flags; SYN is 2.
const DROP_SYN: [SockFilter; 4] = [
    SockFilter::new(LOAD_BYTE, 0, 0, 13),
    SockFilter::new(JUMP_IF_SET, 0, 1, 2),
    SockFilter::new(RETURN, 0, 0, 0),
    SockFilter::new(RETURN, 0, 0, u32::MAX),
];
/// `BPF_LD | BPF_B | BPF_ABS`
const LOAD_BYTE: u16 = 0x30;
/// `BPF_JMP | BPF_JSET | BPF_K`
const JUMP_IF_SET: u16 = 0x45;
/// `BPF_RET | BPF_K`: the number of bytes that pass.
const RETURN: u16 = 0x06;

/// The webhook address, while it is served.
#[derive(Debug)]
pub struct WebhookServer {
    pub handle: ServerHandle,
    pub connections: Arc<Connections>,
    pub socket: SocketOrigin,
}

/// Owner of the listening socket.
#[derive(Debug)]
pub enum SocketOrigin {
    /// This process alone: connections in the socket's queue are reset when the socket is closed.
    Own(TcpListener),
    /// This process and the service manager: connections in the socket's queue stay queued for the
    /// next process.
    Inherited,
}

impl WebhookServer {
    /// Serves new requests during the grace period, then stops and waits for the requests in
    /// flight, up to the server's limit. `Service::begin_stop` must have been called.
    pub async fn stop(self) {
        if matches!(self.socket, SocketOrigin::Inherited) {
            self.handle.pause().await;
        }
        // Without open connections the grace period ends early.
        let _ = timeout(GRACE, self.connections.all_closed()).await;
        if let SocketOrigin::Own(listener) = self.socket
            && let Err(error) = defer_new_connections(&listener)
        {
            log::debug!("cannot defer new connections: {error}");
        }
        self.connections.close_when_idle(LAST_REQUESTS);
        sleep(SETTLE).await;
        let _ = timeout(LAST_REQUESTS, self.connections.all_closed()).await;
        // The server checks for remaining connections only once a second, so idle ones are closed
        // before it stops.
        self.connections.close_when_idle(Duration::ZERO);
        let _ = timeout(SETTLE, self.connections.all_closed()).await;
        self.handle.stop(true).await;
    }
}

/// Makes the kernel ignore new connections. The client's kernel retries a second later, and then
/// reaches the next process or receives a refused connection, which a proxy can safely retry.
/// Closing the socket would reset the connections in its queue.
fn defer_new_connections(listener: &TcpListener) -> io::Result<()> {
    SockRef::from(listener).attach_filter(&DROP_SYN)
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn deferred_socket_only_serves_its_queue() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let queued = TcpStream::connect(address).unwrap();
        defer_new_connections(&listener).unwrap();
        let late = TcpStream::connect_timeout(&address, Duration::from_millis(100));
        assert_eq!(late.unwrap_err().kind(), ErrorKind::TimedOut);
        let (accepted, _) = listener.accept().unwrap();
        assert_eq!(accepted.peer_addr().unwrap(), queued.local_addr().unwrap());
        listener.set_nonblocking(true).unwrap();
        assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    }
}
