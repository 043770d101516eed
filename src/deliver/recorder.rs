//! Writes down what attempts came to: what has piled up while the last step was written is the next step.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::Clock;
use super::engine::Event;
use crate::store::{AttemptRecord, Store, Unavailable};

const RECORDS_A_STEP: usize = 256;
/// While the store takes nothing (the disk is full, the file is locked), deliveries stay where they are.
const PAUSE: Duration = Duration::from_millis(200);

/// The outcome of an attempt at a target's delivery.
#[derive(Debug)]
pub struct Done {
    pub target: i64,
    pub record: AttemptRecord,
}

/// Runs until nobody can send any more, and then writes what is left.
pub async fn run(
    store: Store,
    clock: Clock,
    mut outcomes: mpsc::UnboundedReceiver<Done>,
    events: mpsc::UnboundedSender<Event>,
) {
    let mut waiting = Vec::with_capacity(RECORDS_A_STEP);
    // Bounded by what all lanes may have under way.
    while outcomes.recv_many(&mut waiting, RECORDS_A_STEP).await > 0 {
        let (targets, records): (Vec<i64>, Vec<AttemptRecord>) =
            waiting.drain(..).map(|done| (done.target, done.record)).unzip();
        let records = Arc::new(records);
        let is_written = write(&store, clock, &records).await;
        // What could not be written is tried again after the next start: at least once.
        let ended = targets.into_iter().zip(records.iter().cloned());
        let ended = ended.map(|(target, record)| Done { target, record }).collect();
        if !is_written || events.send(Event::Recorded(ended)).is_err() {
            return;
        }
    }
}

/// False when the store has failed for good.
async fn write(store: &Store, clock: Clock, records: &Arc<Vec<AttemptRecord>>) -> bool {
    let mut was_refused = false;
    loop {
        match store.record_attempts(records.clone(), clock()).await {
            Ok(()) => return true,
            Err(Unavailable::Failed | Unavailable::FileChanged) => return false,
            Err(why) if !was_refused => {
                log::warn!("what became of deliveries cannot be written down, and is tried again: {why}");
                was_refused = true;
            }
            Err(_) => {}
        }
        tokio::time::sleep(PAUSE).await;
    }
}
