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
    #[error("the database cannot be used: {0}")]
    Settings(#[from] Unavailable),
    #[error("a target cannot be declared: {0}")]
    Target(#[from] TargetError),
    #[error(
        "{variable}: a target that was made through the API is already named {name}; give this one another name, or remove or rename that one"
    )]
    TargetNameTaken { variable: String, name: String },
    #[error(transparent)]
    Randomness(#[from] RandomError),
    #[error("the server cannot be started: {0}")]
    Server(#[from] io::Error),
}
