//! Request input, parsed at the edge: ids, query parameters, JSON bodies. Errors name the invalid
//! field, and unknown fields are errors.

use std::fmt::Write as _;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::str::FromStr;

use actix_web::http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, dev, web};
use bytes::Bytes;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_path_to_error::{Path, Segment};

use super::error::ApiError;
use crate::http::client::client_address;
use crate::http::escape::{EscapedText, LogValue};
use crate::http::network::Network;
use crate::http::service::Service;
use crate::http::tokens::Role;
use crate::http::{body, framing};
use crate::providers::{charset, json};

/// Limit on request bodies, except for events.
const MAX_BODY_BYTES: usize = 1 << 20;
const MAX_LISTENER_CHARACTERS: usize = 64;
/// Limit on each name in the path of an invalid value.
const MAX_SHOWN_CHARACTERS: usize = 60;

impl FromRequest for Role {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        // The guard has inserted the role.
        ready(request.extensions().get::<Self>().copied().ok_or(ApiError::Unauthorized))
    }
}

impl Role {
    /// Requires the admin token.
    ///
    /// # Errors
    /// `Forbidden` for all other tokens; `what` names the operation.
    pub fn must_be_admin(self, what: &'static str) -> Result<(), ApiError> {
        if self == Self::Admin { Ok(()) } else { Err(ApiError::Forbidden(what)) }
    }
}

/// The id in the path, at least 1.
#[derive(Clone, Copy, Debug)]
pub struct Id<T>(pub T);

impl<T: FromStr + Default + PartialOrd> FromRequest for Id<T> {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        let text = request.match_info().get("id").unwrap_or_default();
        let id = text.parse::<T>().ok().filter(|id| *id > T::default());
        ready(id.map(Self).ok_or(ApiError::NoSuchId))
    }
}

/// The listener name in the path.
#[derive(Clone, Debug)]
pub struct ListenerName(pub String);

impl FromRequest for ListenerName {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        let text = request.match_info().get("name").unwrap_or_default();
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_name = (1..=MAX_LISTENER_CHARACTERS).contains(&text.len()) && text.bytes().all(is_plain);
        ready(is_name.then(|| Self(text.to_owned())).ok_or(ApiError::InvalidListenerName))
    }
}

/// The query parameters; each field of `T` must be optional.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequest for Query<T> {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        ready(parse_query(request.query_string()).map(Self).map_err(ApiError::InvalidQuery))
    }
}

/// Rejects all query parameters, for paths that have none.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoParameters {}

/// Parses an id in the query.
///
/// # Errors
/// If the value is not a whole number of at least 1.
pub fn id_from_1<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de> + Default + PartialOrd,
    D: Deserializer<'de>,
{
    // The default is the position before all rows.
    let id = Option::<T>::deserialize(deserializer)?;
    match id.as_ref().is_some_and(|id| *id <= T::default()) {
        true => Err(D::Error::custom("must be at least 1")),
        false => Ok(id),
    }
}

fn parse_query<T: DeserializeOwned>(query: &str) -> Result<T, String> {
    let pairs = form_urlencoded::parse(query.as_bytes());
    let parsed = serde_path_to_error::deserialize(serde_urlencoded::Deserializer::new(pairs));
    parsed.map_err(|error| named(error.path(), &error.inner().to_string()))
}

/// Formats a problem with the name of its field.
fn named(path: &Path, problem: &str) -> String {
    // The text of these problems names the field.
    let is_named = ["unknown field", "duplicate field"].iter().any(|start| problem.starts_with(start));
    let field = if is_named { String::new() } else { field(path) };
    let separator = if field.is_empty() { "" } else { ": " };
    let mut text = EscapedText(format!("{field}{separator}"));
    // Writing into a string cannot fail.
    let _ = text.write_str(problem);
    text.0
}

/// Returns the path of a field, such as `filter[0].pointer`; empty for the whole value. Keys of a
/// map come from the client, so they are truncated and escaped.
fn field(path: &Path) -> String {
    let mut text = String::new();
    for segment in path {
        let dot = if text.is_empty() { "" } else { "." };
        // Writing into a string cannot fail.
        let _ = match segment {
            Segment::Seq { index } => write!(text, "[{index}]"),
            Segment::Map { key: name } | Segment::Enum { variant: name } => {
                let cut: String = name.chars().take(MAX_SHOWN_CHARACTERS).collect();
                write!(text, "{dot}{}", LogValue(&cut))
            }
            Segment::Unknown => Ok(()),
        };
    }
    text
}

