//! The only writer: a thread that collects queued jobs into one transaction, commits once, then
//! answers every caller.
//!
//! No job succeeds before the commit has returned, which includes the sync of the WAL. After a
//! failed sync no further job succeeds, because a later successful sync would not confirm the data
//! of the failed one.

pub mod background;
pub mod counting;
pub mod damaged;
pub mod job;
pub mod mailbox;
pub mod space;
pub mod trouble;
pub mod wal;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::store::clock::Clock;
use crate::store::connection::PooledConnection;
use crate::store::continuity::marker::Marker;
use crate::store::counts::pending::PendingCounts;
use crate::store::damage;
use crate::store::error::Unavailable;
use crate::store::files::Files;
use crate::store::keys::KeyIndex;
use crate::store::message::insert::{InsertOutcome, PreparedMessage, Receipt};
use crate::store::quarantine::intake::Intake;
use crate::store::quarantine::write::Quarantine;
use crate::store::seal::sealer::Sealer;
use crate::store::shared::SharedState;
use crate::store::timestamp::Timestamp;
use crate::store::writer::job::{
    Database, Job, JobOutcome, NextJob, Task, TaskEffect, drop_expired, reject_released,
};
use crate::store::writer::mailbox::BatchAnswers;
use crate::store::writer::trouble::Trouble;

const JOBS_PER_BATCH: usize = 256;
const BYTES_PER_BATCH: usize = 8 << 20;
/// Pause after background work failed, e.g. because the file is locked or the disk is full.
const BACKGROUND_PAUSE: Duration = Duration::from_millis(200);

/// Pause between attempts to reset the WAL while a reader blocks it: an attempt for each batch
/// would waste time.
const PAUSE_BETWEEN_STOPS: Duration = Duration::from_millis(250);

thread_local! {
    /// Frames in the WAL after the last commit of this thread, as reported by SQLite's hook.
    static WAL_FRAMES: Cell<i32> = const { Cell::new(0) };
}
pub struct Writer {
    pub connection: PooledConnection,
    pub keys: KeyIndex,
    pub quarantine: Quarantine,
    pub intake: Arc<Intake>,
    pub counts: Arc<PendingCounts>,
    pub sealer: Arc<Sealer>,
    pub files: Arc<Files>,
    pub marker: Marker,
    /// Number of rows that the connection had changed in total when the transaction began.
    pub changes_before: u64,
    pub shared: Arc<SharedState>,
    pub clock: Clock,
    /// Earliest time for the next blocking checkpoint after a reader blocked the last one.
    pub next_stop: Instant,
    /// Earliest time for the next check of the used space.
    pub next_check: Instant,
    /// Earliest time for the next rows of the quarantine.
    pub next_rejections: Instant,
    /// Earliest time for the next counts of dropped rejections.
    pub next_counts: Instant,
    /// Earliest time to write the counts in memory to their tables.
    pub next_flush: Instant,
    /// WAL length at which its growth is logged next, if another process checkpoints.
    pub next_warning_at: u64,
}

impl Writer {
    /// Runs until a close job arrives, or until the store has failed and all senders are gone.
    pub fn run(mut self, jobs: &Receiver<Job>) {
        self.connection.wal_hook(Some(|_, frames| {
            WAL_FRAMES.set(frames);
            Ok(())
        }));
        let mut is_closing = false;
        let mut background_works = true;
        while !is_closing {
            let first = match self.next(jobs, background_works) {
                NextJob::Job(job) => Some(job),
                NextJob::Nothing => None,
                NextJob::Closed => break,
            };
            background_works = match first {
                Some(job) => {
                    is_closing = self.take_batch(job, jobs);
                    !self.background_is_overdue() || self.work_in_background()
                }
                None => self.work_in_background(),
            };
            self.after_batch();
        }
        self.close();
    }

    fn next(&self, jobs: &Receiver<Job>, background_works: bool) -> NextJob {
        let Some(at) = self.background_work_at().filter(|_| !self.shared.is_stopped()) else {
            return jobs.recv().map_or(NextJob::Closed, NextJob::Job);
        };
        let pause = if background_works { Duration::ZERO } else { BACKGROUND_PAUSE };
        let wait = at.saturating_duration_since(Instant::now()).max(pause);
        match jobs.recv_timeout(wait) {
            Ok(job) => NextJob::Job(job),
            Err(RecvTimeoutError::Timeout) => NextJob::Nothing,
            Err(RecvTimeoutError::Disconnected) => NextJob::Closed,
        }
    }

