//! How many connections there may be: as many as there are file descriptors for, and no more than memory is meant for.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Each connection may hold a head of 128 KiB, so this bounds the memory for heads at 512 MiB. It is twice as many
/// as the slow clients that must not keep out the others.
const MAX_CONNECTIONS: u64 = 4_096;
/// The database with its readers, listeners, event loops, signals, and requests of our own.
const OTHER_DESCRIPTORS: u64 = 64;
/// With fewer descriptors than this the service is of no use to anyone, but it still starts.
const MIN_CONNECTIONS: u64 = 16;

/// Raises the limit of file descriptors as far as is needed and allowed, and says how many connections fit under it.
pub fn max_connections() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let wanted = MAX_CONNECTIONS + OTHER_DESCRIPTORS;
    let raised = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let mut allowed = limit.current.unwrap_or(u64::MAX);
    if allowed < raised {
        match setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum: limit.maximum }) {
            Ok(()) => allowed = raised,
            Err(error) => log::warn!("the limit of open files stays at {allowed}: {error}"),
        }
    }
    let connections = connections_under(allowed);
    if connections < MAX_CONNECTIONS {
        log::warn!("at most {connections} connections at a time: the limit of open files is {allowed}");
    }
    usize::try_from(connections).unwrap_or(usize::MAX)
}

fn connections_under(descriptors: u64) -> u64 {
    descriptors.saturating_sub(OTHER_DESCRIPTORS).clamp(MIN_CONNECTIONS, MAX_CONNECTIONS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_left_for_what_is_no_connection() {
        let rows = [(0, 16), (64, 16), (128, 64), (1_024, 960), (1_048_576, 4_096), (u64::MAX, 4_096)];
        for (descriptors, connections) in rows {
            assert_eq!(connections_under(descriptors), connections, "{descriptors}");
        }
    }
}
