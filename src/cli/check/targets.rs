//! Report and warnings of `creel check` on targets.

use std::net::IpAddr;
use std::path::PathBuf;

use super::super::output::{harmless_line, seconds};
use super::programs;
use crate::config::{Config, Destination, SourceConfig, TargetConfig, target_rules};
use crate::store::{DeliveryOrdering, IdleTarget, Pattern, TargetKind};

/// Name suffixes that do not exist in public DNS.
const PRIVATE_ENDS: [&str; 6] = [".localhost", ".local", ".internal", ".lan", ".home.arpa", ".test"];

/// Minimum number of pending deliveries for a warning about a disconnected listener.
const MANY_PENDING: u64 = 1_000;

/// Describes a target in a few lines, without potential secrets.
pub fn describe(target: &TargetConfig) -> String {
    let settings = &target.settings;
    let kind = match target.destination {
        Destination::Http(_) => "URL",
        Destination::Command(_) => "command",
    };
    let events: Vec<&str> = settings.events.iter().map(Pattern::as_str).collect();
    let mut text = format!("target {}\n  kind      {kind}\n  events    {}", settings.name, events.join(" "));
    let filter = settings.filter.as_ref().and_then(|filter| serde_json::to_string(filter).ok());
    let mut line = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            text.push_str(&format!("\n  {name:<9} {value}"));
        }
    };
    line("filter", filter);
    line("owner", settings.owner.clone());
    line("where", Some(target.destination.place()));
    line("signed", matches!(target.destination, Destination::Http(_)).then(|| signed(target)));
    line("pace", Some(pace(target)));
    text
}

/// Describes the signature, and how to get the secret for the app: Standard Webhooks libraries only
/// accept the `whsec_` form.
fn signed(target: &TargetConfig) -> String {
    let Some(newest) = target.secrets.first() else { return "no".to_owned() };
    let how = match target.secrets.len() {
        1 => "yes".to_owned(),
        count => format!("yes, with {count} secrets"),
    };
    match target_rules::is_standard_webhooks_secret(newest.expose()) {
        true => format!("{how}; give the app the same whsec_… text"),
        false => {
            format!(
                "{how}; give the app the output of `creel secret --target {}` (whsec_…)",
                target.settings.name
            )
        }
    }
}

fn pace(target: &TargetConfig) -> String {
    let settings = &target.settings;
    let order = match settings.ordering {
        DeliveryOrdering::Any => format!("{} at the same time", settings.concurrency),
        DeliveryOrdering::Strict => "strictly one after the other".to_owned(),
    };
    let rate = settings.rate.map(|rate| format!(", at most {}", rate.to_text())).unwrap_or_default();
    format!("{order}{rate}, {} s for each attempt", settings.timeout.as_secs())
}

/// Returns warnings about valid but unwise settings of targets. `search_path`: the directories
/// searched for programs.
pub fn warnings(config: &Config, search_path: &[PathBuf]) -> Vec<String> {
    let known = config.known_events();
    let mut warnings = Vec::new();
    for target in &config.targets {
        let settings = &target.settings;
        let name = &settings.name;
        for pattern in settings.events.iter().filter(|pattern| !pattern.as_str().contains(',')) {
            if !known.fits(pattern, settings.owner.as_deref()) {
                let among = if settings.owner.is_some() { "event" } else { "source or event" };
                warnings.push(format!(
                    "target {name}: no configured {among} can match {pattern} (CREEL_TARGET_…_EVENTS, CREEL_EVENTS)"
                ));
            }
        }
        warnings.extend(unknown_events(config, target));
        let unwise = match &target.destination {
            Destination::Http(url) => unwise_url(target, &String::from_utf8_lossy(url.expose())),
            Destination::Command(words) => programs::problem(words, search_path),
        };
        warnings.extend(unwise.map(|words| format!("target {name}: {words}; see {}", target.variable())));
    }
    for event in &config.events {
        let source = event.split('.').next().unwrap_or_default();
        if event.contains('.') && config.sources.iter().any(|configured| configured.name == source) {
            warnings.push(format!(
                "CREEL_EVENTS: {event} looks like an event of the source {source}, and targets that subscribe to {source}.* also receive it"
            ));
        }
    }
    warnings
}

