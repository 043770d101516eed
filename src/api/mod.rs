//! The admin API under `/api/v1`: stored messages, their deliveries and errors, for clients with a
//! token. `routes` lists all paths; each resource has a module with its handlers, and `types` has
//! the JSON types, which share only enumerations and ids with the store. `operate` makes the
//! changes. The API must never reveal a secret, nor more about a failure than the client's own
//! mistake.

mod deliveries;
mod diff;
mod error;
mod events;
mod guard;
mod input;
mod listener_stream;
mod listeners;
mod messages;
mod openapi;
mod page;
mod rejections;
mod replays;
pub mod routes;
mod search;
mod selection;
mod sources;
mod stats;
mod stream;
mod tail;
mod targets;
pub mod types;
