//! Where a request may go: the one place that resolves names, so that what is vetted is what is connected to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use super::resolve::{LookupError, Resolver};
use super::vetting::{ForbiddenAddress, vet};

/// For somebody who waits for an answer.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Which addresses may be connected to.
#[derive(Clone, Debug)]
pub enum Reach {
    /// The operator's word stands.
    Anywhere,
    /// Public addresses, and those of the networks that the operator opened.
    Public { allowed: Arc<[IpNet]> },
}

impl Reach {
    fn vet(&self, address: &SocketAddr) -> Result<(), ForbiddenAddress> {
        match self {
            Self::Anywhere => Ok(()),
            Self::Public { allowed } => vet(address.ip(), allowed),
        }
    }

    /// Judges a host that is an address; a name is judged by its addresses, when it is resolved.
    pub(super) fn vet_literal(&self, host: &Host<&str>) -> Result<(), ForbiddenAddress> {
        match host {
            Host::Ipv4(address) => self.vet(&SocketAddr::new((*address).into(), 0)),
            Host::Ipv6(address) => self.vet(&SocketAddr::new((*address).into(), 0)),
            Host::Domain(_) => Ok(()),
        }
    }
}

/// Why a name leads nowhere.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum UnreachableName {
    #[error(transparent)]
    Lookup(#[from] LookupError),
    #[error(transparent)]
    Forbidden(#[from] ForbiddenAddress),
}

/// The addresses of a name: all of them may be connected to. One that is forbidden speaks against the name: who names
/// a public and a private address together is after the private one.
async fn addresses(
    resolver: &Resolver,
    name: &str,
    reach: &Reach,
) -> Result<Arc<[SocketAddr]>, UnreachableName> {
    let addresses = resolver.addresses(name).await?;
    addresses.iter().try_for_each(|address| reach.vet(address))?;
    Ok(addresses)
}

/// Gives the HTTP client only addresses that may be reached: it connects to these and to no others.
#[derive(Clone, Debug)]
pub(super) struct Vetted {
    pub reach: Reach,
    pub resolver: Resolver,
}

impl Resolve for Vetted {
    fn resolve(&self, name: Name) -> Resolving {
        let Self { reach, resolver } = self.clone();
        Box::pin(async move {
            let addresses = addresses(&resolver, name.as_str(), &reach).await?;
            let addresses: Addrs = Box::new((0..addresses.len()).map(move |index| addresses[index]));
            Ok(addresses)
        })
    }
}

/// Why a URL cannot be delivered to. The texts never hold the URL: it may carry a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VetError {
    #[error("not a URL: {0}")]
    Url(#[from] url::ParseError),
    #[error("the URL must begin with http:// or https://")]
    Scheme,
    #[error("the URL must not hold a user name or a password: send them in a header")]
    Credentials,
    #[error("the URL must not have a fragment (#…): it is never sent")]
    Fragment,
    #[error("the host of the URL cannot be resolved: {0}")]
    Unresolved(String),
    #[error(
        "{0}: what is named through the API reaches public addresses only; the operator can open a network with \
         CREEL_TARGET_ALLOW_IPS"
    )]
    Forbidden(#[from] ForbiddenAddress),
}

/// For the API, when a target or a URL to replay to is given: whether it can be delivered to as things are now. Its name
/// may lead elsewhere later, so every connection is vetted again.
///
/// # Errors
/// It is not an HTTP URL without credentials and fragment, or not all of the addresses of its host may be reached.
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
