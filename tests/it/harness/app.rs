//! The running binary: started in its own directory on a free port, monitored, and killed on drop.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::database::Database;
use super::output::Output;
use super::wire::{Connection, Reply, Request};

pub const ADMIN_TOKEN: &str = "admin-token-of-the-tests-0123456789";
const START_LIMIT: Duration = Duration::from_secs(30);
const SHOWN_LINES: usize = 20;
const EXIT_LIMIT: Duration = Duration::from_secs(20);

/// The configuration of a process to start.
#[derive(Clone)]
pub struct Builder {
    variables: BTreeMap<String, String>,
    directory: Directory,
    /// A command before the binary: `strace …`, `sh -c 'ulimit …; exec "$0"'`.
    wrapper: Vec<String>,
}

/// The working directory of a process, with its database. A temporary one is removed with its last
/// user.
#[derive(Clone)]
pub struct Directory {
    path: PathBuf,
    _owned: Option<Arc<TempDir>>,
}

impl Directory {
    fn temporary() -> Self {
        let owned = TempDir::with_prefix("creel-test-").unwrap();
        Self { path: owned.path().to_owned(), _owned: Some(Arc::new(owned)) }
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self::bare().set("CREEL_ADMIN_TOKEN", ADMIN_TOKEN).set("CREEL_MIN_FREE", "1MiB")
    }
}

impl Builder {
    /// Returns a builder with only a free port and the database path that `TestApp` reads.
    pub fn bare() -> Self {
        let builder =
            Self { variables: BTreeMap::new(), directory: Directory::temporary(), wrapper: Vec::new() };
        builder.set("CREEL_LISTEN", "127.0.0.1:0").set("CREEL_DATABASE", "creel.db")
    }

    pub fn set(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.insert(name.to_owned(), value.into());
        self
    }

    pub fn unset(mut self, name: &str) -> Self {
        self.variables.remove(name);
        self
    }

    /// Uses an existing directory, such as a small file system.
    pub fn within(mut self, path: &Path) -> Self {
        self.directory = Directory { path: path.to_owned(), _owned: None };
        self
    }

    /// Shares the directory of another service, and keeps it until the last of them ends.
    pub fn next_to(mut self, app: &TestApp) -> Self {
        self.directory = app.builder.directory.clone();
        self
    }

    pub fn wrapped(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    pub fn path(&self) -> &Path {
        &self.directory.path
    }

    pub fn database(&self) -> Database {
        Database::at(&self.directory.path.join("creel.db"))
    }

    /// The binary with only these settings, without arguments.
    pub fn command(&self) -> Command {
        let binary = env!("CARGO_BIN_EXE_creel");
        let mut command = match self.wrapper.split_first() {
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(binary);
                command
            }
            None => Command::new(binary),
        };
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.envs(&self.variables).current_dir(&self.directory.path).stdin(Stdio::null());
        command
    }

    /// Starts the service and returns immediately.
    pub fn spawn(&self) -> Process {
        Process::spawn(self.command())
    }

    /// Starts the service and returns when it listens.
    #[track_caller]
    pub fn start(&self) -> TestApp {
        let mut process = self.spawn();
        let line = process.log.wait_for("listening on http://", START_LIMIT);
        let line = line.unwrap_or_else(|log| {
            std::thread::sleep(Duration::from_millis(100));
            let status = process.has_ended();
            panic!("the service does not listen ({status:?}); its log:\n{log}")
        });
        let address = address_in(&line, "listening on http://");
        TestApp { process, address, builder: self.clone() }
    }
}

/// The address after `mark`.
pub fn address_in(line: &str, mark: &str) -> SocketAddr {
    let (_, rest) = line.split_once(mark).unwrap();
    let end = rest.find(|c: char| !(c.is_ascii_hexdigit() || ".:[]".contains(c))).unwrap_or(rest.len());
    rest[..end].parse().unwrap_or_else(|_| panic!("no address in {line:?}"))
}

/// One run of the binary.
pub struct Process {
    child: Child,
    pub log: Output,
    pub stdout: Output,
}

