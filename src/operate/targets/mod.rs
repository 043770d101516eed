//! Targets: `change` creates and changes them, `state` pauses and removes them, `secret` rotates
//! their secrets.

mod change;
mod secret;
mod settings;
mod state;

pub use change::{IssuedTarget, TargetChange, TargetRequest};
pub use secret::IssuedSecret;
