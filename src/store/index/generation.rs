//! A generation: the words of the messages in a range of ids.

use rusqlite::{Connection, Row, params};

use crate::store::index::rows::FeedBatch;

/// Messages of one block, a range of ids for which the range of times is known.
const BLOCK_MESSAGES: usize = 1_024;
/// Memory of FTS5 for words that are not written yet.
const HASH_BYTES: usize = 512 << 10;
/// Number of segments above which FTS5 merges them while messages are added. Otherwise `optimize`
/// merges them when there is no other work, because merging takes a third of the time.
const MAX_SEGMENTS: usize = 1_000;
/// A generation that is not closed is optimized once this number of messages was added and it has
/// doubled since the last time.
const MIN_ADDED: i64 = 4_096;

/// A generation that is being written.
#[derive(Debug)]
pub struct OpenGeneration {
    pub number: i64,
    pub first_id: i64,
    /// All messages up to this id are indexed.
    pub last_id: i64,
    pub messages: usize,
    pub opened_at: i64,
    times: TimeSpan,
    block: Block,
}

/// The earliest and the latest time; both empty without a message.
#[derive(Clone, Debug, Default)]
struct TimeSpan {
    earliest: String,
    latest: String,
}

#[derive(Debug, Default)]
struct Block {
    first_id: i64,
    messages: usize,
    times: TimeSpan,
}

impl TimeSpan {
    fn add(&mut self, at: &str) {
        if self.earliest.is_empty() || at < self.earliest.as_str() {
            at.clone_into(&mut self.earliest);
        }
        if at > self.latest.as_str() {
            at.clone_into(&mut self.latest);
        }
    }
}

impl OpenGeneration {
    /// Creates the table for messages from `first_id` on.
    pub fn create(
        connection: &Connection,
        number: i64,
        first_id: i64,
        opened_at: i64,
    ) -> rusqlite::Result<Self> {
        connection.execute_batch(&format!(
            "CREATE VIRTUAL TABLE words_{number} USING fts5(words, content='', columnsize=0, detail=none,
               tokenize=\"ascii tokenchars '=._-/'\");
             INSERT INTO words_{number} (words_{number}, rank) VALUES ('hashsize', {HASH_BYTES});
             INSERT INTO words_{number} (words_{number}, rank) VALUES ('automerge', 0);
             INSERT INTO words_{number} (words_{number}, rank) VALUES ('crisismerge', {MAX_SEGMENTS});"
        ))?;
        Ok(Self {
            number,
            first_id,
            last_id: first_id - 1,
            messages: 0,
            opened_at,
            times: TimeSpan::default(),
            block: Block { first_id, ..Block::default() },
        })
    }

