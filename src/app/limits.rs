//! Limits on connections, derived from the limit on file descriptors and a memory budget.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Limit on connections, which limits request heads of up to 128 KiB each to 512 MiB of memory. It
/// is twice the number of slow clients that the service must tolerate.
const MAX_CONNECTIONS: u64 = 4_096;
/// Limit on connections to an operator-only address: twice the limit on streams.
const OPERATOR_CONNECTIONS: u64 = 96;
/// Descriptors for the database and its readers, listeners, event loops, signals, commands, and
/// outgoing requests with their idle connections (up to 128 for each host).
const OTHER_DESCRIPTORS: u64 = 1_024;
/// Minimum number of these descriptors that the service needs.
const MIN_OTHER_DESCRIPTORS: u64 = 64;
/// Minimum of each limit. It applies even if there are fewer descriptors, so that the service still
/// starts.
const MIN_CONNECTIONS: u64 = 16;

/// Connection limits within the limit on file descriptors, but at least `MIN_CONNECTIONS` each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    pub webhooks: usize,
    /// Limit for an operator-only address.
    pub operator: usize,
}

/// Raises the limit on file descriptors as far as needed and allowed, and returns the connection
/// limits for it.
pub fn connection_limits(has_operator: bool) -> ConnectionLimits {
    let limit = getrlimit(Resource::Nofile);
    let wanted = MAX_CONNECTIONS + OTHER_DESCRIPTORS + if has_operator { OPERATOR_CONNECTIONS } else { 0 };
    let raised = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let mut allowed = limit.current.unwrap_or(u64::MAX);
    if allowed < raised {
        match setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum: limit.maximum }) {
            Ok(()) => allowed = raised,
            Err(error) => log::warn!("the limit on open files stays at {allowed}: {error}"),
        }
    }
    let (webhooks, operator) = connections_under(allowed, has_operator);
    if webhooks < MAX_CONNECTIONS {
        log::warn!("at most {webhooks} simultaneous connections: the limit on open files is {allowed}");
    }
    let count = |connections| usize::try_from(connections).unwrap_or(usize::MAX);
    ConnectionLimits { webhooks: count(webhooks), operator: count(operator) }
}

/// Returns the limits for webhooks and for the operator.
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
    fn descriptors_are_reserved_for_other_uses() {
        let rows = [
            (0, (16, 0), (16, 16)),
            (64, (16, 0), (16, 16)),
            (128, (64, 0), (48, 16)),
            (1_024, (768, 0), (672, 96)),
            (4_448, (3_424, 0), (3_328, 96)),
            (5_216, (4_096, 0), (4_096, 96)),
            (1_048_576, (4_096, 0), (4_096, 96)),
            (u64::MAX, (4_096, 0), (4_096, 96)),
        ];
        for (descriptors, alone, with_operator) in rows {
            assert_eq!(connections_under(descriptors, false), alone, "{descriptors}");
            assert_eq!(connections_under(descriptors, true), with_operator, "{descriptors}");
        }
    }
}
