//! Counts the messages and dead letters of a replay, in steps, so that no reader blocks the WAL for
//! long.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use rusqlite::Connection;

use crate::store::delivery::dead::{self, DeadLetterCount};
use crate::store::id::{MessageId, TargetId};
use crate::store::index::SearchIndex;
use crate::store::message::filter::{Direction, MessageFilter};
use crate::store::message::search::Search;

/// Messages that a replay selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayScope {
    pub filter: MessageFilter,
    /// The owner of the replay's target, if any: only messages of this owner are replayed.
    pub target_owner: Option<String>,
    /// Whether messages go only to the targets where they became dead letters, see
    /// [`MessageFilter::replays_only_dead_letters`].
    pub only_dead_letters: bool,
    /// The newest message included.
    pub through: MessageId,
}

/// Result of one step.
#[derive(Clone, Debug, Default)]
pub struct CountStep {
    pub messages: u64,
    /// Dead letters by target.
    pub dead_letters: BTreeMap<TargetId, DeadLetterCount>,
    /// Position of the next step; `None` after the last one.
    pub next: Option<MessageId>,
}

const MAY_BE_REPLAYED: &str = " AND (confirmation IS NULL OR confirmation = 'confirmed')
  AND (:target_owner IS NULL OR owner = :target_owner)";

/// Counts the messages after `from` in the scope, and their dead letters. Leaves out messages whose
/// confirmation is pending or failed, and, if the target has an owner, all messages without this
/// owner. Examines at most as many rows as a page.
pub fn count_step(
    connection: &Connection,
    index: Option<&Arc<SearchIndex>>,
    scope: &ReplayScope,
    from: MessageId,
) -> rusqlite::Result<CountStep> {
    let ReplayScope { filter, target_owner, only_dead_letters, through } = scope;
    let selected = Search {
        and: MAY_BE_REPLAYED,
        target_owner: target_owner.as_deref(),
        index,
        ..Search::new(filter, Direction::OldestFirst, from, through.next())
    };
    let replayed = Search { only_dead_letters: *only_dead_letters, ..selected };
    let (found, next) = replayed.run(connection, "id", |_| Ok(()))?;
    let mut step = CountStep {
        messages: found.len() as u64,
        next: next.filter(|next| next < through),
        ..CountStep::default()
    };
    if filter.dead {
        // These rows can reach the limit on bytes earlier.
        let below = step.next.map_or(through.next(), MessageId::next);
        let mut above = Some(from);
        while let Some(from) = above {
            let rows = Search { above: from, below, ..selected };
            let (ids, next) = rows.run(connection, "id", |row| row.get(1))?;
            for (target, more) in dead::letters_of(connection, ids, filter.dead_at)? {
                step.add(target, more);
            }
            above = next.filter(|next| next.next() < below);
        }
    }
    Ok(step)
}

impl CountStep {
    fn add(&mut self, target: TargetId, more: DeadLetterCount) {
        match self.dead_letters.entry(target) {
            Entry::Occupied(mut counted) => counted.get_mut().deliveries += more.deliveries,
            Entry::Vacant(counted) => drop(counted.insert(more)),
        }
    }
}
