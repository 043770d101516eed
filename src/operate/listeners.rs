//! Listeners: the patterns that they may request, and their removal.

use super::operator::Operator;
use super::problem::Problem;
use crate::config::target_rules::KnownEvents;
use crate::store::{Pattern, TargetError, TargetId, TargetState};

const MAX_PATTERNS: usize = 64;

impl Operator {
    /// Parses event patterns separated by white space; without patterns, all events match.
    ///
    /// # Errors
    /// If a pattern could never match, or there are too many.
    pub fn patterns(&self, text: Option<&str>) -> Result<Vec<Pattern>, Problem> {
        patterns(&self.known_events, text)
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
