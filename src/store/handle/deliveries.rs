//! Deliveries: what is due, and what became of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use time::OffsetDateTime;

use crate::store::delivery::due::{self, DuePage, DueQuery};
use crate::store::delivery::expire::Burial;
use crate::store::delivery::outcome::{AttemptRecord, Next};
use crate::store::delivery::read::{Attempt, Delivery, DeliveryFilter};
use crate::store::delivery::signal::DueSignal;
use crate::store::delivery::{self, dead};
use crate::store::error::Unavailable;
use crate::store::handle::store::Store;
use crate::store::target::read::TargetNumbers;
use crate::store::writer::job::Database;
use crate::store::{message, target, timestamp};

impl Store {
    /// Says which targets have new work. For one listener: who delivers.
    pub fn due_signal(&self) -> Arc<DueSignal> {
        self.inner.shared.due.clone()
    }

    /// Counts the transactions that made deliveries or messages: for those who follow them.
    pub fn commits(&self) -> tokio::sync::watch::Receiver<u64> {
        self.inner.shared.commits()
    }

    pub async fn due_deliveries(&self, query: DueQuery) -> Result<DuePage, Unavailable> {
        self.read(move |connection| due::due(connection, &query)).await
    }

    /// Writes what attempts came to, all in one step.
    pub async fn record_attempts(
        &self,
        records: Arc<Vec<AttemptRecord>>,
        now: OffsetDateTime,
    ) -> Result<(), Unavailable> {
        let now = timestamp::to_text(now);
        let written = records.clone();
        self.write(move |database| delivery::outcome::record(database.connection, &written, &now)).await?;
        let count =
            |next: fn(&Next) -> bool| records.iter().filter(|record| next(&record.next)).count() as u64;
        let delivered = count(|next| *next == Next::Delivered);
        self.inner.shared.attempts_recorded(
            delivered,
            records.len() as u64 - delivered,
            count(|next| *next == Next::Dead),
        );
        Ok(())
    }

    /// Ends deliveries without an attempt, in steps that are short enough to stand between two batches of messages.
    pub async fn bury_deliveries(&self, mut burial: Burial, now: OffsetDateTime) -> Result<(), Unavailable> {
        while !burial.deliveries.is_empty() {
            let done = self.bury_some(burial.clone(), now).await?;
            burial.deliveries.drain(..done.taken.min(burial.deliveries.len()));
        }
        Ok(())
    }

    /// For each of the messages the targets, not removed, where it is dead. `at`: only this target.
    pub async fn dead_targets(
        &self,
        messages: Vec<i64>,
        at: Option<i64>,
    ) -> Result<BTreeMap<i64, Vec<i64>>, Unavailable> {
        self.read(move |connection| dead::targets_of(connection, &messages, at)).await
    }

    /// How many dead letters there are.
    pub async fn dead_letter_count(&self) -> Result<i64, Unavailable> {
        self.read(dead::count).await
    }

    /// What the metrics show of targets and dead letters.
    pub async fn target_numbers(&self) -> Result<TargetNumbers, Unavailable> {
        self.read(|connection| {
            Ok(TargetNumbers {
                dead_letters: dead::count(connection)?,
                targets: target::read::states(connection)?,
            })
        })
        .await
    }

    /// New deliveries of one message, committed together; their ids, without those that the target must not have.
    /// `None`: there is no such message.
    pub async fn deliver_again(
        &self,
        message: i64,
        targets: Vec<i64>,
        now: OffsetDateTime,
    ) -> Result<Option<Vec<i64>>, Unavailable> {
        let now = timestamp::to_text(now);
        let (signalled, shared) = (targets.clone(), self.inner.shared.clone());
        let work = move |database: &mut Database<'_>| {
            // The clean-up may have been faster.
            if !message::read::exists(database.connection, message)? {
                return Ok(None);
            }
            let insert = |target: &i64| {
                delivery::insert::insert_again(database.connection, message, *target, None, &now)
            };
            let made = targets.iter().map(insert).collect::<rusqlite::Result<Vec<Option<i64>>>>()?;
            Ok(Some(made.into_iter().flatten().collect()))
        };
        self.write_then(work, move |_| shared.work_committed(signalled)).await
    }

    pub async fn delivery(&self, id: i64) -> Result<Option<Delivery>, Unavailable> {
        self.read(move |connection| delivery::read::one(connection, id)).await
    }

    /// Newest first, those below `from`; and where the next page begins.
    pub async fn deliveries(
        &self,
        filter: DeliveryFilter,
        from: Option<i64>,
        limit: usize,
    ) -> Result<(Vec<Delivery>, Option<i64>), Unavailable> {
        self.read(move |connection| delivery::read::page(connection, &filter, from, limit)).await
    }

    pub async fn attempts(&self, delivery: i64) -> Result<Vec<Attempt>, Unavailable> {
        self.read(move |connection| delivery::read::attempts(connection, delivery)).await
    }
}
