//! A request to verify: a new webhook, or a stored rejection.

use std::borrow::Cow;
use std::net::IpAddr;

use time::OffsetDateTime;

use crate::providers::{Headers, Request};

/// The head of a request, with the time and address of its arrival.
#[derive(Clone, Debug)]
pub struct IncomingRequest<'a> {
    pub method: &'a str,
    pub target: &'a str,
    pub query: &'a str,
    /// The URL registered with the provider, if a scheme signs it.
    pub url: Cow<'a, str>,
    /// Sorted by name; fields with the same name are in the order received.
    pub fields: Vec<(&'a str, &'a [u8])>,
    pub received_at: OffsetDateTime,
    pub client: IpAddr,
}

impl<'a> IncomingRequest<'a> {
    pub fn request(&'a self, body: &'a [u8]) -> Request<'a> {
        Request {
            method: self.method,
            target: self.target,
            query: self.query,
            url: &self.url,
            headers: Headers(&self.fields),
            body,
            now: self.received_at,
        }
    }
}
