//! What a verdict asks for beside the request: what has been fetched for its source, and whom certificates must come from.

use std::cell::RefCell;

use super::receive::Mount;
use crate::providers::{KeyRequest, KeyResponse, KeyStore, Roots};

/// For one verdict; notes what it was given by.
pub struct Lookups<'a> {
    mount: &'a Mount,
    used: RefCell<Vec<KeyRequest>>,
}

impl<'a> Lookups<'a> {
    pub const fn new(mount: &'a Mount) -> Self {
        Self { mount, used: RefCell::new(Vec::new()) }
    }

    /// What was looked up and known.
    pub fn used(self) -> Vec<KeyRequest> {
        self.used.into_inner()
    }
}

impl KeyStore for Lookups<'_> {
    fn known(&self, wanted: &KeyRequest) -> KeyResponse {
        let answer = self.mount.source.fetches.get(wanted);
        if answer != KeyResponse::NotYet {
            self.used.borrow_mut().push(wanted.clone());
        }
        answer
    }

    fn may_be_outdated(&self, wanted: &KeyRequest) -> bool {
        self.mount.source.fetches.may_be_outdated(wanted)
    }

    fn roots(&self) -> &Roots {
        self.mount.service.roots()
    }
}
