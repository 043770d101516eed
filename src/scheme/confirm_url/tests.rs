//! URLs of confirmations.

use super::*;
use crate::content::request::Secret;

fn url(template: &str) -> Result<ConfirmUrl, SyntaxError> {
    let mut texts = Texts::default();
    texts.insert("base", vec![Secret::new("https://api.example.com/v2/payments/")]);
    ConfirmUrl::new(&Template::parse(template).unwrap(), &texts)
}

fn filled(template: &str, value: &str) -> Result<String, ConfirmUrlError> {
    url(template).unwrap().fill(|_| Some(value))
}

#[test]
fn value_remains_one_segment_or_one_value() {
    let rows = [
        ("abc", "abc"),
        ("a/b", "a%2Fb"),
        ("a?b=c#d", "a%3Fb%3Dc%23d"),
        ("a&b=c;d", "a%26b%3Dc%3Bd"),
        ("%2e%2e%2f", "%252e%252e%252f"),
        ("a b+c", "a%20b%2Bc"),
        ("a:b@c", "a%3Ab%40c"),
        ("grün", "gr%C3%BCn"),
        ("...", "..."),
        ("a..b", "a..b"),
        ("~-._", "~-._"),
    ];
    for (value, encoded) in rows {
        let expected = format!("https://api.example.com/p/{encoded}/state?id={encoded}&x=1");
        let template = "https://api.example.com/p/{query:id}/state?id={query:id}&x=1";
        assert_eq!(filled(template, value), Ok(expected), "{value}");
    }
    assert_eq!(
        filled("{setting:base}{form:id}", "tr_1").unwrap(),
        "https://api.example.com/v2/payments/tr_1"
    );
    assert_eq!(
        filled("https://api.example.com?id={json:/data/id}", "7").unwrap(),
        "https://api.example.com?id=7"
    );
}

#[test]
fn value_that_changes_path_is_rejected() {
    let template = "https://api.example.com/p/{query:id}";
    for value in
        ["", ".", "..", "../admin", "a/../b", "..\\admin", "a\nb", "\0", &"x".repeat(MAX_VALUE_BYTES + 1)]
    {
        let problem = filled(template, value).unwrap_err().to_string();
        assert!(problem.starts_with("query field id "), "{value:?}: {problem}");
    }
    assert!(filled("https://api.example.com/{query:a}{query:b}", ".").is_err());
    assert!(filled("https://api.example.com/%2e{query:a}", ".").is_err());
    assert!(filled("https://api.example.com/?id={query:id}", "..").is_ok(), "a query has no segments");
    let missing = url(template).unwrap().fill(|_| None);
    assert_eq!(missing.unwrap_err().to_string(), "query field id is missing");
}

proptest::proptest! {
    #[test]
    fn no_value_changes_host_path_or_query_around_it(value in "(\\PC|[./\\\\%?#&;=@:+ \\x00-\\x1f]){0,40}") {
        let template = "https://api.example.com/p/{query:id}/state?id={query:id}&x=1";
        let Ok(filled) = filled(template, &value) else { return Ok(()) };
        let url = url::Url::parse(&filled).unwrap();
        proptest::prop_assert_eq!(url.origin().ascii_serialization(), "https://api.example.com");
        let segments: Vec<&str> = url.path_segments().unwrap().collect();
        proptest::prop_assert_eq!((segments.len(), segments[0], segments[2]), (3, "p", "state"));
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let expected = [("id".to_owned(), value.clone()), ("x".to_owned(), "1".to_owned())];
        proptest::prop_assert_eq!(pairs, expected);
        proptest::prop_assert!(url.fragment().is_none());
    }
}

#[test]
fn values_are_allowed_only_in_path_and_query() {
    for text in [
        "{query:url}",
        "https://{query:host}/p",
        "https://api.example.com{query:host}/p",
        "https://api.example.com:{query:port}/p",
        "{query:scheme}://api.example.com/",
        "https://user:{query:p}@api.example.com/",
    ] {
        let problem = url(text).unwrap_err().to_string();
        assert!(problem.contains("never in scheme, host or port"), "{text}: {problem}");
    }
    for (text, problem) in [
        ("ftp://api.example.com/{query:id}", "not an absolute http"),
        ("https:/api.example.com/{query:id}", "never in scheme"),
        ("https://api.example.com/ {query:id}", "not an absolute http"),
        ("https://api.example.com\\{query:id}/", "never in scheme"),
        ("https://me:secret@api.example.com/{query:id}", "user name or password"),
        ("https://api.example.com/{query:id}#x", "fragment"),
        ("https://api.example.com/a/../{query:id}", "as a segment"),
        ("https://api.example.com//{query:id}", "empty segment"),
        ("https://api.example.com/{body}", "{body}"),
        ("https://api.example.com/{ts}", "may contain only values"),
        ("https://api.example.com/{setting:other}", "needs the setting `other`"),
    ] {
        let found = url(text).unwrap_err().to_string();
        assert!(found.contains(problem) && !found.contains("secret"), "{text}: {found}");
    }
}

#[test]
fn only_origin_of_url_is_shown() {
    let url = url("https://api.example.com:8443/p/{query:id}?key=s3cret").unwrap();
    assert_eq!(url.origin(), "https://api.example.com:8443");
    assert_eq!(format!("{url:?}"), "[redacted]");
}
