//! Deduplication by delivery id, or by content for messages without one.
//!
//! A unique index over random ids would dirty a page for each message. Because one writer sees
//! every message, the newest keys stay in memory and are appended to `delivery_keys` in sorted
//! generations, slice by slice, within the writer's transactions. A Bloom filter over each group of
//! generations excludes nearly every new id. After a crash the memory is rebuilt from the rows of
//! `messages` above the last merged one.

pub mod expire;
pub mod key;
mod load;
mod recent;

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;

use fastbloom::BloomFilter;
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::store::id::MessageId;
use crate::store::keys::key::{BodyDigest, KeyEntry, KeyMatch, MessageKey, first_16};
use crate::store::keys::recent::RecentKeys;
use crate::store::timestamp::Timestamp;

/// Number of keys in memory at which a merge starts, and number of keys in a generation from which
/// the next merge begins another generation.
const KEYS_PER_GENERATION: usize = 32_768;
/// Generations that share a filter: about a million keys in 2 MiB, with one false positive in a
/// thousand.
const GENERATIONS_PER_FILTER: i64 = 32;
const FILTER_BITS: usize = 16 * KEYS_PER_GENERATION * GENERATIONS_PER_FILTER as usize;
const HASHES: u32 = 6;
/// Number of keys merged per transaction, in well under a millisecond. A slice is larger if many
/// newer keys are in memory.
const KEYS_PER_SLICE: usize = 512;
/// Number of messages above `merged_through` from which a merge starts even with few keys: a start
/// reads these messages again.
const MESSAGES_ABOVE_MARK: i64 = 2 * KEYS_PER_GENERATION as i64;

/// Keys that are being written to `delivery_keys`.
#[derive(Debug)]
struct Merge {
    entries: VecDeque<KeyEntry>,
    generation: i64,
    merged: usize,
    /// Newest message covered by this merge once it is complete.
    through: MessageId,
}

#[derive(Debug)]
pub struct KeyIndex {
    newest: RecentKeys,
    /// Keys of the open transaction.
    staged: Vec<(MessageKey, MessageId)>,
    merging: RecentKeys,
    merge: Option<Merge>,
    filters: BTreeMap<i64, BloomFilter>,
    /// Current generation, and its number of keys.
    generation: i64,
    generation_keys: usize,
    merged_through: MessageId,
    newest_message: MessageId,
    /// Whether a merge of all keys was requested and has not started.
    merge_wanted: bool,
    /// Whether the table is damaged, so that keys stay in memory.
    is_merging_stopped: bool,
}

impl KeyIndex {
    fn filter_of(&mut self, generation: i64) -> &mut BloomFilter {
        self.filters
            .entry(generation / GENERATIONS_PER_FILTER)
            .or_insert_with(|| BloomFilter::with_num_bits(FILTER_BITS).hashes(HASHES))
    }

    /// Looks up a key among the committed keys and those of the open transaction.
    pub fn find(
        &self,
        connection: &Connection,
        key: MessageKey,
        digest: BodyDigest,
    ) -> rusqlite::Result<KeyMatch> {
        let mut known = KeyMatch::Nothing;
        for (group, filter) in &self.filters {
            if filter.contains_hash(key.hash()) {
                let first = group * GENERATIONS_PER_FILTER;
                let generations = first..=(first + GENERATIONS_PER_FILTER - 1).min(self.generation);
                known = known.and(find_merged(connection, generations, key, digest)?);
            }
        }
        for recent in [&self.merging, &self.newest] {
            known = known.and(recent.find(key, digest));
        }
        Ok(known)
    }

    /// Returns each message with the key, and whether its body is the same.
    pub fn messages(
        &self,
        connection: &Connection,
        key: MessageKey,
        digest: BodyDigest,
    ) -> rusqlite::Result<Vec<(MessageId, bool)>> {
        let mut found = Vec::new();
        for recent in [&self.merging, &self.newest] {
            found.extend(recent.messages(key, digest));
        }
        let mut statement = connection.prepare_cached(
            "SELECT message_id, body_digest FROM delivery_keys WHERE generation = ?1 AND key = ?2",
        )?;
        for generation in self.generations_with(key) {
            let mut rows = statement.query(params![generation, key.bytes()])?;
            while let Some(row) = rows.next()? {
                found.push((row.get(0)?, BodyDigest(first_16(row.get_ref(1)?.as_blob()?)) == digest));
            }
        }
        Ok(found)
    }

