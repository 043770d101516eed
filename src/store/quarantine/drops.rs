//! Counts of dropped rejections, held until they are written to the database, and the log lines
//! about them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

use crate::store::quarantine::rejection::RejectionKind;
use crate::store::timestamp::Timestamp;

/// Limit on counters, one for each source, cause and kind. Enough for all causes of more than 300
/// sources.
const MAX_COUNTERS: usize = 10_000;
const PAUSE_BETWEEN_WARNINGS: Duration = Duration::from_secs(60);
const PAUSE_BETWEEN_REMARKS: Duration = Duration::from_secs(3_600);

type DropCause = Cow<'static, str>;

/// Counts by source, cause and kind.
#[derive(Debug, Default)]
pub struct Drops {
    counts: BTreeMap<(Arc<str>, DropCause, RejectionKind), u64>,
    /// Number of candidates that never entered the queue of the writer.
    unqueued: u64,
}

impl Drops {
    pub fn count(&mut self, source: &Arc<str>, cause: DropCause, kind: RejectionKind) {
        self.add((source.clone(), cause, kind), 1);
    }

    /// Notes that a counted candidate never entered the queue of the writer.
    pub fn note_unqueued(&mut self) {
        self.unqueued += 1;
    }

    pub fn append(&mut self, other: Self) {
        self.unqueued += other.unqueued;
        other.counts.into_iter().for_each(|(key, count)| self.add(key, count));
    }

    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    fn add(&mut self, key: (Arc<str>, DropCause, RejectionKind), count: u64) {
        if self.counts.len() < MAX_COUNTERS || self.counts.contains_key(&key) {
            *self.counts.entry(key).or_default() += count;
        }
    }

    pub fn write(&self, connection: &Connection, now: Timestamp) -> rusqlite::Result<()> {
        for ((source, cause, kind), count) in &self.counts {
            let candidates = if *kind == RejectionKind::Candidate { *count } else { 0 };
            connection
                .prepare_cached(
                    "INSERT INTO rejection_counts (source, cause, counted, candidates, first_at, last_at)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?5)
                     ON CONFLICT (source, cause)
                     DO UPDATE SET counted = counted + ?3, candidates = candidates + ?4, last_at = ?5",
                )?
                .execute(params![&**source, cause, count, candidates, now])?;
        }
        Ok(())
    }

    /// Returns the number of drops of a kind, and their breakdown.
    fn of_kind(&self, kind: RejectionKind) -> (u64, String) {
        let of_kind = || self.counts.iter().filter(|((_, _, one), _)| *one == kind);
        let parts: Vec<String> = of_kind()
            .take(10)
            .map(|((source, cause, _), count)| format!("{count} {source} {cause}"))
            .collect();
        (of_kind().map(|(_, count)| count).sum(), parts.join(", "))
    }
}

/// The limit that currently bounds the quarantine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SpaceLimit {
    #[default]
    OwnSize,
    FreeDisk,
    /// The space within `CREEL_MAX_DATABASE_SIZE` that messages leave free.
    DatabaseSize,
}

impl SpaceLimit {
    /// Returns advice on how to make room for more rejections.
    const fn advice(self) -> &'static str {
        match self {
            Self::OwnSize => "raise CREEL_QUARANTINE_SIZE",
            Self::FreeDisk => "free space on the disk, of which the quarantine takes at most a quarter",
            Self::DatabaseSize => {
                "raise CREEL_MAX_DATABASE_SIZE: the quarantine gets the space that messages leave"
            }
        }
    }
}

/// Logs sums of drops: candidates at most once a minute, noise at most once an hour.
#[derive(Debug, Default)]
pub struct RejectionDropReport {
    unreported: Drops,
    next_warning: Option<Instant>,
    next_remark: Option<Instant>,
    pub limit: SpaceLimit,
}

impl RejectionDropReport {
    pub fn add(&mut self, drops: Drops) {
        self.unreported.append(drops);
    }

    /// Logs the remaining drops before the store stops.
    pub fn finish(&mut self, now: Instant) {
        (self.next_warning, self.next_remark) = (None, None);
        self.write(now);
    }

    pub fn write(&mut self, now: Instant) {
        let is_due = |next: Option<Instant>| next.is_none_or(|next| next <= now);
        if is_due(self.next_warning)
            && let (count, parts) = self.unreported.of_kind(RejectionKind::Candidate)
            && count > 0
        {
            log::warn!(
                "quarantine dropped {count} rejected requests that may be genuine ({parts}). See the cause with \
                 `creel rejections`{}",
                self.advice(count)
            );
            self.unreported.counts.retain(|(_, _, kind), _| *kind != RejectionKind::Candidate);
            self.unreported.unqueued = 0;
            self.next_warning = Some(now + PAUSE_BETWEEN_WARNINGS);
        }
        if is_due(self.next_remark)
            && let (count, parts) = self.unreported.of_kind(RejectionKind::Noise)
            && count > 0
        {
            log::info!(
                "{count} more rejected requests are only counted, because they are noise, e.g. without a well-formed signature \
                 or token ({parts})"
            );
            self.unreported.counts.retain(|(_, _, kind), _| *kind != RejectionKind::Noise);
            self.next_remark = Some(now + PAUSE_BETWEEN_REMARKS);
        }
    }

    /// Returns advice on `count` dropped candidates, to append. The limit matters only for those
    /// that entered the queue of the writer.
    fn advice(&self, count: u64) -> String {
        let unqueued = self.unreported.unqueued.min(count);
        let of_limit = if unqueued < count { format!(", or {}", self.limit.advice()) } else { String::new() };
        match unqueued {
            0 => of_limit,
            _ => format!(
                "{of_limit}. {unqueued} of them were not queued: too many arrived at the same time, or the disk was below \
                 CREEL_MIN_FREE"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limit_is_not_named_for_unqueued_candidates() {
        let advice = |counted: u64, unqueued| {
            let mut drops = Drops { unqueued, ..Drops::default() };
            (0..counted).for_each(|_| drops.count(&"a".into(), "b".into(), RejectionKind::Candidate));
            let mut report = RejectionDropReport::default();
            report.add(drops);
            let advice = report.advice(counted);
            (advice.contains("CREEL_QUARANTINE_SIZE"), advice.contains(" of them were not queued"))
        };
        assert_eq!([advice(2, 0), advice(2, 1), advice(2, 2)], [(true, false), (true, true), (false, true)]);
    }
}
