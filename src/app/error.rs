//! Startup errors.

use std::io;

use super::listeners::BindError;
use crate::store::random::RandomError;
use crate::store::{OpenError, TargetError, Unavailable};

/// Reason why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Store(#[from] OpenError),
    #[error("cannot use the database: {0}")]
    Settings(#[from] Unavailable),
    #[error("cannot declare a target: {0}")]
    Target(#[from] TargetError),
    #[error(
        "{variable}: a target created through the API is already named {name}; rename the target of this variable, or rename or remove the one created through the API"
    )]
    TargetNameTaken { variable: String, name: String },
    #[error(transparent)]
    Randomness(#[from] RandomError),
    #[error("cannot start the server: {0}")]
    Server(#[from] io::Error),
}
