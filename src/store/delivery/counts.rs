//! The deliveries of messages in lists, counted by their state.

use std::collections::BTreeMap;

use rusqlite::Connection;

use crate::store::id::MessageId;

/// Limit on the counted deliveries of one message, the newest ones. Only a message with many
/// replays has more.
const MAX_COUNTED: usize = 1_000;

/// The deliveries of a message to targets other than listeners. A dead letter that was replayed
/// does not count, because the delivery that replaced it does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliveryCounts {
    pub delivered: u32,
    /// Without a finished attempt.
    pub pending: u32,
    /// Pending after a failed attempt.
    pub failed: u32,
    /// Dead letters.
    pub dead: u32,
}

/// Counts the deliveries of each message. Messages without deliveries are left out.
pub fn count_by_state(
    connection: &Connection,
    messages: &[MessageId],
) -> rusqlite::Result<BTreeMap<MessageId, DeliveryCounts>> {
    let mut statement = connection.prepare_cached(
        "SELECT count(*), sum(state = 'delivered'), sum(state = 'pending' AND attempts = 0),
                sum(state = 'pending' AND attempts > 0), sum(state = 'dead')
         FROM (SELECT deliveries.state, attempts FROM deliveries JOIN targets ON targets.id = target_id
               WHERE message_id = ?1 AND kind <> 'listener' ORDER BY deliveries.id DESC LIMIT ?2)",
    )?;
    let mut counts = BTreeMap::new();
    for message in messages {
        let count = statement.query_row((message, MAX_COUNTED), |row| {
            let number = |at: usize| Ok::<u32, rusqlite::Error>(row.get::<_, Option<u32>>(at)?.unwrap_or(0));
            let counts = DeliveryCounts {
                delivered: number(1)?,
                pending: number(2)?,
                failed: number(3)?,
                dead: number(4)?,
            };
            Ok(Some(counts).filter(|_| row.get(0).is_ok_and(|count: u32| count > 0)))
        })?;
        counts.extend(count.map(|count| (*message, count)));
    }
    Ok(counts)
}
