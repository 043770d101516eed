//! The input of a verification besides the request: keys and certificates fetched for the source,
//! and the trusted issuers.

use std::cell::RefCell;

use crate::providers::{KeyRequest, KeyResponse, KeyStore, Roots};
use crate::verification::fetches::Fetches;
use crate::verification::sources::Sources;

/// Looks up keys to verify one request, and records which of them were used.
pub struct Lookups<'a> {
    fetches: &'a Fetches,
    sources: &'a Sources,
    used: RefCell<Vec<KeyRequest>>,
}

impl<'a> Lookups<'a> {
    pub const fn new(fetches: &'a Fetches, sources: &'a Sources) -> Self {
        Self { fetches, sources, used: RefCell::new(Vec::new()) }
    }

    /// Returns the key requests that the cache could answer.
    pub fn used(self) -> Vec<KeyRequest> {
        self.used.into_inner()
    }
}

impl KeyStore for Lookups<'_> {
    fn known(&self, wanted: &KeyRequest) -> KeyResponse {
        let answer = self.fetches.get(wanted);
        if answer != KeyResponse::NotYet {
            self.used.borrow_mut().push(wanted.clone());
        }
        answer
    }

    fn may_be_outdated(&self, wanted: &KeyRequest) -> bool {
        self.fetches.may_be_outdated(wanted)
    }

    fn roots(&self) -> &Roots {
        self.sources.roots()
    }
}
