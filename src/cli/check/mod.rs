//! `creel check`: the effective configuration, the URLs to paste, and warnings about unwise
//! settings.

mod programs;
mod proxies;
mod targets;

use std::fmt::Write;

use crate::config::{Config, Retention, SourceConfig, command_environment};
use crate::providers::{Coverage, source_variable};
use crate::store::{self, StoreOptions, idle_targets_offline};

/// Suffix of the title of a provider that no longer sends webhooks.
const SWITCHED_OFF: &str = "(switched off)";

/// Formats the report on a valid configuration. It contains the random path parts on purpose.
pub fn report(config: &Config) -> String {
    let mut text = format!("The configuration is valid. creel would listen on http://{}", config.listen);
    match config.admin_listen {
        Some(admin) => writeln!(text, ", admin on http://{admin}."),
        None => writeln!(text, "."),
    }
    .expect("writing to a string succeeds");
    let mut line = |words: String| {
        text.push_str(&words);
        text.push('\n');
    };
    line(format!("Database: {}", config.database.display()));
    line(format!("Messages are kept {}.", age(config.retention)));
    if config.sources.is_empty() {
        line("\nNo source is configured: the service starts with one, inbox, and prints its URL.".to_owned());
    }
    for source in &config.sources {
        line(format!("\n{}", describe(config, source)));
    }
    for target in &config.targets {
        line(format!("\n{}", targets::describe(target)));
    }
    if !config.events.is_empty() {
        line(format!("\nevents that the app may emit: {}", config.events.join(" ")));
    }
    if config.public_url.is_none() {
        line("\nSet CREEL_PUBLIC_URL to print the public URLs.".to_owned());
    }
    line(String::new());
    // If the files do not match the last run, the database must not be opened to check the key.
    let of_database = match idle_targets_offline(&config.database) {
        Ok(idle) => {
            let key = store::key_problem(&StoreOptions::from(config));
            let key = key.map(|problem| format!("the next start will fail: {problem}"));
            targets::idle(&idle).into_iter().chain(key).collect()
        }
        Err(error) => vec![error.to_string()],
    };
    let found = warnings(config).into_iter().chain(config.advice.iter().cloned());
    for warning in found.chain(low_disk(config)).chain(of_database) {
        line(format!("warning: {warning}"));
    }
    line(
        "note: bodies are stored byte for byte, including any secret that a provider puts into a body."
            .to_owned(),
    );
    text
}

/// Warns if the disk has too little space for the service to accept messages.
fn low_disk(config: &Config) -> Option<String> {
    // The directory is created at the first start.
    let directory = config
        .database
        .ancestors()
        .skip(1)
        .find(|directory| directory.as_os_str().is_empty() || directory.is_dir())?;
    let free_bytes = store::free_bytes(directory);
    (free_bytes < config.min_free_bytes).then(|| {
        format!(
            "CREEL_MIN_FREE: the disk of {} has {} MiB free, but {} MiB are required: requests would be answered with 503; free some \
             space, or lower the limit",
            config.database.display(),
            free_bytes >> 20,
            config.min_free_bytes >> 20,
        )
    })
}

fn describe(config: &Config, source: &SourceConfig) -> String {
    let title = source.verifier.recipe().title();
    format!(
        "source {}\n  provider  {} ({title})\n  methods   {}\n  proof     {}\n  kept      {}\n  URL       {}{}",
        source.name,
        source.provider,
        methods(source),
        proofs(source).join(", "),
        age(source.retention.unwrap_or(config.retention)),
        config.base_url(),
        source.endpoint(),
    )
}

fn methods(source: &SourceConfig) -> String {
    let probes = if source.probe { " (GET and HEAD are answered with 200 and not stored)" } else { "" };
    format!("{}{probes}", source.methods.join(" "))
}

/// Describes how the sender is verified.
fn proofs(source: &SourceConfig) -> Vec<String> {
    let mut proofs = Vec::new();
    if verifies_sender(source) {
        proofs.push(match source.verifier.coverage() {
            Coverage::Full => "signature over the body".to_owned(),
            Coverage::Partial => "signature over a part of the body".to_owned(),
            Coverage::None => {
                let signed = source.verifier.accepts_signatures_over_body();
                let signed = if signed { "signature over the body, or " } else { "" };
                let sent = source.verifier.sent_proofs();
                let sent = if sent.is_empty() { String::new() } else { format!(": {}", sent.join(" or ")) };
                format!("{signed}a value in the request (not a signature over the body){sent}")
            }
        });
    }
    if source.verifier.waits_for_secret() {
        proofs.push("a secret learned from the sender's handshake".to_owned());
    }
    if source.path.is_some() {
        proofs.push("random path".to_owned());
    }
    if let Some(confirm) = &source.confirm {
        proofs.push(format!("confirmation by {} before any delivery", confirm.api.origin()));
    }
    if let Some(allow) = &source.allow {
        let mut lists: Vec<String> = allow.nets.iter().map(ToString::to_string).collect();
        if allow.github {
            lists.insert(0, "GitHub's published list".to_owned());
        }
        proofs.push(format!("addresses ({})", lists.join(" ")));
    }
    proofs
}

