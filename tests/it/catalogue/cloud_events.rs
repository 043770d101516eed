//! CloudEvents in binary, structured and batched mode.

use crate::harness::sign::SECRET;
use crate::harness::{Request, TestApp};

fn app() -> TestApp {
    TestApp::builder().set("CREEL_SOURCE_CLOUDEVENTS_SECRET", SECRET).start()
}

fn request() -> Request {
    Request::post("/webhooks/cloudevents").header("Authorization", format!("Bearer {SECRET}"))
}

fn binary(id: &str, data: &str) -> Request {
    request()
        .header("Content-Type", "application/json")
        .header("ce-specversion", "1.0")
        .header("ce-type", "com.example.gr%C3%B6%C3%9Fe")
        .header("ce-source", "/s/%C3%BC")
        .header("ce-id", id)
        .body(data)
}

fn event(id: &str, data: &str) -> String {
    format!(r#"{{"specversion":"1.0","type":"com.example.größe","source":"/s/ü","id":"{id}","data":{data}}}"#)
}

fn structured(content_type: &str, body: String) -> Request {
    request().header("Content-Type", content_type).body(body)
}

#[test]
fn colons_do_not_merge_two_events() {
    let app = app();
    let body = |source: &str, id: &str| {
        structured(ONE, format!(r#"{{"specversion":"1.0","type":"t","source":"{source}","id":"{id}"}}"#))
    };
    for request in [body("/a:b", "c"), body("/a", "b:c"), body("/a", "b%3Ac")] {
        assert_eq!(app.send(&request).status, 200);
    }
    let heads = app.database();
    assert_eq!(heads.count("messages"), 3);
    assert_eq!(heads.value::<i64>("SELECT count(*) FROM messages WHERE conflict_of IS NOT NULL"), 0);
}

const ONE: &str = "application/cloudevents+json; charset=UTF-8";
const BATCH: &str = "application/cloudevents-batch+json";

#[test]
fn event_in_another_mode_is_a_duplicate() {
    let app = app();
    let one = structured(ONE, event("A-1", "{}"));
    assert_eq!(app.send(&binary("A-1", "{}")).status, 200);
    for request in [&one, &structured("application/json", event("A-1", "{}")), &binary("A-1", "{}")] {
        assert_eq!(app.send(request).status, 200);
    }
    let kept = app.database().only_message();
    assert_eq!((kept.event.as_str(), kept.duplicates), ("cloudevents.com.example.größe", 3));
    assert_eq!(kept.delivery_id.as_deref(), Some("/s/ü:A-1"));
    // In the same mode, another body with the same id is a conflict.
    assert_eq!(app.send(&binary("A-1", "[]")).status, 200);
    assert_eq!(app.database().newest_message().conflict_of, Some(1));

    let app = app.restart();
    assert_eq!(app.send(&structured(ONE, event("A-2", "{}"))).status, 200);
    let app = app.restart();
    assert_eq!(app.send(&binary("A-2", "{}")).status, 200);
    let kept = app.database().newest_message();
    assert_eq!((kept.delivery_id.as_deref(), kept.duplicates), (Some("/s/ü:A-2"), 1));
}

#[test]
fn batch_is_one_message_with_all_ids() {
    let app = app();
    let batch =
        |ids: [&str; 2]| structured(BATCH, format!("[{},{}]", event(ids[0], "1"), event(ids[1], "2")));
    for ids in [["a", "b"], ["a", "b"], ["a", "c"]] {
        assert_eq!(app.send(&batch(ids)).status, 200);
    }
    let kept = app.database().messages();
    let ids: Vec<_> = kept.iter().map(|kept| kept.delivery_id.as_deref().unwrap()).collect();
    assert_eq!(ids, ["/s/ü,/s/ü:a,b", "/s/ü,/s/ü:a,c"]);
    assert_eq!((kept[0].duplicates, kept[1].conflict_of), (1, None));
    assert_eq!(kept[1].event, "cloudevents.com.example.größe");
    assert_eq!(app.send(&structured(BATCH, "[]".to_owned())).status, 200);
    let empty = app.database().newest_message();
    assert_eq!((empty.event.as_str(), empty.delivery_id), ("cloudevents.message", None));
}

#[test]
fn event_in_another_mode_with_other_data_is_stored() {
    let app = app();
    assert_eq!(app.send(&structured(ONE, event("A-1", r#"{"a":1}"#))).status, 200);
    assert_eq!(app.send(&binary("A-1", r#"{"a":2}"#)).status, 200);
    let kept = app.database().newest_message();
    assert_eq!((kept.id, kept.conflict_of, kept.payload.as_deref()), (2, Some(1), Some(r#"{"a":2}"#)));
    assert_eq!(app.send(&binary("A-1", r#"{ "a": 1 }"#)).status, 200);
    assert_eq!(app.database().count("messages"), 2);
}

#[test]
fn event_in_another_mode_with_other_attributes_is_kept() {
    let app = app();
    let with_attributes = |id: &str| {
        let event = event(id, "{}").replacen('{', r#"{"subject":"ö","tenant":"a","#, 1);
        structured(ONE, event)
    };
    let headers = |id: &str, subject: &str, tenant: &str| {
        binary(id, "{}").header("ce-subject", subject).header("ce-tenant", tenant)
    };
    assert_eq!(app.send(&with_attributes("A-1")).status, 200);
    assert_eq!(app.send(&headers("A-1", "%C3%B6", "a")).status, 200);
    let kept = app.database().only_message();
    assert_eq!((kept.id, kept.duplicates), (1, 1));
    assert_eq!(app.send(&headers("A-1", "x", "a")).status, 200);
    assert_eq!(app.database().newest_message().conflict_of, Some(1));
    assert_eq!(app.send(&headers("A-2", "%C3%B6", "b")).status, 200);
    assert_eq!(app.send(&with_attributes("A-2")).status, 200);
    assert_eq!(app.database().newest_message().conflict_of, Some(3));
}

#[test]
fn commas_do_not_make_a_batch_of_one_event() {
    let app = app();
    let one = |source: &str, id: &str| {
        format!(r#"{{"specversion":"1.0","type":"t","source":"{source}","id":"{id}"}}"#)
    };
    let batch = structured(BATCH, format!("[{},{}]", one("/s", "b1"), one("/s", "b2")));
    let headers = request()
        .header("ce-specversion", "1.0")
        .header("ce-type", "t")
        .header("ce-source", "/s,/s")
        .header("ce-id", "b1,b2");
    let alone = structured(BATCH, format!("[{}]", one("/s,/s", "b1,b2")));
    for request in [batch, headers, alone, structured(ONE, one("/s,/s", "b1,b2"))] {
        assert_eq!(app.send(&request).status, 200);
    }
    let kept = app.database().messages();
    let ids: Vec<_> = kept.iter().map(|kept| kept.delivery_id.as_deref().unwrap()).collect();
    assert_eq!(ids[..2], ["/s,/s:b1,b2", ",/s,/s:,b1,b2"]);
    // The event without data is equal in all of its modes; only the array differs from the bytes of
    // the structured mode.
    assert!(kept.iter().skip(1).all(|kept| kept.delivery_id.as_deref() == Some(",/s,/s:,b1,b2")));
    assert_eq!(kept[0].duplicates, 0);
}
