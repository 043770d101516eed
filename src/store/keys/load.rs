//! Loads keys at start. Damaged pages only affect their own keys: a duplicate of a message without
//! a readable key may be stored, which is better than no service.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::store::damage;
use crate::store::id::MessageId;
use crate::store::keys::KeyIndex;
use crate::store::keys::key::{BodyDigest, MessageKey, first_16};
use crate::store::keys::recent::RecentKeys;

const TABLE: &str = "delivery_keys";

impl KeyIndex {
    /// Rebuilds the keys in memory from the messages above `merged_through`, and the filters from
    /// the merged keys.
    pub fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let (generation, merged_through): (Option<i64>, Option<MessageId>) = connection.query_row(
            "SELECT max(generation), max(merged_through) FROM key_generations",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        let merged_through = merged_through.unwrap_or_default();
        let mut keys = Self {
            newest: RecentKeys::default(),
            staged: Vec::new(),
            merging: RecentKeys::default(),
            merge: None,
            filters: BTreeMap::new(),
            generation: generation.unwrap_or(1),
            generation_keys: 0,
            merged_through,
            newest_message: merged_through,
            merge_wanted: false,
            is_merging_stopped: false,
        };
        keys.load_filters(connection)?;
        keys.load_newest(connection)?;
        Ok(keys)
    }

    fn load_filters(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let mut next =
            connection.prepare("SELECT min(generation) FROM delivery_keys WHERE generation > ?1")?;
        let mut last = i64::MIN;
        // Reads generations one by one, so that damage in one of them loses only the rest of its
        // keys.
        while let Some(generation) =
            damage::skip(TABLE, next.query_row([last], |row| row.get::<_, Option<i64>>(0)))?.flatten()
        {
            let loaded = self.load_filter(connection, generation);
            damage::skip(TABLE, loaded)?;
            last = generation;
        }
        Ok(())
    }

    fn load_filter(&mut self, connection: &Connection, generation: i64) -> rusqlite::Result<()> {
        // A crash may have left a partial generation without a row in key_generations.
        if generation > self.generation {
            self.generation = generation;
            self.generation_keys = 0;
        }
        let mut statement =
            connection.prepare_cached("SELECT key FROM delivery_keys WHERE generation = ?1")?;
        let mut rows = statement.query([generation])?;
        while let Some(row) = rows.next()? {
            let key = MessageKey(first_16(row.get_ref(0)?.as_blob()?));
            self.filter_of(generation).insert_hash(key.hash());
            self.generation_keys += usize::from(generation == self.generation);
        }
        Ok(())
    }

    fn load_newest(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let mut statement = connection.prepare(&format!("{NEWEST} WHERE id > ?1 ORDER BY id"))?;
        let mut rows = statement.query([self.merged_through])?;
        let all = loop {
            match rows.next() {
                Ok(Some(row)) => self.load_message(row)?,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        if damage::skip("messages", all)?.is_some() {
            return Ok(());
        }
        // A row is unreadable. The ids are also in the index, so the rows are read one by one to
        // load the readable ones.
        let mut ids = connection
            .prepare("SELECT id FROM messages INDEXED BY messages_received_at WHERE +id > ?1 ORDER BY +id")?;
        let ids: Vec<MessageId> =
            ids.query_map([self.newest_message], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        let mut one = connection.prepare(&format!("{NEWEST} WHERE id = ?1"))?;
        for id in ids {
            damage::skip("messages", one.query_row([id], |row| self.load_message(row)).optional())?;
            self.newest_message = self.newest_message.max(id);
        }
        Ok(())
    }

    fn load_message(&mut self, row: &Row<'_>) -> rusqlite::Result<()> {
        let (id, source, delivery_id): (MessageId, String, Option<String>) =
            (row.get(0)?, row.get(1)?, row.get(2)?);
        let (method, query): (String, Option<String>) = (row.get(3)?, row.get(4)?);
        let body_sha256 = row.get_ref(5)?.as_blob()?;
        // A source without ids drops duplicates only if it is configured to, which is not visible
        // here. Unused keys do no harm.
        let key = match &delivery_id {
            Some(delivery_id) => MessageKey::of_delivery_id(&source, delivery_id),
            None => MessageKey::of_content(&source, &method, query.as_deref(), body_sha256),
        };
        self.newest.insert(key, id, BodyDigest::of(body_sha256));
        self.newest_message = id;
        Ok(())
    }
}

const NEWEST: &str = "SELECT id, source, delivery_id, method, query, body_sha256 FROM messages";
