//! A request as verification sees it: a webhook that has just arrived, or a rejected one.

use std::borrow::Cow;
use std::net::IpAddr;

use time::OffsetDateTime;

use crate::providers::{Headers, Request};

/// The head of a request, and when and from where it came.
#[derive(Clone, Debug)]
pub struct IncomingRequest<'a> {
    pub method: &'a str,
    pub target: &'a str,
    pub query: &'a str,
    /// As registered at the provider, where a scheme signs it.
    pub url: Cow<'a, str>,
    /// By name; fields of one name in the order in which they came.
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
