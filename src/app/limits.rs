//! How many connections there may be: as many as there are file descriptors for, and no more than memory is meant for.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Each connection may hold a head of 128 KiB, so this bounds the memory for heads at 512 MiB. It is twice as many
/// as the slow clients that must not keep out the others.
const MAX_CONNECTIONS: u64 = 4_096;
/// Connections to an address that only the operator uses: streams, of which there may be half as many, and the rest.
const OPERATOR_CONNECTIONS: u64 = 96;
/// The database with its readers, listeners, event loops, signals, and requests and commands of our own …
const OTHER_DESCRIPTORS: u64 = 256;
/// … of which the service needs at least this many.
const MIN_OTHER_DESCRIPTORS: u64 = 64;
/// With fewer descriptors than this the service is of no use to anyone, but it still starts.
const MIN_CONNECTIONS: u64 = 16;

/// Numbers of connections that fit under the limit of file descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    pub webhooks: usize,
    /// For an address that only the operator uses.
    pub operator: usize,
}

/// Raises the limit of file descriptors as far as is needed and allowed.
pub fn connection_limits(has_operator: bool) -> ConnectionLimits {
    let limit = getrlimit(Resource::Nofile);
    let wanted = MAX_CONNECTIONS + OTHER_DESCRIPTORS + if has_operator { OPERATOR_CONNECTIONS } else { 0 };
    let raised = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let mut allowed = limit.current.unwrap_or(u64::MAX);
    if allowed < raised {
        match setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum: limit.maximum }) {
            Ok(()) => allowed = raised,
            Err(error) => log::warn!("the limit of open files stays at {allowed}: {error}"),
        }
    }
    let (webhooks, operator) = connections_under(allowed, has_operator);
    if webhooks < MAX_CONNECTIONS {
        log::warn!("at most {webhooks} connections at a time: the limit of open files is {allowed}");
    }
    let count = |connections| usize::try_from(connections).unwrap_or(usize::MAX);
    ConnectionLimits { webhooks: count(webhooks), operator: count(operator) }
}

/// For webhooks, and for the operator.
fn connections_under(descriptors: u64, has_operator: bool) -> (u64, u64) {
    let other = (descriptors / 4).clamp(MIN_OTHER_DESCRIPTORS, OTHER_DESCRIPTORS);
    let all = descriptors.saturating_sub(other);
    let operator = if has_operator { OPERATOR_CONNECTIONS.min(all / 4).max(MIN_CONNECTIONS) } else { 0 };
    (all.saturating_sub(operator).clamp(MIN_CONNECTIONS, MAX_CONNECTIONS), operator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_left_for_what_is_no_connection() {
        let rows = [
            (0, (16, 0), (16, 16)),
            (64, (16, 0), (16, 16)),
            (128, (64, 0), (48, 16)),
            (1_024, (768, 0), (672, 96)),
            (4_448, (4_096, 0), (4_096, 96)),
            (1_048_576, (4_096, 0), (4_096, 96)),
            (u64::MAX, (4_096, 0), (4_096, 96)),
        ];
        for (descriptors, alone, with_operator) in rows {
            assert_eq!(connections_under(descriptors, false), alone, "{descriptors}");
            assert_eq!(connections_under(descriptors, true), with_operator, "{descriptors}");
        }
    }
}
