//! One attempt with a command: the body on its stdin, the message's metadata in `HOOK_*` variables.
//!
//! Commands run without a shell, and inherit only `PATH`, `HOME` and `LANG` from the service. They
//! cannot block the service: input and output are asynchronous, and after the timeout the whole
//! process group is killed.

mod error;
mod group;
mod metadata;
mod orphans;
mod output;

use std::os::unix::process::ExitStatusExt as _;
use std::pin::{Pin, pin};
use std::process::ExitStatus;
use std::time::Duration;

use futures_util::future::{Fuse, FusedFuture as _, FutureExt as _};
use parking_lot::Mutex;
use rustix::process::Signal;
use tokio::io::AsyncWriteExt as _;
use tokio::process::ChildStdin;
use tokio::time::timeout;

use super::attempt::{AttemptRequest, AttemptResult, AttemptVerdict};
use crate::config::CommandEnvironment;
use error::CommandStartError;
use group::{ProcessGroup, Start};
pub use orphans::collect as collect_orphans;
use output::CommandOutput;

/// `EX_TEMPFAIL` in `sysexits.h`: the command requests a retry.
const TRY_LATER: i32 = 75;
/// Time between SIGTERM and SIGKILL.
const TERM_TIMEOUT: Duration = Duration::from_secs(2);
/// Time for which a remaining child process may hold the output open.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Exit of the command.
enum CommandExit {
    ByItself,
    TimedOut,
}

/// Runs the command once. Dropping the future kills its process group.
pub async fn run(
    words: &[String],
    environment: &CommandEnvironment,
    attempt: &AttemptRequest<'_>,
) -> AttemptResult {
    let mut group = match start(words, environment, attempt).await {
        Ok(group) => group,
        Err(error) => return AttemptResult::failed(error.to_string()),
    };
    let output = Mutex::new(CommandOutput::default());
    let ended = follow(&mut group, attempt, &output).await;
    let status = group.reap().await;
    let excerpt = output.into_inner().excerpt();
    match ended {
        CommandExit::ByItself => AttemptResult { excerpt, ..attempt_result(status) },
        CommandExit::TimedOut => {
            let why = format!("timed out after {} s and was killed", attempt.timeout.as_secs());
            AttemptResult { excerpt, ..AttemptResult::failed(why) }
        }
    }
}

async fn start(
    words: &[String],
    environment: &CommandEnvironment,
    attempt: &AttemptRequest<'_>,
) -> Result<ProcessGroup, CommandStartError> {
    let start = Start::new(words, environment, metadata::variables(attempt))?;
    // The search for a program may block on a disk.
    tokio::task::spawn_blocking(move || start.start()).await?
}

/// Writes the input and reads the output until the command has exited and its output is closed.
async fn follow(
    group: &mut ProcessGroup,
    attempt: &AttemptRequest<'_>,
    output: &Mutex<CommandOutput>,
) -> CommandExit {
    let (stdin, stdout, stderr) = group.take_pipes();
    let mut fed = pin!(feed(stdin, &attempt.message.body).fuse());
    let drained = async { tokio::join!(output::drain(stdout, output), output::drain(stderr, output)) };
    let mut drained = pin!(drained.fuse());

    let exited = timeout(attempt.timeout, group.exited());
    if drive_until(fed.as_mut(), drive_until(drained.as_mut(), exited)).await.is_ok() {
        let is_closed =
            timeout(CLOSE_TIMEOUT, drive_until(fed.as_mut(), closed(drained.as_mut()))).await.is_ok();
        if !is_closed {
            group.kill().await;
        }
        return CommandExit::ByItself;
    }
    group.signal(Signal::TERM);
    let ended = async {
        drive_until(drained.as_mut(), group.exited()).await;
        closed(drained.as_mut()).await;
    };
    let _ = timeout(TERM_TIMEOUT, ended).await;
    group.kill().await;
    CommandExit::TimedOut
}

/// Writes the body to stdin. Errors are ignored, because a command does not have to read its input.
async fn feed(stdin: Option<ChildStdin>, body: &[u8]) {
    if let Some(mut stdin) = stdin {
        let _ = stdin.write_all(body).await;
    }
}

/// Waits for `other`, while `work` runs concurrently.
async fn drive_until<T>(mut work: Pin<&mut Fuse<impl Future>>, other: impl Future<Output = T>) -> T {
    let mut other = pin!(other);
    loop {
        tokio::select! {
            biased;
            value = &mut other => return value,
            _ = &mut work => {}
        }
    }
}

async fn closed(drained: Pin<&mut Fuse<impl Future>>) {
    if !drained.is_terminated() {
        drained.await;
    }
}

/// Converts the exit status to a result. A failing exit code is final, because a script can request
/// a retry with `TRY_LATER`.
fn attempt_result(status: Option<ExitStatus>) -> AttemptResult {
    let failed = AttemptVerdict::Failed { retry_after: None, is_target_failing: false };
    let (verdict, error) = match (status.and_then(|status| status.code()), status) {
        (Some(0), _) => (AttemptVerdict::Delivered, None),
        (Some(TRY_LATER), _) => (failed, Some(format!("exit code {TRY_LATER}: retry requested"))),
        (Some(code), _) => (AttemptVerdict::Final, Some(format!("exit code {code}"))),
        (None, Some(status)) => {
            (failed, Some(format!("killed by signal {}", status.signal().unwrap_or_default())))
        }
        (None, None) => (failed, Some("ended for an unknown reason".to_owned())),
    };
    let status = status.and_then(|status| status.code()).map(i64::from);
    AttemptResult { verdict, status, error, excerpt: None }
}

#[cfg(test)]
mod tests;
