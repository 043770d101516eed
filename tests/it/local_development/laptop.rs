//! A machine whose only configuration is a token, and the commands that run on it.

use std::net::SocketAddr;
use std::time::Duration;

use rustix::process::Signal;

use super::{LISTENER_TOKEN, READ_TOKEN, SOON};
use crate::harness::app::Process;
use crate::harness::command::Outcome;
use crate::harness::{ADMIN_TOKEN, Builder};

pub struct Laptop {
    builder: Builder,
    server: String,
}

impl Laptop {
    /// A machine with the read token.
    pub fn of(server: SocketAddr) -> Self {
        Self::at(&format!("http://{server}"))
    }

    pub fn at(server: &str) -> Self {
        let builder = Builder::bare().unset("CREEL_LISTEN").unset("CREEL_DATABASE");
        let builder = builder.set("CREEL_READ_TOKEN", READ_TOKEN).set("CREEL_LISTENER_TOKEN", LISTENER_TOKEN);
        Self { builder, server: server.to_owned() }
    }

    pub fn with_admin_token(mut self) -> Self {
        self.builder = self
            .builder
            .unset("CREEL_READ_TOKEN")
            .unset("CREEL_LISTENER_TOKEN")
            .set("CREEL_ADMIN_TOKEN", ADMIN_TOKEN);
        self
    }

    /// Starts `creel listen` and waits until it is connected.
    #[track_caller]
    pub fn listen(&self, forward: &str, more: &[&str]) -> Process {
        let listener = self.begin_to_listen(forward, more);
        listener.log.wait_for("listening to", SOON).unwrap_or_else(|log| panic!("it does not listen: {log}"));
        listener
    }

    pub fn begin_to_listen(&self, forward: &str, more: &[&str]) -> Process {
        let mut command = self.builder.command();
        command.args(["listen", &self.server, "--forward", forward, "--name", "laptop"]).args(more);
        Process::spawn(command)
    }

    pub fn spawn(&self, arguments: &[&str]) -> Process {
        let mut command = self.builder.command();
        command.args(arguments).args(["--server", &self.server]);
        Process::spawn(command)
    }

    /// Runs a command that ends by itself.
    pub fn run(&self, arguments: &[&str]) -> Outcome {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--server", &self.server]).collect();
        self.builder.run(&arguments)
    }

    /// Runs a command with `input` on stdin.
    pub fn run_with_input(&self, arguments: &[&str], input: &str) -> Outcome {
        let file = self.builder.path().join("input");
        std::fs::write(&file, input).unwrap();
        let mut command = self.builder.command();
        command.args(arguments).args(["--server", &self.server]);
        command.stdin(std::fs::File::open(&file).unwrap());
        let mut process = Process::spawn(command);
        let code = process.wait(SOON).code();
        Outcome { code, stdout: process.stdout.whole(SOON), stderr: process.log.whole(SOON) }
    }

    pub fn url(&self) -> &str {
        &self.server
    }

    pub fn builder(&self) -> &Builder {
        &self.builder
    }
}

/// Sends the signal of Ctrl-C.
#[track_caller]
pub fn interrupt(mut listener: Process) -> Process {
    listener.signal(Signal::INT);
    let status = listener.wait(Duration::from_secs(10));
    assert_eq!(status.code(), Some(0), "{}", listener.log.text());
    listener
}

pub fn kill(mut listener: Process) {
    listener.signal(Signal::KILL);
    listener.wait(SOON);
}
