//! The writer's side of the quarantine: makes room for rejections and writes them, between two
//! batches of messages.

use std::time::Instant;

use rusqlite::{Connection, params};
use time::{Duration, OffsetDateTime};

use crate::store::id::RejectionId;
use crate::store::quarantine::books::Books;
use crate::store::quarantine::drops::{Drops, RejectionDropReport, SpaceLimit};
use crate::store::quarantine::intake::Intake;
use crate::store::quarantine::rejection::{NewRejection, Placement, RejectionKind, SEALED_AS};
use crate::store::seal::sealer::Sealer;
use crate::store::timestamp::Timestamp;

/// Retention of noise: a day, so that the list shows current noise.
pub const NOISE_RETENTION: Duration = Duration::hours(24);
const ROWS_PER_TRANSACTION: usize = 64;
const BYTES_PER_TRANSACTION: usize = 256 << 10;
/// Limit on rows deleted to make room in one transaction; rejections that still do not fit stay
/// queued for the next one.
const EVICTIONS_PER_TRANSACTION: usize = 256;
/// Limits on rows and bytes that one cleanup step deletes.
const ROWS_PER_STEP: usize = 64;
const BYTES_PER_STEP: u64 = 4 << 20;
/// Rows deleted by a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeletionCount {
    pub rows: usize,
    pub bytes: u64,
}

/// State of the quarantine in the writer.
#[derive(Debug, Default)]
pub struct Quarantine {
    /// `None` if they must be read from the table on next use.
    books: Option<Books>,
    /// Rows and counts of the open transaction, returned to the intake if it fails.
    rows_in_transaction: Vec<NewRejection>,
    drops_in_transaction: Drops,
    /// Set after a row made a transaction fail: the next transaction writes a single row, so that
    /// the faulty one fails alone.
    writes_one_row: bool,
    report: RejectionDropReport,
}

impl Quarantine {
    pub fn load(connection: &Connection, intake: &Intake) -> rusqlite::Result<Self> {
        let books = Books::load(connection)?;
        intake.set_held(books.rows(), books.bytes());
        Ok(Self { books: Some(books), ..Self::default() })
    }

