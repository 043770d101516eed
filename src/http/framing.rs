//! How the length of a body is told: requests that two programs on the way could read differently are refused.
//!
//! actix-http refuses most of them before they get here (several lengths, a length that is no number, a length beside
//! a transfer coding, codings other than one `chunked`). What it lets pass, and what a change of it might let pass, is
//! refused here.

use actix_web::http::header::{CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING, UPGRADE};

/// Where a request leaves it open where its body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ambiguous;

/// The announced length of the body; `None` where it is chunked or there is none.
///
/// # Errors
/// When the request could be read in two ways.
pub fn announced_length(headers: &HeaderMap) -> Result<Option<u64>, Ambiguous> {
    if asks_for_websocket(headers) {
        // The scanner has taken these out. actix-http would take the rest of the connection for the body, whatever its
        // length says.
        return Err(Ambiguous);
    }
    let mut codings = headers.get_all(TRANSFER_ENCODING);
    let coding = codings.next();
    let mut lengths = headers.get_all(CONTENT_LENGTH);
    let length = lengths.next();
    if codings.next().is_some() || lengths.next().is_some() || (coding.is_some() && length.is_some()) {
        return Err(Ambiguous);
    }
    if coding.is_some_and(|coding| !coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked")) {
        return Err(Ambiguous);
    }
    length.map(|length| digits(length.as_bytes())).transpose()
}

fn asks_for_websocket(headers: &HeaderMap) -> bool {
    headers
        .get_all(UPGRADE)
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .any(|protocol| protocol.trim_ascii().eq_ignore_ascii_case(b"websocket"))
}

fn digits(value: &[u8]) -> Result<u64, Ambiguous> {
    let value = value.trim_ascii();
    if !value.iter().all(u8::is_ascii_digit) {
        return Err(Ambiguous);
    }
    std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).ok_or(Ambiguous)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    type Fields = &'static [(&'static str, &'static str)];

    fn headers(fields: Fields) -> HeaderMap {
        let field = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let mut map = HeaderMap::new();
        fields.iter().map(field).for_each(|(name, value)| map.append(name, value));
        map
    }

    #[test]
    fn a_single_length_or_a_single_chunked_is_clear() {
        let rows: [(Fields, Option<u64>); 5] = [
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
    fn what_could_be_read_in_two_ways_is_refused() {
        let rows: [Fields; 12] = [
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
            assert_eq!(announced_length(&headers(fields)), Err(Ambiguous), "{fields:?}");
        }
    }
}
