//! The head of a request, looked at once.

use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::http::header::{CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING, UPGRADE};
use ipnet::IpNet;
use subtle::ConstantTimeEq as _;
use time::OffsetDateTime;

use super::client_address::client_address;
use crate::providers::{Headers, Request, Secret};

pub struct Head<'a> {
    pub method: &'a str,
    path: &'a str,
    /// Path and query exactly as received.
    target: &'a str,
    /// Without the question mark; empty where there is none.
    pub query: &'a str,
    /// Names in lower case.
    pub fields: Vec<(&'a str, &'a [u8])>,
    headers: &'a HeaderMap,
    peer: Option<IpAddr>,
}

impl<'a> Head<'a> {
    pub fn of(request: &'a HttpRequest) -> Self {
        let uri = request.uri();
        Self {
            method: request.method().as_str(),
            path: uri.path(),
            target: uri.path_and_query().map_or("/", |target| target.as_str()),
            query: uri.query().unwrap_or(""),
            fields: request.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect(),
            headers: request.headers(),
            peer: request.peer_addr().map(|peer| peer.ip()),
        }
    }

    /// What the log calls the path: never with its random part.
    pub fn logged_path<'b>(name: &str, request: &'b HttpRequest) -> &'b str {
        let path = request.uri().path();
        let known = "/webhooks/".len() + name.len();
        path.get(..known).unwrap_or("(unknown)")
    }

    /// Whether the path is exactly the source's, a trailing slash aside; the random part is compared in constant time.
    pub fn is_for(&self, name: &str, random_part: Option<&Secret>) -> bool {
        // The raw path: no other spelling of it is the same address.
        let rest = self.path.strip_prefix("/webhooks/").and_then(|rest| rest.strip_prefix(name));
        let Some(rest) = rest else { return false };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        match (random_part, rest.strip_prefix('/')) {
            (None, None) => rest.is_empty(),
            (Some(secret), Some(given)) => given.as_bytes().ct_eq(secret.expose()).into(),
            (None, Some(_)) | (Some(_), None) => false,
        }
    }

    /// `None` where the connection has no address.
    pub fn client_address(&self, trusted_proxies: &[IpNet]) -> Option<IpAddr> {
        let forwarded_for: Vec<_> = if trusted_proxies.is_empty() {
            Vec::new()
        } else {
            self.headers.get_all("x-forwarded-for").collect()
        };
        let lines = forwarded_for.iter().map(|value| value.as_bytes());
        self.peer.map(|peer| client_address(peer, lines, trusted_proxies))
    }

    pub fn as_request<'b>(&'b self, body: &'b [u8], now: OffsetDateTime) -> Request<'b> {
        Request {
            method: self.method,
            target: self.target,
            query: self.query,
            headers: Headers(&self.fields),
            body,
            now,
        }
    }

    /// The length that the body is said to have.
    ///
    /// # Errors
    /// When the framing is ambiguous or unknown: two readers could disagree about where the body ends (request
    /// smuggling, RFC 9112 section 6.3).
    pub fn declared_length(&self) -> Result<Option<usize>, ()> {
        let mut lengths = self.headers.get_all(CONTENT_LENGTH);
        let mut codings = self.headers.get_all(TRANSFER_ENCODING);
        let is_upgrade = self.headers.contains_key(UPGRADE);
        match (lengths.next(), lengths.next(), codings.next(), codings.next()) {
            (None, _, None, _) => Ok(if is_upgrade { None } else { Some(0) }),
            (Some(length), None, None, _) => {
                let digits = length.as_bytes();
                let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
                let bytes =
                    length.to_str().ok().filter(|_| is_number).and_then(|text| text.parse().ok()).ok_or(())?;
                if is_upgrade && bytes > 0 { Err(()) } else { Ok(Some(bytes)) }
            }
            (None, _, Some(coding), None)
                if coding.as_bytes().eq_ignore_ascii_case(b"chunked") && !is_upgrade =>
            {
                Ok(None)
            }
            _ => Err(()),
        }
    }
}
