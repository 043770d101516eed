//! WAL size in frames and bytes, and the thresholds for checkpoints.

/// Number of uncopied frames below which a checkpoint is not worth its sync: 1 MiB.
pub const MIN_FRAMES_TO_CHECKPOINT: i32 = 256;
/// WAL length at which the writer stops writing for a limited time, so that the WAL can be reset,
/// because it writes faster than the checkpointer copies.
const STOP_BYTES: u64 = 60 << 20;

const WAL_HEADER_BYTES: u64 = 32;
const FRAME_BYTES: u64 = 24 + 4096;

/// Length of a WAL with this number of frames.
pub fn wal_length(frames: i32) -> u64 {
    match u64::try_from(frames) {
        Ok(0) | Err(_) => 0,
        Ok(frames) => WAL_HEADER_BYTES + frames * FRAME_BYTES,
    }
}

/// Whether the WAL is so long that the writer must wait for a reset, for a limited time.
pub fn must_stop(frames: i32) -> bool {
    wal_length(frames) >= STOP_BYTES
}
