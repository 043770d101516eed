//! Seals and opens the secrets of targets.

use crate::store::seal::sealer::Sealer;
use crate::store::target::settings::TargetSecrets;

/// Name under which secrets are sealed. It does not contain the target's id, because a new target
/// is sealed before it has one.
const SEALED_AS: &str = "target";

pub fn seal_secrets(sealer: &Sealer, secrets: &TargetSecrets) -> String {
    // Serializing text as JSON cannot fail.
    sealer.seal(SEALED_AS, &serde_json::to_vec(secrets).unwrap_or_default())
}

/// Error for secrets that were sealed under another key, or whose sealed text was altered.
pub struct UnopenedSecrets;

pub fn open_secrets(sealer: &Sealer, sealed: Option<&str>) -> Result<TargetSecrets, UnopenedSecrets> {
    let Some(sealed) = sealed else { return Ok(TargetSecrets::default()) };
    let plain = sealer.open(SEALED_AS, sealed).map_err(|_| UnopenedSecrets)?;
    serde_json::from_slice(&plain).map_err(|_| UnopenedSecrets)
}
