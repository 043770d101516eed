//! Bodies: JSON with paths and signed representations, and forms. The first line is a path, the
//! second a Content-Type; the rest is the body.
#![no_main]

use std::sync::LazyLock;

use creel::testing::canonical;
use creel::testing::charset;
use creel::testing::coding::{self, ByteLimit, Coding};
use creel::testing::form::{self, FormFields, FormKind};
use creel::testing::lookup;
use creel::testing::lookup::{JsonPath, first_key_except, items, member};
use creel::testing::template::{Template, TemplateScope};
use creel::testing::view::{Texts, View};
use creel::testing::{Headers, json};
use creel::testing::{PathValue, Paths, Pointers};
use creel_fuzz::{Sent, line};
use serde_json::Value;

/// Paths of recipes, and a few that are prefixes of others.
const PATHS: [&str; 10] = [
    "type",
    "id",
    "data.id",
    "data.object.id",
    "event.type",
    "events[].id",
    "value[].clientState",
    "a",
    "b.a",
    "b.c[].a",
];

static REPLY: LazyLock<Template> = LazyLock::new(|| {
    Template::parse(r#"{{"a":"{json:a}","all":"{body}","again":"{body:json-string}"}}"#)
        .expect("it is a template")
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let (path, rest) = line(data);
    let (content_type, body) = line(rest);
    paths(&path, body);
    json_forms(body);
    text_forms(body);
    form(&content_type, body);
    coded(body);
    encoded_form(body);
    multipart(body);
    reply(&content_type, body);
});

fn paths(path: &str, body: &[u8]) {
    let mut wanted = Paths::default();
    let texts: Vec<&str> = PATHS.into_iter().chain([path]).collect();
    let slots: Vec<_> = texts.iter().map(|text| wanted.add(text).ok()).collect();
    let name = wanted.add_name(JsonPath::root(), vec!["id".to_owned()]);
    let read = wanted.read(body);
    assert_eq!(read.is_some(), json::accepts(body), "the reader and `accepts` agree");
    for (text, slot) in texts.into_iter().zip(slots) {
        let Ok(single) = JsonPath::parse(text) else { continue };
        assert_eq!(single.to_string(), text);
        let raw = single.raw(body);
        if let Some(raw) = raw.filter(|_| read.is_some()) {
            assert!(json::accepts(raw.as_bytes()), "{raw} at {text} is not JSON");
        }
        assert!(raw.is_none() || is_json_of_any_depth(body), "{text} finds a value in invalid JSON");
        assert!(single.every(body).is_none_or(|found| !found.is_empty()));
        if let (Some(read), Some(slot)) = (&read, slot) {
            assert_eq!(*read.get(slot), single.find(body), "{text} finds two values");
        }
    }
    pointers(path, body);
    if let Some(read) = &read {
        let raw = JsonPath::root().raw(body).expect("the document exists");
        let key = first_key_except(raw, &["id".to_owned()]);
        assert_eq!(*read.get(name), key.map_or(PathValue::Absent, PathValue::Text));
        assert!(items(raw).is_none_or(|items| items.iter().all(|item| json::accepts(item.as_bytes()))));
        let last: Option<Value> =
            serde_json::from_str::<Value>(raw).ok().and_then(|value| value.get("a").cloned());
        if let (Some(value), true) = (last, raw.starts_with('{')) {
            let member = member(raw, "a").and_then(|raw| serde_json::from_str::<Value>(raw).ok());
            assert_eq!(member, Some(value), "the last of duplicate keys counts");
        }
    }
    let _ = lookup::member(&String::from_utf8_lossy(body), path);
}

/// Compares the filter's pointers with serde_json's tree.
fn pointers(pointer: &str, body: &[u8]) {
    let mut wanted = Pointers::default();
    let slots = [wanted.add(pointer), wanted.add("/a/0"), wanted.add("")];
    let read = wanted.read(body);
    assert_eq!(read.is_ok(), json::accepts(body), "the filter and `accepts` agree");
    let (Ok(read), Some(tree)) = (read, value(body)) else { return };
    for (slot, pointer) in slots.into_iter().zip([pointer, "/a/0", ""]) {
        let found = read.get(slot).and_then(|raw| value(raw.as_bytes()));
        assert_eq!(found.as_ref(), tree.pointer(pointer), "{pointer} finds two values");
    }
}

fn coded(body: &[u8]) {
    for coding in [Coding::Gzip, Coding::Deflate] {
        let decoded = coding::decode(body, &[coding], &mut ByteLimit(1 << 20));
        assert!(decoded.map_or(0, |decoded| decoded.len()) <= 1 << 20);
    }
}

/// Whether a body is JSON, or has enough brackets to be invalid only because of its depth.
fn is_json_of_any_depth(body: &[u8]) -> bool {
    let blank = |byte: &u8| byte.is_ascii_whitespace();
    json::accepts(body)
        || body.iter().filter(|byte| !blank(byte)).filter(|byte| b"[{".contains(byte)).count() > 127
}

fn json_forms(body: &[u8]) {
    let compact = canonical::compact(body);
    assert_eq!(compact.is_some(), json::accepts(body));
    if let Some(compact) = compact {
        assert!(json::accepts(&compact), "compact JSON is JSON");
        assert!(compact.len() <= body.len());
        assert_eq!(canonical::compact(&compact).as_deref(), Some(&*compact), "compact JSON is compact");
        assert_eq!(value(&compact), value(body), "compact JSON has the same value");
        assert_eq!(canonical::sorted(&compact), canonical::sorted(body));
    }
    if let Some(sorted) = canonical::sorted(body) {
        assert!(json::accepts(&sorted), "sorted JSON is JSON");
        assert_eq!(canonical::sorted(&sorted).as_deref(), Some(&*sorted), "sorted JSON is sorted");
        assert_eq!(canonical::compact(&sorted).as_deref(), Some(&*sorted), "sorted JSON is compact");
    }
    if let Some(first) = canonical::first_item(body) {
        assert!(json::accepts(&first), "a first item is JSON");
        assert_eq!(canonical::compact(&first).as_deref(), Some(&*first), "a first item is compact");
    }
}

fn value(text: &[u8]) -> Option<Value> {
    serde_json::from_slice(json::without_mark(text)).ok()
}

fn text_forms(body: &[u8]) {
    let lines = canonical::crlf(body);
    assert_eq!(canonical::crlf(&lines), lines, "CRLF conversion is idempotent");
    let count = |byte| lines.iter().filter(|other| **other == byte).count();
    assert_eq!(count(b'\r'), count(b'\n'));
    let quoted = canonical::json_string(body);
    assert_eq!(quoted.is_some(), std::str::from_utf8(body).is_ok());
    if let Some(quoted) = quoted {
        assert_eq!(
            serde_json::from_str::<String>(&quoted).map(String::into_bytes).ok().as_deref(),
            Some(body)
        );
    }
    let _ = canonical::decoded_url(&String::from_utf8_lossy(body));
}

/// Parses a form by its Content-Type.
fn form(content_type: &str, body: &[u8]) {
    let fields = [("content-type", content_type.as_bytes())];
    let Some(kind) = form::kind(Headers(&fields)) else { return };
    let declared = charset::declared(Headers(&fields));
    let _ = form::fields(body, kind.clone(), declared.ok().flatten());
    let payload = form::payload(body, kind, "payload", declared).ok().flatten();
    let _ = form::to_json(body, declared.ok().flatten());
    assert!(payload.is_none_or(|payload| json::accepts(payload.as_bytes())), "a payload is JSON");
}

fn encoded_form(body: &[u8]) {
    let Some(FormFields { values: fields, is_exact }) = form::fields(body, FormKind::UrlEncoded, None) else {
        return;
    };
    let written = form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields).finish();
    let read = form::fields(written.as_bytes(), FormKind::UrlEncoded, None);
    assert_eq!(read, Some(FormFields { values: fields.clone(), is_exact: true }), "{written}");
    assert_eq!(form::to_json(body, None).is_ok(), is_exact, "only an exact form has JSON");
    let text = form::to_json(written.as_bytes(), None).expect("an exact form has JSON");
    let Some(Value::Object(object)) = value(text.as_bytes()) else { panic!("{text} is not an object") };
    let values = |value: &Value| value.as_array().map_or(1, Vec::len);
    assert_eq!(object.values().map(values).sum::<usize>(), fields.len(), "{text}");
    assert!(fields.iter().all(|(name, _)| object.contains_key(name)), "{text}");
    let sorted = canonical::sorted_form(&fields);
    let mut reversed = fields;
    reversed.reverse();
    assert_eq!(canonical::sorted_form(&reversed), sorted, "the order of the fields does not matter");
}

