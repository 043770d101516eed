//! The other commands of the binary, which run to their end.

use std::time::Duration;

use super::app::{Builder, Process};

const LIMIT: Duration = Duration::from_secs(60);

pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    #[track_caller]
    pub fn succeeded(self) -> String {
        assert_eq!(self.code, Some(0), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self.stdout
    }

    /// The error output of a command that failed with exit code 1.
    #[track_caller]
    pub fn failed(self) -> String {
        assert_eq!(self.code, Some(1), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self.stderr
    }
}

impl Builder {
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Outcome {
        let mut command = self.command();
        command.args(arguments);
        let mut process = Process::spawn(command);
        let status = process.wait(LIMIT);
        Outcome { code: status.code(), stdout: process.stdout.whole(LIMIT), stderr: process.log.whole(LIMIT) }
    }
}
