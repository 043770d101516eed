//! The environment, read once into a validated `Config`. This module owns the names, defaults and
//! meanings of all variables; no other code validates a setting again. All problems are reported
//! together, and no problem and no `Debug` output shows a secret. The module's only I/O is reading
//! the environment and the files that variables name, and taking inherited sockets.

mod advice;
mod build;
mod command_environment;
mod confirm;
#[cfg(test)]
mod documents;
mod error;
mod forwarded;
mod inherited_sockets;
mod names;
mod noun;
mod parse;
mod recipes;
mod settings;
mod source;
mod sources;
mod table;
mod targets;
mod tokens;
mod types;
mod values;

#[cfg(test)]
mod tests;

pub use command_environment::{CommandEnvironment, command_environment};
pub use confirm::Confirm;
pub use error::Problems;
pub use forwarded::{FORWARDED_FOR, forwarded_address};
pub use inherited_sockets::InheritedSockets;
pub use parse::{base_url, duration, http_url, shown, token};
pub use settings::Config;
pub use source::SourceConfig;
pub use targets::{Destination, TargetConfig, rules as target_rules};
pub use tokens::TokenSettings;
pub use types::{Allow, INBOX, LogFormat, Rate, Retention};
