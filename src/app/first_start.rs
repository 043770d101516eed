//! What a first start makes: an admin token, and, where no source is configured, an inbox behind a random path.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom as _, SystemRandom};

use super::admin_token;
use crate::config::{Config, Source};
use crate::http::Clock;
use crate::providers::{Secret, Settings, Verifier, recipe};
use crate::store::{OpenError, Sealing, Store};

const INBOX_PATH_SETTING: &str = "inbox_path";
const RANDOM_BYTES: usize = 24;

/// Completes the configuration by what the service made itself, and tells the person at the terminal.
pub async fn prepare(
    config: &mut Config,
    store: &Store,
    address: SocketAddr,
    clock: Clock,
) -> Result<(), OpenError> {
    if config.sources.is_empty() {
        let path = inbox_path(store, clock).await?;
        config.sources.push(source(&path)?);
        print_inbox(config, address, &path);
    }
    if config.admin_token.is_none() && setting(store, admin_token::SETTING).await?.is_none() {
        let token = random_text()?;
        remember(store, admin_token::SETTING, &admin_token::hash(&token), Sealing::Plain, clock).await?;
        println!("The admin token, shown only now (`creel token` makes a new one):\n\n  {token}\n");
    }
    Ok(())
}

async fn inbox_path(store: &Store, clock: Clock) -> Result<String, OpenError> {
    if let Some(path) = setting(store, INBOX_PATH_SETTING).await? {
        return Ok(path);
    }
    let path = random_text()?;
    remember(store, INBOX_PATH_SETTING, &path, Sealing::Sealed, clock).await?;
    Ok(path)
}

fn source(path: &str) -> Result<Source, OpenError> {
    let broken = || OpenError("the built-in recipe `none` cannot be used: this is a bug in creel".to_owned());
    let verifier =
        Verifier::bind(recipe("none").ok_or_else(broken)?, &Settings::default()).map_err(|_| broken())?;
    Ok(Source {
        name: "inbox".to_owned(),
        provider: "none".to_owned(),
        verifier,
        path: Some(Secret::new(path)),
        allow: None,
        methods: vec!["POST".to_owned()],
        rate: None,
        dedupe: None,
        retention: None,
    })
}

/// The line works when it is pasted into a shell on this machine.
fn print_inbox(config: &Config, address: SocketAddr, path: &str) {
    let base = config.public_url.clone().unwrap_or_else(|| {
        let host = if address.ip().is_unspecified() { "127.0.0.1".to_owned() } else { host_of(address) };
        format!("http://{host}:{}", address.port())
    });
    println!("No source is configured, so there is one to try, behind a random path:\n");
    println!(
        "  curl -H 'Content-Type: application/json' -d '{{\"hello\":\"world\"}}' {base}/webhooks/inbox/{path}\n"
    );
    println!("Then look into the file:\n");
    println!("  sqlite3 -readonly {} 'SELECT * FROM recent_messages'\n", config.database.display());
}

fn host_of(address: SocketAddr) -> String {
    if address.is_ipv6() { format!("[{}]", address.ip()) } else { address.ip().to_string() }
}

fn random_text() -> Result<String, OpenError> {
    let mut bytes = [0; RANDOM_BYTES];
    let random = SystemRandom::new();
    random.fill(&mut bytes).map_err(|_| OpenError("the system gives no random bytes".to_owned()))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

async fn setting(store: &Store, name: &'static str) -> Result<Option<String>, OpenError> {
    store.setting(name).await.map_err(|why| OpenError(format!("cannot read the setting {name}: {why}")))
}

async fn remember(
    store: &Store,
    name: &'static str,
    value: &str,
    sealing: Sealing,
    clock: Clock,
) -> Result<(), OpenError> {
    let stored = store.set_setting(name, value, sealing, clock()).await;
    stored.map_err(|why| OpenError(format!("cannot remember the setting {name}: {why}")))
}
