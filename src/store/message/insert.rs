//! Stores a message with its dependent rows, or counts it as a duplicate.

use bytes::Bytes;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Statement, ToSql, params};

use crate::store::counts::period::CountMinute;
use crate::store::counts::tally::Tally;
use crate::store::id::{MessageId, RejectionId, TargetId};
use crate::store::keys::KeyIndex;
use crate::store::keys::key::{BodyDigest, KeyMatch, MessageKey};
use crate::store::message::content::MessageContent;
use crate::store::message::event_forms::is_other_form_of;
use crate::store::message::new::{ConfirmationRequest, Identity, NewMessage};
use crate::store::message::original::{self, Relatives, TrustLevel};
use crate::store::message::repeat::{self, Repeat};
use crate::store::seal::sealer::Sealer;
use crate::store::target::subscription::Subscriptions;
use crate::store::timestamp::Timestamp;
use crate::store::{confirmation, delivery, quarantine};

/// Size above which messages are written in separate transactions, and their memory is released as
/// soon as SQLite has copied them: SQLite holds two copies while it inserts a row, the bound value
/// and the record.
pub const LARGE_BYTES: usize = 1 << 20;

/// Result of storing a message. The sender receives an acknowledgement in each case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipt {
    New {
        id: MessageId,
    },
    /// The same message was stored before; it is only counted.
    Duplicate {
        of: MessageId,
    },
    /// The delivery id was used before with another body; stored as a separate message.
    Conflict {
        id: MessageId,
        of: MessageId,
    },
}

impl Receipt {
    /// Returns the id of the stored message; for a duplicate, that of the message it repeats.
    pub fn id(self) -> MessageId {
        match self {
            Self::New { id } | Self::Conflict { id, .. } | Self::Duplicate { of: id } => id,
        }
    }
}

/// The writer's outcome for one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InsertOutcome {
    Stored(Receipt),
    /// The idempotency key was used before with another body.
    KeyReused {
        of: MessageId,
    },
    /// The source has reached its limit on awaiting messages.
    TooManyAwaiting,
    /// The rejection to be released does not exist or was deleted.
    RejectionGone,
}

/// A message, with all values that can be computed outside the writer's thread.
#[derive(Debug)]
pub struct PreparedMessage {
    message: NewMessage,
    received_at: Timestamp,
    /// The minute that it is counted in.
    minute: CountMinute,
    body_bytes: u64,
    remote_ip: String,
    key: Option<MessageKey>,
    /// Its targets, if it is new and does not need confirmation.
    targets: Vec<TargetId>,
    sealed_request: Option<String>,
    /// The rejection that becomes this message.
    rejection: Option<RejectionId>,
    /// Whether the message is stored as new because the records of its key cannot be read.
    is_taken_as_new: bool,
    /// Whether the content was dropped to save memory, so that the message cannot be written again.
    is_content_dropped: bool,
}

impl PreparedMessage {
    pub fn new(message: NewMessage, subscriptions: &Subscriptions, sealer: &Sealer) -> Self {
        let targets = match message.confirmation_request {
            Some(_) => Vec::new(),
            None => {
                let payload = message.content.payload();
                subscriptions.matching(&message.event, message.owner.as_deref(), payload)
            }
        };
        let seal = |new: &ConfirmationRequest| sealer.seal(confirmation::SEALED_AS, new.request.as_bytes());
        let key = match &message.identity {
            Identity::DeliveryId(id) | Identity::EventId { id, .. } | Identity::IdempotencyKey(id) => {
                Some(MessageKey::of_delivery_id(&message.source, id))
            }
            Identity::Content { .. } => Some(MessageKey::of_content(
                &message.source,
                &message.method,
                message.query.as_deref(),
                &message.body_sha256,
            )),
            Identity::None => None,
        };
        Self {
            received_at: Timestamp::from(message.received_at),
            minute: CountMinute::of(message.received_at),
            body_bytes: message.content.body_bytes() as u64,
            remote_ip: message.remote_ip.to_string(),
            key,
            targets,
            sealed_request: message.confirmation_request.as_ref().map(seal),
            rejection: None,
            is_taken_as_new: false,
            is_content_dropped: false,
            message,
        }
    }

    /// Marks the message as a released rejection: one transaction inserts the message and deletes
    /// the rejection.
    pub fn released(self, rejection: RejectionId) -> Self {
        Self { rejection: Some(rejection), ..self }
    }

