//! Layouts with arbitrary header values, places in arbitrary requests, and arbitrary rules of
//! recipes. The first line is a rule as in a recipe, the second a header's value; the rest is a
//! request.
#![no_main]

use std::sync::LazyLock;

use creel::testing::Cause;
use creel::testing::condition::RequestCondition;
use creel::testing::encoding::Encoding;
use creel::testing::layout::{Layout, MAX_CANDIDATES};
use creel::testing::place::Place;
use creel::testing::template::{Template, TemplateScope};
use creel::testing::view::{Texts, View};
use creel_fuzz::{Sent, line};

/// Layouts of the built-in recipes, at least one of each kind and separator, with the names of
/// their parts.
static LAYOUTS: LazyLock<Vec<(Layout, &[&str])>> = LazyLock::new(|| {
    let of_recipes: [(&str, &[&str]); 18] = [
        ("{signature}", &[]),
        ("sha256={signature}", &[]),
        ("sha256 {signature}", &[]),
        ("v0={signature}", &[]),
        ("v1,{signature} v1,{signature}", &[]),
        ("v1a,{signature} v1a,{signature}", &[]),
        ("v1={signature},v1={signature}", &[]),
        ("t={ts},v1={signature}", &["ts"]),
        ("t={ts}, v1={signature}", &["ts"]),
        ("t={ts},v0={signature}", &["ts"]),
        ("t={ts}&s={signature}", &["ts"]),
        ("sha256={signature}, t={ts}", &["ts"]),
        ("ts={ts};h1={signature}", &["ts"]),
        ("ts={ts},v1={signature}", &["ts"]),
        ("time={ts},sig1={signature}", &["ts"]),
        ("timestamp={ts},signature={signature}", &["ts"]),
        ("t={ts},v1={signature} t={ts},v1={signature}", &["ts"]),
        ("{ts},{signature},{signature}", &["ts"]),
    ];
    of_recipes
        .into_iter()
        .map(|(text, parts)| (Layout::parse(text).expect("a recipe has this layout"), parts))
        .collect()
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let (rule, rest) = line(data);
    let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    let (value, rest) = (&rest[..end], rest.get(end + 1..).unwrap_or_default());
    for (layout, parts) in LAYOUTS.iter() {
        read(layout, parts, value);
        write(layout, parts, value);
    }
    if let Ok(layout) = Layout::parse(&rule) {
        read(&layout, &["ts"], value);
        let _ = layout.compose("00", |_| "1".to_owned());
    }
    let sent = Sent::read(rest);
    sent.put(|request| {
        let view = View::new(request, Some("payload"));
        exercise(&rule, &view);
    });
});

/// Checks that every result is a slice of the value.
fn read(layout: &Layout, parts: &[&str], value: &[u8]) {
    let inside = |found: &[u8]| {
        let (whole, part) = (value.as_ptr_range(), found.as_ptr_range());
        assert!(whole.start <= part.start && part.end <= whole.end, "{layout:?}");
    };
    let groups: Vec<&[u8]> = layout.groups(value).collect();
    assert!(groups.len() <= MAX_CANDIDATES, "{layout:?}");
    for group in groups {
        inside(group);
        if let Ok(candidates) = layout.candidates(group) {
            assert!(!candidates.as_slice().is_empty(), "{layout:?}");
            candidates.as_slice().iter().for_each(|candidate| inside(candidate));
        }
        for part in parts {
            if let Ok(found) = layout.named(group, part) {
                inside(found);
                assert!(layout.has(part), "{layout:?}");
            }
        }
        assert_eq!(layout.named(group, "none of the parts").ok(), None, "{layout:?}");
    }
}

/// Checks that reading a composed value returns exactly its signature.
fn write(layout: &Layout, parts: &[&str], bytes: &[u8]) {
    for encoding in [Encoding::Hex, Encoding::Base64, Encoding::Base64Url] {
        let signature = encoding.encode(bytes);
        if signature.is_empty() {
            continue;
        }
        assert_eq!(
            encoding.decode_any(signature.as_bytes()).is_some(),
            signature.len() <= 2_048,
            "{signature}"
        );
        let value = layout.compose(&signature, |_| "1760000000".to_owned());
        let groups: Vec<&[u8]> = layout.groups(value.as_bytes()).collect();
        assert_eq!(groups.len(), 1, "{value}");
        let candidates = layout.candidates(groups[0]).unwrap_or_else(|cause| panic!("{value}: {cause:?}"));
        assert_eq!(candidates.as_slice(), [signature.as_bytes()], "{value}");
        for part in parts {
            assert_eq!(layout.named(groups[0], part), Ok(&b"1760000000"[..]), "{value}");
        }
    }
}

fn exercise(rule: &str, view: &View<'_>) {
    let texts = Texts::default();
    if let Ok(place) = Place::parse(rule) {
        let found = place.find(view);
        assert!(!matches!(&found, Ok(Some(value)) if value.is_empty()), "{place}");
        if let (Place::Header(name), Ok(_)) = (&place, &found) {
            let times = view.request.headers.0.iter().filter(|(field, _)| field == name).count();
            assert!(times <= 1, "{place} occurs {times} times");
        }
        let required = place.require(view).map(std::borrow::Cow::into_owned);
        assert_eq!(
            required,
            found.and_then(|value| value.map(std::borrow::Cow::into_owned).ok_or(Cause::MissingHeader))
        );
    }
    if let (Ok(there), Ok(not_there)) =
        (RequestCondition::parse(rule), RequestCondition::parse(&format!("no {rule}")))
    {
        if there.literal().is_none() && there.setting().is_none() && !rule.starts_with("no ") {
            let there = there.holds(view, &texts);
            assert_eq!(not_there.holds(view, &texts), there.map(|holds| !holds), "{rule}");
        }
    }
    if let Ok(template) = Template::parse(rule) {
        let scope = TemplateScope::new(view, &texts);
        let rendered = template.render(&scope);
        // JSON rendering escapes the same text, so it must fail if plain rendering fails.
        assert!(rendered.is_ok() || template.render_json(&scope).is_err(), "{rule}");
    }
}
