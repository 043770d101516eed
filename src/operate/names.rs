//! Names in filters: an unknown source, event or target is a problem, with the nearest name. A name
//! is known if it is configured, or if it occurs in the database.

use std::collections::BTreeSet;

use super::operator::Operator;
use super::problem::Problem;
use crate::query::{MessageQuery, QueryTerm, nearest_name};
use crate::store::{EMITTED, MessageFilter, NameSample};
use crate::verification::Source;

/// The names in a filter that are not configured.
#[derive(Debug, Default)]
struct UncheckedNames<'f> {
    sources: Vec<&'f str>,
    /// Events without `*`, with whether they may be without their source.
    events: Vec<(&'f str, bool)>,
    targets: Vec<&'f str>,
}

impl Operator {
    /// Checks that the sources, events and targets of a filter are known. An event with `*` always
    /// is. Names of old messages are looked up in a sample of all messages.
    ///
    /// # Errors
    /// `UnknownName` for the first unknown name.
    pub async fn check_names(&self, filter: &MessageFilter) -> Result<(), Problem> {
        let names = self.unchecked_names(filter);
        if !names.sources.is_empty() || !names.events.is_empty() {
            let sample = self.store.reads().name_sample().await?;
            names.sources.iter().try_for_each(|name| self.check_source(name, &sample))?;
            names.events.iter().try_for_each(|(name, is_type)| self.check_event(name, *is_type, &sample))?;
        }
        if !names.targets.is_empty() {
            let targets = self.store.reads().target_names().await?;
            names.targets.iter().try_for_each(|name| check_target(name, &targets))?;
        }
        Ok(())
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

    fn check_source(&self, name: &str, sample: &NameSample) -> Result<(), Problem> {
        if sample.sources.contains(name) {
            return Ok(());
        }
        let configured = self.sources.all().iter().map(|source| &*source.name);
        let known = configured.chain(sample.sources.iter().map(String::as_str));
        Err(unknown("source", name, nearest_name(name, known)))
    }

    fn check_event(&self, name: &str, is_type: bool, sample: &NameSample) -> Result<(), Problem> {
        let types = sample.events.iter().filter_map(|(source, event)| type_of(event, source));
        let occurring = sample.events.iter().map(|(_, event)| event.as_str());
        let occurring = occurring.chain(types.filter(|_| is_type));
        if occurring.clone().any(|event| event == name) {
            return Ok(());
        }
        let listed: Vec<String> =
            self.sources.all().iter().filter_map(|source| nearest_listed(source, name)).collect();
        let emitted = self.known_events.emitted.iter().chain(&listed).map(String::as_str);
        Err(unknown("event", name, nearest_name(name, occurring.chain(emitted))))
    }
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
