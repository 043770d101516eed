//! This build against another build of creel, in turns: rate, processor time per message, latency,
//! memory and start.

use std::fs;
use std::path::Path;

use crate::Outcome;
use crate::client::CONNECTIONS;
use crate::options::Options;
use crate::payload::BodySize;
use crate::report::Report;
use crate::runs::{BinaryRun, Run, run_binary};

/// Bodies and numbers of connections.
pub const RUNS: [(BodySize, usize); 3] =
    [(BodySize::Small, CONNECTIONS), (BodySize::Small, 256), (BodySize::Large, CONNECTIONS)];

/// A figure of a run: its name, its unit and its value.
type Figure<T> = (&'static str, &'static str, fn(&T) -> f64);

const FIGURES: [Figure<Run>; 4] = [
    ("acknowledged", "/s", Run::rate),
    ("processor time per message", " µs", Run::processor_time_us),
    ("ack p50", " ms", Run::p50_ms),
    ("ack p99", " ms", Run::p99_ms),
];

/// Measured before each run, and reported for all of them together.
const FIGURES_OF_A_START: [Figure<BinaryRun>; 2] = [
    ("start to ready, new database", " ms", |start| start.ready_ms),
    ("resident memory, idle", " MB", |start| start.idle_bytes as f64 / 1e6),
];

pub fn measure(other: &Path, options: &Options, report: &mut Report) -> Outcome<()> {
    let this = Path::new(env!("CARGO_BIN_EXE_creel"));
    for (name, binary) in [("this", this), ("other", other)] {
        let bytes = fs::metadata(binary)?.len();
        report.figure(&format!("binary, {name} build"), "", format!("{:.1} MB", bytes as f64 / 1e6));
    }
    let (mut all_ours, mut all_theirs) = (Vec::new(), Vec::new());
    for (size, connections) in RUNS {
        let body = format!("{}, {connections} connections", size.name());
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for round in 1..=options.rounds {
            eprintln!("compare, {body}: round {round} of {}", options.rounds);
            // The order alternates, because the disk is in a different state for the second run of
            // a pair.
            if round % 2 == 0 {
                ours.push(run_binary(this, size, connections, options)?);
                theirs.push(run_binary(other, size, connections, options)?);
            } else {
                theirs.push(run_binary(other, size, connections, options)?);
                ours.push(run_binary(this, size, connections, options)?);
            }
        }
        for (name, unit, value) in FIGURES {
            let values = |runs: &[BinaryRun]| runs.iter().map(|run| value(&run.run)).collect::<Vec<_>>();
            report.ratio(&this_to_other(name), &body, unit, (&values(&ours), &values(&theirs)));
        }
        let rejected: u64 = ours.iter().chain(&theirs).map(|run| run.run.tally.rejected).sum();
        if rejected > 0 {
            report.note(format!("{rejected} requests at {body} were not acknowledged"));
        }
        all_ours.append(&mut ours);
        all_theirs.append(&mut theirs);
    }
    for (name, unit, value) in FIGURES_OF_A_START {
        let values = |runs: &[BinaryRun]| runs.iter().map(value).collect::<Vec<_>>();
        report.ratio(&this_to_other(name), "", unit, (&values(&all_ours), &values(&all_theirs)));
    }
    Ok(())
}

fn this_to_other(name: &str) -> String {
    format!("{name}, this : other")
}
