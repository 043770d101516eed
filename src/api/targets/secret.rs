//! Signing secrets of targets: generated here, shown once, and rotated without a gap.

use actix_web::web;
use time::{Duration, OffsetDateTime};

use super::super::error::ApiError;
use super::super::input::{Id, NoParameters, OptionalBody, Query};
use super::super::types::target::TargetSecret;
use super::super::types::target_change::{NewSecret, RotatedSecret};
use super::{refuse_if_declared, stored, told};
use crate::config::target_rules;
use crate::http::service::Service;
use crate::store::{self, TargetKind, random, timestamp};

const DEFAULT_OVERLAP_SECONDS: u32 = 24 * 60 * 60;
const MAX_OVERLAP_SECONDS: u32 = 30 * 24 * 60 * 60;
/// Limit on active secrets: each adds a signature to every request.
const MAX_SECRETS: usize = 5;
const SECRET_BYTES: usize = 24;

/// Rotates the secret of a target. Until the old secrets expire, each request is signed with all of
/// them.
#[utoipa::path(post, path = "/targets/{id}/secret", tag = "targets", request_body = Option<NewSecret>,
    params(("id" = i64, Path, minimum = 1, example = 1)),
    responses(
        (status = 200, description = "The new secret.", body = RotatedSecret),
        (status = 409, description = "The environment declares it, or it is a listener."),
    ))]
pub async fn rotate(
    service: web::Data<Service>,
    id: Id,
    _: Query<NoParameters>,
    body: OptionalBody<NewSecret>,
) -> Result<web::Json<RotatedSecret>, ApiError> {
    let OptionalBody(new) = body;
    let target = stored(&service, id.0).await?;
    refuse_if_declared(&target)?;
    if target.kind == TargetKind::Listener {
        let problem = format!("{} is a listener: nothing is signed for it.", target.settings.name);
        return Err(ApiError::NotChangeable(problem));
    }
    let overlap = new.overlap_seconds.unwrap_or(DEFAULT_OVERLAP_SECONDS);
    if overlap > MAX_OVERLAP_SECONDS {
        let problem = format!("must be at most {MAX_OVERLAP_SECONDS}, which is 30 days");
        return Err(ApiError::InvalidValue { field: "overlap_seconds", problem });
    }
    let secret = given_or_generated(new.secret)?;
    let now = (service.clock)();
    let newest = secret.clone();
    let registry = service.store.target_registry();
    let rotated = registry.change_target(
        id.0,
        move |_, secrets| {
            secrets.secrets = rotated(std::mem::take(&mut secrets.secrets), newest, overlap, now);
        },
        now,
    );
    rotated.await.map_err(|refused| told(refused, &target.settings.name))?;
    let all = service.store.reads().target_secrets(id.0).await?.secrets;
    let secrets = all.into_iter().map(|secret| TargetSecret { until: secret.until }).collect();
    Ok(web::Json(RotatedSecret { secret, secrets }))
}

/// Adds the newest secret without expiry, and limits older ones to the overlap.
fn rotated(
    before: Vec<store::StoredSecret>,
    newest: String,
    overlap_seconds: u32,
    now: OffsetDateTime,
) -> Vec<store::StoredSecret> {
    let end = timestamp::to_text(now + Duration::seconds(i64::from(overlap_seconds)));
    let now = timestamp::to_text(now);
    let older = before.into_iter().filter(|old| old.secret != newest).filter_map(|old| {
        let until = old.until.map_or(end.clone(), |until| until.min(end.clone()));
        (until > now).then_some(store::StoredSecret { until: Some(until), ..old })
    });
    let older: Vec<_> = older.take(MAX_SECRETS - 1).collect();
    let newest = store::StoredSecret { secret: newest, until: None };
    std::iter::once(newest).chain(older).collect()
}

/// # Errors
/// If the given secret is invalid.
pub fn given_or_generated(given: Option<String>) -> Result<String, ApiError> {
    let Some(given) = given else { return generated() };
    let wrong = |problem| ApiError::InvalidValue { field: "secret", problem };
    if !(16..=200).contains(&given.len()) || !given.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(wrong("must have 16 to 200 visible ASCII characters".to_owned()));
    }
    target_rules::check_secret(&given).map_err(|error| wrong(error.to_string()))?;
    Ok(given)
}

fn generated() -> Result<String, ApiError> {
    random::signing_secret(SECRET_BYTES).map_err(|_| ApiError::Internal)
}

/// Generates a unique name.
///
/// # Errors
/// If the system returns no random numbers.
pub fn generated_name(prefix: &str) -> Result<String, ApiError> {
    let letters = random::letters::<10>().map_err(|_| ApiError::Internal)?;
    Ok(format!("{prefix}{letters}"))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-22 14:31:00 UTC);

    fn shown(secrets: &[store::StoredSecret]) -> Vec<(&str, Option<&str>)> {
        secrets.iter().map(|secret| (secret.secret.as_str(), secret.until.as_deref())).collect()
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
