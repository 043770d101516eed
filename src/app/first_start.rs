//! Values that the service generates if they are not configured: an inbox with a random path, and
//! an admin token.

use super::error::StartError;
use crate::config::{Config, INBOX, SourceConfig};
use crate::http::tokens::{ADMIN_TOKEN_SETTING, hash};
use crate::providers::{Secret, Settings, Verifier, recipe};
use crate::store::{Clock, Sealing, Store, random};

const INBOX_PROVIDER: &str = "none";
/// The setting with the random path part of the inbox.
const INBOX_PATH: &str = "inbox_path";
const RANDOM_BYTES: usize = 24;

/// Notices printed to stdout at startup: a new admin token, and the inbox if no source is
/// configured.
#[derive(Debug, Default)]
pub struct Notices {
    /// Newly generated; only its hash is stored, so it cannot be shown again.
    pub admin_token: Option<String>,
    /// Path of the inbox, `/webhooks/inbox/…`.
    pub inbox: Option<String>,
}

/// Completes the configuration with stored values, and generates the missing ones.
///
/// # Errors
/// The store or the source of randomness fails.
pub async fn complete(config: &mut Config, store: &Store, clock: Clock) -> Result<Notices, StartError> {
    let mut notices = Notices::default();
    if config.sources.is_empty() {
        let inbox = inbox(store, clock).await?;
        notices.inbox = Some(inbox.endpoint());
        config.sources.push(inbox);
    }
    if config.admin_token.is_none() && store.settings().setting(ADMIN_TOKEN_SETTING).await?.is_none() {
        let token = random::token(RANDOM_BYTES)?;
        store.settings().set_setting(ADMIN_TOKEN_SETTING, &hash(&token), Sealing::Plain, clock()).await?;
        notices.admin_token = Some(token);
    }
    Ok(notices)
}

/// Returns the default source for a configuration without sources.
async fn inbox(store: &Store, clock: Clock) -> Result<SourceConfig, StartError> {
    let path = match store.settings().setting(INBOX_PATH).await? {
        Some(path) => path,
        None => {
            let path = random::token(RANDOM_BYTES)?;
            store.settings().set_setting(INBOX_PATH, &path, Sealing::Sealed, clock()).await?;
            path
        }
    };
    let recipe = recipe(INBOX_PROVIDER).expect("the catalogue has the provider `none`");
    let verifier =
        Verifier::bind(recipe, &Settings::default()).expect("the provider `none` needs no settings");
    Ok(SourceConfig {
        name: INBOX.to_owned(),
        provider: INBOX_PROVIDER.to_owned(),
        verifier,
        path: Some(Secret::new(path)),
        url: None,
        allow: None,
        methods: vec!["POST".to_owned()],
        probe: false,
        rate: None,
        dedupe: None,
        retention: None,
        confirm: None,
    })
}

impl Notices {
    /// Formats the notices; `base` is the URL of the service, without a trailing slash.
    pub fn text(&self, base: &str) -> String {
        let mut text = String::new();
        if let Some(token) = &self.admin_token {
            text += &format!("Admin token, shown once (`creel token` creates a new one):\n\n  {token}\n\n");
        }
        if let Some(path) = &self.inbox {
            text += &format!(
                "No source is configured, so there is an inbox. Try it:\n\n  \
                 curl -d '{{\"hello\":\"world\"}}' -H 'Content-Type: application/json' {base}{path}\n\n"
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curl_command_is_on_its_own_line() {
        let notices =
            Notices { admin_token: Some("t".to_owned()), inbox: Some("/webhooks/inbox/p".to_owned()) };
        let text = notices.text("http://127.0.0.1:8080");
        let line = text.lines().find(|line| line.trim_start().starts_with("curl")).unwrap();
        assert_eq!(
            line.trim(),
            "curl -d '{\"hello\":\"world\"}' -H 'Content-Type: application/json' http://127.0.0.1:8080/webhooks/inbox/p"
        );
        assert!(text.lines().any(|line| line.trim() == "t"));
        assert_eq!(Notices::default().text(""), "");
    }
}
