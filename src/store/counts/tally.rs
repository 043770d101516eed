//! Counts in memory, before they are added to the tables.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::store::counts::period::CountMinute;
use crate::store::counts::traffic::TrafficCount;
use crate::store::counts::{MAX_EVENTS, OTHER_EVENT, UNKNOWN_EVENT, is_collective};
use crate::store::id::MessageId;

/// Limit on entries, each with one event and minute, and so on the rows of a flush, which is one
/// transaction on the writer's thread. Above it, counts lose their minutes, then
/// their events.
const MAX_ENTRIES: usize = if cfg!(test) { 64 } else { 4_096 };

/// Counts by hour, source, event and minute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    hours: BTreeMap<CountMinute, BTreeMap<Arc<str>, SourceTally>>,
    /// Counts of the newest event: most messages have the same event as the message before.
    recent: Option<RecentEvent>,
    entries: usize,
    /// Number of entries above which the tally is compacted.
    max_entries: usize,
    /// The newest counted message.
    pub counted_through: MessageId,
}

pub type SourceTally = BTreeMap<Box<str>, MinuteTally>;

/// Counts by minute. Counts that have lost their minute are under `None`.
pub type MinuteTally = BTreeMap<Option<CountMinute>, TrafficCount>;

#[derive(Clone, Debug, PartialEq, Eq)]
struct RecentEvent {
    minute: CountMinute,
    source: Arc<str>,
    event: String,
    count: TrafficCount,
}

impl Tally {
    /// Counts a stored message. Known events need no allocation, and no lookup if the previous
    /// message had the same minute, source and event.
    pub fn add_message(
        &mut self,
        id: MessageId,
        minute: CountMinute,
        source: &Arc<str>,
        event: &str,
        bytes: u64,
    ) {
        self.counted_through = self.counted_through.max(id);
        let count = TrafficCount::of_message(bytes);
        match &mut self.recent {
            Some(recent) if recent.minute == minute && recent.event == event && recent.source == *source => {
                recent.count += count;
            }
            Some(_) => {
                self.add_recent();
                if let Some(recent) = &mut self.recent {
                    recent.minute = minute;
                    recent.source.clone_from(source);
                    event.clone_into(&mut recent.event);
                    recent.count = count;
                }
            }
            None => {
                let (source, event) = (source.clone(), event.to_owned());
                self.recent = Some(RecentEvent { minute, source, event, count });
            }
        }
    }

    pub fn add_rejection(&mut self, minute: CountMinute, source: &Arc<str>) {
        self.add(minute, source, UNKNOWN_EVENT, TrafficCount::of_rejection());
    }

    pub fn is_empty(&self) -> bool {
        self.hours.is_empty() && self.recent.as_ref().is_none_or(|recent| recent.count.is_zero())
    }

    /// Returns the number of entries, apart from that of the newest event.
    pub fn entries(&self) -> usize {
        self.entries
    }

    /// Adds the counts of the newest event to the others, which `hours` returns.
    pub fn settle(&mut self) {
        self.add_recent();
        self.recent = None;
    }

    /// Returns the settled counts by hour, source and event.
    pub fn hours(&self) -> &BTreeMap<CountMinute, BTreeMap<Arc<str>, SourceTally>> {
        &self.hours
    }

    /// Calls `visit` with the hour, source, event and minute of each count.
    pub fn visit(&self, mut visit: impl FnMut(CountMinute, &str, &str, Option<CountMinute>, TrafficCount)) {
        for (hour, sources) in &self.hours {
            for (source, events) in sources {
                for (event, minutes) in events {
                    minutes.iter().for_each(|(minute, count)| visit(*hour, source, event, *minute, *count));
                }
            }
        }
        if let Some(RecentEvent { minute, source, event, count }) = &self.recent {
            visit(minute.hour(), source, event, Some(*minute), *count);
        }
    }