    /// Marks the message to be stored as new, regardless of the records of its key.
    pub fn take_as_new(&mut self) {
        self.is_taken_as_new = true;
    }

    pub fn is_taken_as_new(&self) -> bool {
        self.is_taken_as_new
    }

    /// Returns the rejection that is deleted when the message is stored.
    pub fn rejection(&self) -> Option<RejectionId> {
        self.rejection
    }

    /// Returns the targets to notify unless the message is a duplicate.
    pub fn targets(&self) -> &[TargetId] {
        &self.targets
    }

    /// Counts the stored message under its id.
    pub fn count(&self, id: MessageId, tally: &mut Tally) {
        tally.add_message(id, self.minute, &self.message.source, &self.message.event, self.body_bytes);
    }

    /// Whether the message needs confirmation by its provider.
    pub fn awaits_confirmation(&self) -> bool {
        self.sealed_request.is_some()
    }

    /// Whether the message has dependent rows, so that more than one statement is needed.
    pub fn has_dependent_rows(&self) -> bool {
        self.sealed_request.is_some() || self.rejection.is_some() || !self.targets.is_empty()
    }

    /// Returns the size of the row, for the limit of a batch.
    pub fn bytes(&self) -> usize {
        self.message.headers.len()
            + match &self.message.content {
                MessageContent::Json(body) | MessageContent::Unreadable { body, .. } => body.len(),
                MessageContent::Decoded { body, payload } => body.len() + payload.len(),
            }
    }

    /// Whether the message needs its own transaction.
    pub fn is_large(&self) -> bool {
        self.bytes() > LARGE_BYTES
    }

    /// Whether the content was dropped during an earlier attempt to write the message.
    pub fn is_content_dropped(&self) -> bool {
        self.is_content_dropped
    }

    /// Stores the message with its deliveries, or counts it as a duplicate. The caller deletes the
    /// rejection that the message was released from. Without dependent rows, each path changes the
    /// database with a single statement, so a failure affects only this message. With dependent
    /// rows, the caller needs a savepoint.
    pub fn keep(
        &mut self,
        connection: &Connection,
        keys: &mut KeyIndex,
        sealer: &Sealer,
        now: Timestamp,
    ) -> rusqlite::Result<InsertOutcome> {
        let Some(rejection) = self.rejection else {
            return self.keep_message(connection, keys, sealer, now);
        };
        // The rejection may have been released or deleted meanwhile.
        if !quarantine::write::exists(connection, rejection)? {
            return Ok(InsertOutcome::RejectionGone);
        }
        self.keep_message(connection, keys, sealer, now)
    }

    fn keep_message(
        &mut self,
        connection: &Connection,
        keys: &mut KeyIndex,
        sealer: &Sealer,
        now: Timestamp,
    ) -> rusqlite::Result<InsertOutcome> {
        let digest = BodyDigest::of(&self.message.body_sha256);
        let relatives = match self.key {
            Some(key) if !self.is_taken_as_new => original::relatives(connection, keys, key, digest, None)?,
            Some(_) | None => Relatives::NONE,
        };
        let conflict_of = match relatives.trusted {
            KeyMatch::Same(of) if repeat::is_within_window(connection, &self.message, of)? => {
                return self.count_duplicate(connection, of);
            }
            KeyMatch::Other(of) if matches!(self.message.identity, Identity::IdempotencyKey(_)) => {
                return Ok(InsertOutcome::KeyReused { of });
            }
            KeyMatch::Other(of) if is_other_form_of(connection, of, &self.message)? => {
                return self.count_duplicate(connection, of);
            }
            KeyMatch::Other(of) => Some(of),
            KeyMatch::Same(_) | KeyMatch::Nothing => None,
        };
        for (trust_level, of) in relatives.unconfirmed {
            match self.repeat_unconfirmed(connection, sealer, trust_level, of)? {
                Repeat::Counted => return self.count_duplicate(connection, of),
                Repeat::TooManyAwaiting => return Ok(InsertOutcome::TooManyAwaiting),
                Repeat::None => {}
            }
        }
        if repeat::has_too_many_awaiting(connection, &self.message)? {
            return Ok(InsertOutcome::TooManyAwaiting);
        }
        let id = self.insert(connection, conflict_of, now)?;
        self.insert_followers(connection, id, conflict_of, now)?;
        if let Some(key) = self.key.filter(|_| relatives.is_key_kept) {
            keys.stage(key, id, digest);
        }
        Ok(InsertOutcome::Stored(conflict_of.map_or(Receipt::New { id }, |of| Receipt::Conflict { id, of })))
    }

