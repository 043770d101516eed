//! The keys of each signature scheme, from the settings of one source.

use std::collections::BTreeSet;

use crate::content::view::Texts;
use crate::scheme::error::KeyError;
use crate::scheme::key::{Derivation, SecretKey};
use crate::scheme::public_key::PublicKey;
use crate::scheme::signature::{BoundSignature, SignatureKeys};

use super::super::recipe::{KeySource, Signature};
use super::super::settings::{SettingError, Settings};
use super::places::{bind_place, once};
use crate::content::request::Secret;

/// The name of a setting, and the index of one of its values.
type SettingValue = (&'static str, usize);

/// Returns the schemes with their keys. A value that is invalid for one scheme may be valid for
/// another (hex or text), and during a rotation the old and the new value may be for different
/// schemes: a value is an error only if no scheme accepts it.
pub fn bind_signatures(
    signatures: &'static [Signature],
    settings: &Settings,
    texts: &Texts,
    errors: &mut Vec<SettingError>,
) -> Vec<BoundSignature> {
    let mut taken: BTreeSet<SettingValue> = BTreeSet::new();
    let mut rejected: Vec<(Option<SettingValue>, SettingError)> = Vec::new();
    let mut bound = Vec::with_capacity(signatures.len());
    for signature in signatures {
        let enabled = signature.enabled_by.as_deref().map_or(Ok(true), |switch| settings.switch(switch));
        let keys = match &signature.key {
            KeySource::ById(place) => bind_place(place, texts).map(SignatureKeys::ById),
            KeySource::AnyPublished => Ok(SignatureKeys::AnyPublished),
            KeySource::Certificate { url, hosts } => {
                Ok(SignatureKeys::Certificate { url: url.clone(), hosts })
            }
            KeySource::Setting { setting, derivation } if signature.has_shared_key() => {
                let mut keys = Vec::new();
                for (place, value) in settings.all(setting).iter().enumerate() {
                    match SecretKey::new(signature.scheme.algorithm, derivation, value.expose()) {
                        Ok(key) => {
                            taken.insert((setting, place));
                            keys.push(key);
                        }
                        Err(problem) => {
                            rejected.push((
                                Some((setting, place)),
                                SettingError::of_value(setting, place, problem),
                            ));
                        }
                    }
                }
                Ok(SignatureKeys::Secrets(keys))
            }
            KeySource::Setting { setting, derivation } => {
                match public(signature, setting, derivation, settings) {
                    Ok(keys) => {
                        taken.insert((setting, 0));
                        Ok(keys)
                    }
                    Err(error) => {
                        rejected.push((Some((setting, 0)), error));
                        continue;
                    }
                }
            }
        };
        let setting = signature.key.setting();
        match (enabled, keys) {
            (Ok(true), Ok(keys)) => bound.push(BoundSignature { scheme: &signature.scheme, keys, setting }),
            (Ok(false), Ok(_)) => {
                let keys = SignatureKeys::Secrets(Vec::new());
                bound.push(BoundSignature { scheme: &signature.scheme, keys, setting });
            }
            (Err(error), _) | (_, Err(error)) => rejected.push((None, error)),
        }
    }
    for (_, error) in
        rejected.into_iter().filter(|(given, _)| given.is_none_or(|given| !taken.contains(&given)))
    {
        once::<()>(Err(error), errors);
    }
    bound
}

fn public(
    signature: &Signature,
    setting: &str,
    derivation: &Derivation,
    settings: &Settings,
) -> Result<SignatureKeys, SettingError> {
    let algorithm = signature.scheme.algorithm;
    let keys = public_keys(setting, derivation, settings)?;
    let fits = |key: &PublicKey| algorithm.public().is_some_and(|algorithm| key.fits(algorithm));
    if let Some(place) = keys.iter().position(|key| !fits(key)) {
        let problem = format!("is a key of another type: the provider signs with {algorithm}");
        return Err(SettingError::of_value(setting, place, problem));
    }
    Ok(if keys.is_empty() { SignatureKeys::Secrets(Vec::new()) } else { SignatureKeys::Public(keys) })
}

pub fn public_keys(
    setting: &str,
    derivation: &Derivation,
    settings: &Settings,
) -> Result<Vec<PublicKey>, SettingError> {
    let parse = |value: &Secret| {
        let text = std::str::from_utf8(value.expose()).map_err(|_| KeyError("is not UTF-8 text"))?;
        let text =
            derivation.prefix.iter().find_map(|prefix| text.strip_prefix(prefix.as_str())).unwrap_or(text);
        PublicKey::parse(text)
    };
    SettingError::collect(setting, settings.all(setting), parse)
}
