//! The systems that the product must cover, one file each, replies to the letter.

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
