//! Deliveries: passes messages to their targets, outside the request path. Owns the order, the
//! schedule and the limits of attempts. It must never import `crate::http`: the two modules share
//! only the database.

pub mod attempt;
mod bodies;
mod breaker;
mod clock;
pub mod command;
pub mod confirm;
mod ending;
mod engine;
mod event;
mod form_body;
mod http;
mod lane;
mod loading;
mod outcome;
mod recorder;
mod replays;
mod route;
pub mod schedule;
mod signature;
#[cfg(test)]
mod tests;
mod thread;

pub use thread::{DeliverySettings, DeliveryThread};
