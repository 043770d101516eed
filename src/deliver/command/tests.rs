//! Attempts with real commands.

use bytes::Bytes;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Instant;

use super::*;
use crate::config::command_environment;
use crate::store::{MessageRow, Store, StoreOptions, StoredMessage, Timestamp};

const LONG: Duration = Duration::from_secs(60);

fn message(body: &[u8]) -> StoredMessage {
    let head = MessageRow {
        id: 7.into(),
        received_at: Timestamp::try_from("2026-11-22T14:31:00.000000Z").unwrap().into(),
        source: "github".to_owned(),
        event: "github.issues.opened".to_owned(),
        owner: None,
        delivery_id: Some("an\u{1b}[31m id\n".to_owned()),
        method: "POST".to_owned(),
        query: Some("a=b&c=$(reboot)".to_owned()),
        remote_ip: "192.0.2.1".to_owned(),
        body_sha256: vec![0; 32],
        not_json: false,
        unreadable: None,
        body_unsigned: false,
        unverified: false,
        conflict_of: None,
        duplicates: 0,
        last_duplicate_at: None,
        released_at: None,
        confirmation: None,
        headers: r#"{"content-type":"application/json","x-repeated":["1","2"]}"#.to_owned(),
        body_bytes: i64::try_from(body.len()).unwrap(),
    };
    StoredMessage { head, body: Bytes::copy_from_slice(body), decoded: None }
}

fn in_runtime<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

async fn attempt(words: &[&str], body: &[u8], timeout: Duration) -> AttemptResult {
    let words: Vec<String> = words.iter().map(ToString::to_string).collect();
    let message = message(body);
    let attempt = AttemptRequest {
        message: &message,
        delivery: 8.into(),
        number: 3,
        webhook_id: "msg_instance_7",
        target: "deploy",
        timeout,
    };
    run(&words, &command_environment(), &attempt).await
}

fn run_with(words: &[&str], body: &[u8], timeout: Duration) -> AttemptResult {
    in_runtime(attempt(words, body, timeout))
}

fn shell(script: &str) -> AttemptResult {
    run_with(&["sh", "-c", script], b"{}", LONG)
}

fn failed(is_target_failing: bool) -> AttemptVerdict {
    AttemptVerdict::Failed { retry_after: None, is_target_failing }
}

fn process_in(text: &str) -> u32 {
    text.trim().parse().unwrap_or_else(|_| panic!("no process id in {text:?}"))
}

/// A zombie is treated as dead, because another process may have to reap it.
fn is_alive(process: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    !matches!(stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()), None | Some('Z' | 'X'))
}

fn exists(process: u32) -> bool {
    Path::new(&format!("/proc/{process}")).exists()
}

fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "not within the limit: {what}");
        std::thread::yield_now();
    }
}

#[test]
fn exit_code_determines_delivery_result() {
    let rows = [
        ("exit 0", AttemptVerdict::Delivered, Some(0), None),
        ("exit 75", failed(false), Some(75), Some("exit code 75: retry requested")),
        ("exit 1", AttemptVerdict::Final, Some(1), Some("exit code 1")),
        ("exit 255", AttemptVerdict::Final, Some(255), Some("exit code 255")),
        ("kill -KILL $$", failed(false), None, Some("killed by signal 9")),
        ("kill -SEGV $$", failed(false), None, Some("killed by signal 11")),
    ];
    for (script, verdict, status, error) in rows {
        let expected = AttemptResult { verdict, status, error: error.map(str::to_owned), excerpt: None };
        assert_eq!(shell(script), expected, "{script}");
    }
}

#[test]
fn stdout_and_stderr_are_stored_in_order() {
    let attempted = shell("echo one; sleep 0.1; echo two >&2; sleep 0.1; echo three; exit 2");
    assert_eq!(attempted.excerpt.as_deref(), Some("one\ntwo\nthree\n"));
}

#[test]
fn unstartable_program_counts_against_target_with_remedy() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str, mode: u32| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let rows = [
        ("no-such-program".to_owned(), "write its whole path"),
        ("/no/such/program".to_owned(), "the file does not exist"),
        (file("not-executable", "#!/bin/sh\n", 0o644), "chmod +x"),
        (file("no-interpreter", "#!/no/such/interpreter\n", 0o755), "interpreter named in its first line"),
        (file("no-first-line", "echo a\n", 0o755), "#!/bin/sh"),
        ("with\0nul".to_owned(), "cannot start"),
    ];
    for (program, expected) in rows {
        let attempted = run_with(&[&program], b"", LONG);
        assert_eq!((attempted.verdict, attempted.status), (failed(true), None), "{program}");
        assert!(attempted.error.as_deref().unwrap().contains(expected), "{program}: {attempted:?}");
    }
    assert!(run_with(&[], b"", LONG).error.unwrap().contains("names no program"));
}

