//! The same measurements of two kinds of server that alternate.

use crate::Outcome;
use crate::client::Client;
use crate::latency::INTERVAL;
use crate::options::Options;
use crate::report::Report;
use crate::runs::{CALM, Run, milliseconds, saturate_with};
use crate::server::{Server, resident_bytes};

/// Measurements of one start of a server.
#[derive(Debug)]
pub struct Sample {
    ready_ms: f64,
    idle_megabytes: f64,
    calm_p50_ms: f64,
    calm_p99_ms: f64,
    run: Run,
}

impl Sample {
    /// Measures readiness, memory when idle, acknowledgements at 100/s, then a run at saturation.
    pub fn take(
        server: &Server,
        connect: impl Fn(&Server) -> Outcome<Client>,
        options: &Options,
    ) -> Outcome<Self> {
        let ready_ms = server.wait_until_ready()?.as_secs_f64() * 1e3;
        std::thread::sleep(CALM);
        let idle_megabytes = resident_bytes(server.process(), "VmRSS:")? as f64 / 1e6;
        let calm = connect(server)?.open_loop(INTERVAL, options.run)?;
        let run = saturate_with(connect(server)?, server.process(), options)?;
        if calm.rejected + run.tally.rejected > 0 {
            return Err("some requests were not acknowledged".into());
        }
        Ok(Self {
            ready_ms,
            idle_megabytes,
            calm_p50_ms: milliseconds(&calm.latency, 0.5),
            calm_p99_ms: milliseconds(&calm.latency, 0.99),
            run,
        })
    }
}

/// A figure of a sample: its name, its unit and its value.
type Figure = (&'static str, &'static str, fn(&Sample) -> f64);

const FIGURES: [Figure; 8] = [
    ("acknowledged", "/s", |sample| sample.run.rate()),
    ("ack at saturation, p50", " ms", |sample| sample.run.p50_ms()),
    ("ack at saturation, p99", " ms", |sample| sample.run.p99_ms()),
    ("ack at 100/s, p50", " ms", |sample| sample.calm_p50_ms),
    ("ack at 100/s, p99", " ms", |sample| sample.calm_p99_ms),
    ("processor time per message", " µs", |sample| sample.run.processor_time_us()),
    ("start to ready", " ms", |sample| sample.ready_ms),
    ("resident memory, idle", " MB", |sample| sample.idle_megabytes),
];

/// Adds all figures of both kinds; `kinds` names them, such as `full ÷ empty`.
pub fn report(kinds: &str, body: &str, first: &[Sample], second: &[Sample], report: &mut Report) {
    for (name, unit, value) in FIGURES {
        let values = |samples: &[Sample]| samples.iter().map(value).collect::<Vec<_>>();
        report.ratio(&format!("{name}, {kinds}"), body, unit, (&values(first), &values(second)));
    }
}
