//! Replays.

use time::OffsetDateTime;

use crate::store::error::Unavailable;
use crate::store::handle::store::Store;
use crate::store::replay::{self, NewReplay, Replay, ReplayStep};
use crate::store::timestamp;
use crate::store::writer::job::Database;

impl Store {
    /// The id of the replay, which goes on in steps.
    pub async fn create_replay(&self, new: NewReplay, now: OffsetDateTime) -> Result<i64, Unavailable> {
        let now = timestamp::to_text(now);
        let shared = self.inner.shared.clone();
        let insert = move |database: &mut Database<'_>| replay::insert(database.connection, &new, &now);
        self.write_then(insert, move |_| shared.replays.notify_one()).await
    }

    /// Resolves when there may be a new one.
    pub async fn replay_asked_for(&self) {
        self.inner.shared.replays.notified().await;
    }

    pub async fn replay(&self, id: i64) -> Result<Option<Replay>, Unavailable> {
        self.read(move |connection| replay::one(connection, id)).await
    }

    /// Newest first, those below `from`.
    pub async fn replays(&self, from: Option<i64>, limit: usize) -> Result<Vec<Replay>, Unavailable> {
        self.read(move |connection| replay::page(connection, from, limit)).await
    }

    pub async fn running_replays(&self) -> Result<Vec<Replay>, Unavailable> {
        self.read(replay::running).await
    }

    /// True where it was running.
    pub async fn cancel_replay(&self, id: i64, now: OffsetDateTime) -> Result<bool, Unavailable> {
        let now = timestamp::to_text(now);
        self.write(move |database| replay::cancel(database.connection, id, &now)).await
    }

    /// Writes a step; false if the replay was cancelled or has moved on.
    pub async fn step_replay(&self, step: ReplayStep, now: OffsetDateTime) -> Result<bool, Unavailable> {
        let now = timestamp::to_text(now);
        let targets: Vec<i64> =
            step.messages.iter().flat_map(|(_, targets)| targets.iter().copied()).collect();
        let shared = self.inner.shared.clone();
        let work = move |database: &mut Database<'_>| replay::step(database.connection, &step, &now);
        self.write_then(work, move |_| shared.work_committed(targets)).await
    }
}
