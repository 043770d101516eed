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
mod targets;

pub(super) use confirmations::SEALED_AS as CONFIRMATION_SEALED_AS;
