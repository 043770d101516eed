//! The machine: its description, the sync rate of its disk, and the use of its processors.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{StatVfs, statfs, statvfs};

use crate::Outcome;
use crate::report::median;

const TMPFS_MAGIC: i64 = 0x0102_1994;
const RAMFS_MAGIC: i64 = 0x8584_58f6;
const SYNCS: usize = 200;
const SYNCED_BYTES: usize = 64 * 1024;

/// Rejects memory file systems: nothing is synced to disk there, so every figure would be too good.
pub fn reject_memory_file_system(directory: &Path) -> Outcome<()> {
    let kind = statfs(directory)?.f_type;
    if kind == TMPFS_MAGIC || kind == RAMFS_MAGIC {
        let path = directory.display();
        let variable = "INGEST_DIRECTORY or DELIVER_DIRECTORY";
        return Err(format!("{path} is in memory: set {variable} to a directory on a real disk").into());
    }
    Ok(())
}

pub fn reject_small_disk(directory: &Path, needed_bytes: u64) -> Outcome<()> {
    let free = free_disk_bytes(directory)?;
    if free < needed_bytes {
        let path = directory.display();
        return Err(format!("{path} has {free} bytes free: the benchmark needs {needed_bytes}").into());
    }
    Ok(())
}

pub fn free_disk_bytes(directory: &Path) -> Outcome<u64> {
    Ok(free_bytes(&statvfs(directory)?))
}

fn free_bytes(file_system: &StatVfs) -> u64 {
    file_system.f_bavail * file_system.f_frsize
}

/// Describes the machine in rows of name and value.
pub fn describe(directory: &Path) -> Outcome<Vec<(&'static str, String)>> {
    let processors = fs::read_to_string("/proc/cpuinfo")?;
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let memory = fs::read_to_string("/proc/meminfo")?;
    let memory_kib: f64 = field(&memory, "MemTotal:").unwrap_or("0").parse()?;
    let free = free_disk_bytes(directory)? as f64 / 1e9;
    let load = fs::read_to_string("/proc/loadavg")?;
    Ok(vec![
        ("processor", model.trim_start_matches([' ', '\t', ':']).to_owned()),
        ("processors used", processor_count()?.to_string()),
        ("memory", format!("{:.1} GB", memory_kib * 1024.0 / 1e9)),
        ("load average of a minute, before", load.split_whitespace().next().unwrap_or_default().to_owned()),
        ("kernel", format!("Linux {}", fs::read_to_string("/proc/sys/kernel/osrelease")?.trim())),
        ("file system", file_system(directory)?),
        ("free space", format!("{free:.0} GB")),
        (
            "fdatasync after 64 KiB, median of 200",
            format!("{:.0} µs", median_sync(directory)?.as_secs_f64() * 1e6),
        ),
    ])
}

/// Returns the first word after a name, for files of /proc in this format.
pub fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()
}

pub fn processor_count() -> Outcome<usize> {
    Ok(std::thread::available_parallelism()?.get())
}

/// Returns type and device of the mount that contains the directory.
fn file_system(directory: &Path) -> Outcome<String> {
    let directory = directory.canonicalize()?;
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let mut best = (0, "unknown".to_owned());
    for line in mounts.lines() {
        let mut words = line.split_whitespace();
        let (Some(device), Some(point), Some(kind)) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        if directory.starts_with(point) && point.len() >= best.0 {
            best = (point.len(), format!("{kind} on {device}"));
        }
    }
    Ok(best.1)
}

fn median_sync(directory: &Path) -> Outcome<Duration> {
    let file = tempfile::tempfile_in(directory)?;
    let bytes = vec![0x5a; SYNCED_BYTES];
    let mut seconds = Vec::with_capacity(SYNCS);
    for number in 0..SYNCS {
        file.write_all_at(&bytes, (number * SYNCED_BYTES) as u64)?;
        let begin = Instant::now();
        file.sync_data()?;
        seconds.push(begin.elapsed().as_secs_f64());
    }
    Ok(Duration::from_secs_f64(median(&seconds)))
}

/// Processor time used so far.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    at: Instant,
    client: Duration,
    server: Duration,
    idle: Duration,
}

/// Average number of processors that each party used between two moments.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    pub client: f64,
    pub server: f64,
    pub others: f64,
    pub idle: f64,
}

impl Moment {
    pub fn now(server_process: u32) -> Outcome<Self> {
        Ok(Self {
            at: Instant::now(),
            client: processor_time(std::process::id())?,
            server: processor_time(server_process)?,
            idle: idle_time()?,
        })
    }

    pub fn usage_since(self, earlier: Self) -> Outcome<Usage> {
        let elapsed = (self.at - earlier.at).as_secs_f64();
        let share =
            |later: Duration, earlier: Duration| later.saturating_sub(earlier).as_secs_f64() / elapsed;
        let client = share(self.client, earlier.client);
        let server = share(self.server, earlier.server);
        let idle = share(self.idle, earlier.idle);
        let others = (processor_count()? as f64 - client - server - idle).max(0.0);
        Ok(Usage { client, server, others, idle })
    }
}

impl Usage {
    /// Returns a reason to discard the rate, if the server was not the bottleneck: the client's
    /// single thread was nearly always busy, or processors were idle or used by others.
    pub fn other_bottleneck(self) -> Option<&'static str> {
        let all = self.client + self.server + self.others + self.idle;
        if self.client > 0.9 {
            Some("the client was the limit")
        } else if self.idle > 0.1 * all {
            Some("the server was not loaded")
        } else if self.others > 0.1 * all {
            Some("other programs used the processors")
        } else {
            None
        }
    }
}

/// User and system time of all threads of a process.
fn processor_time(process: u32) -> Outcome<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name is in parentheses and may contain any character; the fields after it are numbers.
    let numbers = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 =
        numbers.split_whitespace().skip(11).take(2).filter_map(|word| word.parse::<u64>().ok()).sum();
    Ok(from_ticks(ticks))
}

/// Idle time of all processors, including waits for the disk.
fn idle_time() -> Outcome<Duration> {
    let stat = fs::read_to_string("/proc/stat")?;
    let first = stat.lines().next().unwrap_or_default();
    let ticks: u64 =
        first.split_whitespace().skip(4).take(2).filter_map(|word| word.parse::<u64>().ok()).sum();
    Ok(from_ticks(ticks))
}

fn from_ticks(ticks: u64) -> Duration {
    Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}
