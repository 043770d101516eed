//! Effect of a large file: the same server with 10,000,000 messages, and with as
//! many as it has pending deliveries, 1,000.

use std::time::Instant;

use crate::Outcome;
use crate::client::Client;
use crate::large_file::{LargeFile, PENDING};
use crate::machine::free_disk_bytes;
use crate::options::Options;
use crate::payload::BodySize;
use crate::report::{Report, median};
use crate::runs::{CALM, sync};
use crate::samples::{self, Sample};
use crate::server::{Kind, Server, get};

/// Disk space per message of the large file: a row, its headers, its key, and its index entries.
const DISK_BYTES_PER_MESSAGE: u64 = 1_300;
/// Disk space for the runs: their messages, the WAL and the log.
const DISK_BYTES_OF_RUNS: u64 = 3_000_000_000;
const KINDS: &str = "full ÷ empty";
const LIST: &str = "/api/v1/messages";
const LISTS: usize = 200;

/// Measurements of one kind of file.
#[derive(Debug, Default)]
struct Measured {
    samples: Vec<Sample>,
    list_ms: Vec<f64>,
    claim_us: Vec<f64>,
}

impl Measured {
    fn add(&mut self, file: &LargeFile, options: &Options) -> Outcome<()> {
        sync(file.path())?;
        let server = Server::start(Kind::Creel, file.path(), 0)?;
        let connect = |server: &Server| Client::connect(server.address(), BodySize::Tiny);
        self.samples.push(Sample::take(&server, connect, options)?);
        std::thread::sleep(CALM);
        self.list_ms.push(list(&server)?);
        file.check_keys(&server)?;
        server.stop()?;
        self.claim_us.push(file.claim()?);
        Ok(())
    }
}

pub fn measure(options: &Options, report: &mut Report) -> Outcome<()> {
    let messages = options.growth_rows.max(PENDING);
    let needed = DISK_BYTES_PER_MESSAGE * messages + DISK_BYTES_OF_RUNS;
    let free = free_disk_bytes(&options.directory)?;
    let gigabytes = |bytes: u64| format!("{:.1} GB", bytes as f64 / 1e9);
    let place = options.directory.display();
    eprintln!("growth: needs {} in {place}, {} are free", gigabytes(needed), gigabytes(free));
    if free < needed {
        report.note(format!(
            "**`growth` was skipped**: {messages} messages need {}, and only {} are free in {place}; \
             `--rows` sets a smaller number",
            gigabytes(needed),
            gigabytes(free),
        ));
        return Ok(());
    }
    let body = BodySize::Tiny.name();
    let begin = Instant::now();
    let file = LargeFile::create(messages, options)?;
    let seconds = begin.elapsed().as_secs_f64();
    let size = gigabytes(file.bytes()?);
    report.figure("full file", body, format!("{messages} messages, {size}, written in {seconds:.0} s"));
    let (mut full, mut empty) = (Measured::default(), Measured::default());
    for round in 1..=options.rounds {
        eprintln!("growth: round {round} of {}", options.rounds);
        // New in each round, because the runs fill it.
        empty.add(&LargeFile::create(PENDING, options)?, options)?;
        full.add(&file, options)?;
    }
    samples::report(KINDS, body, &full.samples, &empty.samples, report);
    let figure = format!("first page of {LIST}, {KINDS}");
    report.ratio(&figure, body, " ms", (&full.list_ms, &empty.list_ms));
    report.ratio(&format!("claim of 8 deliveries, {KINDS}"), body, " µs", (&full.claim_us, &empty.claim_us));
    Ok(())
}

/// Returns the median time of the first page, in milliseconds, each on a new connection.
fn list(server: &Server) -> Outcome<f64> {
    let mut took = Vec::with_capacity(LISTS);
    for _ in 0..LISTS {
        let begin = Instant::now();
        let reply = get(server.address(), LIST)?;
        took.push(begin.elapsed().as_secs_f64() * 1e3);
        if !reply.starts_with("HTTP/1.1 200") {
            return Err(format!("{LIST} failed: {reply}").into());
        }
    }
    Ok(median(&took))
}
