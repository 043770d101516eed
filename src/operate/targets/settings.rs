//! Rules for the settings of targets that an operator creates: only HTTP, only public addresses and
//! networks that the operator allowed.

use std::collections::BTreeMap;

use super::super::operator::Operator;
use super::super::problem::Problem;
use crate::config::target_rules;
use crate::outbound::vet_url;
use crate::store::{DeliveryRate, Origin, Pattern, StoredTarget, TargetSettings};

impl Operator {
    /// Checks the rules that apply to all targets, including those of the environment.
    ///
    /// # Errors
    /// If a pattern could never match, or settings are invalid.
    pub(super) fn check_settings(&self, settings: &TargetSettings) -> Result<(), Problem> {
        for pattern in &settings.events {
            let known = self.known_events.check_pattern(pattern.as_str());
            known.map_err(|problem| Problem::UndeclaredEvent(format!("events: {problem}")))?;
        }
        let mut problems = target_rules::check(settings, &self.known_events).into_iter();
        let Some(first) = problems.next() else { return Ok(()) };
        let others = problems.map(|other| format!("; {}: {}", other.field, other.problem));
        let problem: String = std::iter::once(first.problem.to_string()).chain(others).collect();
        let field = if first.field == "timeout" { "timeout_seconds" } else { first.field };
        Err(Problem::invalid(field, problem))
    }

    /// # Errors
    /// If the URL leads to an address that is not allowed.
    pub(super) async fn vet(&self, url: Option<&str>) -> Result<(), Problem> {
        let Some(url) = url else { return Ok(()) };
        Ok(vet_url(url, &self.reach).await?)
    }
}

/// # Errors
/// If the target is declared by the environment.
pub(super) fn reject_declared(target: &StoredTarget) -> Result<(), Problem> {
    if target.origin == Origin::Environment {
        return Err(Problem::DeclaredTarget(target.settings.name.clone()));
    }
    Ok(())
}

/// # Errors
/// If the text is not an HTTP URL.
pub(super) fn url(text: &str) -> Result<String, Problem> {
    target_rules::url(text).map_err(|problem| Problem::MalformedUrl(problem.to_string()))
}

pub(super) fn patterns(texts: &[String]) -> Vec<Pattern> {
    texts.iter().map(|text| Pattern::new(text)).collect()
}

/// # Errors
/// If the text is not a rate like `50/s`.
pub(super) fn rate(text: &str) -> Result<DeliveryRate, Problem> {
    target_rules::rate(text).map_err(|problem| Problem::invalid("rate", problem.to_string()))
}

/// Converts names to lower case.
///
/// # Errors
/// If a header is not allowed.
pub(super) fn headers(given: BTreeMap<String, String>) -> Result<Vec<(String, String)>, Problem> {
    let all = given.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    target_rules::check_headers(all).map_err(|problem| Problem::invalid("headers", problem.to_string()))?;
    Ok(given.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect())
}
