//! A webhook from its first byte to its acknowledgement. `receive` is the whole way, readable from top to bottom. It must not
//! acknowledge a message before the store has it on disk.

pub mod peers;
pub mod receive;
pub mod refusal;
pub mod reject;
pub mod throttle;
