//! Signing secrets of targets: generated here, shown once, and rotated without a gap.

use time::{Duration, OffsetDateTime};

use super::super::operator::Operator;
use super::super::problem::Problem;
use super::settings::reject_declared;
use crate::config::target_rules;
use crate::store::{StoredSecret, TargetId, TargetKind, Timestamp, random};

const DEFAULT_OVERLAP_SECONDS: u32 = 24 * 60 * 60;
const MAX_OVERLAP_SECONDS: u32 = 30 * 24 * 60 * 60;
/// Limit on active secrets: each adds a signature to every request.
const MAX_SECRETS: usize = 5;
const SECRET_BYTES: usize = 24;

/// A new secret, which is not shown again. Does not implement `Debug`.
pub struct IssuedSecret {
    pub secret: String,
    /// Expiry time of each active secret, newest first; `None` if it does not expire.
    pub ends: Vec<Option<Timestamp>>,
}

impl Operator {
    /// Rotates the secret of a target. Until the old secrets expire, each request is signed with
    /// them as well. The new secret is `given`, or generated. The old ones expire at the latest
    /// after `overlap_seconds`; default: one day. At most 5 secrets stay active.
    ///
    /// # Errors
    /// If the target does not exist, its secrets cannot be changed here, or a value is invalid.
    pub async fn rotate_secret(
        &self,
        id: TargetId,
        given: Option<String>,
        overlap_seconds: Option<u32>,
    ) -> Result<IssuedSecret, Problem> {
        let target = self.target(id).await?;
        reject_declared(&target)?;
        let name = target.settings.name;
        if target.kind == TargetKind::Listener {
            return Err(Problem::UnsignedListener(name));
        }
        let overlap = overlap_seconds.unwrap_or(DEFAULT_OVERLAP_SECONDS);
        if overlap > MAX_OVERLAP_SECONDS {
            let problem = format!("must be at most {MAX_OVERLAP_SECONDS}, which is 30 days");
            return Err(Problem::invalid("overlap_seconds", problem));
        }
        let secret = given_or_generated(given)?;
        let now = self.now();
        let newest = secret.clone();
        let registry = self.store.target_registry();
        let changing = registry.change_target(
            id,
            move |_, secrets| {
                secrets.secrets = rotated(std::mem::take(&mut secrets.secrets), newest, overlap, now);
            },
            now,
        );
        changing.await.map_err(|error| Problem::of_target(error, &name))?;
        let all = self.store.reads().target_secrets(id).await?.secrets;
        Ok(IssuedSecret { secret, ends: all.into_iter().map(|secret| secret.until).collect() })
    }
}

/// Adds the newest secret without an expiry time, and lets older ones expire at the latest after
/// the overlap.
fn rotated(
    before: Vec<StoredSecret>,
    newest: String,
    overlap_seconds: u32,
    now: OffsetDateTime,
) -> Vec<StoredSecret> {
    let end = Timestamp::from(now + Duration::seconds(i64::from(overlap_seconds)));
    let now = Timestamp::from(now);
    let older = before.into_iter().filter(|old| old.secret != newest).filter_map(|old| {
        let until = old.until.map_or(end, |until| until.min(end));
        (until > now).then_some(StoredSecret { until: Some(until), ..old })
    });
    let older: Vec<_> = older.take(MAX_SECRETS - 1).collect();
    let newest = StoredSecret { secret: newest, until: None };
    std::iter::once(newest).chain(older).collect()
}

/// # Errors
/// If the given secret is invalid.
pub(super) fn given_or_generated(given: Option<String>) -> Result<String, Problem> {
    let Some(given) = given else { return Ok(random::signing_secret(SECRET_BYTES)?) };
    if !(16..=200).contains(&given.len()) || !given.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Problem::invalid("secret", "must be 16 to 200 visible ASCII characters long"));
    }
    target_rules::check_secret(&given).map_err(|problem| Problem::invalid("secret", problem.to_string()))?;
    Ok(given)
}

/// Generates a unique name.
///
/// # Errors
/// If the system returns no random numbers.
pub(super) fn generated_name(prefix: &str) -> Result<String, Problem> {
    Ok(format!("{prefix}{}", random::letters::<10>()?))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-22 14:31:00 UTC);

    fn shown(secrets: &[StoredSecret]) -> Vec<(&str, Option<&str>)> {
        secrets
            .iter()
            .map(|secret| (secret.secret.as_str(), secret.until.as_ref().map(Timestamp::as_str)))
            .collect()
    }

    #[test]
    fn old_secret_expires_after_overlap_or_earlier() {
        let first = rotated(Vec::new(), "a".to_owned(), 3_600, NOW);
        assert_eq!(shown(&first), [("a", None)]);
        let second = rotated(first, "b".to_owned(), 3_600, NOW);
        assert_eq!(shown(&second), [("b", None), ("a", Some("2026-11-22T15:31:00.000000Z"))]);
        let third = rotated(second.clone(), "c".to_owned(), 86_400, NOW + Duration::MINUTE);
        let expected = [
            ("c", None),
            ("b", Some("2026-11-23T14:32:00.000000Z")),
            ("a", Some("2026-11-22T15:31:00.000000Z")),
        ];
        assert_eq!(shown(&third), expected);
        assert_eq!(shown(&rotated(third, "d".to_owned(), 0, NOW)), [("d", None)]);
        let late = rotated(second, "e".to_owned(), 60, NOW + Duration::HOUR);
        assert_eq!(shown(&late), [("e", None), ("b", Some("2026-11-22T15:32:00.000000Z"))]);
    }

    #[test]
    fn active_secrets_are_limited_and_unique() {
        let mut secrets = Vec::new();
        for number in 0..20 {
            secrets = rotated(secrets, format!("s{number}"), 86_400, NOW);
        }
        assert_eq!(secrets.len(), MAX_SECRETS);
        assert_eq!(secrets[0].secret, "s19");
        let again = rotated(secrets, "s18".to_owned(), 86_400, NOW);
        assert_eq!(again.iter().filter(|secret| secret.secret == "s18").count(), 1);
    }

    #[test]
    fn generated_secret_is_a_standard_webhooks_secret() {
        let secret = given_or_generated(None).unwrap();
        let key = BASE64_STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        assert_eq!(key.len(), SECRET_BYTES);
        assert_ne!(given_or_generated(None).unwrap(), secret);
        assert!(given_or_generated(Some("short".to_owned())).is_err());
        assert!(given_or_generated(Some("whsec_no base64 at all".to_owned())).is_err());
        let name = generated_name("target-").unwrap();
        assert!(
            name.len() == 17 && name.bytes().all(|byte| byte == b'-' || byte.is_ascii_alphanumeric()),
            "{name}"
        );
    }
}
