//! Cost of a subscribed target for ingest: messages per second through the store, with and without
//! one.

use std::time::{Duration, Instant};

use creel::testing::TargetState;
use tempfile::TempDir;
use time::OffsetDateTime;

use crate::report::{Report, median, with_spread};
use crate::{Outcome, setup};

const ROUNDS: usize = 5;
const MESSAGES: usize = 100_000;

pub fn measure(report: &mut Report) -> Outcome<()> {
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        without.push(run(0)?);
        with.push(run(1)?);
    }
    report.figure("stored, no target, 256 concurrent", "1 kB", with_spread(&without, "/s"));
    report.figure("stored, one target, 256 concurrent", "1 kB", with_spread(&with, "/s"));
    report.figure("ratio", "1 kB", format!("{:.2}", median(&with) / median(&without)));
    Ok(())
}

/// Returns the messages stored per second. The targets are paused, so that their only cost is the
/// writing of their deliveries.
fn run(targets: usize) -> Outcome<f64> {
    let directory = TempDir::new_in(setup::directory()?)?;
    let store = setup::open(directory.path())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        for number in 0..targets {
            let id = setup::target(&store, &format!("target-{number}"), "http://127.0.0.1:9/", 8).await?;
            store
                .target_registry()
                .set_target_state(id, TargetState::Paused, None, OffsetDateTime::now_utc())
                .await?;
        }
        setup::fill(&store, 5_000).await?;
        let began = Instant::now();
        setup::fill(&store, MESSAGES).await?;
        let rate = MESSAGES as f64 / began.elapsed().as_secs_f64();
        store.close(Duration::from_secs(10)).await;
        Ok(rate)
    })
}
