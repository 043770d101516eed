//! Determines the length of a body, and rejects requests that a proxy and creel could parse
//! differently (request smuggling).
//!
//! actix-http rejects most of them earlier (several lengths, a length that is not a number, a
//! length together with a transfer coding, codings other than one `chunked`). This module also
//! rejects those that actix-http accepts, or that a later version might accept.

use actix_web::http::header::{CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING, UPGRADE};

/// The end of the body is ambiguous.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AmbiguousFraming;

/// Returns the announced length of the body; `None` if it is chunked or absent.
///
/// # Errors
/// If the request is ambiguous.
pub fn announced_length(headers: &HeaderMap) -> Result<Option<u64>, AmbiguousFraming> {
    if requests_websocket(headers) {
        // The scanner removes such upgrades, so this is only a second check. actix-http would treat
        // the rest of the connection as the body, for any announced length.
        return Err(AmbiguousFraming);
    }
    let mut codings = headers.get_all(TRANSFER_ENCODING);
    let coding = codings.next();
    let mut lengths = headers.get_all(CONTENT_LENGTH);
    let length = lengths.next();
    if codings.next().is_some() || lengths.next().is_some() || (coding.is_some() && length.is_some()) {
        return Err(AmbiguousFraming);
    }
    if coding.is_some_and(|coding| !coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked")) {
        return Err(AmbiguousFraming);
    }
    length.map(|length| digits(length.as_bytes())).transpose()
}

fn requests_websocket(headers: &HeaderMap) -> bool {
    headers
        .get_all(UPGRADE)
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .any(|protocol| protocol.trim_ascii().eq_ignore_ascii_case(b"websocket"))
}

fn digits(value: &[u8]) -> Result<u64, AmbiguousFraming> {
    let value = value.trim_ascii();
    if !value.iter().all(u8::is_ascii_digit) {
        return Err(AmbiguousFraming);
    }
    std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).ok_or(AmbiguousFraming)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    type FramingFields = &'static [(&'static str, &'static str)];

    fn headers(fields: FramingFields) -> HeaderMap {
        let field = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let mut map = HeaderMap::new();
        fields.iter().map(field).for_each(|(name, value)| map.append(name, value));
        map
    }

    #[test]
    fn single_length_or_single_chunked_is_accepted() {
        let rows: [(FramingFields, Option<u64>); 5] = [
            (&[], None),
            (&[("content-length", "0")], Some(0)),
            (&[("content-length", " 42 ")], Some(42)),
            (&[("transfer-encoding", "Chunked")], None),
            (&[("upgrade", "h2c"), ("content-length", "1")], Some(1)),
        ];
        for (fields, expected) in rows {
            assert_eq!(announced_length(&headers(fields)), Ok(expected), "{fields:?}");
        }
    }

    #[test]
    fn ambiguous_framing_is_rejected() {
        let rows: [FramingFields; 12] = [
            &[("content-length", "5"), ("transfer-encoding", "chunked")],
            &[("content-length", "5"), ("content-length", "5")],
            &[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
            &[("transfer-encoding", "identity")],
            &[("transfer-encoding", "xchunked")],
            &[("transfer-encoding", "gzip, chunked")],
            &[("content-length", "+5")],
            &[("content-length", "-1")],
            &[("content-length", "")],
            &[("content-length", "18446744073709551616")],
            &[("upgrade", "websocket")],
            &[("upgrade", "h2c, WebSocket"), ("content-length", "5")],
        ];
        for fields in rows {
            assert_eq!(announced_length(&headers(fields)), Err(AmbiguousFraming), "{fields:?}");
        }
    }
}
