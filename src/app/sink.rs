//! Output of log lines: a bounded buffer that a separate thread writes in large pieces, so that a
//! slow log reader never blocks a request. Lines that do not fit are dropped and counted, and the
//! count is logged.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// Size above which ordinary lines are dropped.
const BUFFER_BYTES: usize = 1 << 20;
/// Size above which urgent lines are dropped too.
const URGENT_BUFFER_BYTES: usize = BUFFER_BYTES + (64 << 10);
/// Time for which lines are collected before a write, unless `MAX_GATHERED_BYTES` is reached or an
/// urgent line is added first.
const GATHER_TIMEOUT: Duration = Duration::from_millis(50);
/// Size at which collected lines are written immediately.
const MAX_GATHERED_BYTES: usize = 64 << 10;

/// Whether a line can wait to be written together with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    Ordinary,
    Urgent,
}

/// A handle for writing and flushing; clones share the buffer.
#[derive(Clone, Debug, Default)]
pub struct Sink {
    shared: Arc<SinkQueue>,
}

#[derive(Debug, Default)]
struct SinkQueue {
    state: Mutex<SinkState>,
    /// Notified when the buffer is no longer empty, and when it must be written immediately.
    filled: Condvar,
    /// Notified after each write.
    drained: Condvar,
}

#[derive(Debug, Default)]
struct SinkState {
    buffer: Vec<u8>,
    dropped: u64,
    is_urgent: bool,
    is_writing: bool,
}

impl Sink {
    /// Starts the thread, which runs until the process exits.
    ///
    /// # Errors
    /// The thread cannot be created.
    pub fn start(output: impl Write + Send + 'static) -> io::Result<Self> {
        let sink = Self::default();
        let shared = Arc::clone(&sink.shared);
        std::thread::Builder::new().name("log".to_owned()).spawn(move || write_out(&shared, output))?;
        Ok(sink)
    }

    /// Adds a line without blocking on the output.
    pub fn push(&self, line: &[u8], urgency: Urgency) {
        let limit = if urgency == Urgency::Urgent { URGENT_BUFFER_BYTES } else { BUFFER_BYTES };
        let mut state = self.shared.state.lock();
        if state.buffer.len() + line.len() > limit {
            state.dropped += 1;
            return;
        }
        let before = state.buffer.len();
        state.buffer.extend_from_slice(line);
        let becomes_urgent = urgency == Urgency::Urgent && !state.is_urgent;
        state.is_urgent |= becomes_urgent;
        // Waking the thread costs a system call, so it is done only when the thread must act, not
        // for each line.
        if before == 0
            || becomes_urgent
            || (before < MAX_GATHERED_BYTES && state.buffer.len() >= MAX_GATHERED_BYTES)
        {
            self.shared.filled.notify_one();
        }
    }

    /// Waits until all lines are written, at most `limit`.
    pub fn flush(&self, limit: Duration) {
        let mut state = self.shared.state.lock();
        state.is_urgent = true;
        self.shared.filled.notify_one();
        let is_pending = |state: &mut SinkState| !state.buffer.is_empty() || state.is_writing;
        self.shared.drained.wait_while_for(&mut state, is_pending, limit);
    }
}

fn write_out(shared: &SinkQueue, mut output: impl Write) {
    let mut piece = Vec::new();
    loop {
        let mut state = shared.state.lock();
        while state.buffer.is_empty() {
            // A flush of an empty buffer must not make the next line urgent.
            state.is_urgent = false;
            shared.filled.wait(&mut state);
        }
        let gathers = |state: &mut SinkState| !state.is_urgent && state.buffer.len() < MAX_GATHERED_BYTES;
        shared.filled.wait_while_for(&mut state, gathers, GATHER_TIMEOUT);
        std::mem::swap(&mut state.buffer, &mut piece);
        state.is_urgent = false;
        state.is_writing = true;
        let dropped = std::mem::take(&mut state.dropped);
        drop(state);
        if dropped > 0 {
            // A failing output cannot be reported, because the report would go to the same output.
            let _ = writeln!(piece, "creel: {dropped} log lines were dropped because the output was blocked");
        }
        let _ = output.write_all(&piece).and_then(|()| output.flush());
        piece.clear();
        shared.state.lock().is_writing = false;
        shared.drained.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    /// An output that reports each write, and blocks until the test allows it.
    struct SinkWriter(Sender<Vec<u8>>, Receiver<()>);

    impl Write for SinkWriter {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
            self.1.recv().map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn sink() -> (Sink, Receiver<Vec<u8>>, Sender<()>) {
        let (pieces, written) = channel();
        let (take, takes) = channel();
        (Sink::start(SinkWriter(pieces, takes)).unwrap(), written, take)
    }

    #[test]
    fn flush_writes_all_earlier_lines() {
        let (sink, written, take) = sink();
        sink.push(b"one\n", Urgency::Ordinary);
        sink.push(b"two\n", Urgency::Urgent);
        (0..3).for_each(|_| take.send(()).unwrap());
        sink.flush(TIMEOUT);
        assert_eq!(written.try_iter().collect::<Vec<_>>().concat(), b"one\ntwo\n");
    }

    #[test]
    fn blocked_output_never_stalls_and_lost_lines_are_counted() {
        let (sink, written, take) = sink();
        sink.push(b"first\n", Urgency::Urgent);
        assert_eq!(written.recv_timeout(TIMEOUT).unwrap(), b"first\n");
        let line = [b'x'; 1_024];
        for _ in 0..2_000 {
            sink.push(&line, Urgency::Ordinary);
        }
        sink.push(b"urgent\n", Urgency::Urgent);
        assert!(sink.shared.state.lock().buffer.len() <= URGENT_BUFFER_BYTES);
        take.send(()).unwrap();
        let rest = written.recv_timeout(TIMEOUT).unwrap();
        let rest = String::from_utf8(rest).unwrap();
        assert!(rest.ends_with("urgent\ncreel: 976 log lines were dropped because the output was blocked\n"));
    }
}
