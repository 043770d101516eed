//! Whether a message repeats a stored one with the same key.

use rusqlite::{Connection, params};

use super::{Identity, Kept, Prepared};
use crate::store::original::Standing;
use crate::store::seal::Sealer;
use crate::store::{access, confirmation, timestamp};

impl Prepared {
    pub(super) fn has_too_many_awaiting(&self, connection: &Connection) -> rusqlite::Result<bool> {
        let Some(max) = self.message.asking.as_ref().and_then(|asking| asking.most_awaiting) else {
            return Ok(false);
        };
        Ok(confirmation::awaiting(connection, &self.message.source)? >= i64::from(max))
    }

    /// Counts the message as a repeat of one that is not confirmed: of an awaiting one with the same question, or of a refused
    /// one, which is asked about again. `None` if it is a message of its own.
    pub(super) fn repeat_unconfirmed(
        &mut self,
        connection: &Connection,
        sealer: &Sealer,
        standing: Standing,
        of: i64,
    ) -> rusqlite::Result<Option<Kept>> {
        let (Some(asking), Some(sealed)) = (&self.message.asking, &self.sealed_request) else {
            return Ok(None);
        };
        if !self.is_within_window(connection, of)? || !self.has_same_content(connection, of)? {
            return Ok(None);
        }
        if standing == Standing::Awaiting {
            let asked = confirmation::sealed_request(connection, of)?;
            let asked = asked.and_then(|sealed| sealer.open(access::CONFIRMATION_SEALED_AS, &sealed).ok());
            if asked.as_deref() != Some(asking.request.as_bytes()) {
                return Ok(None);
            }
        } else {
            if self.has_too_many_awaiting(connection)? {
                return Ok(Some(Kept::TooManyAwaiting));
            }
            confirmation::ask_again(connection, of, &self.message.source, sealed, self.message.received_at)?;
            // The question comes from this request, so the stored head does, too.
            connection
                .prepare_cached("UPDATE messages SET headers = ?2, remote_ip = ?3 WHERE id = ?1")?
                .execute(params![of, self.message.headers, self.remote_ip])?;
        }
        self.count_duplicate(connection, of).map(Some)
    }

    /// Whether a stored message with the same body would be delivered as this one would be.
    fn has_same_content(&self, connection: &Connection, of: i64) -> rusqlite::Result<bool> {
        let message = &self.message;
        let mut statement = connection.prepare_cached(
            "SELECT payload FROM messages
             WHERE id = ?1 AND event = ?2 AND method = ?3 AND query IS ?4 AND unreadable IS ?5",
        )?;
        let unreadable = message.content.unreadable();
        let mut rows =
            statement.query(params![of, message.event, message.method, message.query, unreadable])?;
        let Some(row) = rows.next()? else { return Ok(false) };
        Ok(row.get_ref(0)?.as_bytes_or_null()? == message.content.payload())
    }

    pub(super) fn is_within_window(&self, connection: &Connection, of: i64) -> rusqlite::Result<bool> {
        let Identity::Content { window } = self.message.identity else { return Ok(true) };
        let since = timestamp::to_text(self.message.received_at - window);
        connection
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM messages WHERE id = ?1 AND received_at >= ?2)")?
            .query_row(params![of, since], |row| row.get(0))
    }
}
