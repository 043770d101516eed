//! Instance ids, which are a part of each `webhook-id`. Each instance id applies to the messages
//! from its first message on, up to the first message of the next instance id.

use rusqlite::{Connection, params};

use crate::store::id::MessageId;
use crate::store::random;
use crate::store::timestamp::Timestamp;

const ID_CHARACTERS: usize = 12;
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// All instance ids of a database, each with its first message, in order.
#[derive(Debug, PartialEq, Eq)]
pub struct Instances(Vec<(MessageId, String)>);

impl Instances {
    pub fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let mut statement =
            connection.prepare("SELECT first_message, id FROM instances ORDER BY first_message")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect::<rusqlite::Result<_>>().map(Self)
    }

    /// Returns the id for new messages.
    pub fn newest(&self) -> &str {
        self.0.last().map_or("", |(_, id)| id)
    }

    /// Returns the `webhook-id` of a message. All deliveries of the message have this id, and no
    /// other message has it.
    pub fn webhook_id(&self, message: MessageId) -> String {
        let after = self.0.partition_point(|(first, _)| *first <= message);
        let id = self.0.get(after.saturating_sub(1)).map_or("", |(_, id)| id);
        format!("msg_{id}_{message}")
    }
}

/// Starts another instance id for new messages, and removes the ids whose messages are all older
/// than the oldest stored message.
pub fn begin(connection: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    connection.execute(
        "DELETE FROM instances WHERE first_message < (
           SELECT max(first_message) FROM instances
           WHERE first_message <= coalesce((SELECT min(id) FROM messages), 0))",
        [],
    )?;
    connection
        .execute(
            "INSERT OR REPLACE INTO instances (first_message, id, begun_at)
             VALUES (1 + coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'messages'), 0), ?1, ?2)",
            params![random_id(), now],
        )
        .map(drop)
}

fn random_id() -> String {
    let bytes: [u8; ID_CHARACTERS] = random::array().expect("the system's random source works");
    bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect()
}

/// Returns a random number for a timeline; never 0.
pub fn random_number() -> i64 {
    let bytes = random::array().expect("the system's random source works");
    (i64::from_be_bytes(bytes) & i64::MAX) | 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch(
                "CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT);
                 CREATE TABLE instances (first_message INTEGER PRIMARY KEY, id TEXT, begun_at TEXT)",
            )
            .unwrap();
        connection
    }

    fn insert(connection: &Connection, count: usize) {
        for _ in 0..count {
            connection.execute("INSERT INTO messages DEFAULT VALUES", []).unwrap();
        }
    }

    #[test]
    fn messages_keep_their_instance_id() {
        let connection = database();
        begin(&connection, Timestamp::MIN).unwrap();
        insert(&connection, 3);
        let before = Instances::read(&connection).unwrap();
        begin(&connection, Timestamp::MIN).unwrap();
        insert(&connection, 1);
        let after = Instances::read(&connection).unwrap();
        for message in 1..=3 {
            assert_eq!(after.webhook_id(message.into()), before.webhook_id(message.into()));
        }
        assert_ne!(after.webhook_id(4.into()), before.webhook_id(4.into()));
    }

    #[test]
    fn instance_without_messages_is_replaced() {
        let connection = database();
        insert(&connection, 2);
        begin(&connection, Timestamp::MIN).unwrap();
        let before = Instances::read(&connection).unwrap();
        begin(&connection, Timestamp::MIN).unwrap();
        let after = Instances::read(&connection).unwrap();
        assert_eq!((before.0.len(), after.0.len()), (1, 1));
        assert_ne!(before, after);
    }

    #[test]
    fn instances_without_stored_messages_are_removed() {
        let connection = database();
        for _ in 0..4 {
            begin(&connection, Timestamp::MIN).unwrap();
            insert(&connection, 2);
        }
        connection.execute("DELETE FROM messages WHERE id < 4", []).unwrap();
        let before = Instances::read(&connection).unwrap();
        begin(&connection, Timestamp::MIN).unwrap();
        let after = Instances::read(&connection).unwrap();
        let first: Vec<MessageId> = after.0.iter().map(|(first, _)| *first).collect();
        assert_eq!(first, [3, 5, 7, 9]);
        assert_eq!(after.webhook_id(4.into()), before.webhook_id(4.into()));
    }
}
