//! The real server in its own process, and a client with one keep-alive connection.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::Outcome;
use crate::machine::field;

const TOKEN: &str = "admin-token-of-the-benchmark";
const START_TIMEOUT: Duration = Duration::from_secs(120);
const REPLY_TIMEOUT: Duration = Duration::from_secs(60);

pub fn database(directory: &Path) -> PathBuf {
    directory.join("creel.db")
}

#[derive(Debug)]
pub struct Server {
    child: Child,
    address: SocketAddr,
    begin: Instant,
}

impl Server {
    /// Starts the server with its defaults and these variables, and waits until it listens.
    pub fn start(directory: &Path, variables: &[(&str, String)]) -> Outcome<Self> {
        const ANNOUNCEMENT: &str = "listening on http://";
        let log = directory.join("log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_creel"));
        command.env_clear().current_dir(directory).env("CREEL_ADMIN_TOKEN", TOKEN);
        command.env("CREEL_LISTEN", "127.0.0.1:0").env("CREEL_DATABASE", database(directory));
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?);
        let (child, begin) = (command.spawn()?, Instant::now());
        let mut server = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)), begin };
        while server.begin.elapsed() < START_TIMEOUT {
            let text = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
            let mut lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            if let Some((_, address)) = lines.find_map(|line| line.split_once(ANNOUNCEMENT)) {
                server.address = address.split_whitespace().next().unwrap_or_default().parse()?;
                return Ok(server);
            }
            if let Some(status) = server.child.try_wait()? {
                return Err(format!("the server ended at its start with {status}:\n{text}").into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Err("the server did not log its address".into())
    }

    pub fn connect(&self) -> Outcome<Client> {
        let stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(REPLY_TIMEOUT))?;
        Ok(Client { stream, reply: Vec::new() })
    }

    /// Waits for a state and a lag of the index. Returns its status and the time since the start.
    pub fn wait_for_index(&self, state: &str, lag_messages: u64) -> Outcome<(Value, Duration)> {
        /// Time without progress after which the benchmark fails.
        const TIMEOUT: Duration = Duration::from_secs(300);
        let mut client = self.connect()?;
        let (mut last, mut changed_at) = (Value::Null, Instant::now());
        while changed_at.elapsed() < TIMEOUT {
            let (status, _) = client.get("/api/v1/search/status")?;
            if status["state"] == state && status["lag_messages"] == lag_messages {
                return Ok((status, self.begin.elapsed()));
            }
            if status != last {
                (last, changed_at) = (status, Instant::now());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(format!("the index did not become {state} with a lag of {lag_messages}: {last}").into())
    }

    pub fn resident_bytes(&self) -> Outcome<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let kib: u64 = field(&status, "VmRSS:").ok_or("the server has no memory")?.parse()?;
        Ok(kib * 1024)
    }

    /// Sends SIGTERM, and waits for the end of the process.
    pub fn stop(mut self) -> Outcome<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { Err(format!("the server ended with {status}").into()) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Cleanup after an error; after `stop` the process has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    reply: Vec<u8>,
}

impl Client {
    /// Returns the JSON of a reply with status 200, and the time until all of it was received.
    pub fn get(&mut self, path: &str) -> Outcome<(Value, Duration)> {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n");
        self.reply.clear();
        let begin = Instant::now();
        self.stream.write_all(request.as_bytes())?;
        let mut content: Option<(usize, usize)> = None;
        let mut chunk = [0; 65_536];
        let (head, end) = loop {
            if let Some((head, end)) = content.filter(|(_, end)| self.reply.len() >= *end) {
                break (head, end);
            }
            let read = self.stream.read(&mut chunk)?;
            if read == 0 {
                return Err(format!("{path}: the connection was closed").into());
            }
            self.reply.extend_from_slice(&chunk[..read]);
            if content.is_none() {
                content = content_range(&self.reply)?;
            }
        };
        let took = begin.elapsed();
        if !self.reply.starts_with(b"HTTP/1.1 200 ") {
            return Err(format!("{path}: {}", String::from_utf8_lossy(&self.reply)).into());
        }
        Ok((serde_json::from_slice(&self.reply[head..end])?, took))
    }
}

/// Returns the range of the body; `None` while the head is not complete.
fn content_range(reply: &[u8]) -> Outcome<Option<(usize, usize)>> {
    let Some(head) = reply.windows(4).position(|bytes| bytes == b"\r\n\r\n").map(|at| at + 4) else {
        return Ok(None);
    };
    let text = std::str::from_utf8(&reply[..head])?.to_ascii_lowercase();
    let length: usize = field(&text, "content-length:").ok_or("a reply without Content-Length")?.parse()?;
    Ok(Some((head, head + length)))
}
