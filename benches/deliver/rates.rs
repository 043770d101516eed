//! Deliveries per second with durable outcomes, to one target and to three targets of the same
//! messages, against the same client in a bare loop at the same concurrency.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use creel::testing::{DeliveryClient, HeaderFields, Reach, Store, TargetId, TargetState};
use tempfile::TempDir;
use time::OffsetDateTime;

use crate::report::{Bound, Report, median, with_spread};
use crate::{Outcome, setup, target};

const ROUNDS: usize = 5;
const DELIVERIES: usize = 20_000;
const CONCURRENCY: u32 = 32;
const FAN_OUT: usize = 3;

pub fn measure(report: &mut Report) -> Outcome<()> {
    let url = target::start()?;
    let (mut bare, mut durable) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        bare.push(bare_loop(&url)?);
        durable.push(durable_deliveries(&url, 1)?);
    }
    report.figure("bare loop of the client", "1 kB", with_spread(&bare, "/s"));
    report.figure("deliveries with durable outcomes", "1 kB", with_spread(&durable, "/s"));
    let ratio = median(&durable) / median(&bare);
    report.bounded("durable deliveries ÷ bare loop", "1 kB", ratio, "", Bound::AtLeast(0.6));
    Ok(())
}

/// Compares the rate of each of three targets of the same messages with that of a single target.
pub fn measure_fan_out(report: &mut Report) -> Outcome<()> {
    let url = target::start()?;
    let (mut one, mut three) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        one.push(durable_deliveries(&url, 1)?);
        three.push(durable_deliveries(&url, FAN_OUT)?);
    }
    report.figure("one target", "1 kB", with_spread(&one, "/s"));
    report.figure("each of three targets", "1 kB", with_spread(&three, "/s"));
    let ratio = median(&three) / median(&one);
    report.bounded("each of three targets ÷ one target", "1 kB", ratio, "", Bound::AtLeast(0.5));
    Ok(())
}

/// Returns the requests per second of the client alone.
fn bare_loop(url: &str) -> Outcome<f64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let client = DeliveryClient::new(Reach::Anywhere);
    let headers: HeaderFields<'_> =
        (0..12).map(|n| (format!("x-header-{n}").into(), vec![b'v'; 40].into())).collect();
    let body = setup::body();
    runtime.block_on(async {
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

/// Returns the deliveries per second to each target, measured from the resume of the targets until
/// the last outcome is stored durably.
fn durable_deliveries(url: &str, targets: usize) -> Outcome<f64> {
    let directory = TempDir::new_in(setup::directory()?)?;
    let store = setup::open(directory.path())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut ids = Vec::with_capacity(targets);
        for number in 0..targets {
            let id = setup::target(&store, &format!("target-{number}"), url, CONCURRENCY).await?;
            set_state(&store, id, TargetState::Paused).await?;
            ids.push(id);
        }
        setup::fill(&store, DELIVERIES).await?;
        let deliveries = setup::deliveries(&store)?;
        tokio::time::sleep(Duration::from_millis(200)).await;
        let answered = target::ANSWERED.load(Ordering::Relaxed);
        let expected = (DELIVERIES * targets) as u64;
        let began = Instant::now();
        for id in ids {
            set_state(&store, id, TargetState::Active).await?;
        }
        while store.stats().attempts_delivered < expected {
            if began.elapsed() > Duration::from_secs(120) {
                return Err("the deliveries did not finish in 120 s".into());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let took = began.elapsed();
        let received = target::ANSWERED.load(Ordering::Relaxed) - answered;
        if received != expected {
            return Err(format!("{received} requests received for {expected} deliveries").into());
        }
        deliveries.stop().await;
        store.close(Duration::from_secs(10)).await;
        Ok(DELIVERIES as f64 / took.as_secs_f64())
    })
}

async fn set_state(store: &Store, target: TargetId, state: TargetState) -> Outcome<()> {
    store.target_registry().set_target_state(target, state, None, OffsetDateTime::now_utc()).await?;
    Ok(())
}
