//! Running the service: health, metrics, logs, commands, the first start and the shutdown.

mod clean_up;
mod commands;
mod first_start;
mod health;
mod logs;
mod packaging;
mod proxies;
mod sockets;
mod stopping;
