//! The admin API under `/api/v1`: what is kept, where it goes, and what went wrong, for programs and people with a
//! token. `routes` lists all paths; each noun has a module with its handlers and the types that clients see, which
//! are never the store's own. It must never show a secret, and never tell a client more of a failure than its own mistake.

mod deliveries;
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
mod schemas;
mod selection;
mod sources;
mod stream;
mod tail;
mod targets;
mod whole;
mod words;
