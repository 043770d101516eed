//! Retention periods and the size limit of the database.

use std::time::Duration;

use time::OffsetDateTime;

use crate::config::{Config, Retention, SourceConfig};
use crate::store::{ExpiryCandidate, RetentionRule, SourceSelection, Timestamp};

/// Minimum retention of keys: Stripe retries for three days.
const MIN_KEY_RETENTION: Duration = Duration::from_secs(7 * 86_400);
/// Keys outlive the messages by a day, so that a message at the very end of its retention still has
/// its key.
const EXTRA_KEY_RETENTION: Duration = Duration::from_secs(86_400);

/// Retention periods and the size limit of the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    pub retention: Retention,
    /// Sources with their own retention.
    pub of_sources: Vec<(String, Retention)>,
    pub max_database_bytes: Option<u64>,
    /// Retention of successful deliveries and of all attempts, after the end of the delivery.
    pub attempts: Retention,
    /// Retention of dead deliveries and their messages.
    pub dead: Retention,
    /// Retention of rejections that may be genuine.
    pub quarantine: Duration,
}

impl Policy {
    pub fn from_config(config: &Config) -> Self {
        let of_source = |source: &SourceConfig| source.retention.map(|own| (source.name.clone(), own));
        Self {
            retention: config.retention,
            of_sources: config.sources.iter().filter_map(of_source).collect(),
            max_database_bytes: config.max_database_bytes,
            attempts: config.attempt_retention,
            dead: config.dead_retention,
            quarantine: config.quarantine_retention,
        }
    }

    /// Returns groups of sources and the age limit of each group, without the sources that have
    /// unlimited retention.
    pub(super) fn groups(&self) -> Vec<(SourceSelection, Duration)> {
        let mut groups = Vec::new();
        if let Retention::For(age) = self.retention {
            groups.push((
                SourceSelection::AllBut(self.of_sources.iter().map(|(name, _)| name.clone()).collect()),
                age,
            ));
        }
        for (name, retention) in &self.of_sources {
            if let Retention::For(age) = retention {
                groups.push((SourceSelection::Only(name.clone()), *age));
            }
        }
        groups
    }

    /// Returns the retention of keys; `None` if it is unlimited, because some messages have
    /// unlimited retention.
    pub(super) fn key_retention(&self) -> Option<Duration> {
        let retentions = self.of_sources.iter().map(|(_, retention)| *retention).chain([self.retention]);
        // A message released from the quarantine must be recognized as a duplicate if a retry by
        // its sender was stored in the meantime.
        let mut longest = MIN_KEY_RETENTION.max(self.quarantine);
        for retention in retentions {
            match retention {
                Retention::Keep => return None,
                Retention::For(age) => longest = longest.max(age),
            }
        }
        Some(longest + EXTRA_KEY_RETENTION)
    }

    /// Returns the rule for retained messages: a dead delivery retains its message until the
    /// retention `dead` has passed.
    pub(super) fn retention_rule(&self, now: OffsetDateTime) -> RetentionRule {
        let since = match self.dead {
            Retention::Keep => Timestamp::MIN,
            Retention::For(age) => Timestamp::from(now - age),
        };
        RetentionRule { by_dead_since: Some(since), ..RetentionRule::default() }
    }

    /// Whether a message is past its retention.
    pub(super) fn is_old(&self, message: &ExpiryCandidate, now: OffsetDateTime) -> bool {
        let own = self.of_sources.iter().find(|(source, _)| *source == message.source);
        match own.map_or(self.retention, |(_, retention)| *retention) {
            Retention::Keep => false,
            Retention::For(age) => message.retained_since.is_before(Timestamp::from(now - age)),
        }
    }
}