#[test]
fn arguments_are_passed_without_a_shell() {
    let words = ["printf", "<%s>", "a b", "", "c\"d'", "$HOME", "*", "; reboot", "ü\n"];
    assert_eq!(run_with(&words, b"", LONG).excerpt.unwrap(), "<a b><><c\"d'><$HOME><*><; reboot><ü\n>");
}

#[test]
fn environment_has_three_variables_and_message_metadata() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("environment");
    let words = ["sh", "-c", "exec env -0 > \"$1\"", "sh", path.to_str().unwrap()];
    assert_eq!(run_with(&words, b"", LONG).verdict, AttemptVerdict::Delivered);
    let text = std::fs::read_to_string(path).unwrap();
    let mut found: BTreeMap<&str, &str> =
        text.split_terminator('\0').map(|line| line.split_once('=').unwrap()).collect();
    for (name, value) in command_environment().variables {
        assert_eq!(found.remove(name.to_str().unwrap()), value.to_str());
    }
    let is_shell_variable = |name: &str| ["PWD", "SHLVL", "_", "OLDPWD"].contains(&name);
    found.retain(|name, _| !is_shell_variable(name));
    let expected = BTreeMap::from([
        ("HOOK_MESSAGE_ID", "7"),
        ("HOOK_WEBHOOK_ID", "msg_instance_7"),
        ("HOOK_DELIVERY", "8"),
        ("HOOK_ATTEMPT", "3"),
        ("HOOK_TARGET", "deploy"),
        ("HOOK_SOURCE", "github"),
        ("HOOK_EVENT", "github.issues.opened"),
        ("HOOK_TYPE", "issues.opened"),
        ("HOOK_OWNER", ""),
        ("HOOK_PROVIDER_DELIVERY_ID", "an[31m id"),
        ("HOOK_METHOD", "POST"),
        ("HOOK_QUERY", "a=b&c=$(reboot)"),
        ("HOOK_CONTENT_TYPE", "application/json"),
        ("HOOK_CONTENT_ENCODING", ""),
        ("HOOK_RECEIVED_AT", "2026-11-22T14:31:00.000000Z"),
        ("HOOK_REMOTE_IP", "192.0.2.1"),
    ]);
    assert_eq!(found, expected);
}

#[test]
fn exact_body_is_echoed_while_stdin_is_written() {
    let body: Vec<u8> = (0..10 << 20).map(|number: u32| number.to_le_bytes()[1] ^ 0x5a).collect();
    assert_eq!(run_with(&["sh", "-c", "cat >/dev/null"], &body, LONG).verdict, AttemptVerdict::Delivered);
    let digest = ring::digest::digest(&ring::digest::SHA256, &body);
    let expected: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(run_with(&["sha256sum"], &body, LONG).excerpt.unwrap(), format!("{expected}  -\n"));
    assert_eq!(run_with(&["cat"], &body, LONG).verdict, AttemptVerdict::Delivered);
}

#[test]
fn command_with_unread_stdin_succeeds() {
    let body = vec![b'x'; 10 << 20];
    for script in ["true", "exec <&-; echo closed", "sleep 0.2", "head -c 100000 >/dev/null"] {
        let attempted = run_with(&["sh", "-c", script], &body, LONG);
        assert_eq!(attempted.verdict, AttemptVerdict::Delivered, "{script}");
    }
}

#[test]
fn huge_output_is_read_and_truncated() {
    let attempted = shell("echo begin; yes | head -c 100000000; echo the end; exit 1");
    assert_eq!(attempted.verdict, AttemptVerdict::Final);
    let excerpt = attempted.excerpt.unwrap();
    assert!(excerpt.starts_with("begin\ny\n") && excerpt.ends_with("y\nthe end\n"), "{excerpt}");
    assert!(excerpt.len() <= 1_024);
}

#[test]
fn timeout_kills_the_whole_group() {
    let words = ["sh", "-c", "sleep 1000 & echo $!; wait"];
    let attempted = run_with(&words, b"", Duration::from_secs(1));
    assert_eq!((attempted.verdict, attempted.status), (failed(true), None));
    assert_eq!(attempted.error.as_deref(), Some("timed out after 1 s and was killed"));
    let grandchild = process_in(&attempted.excerpt.unwrap());
    eventually("the grandchild has exited", || !is_alive(grandchild));
}