/// A JSON body.
#[derive(Debug)]
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for JsonBody<T> {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut dev::Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let bytes = json_bytes(&request, payload, MAX_BODY_BYTES).await?;
            parse_json(&bytes).map(Self)
        })
    }
}

/// A JSON body that may be omitted, which is the same as omitting all its fields.
#[derive(Debug)]
pub struct OptionalBody<T>(pub T);

impl<T: DeserializeOwned + Default + 'static> FromRequest for OptionalBody<T> {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut dev::Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let bytes = json_bytes(&request, payload, MAX_BODY_BYTES).await?;
            if bytes.is_empty() || &bytes[..] == b"null" {
                return Ok(Self(T::default()));
            }
            parse_json(&bytes).map(Self)
        })
    }
}

/// Reads the body of a JSON request, within the limits for all bodies.
///
/// # Errors
/// If the content type is not JSON or the body cannot be read.
pub async fn json_bytes(
    request: &HttpRequest,
    payload: dev::Payload,
    max_bytes: usize,
) -> Result<Bytes, ApiError> {
    let service = request.app_data::<web::Data<Service>>().ok_or(ApiError::Internal)?;
    let announced = framing::announced_length(request.headers())?;
    if let Some(content_type) = request.headers().get(CONTENT_TYPE) {
        let essence = content_type.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
        if !essence.trim_ascii().eq_ignore_ascii_case(b"application/json") {
            return Err(ApiError::UnsupportedMediaType);
        }
    }
    let client = client_address(&service.proxies, request).ok_or(ApiError::Internal)?;
    let reservation = service.budget.reservation(Network::from(client));
    // A proxy may have decoded the body without removing the header.
    let is_coded = is_coded(request.headers());
    let bytes = body::read(payload, announced, max_bytes, reservation).await?;
    plain_json(bytes, is_coded, request.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes))
}

/// Whether the request declares a content coding.
fn is_coded(headers: &HeaderMap) -> bool {
    let is_coding = |value: &HeaderValue| !value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity");
    headers.get_all(CONTENT_ENCODING).any(|value| !value.is_empty() && is_coding(value))
}

/// Returns the body without a byte order mark, which some clients write by default.
///
/// # Errors
/// If the body is compressed or not UTF-8.
fn plain_json(bytes: Bytes, is_coded: bool, content_type: Option<&[u8]>) -> Result<Bytes, ApiError> {
    let plain = json::without_mark(&bytes);
    let (is_utf_8, has_nul) =
        (std::str::from_utf8(plain).is_ok(), plain.iter().take(4).any(|byte| *byte == 0));
    if is_utf_8 && !has_nul {
        return Ok(bytes.slice_ref(plain));
    }
    let declared = content_type.and_then(|value| charset::of_content_type(value).transpose());
    Err(match declared {
        _ if is_coded => ApiError::UnsupportedEncoding("has a content coding"),
        Some(_) => ApiError::UnsupportedEncoding("is in a charset other than UTF-8"),
        None if has_nul => ApiError::UnsupportedEncoding("is in UTF-16 or UTF-32"),
        None => ApiError::UnsupportedEncoding("is not UTF-8"),
    })
}

