//! `creel secret`: random text that nobody can guess.

use std::io::IsTerminal;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};

use super::output::Failure;

const HINT: &str = "
Use it as a secret, and give the provider the same:  CREEL_SOURCE_GITHUB_SECRET=…
as the random last part of a source's URL:           CREEL_SOURCE_MY_SHOP_PATH=…
or as a token of creel's own:                        CREEL_ADMIN_TOKEN=…
Better than in the environment it is kept in a file: CREEL_SOURCE_GITHUB_SECRET_FILE=/run/secrets/github
";

/// The secret alone for a pipe, with a hint for a person.
pub fn make(length: u16) -> Result<String, Failure> {
    let secret = random_text(usize::from(length))?;
    let hint = if std::io::stdout().is_terminal() { HINT } else { "" };
    Ok(format!("{secret}\n{hint}"))
}

/// `bytes` random bytes of the operating system as base64url.
pub fn random_text(bytes: usize) -> Result<String, Failure> {
    let mut random = vec![0; bytes];
    SystemRandom::new()
        .fill(&mut random)
        .map_err(|_| Failure("the operating system gave no random bytes".to_owned()))?;
    Ok(URL_SAFE_NO_PAD.encode(random))
}
