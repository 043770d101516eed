//! Secrets learned from a handshake (Asana, Notion). A source learns its secret only once, and only
//! if it has a random path part and no configured secret. `creel learn <source>` lets it learn
//! again for ten minutes.

use std::sync::Arc;

use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use crate::providers::{LearningWindow, Secret};
use crate::store::{Sealing, Store, Unavailable};
use crate::verification::source::Source;

/// Duration of the window that `creel learn` opens.
pub const LEARNING_WINDOW: Duration = Duration::minutes(10);

/// The setting with the learned secret of a source, sealed.
pub fn secret_setting(source: &str) -> String {
    format!("learned_secret:{source}")
}

/// The setting with the end of the window of a source.
pub fn window_setting(source: &str) -> String {
    format!("learning_until:{source}")
}

/// Loads the secret that the source has learned before.
///
/// # Errors
/// If the store cannot be read, or the secret was sealed under another key. A value that is not a
/// valid secret of the provider is ignored: the source waits for another.
pub async fn recall(source: &Source, store: &Store) -> Result<(), Unavailable> {
    if !source.verifier().waits_for_secret() {
        return Ok(());
    }
    if let Some(secret) = store.settings().setting(&secret_setting(&source.name)).await?
        && let Err(problems) = source.use_secret(&Secret::new(secret))
    {
        let problems: Vec<&str> = problems.iter().map(|error| error.problem.as_str()).collect();
        log::error!(
            "source {}: its learned secret {}; the source will learn the secret of the next handshake",
            source.name,
            problems.join(", ")
        );
    }
    Ok(())
}

/// Whether a handshake may provide the source's secret now.
///
/// # Errors
/// If the store cannot be read.
async fn window(source: &Source, store: &Store, now: OffsetDateTime) -> Result<LearningWindow, Unavailable> {
    // A request cannot override the operator's configuration.
    if !source.learns() || !source.has_path_part() {
        return Ok(LearningWindow::Closed);
    }
    if source.verifier().waits_for_secret() {
        return Ok(LearningWindow::Open);
    }
    let until = store.settings().setting(&window_setting(&source.name)).await?;
    let until = until.and_then(|text| OffsetDateTime::parse(&text, &Rfc3339).ok());
    let is_open = until.is_some_and(|until| now < until && until - now <= LEARNING_WINDOW);
    Ok(if is_open { LearningWindow::Open } else { LearningWindow::Closed })
}

/// Stores a secret and uses it from now on, if the window is open. Calls for a source run one after
/// the other, so that the second of two concurrent handshakes finds the window closed.
///
/// # Errors
/// If the secret cannot be written; it is then not used.
pub async fn learn(
    source: &Arc<Source>,
    store: &Store,
    secret: &Secret,
    now: OffsetDateTime,
) -> Result<LearningWindow, Unavailable> {
    let _turn = source.learning_turn().await;
    if window(source, store, now).await? == LearningWindow::Closed {
        return Ok(LearningWindow::Closed);
    }
    // A secret that the provider's scheme cannot use must not be stored: each start would load it
    // again.
    let usable = std::str::from_utf8(secret.expose()).ok().zip(source.with_secret(secret).ok());
    let Some((text, verifier)) = usable else {
        log::warn!("source {}: a handshake contained an invalid secret", source.name);
        return Ok(LearningWindow::Closed);
    };
    store.settings().set_setting(&secret_setting(&source.name), text, Sealing::Sealed, now).await?;
    store.settings().set_setting(&window_setting(&source.name), "", Sealing::Plain, now).await?;
    source.use_verifier(verifier);
    log::info!("source {}: learned its secret (creel learn {} --show prints it)", source.name, source.name);
    Ok(LearningWindow::Open)
}
