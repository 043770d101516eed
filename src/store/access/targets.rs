//! Targets. After each change messages are matched against what is now in the table.

use std::sync::Arc;

use time::OffsetDateTime;

use super::super::declaration;
use super::super::seal::Sealer;
use super::super::subscription::Subscriptions;
use super::super::target::{
    self, NewTarget, Target, TargetRefused, TargetSecrets, TargetSettings, TargetState,
};
use super::super::writer::Database;
use super::super::{Store, Unavailable, timestamp};

/// Sealed values open under the same name only; the id of a new target is not known yet.
const SEALED_AS: &str = "target";

impl Store {
    /// Makes the targets of the environment what is declared now; their ids, in that order. `Err`: the name that
    /// another target has.
    pub async fn declare_targets(
        &self,
        declared: Vec<NewTarget>,
        now: OffsetDateTime,
    ) -> Result<Result<Vec<i64>, String>, Unavailable> {
        let now = timestamp::to_text(now);
        self.change_targets(move |database| declaration::declare(database.connection, &declared, &now)).await
    }

    /// The id of the new target.
    pub async fn create_target(
        &self,
        new: NewTarget,
        now: OffsetDateTime,
    ) -> Result<Result<i64, TargetRefused>, Unavailable> {
        let now = timestamp::to_text(now);
        let sealed = new.secrets.as_ref().map(|secrets| seal_secrets(&self.inner.sealer, secrets));
        self.change_targets(move |database| {
            target::insert(database.connection, &new, sealed.as_deref(), &now)
        })
        .await
    }

    pub async fn update_target(
        &self,
        id: i64,
        settings: TargetSettings,
        now: OffsetDateTime,
    ) -> Result<Result<(), TargetRefused>, Unavailable> {
        let now = timestamp::to_text(now);
        self.change_targets(move |database| target::update(database.connection, id, &settings, &now)).await
    }

    /// Changes some of a target in one step: two changes at the same time lose nothing of each other.
    pub async fn change_target(
        &self,
        id: i64,
        change: impl FnOnce(&mut TargetSettings, &mut TargetSecrets) + Send + 'static,
        now: OffsetDateTime,
    ) -> Result<Result<Target, TargetRefused>, Unavailable> {
        let now = timestamp::to_text(now);
        let sealer = self.inner.sealer.clone();
        self.change_targets(move |database| {
            let connection = database.connection;
            let found = target::one(connection, id)?;
            let Some(target) = found.filter(|target| target.state != TargetState::Removed) else {
                return Ok(Err(TargetRefused::NotFound));
            };
            let Ok(before) = open_secrets(&sealer, target::sealed_secrets(connection, id)?.as_deref()) else {
                return Ok(Err(TargetRefused::Sealed));
            };
            let (mut settings, mut secrets) = (target.settings, before.clone());
            change(&mut settings, &mut secrets);
            if let Err(refused) = target::update(connection, id, &settings, &now)? {
                return Ok(Err(refused));
            }
            if secrets != before {
                let sealed = seal_secrets(&sealer, &secrets);
                if let Err(refused) = target::set_sealed_secrets(connection, id, &sealed, &now)? {
                    return Ok(Err(refused));
                }
            }
            Ok(target::one(connection, id)?.ok_or(TargetRefused::NotFound))
        })
        .await
    }

    pub async fn set_target_secrets(
        &self,
        id: i64,
        secrets: &TargetSecrets,
        now: OffsetDateTime,
    ) -> Result<Result<(), TargetRefused>, Unavailable> {
        let (sealed, now) = (seal_secrets(&self.inner.sealer, secrets), timestamp::to_text(now));
        self.change_targets(move |database| {
            target::set_sealed_secrets(database.connection, id, &sealed, &now)
        })
        .await
    }

    /// # Errors
    /// Also when it is to be active, but would be delivered to unsigned.
    pub async fn set_target_state(
        &self,
        id: i64,
        state: TargetState,
        reason: Option<String>,
        now: OffsetDateTime,
    ) -> Result<Result<(), TargetRefused>, Unavailable> {
        let now = timestamp::to_text(now);
        let sealer = self.inner.sealer.clone();
        self.change_targets(move |database| {
            let connection = database.connection;
            if state == TargetState::Active
                && let Some(target) = target::one(connection, id)?
                && matches!(target.state, TargetState::Paused | TargetState::Disabled)
                && let Ok(secrets) = open_secrets(&sealer, target::sealed_secrets(connection, id)?.as_deref())
                && target.has_lost(&secrets)
            {
                return Ok(Err(TargetRefused::SecretsLost(id)));
            }
            target::set_state(connection, id, state, reason.as_deref(), &now)
        })
        .await
    }