#[test]
fn command_can_clean_up_after_timeout_then_is_killed() {
    let gentle = ["sh", "-c", "trap 'echo cleaned up; exit 0' TERM; sleep 1000 & wait"];
    let attempted = run_with(&gentle, b"", Duration::from_millis(200));
    assert_eq!((attempted.verdict, attempted.excerpt.as_deref()), (failed(true), Some("cleaned up\n")));
    let stubborn = ["sh", "-c", "trap '' TERM; (while :; do sleep 0.1; done) & echo $!; wait"];
    let began = Instant::now();
    let attempted = run_with(&stubborn, &vec![b'x'; 1 << 20], Duration::from_millis(200));
    assert_eq!(attempted.verdict, failed(true));
    assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());
    let grandchild = process_in(&attempted.excerpt.unwrap());
    eventually("the stubborn grandchild has exited", || !is_alive(grandchild));
}

#[test]
fn grandchild_with_open_output_is_killed_after_a_second() {
    let began = Instant::now();
    let attempted = shell("trap '' TERM; sleep 1000 & echo $!");
    assert_eq!(attempted.verdict, AttemptVerdict::Delivered);
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let grandchild = process_in(&attempted.excerpt.unwrap());
    eventually("the grandchild has exited", || !is_alive(grandchild));
}

#[test]
fn grandchild_output_within_a_second_is_stored() {
    let attempted = shell("(sleep 0.3; echo late) & echo early");
    assert_eq!(attempted.excerpt.as_deref(), Some("early\nlate\n"));
}

#[test]
fn grandchild_with_closed_output_keeps_running() {
    let attempted = shell("sleep 1000 </dev/null >/dev/null 2>&1 & echo $!");
    assert_eq!(attempted.verdict, AttemptVerdict::Delivered);
    let process = process_in(&attempted.excerpt.unwrap());
    assert!(is_alive(process));
    let process = rustix::process::Pid::from_raw(i32::try_from(process).unwrap()).unwrap();
    rustix::process::kill_process(process, Signal::KILL).unwrap();
}

#[test]
fn cancelled_command_is_killed_with_group_and_reaped() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("processes");
    let path = path.to_str().unwrap();
    in_runtime(async {
        let words = ["sh", "-c", "sleep 1000 & echo $$ $! > $0.new; mv $0.new $0; wait", path];
        let running = attempt(&words, b"", LONG);
        let started = async {
            while !Path::new(path).exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            attempted = running => panic!("it has ended: {attempted:?}"),
            () = started => {}
        }
        let text = std::fs::read_to_string(path).unwrap();
        let (leader, grandchild) = text.split_once(' ').unwrap();
        let (leader, grandchild) = (process_in(leader), process_in(grandchild));
        let deadline = Instant::now() + Duration::from_secs(20);
        while exists(leader) || is_alive(grandchild) {
            assert!(Instant::now() < deadline, "still running: {leader} or {grandchild}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
}

#[test]
fn no_zombie_is_left() {
    let leader = process_in(&shell("echo $$").excerpt.unwrap());
    assert!(!exists(leader));
}

#[test]
fn concurrent_commands_get_their_own_results() {
    in_runtime(async {
        let scripts: Vec<String> = (0..24).map(|code| format!("cat >/dev/null; exit {code}")).collect();
        let runs = scripts.iter().map(async |script| attempt(&["sh", "-c", script], b"{}", LONG).await);
        let ends = futures_util::future::join_all(runs).await;
        let codes: Vec<_> = ends.into_iter().map(|attempted| attempted.status).collect();
        assert_eq!(codes, (0..24).map(Some).collect::<Vec<_>>());
    });
}

#[test]
fn commands_do_not_inherit_database_files() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("creel.db");
    let store =
        Store::open(&StoreOptions { path, key: None, checkpoint: true, min_free_bytes: 0, search: None })
            .unwrap();
    let ours = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let is_database = |link: &Path| link.to_string_lossy().contains("creel.db");
    assert!(ours.filter_map(|entry| std::fs::read_link(entry.path()).ok()).any(|link| is_database(&link)));
    let listing = shell("exec ls -l /proc/self/fd").excerpt.unwrap();
    assert!(listing.contains("pipe:") && !listing.contains("creel.db"), "{listing}");
    in_runtime(store.close(Duration::from_secs(10)));
}