    fn add_recent(&mut self) {
        let Some(mut recent) = self.recent.take() else { return };
        let count = std::mem::take(&mut recent.count);
        if !count.is_zero() {
            self.add(recent.minute, &recent.source, &recent.event, count);
        }
        self.recent = Some(recent);
    }

    fn add(&mut self, minute: CountMinute, source: &Arc<str>, event: &str, count: TrafficCount) {
        let sources = self.hours.entry(minute.hour()).or_default();
        let events = sources.entry(source.clone()).or_default();
        let has_room = events.len() < MAX_EVENTS || is_collective(event) || events.contains_key(event);
        let name = if has_room { event } else { OTHER_EVENT };
        self.entries += usize::from(add_to(events, name, Some(minute), count));
        if self.entries > self.max_entries.max(MAX_ENTRIES) {
            self.compact();
        }
    }

    /// Bounds the memory while the counts cannot be written: drops the minutes, and if that is not
    /// enough, also the names of events.
    fn compact(&mut self) {
        self.merge(|event| event);
        if self.entries > MAX_ENTRIES / 2 {
            self.merge(|event| if is_collective(event) { event } else { OTHER_EVENT });
        }
        // Each hour and source now has one or two entries.
        self.max_entries = self.entries * 2;
    }

    /// Adds the counts of each hour under the event that `name` returns, without minutes.
    fn merge(&mut self, name: impl Fn(&str) -> &str) {
        self.entries = 0;
        for events in self.hours.values_mut().flat_map(BTreeMap::values_mut) {
            for (event, minutes) in std::mem::take(events) {
                let count = minutes.into_values().sum();
                self.entries += usize::from(add_to(events, name(&event), None, count));
            }
        }
    }
}

/// Adds a count; returns whether this created an entry.
fn add_to(events: &mut SourceTally, event: &str, minute: Option<CountMinute>, count: TrafficCount) -> bool {
    let minutes = match events.get_mut(event) {
        Some(minutes) => minutes,
        None => events.entry(event.into()).or_default(),
    };
    let before = minutes.len();
    *minutes.entry(minute).or_default() += count;
    minutes.len() > before
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(tally: &Tally) -> Vec<(i64, String, Option<i64>, u64, u64)> {
        let mut rows = Vec::new();
        tally.visit(|hour, _, event, minute, count| {
            let minute = minute.map(CountMinute::get);
            rows.push((hour.get(), event.to_owned(), minute, count.messages, count.rejections));
        });
        rows
    }

    #[test]
    fn messages_are_counted_by_minute_and_event() {
        let (mut tally, source) = (Tally::default(), Arc::from("github"));
        assert!(tally.is_empty());
        for (id, minute, event) in [(1, 60, "a"), (2, 60, "a"), (3, 60, "b"), (4, 60, "a"), (5, 121, "a")] {
            tally.add_message(id.into(), CountMinute::of_number(minute), &source, event, 1);
        }
        tally.add_rejection(CountMinute::of_number(61), &source);
        tally.settle();
        assert_eq!(
            counts(&tally),
            [
                (60, String::new(), Some(61), 0, 1),
                (60, "a".to_owned(), Some(60), 3, 0),
                (60, "b".to_owned(), Some(60), 1, 0),
                (120, "a".to_owned(), Some(121), 1, 0),
            ]
        );
        assert_eq!((tally.counted_through, tally.entries()), (5.into(), 4));
    }

    #[test]
    fn memory_is_bounded_and_nothing_is_lost() {
        let (mut tally, source) = (Tally::default(), Arc::from("github"));
        for number in 0..3_000 {
            let event = format!("github.{number}");
            let minute = CountMinute::of_number(number % 70);
            tally.add_message(number.into(), minute, &source, &event, 10);
            tally.add_rejection(minute, &source);
            assert!(tally.entries() <= MAX_ENTRIES, "{}", tally.entries());
        }
        let mut total = TrafficCount::default();
        tally.visit(|_, _, _, _, count| total += count);
        assert_eq!(total, TrafficCount { messages: 3_000, bytes: 30_000, rejections: 3_000 });
    }
}
