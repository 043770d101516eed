//! Cost of the database files: time from start to ready, and bytes on disk per message.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::Outcome;
use crate::client::{Client, Until};
use crate::options::{Options, Section};
use crate::payload::{BodySize, Request};
use crate::report::{Bound, Report, with_spread};
use crate::runs::{fill, fresh_directory};
use crate::server::{Kind, Server, database};

/// Documented limit: ready within two seconds with a database of 1 GB.
const READY_WITHIN_MS: f64 = 2_000.0;

pub fn measure(options: &Options, report: &mut Report) -> Outcome<()> {
    if options.wants(Section::Start) {
        eprintln!("start, empty database");
        let mut times = Vec::new();
        for _ in 0..options.rounds {
            let directory = fresh_directory(options)?;
            times.push(time_to_ready(directory.path())?);
        }
        report.figure("start to ready, new database", "", with_spread(&times, " ms"));
    }
    for size in BodySize::BOTH {
        if size == BodySize::Large || options.wants(Section::Disk) {
            measure_full(size, options, report)?;
        }
    }
    Ok(())
}

fn measure_full(size: BodySize, options: &Options, report: &mut Report) -> Outcome<()> {
    let body = size.name();
    eprintln!("a database of {} MB of messages of {body}", options.start_bytes / 1_000_000);
    let directory = fresh_directory(options)?;
    let content_bytes = Request::new(size, 0).content_bytes() as u64;
    let server = Server::start(Kind::Creel, directory.path(), 0)?;
    server.wait_until_ready()?;
    let messages = fill(&server, size, options.start_bytes / content_bytes)?;
    server.stop()?;
    if options.wants(Section::Disk) {
        let per_message = bytes_on_disk(directory.path())? as f64 / messages as f64;
        let ratio = per_message / content_bytes as f64;
        let figure = "bytes on disk ÷ bytes of headers and body";
        match size {
            BodySize::Tiny | BodySize::Small => report.figure(figure, body, format!("{ratio:.2}")),
            BodySize::Large => report.bounded(figure, body, ratio, "", Bound::AtMost(1.35)),
        }
    }
    if options.wants(Section::Start) && size == BodySize::Large {
        measure_starts(directory.path(), options, report)?;
    }
    Ok(())
}

fn measure_starts(directory: &Path, options: &Options, report: &mut Report) -> Outcome<()> {
    let size = format!("{:.2} GB", fs::metadata(database(directory))?.len() as f64 / 1e9);
    let mut times = Vec::new();
    for _ in 0..options.rounds {
        times.push(time_to_ready(directory)?);
    }
    report.figure(&format!("start to ready, database of {size}"), "", with_spread(&times, " ms"));
    let mut times = Vec::new();
    for _ in 0..options.rounds {
        let server = Server::start(Kind::Creel, directory, 0)?;
        server.wait_until_ready()?;
        let mut client = Client::connect(server.address(), BodySize::Large)?;
        client.start()?;
        client.pump(Until::Elapsed(Duration::from_secs(1)))?;
        server.kill()?;
        times.push(time_to_ready(directory)?);
    }
    let longest = times.iter().copied().fold(0.0, f64::max);
    let figure = format!("longest start to ready, {size}, after kill -9 under load");
    report.bounded(&figure, "", longest, " ms", Bound::AtMost(READY_WITHIN_MS));
    Ok(())
}

/// Time to readiness, in milliseconds.
fn time_to_ready(directory: &Path) -> Outcome<f64> {
    let server = Server::start(Kind::Creel, directory, 0)?;
    let time = server.wait_until_ready()?;
    server.stop()?;
    Ok(time.as_secs_f64() * 1e3)
}

/// Returns the size of the database and its remaining WAL. Excludes the ballast file, whose size
/// does not depend on the messages.
fn bytes_on_disk(directory: &Path) -> Outcome<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == "creel.db" || name == "creel.db-wal" {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes)
}