    /// Collects the jobs queued after the first one, and writes them. True after a close job.
    fn take_batch(&mut self, first: Job, jobs: &Receiver<Job>) -> bool {
        let mut batch = Vec::with_capacity(JOBS_PER_BATCH);
        let mut large = None;
        let mut bytes = 0;
        let mut is_closing = false;
        let mut next = Some(first);
        while let Some(job) = next {
            self.shared.job_taken(job.bytes());
            bytes += job.bytes();
            match job {
                Job::Close => is_closing = true,
                job if job.is_large() => large = Some(job),
                job => batch.push(job),
            }
            let is_full =
                is_closing || large.is_some() || batch.len() >= JOBS_PER_BATCH || bytes >= BYTES_PER_BATCH;
            next = if is_full { None } else { jobs.try_recv().ok() };
        }
        self.write(batch);
        if let Some(job) = large {
            self.write(vec![job]);
        }
        is_closing
    }

    fn write(&mut self, mut batch: Vec<Job>) {
        if let Err(why) = self.check_files() {
            batch.drain(..).for_each(|job| job.reject(why));
            return;
        }
        batch = self.reject_without_space(batch);
        batch.retain(|job| !matches!(job, Job::Wake));
        while !batch.is_empty() {
            match self.write_transaction(&mut batch) {
                Ok(outcomes) => {
                    let messages = outcomes.iter().filter(|one| matches!(one, JobOutcome::Insert(_))).count();
                    // The writes of cleanup use the space of the ballast, which is not available to
                    // messages.
                    if messages > 0 {
                        self.files.note_space();
                        self.shared.set_blocked_by_damage(false);
                    }
                    self.shared.batch_written(messages);
                    self.count_messages(&outcomes, &batch);
                    self.notify_of_work(&outcomes, &batch);
                    let mut answers = BatchAnswers::default();
                    outcomes
                        .into_iter()
                        .zip(batch.drain(..))
                        .for_each(|(outcome, job)| outcome.answer(job, &mut answers));
                    answers.send();
                }
                Err(Trouble::Locked) => {
                    batch = reject_released(drop_expired(batch, self.shared.is_stopped()));
                }
                Err(Trouble::DiskFull) => {
                    self.files.note_full();
                    batch.drain(..).for_each(|job| job.reject(Unavailable::DiskFull));
                }
                Err(Trouble::Lost) if batch.len() > 1 => {
                    batch.drain(..).for_each(|job| self.write(vec![job]));
                }
                Err(Trouble::Lost) => batch.drain(..).for_each(|job| job.reject(Unavailable::Refused)),
                Err(Trouble::Damaged) => self.write_individually(std::mem::take(&mut batch)),
                Err(Trouble::MergeStopped) => batch = reject_released(batch),
                Err(Trouble::Fatal(line)) => {
                    self.shared.fail(Unavailable::Failed, line);
                    batch.drain(..).for_each(|job| job.reject(Unavailable::Failed));
                }
            }
        }
    }

    /// Notifies the tasks that process messages outside requests.
    fn notify_of_work(&self, outcomes: &[JobOutcome], batch: &[Job]) {
        let mut has_new = false;
        let mut has_confirmations = false;
        let mut targets = BTreeSet::new();
        for (outcome, job) in outcomes.iter().zip(batch) {
            let (JobOutcome::Insert(InsertOutcome::Stored(receipt)), Job::Keep(keep)) = (outcome, job) else {
                continue;
            };
            // The provider is queried again about a repeat of a rejected message.
            has_confirmations |= keep.message.awaits_confirmation();
            if matches!(receipt, Receipt::New { .. } | Receipt::Conflict { .. }) {
                has_new = true;
                targets.extend(keep.message.targets());
            }
        }
        if has_confirmations {
            self.shared.confirmations.notify_one();
        }
        if !targets.is_empty() {
            self.shared.due.add(targets);
        }
        if has_new {
            self.shared.wake_followers();
        }
    }

    fn write_transaction(&mut self, batch: &mut Vec<Job>) -> Result<Vec<JobOutcome>, Trouble> {
        self.begin()?;
        // The wait for the lock may have taken long.
        *batch = drop_expired(std::mem::take(batch), false);
        let outcomes = self.run_jobs(batch).and_then(|outcomes| {
            self.write_merge_slice()?;
            self.commit()?;
            Ok(outcomes)
        });
        match &outcomes {
            Ok(outcomes) => {
                let ids = outcomes.iter().filter_map(|outcome| match outcome {
                    JobOutcome::Insert(InsertOutcome::Stored(receipt)) => Some(receipt.id()),
                    JobOutcome::Insert(_) | JobOutcome::Done | JobOutcome::Rejected => None,
                });
                self.keys.commit(ids.max().unwrap_or_default());
                self.keys.merge_committed();
            }
            Err(_) => {
                self.roll_back();
                self.quarantine.invalidate();
            }
        }
        outcomes
    }

