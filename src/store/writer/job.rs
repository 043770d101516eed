//! Jobs for the writer, and their outcomes.

use std::time::Instant;

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::store::error::{ChangeError, Unavailable};
use crate::store::files::Files;
use crate::store::keys::KeyIndex;
use crate::store::message::insert::{InsertOutcome, PreparedMessage};
use crate::store::quarantine::intake::Intake;
use crate::store::quarantine::write::Quarantine;
use crate::store::writer::mailbox::{AnswerSender, BatchAnswers};

/// A job for the writer.
pub enum Job {
    Keep(Keep),
    Run(Box<dyn Task>),
    /// Start background work, or check the files.
    Wake,
    /// Finish queued jobs, then stop.
    Close,
}

pub struct Keep {
    pub message: Box<PreparedMessage>,
    pub deadline: Instant,
    pub reply: AnswerSender,
    pub _memory: Option<Memory>,
}

/// Accounts for the memory of a message; dropped once the message is written or discarded.
pub type Memory = Box<dyn Send>;

/// A write other than a message, in its own savepoint.
pub trait Task: Send {
    fn run(&mut self, database: &mut Database<'_>) -> rusqlite::Result<TaskEffect>;
    fn answer(self: Box<Self>, outcome: Result<(), Unavailable>);
    /// Whether the caller has stopped waiting.
    fn is_abandoned(&self) -> bool;
}

/// Effect of a task whose statements all succeeded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TaskEffect {
    Change,
    /// The change is not allowed: the writer rolls back the task's savepoint. Such a task changes
    /// only tables, because the books of the quarantine would not be rolled back.
    Rejection,
}

/// Resources of a task.
pub struct Database<'a> {
    pub connection: &'a Connection,
    pub keys: &'a mut KeyIndex,
    pub quarantine: &'a mut Quarantine,
    pub intake: &'a Intake,
    pub files: &'a Files,
}

/// A closure as a task.
pub struct WriteCall<T, E, F, C> {
    pub work: Option<F>,
    pub result: Option<Result<T, E>>,
    /// Called with the value once it is committed.
    pub committed: C,
    pub reply: oneshot::Sender<Result<T, E>>,
}

impl<T, E, F, C> Task for WriteCall<T, E, F, C>
where
    T: Send,
    E: From<Unavailable> + Send,
    F: FnOnce(&mut Database<'_>) -> Result<T, ChangeError<E>> + Send,
    C: FnOnce(&T) + Send,
{
    fn run(&mut self, database: &mut Database<'_>) -> rusqlite::Result<TaskEffect> {
        // Consumed by an earlier attempt whose transaction was lost: the caller must send a new
        // task.
        let work = self.work.take().ok_or(rusqlite::Error::StatementChangedRows(0))?;
        let (result, effect) = match work(database) {
            Ok(value) => (Ok(value), TaskEffect::Change),
            Err(ChangeError::Rejected(why)) => (Err(why), TaskEffect::Rejection),
            Err(ChangeError::Database(error)) => return Err(error),
        };
        self.result = Some(result);
        Ok(effect)
    }

    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn answer(self: Box<Self>, outcome: Result<(), Unavailable>) {
        let Self { result, committed, reply, .. } = *self;
        let result = match outcome {
            Ok(()) => result.unwrap_or_else(|| Err(Unavailable::Refused.into())),
            Err(why) => Err(why.into()),
        };
        if let Ok(value) = &result {
            committed(value);
        }
        let _ = reply.send(result);
    }
}

impl Job {
    pub fn bytes(&self) -> usize {
        match self {
            Self::Keep(keep) => keep.message.bytes(),
            Self::Run(_) | Self::Wake | Self::Close => 0,
        }
    }

    /// Whether the job is written in its own transaction.
    pub fn is_large(&self) -> bool {
        matches!(self, Self::Keep(keep) if keep.message.is_large())
    }

    /// Whether the content of its message was dropped, so that it cannot be written again.
    pub fn is_content_dropped(&self) -> bool {
        matches!(self, Self::Keep(keep) if keep.message.is_content_dropped())
    }

    pub fn is_message(&self) -> bool {
        matches!(self, Self::Keep(_))
    }

    /// Whether the caller has stopped waiting, or the deadline has passed.
    pub fn is_expired(&self, now: Instant) -> bool {
        match self {
            Self::Keep(keep) => keep.deadline <= now || keep.reply.is_closed(),
            Self::Run(task) => task.is_abandoned(),
            Self::Wake | Self::Close => false,
        }
    }

    pub fn reject(self, why: Unavailable) {
        match self {
            Self::Keep(keep) => keep.reply.send(Err(why)),
            Self::Run(task) => task.answer(Err(why)),
            Self::Wake | Self::Close => {}
        }
    }
}

/// Outcome of one job of a transaction.
#[derive(Clone, Copy)]
pub enum JobOutcome {
    Insert(InsertOutcome),
    Done,
    Rejected,
}

impl JobOutcome {
    /// Answers a task; adds the answer about a message to `answers`.
    pub fn answer(self, job: Job, answers: &mut BatchAnswers) {
        match (self, job) {
            (Self::Insert(outcome), Job::Keep(keep)) => answers.push(keep.reply, Ok(outcome)),
            (Self::Done, Job::Run(task)) => task.answer(Ok(())),
            (_, job) => job.reject(Unavailable::Refused),
        }
    }
}

/// Next action of the writer.
pub enum NextJob {
    Job(Job),
    Nothing,
    Closed,
}

/// Rejects expired jobs, or all jobs if `all` is set.
pub fn drop_expired(batch: Vec<Job>, all: bool) -> Vec<Job> {
    let now = Instant::now();
    let (expired, rest): (Vec<_>, Vec<_>) = batch.into_iter().partition(|job| all || job.is_expired(now));
    expired.into_iter().for_each(|job| job.reject(Unavailable::Deadline));
    rest
}

/// Rejects messages whose content was dropped during the failed transaction.
pub fn reject_released(batch: Vec<Job>) -> Vec<Job> {
    let (released, rest): (Vec<_>, Vec<_>) = batch.into_iter().partition(Job::is_content_dropped);
    released.into_iter().for_each(|job| job.reject(Unavailable::Refused));
    rest
}
