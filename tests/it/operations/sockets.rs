//! Sockets passed by a service manager. A shell plays the manager: the standard input that a test
//! sets becomes descriptor 3 of the service.

use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::app::{Process, address_in};
use crate::harness::load::{Load, assert_nothing_lost};
use crate::harness::{ADMIN_TOKEN, Builder, Connection, Request, TestApp, sign};

const LIMIT: Duration = Duration::from_secs(20);

/// Starts the service like a service manager; `variables` are shell assignments.
fn start(builder: &Builder, descriptor: impl Into<OwnedFd>, variables: &str) -> Process {
    let script = format!("export {variables}; exec \"$0\" \"$@\" 3<&0 0</dev/null");
    let mut command = builder.clone().wrapped(&["sh", "-c", &script]).command();
    command.stdin(Stdio::from(descriptor.into()));
    Process::spawn(command)
}

fn passed(socket: &TcpListener) -> OwnedFd {
    OwnedFd::from(socket.try_clone().unwrap())
}

#[track_caller]
fn stop(mut process: Process) {
    process.signal(Signal::TERM);
    assert!(process.wait(LIMIT).success(), "{}", process.log.text());
}

#[test]
fn passed_socket_serves_webhooks() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let builder = TestApp::github();
    let process = start(&builder, passed(&socket), "LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=creel.socket");
    process.log.wait_for(&format!("listening on http://{address}"), LIMIT).unwrap();
    process.log.wait_for(&format!("set CREEL_LISTEN={address}"), LIMIT).unwrap();
    assert_eq!(Connection::open(address).exchange(&sign::github("1", "{}")).status, 200);
    stop(process);
    assert_eq!(builder.database().count("messages"), 1);
}

#[test]
fn socket_named_admin_serves_only_the_api() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let builder = TestApp::github();
    let process = start(&builder, passed(&socket), "LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=admin");
    let line = process.log.wait_for("listening on http://", LIMIT).unwrap();
    let webhooks = address_in(&line, "listening on http://");
    process.log.wait_for(&format!("admin on http://{address}"), LIMIT).unwrap();
    process.log.wait_for(&format!("set CREEL_ADMIN_LISTEN={address}"), LIMIT).unwrap();
    let request = Request::get("/api/v1/messages").header("Authorization", format!("Bearer {ADMIN_TOKEN}"));
    assert_eq!(Connection::open(address).exchange(&request).status, 200);
    assert_eq!(Connection::open(webhooks).exchange(&request).status, 404);
    assert_eq!(Connection::open(webhooks).exchange(&sign::github("1", "{}")).status, 200);
    stop(process);
}

#[test]
fn restart_with_passed_socket_loses_no_request() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let builder = TestApp::github();
    let variables = "LISTEN_PID=$$ LISTEN_FDS=1";
    let process = start(&builder, passed(&socket), variables);
    process.log.wait_for("listening on http://", LIMIT).unwrap();
    let load = Load::start(address, 4);
    load.wait_for_more(50, LIMIT);
    stop(process);
    // No process accepts now, so connections wait in the socket.
    let mut waiting = Connection::open(address);
    waiting.write(&sign::github("waiting", "{}").bytes()).unwrap();
    let process = start(&builder, passed(&socket), variables);
    assert_eq!(waiting.read_within(LIMIT).unwrap().status, 200);
    load.wait_for_more(50, LIMIT);
    let sent = load.finish();
    let failed: Vec<_> = sent.iter().filter(|sent| sent.status != Some(200)).collect();
    assert!(failed.is_empty(), "{} of {}: {:?}", failed.len(), sent.len(), failed.first());
    stop(process);
    assert_nothing_lost(&builder.database(), &sent);
}

#[test]
fn sockets_of_another_process_are_ignored() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let builder = TestApp::github();
    let process = start(&builder, passed(&socket), "LISTEN_PID=1 LISTEN_FDS=1");
    process.log.wait_for("LISTEN_FDS is ignored, because LISTEN_PID names process 1", LIMIT).unwrap();
    let line = process.log.wait_for("listening on http://", LIMIT).unwrap();
    let own = address_in(&line, "listening on http://");
    assert_ne!(own, socket.local_addr().unwrap());
    assert_eq!(Connection::open(own).exchange(&sign::github("1", "{}")).status, 200);
    stop(process);
}

#[test]
fn unusable_passed_socket_is_an_error() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let no_socket = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
    let connected = || OwnedFd::from(TcpStream::connect(socket.local_addr().unwrap()).unwrap());
    let rows = [
        (passed(&socket), "LISTEN_FDS=1", "LISTEN_PID: is not set"),
        (passed(&socket), "LISTEN_PID=$$ LISTEN_FDS=some", "LISTEN_FDS: `some` is not a number"),
        (passed(&socket), "LISTEN_PID=$$ LISTEN_FDS=3", "at most 2"),
        (passed(&socket), "LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=a:b", "LISTEN_FDNAMES: has 2 names"),
        (no_socket(), "LISTEN_PID=$$ LISTEN_FDS=1", "socket 1 passed by systemd is not a TCP socket"),
        (connected(), "LISTEN_PID=$$ LISTEN_FDS=1", "is not listening; use Accept=no"),
    ];
    let builder = TestApp::github();
    for (descriptor, variables, output) in rows {
        let mut process = start(&builder, descriptor, variables);
        assert_eq!(process.wait(LIMIT).code(), Some(1), "{variables}");
        let log = process.log.whole(LIMIT);
        assert!(log.contains(output), "{variables}: {log}");
    }
}

#[test]
fn other_commands_ignore_passed_sockets() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let builder = TestApp::github().set("LISTEN_PID", "1").set("LISTEN_FDS", "some");
    builder.run(&["check"]).succeeded();
    drop(socket);
}
