//! Registers the targets from the environment in the store, which assigns their ids. Deliveries
//! refer to a target by this id.

use time::OffsetDateTime;

use super::error::StartError;
use crate::config::{Config, Destination, TargetConfig};
use crate::store::{Origin, Store, TargetDraft, TargetError, TargetId, TargetKind, TargetState};

/// Registers the targets of the configuration, and moves them into the result, each with its id.
/// Targets that are no longer declared receive no further deliveries.
///
/// # Errors
/// Another target has the same name, or the store fails.
pub async fn declare(
    config: &mut Config,
    store: &Store,
    now: OffsetDateTime,
) -> Result<Vec<(TargetId, TargetConfig)>, StartError> {
    let targets = std::mem::take(&mut config.targets);
    let declared = targets.iter().map(new_target).collect();
    match store.target_registry().declare_targets(declared, now).await {
        Ok(ids) => {
            let declared: Vec<(TargetId, TargetConfig)> = ids.into_iter().zip(targets).collect();
            activate_moved(&declared, store, now).await?;
            Ok(declared)
        }
        Err(TargetError::DeclaredNameTaken(name)) => {
            let named = targets.iter().find(|target| target.settings.name == name);
            let variable = named.map(TargetConfig::variable).unwrap_or_default();
            Err(StartError::TargetNameTaken { variable, name })
        }
        Err(error) => Err(error.into()),
    }
}

/// Activates disabled targets with a new URL. A target that answered 410 stays disabled across
/// restarts, until it is declared with another URL or an operator resumes it.
async fn activate_moved(
    declared: &[(TargetId, TargetConfig)],
    store: &Store,
    now: OffsetDateTime,
) -> Result<(), StartError> {
    for (id, target) in declared {
        let Destination::Http(url) = &target.destination else { continue };
        let is_disabled =
            store.reads().target(*id).await?.is_some_and(|stored| stored.state == TargetState::Disabled);
        let url = String::from_utf8_lossy(url.expose()).into_owned();
        if is_disabled && store.target_registry().activate_moved_target(*id, url, now).await? {
            log::info!(
                "target={}: active again, because {} has another URL than the one that answered 410 Gone",
                target.settings.name,
                target.variable()
            );
        }
    }
    Ok(())
}

/// Warns of the targets that stay disabled.
pub async fn warn_of_disabled(store: &Store) -> Result<(), StartError> {
    let targets = store.reads().targets_with_secrets().await?;
    for (target, secrets) in targets.iter().filter(|(target, _)| target.state == TargetState::Disabled) {
        let (name, since) = (&target.settings.name, &target.state_since);
        let reason = target.state_reason.as_deref().unwrap_or("without a reason");
        // If the secrets were lost, `reason` states that a new secret must be created first.
        let needs_secret = secrets.as_ref().is_some_and(|secrets| target.has_lost(secrets));
        let advice = match needs_secret {
            true => format!(" (`POST /api/v1/targets/{}/secret`)", target.id),
            false => format!("; run `creel targets resume {name}` to deliver to it"),
        };
        log::warn!("target={name}: disabled since {since} ({reason}){advice}");
    }
    Ok(())
}

fn new_target(target: &TargetConfig) -> TargetDraft {
    let kind = match target.destination {
        Destination::Http(_) => TargetKind::Http,
        Destination::Command(_) => TargetKind::Command,
    };
    TargetDraft { kind, origin: Origin::Environment, settings: target.settings.clone(), secrets: None }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::store::StoreOptions;

    fn config(pairs: &[(&str, &str)]) -> Config {
        let vars: BTreeMap<String, String> =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Config::from_vars(vars).unwrap()
    }

    fn store(directory: &tempfile::TempDir) -> Store {
        let path = directory.path().join("creel.db");
        Store::open(&StoreOptions { path, key: None, checkpoint: true, min_free_bytes: 0, search: None })
            .unwrap()
    }

    #[actix_web::test]
    async fn declared_targets_get_ids_and_store_no_secrets() {
        let directory = tempfile::tempdir().unwrap();
        let store = store(&directory);
        let mut config = config(&[
            ("CREEL_TARGET_APP_URL", "http://app/hidden"),
            ("CREEL_TARGET_APP_SECRET", "hidden"),
            ("CREEL_TARGET_RUN_EXEC", "deploy hidden"),
        ]);
        let declared = declare(&mut config, &store, OffsetDateTime::now_utc()).await.unwrap();
        assert!(config.targets.is_empty());
        let names: Vec<&str> = declared.iter().map(|(_, target)| target.settings.name.as_str()).collect();
        assert_eq!(names, ["app", "run"]);
        for (id, target) in &declared {
            let stored = store.reads().target(*id).await.unwrap().unwrap();
            assert_eq!((&stored.settings, stored.state), (&target.settings, TargetState::Active));
            assert_eq!((stored.origin, stored.settings.url), (Origin::Environment, None));
        }
        assert_eq!(store.reads().targets_for("inbox.message", None, None), [declared[0].0, declared[1].0]);
        store.close(std::time::Duration::from_secs(10)).await;
        let bytes = std::fs::read(directory.path().join("creel.db")).unwrap();
        assert!(!bytes.windows(6).any(|bytes| bytes == b"hidden"));
    }

    #[actix_web::test]
    async fn duplicate_target_name_error_names_variable() {
        let directory = tempfile::tempdir().unwrap();
        let store = store(&directory);
        let now = OffsetDateTime::now_utc();
        let mut settings = config(&[("CREEL_TARGET_APP_URL", "http://app/")]).targets.remove(0).settings;
        settings.url = Some("https://example.com/".to_owned());
        let made = TargetDraft { kind: TargetKind::Http, origin: Origin::Api, settings, secrets: None };
        store.target_registry().create_target(made, now).await.unwrap();
        let mut config = config(&[("CREEL_TARGET_APP_EXEC", "deploy")]);
        let error = declare(&mut config, &store, now).await.unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("CREEL_TARGET_APP_EXEC: ") && text.contains("named app"), "{text}");
    }
}
