//! A real HTTP server on loopback that plays GitHub's meta API.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::eventually;

struct State {
    answer: Mutex<(u16, String)>,
    queries: AtomicUsize,
    closed: AtomicBool,
}

pub struct MetaApi {
    address: SocketAddr,
    state: Arc<State>,
}

/// The API's response with these networks as webhook senders.
pub fn answer(hooks: &[&str]) -> String {
    serde_json::json!({
        "verifiable_password_authentication": false,
        "hooks": hooks,
        "web": ["198.51.100.0/24"],
        "api": ["198.51.100.0/24"],
    })
    .to_string()
}

impl MetaApi {
    pub fn start(hooks: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            answer: Mutex::new((200, answer(hooks))),
            queries: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
        });
        let ours = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if ours.closed.load(Ordering::Relaxed) {
                    return;
                }
                let _ = ours.serve(stream);
            }
        });
        Self { address, state }
    }

    pub fn url(&self) -> String {
        format!("http://{}/meta", self.address)
    }

    pub fn answers(&self, status: u16, body: impl Into<String>) {
        *self.state.answer.lock().unwrap() = (status, body.into());
    }

    #[track_caller]
    pub fn wait_for_queries(&self, times: usize) {
        eventually("the address list is requested", Duration::from_secs(20), || {
            self.state.queries.load(Ordering::Relaxed) >= times
        });
    }
}

impl State {
    fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut line = String::new();
        while reader.read_line(&mut line)? > 2 {
            line.clear();
        }
        let (status, body) = self.answer.lock().unwrap().clone();
        let head =
            format!("HTTP/1.1 {status} Answer\r\nContent-Type: application/json\r\nConnection: close\r\n");
        write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len())?;
        stream.flush()?;
        self.queries.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for MetaApi {
    fn drop(&mut self) {
        self.state.closed.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}
