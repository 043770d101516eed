//! Listeners: opening, acknowledgement and removal.

use std::collections::HashMap;
use std::time::Duration;

use super::operator::Operator;
use super::problem::{MissingObject, Problem};
use crate::config::target_rules::KnownEvents;
use crate::store::{
    DeliveryAcknowledgement, DeliveryId, DeliveryState, ListenerAnswer, ListenerError, ListenerSession,
    MAX_LISTENERS, Pattern, StoredDelivery, StoredMessage, TargetError, TargetId, TargetState, Timestamp,
};

const MAX_PATTERNS: usize = 64;
const MAX_ACKNOWLEDGED: usize = 1_000;
const MAX_EXCERPT_CHARACTERS: usize = 1_024;
const MAX_TOOK: Duration = Duration::from_hours(24);

/// Acknowledgement of deliveries by the program that is connected to a listener.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListenerAcknowledgement {
    /// 1 to 1,000 ids.
    pub deliveries: Vec<DeliveryId>,
    /// The program's responses to some of the deliveries.
    pub answers: Vec<(DeliveryId, ListenerAnswer)>,
}

/// The validated parameters of a listener.
#[derive(Debug)]
pub struct ListenerSelection {
    events: Vec<Pattern>,
    since: Option<Timestamp>,
}

impl Operator {
    /// Parses event patterns separated by white space; without patterns, all events match.
    ///
    /// # Errors
    /// If a pattern could never match, or there are too many.
    pub fn patterns(&self, text: Option<&str>) -> Result<Vec<Pattern>, Problem> {
        patterns(&self.known_events, text)
    }

    /// Validates the patterns of a listener, and the time or age from which a new one receives
    /// messages.
    ///
    /// # Errors
    /// If a value is invalid.
    pub fn listener_selection(
        &self,
        events: Option<&str>,
        since: Option<&str>,
    ) -> Result<ListenerSelection, Problem> {
        Ok(ListenerSelection { events: self.patterns(events)?, since: self.time("since", since)? })
    }

    /// Creates the listener, or changes the patterns of an existing one.
    ///
    /// # Errors
    /// If the limit on listeners is reached, or the store accepts no writes.
    pub async fn open_listener(
        &self,
        name: &str,
        selection: ListenerSelection,
    ) -> Result<ListenerSession, Problem> {
        let ListenerSelection { events, since } = selection;
        let registry = self.store.listener_registry();
        let opened = registry.open_listener(name.to_owned(), events, since, self.now()).await;
        opened.map_err(|error| match error {
            ListenerError::TooMany => Problem::TooManyListeners(MAX_LISTENERS),
            ListenerError::Unavailable(why) => why.into(),
            ListenerError::Target(error) => Problem::of_target(error, name),
        })
    }

    /// Records that the program of a listener received these deliveries. Returns the id of the
    /// listener's target, and the number of deliveries that were pending.
    ///
    /// # Errors
    /// If a value is invalid, the listener does not exist, or the store accepts no writes.
    pub async fn acknowledge(
        &self,
        name: &str,
        acknowledgement: ListenerAcknowledgement,
    ) -> Result<(TargetId, usize), Problem> {
        let acknowledgements = acknowledgement.checked()?;
        let target = self.listener(name).await?.id;
        let registry = self.store.listener_registry();
        let acknowledged = registry.acknowledge_deliveries(target, acknowledgements, self.now()).await?;
        Ok((target, acknowledged))
    }

    /// Returns the message of a delivery that the listener has not acknowledged.
    ///
    /// # Errors
    /// If the listener does not exist, or the delivery is not pending for it.
    pub async fn pending_message(&self, name: &str, id: DeliveryId) -> Result<StoredMessage, Problem> {
        let target = self.listener(name).await?.id;
        let delivery = self.store.reads().delivery(id).await?;
        let is_pending = |one: &StoredDelivery| one.target == target && one.state == DeliveryState::Pending;
        let none = || MissingObject::PendingDelivery { delivery: id, listener: name.to_owned() };
        let delivery = delivery.filter(is_pending).ok_or_else(none)?;
        self.message(delivery.message).await
    }

    /// Removes a listener and drops its pending deliveries. Returns the id of its target.
    ///
    /// # Errors
    /// If the listener does not exist, or the store accepts no writes.
    pub async fn remove_listener(&self, name: &str) -> Result<TargetId, Problem> {
        let target = self.listener(name).await?.id;
        let registry = self.store.target_registry();
        let removed = registry.set_target_state(target, TargetState::Removed, None, self.now()).await;
        // Any other error means that another request removed it first.
        if let Err(TargetError::Unavailable(why)) = removed {
            return Err(why.into());
        }
        self.drop_pending(target);
        Ok(target)
    }
}

