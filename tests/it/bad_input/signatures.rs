//! Missing, malformed, forged and stale signatures and timestamps.

use super::{STANDARD_SECRET, Storage, assert_rows, push, row, service};
use crate::harness::sign::{
    self, OTHER_SECRET, SECRET, base64, github_signature, hmac_sha256, stripe, stripe_signature,
};
use crate::harness::{Request, eventually};

const BODY: &str = r#"{"amount":100}"#;
const HEADER: &str = "X-Hub-Signature-256";

#[test]
fn invalid_signatures_are_rejected() {
    let app = service();
    let right = github_signature(SECRET, BODY.as_bytes());
    let with = |value: &[u8]| push(BODY).replace(HEADER, value);
    let rejected = |name: &str, request: Request| row(name, request, 403, Storage::Nothing);
    assert_rows(
        &app,
        &[
            rejected("none", push(BODY).without(HEADER)),
            rejected("empty", with(b"")),
            rejected("white space", with(b"   ")),
            rejected("prefix only", with(b"sha256=")),
            rejected("one digit short", with(&right.as_bytes()[..right.len() - 1])),
            rejected("one byte short", with(&right.as_bytes()[..right.len() - 2])),
            rejected("one digit long", with(format!("{right}0").as_bytes())),
            rejected("twice", with(format!("{right}{}", &right[7..]).as_bytes())),
            rejected("not hex", with(format!("sha256={}", "g".repeat(64)).as_bytes())),
            rejected("not ASCII", with(format!("sha256={}é", &right[7..69]).as_bytes())),
            rejected("not UTF-8", with(&[b"sha256=".as_slice(), &[0xff; 64]].concat())),
            rejected("of another secret", with(github_signature(OTHER_SECRET, BODY.as_bytes()).as_bytes())),
            rejected("a changed bit", push(BODY).body(BODY.replace("100", "101"))),
            rejected("a bit more", push(BODY).body(format!("{BODY} "))),
            rejected("an empty body", push(BODY).body("")),
            row("right", push(BODY), 200, Storage::AsJson),
        ],
    );
}

#[test]
fn every_flipped_bit_of_the_body_is_detected() {
    let app = service();
    let good = push(BODY);
    for bit in 0..BODY.len() * 8 {
        let mut body = BODY.as_bytes().to_vec();
        body[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(app.send(&good.clone().body(body)).status, 403, "bit {bit}");
    }
}

#[test]
fn upper_case_hex_is_accepted() {
    let app = service();
    let upper = format!("sha256={}", github_signature(SECRET, BODY.as_bytes())[7..].to_uppercase());
    assert_rows(&app, &[row("upper case", push(BODY).replace(HEADER, upper), 200, Storage::AsJson)]);
}

#[test]
fn second_signature_header_rejects_the_request() {
    let app = service();
    let right = github_signature(SECRET, BODY.as_bytes());
    let wrong = github_signature(OTHER_SECRET, BODY.as_bytes());
    let both = |first: &str, second: &str| push(BODY).replace(HEADER, first).header(HEADER, second);
    assert_rows(
        &app,
        &[
            row("right first", both(&right, &wrong), 403, Storage::Nothing),
            row("right last", both(&wrong, &right), 403, Storage::Nothing),
        ],
    );
}

#[test]
fn signature_of_one_source_is_invalid_at_another() {
    let app = service();
    let request = push(BODY);
    assert_rows(
        &app,
        &[
            row("for github at other", request.clone().target("/webhooks/other"), 403, Storage::Nothing),
            row("for github at github", request, 200, Storage::AsJson),
        ],
    );
}

#[test]
fn candidate_signatures_are_checked_up_to_a_limit() {
    let app = service();
    let now = sign::now().to_string();
    let right = stripe_signature(SECRET, &now, BODY.as_bytes());
    let (_, right_hex) = right.split_once(",v1=").unwrap();
    let wrong = format!(",v1={}", "0".repeat(64)).repeat(999);
    let request = stripe(&now, BODY).replace("Stripe-Signature", format!("t={now}{wrong},v1={right_hex}"));
    assert_rows(&app, &[row("1,000 candidates, the last one correct", request, 403, Storage::Nothing)]);
    let few = format!("t={now},v1={},v0=abc,v1={right_hex}", "0".repeat(64));
    let request = stripe(&now, BODY).replace("Stripe-Signature", few);
    assert_rows(&app, &[row("the second of two correct", request, 200, Storage::AsJson)]);
}

#[test]
fn timestamp_is_fresh_for_five_minutes_in_both_directions() {
    let app = service();
    let at = |offset: i64| stripe(&(sign::now() + offset).to_string(), BODY);
    assert_rows(&app, &[row("299 s old", at(-299), 200, Storage::AsJson)]);
    assert_rows(&app, &[row("301 s old", at(-301), 403, Storage::Nothing)]);
    // A second may pass in transit, and the timestamp must still be more than 300 s ahead when it
    // is verified.
    assert_rows(&app, &[row("302 s ahead", at(302), 403, Storage::Nothing)]);
    assert_rows(&app, &[row("299 s ahead", at(299), 200, Storage::AsJson)]);
    let stale = r#"creel_rejected_total{cause="stale_timestamp",source="stripe"}"#;
    eventually("both are counted", std::time::Duration::from_secs(5), || app.metric(stale) == 2.0);
}

#[test]
fn correctly_signed_invalid_timestamp_is_rejected() {
    let app = service();
    let now = sign::now();
    let texts = [
        String::new(),
        "NaN".into(),
        "-1".into(),
        format!("-{now}"),
        format!("{now}.0"),
        format!("{now}e0"),
        format!("+{now}"),
        format!(" {now}"),
        "1".repeat(20),
        format!("0x{now:x}"),
        "inf".into(),
    ];
    let rows: Vec<_> = texts
        .iter()
        .map(|text| row(format!("{text:?}"), stripe(text, BODY), 403, Storage::Nothing))
        .collect();
    assert_rows(&app, &rows);
}

fn standard(id: &str, timestamp: &str) -> Request {
    use base64::Engine;
    let encoded = STANDARD_SECRET.trim_start_matches("whsec_");
    let key = base64::engine::general_purpose::STANDARD.decode(encoded).unwrap();
    let signature = base64(&hmac_sha256(&key, format!("{id}.{timestamp}.{BODY}").as_bytes()));
    Request::post("/webhooks/standard")
        .header("webhook-id", id)
        .header("webhook-timestamp", timestamp)
        .header("webhook-signature", format!("v1,{signature}"))
        .body(BODY)
}

#[test]
fn standard_webhooks_signature_covers_id_time_and_body() {
    let app = service();
    let now = sign::now();
    let good = standard("msg_1", &now.to_string());
    let status = app.send(&good).status;
    assert!((200..300).contains(&status), "{status}");
    assert_eq!(app.database().only_message().delivery_id.as_deref(), Some("msg_1"));
    let rejected = |name: &str, request: Request| row(name, request, 403, Storage::Nothing);
    assert_rows(
        &app,
        &[
            rejected("another id", good.clone().replace("webhook-id", "msg_2")),
            rejected("another time", good.clone().replace("webhook-timestamp", (now - 1).to_string())),
            rejected("another body", good.clone().body("{}")),
            rejected("no id", good.clone().without("webhook-id")),
            rejected("no time", good.clone().without("webhook-timestamp")),
            rejected("no signature", good.clone().without("webhook-signature")),
            rejected("stale", standard("msg_3", &(sign::now() - 301).to_string())),
        ],
    );
}