    fn roll_back(&mut self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.execute("ROLLBACK")
        {
            log::error!("cannot roll back: {error}");
        }
        self.keys.roll_back();
    }

    fn execute(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(drop)
    }

    fn run_jobs(&mut self, batch: &mut [Job]) -> Result<Vec<JobOutcome>, Trouble> {
        let mut outcomes = Vec::with_capacity(batch.len());
        let now = Timestamp::from((self.clock)());
        for job in batch {
            let done = match job {
                Job::Keep(keep) => self.keep(&mut keep.message, now).map(JobOutcome::Insert),
                Job::Run(task) => {
                    let done = self.run_task(&mut **task);
                    if done.is_err() {
                        self.quarantine.invalidate();
                    }
                    done.map(|_| JobOutcome::Done)
                }
                Job::Wake | Job::Close => Ok(JobOutcome::Done),
            };
            outcomes.push(match done {
                Ok(outcome) => outcome,
                Err(error) => self.reject_one(&error)?,
            });
        }
        Ok(outcomes)
    }

    fn keep(&mut self, message: &mut PreparedMessage, now: Timestamp) -> rusqlite::Result<InsertOutcome> {
        if !message.has_dependent_rows() {
            return message.keep(&self.connection, &mut self.keys, &self.sealer, now);
        }
        self.execute("SAVEPOINT job")?;
        let kept =
            message.keep(&self.connection, &mut self.keys, &self.sealer, now).and_then(|kept| match message
                .rejection()
                .filter(|_| matches!(kept, InsertOutcome::Stored(_)))
            {
                Some(id) => self.quarantine.remove(&self.connection, id).map(|()| kept),
                None => Ok(kept),
            });
        self.end_savepoint(kept.is_ok())?;
        if kept.is_err() {
            self.quarantine.invalidate();
        }
        kept
    }

    /// Ends the savepoint. An error may already have rolled back the whole transaction.
    fn end_savepoint(&self, succeeded: bool) -> rusqlite::Result<()> {
        if !succeeded && !self.connection.is_autocommit() {
            self.execute("ROLLBACK TO job")?;
        }
        if !self.connection.is_autocommit() {
            self.execute("RELEASE job")?;
        }
        Ok(())
    }

    /// Rejects one job without affecting others, unless its error rolled back the whole
    /// transaction.
    fn reject_one(&self, error: &rusqlite::Error) -> Result<JobOutcome, Trouble> {
        if damage::is_damage(error) {
            self.note_damage("a write", error);
        }
        match self.classify(error) {
            Trouble::Lost if !self.connection.is_autocommit() => {
                log::error!("cannot write one job of a batch, the others are written: {error}");
                Ok(JobOutcome::Rejected)
            }
            trouble => Err(trouble),
        }
    }

    fn run_task(&mut self, task: &mut dyn Task) -> rusqlite::Result<TaskEffect> {
        self.execute("SAVEPOINT job")?;
        let mut database = Database {
            connection: &self.connection,
            keys: &mut self.keys,
            quarantine: &mut self.quarantine,
            intake: &self.intake,
            files: &self.files,
        };
        let result = task.run(&mut database);
        self.end_savepoint(matches!(result, Ok(TaskEffect::Change)))?;
        result
    }

    fn write_merge_slice(&mut self) -> Result<(), Trouble> {
        if !self.keys.is_merging() {
            return Ok(());
        }
        let now = Timestamp::from((self.clock)());
        self.keys.write_slice(&self.connection, now).map_err(|error| self.slice_failed(&error))
    }

    fn after_batch(&mut self) {
        self.quarantine.publish(&self.intake);
        self.keys.start_merge();
        let (keys, bytes) = self.keys.in_memory();
        self.shared.set_keys(keys, bytes);
        if !self.shared.is_stopped() {
            self.bound_wal();
            self.check_size();
        }
        self.shared.wake_checkpointer_if_due();
    }

    fn classify(&self, error: &rusqlite::Error) -> Trouble {
        Trouble::of(error, || self.files.free_bytes())
    }

    fn close(&mut self) {
        if self.shared.is_stopped() {
            return;
        }
        self.keys.request_merge();
        self.keys.start_merge();
        self.finish_background_work();
        self.copy_wal_before_stop();
        self.marker.stopped();
    }
}
