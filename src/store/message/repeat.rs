//! Whether a message repeats a stored one with the same key.

use rusqlite::{Connection, MAIN_DB, OptionalExtension as _, params};

use crate::store::confirmation;
use crate::store::id::MessageId;
use crate::store::message::new::{Identity, NewMessage};
use crate::store::message::original::TrustLevel;
use crate::store::seal::sealer::Sealer;
use crate::store::timestamp::Timestamp;

/// Size of the slices in which `check_row` reads content.
const CHECKED_SLICE_BYTES: usize = 64 << 10;

/// Relation of a message to a stored one that is not confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// A separate message.
    None,
    /// Counted as a duplicate by the caller.
    Counted,
    /// A repeat that needs confirmation, but the source has reached its limit on awaiting messages.
    TooManyAwaiting,
}

pub fn has_too_many_awaiting(connection: &Connection, message: &NewMessage) -> rusqlite::Result<bool> {
    let Some(max) = message.confirmation_request.as_ref().and_then(|request| request.max_awaiting) else {
        return Ok(false);
    };
    Ok(confirmation::awaiting(connection, &message.source)? >= i64::from(max))
}

/// Compares a message that needs confirmation with the unconfirmed message `of`. Messages with the
/// same content are repeats if `of` is awaiting with the same confirmation request, or if the
/// confirmation of `of` failed. In the second case, another query is scheduled, with the request of
/// the new message (`sealed_request`).
pub fn repeat_unconfirmed(
    connection: &Connection,
    sealer: &Sealer,
    message: &NewMessage,
    sealed_request: &str,
    trust_level: TrustLevel,
    of: MessageId,
) -> rusqlite::Result<Repeat> {
    let Some(request) = &message.confirmation_request else { return Ok(Repeat::None) };
    if !is_within_window(connection, message, of)? || !has_same_content(connection, message, of)? {
        return Ok(Repeat::None);
    }
    if trust_level == TrustLevel::Awaiting {
        let stored = confirmation::sealed_request(connection, of)?;
        let stored = stored.and_then(|sealed| sealer.open(confirmation::SEALED_AS, &sealed).ok());
        let is_same = stored.as_deref() == Some(request.request.as_bytes());
        return Ok(if is_same { Repeat::Counted } else { Repeat::None });
    }
    if has_too_many_awaiting(connection, message)? {
        return Ok(Repeat::TooManyAwaiting);
    }
    confirmation::schedule_again(connection, of, &message.source, sealed_request, message.received_at)?;
    // The confirmation request is now that of the new webhook, so its headers and address are
    // stored as well.
    connection
        .prepare_cached("UPDATE messages SET headers = ?2, remote_ip = ?3 WHERE id = ?1")?
        .execute(params![of, message.headers, message.remote_ip.to_string()])?;
    confirmation::note_new_headers(connection, of)?;
    Ok(Repeat::Counted)
}

/// Whether the stored message `of`, which has the same body, also has the same event, method, query
/// and payload, and so would be delivered in the same form.
fn has_same_content(connection: &Connection, message: &NewMessage, of: MessageId) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare_cached(
        "SELECT payload FROM messages
         WHERE id = ?1 AND event = ?2 AND method = ?3 AND query IS ?4 AND unreadable IS ?5",
    )?;
    let unreadable = message.content.unreadable();
    let mut rows = statement.query(params![of, message.event, message.method, message.query, unreadable])?;
    let Some(row) = rows.next()? else { return Ok(false) };
    Ok(row.get_ref(0)?.as_bytes_or_null()? == message.content.payload())
}

/// Whether the stored message `of` is recent enough for a repeat; always true for a message with an
/// id.
pub fn is_within_window(
    connection: &Connection,
    message: &NewMessage,
    of: MessageId,
) -> rusqlite::Result<bool> {
    let Identity::Content { window } = message.identity else { return Ok(true) };
    let since = Timestamp::from(message.received_at - window);
    connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM messages WHERE id = ?1 AND received_at >= ?2)")?
        .query_row(params![of, since], |row| row.get(0))
}

/// Reads a whole row, as SQLite does when it changes the row, without holding a copy of its
/// content.
///
/// # Errors
/// If a part of the row is on a damaged page.
pub fn check_row(connection: &Connection, id: MessageId) -> rusqlite::Result<()> {
    let has_content = connection
        .prepare_cached(
            "SELECT typeof(payload) <> 'null', typeof(body) <> 'null', query, delivery_id, headers, released_at, unreadable
             FROM messages WHERE id = ?1",
        )?
        .query_row([id], |row| {
            for column in 2..7 {
                row.get_ref(column)?.as_bytes_or_null()?;
            }
            Ok([("payload", row.get(0)?), ("body", row.get(1)?)])
        })
        .optional()?
        .unwrap_or_default();
    for (column, _) in has_content.into_iter().filter(|(_, has_content)| *has_content) {
        let content = connection.blob_open(MAIN_DB, "messages", column, id.get(), true)?;
        let mut slice = vec![0; CHECKED_SLICE_BYTES];
        let mut at = 0;
        while at < content.len() {
            let end = at + content.read_at(&mut slice, at)?;
            // Slices overlap by one byte. If a slice began at the start of a page, SQLite would
            // find this page through the pointer map, and would not notice a damaged pointer on the
            // previous page.
            at = if end < content.len() { end - 1 } else { end };
        }
    }
    Ok(())
}
