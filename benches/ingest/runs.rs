//! One run: a new directory, a new server, a warm-up, and the measurement.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use hdrhistogram::Histogram;
use tempfile::TempDir;

use crate::Outcome;
use crate::client::{Client, Tally, Until};
use crate::machine::{Moment, Usage};
use crate::options::Options;
use crate::payload::BodySize;
use crate::server::{Kind, Server, resident_bytes};

/// Time that a server gets to release the memory of its startup.
pub const CALM: Duration = Duration::from_secs(2);

/// A run at saturation.
#[derive(Debug)]
pub struct Run {
    pub tally: Tally,
    pub usage: Usage,
    /// Messages acknowledged in the run, its warm-up and its end.
    pub acknowledged: u64,
}

impl Run {
    pub fn rate(&self) -> f64 {
        self.tally.rate()
    }

    /// User and system time of the server for each acknowledged message, in microseconds.
    pub fn processor_time_us(&self) -> f64 {
        1e6 * self.usage.server / self.tally.rate()
    }

    pub fn p50_ms(&self) -> f64 {
        milliseconds(&self.tally.latency, 0.5)
    }

    pub fn p99_ms(&self) -> f64 {
        milliseconds(&self.tally.latency, 0.99)
    }
}

pub fn milliseconds(latency: &Histogram<u64>, quantile: f64) -> f64 {
    latency.value_at_quantile(quantile) as f64 / 1_000.0
}

/// A run of any build of creel.
#[derive(Debug)]
pub struct BinaryRun {
    pub run: Run,
    /// From the start of the process to readiness, with a new database.
    pub ready_ms: f64,
    /// Resident memory before the run.
    pub idle_bytes: u64,
}

/// Waits until the writes of earlier runs are on disk, so that they do not slow the next run.
pub fn sync(directory: &Path) -> Outcome<()> {
    Ok(rustix::fs::syncfs(File::open(directory)?)?)
}

/// Creates a directory for one run, after a sync.
pub fn fresh_directory(options: &Options) -> Outcome<TempDir> {
    sync(&options.directory)?;
    Ok(TempDir::with_prefix_in("ingest-", &options.directory)?)
}

/// Measures one run at saturation with a new directory and a new server.
pub fn run(kind: Kind, size: BodySize, workers: usize, options: &Options) -> Outcome<Run> {
    let directory = fresh_directory(options)?;
    run_in(directory.path(), kind, size, workers, options)
}

pub fn run_in(
    directory: &Path,
    kind: Kind,
    size: BodySize,
    workers: usize,
    options: &Options,
) -> Outcome<Run> {
    let server = Server::start(kind, directory, workers)?;
    if kind.is_creel() {
        server.wait_until_ready()?;
    }
    let run = saturate(&server, size, options)?;
    server.stop()?;
    Ok(run)
}

/// Measures one start and one run at saturation with any build of creel.
pub fn run_binary(
    binary: &Path,
    size: BodySize,
    connections: usize,
    options: &Options,
) -> Outcome<BinaryRun> {
    let directory = fresh_directory(options)?;
    let server = Server::start_binary(binary, directory.path())?;
    let ready_ms = server.wait_until_ready()?.as_secs_f64() * 1e3;
    std::thread::sleep(CALM);
    let idle_bytes = resident_bytes(server.process(), "VmRSS:")?;
    let client = Client::connect_many(server.address(), size, connections)?;
    let run = saturate_with(client, server.process(), options)?;
    server.stop()?;
    Ok(BinaryRun { run, ready_ms, idle_bytes })
}

/// Runs a warm-up, then measures with all connections busy.
pub fn saturate(server: &Server, size: BodySize, options: &Options) -> Outcome<Run> {
    saturate_with(Client::connect(server.address(), size)?, server.process(), options)
}

pub fn saturate_with(mut client: Client, server_process: u32, options: &Options) -> Outcome<Run> {
    client.start()?;
    client.pump(Until::Elapsed(options.warm_up))?;
    let before = Moment::now(server_process)?;
    let tally = client.pump(Until::Elapsed(options.run))?;
    let usage = Moment::now(server_process)?.usage_since(before)?;
    client.drain()?;
    if tally.acknowledged == 0 {
        return Err(format!("nothing was acknowledged, {} requests were rejected", tally.rejected).into());
    }
    Ok(Run { tally, usage, acknowledged: client.acknowledged() })
}

/// Sends requests until `messages` are acknowledged. Returns the actual number, which can be
/// higher.
pub fn fill(server: &Server, size: BodySize, messages: u64) -> Outcome<u64> {
    let mut client = Client::connect(server.address(), size)?;
    client.start()?;
    client.pump(Until::Acknowledged(messages))?;
    client.drain()?;
    Ok(client.acknowledged())
}

/// Returns creel's default number of workers on this machine.
pub fn workers_of_creel(options: &Options) -> Outcome<usize> {
    let directory = fresh_directory(options)?;
    let server = Server::start(Kind::Creel, directory.path(), 0)?;
    server.wait_until_ready()?;
    let workers = server.workers()?;
    server.stop()?;
    Ok(workers)
}
