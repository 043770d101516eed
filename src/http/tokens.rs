//! Roles of the service's tokens: the admin token, the listener token and the read token, compared
//! by hash.

use std::fmt::Write;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq;

use crate::config::Config;
use crate::providers::Secret;
use crate::store::{Store, Unavailable};

/// The setting with the hash of the generated admin token.
pub const ADMIN_TOKEN_SETTING: &str = "admin_token";
/// Lifetime of the cached hash. `creel token` can replace the stored hash while the service runs,
/// so the old token is accepted for at most this time. A flood of guesses causes one database
/// lookup per lifetime.
const MAX_REMEMBERED_AGE: Duration = Duration::from_secs(1);

/// Returns the SHA-256 of a token in lower-case hex, the only stored form of a token.
pub fn hash(token: &str) -> String {
    digest(&SHA256, token.as_bytes()).as_ref().iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing into a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// The access that a token grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    Admin,
    /// Listeners: their list, streams, bodies, acknowledgements and removal only.
    Listener,
    /// Lists, the stream of message heads, and metrics. Cannot change anything or read content.
    Reader,
}

/// The tokens that are accepted.
#[derive(Debug)]
pub struct AcceptedTokens {
    admin: AdminToken,
    listener: Option<String>,
    read: Option<String>,
}

#[derive(Debug)]
enum AdminToken {
    Configured(String),
    /// A token generated at the first start, or later by `creel token`.
    Stored(Store, Mutex<Option<(Instant, Option<String>)>>),
}

impl AcceptedTokens {
    pub fn new(store: Store, config: &Config) -> Self {
        let hash_of = |secret: &Secret| hash(&String::from_utf8_lossy(secret.expose()));
        Self {
            admin: match &config.admin_token {
                Some(token) => AdminToken::Configured(hash_of(token)),
                None => AdminToken::Stored(store, Mutex::default()),
            },
            listener: config.listener_token.as_ref().map(hash_of),
            read: config.read_token.as_ref().map(hash_of),
        }
    }

    /// Returns the role of the token in an `Authorization` header; `None` if there is no token, or
    /// it is wrong.
    ///
    /// # Errors
    /// If the stored hash cannot be read now.
    pub async fn role(&self, authorization: Option<&[u8]>) -> Result<Option<Role>, Unavailable> {
        let Some(token) = authorization.and_then(bearer) else { return Ok(None) };
        let given = hash(token);
        let is = |known: &String| bool::from(known.as_bytes().ct_eq(given.as_bytes()));
        for (token, role) in [(&self.read, Role::Reader), (&self.listener, Role::Listener)] {
            if token.as_ref().is_some_and(is) {
                return Ok(Some(role));
            }
        }
        let is_admin = match &self.admin {
            AdminToken::Configured(known) => is(known),
            AdminToken::Stored(store, remembered) => {
                stored(store, remembered).await?.as_ref().is_some_and(is)
            }
        };
        Ok(is_admin.then_some(Role::Admin))
    }
}

async fn stored(
    store: &Store,
    remembered: &Mutex<Option<(Instant, Option<String>)>>,
) -> Result<Option<String>, Unavailable> {
    if let Some((at, hash)) = &*remembered.lock()
        && at.elapsed() < MAX_REMEMBERED_AGE
    {
        return Ok(hash.clone());
    }
    let hash = store.settings().setting(ADMIN_TOKEN_SETTING).await?;
    *remembered.lock() = Some((Instant::now(), hash.clone()));
    Ok(hash)
}

/// Whether the value of an `Authorization` header carries a token, correct or wrong.
pub fn has_token(authorization: &[u8]) -> bool {
    bearer(authorization).is_some_and(|token| !token.is_empty())
}

fn bearer(authorization: &[u8]) -> Option<&str> {
    let (scheme, token) = std::str::from_utf8(authorization).ok()?.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_hash_is_lower_case_hex_sha256() {
        assert_eq!(hash("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn only_the_bearer_scheme_carries_a_token() {
        let rows = [
            ("Bearer abc", Some("abc")),
            ("bearer  abc", Some("abc")),
            ("Bearer", None),
            ("Basic abc", None),
            ("abc", None),
        ];
        for (header, token) in rows {
            assert_eq!(bearer(header.as_bytes()), token, "{header}");
        }
    }
}
