//! Deliveries per second with durable outcomes, against the same client in a bare loop at the same
//! concurrency.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use creel::testing::TargetState;
use creel::testing::{DeliveryClient, Reach};
use tempfile::TempDir;
use time::OffsetDateTime;

use crate::report::{Bound, Report, median, with_spread};
use crate::{Outcome, setup, target};

const ROUNDS: usize = 5;
const DELIVERIES: usize = 20_000;
const CONCURRENCY: u32 = 32;

pub fn measure(report: &mut Report) -> Outcome<()> {
    let url = target::start()?;
    let (mut bare, mut durable) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        bare.push(bare_loop(&url)?);
        durable.push(durable_deliveries(&url)?);
    }
    report.figure("bare loop of the client", "1 kB", with_spread(&bare, "/s"));
    report.figure("deliveries with durable outcomes", "1 kB", with_spread(&durable, "/s"));
    let ratio = median(&durable) / median(&bare);
    report.bounded("durable deliveries ÷ bare loop", "1 kB", ratio, "", Bound::AtLeast(0.5));
    Ok(())
}

/// Returns the requests per second of the client alone.
fn bare_loop(url: &str) -> Outcome<f64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let client = DeliveryClient::new(Reach::Anywhere);
    let headers: Vec<(String, Vec<u8>)> =
        (0..12).map(|n| (format!("x-header-{n}"), vec![b'v'; 40])).collect();
    let body = setup::body();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let began = Instant::now();
        let loops = (0..CONCURRENCY).map(|_| async {
            for _ in 0..DELIVERIES / CONCURRENCY as usize {
                client.post(url, &headers, body.clone(), Duration::from_secs(30)).await?;
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
        });
        for ended in futures_util::future::join_all(loops).await {
            ended?;
        }
        Ok(DELIVERIES as f64 / began.elapsed().as_secs_f64())
    })
}

/// Returns the deliveries per second, measured from the resume of the target until the last outcome
/// is stored durably.
fn durable_deliveries(url: &str) -> Outcome<f64> {
    let directory = TempDir::new_in(setup::directory()?)?;
    let store = setup::open(directory.path())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let id = setup::target(&store, "target", url, CONCURRENCY).await?;
        store
            .target_registry()
            .set_target_state(id, TargetState::Paused, None, OffsetDateTime::now_utc())
            .await?;
        setup::fill(&store, DELIVERIES).await?;
        let deliveries = setup::deliveries(&store)?;
        tokio::time::sleep(Duration::from_millis(200)).await;
        let answered = target::ANSWERED.load(Ordering::Relaxed);
        let began = Instant::now();
        store
            .target_registry()
            .set_target_state(id, TargetState::Active, None, OffsetDateTime::now_utc())
            .await?;
        while store.stats().attempts_delivered < DELIVERIES as u64 {
            if began.elapsed() > Duration::from_secs(120) {
                return Err("the deliveries did not finish in 120 s".into());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let took = began.elapsed();
        let received = target::ANSWERED.load(Ordering::Relaxed) - answered;
        if received != DELIVERIES as u64 {
            return Err(format!("{received} requests received for {DELIVERIES} deliveries").into());
        }
        deliveries.stop().await;
        store.close(Duration::from_secs(10)).await;
        Ok(DELIVERIES as f64 / took.as_secs_f64())
    })
}