impl Process {
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Output::collect(child.stderr.take().unwrap());
        let stdout = Output::collect(child.stdout.take().unwrap());
        Self { child, log, stdout }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        let id = Pid::from_child(&self.child);
        kill_process(id, signal).unwrap();
    }

    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    #[track_caller]
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.has_ended() {
                return status;
            }
            assert!(Instant::now() < deadline, "still running after {limit:?}; log:\n{}", self.log.text());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log.text();
            let last: Vec<&str> = log.lines().rev().take(SHOWN_LINES).collect();
            eprintln!("the log's end, newest first:\n{}", last.join("\n"));
        }
        if self.has_ended().is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn sorted_labels(series: &str) -> (&str, Vec<&str>) {
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    let mut labels: Vec<&str> = labels.trim_end_matches('}').split(',').collect();
    labels.sort_unstable();
    (name, labels)
}

/// A running service that listens.
pub struct TestApp {
    pub process: Process,
    pub address: SocketAddr,
    builder: Builder,
}

impl TestApp {
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A service with one source called `github`, whose secret is `sign::SECRET`.
    pub fn github() -> Builder {
        Builder::default().set("CREEL_SOURCE_GITHUB_SECRET", super::sign::SECRET)
    }

    pub fn connect(&self) -> Connection {
        Connection::open(self.address)
    }

    /// Sends one request on its own connection.
    #[track_caller]
    pub fn send(&self, request: &Request) -> Reply {
        self.connect().exchange(request)
    }

    #[track_caller]
    pub fn get(&self, target: &str) -> Reply {
        self.send(&Request::get(target))
    }

    /// Whether the service reports that it accepts messages; false if it refuses the connection.
    pub fn is_ready(&self) -> bool {
        let reply = Connection::try_open(self.address).and_then(|mut connection| {
            connection.write(&Request::get("/readyz").bytes())?;
            connection.read_within(Duration::from_secs(3))
        });
        reply.is_ok_and(|reply| reply.status == 200)
    }

    #[track_caller]
    pub fn metrics(&self) -> String {
        let reply =
            self.send(&Request::get("/metrics").header("Authorization", format!("Bearer {ADMIN_TOKEN}")));
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.text()
    }

    /// The value of one series, in exposition format with labels in any order:
    /// `creel_messages_received_total{source="a"}`. 0 if it does not exist.
    #[track_caller]
    pub fn metric(&self, series: &str) -> f64 {
        let metrics = self.metrics();
        let lines = metrics.lines().filter(|line| !line.starts_with('#'));
        let mut samples = lines.filter_map(|line| line.rsplit_once(' '));
        let sample = samples.find(|(name, _)| sorted_labels(name) == sorted_labels(series));
        sample.and_then(|(_, value)| value.parse().ok()).unwrap_or(0.0)
    }

    pub fn database(&self) -> Database {
        self.builder.database()
    }

    pub fn path(&self) -> &Path {
        self.builder.path()
    }

    pub fn log(&self) -> String {
        self.process.log.text()
    }

    /// Sends SIGTERM and waits for the end within Docker's stop timeout.
    #[track_caller]
    pub fn stop(mut self) -> Builder {
        self.process.signal(Signal::TERM);
        let status = self.process.wait(EXIT_LIMIT);
        assert!(status.success(), "stopped with {status}; log:\n{}", self.log());
        self.builder.clone()
    }

    /// The configuration of a service that has ended by itself.
    #[track_caller]
    pub fn ended(mut self) -> Builder {
        assert!(self.process.has_ended().is_some(), "still running");
        self.builder.clone()
    }

    pub fn kill(mut self) -> Builder {
        self.process.signal(Signal::KILL);
        let status = self.process.wait(EXIT_LIMIT);
        assert_eq!(status.signal(), Some(Signal::KILL.as_raw()), "{status}");
        self.builder.clone()
    }

    #[track_caller]
    pub fn restart(self) -> TestApp {
        self.stop().start()
    }

    /// The processor time of the service.
    pub fn busy_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let ticks: u64 =
            fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 1_000 / rustix::param::clock_ticks_per_second())
    }

    /// The highest resident memory so far.
    pub fn peak_memory_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }
}
