//! The explanation of a rejection, with the settings and cached keys of its source.

use std::sync::Arc;

use crate::providers::{Cause, Diagnosis, OtherSource, RejectedRequest, Request, Secret, Verifier, explain};
use crate::verification::lookups::Lookups;
use crate::verification::source::Source;
use crate::verification::sources::Sources;

/// Explains why a source rejected a request. CPU-bound; nothing is fetched. `has_body` is false if
/// the body was not stored, `cause` is the recorded one.
pub fn diagnose(
    sources: &Sources,
    source: &Source,
    request: &Request<'_>,
    has_body: bool,
    cause: Option<Cause>,
) -> Diagnosis {
    let others = sources.all().iter().filter(|other| other.name != source.name);
    let others: Vec<(&str, Arc<Verifier>)> = others.map(|other| (&*other.name, other.verifier())).collect();
    let others: Vec<OtherSource<'_>> =
        others.iter().map(|(name, verifier)| OtherSource { name, verifier }).collect();
    let hidden: Vec<Secret> = sources.all().iter().flat_map(|source| source.hidden_texts()).collect();
    explain(&RejectedRequest {
        source: &source.name,
        verifier: &source.verifier(),
        request,
        has_body,
        cause,
        key_store: &Lookups::new(&source.fetches, sources),
        others: &others,
        hidden: &hidden,
    })
}
