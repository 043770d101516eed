//! The output of a process on one of its streams, stored line by line.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

#[derive(Default)]
struct State {
    text: String,
    ended: bool,
}

/// Output that its own thread collects, so that the process never blocks on a full pipe.
#[derive(Clone, Default)]
pub struct Output {
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl Output {
    pub fn collect(stream: impl Read + Send + 'static) -> Self {
        let output = Self::default();
        let ours = output.clone();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stream);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                ours.add(&String::from_utf8_lossy(&line));
                line.clear();
            }
            ours.shared.0.lock().unwrap().ended = true;
            ours.shared.1.notify_all();
        });
        output
    }

    fn add(&self, text: &str) {
        self.shared.0.lock().unwrap().text.push_str(text);
        self.shared.1.notify_all();
    }

    pub fn text(&self) -> String {
        self.shared.0.lock().unwrap().text.clone()
    }

    /// The whole text, after the process has closed the stream.
    pub fn whole(&self, limit: Duration) -> String {
        self.wait(limit, |state| state.ended).unwrap_or_else(|text| panic!("the stream stays open: {text}"))
    }

    /// The first complete line that contains `needle`; `Err` with the text at the end of the stream
    /// or after `limit`.
    pub fn wait_for(&self, needle: &str, limit: Duration) -> Result<String, String> {
        let find = |text: &str| {
            text.split_inclusive('\n')
                .find(|line| line.ends_with('\n') && line.contains(needle))
                .map(|line| line.trim_end().to_owned())
        };
        let text = self.wait(limit, |state| state.ended || find(&state.text).is_some())?;
        find(&text).ok_or(text)
    }

    fn wait(&self, limit: Duration, done: impl Fn(&State) -> bool) -> Result<String, String> {
        let deadline = Instant::now() + limit;
        let mut state = self.shared.0.lock().unwrap();
        while !done(&state) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(state.text.clone());
            }
            state = self.shared.1.wait_timeout(state, left).unwrap().0;
        }
        Ok(state.text.clone())
    }
}