/// Returns warnings about event patterns that are probably mistakes.
fn unknown_events(config: &Config, target: &TargetConfig) -> Vec<String> {
    let mut warnings = Vec::new();
    let variable = target.events_variable();
    for pattern in &target.settings.events {
        let text = pattern.as_str();
        if text.contains(',') {
            warnings.push(format!("{variable}: {text} contains a comma; separate events with spaces"));
            continue;
        }
        if let Some(ending) = text.strip_prefix("*.") {
            warnings.extend(misspelt_ending(config, pattern, ending).map(|nearest| {
                format!("{variable}: {text} matches no known event of the configured sources; the nearest is *.{nearest}")
            }));
            continue;
        }
        let of_source = |source: &&SourceConfig| {
            text.strip_prefix(&source.name).is_some_and(|rest| rest.starts_with('.'))
        };
        let Some(source) = config.sources.iter().find(of_source) else { continue };
        if config.events.iter().any(|event| pattern.matches(event)) {
            continue;
        }
        let event = &text[source.name.len() + 1..];
        if source.verifier.recipe().needs_action(event) {
            warnings.push(format!(
                "{variable}: {text} matches only messages without an action, which {} does not send; use {text}.*",
                source.provider
            ));
        }
        if let Some(typical) = source.verifier.recipe().event_instead_of(event) {
            warnings.push(format!(
                "{variable}: {text} matches only messages without an event type; {} usually sends one, such as {}.{typical}",
                source.provider, source.name
            ));
        }
        if let Err(unknown) = source.verifier.recipe().check_event(event) {
            let nearest =
                unknown.nearest.map(|nearest| format!("; the nearest is {}.{nearest}", source.name));
            warnings.push(format!(
                "{variable}: {text} is not a known event of {}{}",
                source.provider,
                nearest.unwrap_or_default()
            ));
        }
    }
    warnings
}

/// Returns the event or action that a `*.` pattern probably means. `None` if a source sends the one
/// in the pattern, or the app emits it.
fn misspelt_ending<'a>(config: &'a Config, pattern: &Pattern, ending: &str) -> Option<&'a str> {
    if ending.contains('*') || config.events.iter().any(|event| pattern.matches(event)) {
        return None;
    }
    let recipes = || config.sources.iter().map(|source| source.verifier.recipe());
    if recipes().any(|recipe| recipe.has_ending(ending)) {
        return None;
    }
    recipes().find_map(|recipe| recipe.misspelt_ending(ending))
}

/// Returns warnings about paused and disabled targets, and about disconnected listeners with many
/// pending deliveries.
pub fn idle(targets: &[IdleTarget]) -> Vec<String> {
    let warning = |target: &IdleTarget| {
        let IdleTarget { name, state_since, pending, .. } = target;
        let since = harmless_line(&seconds(&state_since.to_string()));
        let reason = target.state_reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        let deliveries = if *pending == 1 { "delivery" } else { "deliveries" };
        let advice = match target.needs_secret {
            true => format!(
                "it has no secret: create one with `POST /api/v1/targets/{}/secret`, then `creel targets resume {name}`",
                target.id
            ),
            false => format!("`creel targets resume {name}` resumes it"),
        };
        match target.kind {
            TargetKind::Listener if *pending < MANY_PENDING => None,
            TargetKind::Listener => Some(format!(
                "{name}: not connected since {since}, {pending} {deliveries} pending; remove it if it is no longer needed"
            )),
            TargetKind::Http | TargetKind::Command => Some(format!(
                "target {name}: {} since {since}{reason}, {pending} {deliveries} pending; {advice}",
                target.state.name()
            )),
        }
    };
    targets.iter().filter_map(warning).collect()
}

fn unwise_url(target: &TargetConfig, url: &str) -> Option<String> {
    let url = url::Url::parse(url).ok()?;
    let has_secrets = !target.secrets.is_empty() || !target.headers.is_empty();
    if url.scheme() != "http" || !has_secrets || url.host().is_some_and(|host| is_private(&host)) {
        return None;
    }
    Some("it has a secret or headers, but its requests travel in clear text over http; use https".to_owned())
}

/// Whether requests stay in a private network, according to the host name or address.
fn is_private(host: &url::Host<&str>) -> bool {
    let address: IpAddr = match host {
        url::Host::Domain(name) => {
            let name = name.trim_end_matches('.');
            return !name.contains('.') || PRIVATE_ENDS.iter().any(|end| name.ends_with(end));
        }
        url::Host::Ipv4(address) => (*address).into(),
        url::Host::Ipv6(address) => IpAddr::from(*address).to_canonical(),
    };
    match address {
        IpAddr::V4(address) => address.is_private() || address.is_loopback() || address.is_link_local(),
        IpAddr::V6(address) => {
            address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
        }
    }
}
