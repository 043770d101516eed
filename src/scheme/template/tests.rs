//! Templates: parsing, properties and rendering.

use super::*;
use crate::content::request::{Headers, Request};
use crate::content::view::{Texts, View};

#[test]
fn template_consists_of_literals_and_placeholders() {
    let template = Template::parse("v0:{header:X-Id}.{ts}.{body}]").unwrap();
    let expected = [
        Part::Literal("v0:".into()),
        Part::Place(Place::Header("x-id".into())),
        Part::Literal(".".into()),
        Part::Timestamp,
        Part::Literal(".".into()),
        Part::Body,
        Part::Literal("]".into()),
    ];
    assert_eq!(template.0, expected);
    assert!(template.has_body() && template.has_timestamp() && !template.is_body_alone());
    assert!(Template::parse("{body}").unwrap().is_body_alone());
    let braces = Template::parse("{{\"a\":{body:json-string}}}").unwrap();
    assert_eq!(braces.0.first(), Some(&Part::Literal("{\"a\":".into())));
    assert_eq!(braces.0.last(), Some(&Part::Literal("}".into())));
}

#[test]
fn invalid_template_is_rejected_with_reason() {
    for (text, problem) in [
        ("", "is empty"),
        ("{body", "an unmatched brace"),
        ("body}", "an unmatched brace"),
        ("{bdy}", "`{bdy}` is unknown"),
        ("{header:}", "`{header:}` is unknown"),
        ("{body:md5}", "`{body:md5}` is unknown"),
    ] {
        let error = Template::parse(text).unwrap_err().to_string();
        assert!(error.contains(problem), "{text}: {error}");
    }
}

#[test]
fn path_is_url_after_host() {
    assert_eq!(path_of("https://a.example/x?y=1"), "/x?y=1");
    assert_eq!(path_of("https://a.example"), "/");
}

const OPTIONAL: &str = "{?id:{query:id};}{?request-id:{header:X-Id};}ts:{ts};";

fn rendered(template: &str, query: &str, headers: &[(&str, &[u8])]) -> Result<String, Cause> {
    let request = Request {
        method: "POST",
        target: "/",
        query,
        url: "",
        headers: Headers(headers),
        body: b"",
        now: time::OffsetDateTime::UNIX_EPOCH,
    };
    let (view, texts) = (View::new(&request, None), Texts::default());
    let scope = TemplateScope { timestamp: Some(b"7"), ..TemplateScope::new(&view, &texts) };
    let template = Template::parse(template).unwrap();
    template.render(&scope).map(|text| String::from_utf8(text).unwrap())
}

#[test]
fn section_is_omitted_if_its_place_is_absent() {
    let id: &[(&str, &[u8])] = &[("x-id", b" r ")];
    for (query, headers, text) in [
        ("id=A", id, "id:A;request-id:r;ts:7;"),
        ("", id, "request-id:r;ts:7;"),
        ("id=", id, "request-id:r;ts:7;"),
        ("id=A", &[], "id:A;ts:7;"),
        ("", &[], "ts:7;"),
        ("", &[("x-id", b"")], "ts:7;"),
    ] {
        assert_eq!(rendered(OPTIONAL, query, headers).as_deref(), Ok(text), "{query} {headers:?}");
    }
    assert_eq!(rendered("{?id:{query-lower:id};}ts:{ts};", "id=AB", &[]).as_deref(), Ok("id:ab;ts:7;"));
    assert_eq!(rendered(OPTIONAL, "id=A&id=A", &[]), Err(Cause::MalformedSignature), "twice is not absent");
    let template = Template::parse(OPTIONAL).unwrap();
    assert_eq!((template.places().count(), template.required_places().count()), (2, 0));
}

#[test]
fn value_cannot_take_the_place_of_another_section() {
    for query in ["id=A;request-id:r", "id=A;", "id=;", "id=%3B"] {
        assert_eq!(rendered(OPTIONAL, query, &[]), Err(Cause::MalformedSignature), "{query}");
    }
    assert_eq!(rendered("{?a:{query:a};;}b", "a=x;", &[]), Err(Cause::MalformedSignature));
    assert_eq!(rendered("{?a:{query:a};;}b", "a=;x", &[]).as_deref(), Ok("a:;x;;b"));
}

#[test]
fn ambiguous_section_is_rejected() {
    for (text, problem) in [
        ("{?id}x", "otherwise only fixed text"),
        ("{?id:{ts};}x", "otherwise only fixed text"),
        ("{?{query:a};}x", "begin and end with fixed text"),
        ("{?a:{query:a}}x", "begin and end with fixed text"),
        ("{?a:{query:a};}{body}", "fixed text after"),
        ("{?a:{query:a};}a:{ts}", "cannot distinguish"),
        ("{?a:{query:a};}{?a:b:{query:b};}x", "cannot distinguish"),
        ("{?a:{query:a};}{?b:{query:b};}a", "cannot distinguish"),
        ("{ts}{?a:{query:a};}x", "fixed text between"),
        ("x{?a:{query:a}{query:b};}y", "fixed text between"),
        ("x:{ts}{header:b};{?a:{query:a};}y", "fixed text between"),
        ("{?a:{?b:{query:b};};}y", "otherwise only fixed text"),
        ("{?a:{query:a};", "an unmatched brace"),
    ] {
        let error = Template::parse(text).unwrap_err().to_string();
        assert!(error.contains(problem), "{text}: {error}");
    }
    for text in ["x:{ts};{?a:{query:a};}", "{?a:{query:a};}b:{body}"] {
        assert!(Template::parse(text).is_ok(), "{text}");
    }
}
