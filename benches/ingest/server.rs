//! The servers under test, each in its own process with its log in a file on the disk of the
//! database.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::Outcome;
use crate::handlers::SERVE;
use crate::machine::field;
use crate::payload::{MANY, MANY_PREFIX, SECRET};

const READ_TOKEN: &str = "read-token-of-the-benchmark";
/// Lines of the log that are printed after an error.
const LAST_LINES: usize = 20;
const TIMEOUT: Duration = Duration::from_secs(60);
/// Names of actix's workers, truncated by the kernel: `actix-rt|system:0|arbiter:N` below an actix
/// system, otherwise `actix-server worker N`.
const WORKER_THREADS: [&str; 2] = ["actix-rt|system", "actix-server wo"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The real server in its default configuration.
    Creel,
    /// The same with one subscribed target that refuses connections, to measure the cost of
    /// creating deliveries.
    Subscribed,
    /// The real server with 1,000 sources and 1,000 targets. The targets subscribe to an event that
    /// is not sent, so no deliveries are created.
    Many,
    /// A handler that checks and replies, but stores nothing.
    Bare,
    /// A handler with one transaction per request.
    Transactions,
}

impl Kind {
    pub fn is_creel(self) -> bool {
        matches!(self, Self::Creel | Self::Subscribed | Self::Many)
    }
}

#[derive(Debug)]
pub struct Server {
    child: Child,
    address: SocketAddr,
    begin: Instant,
    log: PathBuf,
    is_stopped: bool,
}

impl Server {
    /// Starts the server on `creel.db` in the directory, and waits until it listens. `workers`
    /// applies only to the compared handlers; creel uses its default.
    pub fn start(kind: Kind, directory: &Path, workers: usize) -> Outcome<Self> {
        Self::spawn(command(kind, directory, workers)?, directory)
    }

    /// Starts any build of creel in the same way.
    pub fn start_binary(binary: &Path, directory: &Path) -> Outcome<Self> {
        Self::spawn(creel(binary, directory), directory)
    }

