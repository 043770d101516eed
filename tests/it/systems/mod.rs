//! The systems that the product must support, one file each, with exact replies.

mod acme;
mod codeunderscored;
mod commands;
mod confirmed_repeats;
mod github;
mod github_addresses;
mod outgoing_webhooks;
mod payment_gateway;
mod testing_locally;
mod throttling;
mod typeform;
