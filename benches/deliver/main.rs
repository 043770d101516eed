//! Benchmark of deliveries: durable outcomes against the same HTTP client in a bare loop, with a
//! real server on loopback that responds immediately. It measures and reports; it never fails
//! because of a low figure. See docs/benchmarks.md.

#[path = "../ingest/machine.rs"]
#[expect(dead_code, reason = "the ingest benchmark uses more of it")]
mod machine;
#[path = "../ingest/report.rs"]
#[expect(dead_code, reason = "the ingest benchmark uses more of it")]
mod report;

mod backlog;
mod ingest;
mod latency;
mod rates;
mod setup;
mod target;

use std::process::ExitCode;

use report::Report;

pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The allocator of creel, so that the bare loop uses the same one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // Cargo also builds and runs benchmarks as tests, without this flag.
    if !arguments.iter().any(|word| word == "--bench") {
        return ExitCode::SUCCESS;
    }
    match measure(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("deliver: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the named sections (`rates`, `fan-out`, `latency`, `backlog`, `ingest`), or all of them.
/// `DELIVER_PENDING` sets the number of pending deliveries in `backlog` (default: 1,000,000).
fn measure(arguments: &[String]) -> Outcome<()> {
    let named: Vec<&str> =
        arguments.iter().map(String::as_str).filter(|word| !word.starts_with('-')).collect();
    let is_selected = |section| named.is_empty() || named.contains(&section);
    let directory = setup::directory()?;
    machine::reject_memory_file_system(&directory)?;
    let machine = machine::describe(&directory)?;
    let mut report = Report::default();
    if is_selected("rates") {
        rates::measure(&mut report)?;
    }
    if is_selected("fan-out") {
        rates::measure_fan_out(&mut report)?;
    }
    if is_selected("latency") {
        latency::measure(&mut report)?;
    }
    if is_selected("backlog") {
        let pending = std::env::var("DELIVER_PENDING").ok();
        backlog::measure(&mut report, pending.map_or(Ok(1_000_000), |text| text.parse())?)?;
    }
    if is_selected("ingest") {
        ingest::measure(&mut report)?;
    }
    print!("{}", report.to_markdown(&machine));
    Ok(())
}
