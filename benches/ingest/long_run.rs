//! One long run at saturation, with external monitoring of the server's WAL and memory.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::Outcome;
use crate::client::{Client, Until};
use crate::options::{Options, Section};
use crate::payload::BodySize;
use crate::report::{Bound, Report};
use crate::runs::{CALM, fresh_directory};
use crate::server::{Kind, Server, database, metric, resident_bytes};

const WAL_INTERVAL: Duration = Duration::from_millis(100);
/// Metrics are read rarely, because each request for them costs the server some time.
const WAL_READS_PER_METRICS: u32 = 10;
const MIB: f64 = 1024.0 * 1024.0;
const MB: f64 = 1e6;

/// The largest values observed.
#[derive(Clone, Copy, Debug, Default)]
struct Peaks {
    wal_bytes: u64,
    resident_bytes: u64,
    keys_bytes: f64,
    /// Resident memory without the keys, both read at about the same time.
    resident_without_keys: f64,
}

pub fn measure(options: &Options, report: &mut Report) -> Outcome<()> {
    for size in BodySize::BOTH {
        eprintln!("wal and memory, {}: {} s", size.name(), options.long_run.as_secs());
        let directory = fresh_directory(options)?;
        let server = Server::start(Kind::Creel, directory.path(), 0)?;
        server.wait_until_ready()?;
        std::thread::sleep(CALM);
        let idle_bytes = resident_bytes(server.process(), "VmRSS:")?;
        let idle_anonymous_bytes = resident_bytes(server.process(), "RssAnon:")?;
        let watch = Watch::begin(&server, directory.path());
        let mut client = Client::connect(server.address(), size)?;
        client.start()?;
        let tally = client.pump(Until::Elapsed(options.long_run))?;
        client.drain()?;
        let peaks = watch.end()?;
        server.stop()?;
        let body = size.name();
        let seconds = options.long_run.as_secs();
        report.figure(&format!("rate over {seconds} s"), body, format!("{:.0}/s", tally.rate()));
        if options.wants(Section::Wal) {
            let largest = peaks.wal_bytes as f64 / MIB;
            report.bounded(
                &format!("largest WAL in {seconds} s at saturation"),
                body,
                largest,
                " MiB",
                Bound::AtMost(96.0),
            );
        }
        if options.wants(Section::Memory) {
            let idle = format!("{:.1} MB", idle_anonymous_bytes as f64 / MB);
            report.bounded("resident memory, idle", body, idle_bytes as f64 / MB, " MB", Bound::AtMost(15.0));
            report.figure("of which not backed by a file", body, idle);
            report_memory(body, peaks, report);
        }
        if tally.rejected > 0 {
            report
                .note(format!("{} requests of the long run at {body} were not acknowledged", tally.rejected));
        }
    }
    Ok(())
}

fn report_memory(body: &str, peaks: Peaks, report: &mut Report) {
    report.figure(
        "resident memory at saturation",
        body,
        format!("{:.1} MB", peaks.resident_bytes as f64 / MB),
    );
    report.figure("keys held in memory, at most", body, format!("{:.1} MB", peaks.keys_bytes / MB));
    let without_keys = peaks.resident_without_keys / MB;
    report.bounded(
        "resident memory at saturation without the keys",
        body,
        without_keys,
        " MB",
        Bound::AtMost(64.0),
    );
}

/// A thread that monitors the server under load.
struct Watch {
    end: Sender<()>,
    thread: JoinHandle<Result<Peaks, String>>,
}

impl Watch {
    fn begin(server: &Server, directory: &Path) -> Self {
        let mut wal = database(directory).into_os_string();
        wal.push("-wal");
        let (wal, process, address) = (PathBuf::from(wal), server.process(), server.address());
        let (end, ended) = channel();
        let thread = std::thread::spawn(move || {
            let mut peaks = Peaks::default();
            let mut checks = 0;
            while ended.recv_timeout(WAL_INTERVAL) == Err(RecvTimeoutError::Timeout) {
                // A missing WAL counts as empty.
                let wal_bytes = fs::metadata(&wal).map_or(0, |metadata| metadata.len());
                peaks.wal_bytes = peaks.wal_bytes.max(wal_bytes);
                checks += 1;
                if checks % WAL_READS_PER_METRICS == 0 {
                    peaks.measure_memory(process, address).map_err(|error| error.to_string())?;
                }
            }
            Ok(peaks)
        });
        Self { end, thread }
    }

    fn end(self) -> Outcome<Peaks> {
        drop(self.end);
        Ok(self.thread.join().map_err(|_| "the watching thread panicked")??)
    }
}

impl Peaks {
    fn measure_memory(&mut self, process: u32, address: SocketAddr) -> Outcome<()> {
        let keys_bytes = metric(address, "creel_keys_bytes")?;
        let resident = resident_bytes(process, "VmRSS:")?;
        self.resident_bytes = self.resident_bytes.max(resident);
        self.keys_bytes = self.keys_bytes.max(keys_bytes);
        self.resident_without_keys = self.resident_without_keys.max(resident as f64 - keys_bytes);
        Ok(())
    }
}
