//! Header fields that are about the way of a request, not about what it says: sent on, they would be wrong.

/// Between two hosts (RFC 9110, section 7.6.1), or about who called whom.
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
/// Those of proxies, and of ours.
const PREFIXES: [&str; 4] = ["proxy-", "x-forwarded-", "cf-", "creel-"];

/// `name` in lower case.
pub fn belongs_to_hop(name: &str) -> bool {
    FIELDS.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}
