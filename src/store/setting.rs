//! Key-value table for settings that the service stores itself.

use crate::store::timestamp::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

/// The setting with a sealed value that only the right key opens.
pub const KEY_CHECK: &str = "key_check";

/// Whether a setting is stored as plain text or encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sealing {
    Plain,
    Sealed,
}

/// Returns the stored text of a setting and how it is stored.
pub fn read(connection: &Connection, name: &str) -> rusqlite::Result<Option<(String, Sealing)>> {
    connection
        .prepare_cached("SELECT value, sealed FROM settings WHERE name = ?1")?
        .query_row([name], |row| {
            let sealed: bool = row.get(1)?;
            Ok((row.get(0)?, if sealed { Sealing::Sealed } else { Sealing::Plain }))
        })
        .optional()
}

/// Stores a setting. With `Sealing::Sealed`, `value` is the sealed text.
pub fn write(
    connection: &Connection,
    name: &str,
    value: &str,
    sealing: Sealing,
    now: Timestamp,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO settings (name, value, sealed, updated_at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (name) DO UPDATE SET value = ?2, sealed = ?3, updated_at = ?4",
        )?
        .execute(params![name, value, sealing == Sealing::Sealed, now])?;
    Ok(())
}
