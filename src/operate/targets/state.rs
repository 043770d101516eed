//! Pausing, resuming and removing targets.

use super::super::operator::Operator;
use super::super::problem::Problem;
use super::settings::reject_declared;
use crate::request_id;
use crate::store::{StoredTarget, TargetId, TargetKind, TargetState};

impl Operator {
    /// Pauses a target. Its deliveries stay pending until it is resumed, for up to a week.
    ///
    /// # Errors
    /// If the target does not exist or is a listener.
    pub async fn pause_target(&self, id: TargetId) -> Result<StoredTarget, Problem> {
        self.set_target_state(id, TargetState::Paused).await
    }

    /// Resumes a paused or disabled target.
    ///
    /// # Errors
    /// If the target does not exist, is a listener, or has lost its secrets.
    pub async fn resume_target(&self, id: TargetId) -> Result<StoredTarget, Problem> {
        self.set_target_state(id, TargetState::Active).await
    }

    /// Removes a target and drops its pending deliveries. The caller must end a listener's stream.
    ///
    /// # Errors
    /// If the target does not exist or is declared by the environment.
    pub async fn remove_target(&self, id: TargetId) -> Result<(), Problem> {
        let target = self.target(id).await?;
        reject_declared(&target)?;
        let reason = Some("removed by the operator".to_owned());
        let registry = self.store.target_registry();
        let removed = registry.set_target_state(id, TargetState::Removed, reason, self.now()).await;
        removed.map_err(|error| Problem::of_target(error, &target.settings.name))?;
        self.drop_pending(id);
        Ok(())
    }

    /// Drops the pending deliveries of a removed target in the background, so that the client does
    /// not wait.
    pub(in crate::operate) fn drop_pending(&self, target: TargetId) {
        let (store, clock) = (self.store.clone(), self.clock);
        tokio::spawn(request_id::for_task(async move {
            match store.delivery_queue().drop_pending_of_removed(target, clock()).await {
                Ok(0) => {}
                Ok(1) => log::info!("target={target}: removed, 1 pending delivery dropped"),
                Ok(dropped) => log::info!("target={target}: removed, {dropped} pending deliveries dropped"),
                Err(why) => {
                    log::warn!(
                        "target={target}: removed; the next cleanup drops its pending deliveries: {why}"
                    );
                }
            }
        }));
    }

    async fn set_target_state(&self, id: TargetId, state: TargetState) -> Result<StoredTarget, Problem> {
        let target = self.target(id).await?;
        if target.kind == TargetKind::Listener {
            return Err(Problem::ListenerState(target.settings.name));
        }
        let done = self.store.target_registry().set_target_state(id, state, None, self.now()).await;
        done.map_err(|error| Problem::of_target(error, &target.settings.name))?;
        self.target(id).await
    }
}
