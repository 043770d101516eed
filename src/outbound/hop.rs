//! Header fields for one connection or one hop, which must not be forwarded.

use std::borrow::Cow;

/// Fields that apply only between two hosts (RFC 9110, section 7.6.1), and fields that identify the
/// client.
const FIELDS: [&str; 18] = [
    "accept-encoding",
    "cdn-loop",
    "connection",
    "content-length",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "max-forwards",
    "te",
    "trailer",
    "transfer-encoding",
    "true-client-ip",
    "upgrade",
    "via",
    "x-client-ip",
    "x-real-ip",
];
/// Prefixes of proxy fields and of creel's own.
const PREFIXES: [&str; 4] = ["proxy-", "x-forwarded-", "cf-", "creel-"];
/// Fields that describe the body: a `Connection` field that lists them is invalid (RFC 9110,
/// section 7.6.1) and must not make the body unreadable.
const ABOUT_BODY: [&str; 2] = ["content-type", "content-encoding"];

/// Header fields of a request: names with the bytes of their values.
pub type HeaderFields<'a> = Vec<(Cow<'a, str>, Cow<'a, [u8]>)>;

/// Removes the fields that are not for the recipient of a forwarded message: hop-by-hop fields,
/// those that a `Connection` field lists, and creel's own. Names are in lower case.
pub fn remove_hop_fields(fields: &mut HeaderFields<'_>) {
    let named = named_in_connection(fields);
    fields.retain(|(name, _)| !belongs_to_hop(name) && !named.iter().any(|other| other == name));
}

/// Returns the name as CGI and WSGI servers read it: to them, `creel_method` and `creel-method` are
/// the same variable.
pub fn as_variable(name: &str) -> Cow<'_, str> {
    if name.contains('_') { Cow::Owned(name.replace('_', "-")) } else { Cow::Borrowed(name) }
}

fn belongs_to_hop(name: &str) -> bool {
    let name = as_variable(name);
    FIELDS.contains(&&*name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

fn named_in_connection(fields: &[(Cow<'_, str>, Cow<'_, [u8]>)]) -> Vec<String> {
    let values = fields.iter().filter(|(name, _)| name == "connection").map(|(_, value)| value);
    let options = values.flat_map(|value| value.split(|byte| *byte == b','));
    let names = options.map(|option| String::from_utf8_lossy(option.trim_ascii()).to_ascii_lowercase());
    names.filter(|name| !ABOUT_BODY.contains(&name.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(fields: &[(&str, &str)]) -> Vec<String> {
        let field = |(name, value): &(&str, &str)| {
            (Cow::Owned((*name).to_owned()), Cow::Owned(value.as_bytes().to_vec()))
        };
        let mut fields: Vec<_> = fields.iter().map(field).collect();
        remove_hop_fields(&mut fields);
        fields.into_iter().map(|(name, _)| name.into_owned()).collect()
    }

    #[test]
    fn fields_named_in_connection_are_removed() {
        let fields =
            |connection| [("connection", connection), ("content-type", "a/b"), ("x-a", "1"), ("x-b", "2")];
        let rows: [(&str, &[&str]); 7] = [
            ("close", &["content-type", "x-a", "x-b"]),
            ("x-a", &["content-type", "x-b"]),
            ("keep-alive, X-A", &["content-type", "x-b"]),
            (" \t,, x-A \t, x-b,", &["content-type"]),
            ("x-a;q=1, x", &["content-type", "x-a", "x-b"]),
            ("Content-Type, x-b", &["content-type", "x-a"]),
            ("\u{fc}, x-b", &["content-type", "x-a"]),
        ];
        for (connection, expected) in rows {
            assert_eq!(left(&fields(connection)), expected, "{connection:?}");
        }
    }

    #[test]
    fn repeated_connection_fields_all_count() {
        let fields =
            [("connection", "x-a"), ("connection", "x-b, close"), ("x-a", "1"), ("x-b", "2"), ("x-c", "3")];
        assert_eq!(left(&fields), ["x-c"]);
    }

    #[test]
    fn underscores_do_not_disguise_a_field() {
        let names = [
            "creel_method",
            "Creel".to_ascii_lowercase().as_str(),
            "x_forwarded_for",
            "content_length",
            "x_own",
        ]
        .map(str::to_owned);
        let fields: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "v")).collect();
        assert_eq!(left(&fields), ["creel", "x_own"]);
    }
}
