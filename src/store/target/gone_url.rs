//! URL at which a declared target answered 410 Gone.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use ring::digest::{SHA256, digest};
use rusqlite::{Connection, params};

use crate::store::id::TargetId;
use crate::store::setting::{self, Sealing};
use crate::store::timestamp::Timestamp;

/// Returns the name of the setting with a digest of the URL, because URLs from the environment are
/// not stored in the database.
fn setting_of_gone_url(id: TargetId) -> String {
    format!("gone_url:{id}")
}

fn digest_of(url: &str) -> String {
    BASE64_STANDARD.encode(digest(&SHA256, url.as_bytes()))
}

/// Stores the digest of the URL that answered 410, if the environment declares the target.
pub fn remember(connection: &Connection, id: TargetId, url: &str, now: Timestamp) -> rusqlite::Result<()> {
    let is_declared = connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM targets WHERE id = ?1 AND origin = 'environment')")?
        .query_row([id], |row| row.get::<_, bool>(0))?;
    if !is_declared {
        return Ok(());
    }
    setting::write(connection, &setting_of_gone_url(id), &digest_of(url), Sealing::Plain, now)
}

/// Activates a declared target that answered 410 at a URL other than its current one. False if it
/// is not disabled, or the URL is the same or unknown.
pub fn activate_if_moved(
    connection: &Connection,
    id: TargetId,
    url: &str,
    now: Timestamp,
) -> rusqlite::Result<bool> {
    let gone = setting::read(connection, &setting_of_gone_url(id))?;
    if gone.is_none_or(|(gone, _)| gone == digest_of(url)) {
        return Ok(false);
    }
    connection
        .prepare_cached(
            "UPDATE targets SET state = 'active', state_reason = NULL, state_since = ?2
             WHERE id = ?1 AND state = 'disabled' AND origin = 'environment' AND kind = 'http'",
        )?
        .execute(params![id, now])
        .map(|changed| changed == 1)
}
