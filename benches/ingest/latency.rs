//! Latency of the acknowledgement, at saturation and at a realistic rate.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::Outcome;
use crate::client::Client;
use crate::options::Options;
use crate::payload::BodySize;
use crate::report::{Bound, Report, median};
use crate::runs::{fresh_directory, milliseconds, saturate};
use crate::server::{Kind, Server};

/// 100 requests per second.
pub const INTERVAL: Duration = Duration::from_millis(10);
const PROMISED_P99_MS: f64 = 100.0;
const QUANTILES: [f64; 3] = [0.5, 0.99, 0.999];

pub fn measure(options: &Options, report: &mut Report) -> Outcome<()> {
    for size in BodySize::BOTH {
        let mut saturated = Vec::new();
        let mut calm = Histogram::new_with_bounds(1, 60_000_000, 3)?;
        let mut rejected = 0;
        for round in 1..=options.rounds {
            eprintln!("latency, {}: round {round} of {}", size.name(), options.rounds);
            let directory = fresh_directory(options)?;
            let server = Server::start(Kind::Creel, directory.path(), 0)?;
            server.wait_until_ready()?;
            // Runs before the saturated run, which leaves pending writes to the disk.
            let mut client = Client::connect(server.address(), size)?;
            let tally = client.open_loop(INTERVAL, 2 * options.run)?;
            calm.add(&tally.latency)?;
            rejected += tally.rejected;
            drop(client);
            saturated.push(saturate(&server, size, options)?.tally);
            server.stop()?;
        }
        rejected += saturated.iter().map(|tally| tally.rejected).sum::<u64>();
        let body = size.name();
        let [p50, p99, p999] = QUANTILES.map(|quantile| {
            median(&saturated.iter().map(|tally| milliseconds(&tally.latency, quantile)).collect::<Vec<_>>())
        });
        report.figure(
            "ack at saturation, p50 / p99 / p99.9",
            body,
            format!("{p50:.2} / {p99:.2} / {p999:.2} ms"),
        );
        report.bounded("ack at saturation, p99 ÷ p50", body, p99 / p50, "", Bound::AtMost(5.0));
        let [p50, p99, p999] = QUANTILES.map(|quantile| milliseconds(&calm, quantile));
        report.figure("ack at 100/s, p50 / p99 / p99.9", body, format!("{p50:.2} / {p99:.2} / {p999:.2} ms"));
        report.bounded("ack at 100/s, p99", body, p99, " ms", Bound::AtMost(PROMISED_P99_MS));
        if rejected > 0 {
            report.note(format!("{rejected} requests of the latency runs at {body} were not acknowledged"));
        }
    }
    Ok(())
}
