//! Benchmark of ingest: the real release server on a real disk, against a handler that stores
//! nothing. It measures and reports; it never fails because of a low figure. See
//! docs/benchmarks.md.

mod client;
mod compare;
mod files;
mod growth;
mod handlers;
mod large_file;
mod latency;
mod load;
mod long_run;
mod machine;
mod many;
mod options;
mod payload;
mod rates;
mod report;
mod rows;
mod runs;
mod samples;
mod server;
mod table;

use std::process::ExitCode;

use options::{Options, Section};
use report::Report;

pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The allocator of creel, so that the compared handlers use the same one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Disk space per row of the `table` section (bodies of 1 kB), including the WAL and the log.
const DISK_BYTES_PER_ROW: u64 = 2_500;

/// Disk space for a run of a minute at saturation.
const DISK_BYTES_OF_RUNS: u64 = 4_000_000_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.split_first() {
        Some((first, rest)) if first == handlers::SERVE => handlers::serve(rest),
        // Cargo also builds and runs benchmarks as tests, without this flag.
        _ if arguments.iter().any(|word| word == "--help")
            || !arguments.iter().any(|word| word == "--bench") =>
        {
            print!("{}", options::HELP);
            Ok(())
        }
        _ => Options::read(&arguments).and_then(|options| measure(&options)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ingest: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Disk space for all sections but `growth`, which checks it itself.
fn needed_bytes(options: &Options) -> u64 {
    let sections = [
        (Section::Start, 4 * options.start_bytes),
        (Section::Disk, 4 * options.start_bytes),
        (Section::Table, DISK_BYTES_PER_ROW * options.table_rows),
    ];
    let needed = sections.iter().filter(|(section, _)| options.wants(*section)).map(|(_, bytes)| *bytes);
    needed.max().unwrap_or(0).max(DISK_BYTES_OF_RUNS)
}

fn measure(options: &Options) -> Outcome<()> {
    machine::reject_memory_file_system(&options.directory)?;
    machine::reject_small_disk(&options.directory, needed_bytes(options))?;
    let machine = machine::describe(&options.directory)?;
    let mut report = Report::default();
    if let Some(other) = &options.compare {
        compare::measure(other, options, &mut report)?;
        print!("{}", report.to_markdown(&machine));
        return Ok(());
    }
    if let Some((address, process)) = options.load {
        load::measure(address, process, options, &mut report)?;
        print!("{}", report.to_markdown(&machine));
        return Ok(());
    }
    if options.wants(Section::Rates) {
        rates::measure(options, &mut report)?;
    }
    if options.wants(Section::Latency) {
        latency::measure(options, &mut report)?;
    }
    if options.wants(Section::Wal) || options.wants(Section::Memory) {
        long_run::measure(options, &mut report)?;
    }
    if options.wants(Section::Start) || options.wants(Section::Disk) {
        files::measure(options, &mut report)?;
    }
    if options.wants(Section::Table) {
        table::measure(options, &mut report)?;
    }
    if options.wants(Section::Growth) {
        growth::measure(options, &mut report)?;
    }
    if options.wants(Section::Many) {
        many::measure(options, &mut report)?;
    }
    if options.quick {
        report.note("short runs (`--quick`): these figures only show that the benchmark works".to_owned());
    }
    if cfg!(debug_assertions) {
        report.note("not an optimised build: these figures mean nothing".to_owned());
    }
    print!("{}", report.to_markdown(&machine));
    Ok(())
}
