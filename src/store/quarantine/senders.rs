//! Known senders: networks from which a source has received verified messages. While other networks
//! hold more than their share of the quarantine, the candidates of known senders are not evicted.

use std::collections::BTreeSet;

use crate::store::quarantine::network::ClientNetwork;

const MAX_SENDERS: usize = 4_096;

/// A source and a network that has sent to it.
pub type Sender = (String, ClientNetwork);

/// Known senders, in the order in which they were added.
#[derive(Debug, Default)]
pub struct Senders {
    in_order: Vec<Sender>,
    known: BTreeSet<Sender>,
}

impl Senders {
    pub fn learn(&mut self, sender: Sender) {
        if self.in_order.len() < MAX_SENDERS && self.known.insert(sender.clone()) {
            self.in_order.push(sender);
        }
    }

    /// Returns the senders after the first `count`.
    pub fn after(&self, count: usize) -> &[Sender] {
        self.in_order.get(count..).unwrap_or_default()
    }
}
