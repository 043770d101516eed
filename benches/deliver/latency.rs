//! Latency from the acknowledgement of a message to its arrival at the target, at 200 messages per
//! second. Also measures how a hanging and a failing target affect this latency and ingest.

use std::time::{Duration, Instant};

use creel::testing::{Receipt, Store};
use tempfile::TempDir;
use tokio::sync::mpsc;

use crate::report::{Bound, Report, median};
use crate::{Outcome, setup, target};

const ROUNDS: usize = 5;
const MESSAGES: usize = 1_000;
const EVERY: Duration = Duration::from_millis(5);

/// Quantiles of one run, in milliseconds.
struct Run {
    arrival_p50: f64,
    arrival_p99: f64,
    ack_p99: f64,
}

pub fn measure(report: &mut Report) -> Outcome<()> {
    let (mut normal, mut troubled) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        normal.push(run(&[])?);
        troubled.push(run(&[target::hang()?, target::fail()?])?);
    }
    let of = |runs: &[Run], quantile: fn(&Run) -> f64| median(&runs.iter().map(quantile).collect::<Vec<_>>());
    let (p50, p99) = (of(&normal, |run| run.arrival_p50), of(&normal, |run| run.arrival_p99));
    report.bounded("ack to arrival p50 at 200/s", "1 kB", p50, " ms", Bound::AtMost(5.0));
    report.bounded("ack to arrival p99 at 200/s", "1 kB", p99, " ms", Bound::AtMost(50.0));
    let p99_troubled = of(&troubled, |run| run.arrival_p99);
    report.figure(
        "the same p99 next to a hanging and a failing target",
        "1 kB",
        format!("{p99_troubled:.2} ms"),
    );
    report.bounded("ratio to normal", "1 kB", p99_troubled / p99, "", Bound::AtMost(1.2));
    let (ack, ack_troubled) = (of(&normal, |run| run.ack_p99), of(&troubled, |run| run.ack_p99));
    report.figure(
        "ack p99 with one target; next to the other two",
        "1 kB",
        format!("{ack:.2}; {ack_troubled:.2} ms"),
    );
    report.bounded("ratio to normal", "1 kB ack", ack_troubled / ack, "", Bound::AtMost(1.2));
    Ok(())
}

fn run(others: &[String]) -> Outcome<Run> {
    let directory = TempDir::new_in(setup::directory()?)?;
    let store = setup::open(directory.path())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (url, arrivals) = target::note_arrivals()?;
        setup::target(&store, "third", &url, 8).await?;
        for (number, other) in others.iter().enumerate() {
            setup::target(&store, &format!("other-{number}"), other, 8).await?;
        }
        let deliveries = setup::deliveries(&store)?;
        // Warm-up: opens connections and the circuit breaker of the failing target.
        send(&store, 100).await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        while arrivals.try_recv().is_ok() {}
        let acks = send(&store, MESSAGES).await?;
        let mut waits = Vec::with_capacity(MESSAGES);
        while waits.len() < MESSAGES {
            let (id, at) = arrivals.recv_timeout(Duration::from_secs(20))?;
            if let Some((_, acked, _)) = acks.iter().find(|(acked_id, ..)| *acked_id == id) {
                // A message can reach the target before its acknowledgement is recorded.
                waits.push(at.saturating_duration_since(*acked).as_secs_f64() * 1e3);
            }
        }
        let mut took: Vec<f64> = acks.iter().map(|(.., took)| took.as_secs_f64() * 1e3).collect();
        waits.sort_by(f64::total_cmp);
        took.sort_by(f64::total_cmp);
        deliveries.stop().await;
        store.close(Duration::from_secs(10)).await;
        let quantile = |sorted: &[f64], share: f64| sorted[((sorted.len() - 1) as f64 * share) as usize];
        Ok(Run {
            arrival_p50: quantile(&waits, 0.5),
            arrival_p99: quantile(&waits, 0.99),
            ack_p99: quantile(&took, 0.99),
        })
    })
}

/// Sends messages at fixed times, regardless of earlier ones. Returns the id of each message, the
/// time of its acknowledgement, and the delay of the acknowledgement since the message was due.
async fn send(store: &Store, count: usize) -> Outcome<Vec<(i64, Instant, Duration)>> {
    let body = setup::body();
    let (sender, mut acks) = mpsc::unbounded_channel();
    let began = Instant::now();
    for number in 0..count {
        let due = began + EVERY * u32::try_from(number)?;
        tokio::time::sleep_until(due.into()).await;
        let (store, body, sender) = (store.clone(), body.clone(), sender.clone());
        tokio::spawn(async move {
            let kept =
                store.ingest().keep(setup::message(&body), Instant::now() + Duration::from_secs(10)).await;
            if let Ok(Receipt::New { id }) = kept {
                let _ = sender.send((id.get(), Instant::now(), due.elapsed()));
            }
        });
    }
    drop(sender);
    let mut all = Vec::with_capacity(count);
    while let Some(ack) = acks.recv().await {
        all.push(ack);
    }
    if all.len() == count { Ok(all) } else { Err("some messages were not stored".into()) }
}