impl ListenerAcknowledgement {
    /// Validates the values, and assigns each answer to its delivery.
    fn checked(self) -> Result<Vec<DeliveryAcknowledgement>, Problem> {
        let wrong = |field, problem: String| Err(Problem::invalid(field, problem));
        let Self { deliveries, answers } = self;
        if deliveries.is_empty() || deliveries.len() > MAX_ACKNOWLEDGED {
            return wrong("deliveries", format!("must contain 1 to {MAX_ACKNOWLEDGED} ids"));
        }
        if answers.len() > MAX_ACKNOWLEDGED {
            return wrong("answers", format!("must contain at most {MAX_ACKNOWLEDGED} answers"));
        }
        let is_valid = |one: &ListenerAnswer| (100..=999).contains(&one.status) && one.took <= MAX_TOOK;
        if !answers.iter().all(|(_, answer)| is_valid(answer)) {
            return wrong(
                "answers",
                "must have a status from 100 to 999, and a duration of at most one day".to_owned(),
            );
        }
        let shortened = |answer: ListenerAnswer| ListenerAnswer {
            excerpt: answer.excerpt.map(|text| text.chars().take(MAX_EXCERPT_CHARACTERS).collect()),
            ..answer
        };
        let mut of: HashMap<DeliveryId, ListenerAnswer> = answers.into_iter().collect();
        let acknowledged = |delivery: DeliveryId| DeliveryAcknowledgement {
            delivery,
            answer: of.remove(&delivery).map(shortened),
        };
        Ok(deliveries.into_iter().map(acknowledged).collect())
    }
}

fn patterns(known: &KnownEvents, text: Option<&str>) -> Result<Vec<Pattern>, Problem> {
    let words: Vec<&str> = text.unwrap_or_default().split_ascii_whitespace().collect();
    if words.len() > MAX_PATTERNS {
        return Err(Problem::invalid("events", format!("must contain at most {MAX_PATTERNS} patterns")));
    }
    for word in &words {
        let checked = known.check_pattern(word);
        checked.map_err(|problem| Problem::UndeclaredEvent(format!("events: {problem}")))?;
    }
    if words.is_empty() {
        return Ok(vec![Pattern::new("*")]);
    }
    Ok(words.into_iter().map(Pattern::new).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, took: Duration) -> ListenerAnswer {
        ListenerAnswer { status, took, excerpt: Some("é".repeat(2_000)) }
    }

    #[test]
    fn answer_belongs_to_its_delivery_and_is_shortened() {
        let answers = vec![(2.into(), answer(500, MAX_TOOK)), (9.into(), answer(200, MAX_TOOK))];
        let acknowledgement = ListenerAcknowledgement { deliveries: vec![1.into(), 2.into()], answers };
        let checked = acknowledgement.checked().unwrap();
        assert_eq!((checked[0].delivery, checked[0].answer.as_ref()), (1.into(), None));
        let excerpt = Some("é".repeat(MAX_EXCERPT_CHARACTERS));
        let expected = ListenerAnswer { excerpt, ..answer(500, MAX_TOOK) };
        assert_eq!((checked[1].delivery, checked[1].answer.as_ref()), (2.into(), Some(&expected)));
    }

    #[test]
    fn acknowledgement_with_invalid_values_is_rejected() {
        let long = MAX_TOOK + Duration::from_millis(1);
        for (deliveries, answers, field) in [
            (0, vec![], "deliveries"),
            (MAX_ACKNOWLEDGED + 1, vec![], "deliveries"),
            (1, vec![answer(200, MAX_TOOK); MAX_ACKNOWLEDGED + 1], "answers"),
            (1, vec![answer(99, MAX_TOOK)], "answers"),
            (1, vec![answer(1_000, MAX_TOOK)], "answers"),
            (1, vec![answer(200, long)], "answers"),
        ] {
            let acknowledgement = ListenerAcknowledgement {
                deliveries: vec![1.into(); deliveries],
                answers: answers.into_iter().map(|answer| (1.into(), answer)).collect(),
            };
            let problem = acknowledgement.checked().unwrap_err();
            assert!(matches!(problem, Problem::InvalidValue { field: named, .. } if named == field));
        }
    }

    #[test]
    fn patterns_are_separated_by_white_space() {
        let known = KnownEvents { sources: vec!["github".to_owned()], emitted: Vec::new() };
        let read = |text: Option<&str>| {
            patterns(&known, text)
                .map(|all| all.iter().map(|one| one.as_str().to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(read(None).unwrap(), ["*"]);
        assert_eq!(read(Some(" ")).unwrap(), ["*"]);
        assert_eq!(read(Some("github.* *.paid")).unwrap(), ["github.*", "*.paid"]);
        assert_eq!(read(Some("github.push")).unwrap(), ["github.push"]);
        assert!(read(Some("githbu.push")).is_err());
        assert!(read(Some(&"*".repeat(301))).is_err());
        assert!(read(Some(&"* ".repeat(65))).is_err());
    }
}
