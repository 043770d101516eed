//! Why the service does not start.

use std::io;

use super::listeners::BindError;
use crate::store::{OpenError, Unavailable};

/// Why the service does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Store(#[from] OpenError),
    #[error("the database cannot be used: {0}")]
    Settings(#[from] Unavailable),
    #[error(
        "{variable}: a target that was made through the API is already named {name}; give this one another name, or remove or rename that one"
    )]
    TargetNameTaken { variable: String, name: String },
    #[error("the system gives no random numbers")]
    Randomness,
    #[error("the server cannot be started: {0}")]
    Server(#[from] io::Error),
}
