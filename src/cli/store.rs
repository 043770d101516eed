//! The commands that work on the database: `creel token`, `creel verify`, `creel cleanup`.

use time::OffsetDateTime;

use super::output::Failure;
use super::secret::random_text;
use super::send::block_on;
use crate::app::admin_token;
use crate::config::Config;
use crate::store::StoreOptions;

const TOKEN_BYTES: usize = 32;

/// Prints the new token once; only its hash is stored.
pub fn renew_admin_token(config: &Config) -> Result<String, Failure> {
    if config.admin_token.is_some() {
        return Err(Failure(
            "the admin token is set by CREEL_ADMIN_TOKEN; change it there, or remove it and run this again"
                .to_owned(),
        ));
    }
    let token = random_text(TOKEN_BYTES)?;
    let hash = admin_token::hash(&token);
    crate::store::write_setting_offline(
        &config.database,
        admin_token::SETTING,
        &hash,
        OffsetDateTime::now_utc(),
    )
    .map_err(|error| Failure(error.to_string()))?;
    Ok(format!("{token}\n"))
}

/// Fails if a body has changed since it was received.
pub fn verify(config: &Config) -> Result<String, Failure> {
    let report = crate::store::verify(&config.database).map_err(|error| Failure(error.to_string()))?;
    if report.is_sound() {
        return Ok(format!("{report}\n"));
    }
    Err(Failure(report.to_string()))
}

pub fn clean_up(config: &Config, confirm: bool) -> Result<String, Failure> {
    let options = StoreOptions::from(config);
    let run = crate::cleanup::run_now(config, &options, confirm, OffsetDateTime::now_utc());
    block_on(run)?.map(|summary| format!("{summary}\n")).map_err(|error| Failure(error.to_string()))
}
