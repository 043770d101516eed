//! What the other parts ask of the store beyond keeping messages, a file for each noun. Reads run on a reader, writes
//! on the writer's thread.

mod cleaning;
mod confirmations;
mod deliveries;
mod listeners;
mod messages;
mod rejections;
mod replays;
mod settings;
pub mod store;
mod targets;
