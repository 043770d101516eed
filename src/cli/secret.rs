//! `creel secret`: random secrets, and the `whsec_` form of a target's secret for Standard Webhooks
//! libraries.

use std::io::IsTerminal;

use super::output::Failure;
use crate::config::{Config, Destination, target_rules};
use crate::store::random::{self, RandomError};

const HINT: &str = "
Use it as a secret, and give the provider the same:  CREEL_SOURCE_GITHUB_SECRET=…
as the random last part of a source's URL:           CREEL_SOURCE_MY_SHOP_PATH=…
or as a token for creel's API:                       CREEL_ADMIN_TOKEN=…
Safer in a file than in the environment:             CREEL_SOURCE_GITHUB_SECRET_FILE=/run/secrets/github
The secret of a target comes from:                   creel secret --whsec
";
const WHSEC_HINT: &str = "
Set it for the target, and give the same text to the library that verifies:  CREEL_TARGET_APP_SECRET=whsec_…
";
/// Lengths of a key that Standard Webhooks libraries accept.
const WHSEC_BYTES: std::ops::RangeInclusive<u16> = 24..=64;

/// Kind of secret to print.
#[derive(Debug, clap::Args)]
pub struct SecretArguments {
    /// Number of random bytes, from 16 to 1024 (with --whsec from 24 to 64); the text is a third
    /// longer.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(16..=1024))]
    length: u16,

    /// Print it in the form of Standard Webhooks, for the secret of a target: `whsec_` and base64.
    #[arg(long)]
    whsec: bool,

    /// Print the configured secret of this target in the form for its app: `whsec_` and base64.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["length", "whsec"])]
    target: Option<String>,
}

/// Prints only the secret to a pipe, and adds a hint on a terminal.
pub fn run(arguments: &SecretArguments) -> Result<String, Failure> {
    let (secret, hint) = match &arguments.target {
        Some(name) => (of_target(&Config::from_env()?, name)?, ""),
        None if arguments.whsec => (standard_webhooks(arguments.length)?, WHSEC_HINT),
        None => (random_text(usize::from(arguments.length))?, HINT),
    };
    let hint = if std::io::stdout().is_terminal() { hint } else { "" };
    Ok(format!("{secret}\n{hint}"))
}

fn standard_webhooks(length: u16) -> Result<String, Failure> {
    if !WHSEC_BYTES.contains(&length) {
        return Err(Failure(format!(
            "--length {length}: a Standard Webhooks secret has {} to {} bytes",
            WHSEC_BYTES.start(),
            WHSEC_BYTES.end()
        )));
    }
    random::signing_secret(usize::from(length)).map_err(no_randomness)
}

/// Returns the first secret of the target, in the form for Standard Webhooks libraries.
fn of_target(config: &Config, name: &str) -> Result<String, Failure> {
    let Some(target) = config.targets.iter().find(|target| target.settings.name == name) else {
        return Err(Failure(format!(
            "target {name} is not declared by CREEL_TARGET_… variables; the secret of a target created through the API \
             was shown only in the reply that created it"
        )));
    };
    match (target.secrets.first(), &target.destination) {
        (Some(secret), _) => Ok(target_rules::standard_webhooks_secret(secret.expose())),
        (None, Destination::Command(_)) => {
            Err(Failure(format!("target {name} is a command, which has no secret")))
        }
        (None, Destination::Http(_)) => Err(Failure(format!(
            "target {name} has no secret; set {}SECRET to the output of `creel secret --whsec`",
            target.variable().trim_end_matches("URL")
        ))),
    }
}

/// Returns `bytes` random bytes from the operating system as base64url.
pub fn random_text(bytes: usize) -> Result<String, Failure> {
    random::token(bytes).map_err(no_randomness)
}

fn no_randomness(error: RandomError) -> Failure {
    Failure(error.to_string())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use standardwebhooks::Webhook;

    use super::*;

    #[test]
    fn whsec_secret_suits_the_public_library() {
        for length in [24, 25, 32, 64] {
            let secret = standard_webhooks(length).unwrap();
            let encoded = secret.strip_prefix("whsec_").unwrap();
            assert_eq!(STANDARD.decode(encoded).unwrap().len(), usize::from(length));
            Webhook::new(&secret).unwrap();
            target_rules::check_secret(&secret).unwrap();
        }
        for length in [16, 23, 65] {
            let failure = standard_webhooks(length).unwrap_err().to_string();
            assert!(failure.contains("24 to 64"), "{failure}");
        }
    }

    #[test]
    fn target_secret_is_printed_in_whsec_form() {
        let variables = [
            ("CREEL_TARGET_TEXT_URL", "https://a.example.com/"),
            ("CREEL_TARGET_TEXT_SECRET", "plain text"),
            ("CREEL_TARGET_TEXT_SECRET_2", "an older one"),
            ("CREEL_TARGET_ENCODED_URL", "https://a.example.com/"),
            ("CREEL_TARGET_ENCODED_SECRET", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"),
            ("CREEL_TARGET_OPEN_URL", "https://a.example.com/"),
            ("CREEL_TARGET_RUN_EXEC", "true"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let config = Config::from_vars(variables.into()).unwrap();
        assert_eq!(of_target(&config, "text").unwrap(), "whsec_cGxhaW4gdGV4dA==");
        assert_eq!(of_target(&config, "encoded").unwrap(), "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD");
        for (name, part) in
            [("open", "CREEL_TARGET_OPEN_SECRET"), ("run", "command"), ("other", "not declared")]
        {
            let failure = of_target(&config, name).unwrap_err().to_string();
            assert!(failure.contains(part), "{failure}");
        }
    }
}