/// Checks that the fields of a URL-encoded form are the same after they are written as multipart.
fn multipart(body: &[u8]) {
    let Some(FormFields { values: mut fields, .. }) = form::fields(body, FormKind::UrlEncoded, None) else {
        return;
    };
    fields.retain(|(name, value)| {
        name.bytes().all(|byte| byte.is_ascii_alphanumeric()) && !value.contains("--")
    });
    let part = |(name, value): &(String, String)| {
        format!("--edge\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let written: String = fields.iter().map(part).chain(["--edge--\r\n".to_owned()]).collect();
    let read = form::fields(written.as_bytes(), FormKind::Multipart("edge".to_owned()), None);
    assert_eq!(read.map(|fields| fields.values), Some(fields), "{written}");
}

/// Checks that a JSON reply stays valid JSON, regardless of the values in it.
fn reply(content_type: &str, body: &[u8]) {
    let headers = vec![("content-type".to_owned(), content_type.as_bytes().to_vec())];
    let sent = Sent { headers, body: body.to_vec(), ..Sent::default() };
    sent.put(|request| {
        let view = View::new(request, Some("payload"));
        let reply = REPLY.render_json(&TemplateScope::new(&view, &Texts::default())).ok();
        assert!(reply.is_none_or(|text| json::accepts(text.as_bytes())));
    });
}
