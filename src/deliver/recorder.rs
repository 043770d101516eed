//! Writes down what attempts came to: what has piled up while the last step was written is the next step.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::clock::Clock;
use super::event::{DeliveryOutcome, EngineEvent};
use crate::store::{AttemptRecord, DeliveryQueue, Unavailable};

const RECORDS_A_STEP: usize = 256;
/// While the store takes nothing (the disk is full, the file is locked), deliveries stay where they are.
const PAUSE: Duration = Duration::from_millis(200);

/// Runs until nobody can send any more, and then writes what is left.
pub async fn run(
    store: DeliveryQueue,
    clock: Clock,
    mut outcomes: mpsc::UnboundedReceiver<DeliveryOutcome>,
    events: mpsc::UnboundedSender<EngineEvent>,
) {
    let mut waiting = Vec::with_capacity(RECORDS_A_STEP);
    // Bounded by what all lanes may have under way.
    while outcomes.recv_many(&mut waiting, RECORDS_A_STEP).await > 0 {
        let (targets, records): (Vec<i64>, Vec<AttemptRecord>) =
            waiting.drain(..).map(|done| (done.target, done.record)).unzip();
        let records = Arc::new(records);
        let damaged = match write(&store, clock, &records).await {
            Written::All => Vec::new(),
            Written::AllBut(damaged) => damaged,
            // What could not be written is tried again after the next start: at least once.
            Written::Nothing => return,
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

/// Which outcomes are on disk.
enum Written {
    All,
    /// Those of these deliveries cannot be written.
    AllBut(Vec<i64>),
    /// The store has failed for good.
    Nothing,
}

async fn write(store: &DeliveryQueue, clock: Clock, records: &Arc<Vec<AttemptRecord>>) -> Written {
    match try_write(store, clock, records).await {
        Ok(()) => return Written::All,
        Err(Unavailable::Damaged) => {}
        Err(_) => return Written::Nothing,
    }
    let mut damaged = Vec::new();
    for record in records.iter() {
        match try_write(store, clock, &Arc::new(vec![record.clone()])).await {
            Ok(()) => {}
            Err(Unavailable::Damaged) => {
                log::error!("delivery {} is damaged: its outcome cannot be written", record.delivery);
                damaged.push(record.delivery);
            }
            Err(_) => return Written::Nothing,
        }
    }
    Written::AllBut(damaged)
}

/// Tries until it is written.
///
/// # Errors
/// When trying again would not help.
async fn try_write(
    store: &DeliveryQueue,
    clock: Clock,
    records: &Arc<Vec<AttemptRecord>>,
) -> Result<(), Unavailable> {
    let mut was_refused = false;
    loop {
        match store.record_attempts(records.clone(), clock()).await {
            Ok(()) => return Ok(()),
            Err(why @ (Unavailable::Failed | Unavailable::FileChanged | Unavailable::Damaged)) => {
                return Err(why);
            }
            Err(why) if !was_refused => {
                log::warn!("what became of deliveries cannot be written down, and is tried again: {why}");
                was_refused = true;
            }
            Err(_) => {}
        }
        tokio::time::sleep(PAUSE).await;
    }
}
