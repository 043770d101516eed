//! Names in filters: an unknown source, event or target is a problem, with the nearest name. A name
//! is known if it is configured, or if it occurs in the database.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::operator::Operator;
use super::problem::Problem;
use crate::query::{MessageQuery, QueryClause, QueryTerm, nearest_name};
use crate::store::{Direction, EMITTED, MessageFilter, NameSample, RejectionFilter, RejectionSearch};
use crate::verification::Source;

/// Limit on the time to search for messages with the names of one filter. Names that were not
/// searched completely are not a problem.
const NAME_SEARCH_TIMEOUT: Duration = Duration::from_millis(200);

/// The names in a filter that are not configured.
#[derive(Debug, Default)]
struct UncheckedNames<'f> {
    sources: Vec<&'f str>,
    /// Events without `*`, with whether they may be without their source.
    events: Vec<(&'f str, bool)>,
    targets: Vec<&'f str>,
}

impl Operator {
    /// Checks the names of a filter after its search: targets must exist and, with `is_empty`,
    /// sources and events must be known. `is_empty`: the search is complete and found nothing.
    /// An event with `*` is always known.
    ///
    /// # Errors
    /// `UnknownName` for the first name that is not configured and that no message and, for a
    /// source, no rejection has.
    pub async fn check_names(&self, filter: &MessageFilter, is_empty: bool) -> Result<(), Problem> {
        let names = self.unchecked_names(filter);
        if !names.targets.is_empty() {
            let targets = self.store.reads().target_names().await?;
            names.targets.iter().try_for_each(|name| check_target(name, &targets))?;
        }
        if !is_empty || (names.sources.is_empty() && names.events.is_empty()) {
            return Ok(());
        }
        let sample = self.store.reads().name_sample().await?;
        if sample.is_damaged {
            return Ok(());
        }
        let deadline = Instant::now() + NAME_SEARCH_TIMEOUT;
        for name in names.sources {
            let filter = MessageFilter { source: Some(name.to_owned()), ..MessageFilter::default() };
            if !sample.sources.contains(name)
                && self.has_no_message(&filter, deadline).await?
                && self.has_no_rejection(name, deadline).await?
            {
                return Err(self.unknown_source(name, &sample));
            }
        }
        for (name, is_type) in names.events {
            let filter = of_event(name, is_type);
            let is_known = occurring_events(&sample, is_type).any(|event| event == name);
            if !is_known && self.has_no_message(&filter, deadline).await? {
                return Err(self.unknown_event(name, is_type, &sample));
            }
        }
        Ok(())
    }

    /// Whether a search that is complete before the deadline finds no message. The sample can miss
    /// rare names.
    async fn has_no_message(&self, filter: &MessageFilter, deadline: Instant) -> Result<bool, Problem> {
        let mut from = None;
        while Instant::now() < deadline {
            let reads = self.store.reads();
            let page = reads.messages(filter.clone(), Direction::NewestFirst, from, 1).await?;
            match page.next {
                _ if !page.messages.is_empty() => return Ok(false),
                None => return Ok(true),
                next => from = next,
            }
        }
        Ok(false)
    }

    /// As `has_no_message`, for the rejections of a source.
    async fn has_no_rejection(&self, source: &str, deadline: Instant) -> Result<bool, Problem> {
        let filter = RejectionFilter { source: Some(source.to_owned()), ..RejectionFilter::default() };
        let mut from = None;
        while Instant::now() < deadline {
            let search = RejectionSearch { filter: filter.clone(), q: None };
            let page = self.store.reads().rejections(search, from, 1).await?;
            match page.next {
                _ if !page.rejections.is_empty() => return Ok(false),
                None => return Ok(true),
                next => from = next,
            }
        }
        Ok(false)
    }

    fn unchecked_names<'f>(&self, filter: &'f MessageFilter) -> UncheckedNames<'f> {
        let mut names = UncheckedNames::default();
        names.sources.extend(filter.source.as_deref());
        names.events.extend(filter.event.as_deref().map(|event| (event, false)));
        for (_, term) in filter.q.iter().flat_map(MessageQuery::terms) {
            match term {
                QueryTerm::Source(sources) => names.sources.extend(sources.iter().map(String::as_str)),
                QueryTerm::Event(events) => {
                    names.events.extend(events.iter().map(|event| (event.as_str(), true)));
                }
                QueryTerm::To(targets) => names.targets.extend(targets.iter().map(String::as_str)),
                _ => {}
            }
        }
        names.sources.retain(|name| *name != EMITTED && self.sources.find(name).is_none());
        names.events.retain(|(name, is_type)| !name.contains('*') && !self.is_listed(name, *is_type));
        names
    }

    /// Whether the app may emit the event, or a provider lists it.
    fn is_listed(&self, event: &str, is_type: bool) -> bool {
        let lists = |source: &Source, kind: &str| source.verifier().recipe().lists_event(kind);
        self.known_events.emitted.iter().any(|emitted| emitted == event)
            || self.sources.all().iter().any(|source| {
                type_of(event, &source.name).is_some_and(|kind| lists(source, kind))
                    || (is_type && lists(source, event))
            })
    }

    /// Compares the name with all known ones. This is slow, so it runs at most once for a request.
    fn unknown_source(&self, name: &str, sample: &NameSample) -> Problem {
        let configured = self.sources.all().iter().map(|source| &*source.name);
        let known = configured.chain(sample.sources.iter().map(String::as_str));
        unknown("source", name, nearest_name(name, known))
    }

    /// As `unknown_source`.
    fn unknown_event(&self, name: &str, is_type: bool, sample: &NameSample) -> Problem {
        let listed: Vec<String> =
            self.sources.all().iter().filter_map(|source| nearest_listed(source, name)).collect();
        let emitted = self.known_events.emitted.iter().chain(&listed).map(String::as_str);
        unknown("event", name, nearest_name(name, occurring_events(sample, is_type).chain(emitted)))
    }
}

/// Returns the events in the sample; with `is_type`, also without their source.
fn occurring_events(sample: &NameSample, is_type: bool) -> impl Iterator<Item = &str> {
    let types = sample.events.iter().filter_map(|(source, event)| type_of(event, source));
    sample.events.iter().map(|(_, event)| event.as_str()).chain(types.filter(move |_| is_type))
}

/// Returns a filter for one event; with `is_type`, it may be without its source.
fn of_event(name: &str, is_type: bool) -> MessageFilter {
    let name = name.to_owned();
    if !is_type {
        return MessageFilter { event: Some(name), ..MessageFilter::default() };
    }
    let query = MessageQuery { clauses: vec![QueryClause::of(QueryTerm::Event(vec![name]))] };
    MessageFilter { q: Some(query), ..MessageFilter::default() }
}

/// Returns the type of an event of this source.
fn type_of<'e>(event: &'e str, source: &str) -> Option<&'e str> {
    event.strip_prefix(source)?.strip_prefix('.')
}

/// Returns the event of a source that its provider lists instead of a misspelt one.
fn nearest_listed(source: &Source, event: &str) -> Option<String> {
    let unknown = source.verifier().recipe().check_event(type_of(event, &source.name)?).err()?;
    Some(format!("{}.{}", source.name, unknown.nearest?))
}

fn check_target(name: &str, known: &BTreeSet<String>) -> Result<(), Problem> {
    if known.contains(name) {
        return Ok(());
    }
    Err(unknown("to", name, nearest_name(name, known.iter().map(String::as_str))))
}

fn unknown(field: &'static str, name: &str, nearest: Option<&str>) -> Problem {
    Problem::UnknownName { field, name: name.to_owned(), nearest: nearest.map(str::to_owned) }
}
