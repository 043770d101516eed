//! The text before a token: the name of an authentication scheme (`Bearer`), or any other fixed
//! text (`token=`).

use std::borrow::Cow;

/// The text before a token. Trailing blanks are ignored: environment files lose them, and a token
/// never starts with one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthScheme(String);

impl AuthScheme {
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    pub const fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it is a scheme name (RFC 9110, 11.1): case-insensitive, followed by one or more
    /// blanks.
    pub fn is_name(&self) -> bool {
        self.0.bytes().last().is_some_and(|byte| byte.is_ascii_alphanumeric())
    }

    /// The text as a sender writes it before the token.
    pub fn written(&self) -> Cow<'_, str> {
        if self.is_name() { Cow::Owned(format!("{} ", self.0)) } else { Cow::Borrowed(&self.0) }
    }

    /// Returns the rest of a header value after the scheme; `None` if the value has another scheme
    /// or none. The exact text may also directly precede the token: some configured texts look like
    /// scheme names but are not.
    pub fn strip<'a>(&self, value: &'a [u8]) -> Option<&'a [u8]> {
        if self.is_none() {
            return Some(value);
        }
        let (begin, token) = value.split_at_checked(self.0.len())?;
        let is_name = self.is_name() && begin.eq_ignore_ascii_case(self.0.as_bytes());
        let follows_name = is_name && token.first().is_some_and(is_blank);
        let is_literal = begin == self.0.as_bytes() && !(self.is_name() && token.is_empty());
        (follows_name || is_literal).then(|| trim_blanks(token))
    }
}

fn trim_blanks(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_blank(first)
    {
        text = rest;
    }
    text
}

const fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(scheme: &str, value: &str) -> Option<String> {
        let token = AuthScheme::new(scheme).strip(value.as_bytes()).map(<[u8]>::to_vec);
        token.map(|token| String::from_utf8(token).unwrap())
    }

    #[test]
    fn scheme_name_needs_no_trailing_blank() {
        for scheme in ["Bearer", "Bearer ", "bearer", " BEARER\t"] {
            for value in ["Bearer abc", "bearer abc", "BEARER   abc", "Bearer \t abc"] {
                assert_eq!(token(scheme, value).as_deref(), Some("abc"), "{scheme:?} {value:?}");
            }
            for value in ["bEARERabc", "Bearer", "Basic abc", "abc", ""] {
                assert_eq!(token(scheme, value), None, "{scheme:?} {value:?}");
            }
        }
    }

    #[test]
    fn other_scheme_text_is_matched_exactly() {
        for scheme in ["token=", "token= ", "Token token="] {
            let value = format!("{}abc", scheme.trim());
            assert_eq!(token(scheme, &value).as_deref(), Some("abc"), "{scheme}");
            assert_eq!(token(scheme, &value.to_uppercase()), None, "{scheme}");
        }
        assert_eq!(token("Key:", "Key: abc").as_deref(), Some("abc"));
        assert_eq!(token("", "Bearer abc").as_deref(), Some("Bearer abc"));
    }

    #[test]
    fn scheme_text_directly_before_token_is_accepted() {
        assert_eq!(token("pre", "preabc").as_deref(), Some("abc"));
        assert_eq!(token("SharedAccess", "SharedAccessabc").as_deref(), Some("abc"));
        assert_eq!(token("SharedAccess", "SharedAccess abc").as_deref(), Some("abc"));
        assert_eq!(token("SharedAccess", "sharedaccessabc"), None);
    }

    #[test]
    fn scheme_is_written_as_parsed() {
        for (scheme, written) in
            [("Bearer", "Bearer "), ("Bearer ", "Bearer "), ("token=", "token="), ("", "")]
        {
            assert_eq!(AuthScheme::new(scheme).written(), written);
            assert_eq!(token(scheme, &format!("{written}abc")).as_deref(), Some("abc"));
        }
    }
}
