//! Destinations of replayed messages.

use super::operator::Operator;
use super::problem::Problem;
use crate::store::{StoredTarget, TargetId, TargetState};

/// The requested destination of replayed messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ReplayDestination {
    /// The targets that currently match a message.
    #[default]
    MatchingTargets,
    TargetId(TargetId),
    /// A target's id or name.
    TargetName(String),
    /// A public address instead of a target.
    Url(String),
}

/// A destination whose target exists. A target for a URL is created only after all checks.
pub(super) enum CheckedDestination {
    MatchingTargets,
    Target(Box<StoredTarget>),
    Url(String),
}

impl CheckedDestination {
    pub(super) fn target(&self) -> Option<TargetId> {
        match self {
            Self::Target(target) => Some(target.id),
            Self::MatchingTargets | Self::Url(_) => None,
        }
    }

    pub(super) fn owner(&self) -> Option<String> {
        match self {
            Self::Target(target) => target.settings.owner.clone(),
            Self::MatchingTargets | Self::Url(_) => None,
        }
    }
}

impl Operator {
    pub(super) async fn check_destination(
        &self,
        destination: ReplayDestination,
    ) -> Result<CheckedDestination, Problem> {
        let target = match destination {
            ReplayDestination::MatchingTargets => return Ok(CheckedDestination::MatchingTargets),
            ReplayDestination::Url(url) => return Ok(CheckedDestination::Url(url)),
            ReplayDestination::TargetId(id) => self.target(id).await?,
            ReplayDestination::TargetName(name) => self.target_named(&name).await?,
        };
        reject_removed(&target)?;
        Ok(CheckedDestination::Target(Box::new(target)))
    }

    /// Returns the target; for a URL, creates one. `None` if each message goes to its matching
    /// targets.
    pub(super) async fn target_of(
        &self,
        destination: CheckedDestination,
    ) -> Result<Option<StoredTarget>, Problem> {
        match destination {
            CheckedDestination::MatchingTargets => Ok(None),
            CheckedDestination::Target(target) => Ok(Some(*target)),
            CheckedDestination::Url(url) => self.replay_target(&url).await.map(Some),
        }
    }
}

/// # Errors
/// If the target is removed.
pub(super) fn reject_removed(target: &StoredTarget) -> Result<(), Problem> {
    if target.state == TargetState::Removed {
        return Err(Problem::RemovedTarget(target.settings.name.clone()));
    }
    Ok(())
}
