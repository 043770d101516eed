//! The explanation of one rejection: the result of verification, the changes that were tried, and
//! the addresses that the allowlist was compared with.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::cause::cause_of;
use super::operator::Operator;
use super::problem::Problem;
use super::recheck::RestoredRequest;
use crate::providers::{Cause, Diagnosis};
use crate::request_id;
use crate::store::{RejectionId, RejectionRow};

const FORWARDED_FOR: &str = "x-forwarded-for";
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
    /// The hops in `X-Forwarded-For`, from left to right; at most `MAX_HOPS`.
    pub hops: Vec<Hop>,
}

/// One address in `X-Forwarded-For`.
#[derive(Debug, PartialEq, Eq)]
pub struct Hop {
    pub address: String,
    pub role: HopRole,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HopRole {
    /// To the left of the client: anyone may have written it.
    Unverified,
    Client,
    /// To the right of the client: an address in `CREEL_TRUSTED_PROXIES`.
    TrustedProxy,
}

impl Operator {
    /// Explains why a request was rejected, with the current settings. Computes on a blocking
    /// thread, one explanation at a time.
    ///
    /// # Errors
    /// The rejection does not exist, cannot be restored, or its source is not configured.
    pub async fn explain_rejection(&self, id: RejectionId) -> Result<ExplainedRejection, Problem> {
        let stored = self.rejection(id).await?;
        let head = stored.head.clone();
        let cause = cause_of(&head.cause);
        let request = RestoredRequest::of(&self.sources, stored)?;
        let turn = Arc::clone(&self.explaining).acquire_owned().await.map_err(|_| Problem::Internal)?;
        let explained = spawn_blocking(request_id::for_thread(move || {
            // The turn is held until the work ends, because the work continues if the client
            // disconnects.
            let _turn = turn;
            let address = address_report(&request);
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
        let name = source.to_ascii_uppercase().replace('-', "_");
        let allowed = self.allowed.join(", ");
        let is_forwarded = self.hops.iter().any(|hop| hop.role == HopRole::Client);
        let origin = match (is_forwarded, self.hops.is_empty()) {
            (true, _) => "It was read from X-Forwarded-For.",
            (false, true) => "It is the address of the connection: the request has no X-Forwarded-For.",
            (false, false) => {
                "It is the address of the connection: X-Forwarded-For was ignored, because that address is not in CREEL_TRUSTED_PROXIES."
            }
        };
        format!(
            "The client address {client} is not allowed ({allowed}). {origin} If {client} is a proxy, add it to CREEL_TRUSTED_PROXIES; if it is the sender, add it to CREEL_SOURCE_{name}_ALLOW_IPS."
        )
    }
}

fn address_report(request: &RestoredRequest) -> Option<AddressReport> {
    let (mut allowed, has_github) = request.source().allowed_networks()?;
    allowed.extend(has_github.then(|| "GitHub's published addresses".to_owned()));
    let client = request.client();
    let hops = hops(client, request.header(FORWARDED_FOR));
    Some(AddressReport { client, is_allowed: request.is_address_allowed(), allowed, hops })
}

/// Returns the hops of `X-Forwarded-For` with their roles. The client is the rightmost hop with its
/// address, because proxies append to the right.
fn hops<'a>(client: IpAddr, lines: impl Iterator<Item = &'a [u8]>) -> Vec<Hop> {
    let lines: Vec<&[u8]> = lines.collect();
    let texts = lines.iter().flat_map(|line| line.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    let texts: Vec<String> = texts
        .filter(|text| !text.is_empty())
        .map(|text| String::from_utf8_lossy(text).chars().take(MAX_HOP_CHARACTERS).collect())
        .collect();
    let position = texts.iter().rposition(|text| address_of(text) == Some(client));
    let role = |at: usize| match position {
        Some(position) if at == position => HopRole::Client,
        Some(position) if at > position => HopRole::TrustedProxy,
        _ => HopRole::Unverified,
    };
    let first = texts.len().saturating_sub(MAX_HOPS);
    let numbered = texts.into_iter().enumerate().skip(first);
    numbered.map(|(at, address)| Hop { address, role: role(at) }).collect()
}

/// Parses an address with or without a port.
fn address_of(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hops_have_roles_around_the_client() {
        let client = "192.0.2.7".parse().unwrap();
        let roles = |lines: &[&str]| {
            let found = hops(client, lines.iter().map(|line| line.as_bytes()));
            found.into_iter().map(|hop| (hop.address, hop.role)).collect::<Vec<_>>()
        };
        let row = |address: &str, role| (address.to_owned(), role);
        assert_eq!(
            roles(&["unknown, 192.0.2.7", "192.0.2.7:80 , 10.0.0.1"]),
            [
                row("unknown", HopRole::Unverified),
                row("192.0.2.7", HopRole::Unverified),
                row("192.0.2.7:80", HopRole::Client),
                row("10.0.0.1", HopRole::TrustedProxy)
            ]
        );
        assert_eq!(roles(&["10.0.0.1"]), [row("10.0.0.1", HopRole::Unverified)]);
        assert_eq!(roles(&[&"1.1.1.1,".repeat(99)]).len(), MAX_HOPS);
        assert!(roles(&[]).is_empty());
    }

    #[test]
    fn forbidden_address_has_advice_on_its_origin() {
        let report = |hops: Vec<Hop>| AddressReport {
            client: "192.0.2.7".parse().unwrap(),
            is_allowed: false,
            allowed: vec!["198.51.100.0/24".to_owned()],
            hops,
        };
        let hop = |role| vec![Hop { address: "192.0.2.7".to_owned(), role }];
        for (hops, part) in [
            (Vec::new(), "no X-Forwarded-For"),
            (hop(HopRole::Unverified), "was ignored"),
            (hop(HopRole::Client), "was read from X-Forwarded-For"),
        ] {
            let advice = report(hops).advice("my-shop");
            assert!(advice.contains(part) && advice.contains("CREEL_SOURCE_MY_SHOP_ALLOW_IPS"), "{advice}");
            assert!(advice.contains("192.0.2.7") && advice.contains("198.51.100.0/24"), "{advice}");
        }
    }
}
