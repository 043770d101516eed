//! A target, its settings and its secrets. The URL and the secrets of a target of the environment
//! are not stored.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::store::error::{ChangeError, Unavailable};
use crate::store::id::TargetId;
use crate::store::stored_time::StoredTime;
use crate::store::target::subscription::{Filter, Pattern};
use crate::store::text_enum::words;
use crate::store::timestamp::Timestamp;

words!(
    /// Kind of a target.
    TargetKind { Http = "http", Command = "command", Listener = "listener" }
);
words!(
    /// Creator of a target.
    Origin { Environment = "environment", Api = "api", Replay = "replay", Listener = "listener" }
);
words!(
    /// State of a target. If it is paused, disabled or no longer declared, its deliveries stay
    /// pending, and become dead letters after a week. If an operator or cleanup removes it, they
    /// are discarded.
    TargetState { Active = "active", Paused = "paused", Disabled = "disabled", Removed = "removed" }
);
words!(
    /// Whether each delivery starts only after the previous one is delivered or dead.
    DeliveryOrdering { Any = "any", Strict = "strict" }
);
words!(
    /// Format into which a body is converted.
    ContentType { Json = "json", Form = "form" }
);

/// Limits deliveries to `count` per `per`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryRate {
    pub count: u32,
    pub per: Duration,
}

impl DeliveryRate {
    /// Formats as `50/s`, `100/m` or `1000/h`.
    pub fn to_text(self) -> String {
        let unit = match self.per.as_secs() {
            0..60 => "s",
            60..3600 => "m",
            _ => "h",
        };
        format!("{}/{unit}", self.count)
    }

    pub fn from_text(text: &str) -> Option<Self> {
        let (count, unit) = text.trim().split_once('/')?;
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            _ => return None,
        };
        let count = count.parse().ok().filter(|count| (1..=1_000_000).contains(count))?;
        Some(Self { count, per: Duration::from_secs(seconds) })
    }
}

/// Settings of a target. All except the owner can be changed.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetSettings {
    pub name: String,
    pub owner: Option<String>,
    pub events: Vec<Pattern>,
    pub filter: Option<Filter>,
    /// `None` for commands, listeners, and targets of the environment.
    pub url: Option<String>,
    /// `None` for the received content type, or JSON for emitted events.
    pub content_type: Option<ContentType>,
    pub concurrency: u32,
    pub ordering: DeliveryOrdering,
    pub rate: Option<DeliveryRate>,
    pub timeout: Duration,
}

/// A target to be created. Not `Debug`: it has secrets.
#[derive(Clone)]
pub struct TargetDraft {
    pub kind: TargetKind,
    pub origin: Origin,
    pub settings: TargetSettings,
    /// `None` for targets without stored secrets: those of the environment, and listeners.
    pub secrets: Option<TargetSecrets>,
}

/// One row of `targets`, without the sealed values.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredTarget {
    pub id: TargetId,
    pub kind: TargetKind,
    pub origin: Origin,
    pub state: TargetState,
    pub state_since: StoredTime,
    pub state_reason: Option<String>,
    pub settings: TargetSettings,
    pub created_at: StoredTime,
    pub updated_at: StoredTime,
}

impl StoredTarget {
    /// Whether its secret was dropped: targets of the API always have one, unless `creel serve
    /// --forget-sealed` removed it.
    pub fn has_lost(&self, secrets: &TargetSecrets) -> bool {
        self.kind == TargetKind::Http && self.origin == Origin::Api && secrets.secrets.is_empty()
    }
}

/// Sealed values of a target.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetSecrets {
    /// The newest first.
    pub secrets: Vec<StoredSecret>,
    /// Headers sent with every request.
    pub headers: Vec<(String, String)>,
}

/// A signing secret, valid without limit or until a given time.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredSecret {
    pub secret: String,
    pub until: Option<Timestamp>,
}

impl std::fmt::Debug for TargetSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Reason why a target cannot be created or changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error("another target has the name {0}")]
    DeclaredNameTaken(String),
    #[error("another target has this name")]
    NameTaken,
    #[error("the target does not exist or was removed")]
    NotFound,
    #[error("its secrets were sealed under another key")]
    Sealed,
    /// The target cannot be resumed, because its deliveries would be unsigned. Holds its id.
    #[error("its secrets were dropped with a lost key")]
    SecretsLost(TargetId),
    /// Pending deliveries of one owner would go to another.
    #[error("the owner of a target cannot be changed; create another target")]
    OwnerIsFixed,
}

impl From<TargetError> for ChangeError<TargetError> {
    fn from(why: TargetError) -> Self {
        Self::Rejected(why)
    }
}
