//! Handles to the store, one for each role, so that the signature of a caller shows its
//! permissions. Reads run on read-only connections, writes on the writer's thread.

pub mod cleanup;
pub mod core;
pub mod counts;
pub mod delivery_queue;
pub mod ingest;
pub mod listener_registry;
pub mod reads;
pub mod settings;
pub mod store;
pub mod target_registry;