    /// Continues the newest generation after a start, unless it is closed.
    pub fn resume(connection: &Connection) -> rusqlite::Result<Option<Self>> {
        let read = |row: &Row<'_>| {
            let last_id: i64 = row.get(2)?;
            Ok(Self {
                number: row.get(0)?,
                first_id: row.get(1)?,
                last_id,
                messages: row.get(3)?,
                opened_at: row.get(6)?,
                times: TimeSpan { earliest: row.get(4)?, latest: row.get(5)? },
                block: Block { first_id: last_id + 1, ..Block::default() },
            })
        };
        let mut statement = connection.prepare(
            "SELECT number, first_id, last_id, messages, earliest_at, latest_at, opened_at
             FROM generations WHERE NOT is_closed ORDER BY last_id DESC LIMIT 1",
        )?;
        statement.query_map([], read)?.next().transpose()
    }

    /// Adds messages, in the current transaction.
    pub fn add(&mut self, connection: &Connection, batch: &FeedBatch) -> rusqlite::Result<()> {
        let sql = format!("INSERT INTO words_{} (rowid, words) VALUES (?1, ?2)", self.number);
        let mut insert = connection.prepare_cached(&sql)?;
        for document in &batch.documents {
            insert.execute(params![document.id, document.words])?;
            self.times.add(&document.received_at);
            self.block.times.add(&document.received_at);
            self.block.messages += 1;
            self.messages += 1;
            self.last_id = document.id;
            if self.block.messages == BLOCK_MESSAGES {
                self.write_block(connection)?;
                self.block = Block { first_id: document.id + 1, ..Block::default() };
            }
        }
        self.last_id = batch.through;
        Ok(())
    }

    /// Writes the row of the generation: its messages can be found after the commit.
    pub fn write(&self, connection: &Connection, is_closed: bool) -> rusqlite::Result<()> {
        self.write_block(connection)?;
        connection
            .prepare_cached(
                "INSERT INTO generations
                   (number, first_id, last_id, messages, earliest_at, latest_at, opened_at, is_closed)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                 ON CONFLICT (number) DO UPDATE
                   SET last_id = ?3, messages = ?4, earliest_at = ?5, latest_at = ?6, is_closed = ?8",
            )?
            .execute(params![
                self.number,
                self.first_id,
                self.last_id,
                self.messages,
                self.times.earliest,
                self.times.latest,
                self.opened_at,
                is_closed
            ])
            .map(drop)
    }

    fn write_block(&self, connection: &Connection) -> rusqlite::Result<()> {
        if self.block.messages == 0 {
            return Ok(());
        }
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO blocks (first_id, last_id, earliest_at, latest_at)
                 VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![
                self.block.first_id,
                self.last_id,
                self.block.times.earliest,
                self.block.times.latest
            ])
            .map(drop)
    }
}

/// Merges the segments of a generation into one, which is faster to search.
pub fn optimize(connection: &Connection, number: i64) -> rusqlite::Result<()> {
    connection.execute_batch(&format!(
        "BEGIN IMMEDIATE;
         INSERT INTO words_{number} (words_{number}) VALUES ('optimize');
         UPDATE generations SET optimized = messages WHERE number = {number};
         COMMIT;"
    ))
}

/// Returns the newest generation with many segments.
pub fn to_optimize(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached(
            "SELECT number FROM generations
             WHERE (is_closed AND optimized < messages) OR messages >= ?1 + 2 * optimized
             ORDER BY last_id DESC LIMIT 1",
        )?
        .query_map([MIN_ADDED], |row| row.get(0))?
        .next()
        .transpose()
}

/// The row of a generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenerationRow {
    pub number: i64,
    pub first_id: i64,
    pub last_id: i64,
    pub messages: i64,
    pub earliest_at: String,
    pub latest_at: String,
    pub is_closed: bool,
}

/// Returns all generations, by id.
pub fn all(connection: &Connection) -> rusqlite::Result<Vec<GenerationRow>> {
    connection
        .prepare_cached(
            "SELECT number, first_id, last_id, messages, earliest_at, latest_at, is_closed
             FROM generations ORDER BY first_id",
        )?
        .query_map([], |row| {
            Ok(GenerationRow {
                number: row.get(0)?,
                first_id: row.get(1)?,
                last_id: row.get(2)?,
                messages: row.get(3)?,
                earliest_at: row.get(4)?,
                latest_at: row.get(5)?,
                is_closed: row.get(6)?,
            })
        })?
        .collect()
}

/// Drops a generation. Its ids count as not indexed, unless it `stays` as an empty one.
pub fn drop_words(connection: &Connection, row: &GenerationRow, stays: bool) -> rusqlite::Result<()> {
    connection.execute_batch(&format!("DROP TABLE IF EXISTS words_{}", row.number))?;
    let sql = match stays {
        true => "UPDATE generations SET messages = 0, is_closed = 1 WHERE number = ?1",
        false => "DELETE FROM generations WHERE number = ?1",
    };
    connection.execute(sql, [row.number])?;
    connection
        .execute("DELETE FROM blocks WHERE first_id BETWEEN ?1 AND ?2", params![row.first_id, row.last_id])
        .map(drop)
}
