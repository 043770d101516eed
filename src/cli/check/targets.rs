//! What `creel check` says of targets.

use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::config::{Config, Destination, Target, target_rules};
use crate::store::{DeliveryOrdering, Pattern};

/// Ends of names that the public name system does not have.
const PRIVATE_ENDS: [&str; 6] = [".localhost", ".local", ".internal", ".lan", ".home.arpa", ".test"];

/// A few lines on a target, without what may be secret.
pub fn describe(target: &Target) -> String {
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

/// With what the app must be given: libraries of Standard Webhooks take the `whsec_` form alone.
fn signed(target: &Target) -> String {
    let Some(newest) = target.secrets.first() else { return "no".to_owned() };
    let how = match target.secrets.len() {
        1 => "yes".to_owned(),
        count => format!("yes, with {count} secrets"),
    };
    match target_rules::is_standard_webhooks_secret(newest.expose()) {
        true => format!("{how}; give the app the same whsec_… text"),
        false => {
            format!(
                "{how}; give the app what `creel secret --target {}` prints (whsec_…)",
                target.settings.name
            )
        }
    }
}

fn pace(target: &Target) -> String {
    let settings = &target.settings;
    let order = match settings.ordering {
        DeliveryOrdering::Any => format!("{} at the same time", settings.concurrency),
        DeliveryOrdering::Strict => "strictly one after the other".to_owned(),
    };
    let rate = settings.rate.map(|rate| format!(", at most {}", rate.to_text())).unwrap_or_default();
    format!("{order}{rate}, {} s for each attempt", settings.timeout.as_secs())
}

/// What is allowed but unwise. `search_path`: the directories in which programs are looked for.
pub fn warnings(config: &Config, search_path: &[PathBuf]) -> Vec<String> {
    let known = config.known_events();
    let mut warnings = Vec::new();
    for target in &config.targets {
        let settings = &target.settings;
        let name = &settings.name;
        for pattern in &settings.events {
            if !known.fits(pattern, settings.owner.as_deref()) {
                let among = if settings.owner.is_some() { "event" } else { "source or event" };
                warnings.push(format!(
                    "target {name}: no {among} that is configured can match {pattern} (CREEL_TARGET_…_EVENTS, CREEL_EVENTS)"
                ));
            }
        }
        let unwise = match &target.destination {
            Destination::Http(url) => unwise_url(target, &String::from_utf8_lossy(url.expose())),
            Destination::Command(words) => {
                words.first().and_then(|program| unwise_program(program, search_path))
            }
        };
        warnings.extend(unwise.map(|words| format!("target {name}: {words}; see {}", target.variable())));
    }
    for event in &config.events {
        let source = event.split('.').next().unwrap_or_default();
        if event.contains('.') && config.sources.iter().any(|configured| configured.name == source) {
            warnings.push(format!(
                "CREEL_EVENTS: {event} looks like a message of the source {source}, and targets of {source}.* get it as well"
            ));
        }
    }
    warnings
}

fn unwise_url(target: &Target, url: &str) -> Option<String> {
    let url = url::Url::parse(url).ok()?;
    let has_secrets = !target.secrets.is_empty() || !target.headers.is_empty();
    if url.scheme() != "http" || !has_secrets || url.host().is_some_and(|host| is_private(&host)) {
        return None;
    }
    Some(
        "it has a secret or headers, but what is sent to it travels in clear text over http; use https"
            .to_owned(),
    )
}

/// Whether requests stay in a network of one's own, as far as the name shows.
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

fn unwise_program(program: &str, search_path: &[PathBuf]) -> Option<String> {
    let candidates: Vec<PathBuf> = match program.contains('/') {
        true => vec![Path::new(program).to_owned()],
        false => search_path.iter().map(|directory| directory.join(program)).collect(),
    };
    let found: Vec<_> =
        candidates.iter().filter_map(|path| path.metadata().ok()).filter(|file| file.is_file()).collect();
    if found.is_empty() {
        let place = if program.contains('/') { "there" } else { "on PATH" };
        return Some(format!("its program {program:?} is not {place}"));
    }
    let can_run = found.iter().any(|file| file.permissions().mode() & 0o111 != 0);
    (!can_run).then(|| format!("its program {program:?} is not executable"))
}
