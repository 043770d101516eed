//! Layouts by example, and the signatures that they find.

use super::*;

fn found(layout: &str, value: &str) -> Result<Vec<String>, Cause> {
    let layout = Layout::parse(layout).unwrap();
    let mut all = Vec::new();
    for group in layout.groups(value.as_bytes()) {
        let candidates = layout.candidates(group)?;
        all.extend(candidates.as_slice().iter().map(|text| String::from_utf8_lossy(text).into_owned()));
    }
    Ok(all)
}

#[test]
fn prefix_distinguishes_other_algorithms_from_garbage() {
    let layout = "sha256={signature}";
    assert_eq!(found(layout, "sha256=ab"), Ok(vec!["ab".into()]));
    assert_eq!(found(layout, "sha256="), Ok(vec![String::new()]));
    for other in ["md5=ab", "sha1=ab", "SHA256=ab", "sha512="] {
        assert_eq!(found(layout, other), Err(Cause::UnknownAlgorithm), "{other}");
    }
    for nonsense in ["ab", "=ab", "sha256", "wK8O5GHIQS3QMLzjXuCGXP/ApCQzeJOOH4AuAaf59Yw="] {
        assert_eq!(found(layout, nonsense), Err(Cause::MalformedSignature), "{nonsense}");
    }
}

#[test]
fn list_yields_every_labelled_element() {
    let layout = "v1,{signature} v1,{signature}";
    assert_eq!(found(layout, "v1,a v2,b  v1,c"), Ok(vec!["a".into(), "c".into()]));
    assert_eq!(found(layout, "v9,a"), Err(Cause::UnknownAlgorithm));
    assert_eq!(found(layout, "a"), Err(Cause::MalformedSignature));
    assert_eq!(found("v1={signature},v1={signature}", "v1=a,v1=b,v2=c"), Ok(vec!["a".into(), "b".into()]));
    assert_eq!(found("{signature},{signature}", "a,b"), Ok(vec!["a".into(), "b".into()]));
}

#[test]
fn pairs_yield_signatures_and_one_named_value() {
    let layout = Layout::parse("t={ts},v1={signature}").unwrap();
    assert_eq!(found("t={ts},v1={signature}", "t=1, v1=a,v0=x,v1=b"), Ok(vec!["a".into(), "b".into()]));
    assert_eq!(found("t={ts},v1={signature}", "t=1,v9=a"), Err(Cause::UnknownAlgorithm));
    assert_eq!(layout.named(b"v1=a,t=1", "ts"), Ok(&b"1"[..]));
    assert_eq!(layout.named(b"t=1,t=2,v1=a", "ts"), Err(Cause::MalformedSignature));
    assert_eq!(layout.named(b"v1=a", "ts"), Err(Cause::MalformedSignature));
    assert!(layout.has("ts") && !layout.has("env"));
}

#[test]
fn groups_and_positions_are_read() {
    let groups = "t={ts},v1={signature} t={ts},v1={signature}";
    assert!(matches!(Layout::parse(groups), Ok(Layout::Groups(_))));
    assert_eq!(found(groups, "t=1,v1=a t=2,v1=b"), Ok(vec!["a".into(), "b".into()]));
    let positions = Layout::parse("{ts},{signature},{signature}").unwrap();
    assert_eq!(positions.named(b"1,a,b", "ts"), Ok(&b"1"[..]));
    assert_eq!(found("{ts},{signature},{signature}", "1,a,b"), Ok(vec!["a".into(), "b".into()]));
    assert_eq!(found("{ts},{signature}", "1"), Err(Cause::MalformedSignature));
}

#[test]
fn composed_value_matches_the_senders() {
    let part = |name: &str| if name == "ts" { "1".to_owned() } else { "master".to_owned() };
    let rows = [
        ("{signature}", "s"),
        ("sha256 {signature}", "sha256 s"),
        ("v1,{signature} v1,{signature}", "v1,s"),
        ("t={ts}, v1={signature}", "t=1, v1=s"),
        ("ts={ts};h1={signature}", "ts=1;h1=s"),
        ("t={ts}&s={signature}", "t=1&s=s"),
        ("sign={signature}, env={env}, t={ts}", "sign=s, env=master, t=1"),
        ("{ts},{signature}", "1,s"),
    ];
    for (layout, value) in rows {
        assert_eq!(Layout::parse(layout).unwrap().compose("s", part), value, "{layout}");
        assert_eq!(found(layout, value), Ok(vec!["s".to_owned()]), "{layout}");
    }
}

