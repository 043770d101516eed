//! Random bytes, tokens and names. All random values that creel itself creates come from this
//! module, except the seeds of hash tables. It uses the random number generator of the operating
//! system.

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use ring::rand::{SecureRandom, SystemRandom};

/// Letters and digits that are permitted in a DNS label and in an identifier.
const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// The system returned no random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the OS random source is unavailable")]
pub struct RandomError;

/// Fills `bytes` with random bytes.
///
/// # Errors
/// If the system returns no random bytes.
pub fn fill(bytes: &mut [u8]) -> Result<(), RandomError> {
    SystemRandom::new().fill(bytes).map_err(|_| RandomError)
}

/// Returns `LENGTH` random bytes.
///
/// # Errors
/// If the system returns no random bytes.
pub fn array<const LENGTH: usize>() -> Result<[u8; LENGTH], RandomError> {
    let mut bytes = [0; LENGTH];
    fill(&mut bytes).map(|()| bytes)
}

/// Returns a token of `bytes` random bytes, in the URL-safe alphabet of base64 without padding.
///
/// # Errors
/// If the system returns no random bytes.
pub fn token(bytes: usize) -> Result<String, RandomError> {
    let mut random = vec![0; bytes];
    fill(&mut random)?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(random))
}

/// Returns a signing secret in the format of Standard Webhooks: `whsec_` and base64 of `bytes`
/// random bytes.
///
/// # Errors
/// If the system returns no random bytes.
pub fn signing_secret(bytes: usize) -> Result<String, RandomError> {
    let mut random = vec![0; bytes];
    fill(&mut random)?;
    Ok(format!("whsec_{}", BASE64_STANDARD.encode(random)))
}

/// Returns `LENGTH` random lower-case letters and digits, with 5 bits of randomness each.
///
/// # Errors
/// If the system returns no random bytes.
pub fn letters<const LENGTH: usize>() -> Result<String, RandomError> {
    Ok(array::<LENGTH>()?.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_fit_into_a_path_and_differ() {
        let (one, other) = (token(24).unwrap(), token(24).unwrap());
        assert_ne!(one, other);
        assert_eq!(one.len(), 32);
        let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        assert!(one.bytes().all(is_safe), "{one}");
    }

    #[test]
    fn letters_use_the_alphabet() {
        let name = letters::<20>().unwrap();
        assert!(name.len() == 20 && name.bytes().all(|byte| LETTERS.contains(&byte)), "{name}");
    }
}
