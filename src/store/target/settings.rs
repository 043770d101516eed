//! A target, its settings and its secrets. What the environment says of one is not stored but for its name and its state.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::store::error::Unavailable;
use crate::store::target::subscription::{Filter, Pattern};
use crate::store::text_enum::words;

words!(
    /// What a target is.
    TargetKind { Http = "http", Command = "command", Listener = "listener" }
);
words!(
    /// Who made a target.
    Origin { Environment = "environment", Api = "api", Replay = "replay", Listener = "listener" }
);
words!(
    /// Whether a target is served. Deliveries to one that is not wait, and die after a week.
    TargetState { Active = "active", Paused = "paused", Disabled = "disabled", Removed = "removed" }
);
words!(
    /// Whether a delivery waits until the one before it is delivered or dead.
    DeliveryOrdering { Any = "any", Strict = "strict" }
);
words!(
    /// What a body is turned into.
    ContentType { Json = "json", Form = "form" }
);

/// At most `count` in `per`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryRate {
    pub count: u32,
    pub per: Duration,
}

impl DeliveryRate {
    /// `50/s`, `100/m`, `1000/h`.
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

/// What can be changed of a target.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetSettings {
    pub name: String,
    pub owner: Option<String>,
    pub events: Vec<Pattern>,
    pub filter: Option<Filter>,
    /// `None` for commands, listeners, and what the environment says.
    pub url: Option<String>,
    /// `None`: as it was received; JSON for emitted events.
    pub content_type: Option<ContentType>,
    pub concurrency: u32,
    pub ordering: DeliveryOrdering,
    pub rate: Option<DeliveryRate>,
    pub timeout: Duration,
}

/// A target to be made. Not `Debug`: it has secrets.
#[derive(Clone)]
pub struct TargetDraft {
    pub kind: TargetKind,
    pub origin: Origin,
    pub settings: TargetSettings,
    /// `None` for those of the environment, whose secrets are not written.
    pub secrets: Option<TargetSecrets>,
}

/// One row of `targets`, without what is sealed.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredTarget {
    pub id: i64,
    pub kind: TargetKind,
    pub origin: Origin,
    pub state: TargetState,
    pub state_since: String,
    pub state_reason: Option<String>,
    pub settings: TargetSettings,
    pub created_at: String,
    pub updated_at: String,
}

impl StoredTarget {
    /// Targets of the API always have a secret, unless `creel serve --forget-sealed` has dropped it.
    pub fn has_lost(&self, secrets: &TargetSecrets) -> bool {
        self.kind == TargetKind::Http && self.origin == Origin::Api && secrets.secrets.is_empty()
    }
}

/// What is sealed of a target.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetSecrets {
    /// The newest first.
    pub secrets: Vec<StoredSecret>,
    /// Sent with every request.
    pub headers: Vec<(String, String)>,
}

/// A secret that signs, for ever or until then.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredSecret {
    pub secret: String,
    /// As timestamps are written.
    pub until: Option<String>,
}

impl std::fmt::Debug for TargetSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Why a target cannot be made or changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error("another target has the name {0}")]
    DeclaredNameTaken(String),
    #[error("another target has this name")]
    NameTaken,
    #[error("there is no such target")]
    NotFound,
    #[error("its secrets were sealed under another key")]
    Sealed,
    /// It would be delivered to unsigned. With its id.
    #[error("its secrets were dropped with a lost key")]
    SecretsLost(i64),
    /// What waits for one owner would go to another.
    #[error("the owner of a target cannot be changed; make another target")]
    OwnerIsFixed,
}
