//! Every way of dividing a text is tried: only the genuine one may be accepted.

use super::*;
use crate::content::request::{Headers, Request};
use crate::content::view::{Texts, View};
use crate::scheme::template::Template;

const URL: &str = "https://h/p";

/// One way of dividing a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Reading {
    id: String,
    ts: String,
    url: String,
    body: String,
}

impl Reading {
    fn new(id: &str, ts: &str, url: &str, body: &str) -> Self {
        Self { id: id.to_owned(), ts: ts.to_owned(), url: url.to_owned(), body: body.to_owned() }
    }

    /// The signed text, if the request is acceptable.
    fn text(&self, template: &Template, unit: TimestampUnit) -> Option<Vec<u8>> {
        let fields = [("x-id", self.id.as_bytes())];
        let request = Request {
            method: "POST",
            target: "/p",
            query: "",
            url: &self.url,
            headers: Headers(&fields),
            body: self.body.as_bytes(),
            now: time::OffsetDateTime::UNIX_EPOCH,
        };
        let (view, texts) = (View::new(&request, None), Texts::default());
        let scope =
            TemplateScope { timestamp: Some(self.ts.as_bytes()), ..TemplateScope::new(&view, &texts) };
        let is_stamped = !template.has_timestamp() || unit.parse(self.ts.as_bytes()).is_ok();
        let is_divided = template.check_split(&template.split(Some(unit)), &scope).is_ok();
        (is_stamped && is_divided).then(|| template.render(&scope).ok())?
    }
}

/// All acceptable ways of dividing a text.
fn readings(template: &Template, unit: TimestampUnit, text: &str) -> Vec<Reading> {
    let mut found = Vec::new();
    divide(&template.0, unit, text, Reading::new("", "", URL, ""), &mut |reading| {
        if reading.text(template, unit).as_deref() == Some(text.as_bytes()) {
            found.push(reading);
        }
    });
    found
}

fn divide(
    parts: &[Part],
    unit: TimestampUnit,
    text: &str,
    reading: Reading,
    accept: &mut dyn FnMut(Reading),
) {
    let Some((part, rest)) = parts.split_first() else {
        if text.is_empty() {
            accept(reading);
        }
        return;
    };
    let fixed = match part {
        Part::Literal(literal) => Some(literal.as_str()),
        Part::Method => Some("POST"),
        _ => None,
    };
    if let Some(fixed) = fixed {
        if let Some(after) = text.strip_prefix(fixed) {
            divide(rest, unit, after, reading, accept);
        }
        return;
    }
    let first = if rest.is_empty() { text.len() } else { 0 };
    for end in (first..=text.len()).filter(|end| text.is_char_boundary(*end)) {
        let (value, after) = text.split_at(end);
        let mut next = reading.clone();
        let may_be = match part {
            Part::Timestamp => unit.parse(value.as_bytes()).is_ok(),
            Part::Place(_) => !value.is_empty() && value.trim() == value && !value.contains('\n'),
            Part::Url(_) => {
                value.starts_with(URL)
                    && !value[URL.len()..].contains([' ', '\n'])
                    && value[URL.len()..].starts_with('?')
                    || value == URL
            }
            _ => true,
        };
        if may_be {
            match part {
                Part::Timestamp => next.ts = value.to_owned(),
                Part::Place(_) => next.id = value.to_owned(),
                Part::Url(_) => next.url = value.to_owned(),
                _ => next.body = value.to_owned(),
            }
            divide(rest, unit, after, next, accept);
        }
    }
}

const DATES: [&str; 7] = [
    "2025-10-09T08:53:20Z",
    "2025-10-09T08:53:20.634234626Z",
    "2025-10-09T08:53:20",
    "2025-10-09T08:53:20.767",
    "2025-10-09T10:53:20+02:00",
    "2025-10-09T10:53:20+02",
    "20251009T085320Z",
];

