//! Orphaned processes of commands. If creel is the first process of a container, it becomes their
//! parent, and they remain zombies until it reaps them. A command itself is never reaped here,
//! because its `ProcessGroup` needs the exit status.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use rustix::process::{Pid, WaitOptions, getpid, waitpid};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

/// Pause before a scan, so that one scan handles several exits.
const PAUSE_BEFORE_REAP: Duration = Duration::from_secs(1);

/// Held for reading during the start of a command, until its id is known.
static STARTING: RwLock<()> = RwLock::new(());
/// Ids of the commands that their `ProcessGroup` has not reaped yet.
static COMMANDS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Starts a command and registers its id, to distinguish it from orphans.
pub fn start(command: &mut Command) -> io::Result<Child> {
    let _starting = STARTING.read();
    let child = command.spawn()?;
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    COMMANDS.lock().extend(id.filter(|_| is_first_process()));
    Ok(child)
}

/// Reaps orphans as they exit. Does nothing unless this is the first process.
pub async fn collect() {
    if !is_first_process() {
        return;
    }
    let mut ends = match signal(SignalKind::child()) {
        Ok(ends) => ends,
        Err(error) => return log::warn!("cannot collect orphaned processes of commands: {error}"),
    };
    while ends.recv().await.is_some() {
        sleep(PAUSE_BEFORE_REAP).await;
        while !reap_exited() {
            sleep(PAUSE_BEFORE_REAP).await;
        }
    }
}

fn is_first_process() -> bool {
    getpid() == Pid::INIT
}

/// Reaps the orphans that have exited. Returns false, and reaps none, while a command is starting.
fn reap_exited() -> bool {
    let Some(_none_is_starting) = STARTING.try_write() else { return false };
    let mut commands = COMMANDS.lock();
    let children = children();
    commands.retain(|command| children.iter().any(|child| child.id.as_raw_pid() == *command));
    for child in children {
        if child.is_zombie && !commands.contains(&child.id.as_raw_pid()) {
            // The child has exited, so this does not block.
            let _ = waitpid(Some(child.id), WaitOptions::NOHANG);
        }
    }
    true
}

#[derive(Debug, PartialEq, Eq)]
struct ChildProcess {
    id: Pid,
    is_zombie: bool,
}

fn children() -> Vec<ChildProcess> {
    let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
    let ids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let stat = |id: i32| std::fs::read_to_string(format!("/proc/{id}/stat")).ok();
    ids.filter_map(|id| child(id, &stat(id)?, getpid())).collect()
}

/// Parses `/proc/<id>/stat`: the name in parentheses can contain any characters, and state and
/// parent follow it.
fn child(id: i32, stat: &str, parent: Pid) -> Option<ChildProcess> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let (state, its_parent) = (fields.next()?, fields.next()?.parse::<i32>().ok()?);
    let id = Pid::from_raw(id)?;
    (its_parent == parent.as_raw_pid()).then_some(ChildProcess { id, is_zombie: state == "Z" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_are_read_from_their_stat() {
        let one = Pid::INIT;
        let is_zombie = |stat| child(7, stat, one).map(|child| child.is_zombie);
        assert_eq!(is_zombie("7 (sh) Z 1 7 7 0 -1"), Some(true));
        assert_eq!(is_zombie("7 (a) Z 9 (b) S 1 7 7 0"), Some(false));
        assert_eq!(is_zombie("7 (sh) Z 2 7 7 0 -1"), None);
        assert_eq!(is_zombie("7 (sh"), None);
    }

    #[test]
    fn own_children_are_found() {
        let mut sleeping = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let id = i32::try_from(sleeping.id()).unwrap();
        assert!(children().iter().any(|child| child.id.as_raw_pid() == id && !child.is_zombie));
        sleeping.kill().unwrap();
        sleeping.wait().unwrap();
        assert!(!children().iter().any(|child| child.id.as_raw_pid() == id));
    }
}
