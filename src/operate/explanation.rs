//! The explanation of one rejection: the result of verification, the changes that were tried, and
//! the addresses that the allowlist was compared with.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use tokio::task::spawn_blocking;

use super::cause::cause_of;
use super::operator::Operator;
use super::problem::Problem;
use super::recheck::RestoredRequest;
use crate::config::{FORWARDED_FOR, forwarded_address};
use crate::providers::{Cause, Diagnosis, source_variable};
use crate::request_id;
use crate::store::{RejectionId, RejectionRow};

/// Limit on the shown hops, from the right.
const MAX_HOPS: usize = 16;
/// Limit on the characters of a hop that is not an address.
const MAX_HOP_CHARACTERS: usize = 64;

/// A rejection and its explanation.
#[derive(Debug)]
pub struct ExplainedRejection {
    pub head: RejectionRow,
    pub diagnosis: Diagnosis,
    /// `None` if the source has no allowlist.
    pub address: Option<AddressReport>,
}

/// The client's address, and the hops from which it was determined.
#[derive(Debug, PartialEq, Eq)]
pub struct AddressReport {
    pub client: IpAddr,
    /// Whether the allowlist has the address now.
    pub is_allowed: bool,
    pub allowed: Vec<String>,
    pub origin: AddressOrigin,
    /// The hops in `X-Forwarded-For`, from left to right; at most `MAX_HOPS`.
    pub hops: Vec<Hop>,
}

/// The origin of the client's address, as far as the stored request shows it with the current
/// `CREEL_TRUSTED_PROXIES`. The address of the connection is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressOrigin {
    /// The connection; the request has no `X-Forwarded-For`.
    Connection,
    /// The connection; `X-Forwarded-For` does not lead to the address.
    IgnoredHeader,
    /// The rightmost hop that is not a trusted proxy.
    ClientHop,
    /// The leftmost hop; all hops are trusted proxies.
    LastProxy,
    /// A trusted proxy, because the hop that it appended is unreadable.
    UnreadableHop,
}