fn stamps(unit: TimestampUnit) -> Vec<&'static str> {
    match unit {
        TimestampUnit::Seconds => vec!["1760000000"],
        TimestampUnit::Milliseconds => vec!["1760000000123"],
        TimestampUnit::SecondsOrMilliseconds => vec!["1760000000", "1760000000123"],
        TimestampUnit::Rfc3339 => DATES.to_vec(),
        TimestampUnit::Any => [&["1760000000", "1760000000123"], &DATES[..]].concat(),
        TimestampUnit::HttpDate => vec!["Thu, 09 Oct 2025 08:53:20 GMT", "Thu, 09 Oct 2025 08:53:20 +0000"],
    }
}

const UNITS: [TimestampUnit; 6] = [
    TimestampUnit::Seconds,
    TimestampUnit::Milliseconds,
    TimestampUnit::SecondsOrMilliseconds,
    TimestampUnit::Rfc3339,
    TimestampUnit::Any,
    TimestampUnit::HttpDate,
];

const TEMPLATES: [&str; 18] = [
    "{ts}{body}",
    "{ts}.{body}",
    "{ts}:{body}",
    "v1:{ts}:{body}",
    "{body}{ts}",
    "{body}.{ts}",
    "[{ts};{body}]",
    "{header:x-id}.{ts}.{body}",
    "{header:x-id}|{ts}|{body}",
    "{header:x-id}{ts}{body}",
    "{body}.{header:x-id}.{ts}",
    "{ts}\n{header:x-id}\n{body}\n",
    "{ts}.{header:x-id}.{body:structured}",
    "{ts}{header:x-id}{body:structured}",
    "{header:x-id}{body:structured}{ts}",
    "{url}{body:structured}",
    "{method}{url}{body:structured}{ts}",
    "{body:structured}{url}",
];

const BODIES: [&str; 27] = [
    r#"{"a":1}"#,
    r#"[{"a":"}"},{"b":".1760000001."}]"#,
    "",
    "5",
    "1.5",
    "0",
    "12345",
    r#""a.b""#,
    "Z{}",
    ".5Z{}",
    ":00:{}",
    "00",
    "a.1760000001.b",
    "a.1760000001123.2025-10-09T08:53:20Z.b",
    "Thu, 09 Oct 2025 08:53:21 GMT",
    "Mon, ",
    "x?a=https://h/p?b",
    "a.1760000001.{}",
    "a.1760000001. {\"b\":1}",
    "1760000001.[1]",
    "a1760000001.{}",
    "x2025-10-09T08:53:21Z.{}",
    "x2025-10-09T08:53:21Z{}",
    "{1760000001.{}",
    "a.1760000001.\u{feff}{}",
    "a|1760000001|{}",
    "\u{feff}{\"a\":\".1760000001.[\"}",
];

#[test]
fn text_can_be_divided_in_one_way() {
    let ids = [
        "msg_1",
        "a.b.176000000",
        "f1c2a387-161a-49f9-a165-0f21d7a4e1c4",
        "evt.17600000001234",
        "1",
        "2025",
        "evt.1760000001.x",
        "evt.1760000001",
        "evt|1760000001|x",
        "evt.1760000001.{",
        "evt2025-10-09T08:53:21Zx",
    ];
    let urls = [URL, "https://h/p?a=1", "https://h/p?a[]={", "https://h/p?a=https://h/p?b"];
    for (text, unit) in TEMPLATES.iter().flat_map(|text| UNITS.map(|unit| (*text, unit))) {
        let template = Template::parse(text).unwrap();
        if template.split(Some(unit)).ambiguity().is_some() {
            continue;
        }
        let (ids, urls) = (
            if text.contains("x-id") { &ids[..] } else { &ids[..1] },
            if text.contains("url") { &urls[..] } else { &urls[..1] },
        );
        let mut cases: Vec<(&str, &str, &str, &str)> = Vec::new();
        for (stamp, id) in stamps(unit).into_iter().flat_map(|stamp| ids.iter().map(move |id| (stamp, *id))) {
            for url in urls {
                cases.extend(BODIES.iter().map(|body| (stamp, id, *url, *body)));
            }
        }
        for (stamp, id, url, body) in cases {
            // The text that a sender signs, even if creel rejects it.
            let signed = text
                .replace("{ts}", stamp)
                .replace("{header:x-id}", id)
                .replace("{method}", "POST")
                .replace("{url}", url)
                .replace("{body:structured}", body)
                .replace("{body}", body);
            let found = readings(&template, unit, &signed);
            assert!(found.len() <= 1, "{text} {unit:?}: {found:#?}");
            let is_json = body.starts_with(['{', '[']) && !body.starts_with("{1");
            // If no timestamp follows, an id cannot hold the delimiter.
            let is_plain = !id.contains('.') || !text.contains(".{header:x-id}.");
            if is_json && is_plain && id.len() > 4 && url.len() < 20 {
                let accepted: Vec<&str> = found.iter().map(|found| found.body.as_str()).collect();
                assert_eq!(accepted, [body], "{text} {unit:?} {stamp} {id}");
            }
        }
    }
}

