//! Creates and changes targets. Messages are matched against the new state after each change.

use std::sync::Arc;

use rusqlite::Connection;
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
        self.core.change_targets(move |connection| declare::declare(connection, &declared, now)).await
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
            .change_targets(move |connection| {
                target::change::insert(connection, &new, sealed.as_deref(), now)
            })
            .await
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
            .change_targets(move |connection| target::change::update(connection, id, &settings, now))
            .await
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
            .change_targets(move |connection| {
                let found = target::read::one(connection, id)?;
                let Some(target) = found.filter(|target| target.state != TargetState::Removed) else {
                    return Err(TargetError::NotFound.into());
                };
                let sealed = target::read::sealed_secrets(connection, id)?;
                let before = open_secrets(&sealer, sealed.as_deref()).map_err(|_| TargetError::Sealed)?;
                let (mut settings, mut secrets) = (target.settings, before.clone());
                change(&mut settings, &mut secrets);
                target::change::update(connection, id, &settings, now)?;
                if secrets != before {
                    let sealed = seal_secrets(&sealer, &secrets);
                    target::change::set_sealed_secrets(connection, id, &sealed, now)?;
                }
                Ok(target::read::one(connection, id)?.ok_or(TargetError::NotFound)?)
            })
            .await
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
            .change_targets(move |connection| {
                target::change::set_sealed_secrets(connection, id, &sealed, now)
            })
            .await
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
        let activate = move |connection: &Connection| {
            Ok(target::gone_url::activate_if_moved(connection, id, &url, now)?)
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
            .change_targets(move |connection| {
                if state == TargetState::Active
                    && let Some(target) = target::read::one(connection, id)?
                    && matches!(target.state, TargetState::Paused | TargetState::Disabled)
                    && let Ok(secrets) =
                        open_secrets(&sealer, target::read::sealed_secrets(connection, id)?.as_deref())
                    && target.has_lost(&secrets)
                {
                    return Err(TargetError::SecretsLost(id).into());
                }
                target::change::set_state(connection, id, state, reason.as_deref(), now)
            })
            .await
    }
}