    /// All that are not removed.
    pub async fn targets(&self) -> Result<Vec<Target>, Unavailable> {
        self.read(target::all).await
    }

    /// All that are not removed, each with what is sealed of it; `None` where that cannot be opened.
    pub async fn targets_with_secrets(&self) -> Result<Vec<(Target, Option<TargetSecrets>)>, Unavailable> {
        let rows = self.read(target::all_with_sealed).await?;
        let open = |(target, sealed): (Target, Option<String>)| {
            (target, open_secrets(&self.inner.sealer, sealed.as_deref()).ok())
        };
        Ok(rows.into_iter().map(open).collect())
    }

    /// The target at this URL has said that it wants nothing any more.
    pub async fn disable_target(
        &self,
        id: i64,
        url: String,
        reason: &'static str,
        now: OffsetDateTime,
    ) -> Result<bool, Unavailable> {
        let now = timestamp::to_text(now);
        let disable =
            move |database: &mut Database<'_>| target::disable(database.connection, id, &url, reason, &now);
        self.change_targets_where(disable, |disabled| *disabled).await
    }

    /// Activates a declared target that answered 410 at another URL than this one, which it has now.
    pub async fn activate_moved_target(
        &self,
        id: i64,
        url: String,
        now: OffsetDateTime,
    ) -> Result<bool, Unavailable> {
        let now = timestamp::to_text(now);
        let activate = move |database: &mut Database<'_>| {
            declaration::activate_if_moved(database.connection, id, &url, &now)
        };
        self.change_targets_where(activate, |activated| *activated).await
    }

    /// Whatever its state.
    pub async fn target(&self, id: i64) -> Result<Option<Target>, Unavailable> {
        self.read(move |connection| target::one(connection, id)).await
    }

    pub async fn target_named(&self, name: &str) -> Result<Option<Target>, Unavailable> {
        let name = name.to_owned();
        self.read(move |connection| target::by_name(connection, &name)).await
    }

    /// What is sealed of a target; nothing for those of the environment.
    ///
    /// # Errors
    /// Also when it was sealed under another key.
    pub async fn target_secrets(&self, id: i64) -> Result<TargetSecrets, Unavailable> {
        let sealed = self.read(move |connection| target::sealed_secrets(connection, id)).await?;
        open_secrets(&self.inner.sealer, sealed.as_deref()).map_err(|Unopened| Unavailable::Refused)
    }

    /// Counts the changes of targets: who waits for one sees that the number has changed.
    pub fn target_changes(&self) -> tokio::sync::watch::Receiver<u64> {
        self.inner.shared.audience.changes()
    }

    /// Who gets an event. `payload`: the JSON text.
    pub fn targets_for(&self, event: &str, owner: Option<&str>, payload: Option<&[u8]>) -> Vec<i64> {
        self.inner.shared.audience.current().matching(event, owner, payload)
    }

    /// Writes a change. Before it is answered, messages are matched against what is then in the table, also when whoever
    /// asked for it has gone.
    pub(super) async fn change_targets<T, F>(&self, work: F) -> Result<T, Unavailable>
    where
        T: Send + 'static,
        F: FnOnce(&mut Database<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        self.change_targets_where(work, |_| true).await
    }

    /// As `change_targets`, for what may turn out to change nothing.
    pub(super) async fn change_targets_where<T, F>(
        &self,
        work: F,
        is_change: fn(&T) -> bool,
    ) -> Result<T, Unavailable>
    where
        T: Send + 'static,
        F: FnOnce(&mut Database<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        let shared = self.inner.shared.clone();
        let change = move |database: &mut Database<'_>| {
            let done = work(database)?;
            let subscriptions = match is_change(&done) {
                true => Some(Arc::new(target::subscriptions(database.connection)?)),
                false => None,
            };
            Ok((done, subscriptions))
        };
        let publish = move |(_, subscriptions): &(T, Option<Arc<Subscriptions>>)| {
            if let Some(subscriptions) = subscriptions {
                shared.audience.replace(subscriptions.clone());
            }
        };
        self.write_then(change, publish).await.map(|(done, _)| done)
    }
}

fn seal_secrets(sealer: &Sealer, secrets: &TargetSecrets) -> String {
    // Texts cannot fail to be written as JSON.
    sealer.seal(SEALED_AS, &serde_json::to_vec(secrets).unwrap_or_default())
}

/// Sealed under another key, or changed.
struct Unopened;

fn open_secrets(sealer: &Sealer, sealed: Option<&str>) -> Result<TargetSecrets, Unopened> {
    let Some(sealed) = sealed else { return Ok(TargetSecrets::default()) };
    let plain = sealer.open(SEALED_AS, sealed).map_err(|_| Unopened)?;
    serde_json::from_slice(&plain).map_err(|_| Unopened)
}