    fn spawn(mut command: Command, directory: &Path) -> Outcome<Self> {
        let log = directory.join("log");
        let begin = Instant::now();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?).spawn()?;
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = Self { child, address, begin, log: log.clone(), is_stopped: false };
        server.address = server.wait_for_address(&log)?;
        Ok(server)
    }

    fn wait_for_address(&mut self, log: &Path) -> Outcome<SocketAddr> {
        const ANNOUNCEMENT: &str = "listening on http://";
        while self.begin.elapsed() < TIMEOUT {
            let text = String::from_utf8_lossy(&fs::read(log)?).into_owned();
            // Waits for a complete line, because the port of an incomplete one could be truncated.
            let line =
                text.split_inclusive('\n').find(|line| line.contains(ANNOUNCEMENT) && line.ends_with('\n'));
            if let Some((_, address)) = line.and_then(|line| line.split_once(ANNOUNCEMENT)) {
                return Ok(address.split_whitespace().next().unwrap_or_default().parse()?);
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("the server ended at its start with {status}:\n{text}").into());
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        Err(format!("the server did not log its address: see {}", log.display()).into())
    }

    /// Returns the time from the start of the process until it reports readiness.
    pub fn wait_until_ready(&self) -> Outcome<Duration> {
        wait_until_ready(self.address, self.begin)?;
        Ok(self.begin.elapsed())
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Number of threads that handle requests.
    pub fn workers(&self) -> Outcome<usize> {
        let mut workers = 0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.process()))? {
            let name = fs::read_to_string(thread?.path().join("comm"))?;
            workers += usize::from(WORKER_THREADS.iter().any(|worker| name.starts_with(worker)));
        }
        if workers == 0 { Err("the server has no worker threads".into()) } else { Ok(workers) }
    }

    /// Sends SIGTERM, and returns the time until the process has ended.
    pub fn stop(mut self) -> Outcome<Duration> {
        let begin = Instant::now();
        let process = Pid::from_child(&self.child);
        self.is_stopped = true;
        kill_process(process, Signal::TERM)?;
        let status = self.child.wait()?;
        if !status.success() {
            return Err(format!("the server ended with {status}").into());
        }
        Ok(begin.elapsed())
    }

    /// Sends SIGKILL.
    pub fn kill(mut self) -> Outcome<()> {
        self.is_stopped = true;
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Server {
    /// Prints the state of the server and the end of its log after an error, because the log is
    /// deleted with its directory.
    fn explain(&mut self) {
        let state = match self.child.try_wait() {
            Ok(Some(status)) => format!("had ended with {status}"),
            _ => "was still running".to_owned(),
        };
        eprintln!("the server {state}; its log without requests:");
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().filter(|line| !line.contains(" 204 ")).collect();
        lines.iter().rev().take(LAST_LINES).rev().for_each(|line| eprintln!("  {line}"));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.is_stopped {
            self.explain();
        }
        // Cleanup after an error during a run; the process may already have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for the first 200 of `/readyz`, for at most a minute after `begin`.
pub fn wait_until_ready(address: SocketAddr, begin: Instant) -> Outcome<()> {
    while begin.elapsed() < TIMEOUT {
        if get(address, "/readyz")?.starts_with("HTTP/1.1 200") {
            return Ok(());
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    Err("the server did not become ready".into())
}

pub fn database(directory: &Path) -> PathBuf {
    directory.join("creel.db")
}

fn command(kind: Kind, directory: &Path, workers: usize) -> Outcome<Command> {
    if kind.is_creel() {
        let mut command = creel(Path::new(env!("CARGO_BIN_EXE_creel")), directory);
        if kind == Kind::Subscribed {
            command.env("CREEL_TARGET_APP_URL", "http://127.0.0.1:9/");
        }
        if kind == Kind::Many {
            configure_many(&mut command);
        }
        return Ok(command);
    }
    let mut command = Command::new(std::env::current_exe()?);
    command.env_clear().current_dir(directory).arg(SERVE).arg(workers.to_string());
    if kind == Kind::Transactions {
        command.arg(database(directory));
    }
    Ok(command)
}

fn configure_many(command: &mut Command) {
    command.env_remove("CREEL_SOURCE_GITHUB_SECRET");
    for number in 0..MANY {
        let source = format!("{MANY_PREFIX}{number:03}");
        let name = source.replace('-', "_").to_uppercase();
        command.env(format!("CREEL_SOURCE_{name}_PROVIDER"), "github");
        command.env(format!("CREEL_SOURCE_{name}_SECRET"), SECRET);
        command.env(format!("CREEL_TARGET_{name}_URL"), "http://127.0.0.1:9/");
        command.env(format!("CREEL_TARGET_{name}_EVENTS"), format!("{source}.push"));
    }
}

/// Sets only an address, a database, a source, and a token for metrics. Otherwise creel runs with
/// its defaults.
fn creel(binary: &Path, directory: &Path) -> Command {
    let mut command = Command::new(binary);
    command.env_clear().current_dir(directory);
    command.env("CREEL_LISTEN", "127.0.0.1:0").env("CREEL_DATABASE", database(directory));
    command.env("CREEL_SOURCE_GITHUB_SECRET", SECRET).env("CREEL_READ_TOKEN", READ_TOKEN);
    command
}

/// Sends a GET request with the read token on a new connection, and returns the whole reply.
pub fn get(address: SocketAddr, path: &str) -> Outcome<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {READ_TOKEN}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    Ok(reply)
}

/// Returns the value of a metric without labels.
pub fn metric(address: SocketAddr, name: &str) -> Outcome<f64> {
    let reply = get(address, "/metrics")?;
    let value = field(&reply, &format!("{name} ")).ok_or_else(|| format!("metric {name} not found"))?;
    Ok(value.parse()?)
}

/// Resident memory of a process: all of it (`VmRSS:`), the part that is not backed by a file
/// (`RssAnon:`), or the largest value since the start (`VmHWM:`).
pub fn resident_bytes(process: u32, part: &str) -> Outcome<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let kib: u64 = field(&status, part).ok_or("the process has no memory")?.parse()?;
    Ok(kib * 1024)
}