/// Parses a JSON object.
///
/// # Errors
/// If it is not an object or has unknown members.
pub fn parse_json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, ApiError> {
    // The parser would accept an array as an object with positional members.
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        return Err(ApiError::InvalidBody("The body: must be a JSON object, not an array.".to_owned()));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let parsed = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let problem = error.inner();
        // A syntax error does not belong to a field.
        if problem.is_data() { named(error.path(), &problem.to_string()) } else { problem.to_string() }
    });
    let parsed =
        parsed.and_then(|value| deserializer.end().map(|()| value).map_err(|error| error.to_string()));
    parsed.map_err(|error| {
        // Both errors are caused by one half of a surrogate pair such as `\ud83d\ude00`.
        let hint = match error.contains("surrogate") || error.contains("end of hex escape") {
            true => "; a string was cut in the middle of a character",
            false => "",
        };
        ApiError::InvalidBody(format!("The body: {error}{hint}"))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::value::RawValue;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct WantedQuery {
        cursor: Option<i64>,
        source: Option<String>,
    }

    #[test]
    fn query_errors_name_the_parameter() {
        let parsed: WantedQuery = parse_query("cursor=7&source=a%20b").unwrap();
        assert_eq!((parsed.cursor, parsed.source.as_deref()), (Some(7), Some("a b")));
        let rows = [
            ("source=a&cursor=x", "cursor"),
            ("cursor=99999999999999999999", "cursor"),
            ("cursor=", "cursor"),
            ("curser=7", "`curser`"),
            ("cursor=1&cursor=2", "`cursor`"),
        ];
        for (query, named) in rows {
            let problem = parse_query::<WantedQuery>(query).unwrap_err();
            assert!(problem.contains(named), "{query}: {problem}");
        }
    }

    #[test]
    fn body_errors_name_the_field() {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct OuterBody<'a> {
            rate: Option<u32>,
            inner: Option<Vec<InnerBody>>,
            #[serde(borrow)]
            raw: Option<&'a RawValue>,
            #[serde(rename = "map")]
            _map: Option<BTreeMap<String, u32>>,
        }
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct InnerBody {
            #[serde(rename = "equals")]
            _equals: Box<RawValue>,
        }
        let parsed: OuterBody<'_> =
            parse_json(br#"{"rate": 3, "raw": {"a": 1.50}, "inner": [{"equals": null}]}"#).unwrap();
        assert_eq!((parsed.rate, parsed.raw.map(RawValue::get)), (Some(3), Some(r#"{"a": 1.50}"#)));
        assert_eq!(parsed.inner.map(|inner| inner.len()), Some(1));
        for (body, expected) in [
            (r#"{"rate": 30.0}"#, "rate: invalid type: floating point `30.0`, expected u32"),
            (r#"{"rate": -1}"#, "rate: invalid value: integer `-1`, expected u32"),
            (r#"{"inner": [{"equals": 1}, 2]}"#, "inner[1]: invalid type: integer `2`"),
            (r#"{"rates": 1}"#, "The body: unknown field `rates`, expected one of"),
            (r#"{"inner": [{"a": 1}]}"#, "The body: unknown field `a`, expected"),
            (r#"{"raw": "\ud83d"}"#, ""),
            ("", "The body: EOF while parsing a value"),
            (r#"{"rate""#, "The body: EOF while parsing an object"),
            (r#"{"rate": 3x}"#, "The body: expected `,` or `}`"),
            (r#"{"\u001b[1m": 1}"#, r"The body: unknown field `\u{1b}[1m`"),
            (r#"{"map": {"a\u001b b": "x"}}"#, r#"The body: map."a\u{1b} b": invalid type"#),
            (r#"{"map": {"x-a": "x"}}"#, "The body: map.x-a: invalid type"),
            ("[1]", "must be a JSON object"),
        ] {
            match parse_json::<OuterBody<'_>>(body.as_bytes()) {
                Err(ApiError::InvalidBody(problem)) => assert!(problem.contains(expected), "{problem}"),
                other => assert!(expected.is_empty(), "{body}: {other:?}"),
            }
        }
    }

    #[test]
    fn json_body_must_be_utf_8_with_optional_mark() {
        let read = |body: &'static [u8], is_coded, content_type: &'static str| {
            plain_json(Bytes::from_static(body), is_coded, Some(content_type.as_bytes()))
        };
        let json = "application/json";
        assert_eq!(read(b"\xef\xbb\xbf{}", false, json), Ok(Bytes::from_static(b"{}")));
        assert_eq!(read(b"{}", true, "application/json; charset=utf-16"), Ok(Bytes::from_static(b"{}")));
        for (body, is_coded, content_type, what) in [
            (&b"\x1f\x8b\x08"[..], true, json, "has a content coding"),
            (b"\xff\xfe{\0}\0", false, json, "is in UTF-16 or UTF-32"),
            (b"{\0}\0", false, json, "is in UTF-16 or UTF-32"),
            (b"{\"a\":\"\xeb\"}", false, json, "is not UTF-8"),
            (
                b"{\"a\":\"\xeb\"}",
                false,
                "application/json;charset=latin1",
                "is in a charset other than UTF-8",
            ),
        ] {
            assert_eq!(read(body, is_coded, content_type), Err(ApiError::UnsupportedEncoding(what)));
        }
    }
}
