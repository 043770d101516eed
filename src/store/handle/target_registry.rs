//! Creates and changes targets. Messages are matched against the new state after each change.

use std::sync::Arc;

use time::OffsetDateTime;

use crate::store::error::Unavailable;
use crate::store::handle::core::Core;
use crate::store::id::TargetId;
use crate::store::target::secrets::{open_secrets, seal_secrets};
use crate::store::target::settings::{
    StoredTarget, TargetDraft, TargetError, TargetSecrets, TargetSettings, TargetState,
};
use crate::store::target::{self, declare};
use crate::store::timestamp::Timestamp;
use crate::store::writer::job::Database;

/// Creates and changes targets. Messages are matched against the new state after each change.
#[derive(Clone, Debug)]
pub struct TargetRegistry {
    pub(super) core: Arc<Core>,
}

impl TargetRegistry {
    /// Updates the targets of the environment to the declarations in `declared`; returns their ids
    /// in the same order.
    pub async fn declare_targets(
        &self,
        declared: Vec<TargetDraft>,
        now: OffsetDateTime,
    ) -> Result<Vec<TargetId>, TargetError> {
        let now = Timestamp::from(now);
        self.core
            .change_targets(move |database| declare::declare(database.connection, &declared, now))
            .await?
    }

    /// Creates a target; returns its id.
    pub async fn create_target(
        &self,
        new: TargetDraft,
        now: OffsetDateTime,
    ) -> Result<TargetId, TargetError> {
        let now = Timestamp::from(now);
        let sealed = new.secrets.as_ref().map(|secrets| seal_secrets(&self.core.sealer, secrets));
        self.core
            .change_targets(move |database| {
                target::change::insert(database.connection, &new, sealed.as_deref(), now)
            })
            .await?
    }

    #[cfg(test)]
    pub async fn update_target(
        &self,
        id: TargetId,
        settings: TargetSettings,
        now: OffsetDateTime,
    ) -> Result<(), TargetError> {
        let now = Timestamp::from(now);
        self.core
            .change_targets(move |database| target::change::update(database.connection, id, &settings, now))
            .await?
    }

    /// Changes some settings of a target in one step, so that concurrent changes do not overwrite
    /// each other.
    pub async fn change_target(
        &self,
        id: TargetId,
        change: impl FnOnce(&mut TargetSettings, &mut TargetSecrets) + Send + 'static,
        now: OffsetDateTime,
    ) -> Result<StoredTarget, TargetError> {
        let now = Timestamp::from(now);
        let sealer = self.core.sealer.clone();
        self.core
            .change_targets(move |database| {
                let connection = database.connection;
                let found = target::read::one(connection, id)?;
                let Some(target) = found.filter(|target| target.state != TargetState::Removed) else {
                    return Ok(Err(TargetError::NotFound));
                };
                let Ok(before) =
                    open_secrets(&sealer, target::read::sealed_secrets(connection, id)?.as_deref())
                else {
                    return Ok(Err(TargetError::Sealed));
                };
                let (mut settings, mut secrets) = (target.settings, before.clone());
                change(&mut settings, &mut secrets);
                if let Err(rejected) = target::change::update(connection, id, &settings, now)? {
                    return Ok(Err(rejected));
                }
                if secrets != before {
                    let sealed = seal_secrets(&sealer, &secrets);
                    if let Err(rejected) = target::change::set_sealed_secrets(connection, id, &sealed, now)? {
                        return Ok(Err(rejected));
                    }
                }
                Ok(target::read::one(connection, id)?.ok_or(TargetError::NotFound))
            })
            .await?
    }

    #[cfg(test)]
    pub async fn set_target_secrets(
        &self,
        id: TargetId,
        secrets: &TargetSecrets,
        now: OffsetDateTime,
    ) -> Result<(), TargetError> {
        let (sealed, now) = (seal_secrets(&self.core.sealer, secrets), Timestamp::from(now));
        self.core
            .change_targets(move |database| {
                target::change::set_sealed_secrets(database.connection, id, &sealed, now)
            })
            .await?
    }

    /// Activates a declared target that was disabled because an earlier URL answered 410. `url` is
    /// its current URL.
    pub async fn activate_moved_target(
        &self,
        id: TargetId,
        url: String,
        now: OffsetDateTime,
    ) -> Result<bool, Unavailable> {
        let now = Timestamp::from(now);
        let activate = move |database: &mut Database<'_>| {
            target::gone_url::activate_if_moved(database.connection, id, &url, now)
        };
        self.core.change_targets_where(activate, |activated| *activated).await
    }

    /// Sets the state of a target.
    ///
    /// # Errors
    /// `TargetError::SecretsLost` if the target is to become active but its secret was lost, so
    /// that its deliveries would be unsigned.
    pub async fn set_target_state(
        &self,
        id: TargetId,
        state: TargetState,
        reason: Option<String>,
        now: OffsetDateTime,
    ) -> Result<(), TargetError> {
        let now = Timestamp::from(now);
        let sealer = self.core.sealer.clone();
        self.core
            .change_targets(move |database| {
                let connection = database.connection;
                if state == TargetState::Active
                    && let Some(target) = target::read::one(connection, id)?
                    && matches!(target.state, TargetState::Paused | TargetState::Disabled)
                    && let Ok(secrets) =
                        open_secrets(&sealer, target::read::sealed_secrets(connection, id)?.as_deref())
                    && target.has_lost(&secrets)
                {
                    return Ok(Err(TargetError::SecretsLost(id)));
                }
                target::change::set_state(connection, id, state, reason.as_deref(), now)
            })
            .await?
    }
}
