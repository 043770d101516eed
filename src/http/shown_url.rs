//! A URL in words for the operator: without what must not be shown.

use super::record::Redaction;
use crate::store::headers::REDACTED;

/// Limits what is shown, in bytes: a request target may be as long as a whole head.
const MAX_SHOWN_BYTES: usize = 500;
const ELLIPSIS: &str = "...";

/// `hidden_path`: the random part of the path; empty where there is none.
pub fn shown_url(url: &str, hidden_path: &str, redaction: &Redaction) -> String {
    let (place, query) = url.split_once('?').map_or((url, None), |(place, query)| (place, Some(query)));
    let mut shown = without_password(place);
    if !hidden_path.is_empty() {
        shown = shown.replace(hidden_path, REDACTED);
    }
    if let Some(query) = query {
        shown.push('?');
        shown.push_str(redaction.query(query).as_deref().unwrap_or_default());
    }
    if shown.len() > MAX_SHOWN_BYTES {
        let end = (0..=MAX_SHOWN_BYTES).rev().find(|end| shown.is_char_boundary(*end)).unwrap_or_default();
        shown.truncate(end);
        shown.push_str(ELLIPSIS);
    }
    shown
}

/// Some providers take a user and a password in the URL.
fn without_password(place: &str) -> String {
    let Some((scheme, rest)) = place.split_once("://") else { return place.to_owned() };
    let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://{REDACTED}@{host}{path}"),
        None => place.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_is_shown_without_its_secrets() {
        let redaction = Redaction::new(&[], &["key".to_owned()]);
        let rows = [
            ("https://a.example/webhooks/x", "https://a.example/webhooks/x"),
            ("https://a.example/webhooks/x/", "https://a.example/webhooks/x/"),
            ("https://a.example/webhooks/x?", "https://a.example/webhooks/x?"),
            ("https://a.example/x?b=%20&key=s1&a=1", "https://a.example/x?b=%20&key=[redacted]&a=1"),
            ("https://u:p@a.example:8443/x?a=@", "https://[redacted]@a.example:8443/x?a=@"),
            ("https://u:p@a.example", "https://[redacted]@a.example"),
            ("https://a.example/webhooks/x/r4nd0m-p4rt", "https://a.example/webhooks/x/[redacted]"),
            ("https://a.example/in/r4nd0m-p4rt/?a=1", "https://a.example/in/[redacted]/?a=1"),
            ("/webhooks/x", "/webhooks/x"),
        ];
        for (url, shown) in rows {
            assert_eq!(shown_url(url, "r4nd0m-p4rt", &redaction), shown);
        }
    }

    #[test]
    fn long_url_is_cut() {
        let url = format!("https://a.example/?{}", "\u{e9}".repeat(70_000));
        let shown = shown_url(&url, "", &Redaction::new(&[], &[]));
        assert!(shown.len() <= MAX_SHOWN_BYTES + ELLIPSIS.len() && shown.ends_with(ELLIPSIS), "{shown}");
    }
}
