//! One run: a new directory, a new server, a warm-up, and the measurement.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use crate::Outcome;
use crate::client::{Client, Tally, Until};
use crate::machine::{Moment, Usage};
use crate::options::Options;
use crate::payload::BodySize;
use crate::server::{Kind, Server, resident_bytes};

/// A run at saturation.
#[derive(Debug)]
pub struct Run {
    pub tally: Tally,
    pub usage: Usage,
}

/// Creates a directory for one run, after a sync: writes of earlier runs would otherwise reach the
/// disk during this one.
pub fn fresh_directory(options: &Options) -> Outcome<TempDir> {
    rustix::fs::syncfs(File::open(&options.directory)?)?;
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

/// Measures one run at saturation with any build of creel. Also returns the resident memory of the
/// server before the run, in bytes.
pub fn run_binary(
    binary: &Path,
    size: BodySize,
    connections: usize,
    options: &Options,
) -> Outcome<(Run, u64)> {
    let directory = fresh_directory(options)?;
    let server = Server::start_binary(binary, directory.path())?;
    server.wait_until_ready()?;
    // Gives the server time to release the memory of its startup.
    std::thread::sleep(Duration::from_secs(2));
    let idle_bytes = resident_bytes(server.process(), "VmRSS:")?;
    let client = Client::connect_many(server.address(), size, connections)?;
    let run = saturate_with(client, &server, options)?;
    server.stop()?;
    Ok((run, idle_bytes))
}

/// Runs a warm-up, then measures with all connections busy.
pub fn saturate(server: &Server, size: BodySize, options: &Options) -> Outcome<Run> {
    saturate_with(Client::connect(server.address(), size)?, server, options)
}

fn saturate_with(mut client: Client, server: &Server, options: &Options) -> Outcome<Run> {
    client.start()?;
    client.pump(Until::Elapsed(options.warm_up))?;
    let before = Moment::now(server.process())?;
    let tally = client.pump(Until::Elapsed(options.run))?;
    let usage = Moment::now(server.process())?.usage_since(before)?;
    client.drain()?;
    if tally.acknowledged == 0 {
        return Err(format!("nothing was acknowledged, {} requests were rejected", tally.rejected).into());
    }
    Ok(Run { tally, usage })
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
