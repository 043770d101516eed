//! Reads messages for the indexer, on a thread of normal priority, and finds their words, on one of
//! the lowest priority.

use std::cell::Cell;
use std::sync::mpsc::{Receiver, SendError, SyncSender, sync_channel};
use std::thread::JoinHandle;

use crate::query::MessageWords;
use crate::store::connection::Pool;
use crate::store::damage;
use crate::store::index::rows::{self, FeedBatch, FeedBounds, RowBatch};

/// Batches that are read for one request.
const BATCHES: usize = 16;
const LOWEST_PRIORITY: i32 = 19;

/// A question to the database.
#[derive(Clone, Copy, Debug)]
enum FeedRequest {
    /// Messages with ids above `after`, up to `through`, in several answers.
    Rows {
        after: i64,
        through: i64,
    },
    /// The number of messages in a range of ids, at most `max`.
    Count {
        first: i64,
        last: i64,
        max: i64,
    },
    Bounds,
}

/// An answer, with messages or with their words.
#[derive(Debug)]
enum FeedAnswer<B> {
    Batch(B),
    Count(i64),
    Bounds(FeedBounds),
    /// The database could not be read.
    Failed,
}

/// The channels to the threads that read messages and find their words.
#[derive(Debug)]
pub struct IndexFeed {
    requests: SyncSender<FeedRequest>,
    answers: Receiver<FeedAnswer<FeedBatch>>,
    /// Whether batches of a request follow.
    has_batches: Cell<bool>,
    threads: [JoinHandle<()>; 2],
}

impl IndexFeed {
    /// Starts the threads, which end when the feed is dropped.
    pub fn start(readers: Pool) -> std::io::Result<Self> {
        let (requests, to_answer) = sync_channel(1);
        let (raw, to_convert) = sync_channel(1);
        let (answer, answers) = sync_channel(1);
        let read = move || {
            for request in to_answer {
                if answer_to(request, &readers, &raw).is_err() {
                    return;
                }
            }
        };
        let convert = move || {
            lower_priority();
            let mut words = MessageWords::for_index();
            for one in to_convert {
                let converted = match one {
                    FeedAnswer::Batch(batch) => {
                        FeedAnswer::Batch(RowBatch::into_documents(batch, &mut words))
                    }
                    FeedAnswer::Count(count) => FeedAnswer::Count(count),
                    FeedAnswer::Bounds(bounds) => FeedAnswer::Bounds(bounds),
                    FeedAnswer::Failed => FeedAnswer::Failed,
                };
                if answer.send(converted).is_err() {
                    return;
                }
            }
        };
        let threads = [
            std::thread::Builder::new().name("index-read".to_owned()).spawn(read)?,
            std::thread::Builder::new().name("index-words".to_owned()).spawn(convert)?,
        ];
        Ok(Self { requests, answers, has_batches: Cell::new(false), threads })
    }

    /// Ends the threads and waits for them.
    pub fn close(self) {
        let Self { requests, answers, threads, .. } = self;
        drop((requests, answers));
        threads.into_iter().for_each(|thread| drop(thread.join()));
    }

    fn request(&self, request: FeedRequest) {
        // Batches of an earlier request that were not received.
        while self.has_batches.get() {
            self.next_batch();
        }
        // Fails only if the threads have panicked: then no answer follows.
        let _ = self.requests.send(request);
    }

    /// Requests messages with ids above `after`, up to `through`. `next_batch` returns them until
    /// one is the last.
    pub fn request_rows(&self, after: i64, through: i64) {
        self.request(FeedRequest::Rows { after, through });
        self.has_batches.set(true);
    }

    /// Waits for the next batch; `None` if the database could not be read, which ends the request.
    pub fn next_batch(&self) -> Option<FeedBatch> {
        let batch = match self.answers.recv() {
            Ok(FeedAnswer::Batch(batch)) => Some(batch),
            _ => None,
        };
        self.has_batches.set(batch.as_ref().is_some_and(|batch| !batch.is_last));
        batch
    }

    /// Returns `None` if the database could not be read.
    pub fn count(&self, first: i64, last: i64, max: i64) -> Option<i64> {
        self.request(FeedRequest::Count { first, last, max });
        match self.answers.recv() {
            Ok(FeedAnswer::Count(count)) => Some(count),
            _ => None,
        }
    }

    /// Returns `None` if the database could not be read.
    pub fn bounds(&self) -> Option<FeedBounds> {
        self.request(FeedRequest::Bounds);
        match self.answers.recv() {
            Ok(FeedAnswer::Bounds(bounds)) => Some(bounds),
            _ => None,
        }
    }
}

/// Gives the current thread the lowest priority.
pub fn lower_priority() {
    let thread = rustix::thread::gettid();
    if let Err(error) = rustix::process::setpriority_process(Some(thread), LOWEST_PRIORITY) {
        log::debug!("cannot lower the priority of the index: {error}");
    }
}

/// Answers a request. Fails if the indexer has ended.
fn answer_to(
    request: FeedRequest,
    readers: &Pool,
    answers: &SyncSender<FeedAnswer<RowBatch>>,
) -> Result<(), SendError<FeedAnswer<RowBatch>>> {
    let read = |request| -> Result<FeedAnswer<RowBatch>, Box<dyn std::error::Error>> {
        let connection = readers.get()?;
        let answer = match request {
            FeedRequest::Rows { after, through } => {
                FeedAnswer::Batch(rows::batch(&connection, after, through)?)
            }
            FeedRequest::Count { first, last, max } => {
                FeedAnswer::Count(rows::count(&connection, first, last, max)?)
            }
            FeedRequest::Bounds => FeedAnswer::Bounds(rows::bounds(&connection)?),
        };
        Ok(answer)
    };
    let read_or_note = |request| {
        let answer = read(request).unwrap_or_else(|error| {
            log::debug!("cannot read messages for the index: {error}");
            FeedAnswer::Failed
        });
        // Damage is noted by other reads.
        damage::take();
        answer
    };
    let FeedRequest::Rows { mut after, through } = request else {
        return answers.send(read_or_note(request));
    };
    for number in 1..=BATCHES {
        let mut answer = read_or_note(FeedRequest::Rows { after, through });
        let mut is_last = true;
        if let FeedAnswer::Batch(batch) = &mut answer {
            after = batch.through;
            batch.is_last = after >= through || number == BATCHES;
            is_last = batch.is_last;
        }
        answers.send(answer)?;
        if is_last {
            break;
        }
    }
    Ok(())
}
