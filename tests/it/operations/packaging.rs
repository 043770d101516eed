//! The deployment files, and the addresses that they publish.

use crate::harness::app::address_in;
use crate::harness::{Builder, TestApp};

const ADMIN: &str = "9090";

fn read(name: &str) -> String {
    std::fs::read_to_string(format!("{}/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The lines of a file without comments.
fn lines(name: &str) -> Vec<String> {
    let text = read(name);
    let code = text.lines().map(|line| line.split(" #").next().unwrap_or_default().trim());
    code.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

#[test]
fn compose_publishes_admin_address_on_loopback_only() {
    let lines = lines("compose.yaml");
    assert!(lines.iter().any(|line| line == "CREEL_ADMIN_LISTEN: 0.0.0.0:9090"), "{lines:#?}");
    let published: Vec<&String> =
        lines.iter().filter(|line| line.starts_with("- \"") && line.contains(':')).collect();
    assert_eq!(published, ["- \"127.0.0.1:9090:9090\"", "- \"80:80\"", "- \"443:443\"", "- \"443:443/udp\""]);
}

#[test]
fn caddy_forwards_webhooks_and_rejects_other_hosts() {
    let lines = lines("Caddyfile");
    let forwarded: Vec<&String> = lines.iter().filter(|line| line.starts_with("reverse_proxy")).collect();
    assert_eq!(forwarded, ["reverse_proxy creel:8080 {"]);
    assert!(!lines.iter().any(|line| line.contains(ADMIN)), "{lines:#?}");
    for site in [":443 {", ":80 {"] {
        let start = lines.iter().position(|line| line == site).unwrap_or_else(|| panic!("no {site}"));
        assert_eq!(lines[start + 1..start + 3], ["respond 421", "}"]);
    }
}

#[test]
fn unit_keeps_admin_address_on_loopback() {
    assert!(
        lines("deploy/creel.service").contains(&"Environment=CREEL_ADMIN_LISTEN=127.0.0.1:9090".to_owned())
    );
}

#[test]
fn socket_unit_listens_on_address_of_commands() {
    let socket = lines("deploy/creel.socket");
    for line in ["ListenStream=127.0.0.1:8080", "FileDescriptorName=webhooks"] {
        assert!(socket.contains(&line.to_owned()), "{line}: {socket:#?}");
    }
    assert!(read(".env.example").contains("CREEL_LISTEN=127.0.0.1:8080"));
    assert!(lines("deploy/creel.service").contains(&"Sockets=creel.socket".to_owned()));
}

#[test]
fn healthcheck_uses_the_admin_address() {
    let app = TestApp::github().set("CREEL_ADMIN_LISTEN", "127.0.0.1:0").start();
    let line = app.process.log.wait_for("admin on http://", std::time::Duration::from_secs(10)).unwrap();
    let admin = address_in(&line, "admin on http://").to_string();
    // Port 1 of this address has no listener, so the reply comes from the other one.
    let checking = Builder::bare().set("CREEL_LISTEN", "127.0.0.1:1").set("CREEL_ADMIN_LISTEN", admin);
    checking.run(&["healthcheck"]).succeeded();
}
