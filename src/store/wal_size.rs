//! The size of the WAL in frames and bytes, and the sizes at which something must be done.

/// Below this a checkpoint would only cost a sync: 1 MiB.
pub const FRAMES_WORTH_A_CHECKPOINT: i32 = 256;
/// Where the writer waits for a whole checkpoint, because it writes faster than the checkpointer copies.
const STOP_BYTES: u64 = 60 << 20;

const WAL_HEADER_BYTES: u64 = 32;
const FRAME_BYTES: u64 = 24 + 4096;

/// The length of a WAL with so many frames.
pub fn wal_length(frames: i32) -> u64 {
    match u64::try_from(frames) {
        Ok(0) | Err(_) => 0,
        Ok(frames) => WAL_HEADER_BYTES + frames * FRAME_BYTES,
    }
}

/// Whether the WAL has grown so much that the writer must not add to it before it is reset.
pub fn must_stop(frames: i32) -> bool {
    wal_length(frames) >= STOP_BYTES
}
