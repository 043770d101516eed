//! What a verdict asks for beside the request: what has been fetched for its source, and whom certificates must come from.

use std::cell::RefCell;

use crate::ingest::receive::Mount;
use crate::providers::{Answer, Outside, Roots, Wanted};

/// For one verdict; notes what it was given by.
pub struct Lookups<'a> {
    mount: &'a Mount,
    used: RefCell<Vec<Wanted>>,
}

impl<'a> Lookups<'a> {
    pub const fn new(mount: &'a Mount) -> Self {
        Self { mount, used: RefCell::new(Vec::new()) }
    }

    /// What was looked up and known.
    pub fn used(self) -> Vec<Wanted> {
        self.used.into_inner()
    }
}

impl Outside for Lookups<'_> {
    fn known(&self, wanted: &Wanted) -> Answer {
        let answer = self.mount.source.fetches.get(wanted);
        if answer != Answer::NotYet {
            self.used.borrow_mut().push(wanted.clone());
        }
        answer
    }

    fn may_be_outdated(&self, wanted: &Wanted) -> bool {
        self.mount.source.fetches.may_be_outdated(wanted)
    }

    fn roots(&self) -> &Roots {
        self.mount.service.roots()
    }
}
