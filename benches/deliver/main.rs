//! Benchmark of deliveries: durable outcomes against the same HTTP client in a bare loop, against a real server on
//! loopback that answers at once. It measures and reports; it never fails because a figure was not reached. See
//! docs/benchmarks.md.

#[path = "../ingest/machine.rs"]
#[expect(dead_code, reason = "the ingest benchmark uses more of it")]
mod machine;
#[path = "../ingest/report.rs"]
#[expect(dead_code, reason = "the ingest benchmark uses more of it")]
mod report;

mod rates;
mod setup;
mod target;

use std::process::ExitCode;

use report::Report;

pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The allocator of creel, so that what it is compared with does not lose by its own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // Cargo builds and starts benchmarks as tests too: then it does not give this flag.
    if !arguments.iter().any(|word| word == "--bench") {
        return ExitCode::SUCCESS;
    }
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("deliver: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Outcome<()> {
    let directory = setup::directory()?;
    machine::refuse_memory_file_system(&directory)?;
    let machine = machine::describe(&directory)?;
    let mut report = Report::default();
    rates::measure(&mut report)?;
    print!("{}", report.to_markdown(&machine));
    Ok(())
}
