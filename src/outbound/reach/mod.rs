//! Allowed destinations: the only place that resolves names, so that requests connect to the vetted
//! addresses.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use super::resolve::{LookupError, Resolver};
use super::vetting::{ForbiddenAddress, vet};

/// Timeout of a lookup for the API, whose client waits for the response.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Addresses that requests may connect to.
#[derive(Clone, Debug)]
pub enum Reach {
    /// Any address, for URLs that the operator configured.
    Anywhere,
    /// Public addresses, and networks that the operator allowed.
    Public { allowed: Arc<[IpNet]> },
}

impl Reach {
    fn vet(&self, address: &SocketAddr) -> Result<(), ForbiddenAddress> {
        match self {
            Self::Anywhere => Ok(()),
            Self::Public { allowed } => vet(address.ip(), allowed),
        }
    }

    /// Checks a host that is an IP address. The addresses of a name are checked after the lookup.
    pub(super) fn vet_literal(&self, host: &Host<&str>) -> Result<(), ForbiddenAddress> {
        match host {
            Host::Ipv4(address) => self.vet(&SocketAddr::new((*address).into(), 0)),
            Host::Ipv6(address) => self.vet(&SocketAddr::new((*address).into(), 0)),
            Host::Domain(_) => Ok(()),
        }
    }
}

/// Reason why a name has no allowed address.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum UnreachableName {
    #[error(transparent)]
    Lookup(#[from] LookupError),
    #[error(transparent)]
    Forbidden(#[from] ForbiddenAddress),
}

/// Resolves a name whose addresses must all be allowed. One forbidden address rejects the name: a
/// name with a public and a private address may be an attempt to reach the private one.
async fn addresses(
    resolver: &Resolver,
    name: &str,
    reach: &Reach,
) -> Result<Arc<[SocketAddr]>, UnreachableName> {
    let addresses = resolver.addresses(name).await?;
    addresses.iter().try_for_each(|address| reach.vet(address))?;
    Ok(addresses)
}

/// A resolver for the HTTP client that returns only allowed addresses. For a host name, the client
/// connects only to these.
#[derive(Clone, Debug)]
pub(super) struct VettingResolver {
    pub reach: Reach,
    pub resolver: Resolver,
}

impl Resolve for VettingResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let Self { reach, resolver } = self.clone();
        Box::pin(async move {
            let addresses = addresses(&resolver, name.as_str(), &reach).await?;
            let addresses: Addrs = Box::new((0..addresses.len()).map(move |index| addresses[index]));
            Ok(addresses)
        })
    }
}

/// Reason why a URL is not allowed. The texts never contain the URL, which may carry a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VetError {
    #[error("not a URL: {0}")]
    Url(#[from] url::ParseError),
    #[error("the URL must begin with http:// or https://")]
    Scheme,
    #[error("the URL must not hold a user name or a password: send them in a header")]
    Credentials,
    #[error("the URL must not contain a fragment (#…): it is never sent")]
    Fragment,
    #[error("the host of the URL cannot be resolved: {0}")]
    Unresolved(String),
    #[error(
        "{0}: a URL given to the API may lead only to public addresses; the operator can allow a network with \
         CREEL_TARGET_ALLOW_IPS"
    )]
    Forbidden(#[from] ForbiddenAddress),
}

/// Checks for the API whether deliveries to the URL of a target or replay are currently allowed.
/// Its name may resolve differently later, so every connection is checked again.
///
/// # Errors
/// If it is not an HTTP URL, has credentials or a fragment, or its host cannot be resolved or has a
/// forbidden address.
pub async fn vet_url(url: &str, reach: &Reach) -> Result<(), VetError> {
    vet_url_by(url, reach, &Resolver::system()).await
}

pub(super) async fn vet_url_by(url: &str, reach: &Reach, resolver: &Resolver) -> Result<(), VetError> {
    let url = Url::parse(url)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(VetError::Scheme);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(VetError::Credentials);
    }
    if url.fragment().is_some() {
        return Err(VetError::Fragment);
    }
    let host = url.host().ok_or(url::ParseError::EmptyHost)?;
    reach.vet_literal(&host)?;
    let Host::Domain(name) = host else { return Ok(()) };
    let unresolved = |error: &dyn ToString| VetError::Unresolved(error.to_string());
    match tokio::time::timeout(RESOLVE_TIMEOUT, addresses(resolver, name, reach)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(UnreachableName::Forbidden(address))) => Err(address.into()),
        Ok(Err(UnreachableName::Lookup(error))) => Err(unresolved(&error)),
        Err(_) => Err(unresolved(&format!("no answer within {RESOLVE_TIMEOUT:?}"))),
    }
}

#[cfg(test)]
mod tests;
