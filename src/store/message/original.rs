//! Finds the stored message that a new one repeats or conflicts with. A message conflicts only with
//! a trusted one: one that is confirmed or needs no confirmation. Any client can send an
//! unconfirmed message, so a message repeats an unconfirmed one only if their content is identical
//! and, if that one still awaits confirmation, their confirmation requests too.

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::store::damage;
use crate::store::id::MessageId;
use crate::store::keys::KeyIndex;
use crate::store::keys::key::{BodyDigest, KeyMatch, MessageKey};

/// Maximum number of unconfirmed messages with the same key whose keys are stored. Further messages
/// are stored without their keys, so that a flood with one id does not slow down the writer. If a
/// message without a stored key is confirmed, its duplicates can be delivered too.
const MAX_UNCONFIRMED: usize = 64;
/// Maximum number of messages with the same key that are examined. Further messages are ignored,
/// even trusted ones.
const MAX_SCANNED: usize = 256;

/// The trust in a stored message, in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TrustLevel {
    Awaiting,
    Refused,
    Trusted,
}

/// The stored messages with the key of a new one.
#[derive(Debug)]
pub struct Relatives {
    /// The match among trusted messages.
    pub trusted: KeyMatch,
    /// Messages with the same body that are not confirmed: awaiting ones before those whose
    /// confirmation failed, and newer ones before older ones.
    pub unconfirmed: Vec<(TrustLevel, MessageId)>,
    /// Whether the key of the new message is stored, see `MAX_UNCONFIRMED`.
    pub is_key_kept: bool,
}

impl Relatives {
    pub const NONE: Self = Self::of(KeyMatch::Nothing);

    const fn of(trusted: KeyMatch) -> Self {
        Self { trusted, unconfirmed: Vec::new(), is_key_kept: true }
    }
}

/// Finds the stored messages with this key. `except` is the message itself, if it is already
/// stored.
pub fn relatives(
    connection: &Connection,
    keys: &KeyIndex,
    key: MessageKey,
    digest: BodyDigest,
    except: Option<MessageId>,
) -> rusqlite::Result<Relatives> {
    let known = keys.find(connection, key, digest)?;
    match known {
        KeyMatch::Nothing => return Ok(Relatives::NONE),
        KeyMatch::Same(id) | KeyMatch::Other(id) => {
            if Some(id) != except && trust_level(connection, id)? == TrustLevel::Trusted {
                return Ok(Relatives::of(known));
            }
        }
    }
    let mut same = Vec::new();
    let mut other = Vec::new();
    for (id, is_same) in keys.messages(connection, key, digest)? {
        if Some(id) != except {
            if is_same { same.push(id) } else { other.push(id) }
        }
    }
    same.sort_unstable_by(|a, b| b.cmp(a));
    other.sort_unstable();
    let same_count = same.len();
    let mut found = Relatives::NONE;
    let mut unconfirmed = 0;
    for (at, id) in same.into_iter().chain(other).take(MAX_SCANNED).enumerate() {
        let is_same = at < same_count;
        match trust_level(connection, id)? {
            TrustLevel::Trusted => {
                found.trusted = if is_same { KeyMatch::Same(id) } else { KeyMatch::Other(id) };
                break;
            }
            trust_level => {
                unconfirmed += 1;
                if is_same {
                    found.unconfirmed.push((trust_level, id));
                }
            }
        }
    }
    found.unconfirmed.sort_by_key(|(trust_level, _)| *trust_level);
    found.is_key_kept = unconfirmed < MAX_UNCONFIRMED;
    Ok(found)
}

/// Returns the trust in a message. A deleted message was trusted: if its confirmation had failed,
/// its key would have been deleted with its row.
fn trust_level(connection: &Connection, id: MessageId) -> rusqlite::Result<TrustLevel> {
    let confirmation: Option<Option<String>> = connection
        .prepare_cached("SELECT confirmation FROM messages WHERE id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    Ok(match confirmation.flatten().as_deref() {
        Some("awaiting") => TrustLevel::Awaiting,
        Some("refused") => TrustLevel::Refused,
        Some(_) | None => TrustLevel::Trusted,
    })
}

/// Compares a newly confirmed message with trusted ones. Messages without an id are never the same
/// here: repeats with the same confirmation request were already counted as duplicates on arrival.
pub fn of_confirmed(connection: &Connection, keys: &KeyIndex, id: MessageId) -> rusqlite::Result<KeyMatch> {
    let found = connection
        .prepare_cached("SELECT source, delivery_id, body_sha256 FROM messages WHERE id = ?1")?
        .query_row([id], |row| {
            let (source, delivery_id): (String, Option<String>) = (row.get(0)?, row.get(1)?);
            let key = delivery_id.map(|delivery_id| MessageKey::of_delivery_id(&source, &delivery_id));
            Ok((key, BodyDigest::of(row.get_ref(2)?.as_blob()?)))
        })
        .optional()?;
    let Some((Some(key), digest)) = found else { return Ok(KeyMatch::Nothing) };
    // Delivering twice is better than not at all.
    let related = damage::skip("delivery_keys", relatives(connection, keys, key, digest, Some(id)))?;
    Ok(related.map_or(KeyMatch::Nothing, |found| found.trusted))
}

/// Deletes the key of a message whose confirmation failed, before its row: a later repeat must not
/// be treated as a duplicate of it.
pub fn forget_refused(connection: &Connection, keys: &KeyIndex, id: MessageId) -> rusqlite::Result<()> {
    let key = connection
        .prepare_cached(
            "SELECT source, delivery_id, method, query, body_sha256 FROM messages
             WHERE id = ?1 AND confirmation = 'refused'",
        )?
        .query_row(params![id], |row| {
            let (source, delivery_id): (String, Option<String>) = (row.get(0)?, row.get(1)?);
            let (method, query): (String, Option<String>) = (row.get(2)?, row.get(3)?);
            Ok(match delivery_id {
                Some(delivery_id) => MessageKey::of_delivery_id(&source, &delivery_id),
                None => {
                    MessageKey::of_content(&source, &method, query.as_deref(), row.get_ref(4)?.as_blob()?)
                }
            })
        })
        .optional()?;
    key.map_or(Ok(()), |key| keys.forget(connection, key, id))
}
