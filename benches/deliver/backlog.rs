//! A million pending deliveries: the time of a claim, the memory that delivering takes, and the
//! wake-ups of the idle delivery thread.

use std::fs;
use std::time::{Duration, Instant};

use creel::testing::{DeliveryOrdering, DueQuery, Store, TargetId, TargetState, Timestamp};
use tempfile::TempDir;
use time::OffsetDateTime;

use crate::report::{Bound, Report, median};
use crate::{Outcome, machine, setup, target};

const FEW: usize = 1_000;
const CLAIMS: usize = 200;
const IDLE: Duration = Duration::from_secs(10);

pub fn measure(report: &mut Report, many: usize) -> Outcome<()> {
    let directory = TempDir::new_in(setup::directory()?)?;
    let store = setup::open(directory.path())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let url = target::start()?;
        let id = setup::target(&store, "target", &url, 32).await?;
        store
            .target_registry()
            .set_target_state(id, TargetState::Paused, None, OffsetDateTime::now_utc())
            .await?;
        setup::fill(&store, FEW).await?;
        let few = claim(&store, id).await?;
        setup::fill(&store, many - FEW).await?;
        let claims = claim(&store, id).await?;
        report.figure("claim of 8 with 1,000 pending", "1 kB", format!("{few:.0} µs"));
        report.figure(&format!("claim of 8 with {many} pending"), "1 kB", format!("{claims:.0} µs"));
        report.bounded("ratio", "1 kB", claims / few, "", Bound::AtMost(1.5));
        let before = resident()?;
        let deliveries = setup::deliveries(&store)?;
        store
            .target_registry()
            .set_target_state(id, TargetState::Active, None, OffsetDateTime::now_utc())
            .await?;
        let mut peak_bytes = before;
        let began = Instant::now();
        while began.elapsed() < IDLE {
            peak_bytes = peak_bytes.max(resident()?);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let rate = store.stats().attempts_delivered as f64 / began.elapsed().as_secs_f64();
        report.figure("delivery rate with this backlog", "1 kB", format!("{rate:.0}/s"));
        let grown = (peak_bytes - before) as f64 / f64::from(1 << 20);
        report.bounded("memory growth while delivering", "1 kB", grown, " MiB", Bound::AtMost(64.0));
        store
            .target_registry()
            .set_target_state(id, TargetState::Paused, None, OffsetDateTime::now_utc())
            .await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let wake_ups = wake_ups("deliver")?;
        tokio::time::sleep(IDLE).await;
        let idle = self::wake_ups("deliver")? - wake_ups;
        report.bounded("wake-ups of the idle thread in 10 s", "", idle as f64, "", Bound::AtMost(1.0));
        deliveries.stop().await;
        store.close(Duration::from_secs(10)).await;
        Ok(())
    })
}

/// Returns the median duration of a claim of 8 deliveries, in microseconds.
async fn claim(store: &Store, target: TargetId) -> Outcome<f64> {
    let mut took = Vec::with_capacity(CLAIMS);
    for _ in 0..CLAIMS {
        let query = DueQuery {
            target,
            ordering: DeliveryOrdering::Any,
            now: Timestamp::from(OffsetDateTime::now_utc()),
            held: Vec::new(),
            limit: 8,
            bytes: 1 << 20,
        };
        let began = Instant::now();
        let page = store.delivery_queue().due_deliveries(query).await?;
        took.push(began.elapsed().as_secs_f64() * 1e6);
        if page.deliveries.len() != 8 {
            return Err("a claim did not return 8 deliveries".into());
        }
    }
    Ok(median(&took))
}

fn resident() -> Outcome<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let kib: u64 = machine::field(&status, "VmRSS:").ok_or("no memory")?.parse()?;
    Ok(kib * 1024)
}

/// Returns the voluntary context switches of the thread with this name.
fn wake_ups(name: &str) -> Outcome<u64> {
    for thread in fs::read_dir("/proc/self/task")? {
        let path = thread?.path();
        if fs::read_to_string(path.join("comm"))?.trim() == name {
            let status = fs::read_to_string(path.join("status"))?;
            let count = machine::field(&status, "voluntary_ctxt_switches:").ok_or("no switches")?;
            return Ok(count.parse()?);
        }
    }
    Err(format!("thread {name} not found").into())
}
