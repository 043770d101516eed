//! Requests to a target and to a local program, byte for byte.

use super::*;
use crate::harness::Request;
use crate::harness::target::Received;

/// A signed message without a body, with every kind of header that must or must not be forwarded.
fn unusual() -> Request {
    sign::github("unusual", "")
        .header("X-Latin", b"gr\xfcn \x85")
        .header("X-Utf-8", "gr\u{fc}n \u{85}")
        .header("X-Tab", "a\tb")
        .header("Connection", "keep-alive, X-Hop")
        .header("Connection", " x-second ,")
        .header("X-Hop", "1")
        .header("X-Second", "2")
        .header("Creel-Method", "DELETE")
        .header("Creel_Method", "DELETE")
        .header("Creel-Event", "forged")
        .header("X_Forwarded_For", "192.0.2.1")
}

#[track_caller]
fn assert_forwarded(received: &Received) {
    assert!(received.body.is_empty());
    let head = &received.raw_head;
    let lines: Vec<&[u8]> = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end).collect();
    let shown = &received.head;
    let expected: [&[u8]; 6] = [
        b"content-length: 0",
        b"x-latin: gr\xfcn \x85",
        "x-utf-8: gr\u{fc}n \u{85}".as_bytes(),
        b"x-tab: a\tb",
        b"creel-method: POST",
        b"creel-event: github.push",
    ];
    for line in expected {
        let name = line.split_inclusive(|byte| *byte == b':').next().unwrap();
        assert_eq!(lines.iter().filter(|given| given.starts_with(name)).count(), 1, "{shown}");
        assert!(lines.contains(&line), "{}: {shown}", String::from_utf8_lossy(line));
    }
    for name in ["x-hop", "x-second", "creel_method", "x_forwarded_for", "connection"] {
        assert_eq!(received.header(name), None, "{shown}");
    }
}

#[test]
fn target_gets_empty_message_with_exact_headers() {
    let target = Target::start();
    let app = delivering_to(&target).start();
    let message = unusual()
        .header("Webhook-Id", "forged")
        .header("Webhook_Id", "forged")
        .header("Webhook_Signature", "v1,x");
    assert_eq!(app.send(&message).status, 200);
    let received = &target.wait_for(1)[0];
    assert_forwarded(received);
    assert!(received.header("webhook-id").unwrap().starts_with("msg_"), "{}", received.head);
    assert_eq!((received.header("webhook_id"), received.header("webhook_signature")), (None, None));
    eventually_delivered(&app, 1);
}

#[test]
fn local_program_gets_replayed_message_with_exact_headers() {
    let (app, program) = (TestApp::github().start(), Target::start());
    assert_eq!(app.send(&unusual()).status, 200);
    let server = format!("http://{}", app.address);
    TestApp::builder().run(&["replay", "1", "--server", &server, "--to", &program.url("/")]).succeeded();
    assert_forwarded(&program.wait_for(1)[0]);
}
