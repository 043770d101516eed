//! What the writer is asked to do, and what became of it.

use std::time::Instant;

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::store::files::Files;
use crate::store::keys::Keys;
use crate::store::message::{Kept, Prepared};
use crate::store::quarantine::{Intake, Quarantine};
use crate::store::unavailable::Unavailable;

/// What the writer is asked to do.
pub enum Job {
    Keep(Keep),
    Run(Box<dyn Task>),
    /// There is background work, or the files should be looked at.
    Wake,
    /// Finish what is queued, and stop.
    Close,
}

pub struct Keep {
    pub message: Box<Prepared>,
    pub deadline: Instant,
    pub reply: oneshot::Sender<Result<Kept, Unavailable>>,
    pub _memory: Option<Memory>,
}

/// Accounts for the memory of a message; dropped once the message is written or given up.
pub type Memory = Box<dyn Send>;

/// Any other write, in a savepoint of its own.
pub trait Task: Send {
    fn run(&mut self, database: &mut Database<'_>) -> rusqlite::Result<()>;
    fn answer(self: Box<Self>, outcome: Result<(), Unavailable>);
    /// Whoever asked for it has given up.
    fn is_abandoned(&self) -> bool;
}

/// What a task may use.
pub struct Database<'a> {
    pub connection: &'a Connection,
    pub keys: &'a mut Keys,
    pub quarantine: &'a mut Quarantine,
    pub intake: &'a Intake,
    pub files: &'a Files,
}

/// A closure as a task.
pub struct Call<T, F, C> {
    pub work: Option<F>,
    pub value: Option<T>,
    /// Told of the value once it is committed.
    pub committed: C,
    pub reply: oneshot::Sender<Result<T, Unavailable>>,
}

impl<T, F, C> Task for Call<T, F, C>
where
    T: Send,
    F: FnOnce(&mut Database<'_>) -> rusqlite::Result<T> + Send,
    C: FnOnce(&T) + Send,
{
    fn run(&mut self, database: &mut Database<'_>) -> rusqlite::Result<()> {
        // Consumed by an earlier try whose transaction was lost: it must be asked for again.
        let work = self.work.take().ok_or(rusqlite::Error::StatementChangedRows(0))?;
        self.value = Some(work(database)?);
        Ok(())
    }

    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn answer(self: Box<Self>, outcome: Result<(), Unavailable>) {
        let Self { value, committed, reply, .. } = *self;
        if let (Ok(()), Some(value)) = (outcome, &value) {
            committed(value);
        }
        let _ = reply.send(outcome.and_then(|()| value.ok_or(Unavailable::Refused)));
    }
}

impl Job {
    pub fn bytes(&self) -> usize {
        match self {
            Self::Keep(keep) => keep.message.bytes(),
            Self::Run(_) | Self::Wake | Self::Close => 0,
        }
    }

    /// Whether it is written in a transaction of its own.
    pub fn is_large(&self) -> bool {
        matches!(self, Self::Keep(keep) if keep.message.is_large())
    }

    /// Whether its content was dropped, so that it cannot be written again.
    pub fn is_released(&self) -> bool {
        matches!(self, Self::Keep(keep) if keep.message.is_released())
    }

    pub fn is_message(&self) -> bool {
        matches!(self, Self::Keep(_))
    }

    /// Nobody waits for the answer any more, or will in a moment.
    pub fn is_expired(&self, now: Instant) -> bool {
        match self {
            Self::Keep(keep) => keep.deadline <= now || keep.reply.is_closed(),
            Self::Run(task) => task.is_abandoned(),
            Self::Wake | Self::Close => false,
        }
    }

    pub fn refuse(self, why: Unavailable) {
        match self {
            Self::Keep(keep) => drop(keep.reply.send(Err(why))),
            Self::Run(task) => task.answer(Err(why)),
            Self::Wake | Self::Close => {}
        }
    }
}

/// What became of one job of a transaction.
#[derive(Clone, Copy)]
pub enum Outcome {
    Kept(Kept),
    Done,
    Refused,
}

impl Outcome {
    pub fn tell(self, job: Job) {
        match (self, job) {
            (Self::Kept(kept), Job::Keep(keep)) => drop(keep.reply.send(Ok(kept))),
            (Self::Done, Job::Run(task)) => task.answer(Ok(())),
            (_, job) => job.refuse(Unavailable::Refused),
        }
    }
}

/// What the writer does next.
pub enum Next {
    Job(Job),
    Nothing,
    Closed,
}

/// Refuses the jobs that nobody waits for any more; `all` refuses every one.
pub fn drop_expired(batch: Vec<Job>, all: bool) -> Vec<Job> {
    let now = Instant::now();
    let (expired, rest): (Vec<_>, Vec<_>) = batch.into_iter().partition(|job| all || job.is_expired(now));
    expired.into_iter().for_each(|job| job.refuse(Unavailable::Deadline));
    rest
}

/// Refuses the messages whose content was dropped during the transaction that failed.
pub fn refuse_released(batch: Vec<Job>) -> Vec<Job> {
    let (released, rest): (Vec<_>, Vec<_>) = batch.into_iter().partition(Job::is_released);
    released.into_iter().for_each(|job| job.refuse(Unavailable::Refused));
    rest
}
