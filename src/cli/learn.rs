//! `creel learn`: opens the window in which a source learns its secret from a handshake again.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::output::Failure;
use crate::app::learned_secret::{WINDOW, secret_setting, window_setting};
use crate::config::{Config, SourceConfig};
use crate::store;

/// The source that learns its secret.
#[derive(Debug, clap::Args)]
pub struct LearnArguments {
    /// The name of the source.
    source: String,

    /// Only print the learned secret, to paste it into the provider's settings (Notion requires
    /// this).
    #[arg(long)]
    show: bool,
}

pub fn run(config: &Config, arguments: &LearnArguments) -> Result<String, Failure> {
    let source = chosen(config, &arguments.source)?;
    if arguments.show {
        return show(config, source);
    }
    let until =
        (OffsetDateTime::now_utc() + WINDOW).format(&Rfc3339).map_err(|error| Failure(error.to_string()))?;
    store::write_setting_offline(
        &config.database,
        &window_setting(&source.name),
        &until,
        OffsetDateTime::now_utc(),
    )
    .map_err(|error| Failure(error.to_string()))?;
    Ok(format!(
        "Until {until}, {} learns its secret from a handshake. Register the webhook with the provider now, with the URL\n{}{}\n",
        source.name,
        config.base_url(),
        source.endpoint()
    ))
}

fn chosen<'a>(config: &'a Config, name: &str) -> Result<&'a SourceConfig, Failure> {
    let Some(source) = config.sources.iter().find(|source| source.name == name) else {
        let learning: Vec<&str> = config
            .sources
            .iter()
            .filter(|source| source.verifier.waits_for_secret())
            .map(|source| source.name.as_str())
            .collect();
        return Err(Failure(format!(
            "source {name:?} is not configured; the sources that learn their secret are: {}",
            if learning.is_empty() { "none".to_owned() } else { learning.join(" ") }
        )));
    };
    let recipe = source.verifier.recipe();
    if !recipe.learns() {
        return Err(Failure(format!(
            "{name} does not learn its secret: the provider {} does not send it; set it in the configuration",
            recipe.name()
        )));
    }
    if !source.verifier.waits_for_secret() {
        return Err(Failure(format!(
            "{name} has a secret in its configuration, which a handshake cannot replace; remove it there first"
        )));
    }
    Ok(source)
}

fn show(config: &Config, source: &SourceConfig) -> Result<String, Failure> {
    let secret = store::secret_offline(&store::StoreOptions::from(config), &secret_setting(&source.name))
        .map_err(|error| Failure(error.to_string()))?;
    match secret {
        Some(secret) => Ok(format!("{secret}\n")),
        None => Err(Failure(format!("{} has not learned a secret yet", source.name))),
    }
}
