//! Targets, and their subscriptions to messages.

pub mod audience;
pub mod change;
pub mod declare;
pub mod expire;
pub mod gone_url;
pub mod read;
pub mod secrets;
pub mod settings;
pub mod subscription;