/// One address in `X-Forwarded-For`.
#[derive(Debug, PartialEq, Eq)]
pub struct Hop {
    pub address: String,
    pub role: HopRole,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HopRole {
    /// Anyone may have written it.
    Unverified,
    Client,
    /// To the right of the client, and in `CREEL_TRUSTED_PROXIES`.
    TrustedProxy,
}

impl Operator {
    /// Explains why a request was rejected, with the current settings. Computes on a blocking
    /// thread, one explanation at a time.
    ///
    /// # Errors
    /// The rejection does not exist, cannot be restored, or its source is not configured.
    pub async fn explain_rejection(&self, id: RejectionId) -> Result<ExplainedRejection, Problem> {
        // Before the body is loaded, so that waiting calls hold no bodies.
        let turn = Arc::clone(&self.explaining).acquire_owned().await.map_err(|_| Problem::Internal)?;
        let stored = self.rejection(id).await?;
        let head = stored.head.clone();
        let cause = cause_of(&head.cause);
        let request = RestoredRequest::of(&self.sources, stored)?;
        let proxies = Arc::clone(&self.trusted_proxies);
        let explained = spawn_blocking(request_id::for_thread(move || {
            // The turn is held until the work ends, because the work continues if the client
            // disconnects.
            let _turn = turn;
            let address = address_report(&request, &proxies);
            (complete(request.diagnose(cause), cause, &request, address.as_ref()), address)
        }));
        let (diagnosis, address) = explained.await.map_err(|_| Problem::Internal)?;
        Ok(ExplainedRejection { head, diagnosis, address })
    }
}

/// Adds the texts about redacted credentials and about the address.
fn complete(
    mut diagnosis: Diagnosis,
    cause: Option<Cause>,
    request: &RestoredRequest,
    address: Option<&AddressReport>,
) -> Diagnosis {
    if request.lacks_credentials() {
        diagnosis.omissions.push("Credentials of the request are encrypted with another key, so checks of tokens fail: start with that key to read them.".to_owned());
    }
    if let Some(report) =
        address.filter(|report| !report.is_allowed || cause == Some(Cause::AddressNotAllowed))
    {
        diagnosis.advice.insert(0, report.advice(&request.source().name));
    }
    diagnosis
}

impl AddressReport {
    fn advice(&self, source: &str) -> String {
        let client = self.client;
        if self.is_allowed {
            return format!("The address {client} is allowed now, but was not when the request arrived.");
        }
        let variable = source_variable(source, "allow_ips");
        let allowed = self.allowed.join(", ");
        let origin = match self.origin {
            AddressOrigin::Connection => {
                "It is the address of the connection: the request has no X-Forwarded-For."
            }
            AddressOrigin::IgnoredHeader => {
                "It is the address of the connection: X-Forwarded-For was ignored, because that address was not in CREEL_TRUSTED_PROXIES on arrival."
            }
            AddressOrigin::ClientHop => {
                "It is the rightmost address in X-Forwarded-For that is not in CREEL_TRUSTED_PROXIES."
            }
            AddressOrigin::LastProxy => {
                "It is the leftmost address in X-Forwarded-For, and all addresses there are in CREEL_TRUSTED_PROXIES."
            }
            AddressOrigin::UnreadableHop => {
                "It is in CREEL_TRUSTED_PROXIES, but the hop next to it in X-Forwarded-For is unreadable: correct the format in which that proxy appends the address of its client."
            }
        };
        let remedy = match self.origin {
            AddressOrigin::UnreadableHop => String::new(),
            AddressOrigin::LastProxy => format!(
                " If the sender is {client}, add it to {variable}; otherwise let that proxy append the address of its client."
            ),
            _ => format!(
                " If {client} is a proxy, add it to CREEL_TRUSTED_PROXIES; if it is the sender, add it to {variable}."
            ),
        };
        format!("The client address {client} is not allowed ({allowed}). {origin}{remedy}")
    }
}

fn address_report(request: &RestoredRequest, proxies: &[IpNet]) -> Option<AddressReport> {
    let (mut allowed, has_github) = request.source().allowed_networks()?;
    allowed.extend(has_github.then(|| "GitHub's published addresses".to_owned()));
    let client = request.client();
    let (origin, hops) = hops(client, request.header(FORWARDED_FOR), proxies);
    Some(AddressReport { client, is_allowed: request.is_address_allowed(), allowed, origin, hops })
}

/// Returns the origin of the client's address, and the hops of `X-Forwarded-For` with their roles.
fn hops<'a>(
    client: IpAddr,
    lines: impl Iterator<Item = &'a [u8]>,
    proxies: &[IpNet],
) -> (AddressOrigin, Vec<Hop>) {
    let lines: Vec<&[u8]> = lines.collect();
    let texts = lines.iter().flat_map(|line| line.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    let texts: Vec<&[u8]> = texts.filter(|text| !text.is_empty()).collect();
    let addresses: Vec<Option<IpAddr>> = texts.iter().map(|text| forwarded_address(text)).collect();
    let (origin, position) = origin_of(client, &addresses, proxies);
    let role = |at: usize| match position {
        Some(position) if at == position => HopRole::Client,
        Some(position) if at > position => HopRole::TrustedProxy,
        _ => HopRole::Unverified,
    };
    let first = texts.len().saturating_sub(MAX_HOPS);
    let shown = |text: &[u8]| String::from_utf8_lossy(text).chars().take(MAX_HOP_CHARACTERS).collect();
    let numbered = texts.iter().enumerate().skip(first);
    (origin, numbered.map(|(at, text)| Hop { address: shown(text), role: role(at) }).collect())
}

/// Returns the origin of the client's address and its position among the hops. Follows the hops
/// from the right, as on arrival. All hops to the right of the position are trusted proxies.
fn origin_of(client: IpAddr, hops: &[Option<IpAddr>], proxies: &[IpNet]) -> (AddressOrigin, Option<usize>) {
    let is_trusted = |address: &IpAddr| proxies.iter().any(|network| network.contains(address));
    let trusted = hops.iter().rev().take_while(|hop| hop.as_ref().is_some_and(is_trusted)).count();
    // The first hop from the right that is not a trusted proxy; it may be unreadable.
    let end = hops.len() - trusted;
    let next = end.checked_sub(1);
    match next.map(|next| hops[next]) {
        _ if hops.is_empty() => (AddressOrigin::Connection, None),
        // Without trusted proxies, the header is ignored.
        _ if proxies.is_empty() => (AddressOrigin::IgnoredHeader, None),
        Some(Some(address)) if address == client => (AddressOrigin::ClientHop, next),
        None if hops[end] == Some(client) => (AddressOrigin::LastProxy, Some(end)),
        Some(None) if hops.get(end) == Some(&Some(client)) => (AddressOrigin::UnreadableHop, Some(end)),
        // The rightmost hop is unreadable.
        Some(None) if trusted == 0 && is_trusted(&client) => (AddressOrigin::UnreadableHop, None),
        _ => (AddressOrigin::IgnoredHeader, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(client: &str, lines: &[&str], proxies: &[&str]) -> (AddressOrigin, Vec<(String, HopRole)>) {
        let proxies: Vec<IpNet> = proxies.iter().map(|text| text.parse().unwrap()).collect();
        let lines = lines.iter().map(|line| line.as_bytes());
        let (origin, hops) = hops(client.parse().unwrap(), lines, &proxies);
        (origin, hops.into_iter().map(|hop| (hop.address, hop.role)).collect())
    }

    #[test]
    fn hops_have_roles_around_the_client() {
        let row = |address: &str, role| (address.to_owned(), role);
        let (origin, roles) =
            found("192.0.2.7", &["unknown, 192.0.2.7", "192.0.2.7:80 , 10.0.0.1"], &["10.0.0.0/8"]);
        assert_eq!(
            (origin, roles),
            (
                AddressOrigin::ClientHop,
                vec![
                    row("unknown", HopRole::Unverified),
                    row("192.0.2.7", HopRole::Unverified),
                    row("192.0.2.7:80", HopRole::Client),
                    row("10.0.0.1", HopRole::TrustedProxy)
                ]
            )
        );
        assert_eq!(found("192.0.2.7", &[&"1.1.1.1,".repeat(99)], &["10.0.0.0/8"]).1.len(), MAX_HOPS);
        assert_eq!(found("192.0.2.7", &[], &["10.0.0.0/8"]), (AddressOrigin::Connection, Vec::new()));
    }

    #[test]
    fn only_configured_networks_are_trusted_proxies() {
        use HopRole::{Client, TrustedProxy, Unverified};
        type Row = (&'static str, &'static str, &'static [&'static str], AddressOrigin, &'static [HopRole]);
        let rows: [Row; 9] = [
            (
                "192.0.2.7",
                "192.0.2.7, 10.0.0.1",
                &[],
                AddressOrigin::IgnoredHeader,
                &[Unverified, Unverified],
            ),
            // The hop on the right is not a proxy, so the client cannot have been read from the
            // header.
            (
                "192.0.2.7",
                "192.0.2.7, 198.51.100.1",
                &["10.0.0.0/8"],
                AddressOrigin::IgnoredHeader,
                &[Unverified, Unverified],
            ),
            ("192.0.2.7", "10.0.0.1", &["10.0.0.0/8"], AddressOrigin::IgnoredHeader, &[Unverified]),
            ("192.0.2.7", "192.0.2.7", &["10.0.0.0/8"], AddressOrigin::ClientHop, &[Client]),
            (
                "10.0.0.9",
                "10.0.0.9, 10.0.0.2",
                &["10.0.0.0/8"],
                AddressOrigin::LastProxy,
                &[Client, TrustedProxy],
            ),
            ("10.0.0.2", "x, 10.0.0.2", &["10.0.0.0/8"], AddressOrigin::UnreadableHop, &[Unverified, Client]),
            (
                "10.0.0.2",
                "192.0.2.7, x",
                &["10.0.0.0/8"],
                AddressOrigin::UnreadableHop,
                &[Unverified, Unverified],
            ),
            (
                "192.0.2.7",
                "10.0.0.2, x",
                &["10.0.0.0/8"],
                AddressOrigin::IgnoredHeader,
                &[Unverified, Unverified],
            ),
            (
                "192.0.2.7",
                "x, 10.0.0.2",
                &["10.0.0.0/8"],
                AddressOrigin::IgnoredHeader,
                &[Unverified, Unverified],
            ),
        ];
        for (client, line, proxies, origin, roles) in rows {
            let (found_origin, hops) = found(client, &[line], proxies);
            let found_roles: Vec<HopRole> = hops.into_iter().map(|(_, role)| role).collect();
            assert_eq!((found_origin, &*found_roles), (origin, roles), "{client} {line}");
        }
    }

    #[test]
    fn forbidden_address_has_advice_on_its_origin() {
        for (origin, part, variable) in [
            (AddressOrigin::Connection, "no X-Forwarded-For", "CREEL_SOURCE_MY_SHOP_ALLOW_IPS"),
            (AddressOrigin::IgnoredHeader, "was ignored", "CREEL_SOURCE_MY_SHOP_ALLOW_IPS"),
            (AddressOrigin::ClientHop, "rightmost address", "CREEL_SOURCE_MY_SHOP_ALLOW_IPS"),
            (AddressOrigin::LastProxy, "leftmost address", "CREEL_SOURCE_MY_SHOP_ALLOW_IPS"),
            (AddressOrigin::UnreadableHop, "is unreadable", "CREEL_TRUSTED_PROXIES"),
        ] {
            let report = AddressReport {
                client: "192.0.2.7".parse().unwrap(),
                is_allowed: false,
                allowed: vec!["198.51.100.0/24".to_owned()],
                origin,
                hops: Vec::new(),
            };
            let advice = report.advice("my-shop");
            assert!(advice.contains(part) && advice.contains(variable), "{advice}");
            assert!(advice.contains("192.0.2.7") && advice.contains("198.51.100.0/24"), "{advice}");
        }
    }
}
