//! A verified message is never rejected because of its content.

use std::time::{Duration, Instant};

use super::{Storage, assert_rows, push, row, service};
use crate::harness::sign::{self, stripe};
use crate::harness::{Request, allow};

/// `{}` as gzip, compressed by the gzip program.
const GZIP: &[u8] = &[
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0xab, 0xae, 0x05, 0x00, 0x43, 0xbf, 0xa6,
    0xa3, 0x02, 0x00, 0x00, 0x00,
];

#[test]
fn compressed_body_is_stored_as_received() {
    let app = service();
    let request = push(GZIP).header("Content-Encoding", "gzip");
    assert_rows(&app, &[row("gzip", request, 200, Storage::AsJson)]);
}

#[test]
fn any_or_no_content_type_is_accepted() {
    let app = service();
    let with = |kind: &str, body: &str| push(body).replace("Content-Type", kind);
    let multipart = "--b\r\nContent-Disposition: form-data; name=\"json\"\r\n\r\n{}\r\n--b--\r\n";
    assert_rows(
        &app,
        &[
            row("none", push("{}").without("Content-Type"), 200, Storage::AsJson),
            row("empty", with("", "{}"), 200, Storage::AsJson),
            row("nonsense", with("\"/;=,", "{}"), 200, Storage::AsJson),
            row("of 10 kB", with(&format!("text/{}", "x".repeat(10 * 1024)), "{}"), 200, Storage::AsJson),
            row("form", with("application/x-www-form-urlencoded", "a=1&b=%C3%A9&a=2"), 200, Storage::Once),
            row("broken form", with("application/x-www-form-urlencoded", "%zz=%&&=&a"), 200, Storage::Once),
            row("multipart", with("multipart/form-data; boundary=b", multipart), 200, Storage::Flagged),
            row("empty body", push(""), 200, Storage::Once),
            row("two", with("text/plain", "{}").header("Content-Type", "text/html"), 200, Storage::AsJson),
        ],
    );
}

#[test]
fn form_is_stored_decoded_and_as_bytes() {
    let app = service();
    let form = push("a=1&b=%C3%A9+x&a=2").replace("Content-Type", "application/x-www-form-urlencoded");
    assert_eq!(app.send(&form).status, 200);
    let payload = app.database().only_message().payload.expect("the decoded form");
    let decoded: serde_json::Value = serde_json::from_str(&payload).unwrap();
    assert_eq!(decoded, serde_json::json!({"a": ["1", "2"], "b": "é x"}));
}

#[test]
fn invalid_json_is_stored_as_bytes_and_flagged() {
    let app = service();
    let utf16: Vec<u8> = "{\"a\":1}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let flagged = |name: &str, body: &[u8]| row(name, push(body), 200, Storage::Flagged);
    assert_rows(
        &app,
        &[
            flagged("invalid UTF-8", b"{\"a\":\"\xff\xfe\"}"),
            flagged("raw NUL", b"{\"a\":\"\0\"}"),
            flagged("NUL alone", b"\0"),
            flagged("UTF-16", &utf16),
            flagged("BOM alone", b"\xef\xbb\xbf"),
            flagged("two BOMs and JSON", b"\xef\xbb\xbf\xef\xbb\xbf{}"),
            flagged("cut JSON", b"{\"a\":[1,2"),
            flagged("two values", b"{} {}"),
            flagged("not JSON", b"hello"),
            flagged("white space", b" \n"),
            flagged("NaN", b"NaN"),
        ],
    );
}

#[test]
fn every_kind_of_json_is_stored_byte_for_byte() {
    let app = service();
    let json = |name: &str, body: &str| row(name, push(body), 200, Storage::AsJson);
    assert_rows(
        &app,
        &[
            json("white space around", " \r\n\t{ \"a\" : 1.0 } \n"),
            json("text", "\"text\""),
            json("number", "-0.0"),
            json("null", "null"),
            json("the same key twice", r#"{"a":1,"a":2}"#),
            json("escaped NUL", r#"{"a\u0000b":"\u0000"}"#),
            json("BOM", "\u{feff}{}"),
            json("an emoji", "{\"a\":\"\u{1F41F}\"}"),
        ],
    );
}

#[test]
fn deep_nesting_does_not_overflow_the_stack() {
    let app = service();
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let objects = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    assert_rows(
        &app,
        &[
            row("127", push(nested(127)), 200, Storage::AsJson),
            row("128", push(nested(128)), 200, Storage::Flagged),
            row("100,000", push(nested(100_000)), 200, Storage::Flagged),
            row("1 MiB of [", push("[".repeat(1 << 20)), 200, Storage::Flagged),
            row("127 objects", push(objects(127)), 200, Storage::AsJson),
            row("100,000 objects", push(objects(100_000)), 200, Storage::Flagged),
        ],
    );
    // Also for a scheme that searches the body for id and type.
    let now = sign::now().to_string();
    for body in [nested(100_000), "[".repeat(1 << 20), objects(100_000)] {
        assert_rows(&app, &[row("stripe", stripe(&now, body), 200, Storage::Flagged)]);
    }
}

#[test]
fn extreme_json_is_answered_in_fifty_milliseconds() {
    let app = service();
    let now = sign::now().to_string();
    let keys: Vec<String> = (0..200_000).map(|number| format!("\"k{number}\":0")).collect();
    let bodies = [
        ("1e400", r#"{"id":"a","n":1e400}"#.to_owned()),
        ("100,000 digits", format!(r#"{{"id":"b","n":{}}}"#, "7".repeat(100_000))),
        ("100,000 digits as id", format!(r#"{{"id":{}}}"#, "7".repeat(100_000))),
        ("a lone surrogate", r#"{"id":"c\ud800","type":"\udfff"}"#.to_owned()),
        ("NUL in id and type", r#"{"id":"d\u0000","type":"\u0000.x"}"#.to_owned()),
        ("200,000 keys", format!("{{{},\"id\":\"e\"}}", keys.join(","))),
        ("a type of 1 MB", format!(r#"{{"id":"f","type":"{}"}}"#, "t".repeat(1_000_000))),
    ];
    for (name, body) in bodies {
        assert_rows(&app, &[row(name, stripe(&now, body.clone()), 200, Storage::Once)]);
        let quickest = (0..3).map(|_| time_of(&app, &stripe(&now, body.clone()))).min().unwrap();
        assert!(quickest <= allow(Duration::from_millis(50)), "{name}: {quickest:?}");
    }
}

fn time_of(app: &crate::harness::TestApp, request: &Request) -> Duration {
    let begun = Instant::now();
    assert_eq!(app.send(request).status, 200);
    begun.elapsed()
}

#[test]
fn long_type_is_cut_at_two_hundred_characters() {
    let app = service();
    let body = format!(r#"{{"id":"1","type":"{}"}}"#, "é".repeat(300));
    assert_eq!(app.send(&stripe(&sign::now().to_string(), body)).status, 200);
    let event = app.database().only_message().event;
    assert_eq!(event, format!("stripe.{}", "é".repeat(200)));
}

#[test]
fn array_is_described_by_its_first_item() {
    let app = service();
    let body = r#"[{"id":"first","type":"one"},{"id":"second","type":"two"}]"#;
    assert_eq!(app.send(&stripe(&sign::now().to_string(), body)).status, 200);
    assert_eq!(app.database().only_message().event, "stripe.one");
}