    /// Deletes the merged key of one message.
    pub fn forget(
        &self,
        connection: &Connection,
        key: MessageKey,
        message: MessageId,
    ) -> rusqlite::Result<()> {
        let mut delete = connection.prepare_cached(
            "DELETE FROM delivery_keys WHERE generation = ?1 AND key = ?2 AND message_id = ?3",
        )?;
        for generation in self.generations_with(key) {
            delete.execute(params![generation, key.bytes(), message])?;
        }
        Ok(())
    }

    /// Returns the generations of each group whose filter reports the key.
    fn generations_with(&self, key: MessageKey) -> impl Iterator<Item = i64> {
        let groups = self.filters.iter().filter(move |(_, filter)| filter.contains_hash(key.hash()));
        groups.flat_map(|(group, _)| {
            let first = group * GENERATIONS_PER_FILTER;
            first..=(first + GENERATIONS_PER_FILTER - 1).min(self.generation)
        })
    }

    /// Adds the key of a message in the open transaction.
    pub fn stage(&mut self, key: MessageKey, message: MessageId, digest: BodyDigest) {
        self.newest.insert(key, message, digest);
        self.staged.push((key, message));
    }

    /// Records a commit; `newest_message` is the greatest id in it.
    pub fn commit(&mut self, newest_message: MessageId) {
        self.staged.clear();
        self.newest_message = self.newest_message.max(newest_message);
    }

    /// Discards the keys of a transaction that was rolled back.
    pub fn roll_back(&mut self) {
        for (key, message) in self.staged.drain(..) {
            self.newest.remove(key, message);
        }
    }

    /// Whether a merge is in progress. The writer then continues it even without queued jobs.
    pub fn is_merging(&self) -> bool {
        self.merge.is_some()
    }

    /// Requests a merge, which starts between two transactions, never within one.
    pub fn request_merge(&mut self) {
        self.merge_wanted = true;
    }

    /// Starts a merge of all keys once there are enough, or if one was requested. Called only
    /// between transactions, so that keys of a rolled-back one never reach the table.
    pub fn start_merge(&mut self) {
        debug_assert!(self.staged.is_empty(), "a transaction is open");
        let unmerged = self.newest_message.get() - self.merged_through.get();
        let enough = self.newest.len() >= KEYS_PER_GENERATION || unmerged >= MESSAGES_ABOVE_MARK;
        if self.is_merging_stopped {
            return;
        }
        if self.merge.is_some() || !(enough || (self.merge_wanted && unmerged > 0)) {
            return;
        }
        if self.generation_keys >= KEYS_PER_GENERATION {
            self.generation += 1;
            self.generation_keys = 0;
        }
        self.merge_wanted = false;
        self.merging = std::mem::take(&mut self.newest);
        self.merge = Some(Merge {
            entries: self.merging.sorted().into(),
            generation: self.generation,
            merged: 0,
            through: self.newest_message,
        });
    }

    /// Writes one slice of the merge in the writer's transaction; the last slice also advances
    /// `merged_through` in the database. After the commit, `merge_committed` removes the entries
    /// from memory.
    pub fn write_slice(&mut self, connection: &Connection, now: Timestamp) -> rusqlite::Result<()> {
        let Some(merge) = &mut self.merge else { return Ok(()) };
        let slice = KEYS_PER_SLICE.max(self.newest.len() / 16);
        let mut insert = connection.prepare_cached(
            "INSERT OR IGNORE INTO delivery_keys (generation, key, message_id, body_digest) VALUES (?1, ?2, ?3, ?4)",
        )?;
        merge.merged = 0;
        for (key, id, digest) in merge.entries.iter().take(slice) {
            insert.execute(params![merge.generation, key.bytes(), id, digest.0.to_be_bytes()])?;
            merge.merged += 1;
        }
        if merge.merged == merge.entries.len() {
            connection.prepare_cached(
                "INSERT INTO key_generations (generation, keys, merged_through, newest_at) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (generation) DO UPDATE SET
                   keys = ?2, merged_through = ?3, newest_at = max(newest_at, excluded.newest_at)",
            )?
            .execute(params![merge.generation, self.generation_keys + self.merging.len(), merge.through, now])?;
        }
        Ok(())
    }