fn verifies_sender(source: &SourceConfig) -> bool {
    source.verifier.verifies_sender()
}

/// Describes the parts of a message that the signature does not cover.
fn uncovered(source: &SourceConfig) -> String {
    let by_confirmation = source.confirm.is_some() && !verifies_sender(source);
    let trap = match source.verifier.coverage() {
        Coverage::None if by_confirmation => {
            "the provider's API confirms the queried object, not the body; read the object from the API"
        }
        Coverage::Partial => "the signature covers only a part of the body; the rest may have been changed",
        Coverage::Full | Coverage::None => {
            "the body is not covered by a signature; any client with the sender's credentials can send any body"
        }
    };
    format!("{trap} (`creel providers {}`); its messages are flagged body_unsigned", source.provider)
}

fn age(retention: Retention) -> String {
    let Retention::For(age) = retention else {
        return "indefinitely".to_owned();
    };
    let seconds = age.as_secs();
    let units = [(24 * 60 * 60, "days"), (60 * 60, "hours"), (60, "minutes"), (1, "seconds")];
    let (unit_seconds, unit) = units
        .into_iter()
        .find(|(unit_seconds, _)| seconds.is_multiple_of(*unit_seconds))
        .unwrap_or((1, "seconds"));
    format!("for {} {unit}", seconds / unit_seconds)
}

/// Describes how an intercepted signature could also match another request.
fn ambiguities(source: &SourceConfig) -> impl Iterator<Item = String> {
    let problems = source.verifier.recipe().ambiguities().into_iter();
    problems.map(|problem| format!("source {}: {problem}", source.name))
}

/// Returns warnings about valid but unwise settings, and about unsafe file modes. Each names the
/// variable, source, target or file.
pub fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    let is_plain =
        config.public_url.as_ref().is_some_and(|url| url.to_ascii_lowercase().starts_with("http://"));
    for source in &config.sources {
        let name = &source.name;
        let title = source.verifier.recipe().title();
        if title.ends_with(SWITCHED_OFF) {
            let provider = &source.provider;
            warnings.push(format!(
                "source {name}: {title} no longer sends anything; see `creel providers {provider}`"
            ));
        }
        // A source that learns its secret from a handshake accepts no messages before the
        // handshake.
        if !source.verifier.covers_body() && !source.verifier.waits_for_secret() {
            warnings.push(format!("source {name}: {}", uncovered(source)));
            if is_plain {
                warnings.push(format!(
                    "source {name}: the sender's credential travels in clear text, because CREEL_PUBLIC_URL is http; use https"
                ));
            }
        }
        let unused = source.verifier.unused_signing_settings();
        if !unused.is_empty() {
            let variables: Vec<String> =
                unused.iter().map(|setting| source_variable(name, setting)).collect();
            warnings.push(format!(
                "source {name}: its provider can sign messages; set {} to check the signatures. Until then any client with the token can \
                 send any body",
                variables.join(" or ")
            ));
        }
        warnings.extend(ambiguities(source));
        if source.verifier.has_token_in_body() {
            warnings.push(format!(
                "source {name}: its token is part of the body, and bodies are stored unchanged: any reader of the database can read the token"
            ));
        }
        if let Some(confirm) = source.confirm.as_ref().filter(|confirm| !confirm.missing.is_empty()) {
            warnings.push(format!(
                "source {name}: {} is not set: {} will probably reject the query, and messages are delivered only after it has confirmed them",
                confirm.missing.join(" and "),
                confirm.api.origin(),
            ));
        }
        warnings.extend(proxies::dropped_headers(source));
        if config.trusted_proxies.is_empty() && (source.allow.is_some() || source.rate.is_some()) {
            warnings.push(format!(
                "source {name}: behind a proxy, its allowlist and rate apply to the proxy's address; set CREEL_TRUSTED_PROXIES"
            ));
        }
    }
    if config.quarantine_bytes < config.max_body_bytes as u64 {
        warnings.push(
            "CREEL_QUARANTINE_SIZE is smaller than CREEL_MAX_BODY: rejected requests with larger bodies are lost"
                .to_owned(),
        );
    }
    if config.listen.ip().is_unspecified() && config.trusted_proxies.is_empty() {
        warnings.push(
            "CREEL_LISTEN accepts connections from every address, and CREEL_TRUSTED_PROXIES is not set: \
             behind a proxy, every message seems to come from the proxy"
                .to_owned(),
        );
    }
    warnings.extend(store::loose_modes(&config.database));
    warnings.extend(targets::warnings(config, &command_environment().search_path()));
    warnings
}