    fn repeat_unconfirmed(
        &self,
        connection: &Connection,
        sealer: &Sealer,
        trust_level: TrustLevel,
        of: MessageId,
    ) -> rusqlite::Result<Repeat> {
        let Some(sealed) = &self.sealed_request else { return Ok(Repeat::None) };
        repeat::repeat_unconfirmed(connection, sealer, &self.message, sealed, trust_level, of)
    }

    /// Inserts the confirmation and the deliveries. A conflict has no deliveries.
    fn insert_followers(
        &self,
        connection: &Connection,
        id: MessageId,
        conflict_of: Option<MessageId>,
        now: Timestamp,
    ) -> rusqlite::Result<()> {
        if let Some(request) = &self.sealed_request {
            confirmation::insert(connection, id, &self.message.source, request, self.received_at)?;
        }
        if conflict_of.is_none() {
            for target in &self.targets {
                delivery::insert::insert(connection, id, *target, None, now)?;
            }
        }
        Ok(())
    }

    fn insert(
        &mut self,
        connection: &Connection,
        conflict_of: Option<MessageId>,
        now: Timestamp,
    ) -> rusqlite::Result<MessageId> {
        let mut statement = connection.prepare_cached(
            "INSERT INTO messages (received_at, source, event, delivery_id, method, query, remote_ip, body_sha256,
               not_json, body_unsigned, conflict_of, headers, payload, body, owner, unverified, confirmation,
               released_at, unreadable)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)",
        )?;
        self.bind(&mut statement, conflict_of, now)?;
        if self.is_large() {
            self.release();
        }
        statement.raw_execute()?;
        Ok(MessageId::of_rowid(connection.last_insert_rowid()))
    }

    /// Counts the message as a duplicate of `of`. SQLite reads and rewrites the whole row of `of`,
    /// and can hold two copies of it, so the content of a large duplicate is dropped first. Damage
    /// in that row must be found before the content is dropped, while the duplicate can still be
    /// stored as new.
    fn count_duplicate(&mut self, connection: &Connection, of: MessageId) -> rusqlite::Result<InsertOutcome> {
        if self.is_large() {
            repeat::check_row(connection, of)?;
            self.release();
        }
        confirmation::count_duplicate(connection, of, self.received_at)?;
        Ok(InsertOutcome::Stored(Receipt::Duplicate { of }))
    }

    fn release(&mut self) {
        self.is_content_dropped = true;
        self.message.content = MessageContent::Json(Bytes::new());
    }

    fn bind(
        &self,
        statement: &mut Statement<'_>,
        conflict_of: Option<MessageId>,
        now: Timestamp,
    ) -> rusqlite::Result<()> {
        let message = &self.message;
        let delivery_id = match &message.identity {
            Identity::DeliveryId(id) | Identity::EventId { id, .. } | Identity::IdempotencyKey(id) => {
                Some(id.as_str())
            }
            Identity::Content { .. } | Identity::None => None,
        };
        let (payload, body) = match &message.content {
            MessageContent::Json(payload) => (Some(Utf8Text(payload)), None),
            MessageContent::Decoded { body, payload } => {
                (Some(Utf8Text(payload.as_bytes())), Some(&body[..]))
            }
            MessageContent::Unreadable { body, .. } => (None, Some(&body[..])),
        };
        let parameters: &[&dyn ToSql] = params![
            self.received_at,
            &*message.source,
            message.event,
            delivery_id,
            message.method,
            message.query,
            self.remote_ip,
            &message.body_sha256[..],
            matches!(&message.content, MessageContent::Unreadable { body, .. } if !body.is_empty()),
            message.body_unsigned,
            conflict_of,
            message.headers,
            payload,
            body,
            message.owner,
            message.unverified,
            self.awaits_confirmation().then_some("awaiting"),
            self.rejection.map(|_| now),
            message.content.unreadable(),
        ];
        parameters.iter().enumerate().try_for_each(|(at, value)| statement.raw_bind_parameter(at + 1, value))
    }
}

/// Bytes that are valid UTF-8, bound as text without another check.
struct Utf8Text<'a>(&'a [u8]);

impl ToSql for Utf8Text<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(self.0)))
    }
}
