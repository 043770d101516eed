//! Load on a server that already runs, for `scripts/small-machine`.

use std::net::SocketAddr;
use std::time::Instant;

use crate::Outcome;
use crate::client::Client;
use crate::compare::RUNS;
use crate::latency::INTERVAL;
use crate::options::Options;
use crate::payload::BodySize;
use crate::report::{Report, with_spread};
use crate::runs::{CALM, Run, milliseconds, saturate_with};
use crate::server::{resident_bytes, wait_until_ready};

/// `process` is the server's, for its memory and its processor time.
pub fn measure(address: SocketAddr, process: u32, options: &Options, report: &mut Report) -> Outcome<()> {
    wait_until_ready(address, Instant::now())?;
    std::thread::sleep(CALM);
    let megabytes =
        |part| Ok::<_, Box<dyn std::error::Error + Send + Sync>>(resident_bytes(process, part)? as f64 / 1e6);
    report.figure("resident memory, idle", "", format!("{:.1} MB", megabytes("VmRSS:")?));
    let calm = Client::connect(address, BodySize::Small)?.open_loop(INTERVAL, 2 * options.run)?;
    let [p50, p99] = [0.5, 0.99].map(|quantile| milliseconds(&calm.latency, quantile));
    report.figure("ack at 100/s, p50 / p99", BodySize::Small.name(), format!("{p50:.2} / {p99:.2} ms"));
    let (mut acknowledged, mut rejected) = (calm.acknowledged, calm.rejected);
    for (size, connections) in RUNS {
        let body = format!("{}, {connections} connections", size.name());
        let (mut runs, mut resident) = (Vec::new(), Vec::new());
        for round in 1..=options.rounds {
            eprintln!("load, {body}: round {round} of {}", options.rounds);
            let client = Client::connect_many(address, size, connections)?;
            runs.push(saturate_with(client, process, options)?);
            resident.push(megabytes("VmRSS:")?);
        }
        let values = |value: fn(&Run) -> f64| runs.iter().map(value).collect::<Vec<_>>();
        report.figure("acknowledged", &body, with_spread(&values(Run::rate), "/s"));
        report.figure("ack at saturation, p50", &body, with_spread(&values(Run::p50_ms), " ms"));
        report.figure("ack at saturation, p99", &body, with_spread(&values(Run::p99_ms), " ms"));
        let processor_time = values(Run::processor_time_us);
        report.figure("processor time per message", &body, with_spread(&processor_time, " µs"));
        report.figure("resident memory after a run", &body, with_spread(&resident, " MB"));
        acknowledged += runs.iter().map(|run| run.acknowledged).sum::<u64>();
        rejected += runs.iter().map(|run| run.tally.rejected).sum::<u64>();
    }
    report.figure("largest resident memory", "", format!("{:.1} MB", megabytes("VmHWM:")?));
    // The script reads these two rows.
    report.figure("acknowledged in all runs", "", acknowledged.to_string());
    report.figure("not acknowledged in all runs", "", rejected.to_string());
    Ok(())
}