    /// Stops merging because the table is not writable: keys stay in memory until the next start.
    pub fn stop_merging(&mut self) {
        self.merge = None;
        for (key, message, digest) in std::mem::take(&mut self.merging).sorted() {
            self.newest.insert(key, message, digest);
        }
        self.is_merging_stopped = true;
    }

    pub fn is_merging_stopped(&self) -> bool {
        self.is_merging_stopped
    }

    /// Records the commit of a slice.
    pub fn merge_committed(&mut self) {
        let Some(mut merge) = self.merge.take() else { return };
        let written: Vec<KeyEntry> = merge.entries.drain(..merge.merged).collect();
        let filter = self.filter_of(merge.generation);
        for (key, ..) in written {
            filter.insert_hash(key.hash());
        }
        merge.merged = 0;
        if merge.entries.is_empty() {
            self.generation_keys += self.merging.len();
            self.merged_through = merge.through;
            self.merging = RecentKeys::default();
        } else {
            self.merge = Some(merge);
        }
    }

    /// Returns the newest message covered by the keys in memory and in the table.
    pub fn newest_message(&self) -> MessageId {
        self.newest_message
    }

    /// Returns the newest message up to which all keys are in the table. Later messages must not be
    /// deleted, because their keys would be lost.
    pub fn merged_through(&self) -> MessageId {
        self.merged_through
    }

    /// Drops the filters of generations that cleanup has deleted from the table.
    pub fn forget_generations(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let oldest: Option<i64> = connection
            .query_row("SELECT generation FROM delivery_keys ORDER BY generation LIMIT 1", [], |row| {
                row.get(0)
            })
            .optional()?;
        let oldest = oldest.unwrap_or(self.generation);
        self.filters.retain(|group, _| (group + 1) * GENERATIONS_PER_FILTER > oldest);
        Ok(())
    }

    /// Returns the number of keys in memory, and the bytes of these keys and the filters.
    pub fn in_memory(&self) -> (usize, usize) {
        let keys = self.newest.len() + self.merging.len();
        let bytes = self.newest.bytes() + self.merging.bytes();
        let queued = self.merge.as_ref().map_or(0, |merge| merge.entries.len() * size_of::<KeyEntry>());
        (keys, bytes + queued + self.filters.len() * FILTER_BITS / 8)
    }

    /// Returns the current generation, which must not be deleted.
    pub fn generation(&self) -> i64 {
        self.generation
    }
}

impl KeyMatch {
    fn of(id: MessageId, same: bool) -> Self {
        if same { Self::Same(id) } else { Self::Other(id) }
    }

    /// Combines two results. Prefers the newest message with the same body, then the first one with
    /// another body.
    fn and(self, next: Self) -> Self {
        match (self, next) {
            (Self::Same(a), Self::Same(b)) => Self::Same(a.max(b)),
            (Self::Same(id), _) | (_, Self::Same(id)) => Self::Same(id),
            (Self::Other(a), Self::Other(b)) => Self::Other(a.min(b)),
            (Self::Other(id), Self::Nothing) | (Self::Nothing, Self::Other(id)) => Self::Other(id),
            (Self::Nothing, Self::Nothing) => Self::Nothing,
        }
    }
}

/// Looks up a key in these generations of the table.
fn find_merged(
    connection: &Connection,
    generations: RangeInclusive<i64>,
    key: MessageKey,
    digest: BodyDigest,
) -> rusqlite::Result<KeyMatch> {
    let mut statement = connection.prepare_cached(
        "SELECT message_id, body_digest FROM delivery_keys WHERE generation = ?1 AND key = ?2",
    )?;
    let mut known = KeyMatch::Nothing;
    for generation in generations {
        let mut rows = statement.query(params![generation, key.bytes()])?;
        while let Some(row) = rows.next()? {
            let other = BodyDigest(first_16(row.get_ref(1)?.as_blob()?));
            known = known.and(KeyMatch::of(row.get(0)?, other == digest));
        }
    }
    Ok(known)
}

#[cfg(test)]
mod tests;
