//! A TCP relay between a client and the service that can close connections or silently drop their
//! bytes.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

#[derive(Default)]
struct State {
    connections: Mutex<Vec<TcpStream>>,
    accepted: AtomicUsize,
    to_clients: AtomicUsize,
    /// The relay silently drops bytes on connections up to this number.
    silent_through: AtomicUsize,
    is_closed: AtomicBool,
}

pub struct Relay {
    address: SocketAddr,
    state: Arc<State>,
}

impl Relay {
    pub fn to(service: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let ours = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if ours.is_closed.load(Ordering::Relaxed) {
                    return;
                }
                let number = ours.accepted.fetch_add(1, Ordering::Relaxed) + 1;
                // While the service is down, the relay closes the connections of clients.
                let Ok(server) = TcpStream::connect(service) else { continue };
                ours.join(&client, &server, number);
            }
        });
        Self { address, state }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The number of connections so far.
    pub fn accepted(&self) -> usize {
        self.state.accepted.load(Ordering::Relaxed)
    }

    /// The number of bytes that the service has sent to clients.
    pub fn to_clients(&self) -> usize {
        self.state.to_clients.load(Ordering::Relaxed)
    }

    /// Closes all connections.
    pub fn cut(&self) {
        for connection in self.state.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    /// Keeps connections open but forwards nothing, as after a laptop's sleep or a router's reset.
    pub fn stop_responding(&self) {
        self.state.silent_through.store(usize::MAX, Ordering::Relaxed);
    }

    /// Forwards new connections; the silent ones stay silent.
    pub fn recover(&self) {
        self.state.silent_through.store(self.accepted(), Ordering::Relaxed);
    }
}

impl State {
    fn join(self: &Arc<Self>, client: &TcpStream, server: &TcpStream, number: usize) {
        for stream in [client, server] {
            let _ = stream.set_nodelay(true);
        }
        self.connections
            .lock()
            .unwrap()
            .extend([client.try_clone(), server.try_clone()].into_iter().flatten());
        for (from, to, is_to_client) in [(client, server, false), (server, client, true)] {
            let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else { return };
            let state = self.clone();
            std::thread::spawn(move || state.copy(from, to, number, is_to_client));
        }
    }

    fn copy(&self, mut from: TcpStream, mut to: TcpStream, number: usize, is_to_client: bool) {
        let is_silent = || number <= self.silent_through.load(Ordering::Relaxed);
        let mut buffer = [0; 16 * 1024];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            if !is_silent() && to.write_all(&buffer[..read]).is_err() {
                break;
            }
            if is_to_client {
                self.to_clients.fetch_add(read, Ordering::Relaxed);
            }
        }
        if !is_silent() {
            let _ = to.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.state.is_closed.store(true, Ordering::Relaxed);
        self.cut();
        let _ = TcpStream::connect(self.address);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::harness::target::Target;
    use crate::harness::{Connection, Request};

    #[test]
    fn relay_breaks_connections_in_two_ways() {
        let target = Target::start();
        let relay = Relay::to(target.address());
        assert_eq!(relay.url(), format!("http://{}", relay.address));
        let limit = Duration::from_secs(10);
        let mut first = Connection::open(relay.address);
        assert_eq!(first.exchange(&Request::get("/")).status, 200);
        relay.stop_responding();
        first.write(&Request::get("/").bytes()).unwrap();
        assert!(first.read_within(Duration::from_millis(100)).is_err());
        relay.recover();
        let mut second = Connection::open(relay.address);
        assert_eq!(second.exchange(&Request::get("/")).status, 200);
        relay.cut();
        assert!(second.is_closed_within(limit));
        assert_eq!((relay.accepted(), target.received().len()), (2, 2));
    }
}
