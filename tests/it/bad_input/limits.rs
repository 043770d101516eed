//! Limits on heads: the service rejects oversized heads and continues to run.

use std::time::Duration;

use super::{push, service};
use crate::harness::{Request, TestApp, eventually, sign};

#[test]
fn endless_head_is_rejected() {
    let app = service();
    let mut connection = app.connect();
    let _ = connection.write(b"POST /webhooks/github HTTP/1.1\r\nHost: a\r\nX-Long: ");
    // 8 MiB exceed every limit on a head, so the service stops reading much earlier.
    let written = (0..512).all(|_| connection.write(&[b'x'; 16 * 1024]).is_ok());
    let reply = connection.read_within(Duration::from_secs(10));
    let is_rejected = reply.as_ref().map_or(!written, |reply| (400..500).contains(&reply.status));
    assert!(is_rejected, "{reply:?}");
    assert_eq!(app.send(&push("{}")).status, 200);
}

#[test]
fn too_many_headers_are_rejected() {
    let app = service();
    let request = (0..1000).fold(push("{}"), |request, number| request.header(&format!("X-{number}"), "v"));
    let mut connection = app.connect();
    let _ = connection.write(&request.bytes());
    let reply = connection.read_within(Duration::from_secs(10));
    assert!(reply.as_ref().map_or(true, |reply| (400..500).contains(&reply.status)), "{reply:?}");
    assert_eq!(app.send(&push("{}")).status, 200);
}

#[test]
fn garbage_instead_of_http_is_rejected() {
    let app = service();
    let tls_hello = [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03];
    for garbage in [b"\0\0\0\0\r\n\r\n".as_slice(), b"hello\r\n\r\n", b"GET\r\n\r\n", &tls_hello] {
        let mut connection = app.connect();
        let _ = connection.write(garbage);
        connection.finish();
        let reply = connection.read_within(Duration::from_secs(10));
        assert!(reply.as_ref().map_or(true, |reply| reply.status == 400), "{garbage:?}: {reply:?}");
    }
    assert_eq!(app.send(&push("{}")).status, 200);
}

#[test]
fn form_with_too_many_fields_is_too_large() {
    let app = TestApp::builder()
        .set("CREEL_PUBLIC_URL", "https://hooks.example.com")
        .set("CREEL_SOURCE_MANDRILL_SECRET", sign::SECRET)
        .start();
    let form = Request::post("/webhooks/mandrill")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header("X-Mandrill-Signature", sign::base64(&[0; 20]));
    let many = form.clone().body("a&".repeat(10_001));
    app.send(&many).assert_is(413, "text/plain", "Body too large.");
    assert_eq!(app.send(&form.body("mandrill_events=%5B%5D")).status, 403);
    let causes = || app.database().column::<String>("SELECT cause FROM rejections ORDER BY cause");
    eventually("the causes are recorded", Duration::from_secs(10), || {
        causes() == ["signature_mismatch", "too_large"]
    });
}
