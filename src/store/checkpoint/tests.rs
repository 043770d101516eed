//! The pace of checkpoints, and checkpoints by another process.

use std::cell::RefCell;
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};

use super::*;
use crate::store::connection::checkpointer;
use crate::store::tests::setup::{Setup, with_id};
use crate::store::wal_size::must_stop;
use crate::store::writer::wal::MAX_STOP;

/// Upper bound of the bytes of a batch in the WAL.
const BATCH_BYTES: u64 = 8 << 20;

#[test]
fn pause_ends_early_while_wal_grows_fast() {
    let shared = SharedState::new();
    let sleeps = Cell::new(0);
    pause(&shared, Instant::now(), |_| {
        sleeps.set(sleeps.get() + 1);
        shared.set_wal_frames(MIN_FRAMES_WITHOUT_PAUSE);
    });
    assert_eq!(sleeps.get(), 1);
}

thread_local! {
    /// Reports that the busy handler was called, and blocks it.
    static BUSY: RefCell<Option<(Sender<()>, Receiver<()>)>> = const { RefCell::new(None) };
}

fn block_until_released(_: i32) -> bool {
    BUSY.with_borrow(|channels| {
        let (is_busy, release) = channels.as_ref().unwrap();
        is_busy.send(()).unwrap();
        release.recv().unwrap();
    });
    false
}

/// Another connection holds SQLite's checkpoint lock while it waits for a reader.
#[test]
fn concurrent_checkpoint_of_another_connection_counts_as_nothing_copied() {
    let setup = Setup::new();
    let store = setup.open();
    let core = store.core.clone();
    let alone = core.shared.wait_for_checkpoint();
    setup.keep(&store, with_id("one", "1")).unwrap();
    let reader = Connection::open(setup.path()).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM messages").unwrap();
    setup.keep(&store, with_id("two", "2")).unwrap();
    let (path, (is_busy, busy), (release, released)) = (setup.path(), channel(), channel());
    let other = std::thread::spawn(move || {
        let other = Connection::open(path).unwrap();
        BUSY.set(Some((is_busy, released)));
        other.busy_handler(Some(block_until_released)).unwrap();
        checkpoint(&other, "RESTART").unwrap();
    });
    busy.recv().unwrap();
    let before = (core.shared.frames_to_copy(), core.shared.commits_copied());
    let (writer, _jobs) = sync_channel(1);
    let checkpointer = Checkpointer {
        connection: checkpointer(&core.path).unwrap(),
        files: core.files.clone(),
        shared: core.shared.clone(),
        writer,
        is_closing: Arc::default(),
        watch: WalWatch::default(),
        last_progress: Cell::default(),
        path: core.path.clone(),
    };
    assert!(matches!(checkpointer.copy(core.files.database_may_change(0)), Ok(SyncOutcome::Yes)));
    assert_eq!((core.shared.frames_to_copy(), core.shared.commits_copied()), before);
    assert!(core.shared.checkpoint_signal.is_blocked());
    assert_eq!(copy_all(&checkpointer.connection), Ok(false));
    release.send(()).unwrap();
    other.join().unwrap();
    drop((reader, alone));
}

/// The checkpointer sleeps, and most of the WAL is not copied yet.
#[test]
fn writer_waits_for_checkpoint_of_long_wal() {
    let setup = Setup::new();
    let store = setup.open();
    let shared = &store.core.shared;
    let body = format!("\"{}\"", "x".repeat(200_000));
    let alone = shared.wait_for_checkpoint();
    let mut rounds = 0;
    let mut began = Instant::now();
    while !must_stop(shared.wal_frames()) {
        began = Instant::now();
        let messages = (0..20).map(|number| with_id(&format!("{rounds} {number}"), &body)).collect();
        assert!(setup.keep_all(&store, messages).iter().all(Result::is_ok));
        rounds += 1;
    }
    drop(alone);
    setup.keep(&store, with_id("last", "1")).unwrap();
    let (frames, waited) = (shared.wal_frames(), began.elapsed());
    // On a slow disk the writer continues after its longest wait.
    assert!(wal_length(frames) < BATCH_BYTES || waited >= MAX_STOP, "{frames} frames after {waited:?}");
}
