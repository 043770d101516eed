//! Stores the outcomes of attempts in batches. The outcomes that arrive during a write form the
//! next batch.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::event::{DeliveryOutcome, EngineEvent};
use crate::store::{AttemptRecord, Clock, DeliveryId, DeliveryQueue, TargetId, Unavailable};

const RECORDS_PER_STEP: usize = 256;
/// Pause while the store is unavailable (disk full, file locked). Meanwhile, the deliveries count
/// as in flight.
const PAUSE: Duration = Duration::from_millis(200);

/// Runs until all senders are dropped, and then writes the remaining outcomes.
pub async fn run(
    store: DeliveryQueue,
    clock: Clock,
    mut outcomes: mpsc::UnboundedReceiver<DeliveryOutcome>,
    events: mpsc::UnboundedSender<EngineEvent>,
) {
    let mut waiting = Vec::with_capacity(RECORDS_PER_STEP);
    // The channel is unbounded, but each lane limits its deliveries without a stored outcome.
    while outcomes.recv_many(&mut waiting, RECORDS_PER_STEP).await > 0 {
        let (targets, records): (Vec<TargetId>, Vec<AttemptRecord>) =
            waiting.drain(..).map(|done| (done.target, done.record)).unzip();
        let records = Arc::new(records);
        let damaged = match write(&store, clock, &records).await {
            StoredOutcomes::All => Vec::new(),
            StoredOutcomes::AllBut(damaged) => damaged,
            // Deliveries without a stored outcome are repeated after the next start (at-least-once
            // delivery).
            StoredOutcomes::Nothing => return,
        };
        let ended = targets.into_iter().zip(records.iter().cloned()).map(|(target, record)| {
            let is_damaged = damaged.contains(&record.delivery);
            DeliveryOutcome { target, record, is_damaged }
        });
        if events.send(EngineEvent::Recorded(ended.collect())).is_err() {
            return;
        }
    }
}

/// The outcomes that are stored.
enum StoredOutcomes {
    All,
    /// All except those of these deliveries, whose rows are damaged.
    AllBut(Vec<DeliveryId>),
    /// The store has failed permanently.
    Nothing,
}

async fn write(store: &DeliveryQueue, clock: Clock, records: &Arc<Vec<AttemptRecord>>) -> StoredOutcomes {
    match try_write(store, clock, records).await {
        Ok(()) => return StoredOutcomes::All,
        Err(Unavailable::Damaged) => {}
        Err(_) => return StoredOutcomes::Nothing,
    }
    let mut damaged = Vec::new();
    for record in records.iter() {
        match try_write(store, clock, &Arc::new(vec![record.clone()])).await {
            Ok(()) => {}
            Err(Unavailable::Damaged) => {
                log::error!(
                    "delivery={}: its row is damaged, and its outcome cannot be stored",
                    record.delivery
                );
                damaged.push(record.delivery);
            }
            Err(_) => return StoredOutcomes::Nothing,
        }
    }
    StoredOutcomes::AllBut(damaged)
}

/// Retries until the outcomes are stored.
///
/// # Errors
/// A retry would not help.
async fn try_write(
    store: &DeliveryQueue,
    clock: Clock,
    records: &Arc<Vec<AttemptRecord>>,
) -> Result<(), Unavailable> {
    let mut was_rejected = false;
    loop {
        match store.record_attempts(records.clone(), clock()).await {
            Ok(()) => return Ok(()),
            Err(why @ (Unavailable::Failed | Unavailable::FileChanged | Unavailable::Damaged)) => {
                return Err(why);
            }
            Err(why) if !was_rejected => {
                log::warn!("cannot store the outcomes of deliveries, retrying every {PAUSE:?}: {why}");
                was_rejected = true;
            }
            Err(_) => {}
        }
        tokio::time::sleep(PAUSE).await;
    }
}
