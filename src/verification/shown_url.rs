//! A URL as shown to the operator, without secrets.

use std::borrow::Cow;

use crate::store::headers::REDACTED;
use crate::verification::redaction::Redaction;

/// Maximum size of the shown URL, in bytes: a request target may be as long as a whole head.
const MAX_SHOWN_BYTES: usize = 500;
const ELLIPSIS: &str = "...";
/// Words in the name of a query field whose value may be a credential, for any provider.
const SECRET_WORDS: [&str; 13] = [
    "token",
    "secret",
    "sig",
    "signature",
    "password",
    "passwd",
    "pwd",
    "pass",
    "key",
    "code",
    "auth",
    "hmac",
    "hash",
];
/// Endings of names that consist of several words without a separator, such as `accesstoken` and
/// `apikey`.
const SECRET_ENDS: [&str; 6] = ["token", "secret", "signature", "password", "apikey", "authkey"];

/// Returns the URL without its secrets. `hidden_path`: the random part of the path, or empty.
pub fn shown_url(url: &str, hidden_path: &str, redaction: &Redaction) -> String {
    let (place, query) = url.split_once('?').map_or((url, None), |(place, query)| (place, Some(query)));
    let mut shown = without_password(place);
    if !hidden_path.is_empty() {
        shown = shown.replace(hidden_path, REDACTED);
    }
    if let Some(query) = query {
        shown.push('?');
        let query = redaction.query(query).unwrap_or_default();
        shown.push_str(&query.split('&').map(without_credential).collect::<Vec<_>>().join("&"));
    }
    if shown.len() > MAX_SHOWN_BYTES {
        let end = (0..=MAX_SHOWN_BYTES).rev().find(|end| shown.is_char_boundary(*end)).unwrap_or_default();
        shown.truncate(end);
        shown.push_str(ELLIPSIS);
    }
    shown
}

/// Returns a query field, with its value redacted if its name is that of a credential.
fn without_credential(field: &str) -> Cow<'_, str> {
    match field.split_once('=') {
        Some((name, value)) if !value.is_empty() && names_credential(name) => {
            Cow::Owned(format!("{name}={REDACTED}"))
        }
        _ => Cow::Borrowed(field),
    }
}

/// Whether a word of the decoded name stands for a credential: `api_key`, `api-key`, `apiKey` and
/// `X-Amz-Signature` match, `monkey` does not.
fn names_credential(name: &str) -> bool {
    let Some((name, _)) = form_urlencoded::parse(name.as_bytes()).next() else { return false };
    let mut words = String::with_capacity(name.len() + 4);
    let mut after_lower = false;
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && after_lower {
            words.push(' ');
        }
        after_lower = letter.is_ascii_lowercase() || letter.is_ascii_digit();
        words.push(if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { ' ' });
    }
    words.split_ascii_whitespace().any(|word| {
        let word = word.trim_end_matches(|letter: char| letter.is_ascii_digit());
        SECRET_WORDS.contains(&word) || SECRET_ENDS.iter().any(|end| word.ends_with(end))
    })
}

/// Redacts the user and password, which some providers take in the URL.
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
    fn query_values_of_credential_names_are_redacted() {
        let secret = [
            "token",
            "access_token",
            "accessToken",
            "accesstoken",
            "api_key",
            "api-key",
            "apiKey",
            "APIKEY",
            "key",
            "secret",
            "client_secret",
            "sig",
            "signature",
            "X-Amz-Signature",
            "password",
            "code",
            "t%6Fken",
            "auth[key]",
            "token2",
            "_token",
        ];
        let plain =
            ["id", "monkey", "author", "design", "keyword", "barcodes", "passenger", "shop", "signal"];
        let redaction = Redaction::new(&[], &[]);
        for (name, value) in
            secret.map(|name| (name, REDACTED)).into_iter().chain(plain.map(|name| (name, "s1")))
        {
            let shown = shown_url(&format!("https://a.example/x?a=1&{name}=s1&{name}="), "", &redaction);
            assert_eq!(shown, format!("https://a.example/x?a=1&{name}={value}&{name}="));
        }
    }

    #[test]
    fn long_url_is_cut() {
        let url = format!("https://a.example/?{}", "\u{e9}".repeat(70_000));
        let shown = shown_url(&url, "", &Redaction::new(&[], &[]));
        assert!(shown.len() <= MAX_SHOWN_BYTES + ELLIPSIS.len() && shown.ends_with(ELLIPSIS), "{shown}");
    }
}