#[test]
fn invalid_example_is_rejected_with_reason() {
    for (layout, problem) in [
        ("sha256=", "has no place for the signature"),
        ("t={ts}", "has no place for the signature"),
        ("{signature", "an unmatched brace"),
        ("<{signature}>", "not supported"),
        ("t={ts},{signature}", "mixes pairs"),
    ] {
        let error = Layout::parse(layout).unwrap_err().to_string();
        assert!(error.contains(problem), "{layout}: {error}");
    }
}

#[test]
fn too_many_candidates_are_rejected_unread() {
    let layout = "v1,{signature} v1,{signature}";
    assert_eq!(found(layout, &"v1,a ".repeat(MAX_CANDIDATES)).map(|all| all.len()), Ok(MAX_CANDIDATES));
    assert_eq!(found(layout, &"v1,a ".repeat(1_000)), Err(Cause::MalformedSignature));
}

fn groups(layout: &str, value: &str) -> Vec<String> {
    let layout = Layout::parse(layout).unwrap();
    let groups = layout.groups(value.as_bytes());
    groups.map(|group| String::from_utf8_lossy(group).into_owned()).collect()
}

#[test]
fn joined_lines_of_pairs_are_separated() {
    let pairs = "t={ts},v1={signature}";
    let rows: [(&str, &str, &[&str]); 14] = [
        (pairs, "t=1,v1=a, t=2,v1=b", &["t=1,v1=a", "t=2,v1=b"]),
        (pairs, "t=1,v1=a,v1=b,t=2,v0=x,v1=c", &["t=1,v1=a,v1=b", "t=2,v0=x,v1=c"]),
        (pairs, "v1=a,t=1, v1=b,t=2", &["v1=a,t=1", "v1=b,t=2"]),
        (pairs, "v1=a,v1=b,t=1,v1=c,t=2", &["v1=a,v1=b,t=1", "v1=c,t=2"]),
        (
            "sign={signature}, env={env}, t={ts}",
            "sign=a, env=m, t=1, sign=b, env=m, t=2",
            &["sign=a, env=m, t=1", "sign=b, env=m, t=2"],
        ),
        ("ts={ts};h1={signature}", "ts=1;h1=a, ts=2;h1=b", &["ts=1;h1=a", "ts=2;h1=b"]),
        ("t={ts}&s={signature}", "t=1&s=a,t=2&s=b", &["t=1&s=a", "t=2&s=b"]),
        ("h={names};s={signature}", "h=a,b;s=c", &["h=a,b;s=c"]),
        // One group, with an ambiguous part or an unusual order.
        (pairs, "t=1,t=2,v1=a", &["t=1,t=2,v1=a"]),
        (pairs, "t=1,v1=a,t=2", &["t=1,v1=a,t=2"]),
        (pairs, "v1=a,t=1,v1=b", &["v1=a,t=1,v1=b"]),
        (pairs, "t=1,v1=a,v0=x,v1=b", &["t=1,v1=a,v0=x,v1=b"]),
        (pairs, "", &[""]),
        (pairs, ",,", &[",,"]),
    ];
    for (layout, value, expected) in rows {
        assert_eq!(groups(layout, value), expected, "{value}");
    }
    let many = "t=1,v1=a,".repeat(MAX_JOINED_LINES + 1);
    assert_eq!(groups(pairs, &many), [many.as_str()]);
}

#[test]
fn joined_lines_of_a_list_are_one_list() {
    for (layout, value) in [
        ("v1,{signature} v1,{signature}", "v1,a, v1,b"),
        ("v1,{signature} v1,{signature}", "v1,a,v1,b"),
        ("v1={signature} v1={signature}", "v1=a,v1=b"),
        ("v1={signature},v1={signature}", "v1=a , v1=b,"),
        ("{signature},{signature}", "a,, b"),
    ] {
        assert_eq!(found(layout, value), Ok(vec!["a".into(), "b".into()]), "{value}");
    }
}

#[test]
fn repeated_header_becomes_a_list() {
    for (layout, joined) in [("{signature}", "a, b"), ("sha256={signature}", "sha256=a,sha256=b")] {
        let single = Layout::parse(layout).unwrap();
        assert!(!single.is_list());
        let repeated = single.clone().repeated();
        let candidates = repeated.candidates(joined.as_bytes()).unwrap();
        assert_eq!(candidates.as_slice(), [b"a", b"b"], "{layout}");
        let part = |_: &str| String::new();
        assert_eq!(repeated.compose("s", part), single.compose("s", part));
    }
}
