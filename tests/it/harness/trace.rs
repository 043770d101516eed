//! The strace log: the times at which frames were written to the WAL, the WAL was synced, and
//! replies were sent.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::load::Sent;
use super::{Builder, eventually};

const CALLS: &str = "trace=pwrite64,pwritev,fdatasync,fsync,write,writev,sendto,sendmsg";

/// Starts the service under strace as a separate process (`-D`), so that signals reach the service
/// itself.
pub fn traced(builder: Builder, inject: Option<&str>) -> (Builder, PathBuf) {
    let file = builder.path().join("strace.txt");
    let name = file.to_str().unwrap().to_owned();
    let mut words = vec!["strace", "-D", "-f", "-ttt", "-yy", "-s", "70000", "-o", &name, "-e", CALLS];
    if let Some(inject) = inject {
        words.extend(["-e", inject]);
    }
    (builder.wrapped(&words), file)
}

/// Injects faults without a log, so that only the fault slows the service.
pub fn injected(builder: Builder, inject: &str) -> Builder {
    builder.wrapped(&[
        "strace",
        "-D",
        "-f",
        "-q",
        "-o",
        "/dev/null",
        "-e",
        "trace=fdatasync,fsync",
        "-e",
        inject,
    ])
}

#[derive(Debug)]
struct Sync {
    began: usize,
    ended: usize,
    succeeded: bool,
}

/// Positions are line numbers: strace logs calls in the order in which they occur, and a thread
/// continues only after its line is written.
#[derive(Debug, Default)]
pub struct Trace {
    /// The position at which the first frame with a marker was completely written.
    written: HashMap<String, usize>,
    syncs: Vec<Sync>,
    /// The positions at which the replies of a connection began, by the client's port.
    replies: HashMap<u16, Vec<usize>>,
}

/// A call that has begun, and its meaning once it has ended.
enum StartedCall {
    Frames(Vec<String>),
    Sync(usize),
    Other,
}

impl Trace {
    /// Reads the log after strace has recorded the end of the process `id`.
    pub fn read(file: &Path, id: u32) -> Self {
        let mark = format!("{id} ");
        eventually("strace writes the end of the process", Duration::from_secs(60), || {
            let last = tail(file);
            last.lines().any(|line| line.starts_with(&mark) && line.contains(" +++ "))
        });
        let mut trace = Self::default();
        let mut begun: HashMap<String, StartedCall> = HashMap::new();
        let lines = BufReader::new(std::fs::File::open(file).unwrap()).lines();
        for (position, line) in lines.map(Result::unwrap).enumerate() {
            trace.add(position, &line, &mut begun);
        }
        trace
    }

    fn add(&mut self, position: usize, line: &str, begun: &mut HashMap<String, StartedCall>) {
        let mut words = line.splitn(2, ' ');
        let thread = words.next().unwrap_or_default().to_owned();
        let Some((_, call)) = words.next().and_then(|rest| rest.trim_start().split_once(' ')) else { return };
        if call.starts_with("<... ") {
            let call_begun = begun.remove(&thread).unwrap_or(StartedCall::Other);
            self.end(position, call_begun, call);
            return;
        }
        let kind = self.begin(position, call);
        if call.ends_with("<unfinished ...>") {
            begun.insert(thread, kind);
        } else {
            self.end(position, kind, call);
        }
    }

    fn begin(&mut self, position: usize, call: &str) -> StartedCall {
        let Some((name, arguments)) = call.split_once('(') else { return StartedCall::Other };
        let descriptor = arguments.split_once('>').map_or("", |(descriptor, _)| descriptor);
        let is_wal = descriptor.ends_with("-wal");
        match name {
            "pwrite64" | "pwritev" if is_wal => StartedCall::Frames(markers(arguments)),
            "fdatasync" | "fsync" if is_wal => StartedCall::Sync(position),
            "write" | "writev" | "sendto" | "sendmsg" => {
                if let Some(port) = peer_port(arguments) {
                    let count = arguments.matches("HTTP/1.1 ").count();
                    self.replies.entry(port).or_default().extend(std::iter::repeat_n(position, count));
                }
                StartedCall::Other
            }
            _ => StartedCall::Other,
        }
    }

    fn end(&mut self, position: usize, call: StartedCall, line: &str) {
        let result = line.rsplit_once(") = ").map_or("", |(_, result)| result.trim_start());
        match call {
            StartedCall::Frames(markers) if !result.starts_with('-') => {
                for marker in markers {
                    self.written.entry(marker).or_insert(position);
                }
            }
            StartedCall::Sync(began) => {
                self.syncs.push(Sync { began, ended: position, succeeded: result.starts_with('0') });
            }
            _ => {}
        }
    }

    pub fn failed_syncs(&self) -> usize {
        self.syncs.iter().filter(|sync| !sync.succeeded).count()
    }

    /// Asserts for each acknowledged message that its frames were written and then synced
    /// successfully before the reply began. No sync counts after a failed one. Returns the number
    /// of checked replies.
    #[track_caller]
    pub fn assert_synced_before_replies(&self, sent: &[Sent]) -> usize {
        let first_failure =
            self.syncs.iter().find(|sync| !sync.succeeded).map_or(usize::MAX, |sync| sync.ended);
        let acknowledged = sent.iter().filter(|sent| sent.is_acknowledged());
        let mut problems = Vec::new();
        let mut count = 0;
        for sent in acknowledged {
            count += 1;
            let (port, index) = sent.connection;
            let reply = self.replies.get(&port).and_then(|replies| replies.get(index));
            let written = self.written.get(&sent.id);
            let synced = written.and_then(|written| {
                self.syncs
                    .iter()
                    .find(|sync| sync.began > *written && sync.succeeded && sync.ended < first_failure)
            });
            match (reply, synced) {
                (Some(reply), Some(sync)) if sync.ended < *reply => {}
                _ => problems.push((&sent.id, written, synced, reply)),
            }
        }
        assert!(
            problems.is_empty(),
            "{} of {count} replies without a sync before them; (id, frames written, synced, reply): {:?}",
            problems.len(),
            &problems[..problems.len().min(5)]
        );
        count
    }
}

/// The ids of the load in written bytes.
fn markers(arguments: &str) -> Vec<String> {
    let is_marker = |text: &&str| text.matches('x').count() == 3;
    arguments
        .match_indices("load")
        .filter_map(|(at, _)| {
            let rest = &arguments[at + 4..];
            let end = rest.match_indices('x').nth(2).map(|(end, _)| end + 1)?;
            let text = &arguments[at..at + 4 + end];
            let is_number = |c: char| c.is_ascii_digit() || c == 'x';
            (text[4..].chars().all(is_number) && is_marker(&text)).then(|| text.to_owned())
        })
        .collect()
}

/// `12<TCP:[127.0.0.1:8080->127.0.0.1:40000]>, …` → 40000
fn peer_port(arguments: &str) -> Option<u16> {
    let (_, rest) = arguments.split_once("<TCP:[")?;
    let (address, _) = rest.split_once("]>")?;
    let (_, peer) = address.split_once("->")?;
    peer.rsplit_once(':')?.1.parse().ok()
}

/// The last lines, without reading a trace of gigabytes.
fn tail(file: &Path) -> String {
    use std::io::{Read, Seek, SeekFrom};
    let Ok(mut file) = std::fs::File::open(file) else { return String::new() };
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    let _ = file.seek(SeekFrom::Start(length.saturating_sub(64 * 1024)));
    let mut bytes = Vec::new();
    let _ = file.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}