    /// Writes some queued rejections in the writer's transaction. `max_bytes` limits the size of
    /// all rows together.
    pub fn write(
        &mut self,
        connection: &Connection,
        intake: &Intake,
        sealer: &Sealer,
        max_bytes: u64,
    ) -> rusqlite::Result<()> {
        let max_rows = if self.writes_one_row { 1 } else { ROWS_PER_TRANSACTION };
        let mut bytes = 0;
        let mut evictions = EVICTIONS_PER_TRANSACTION;
        while self.rows_in_transaction.len() < max_rows && bytes < BYTES_PER_TRANSACTION {
            let Some(rejection) = intake.take() else { break };
            let place = |books: &mut Books| {
                books.learn_senders(intake);
                let share = rejection.share(max_bytes);
                let placement =
                    books.make_room(connection, intake, &rejection, share, max_bytes, &mut evictions)?;
                if placement == Placement::Written {
                    let id = insert(connection, sealer, &rejection, share)?;
                    books.inserted(id, &rejection, share);
                }
                Ok(placement)
            };
            match self.books(connection).and_then(place) {
                Ok(Placement::Written) => {
                    bytes += rejection.content_bytes();
                    self.rows_in_transaction.push(rejection);
                }
                Ok(Placement::Dropped) => intake.count_dropped(&rejection),
                Ok(Placement::Postponed) => {
                    intake.put_back([rejection].into_iter());
                    break;
                }
                Err(error) => {
                    self.rows_in_transaction.push(rejection);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Writes the counts of dropped rejections.
    pub fn write_counts(
        &mut self,
        connection: &Connection,
        intake: &Intake,
        now: OffsetDateTime,
    ) -> rusqlite::Result<()> {
        self.drops_in_transaction = intake.take_drops();
        self.drops_in_transaction.write(connection, Timestamp::from(now))
    }

    /// Sets the limit named in reports of drops.
    pub fn set_limit(&mut self, limit: SpaceLimit) {
        self.report.limit = limit;
    }

    /// Records the commit of the rows and counts written.
    pub fn committed(&mut self, intake: &Intake) {
        self.rows_in_transaction.clear();
        self.writes_one_row = false;
        self.report.add(std::mem::take(&mut self.drops_in_transaction));
        self.report.write(Instant::now());
        self.publish(intake);
        intake.space.notify_waiters();
    }

    /// Logs unreported drops before the stop.
    pub fn finish_report(&mut self) {
        self.report.finish(Instant::now());
    }

    /// Restores the intake after a rollback. `is_lost`: a row caused the failure, not the disk or a
    /// lock.
    pub fn rolled_back(&mut self, intake: &Intake, is_lost: bool) {
        self.books = None;
        let rows = std::mem::take(&mut self.rows_in_transaction);
        if is_lost && rows.len() == 1 {
            rows.iter().for_each(|row| intake.count_dropped(row));
        } else {
            intake.put_back(rows.into_iter());
        }
        self.writes_one_row = is_lost;
        intake.put_back_drops(std::mem::take(&mut self.drops_in_transaction));
    }

    /// Discards the books after a possible rollback of the table.
    pub fn invalidate(&mut self) {
        self.books = None;
    }

    pub fn publish(&self, intake: &Intake) {
        if let Some(books) = &self.books {
            intake.set_held(books.rows(), books.bytes());
        }
    }

    /// Returns the bytes of all rows.
    pub fn bytes(&mut self, connection: &Connection) -> rusqlite::Result<u64> {
        Ok(self.books(connection)?.bytes())
    }

    /// Deletes a rejection that was released as a message.
    pub fn remove(&mut self, connection: &Connection, id: RejectionId) -> rusqlite::Result<()> {
        self.books(connection)?.delete(connection, id).map(drop)
    }

    /// Deletes some expired rows; returns their number.
    pub fn expire(
        &mut self,
        connection: &Connection,
        intake: &Intake,
        now: OffsetDateTime,
        retention: Duration,
    ) -> rusqlite::Result<usize> {
        let before = |age: Duration| Timestamp::from(now - age);
        let noise_before = before(retention.min(NOISE_RETENTION));
        let books = self.books(connection)?;
        let mut ids = old(
            connection,
            "SELECT id, bytes FROM rejections WHERE received_at < ?1 ORDER BY received_at LIMIT ?2",
            before(retention),
        )?;
        if ids.is_empty() {
            ids = old(
                connection,
                "SELECT id, bytes FROM rejections WHERE candidate = 0 AND received_at < ?1 ORDER BY received_at LIMIT ?2",
                noise_before,
            )?;
        }
        for id in &ids {
            books.delete(connection, *id)?;
        }
        connection
            .prepare_cached("DELETE FROM rejection_counts WHERE last_at < ?1")?
            .execute([before(retention)])?;
        self.publish(intake);
        Ok(ids.len())
    }

    /// Evicts rows, noise first, until `bytes` are free or the limit of a step is reached.
    pub fn shrink(
        &mut self,
        connection: &Connection,
        intake: &Intake,
        bytes: u64,
    ) -> rusqlite::Result<DeletionCount> {
        let books = self.books(connection)?;
        books.learn_senders(intake);
        let mut deleted = DeletionCount::default();
        while deleted.bytes < bytes.min(BYTES_PER_STEP) && deleted.rows < ROWS_PER_STEP {
            let Some(evicted) = books.evict(connection, intake)? else { break };
            deleted.rows += 1;
            deleted.bytes += evicted;
        }
        self.publish(intake);
        Ok(deleted)
    }

    fn books(&mut self, connection: &Connection) -> rusqlite::Result<&mut Books> {
        let books = match self.books.take() {
            Some(books) => books,
            None => Books::load(connection)?,
        };
        Ok(self.books.insert(books))
    }
}

pub fn exists(connection: &Connection, id: RejectionId) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM rejections WHERE id = ?1)")?
        .query_row([id], |row| row.get(0))
}

/// Returns the ids of the oldest rows before `before`, at most as many as one step deletes.
fn old(connection: &Connection, sql: &str, before: Timestamp) -> rusqlite::Result<Vec<RejectionId>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![before, ROWS_PER_STEP])?;
    let (mut ids, mut bytes) = (Vec::new(), 0);
    while bytes < BYTES_PER_STEP
        && let Some(row) = rows.next()?
    {
        ids.push(row.get(0)?);
        bytes += row.get::<_, u64>(1)?;
    }
    Ok(ids)
}

fn insert(
    connection: &Connection,
    sealer: &Sealer,
    rejection: &NewRejection,
    share: u64,
) -> rusqlite::Result<RejectionId> {
    let sealed =
        rejection.credentials.as_ref().map(|plain| sealer.seal(SEALED_AS, plain.as_bytes()).into_bytes());
    connection
        .prepare_cached(
            "INSERT INTO rejections (received_at, source, cause, candidate, remote_ip, network, bytes, method, query,
               headers, body, sealed_credentials)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?
        .insert(params![
            Timestamp::from(rejection.received_at),
            &*rejection.source,
            rejection.cause,
            rejection.kind == RejectionKind::Candidate,
            rejection.remote_ip.to_string(),
            rejection.network().to_string(),
            share,
            rejection.method,
            rejection.query,
            rejection.headers,
            rejection.body.as_deref(),
            sealed,
        ])
        .map(RejectionId::of_rowid)
}