#[test]
fn ambiguous_text_is_reported() {
    let of = |text: &str, unit| Template::parse(text).unwrap().split(unit).ambiguity().map(str::to_owned);
    let seconds = Some(TimestampUnit::Seconds);
    for (text, unit, problem) in [
        ("{header:x-id}{body}", None, "between header x-id and the body"),
        ("{body}{header:x-id}", None, "between the body and header x-id"),
        ("{header:x-id}{ts}{body}", seconds, "between header x-id and the timestamp"),
        ("{header:x-id}{header:x-type}", None, "between header x-id and header x-type"),
        ("{url}{body}", None, "between the URL and the body"),
        ("{url}{sorted-form}", None, "between the URL and the form"),
        ("{ts}{header:x-id}{body}", seconds, "between header x-id and the body"),
        ("{body:json}{header:x-id}", None, "between the body and header x-id"),
    ] {
        let found = of(text, unit).unwrap_or_default();
        assert!(found.contains(problem), "{text}: {found}");
    }
    for (text, unit) in [
        ("{body}", None),
        ("{header:x-id}{ts}{body}", Some(TimestampUnit::Rfc3339)),
        ("{ts}{header:x-nonce}{secret}{body}", seconds),
        ("{header:x-id}.{header:x-type}.{body}", None),
        ("{digits-json:time}{json:type}", None),
        ("{url:no-query}{header:x-nonce}", None),
        ("{url}{body:structured}", None),
    ] {
        assert_eq!(of(text, unit), None, "{text}");
    }
}

#[test]
fn plain_digest_must_not_be_extensible() {
    for (text, is_extensible) in [
        ("{secret}{body}", true),
        ("{secret}{url}{body}", true),
        ("{secret}{body}x", true),
        ("{body}{secret}", false),
        ("{secret}{body:structured}", false),
        ("{secret}{body:json}", false),
        ("{secret}{body:sha256-hex}", false),
    ] {
        assert_eq!(Template::parse(text).unwrap().can_be_extended(), is_extensible, "{text}");
    }
}

#[test]
fn texts_of_one_key_must_differ() {
    let is_taken = |one: &str, other: &str| {
        let (one, other) = (Template::parse(one).unwrap(), Template::parse(other).unwrap());
        assert_eq!(one.can_be_taken_for(&other), other.can_be_taken_for(&one));
        one.can_be_taken_for(&other)
    };
    assert!(is_taken("{ts}:{body}", "{body}"));
    assert!(is_taken("{body}{ts}", "{body}"));
    assert!(!is_taken("{ts}:{body}", "{body:structured}"));
    assert!(!is_taken("{header:a}.{ts}.{body}", "{header:b}.{ts}.{body}"));
    assert!(!is_taken("{body:sorted}{ts}", "{body}{ts}"));
}
