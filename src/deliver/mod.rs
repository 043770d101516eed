//! Deliveries: from the message to the work that it is for, off the path of a request. Owns the order, the schedule and
//! the limits of attempts. It must never import `http`: they meet in the database.

pub mod attempt;
pub mod command;
pub mod schedule;
