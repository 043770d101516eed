//! This build against another build of creel, in turns: rate, processor time per message, latency
//! and memory.

use std::fs;
use std::path::Path;

use crate::Outcome;
use crate::client::CONNECTIONS;
use crate::options::Options;
use crate::payload::BodySize;
use crate::report::{Report, median, number, with_spread};
use crate::runs::{Run, run_binary};

const RUNS: [(BodySize, usize); 3] =
    [(BodySize::Small, CONNECTIONS), (BodySize::Small, 256), (BodySize::Large, CONNECTIONS)];

/// Measurements of one build.
#[derive(Debug, Default)]
struct Build {
    runs: Vec<Run>,
    idle_megabytes: Vec<f64>,
}

impl Build {
    fn run(
        &mut self,
        binary: &Path,
        (size, connections): (BodySize, usize),
        options: &Options,
    ) -> Outcome<()> {
        let (run, idle_bytes) = run_binary(binary, size, connections, options)?;
        self.runs.push(run);
        self.idle_megabytes.push(idle_bytes as f64 / 1e6);
        Ok(())
    }

    fn values(&self, value: fn(&Run) -> f64) -> Vec<f64> {
        self.runs.iter().map(value).collect()
    }
}

/// A figure of a run: its name, its unit and its value.
type Figure = (&'static str, &'static str, fn(&Run) -> f64);

const FIGURES: [Figure; 4] = [
    ("acknowledged", "/s", |run| run.tally.rate()),
    ("processor time per message", " µs", |run| 1e6 * run.usage.server / run.tally.rate()),
    ("ack p50", " ms", |run| quantile(run, 0.5)),
    ("ack p99", " ms", |run| quantile(run, 0.99)),
];

pub fn measure(other: &Path, options: &Options, report: &mut Report) -> Outcome<()> {
    let this = Path::new(env!("CARGO_BIN_EXE_creel"));
    for (name, binary) in [("this", this), ("other", other)] {
        let bytes = fs::metadata(binary)?.len();
        report.figure(&format!("binary, {name} build"), "", format!("{:.1} MB", bytes as f64 / 1e6));
    }
    for kind in RUNS {
        let (size, connections) = kind;
        let body = format!("{}, {connections} connections", size.name());
        let (mut ours, mut theirs) = (Build::default(), Build::default());
        for round in 1..=options.rounds {
            eprintln!("compare, {body}: round {round} of {}", options.rounds);
            // The order alternates, because the disk is in a different state for the second run of
            // a pair.
            if round % 2 == 0 {
                ours.run(this, kind, options)?;
                theirs.run(other, kind, options)?;
            } else {
                theirs.run(other, kind, options)?;
                ours.run(this, kind, options)?;
            }
        }
        for (name, unit, value) in FIGURES {
            compare(name, &body, unit, &ours.values(value), &theirs.values(value), report);
        }
        compare("resident memory, idle", &body, " MB", &ours.idle_megabytes, &theirs.idle_megabytes, report);
        let rejected: u64 = ours.runs.iter().chain(&theirs.runs).map(|run| run.tally.rejected).sum();
        if rejected > 0 {
            report.note(format!("{rejected} requests at {body} were not acknowledged"));
        }
    }
    Ok(())
}

fn compare(name: &str, body: &str, unit: &str, ours: &[f64], theirs: &[f64], report: &mut Report) {
    let ratio = number(median(ours) / median(theirs));
    let text = format!("{} : {} = **{ratio}**", with_spread(ours, unit), with_spread(theirs, unit));
    report.figure(&format!("{name}, this : other"), body, text);
}

fn quantile(run: &Run, quantile: f64) -> f64 {
    run.tally.latency.value_at_quantile(quantile) as f64 / 1e3
}
