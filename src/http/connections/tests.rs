//! The registry: connections that are closed, and connections that are spared.

use std::net::Ipv4Addr;

use prometheus::Opts;

use super::*;

fn registry(limit: usize, proxies: &[&str]) -> Arc<Connections> {
    let proxies = TrustedProxies::new(proxies.iter().map(|text| text.parse().unwrap()).collect());
    let closed = IntCounterVec::new(Opts::new("closed", "closed"), &["reason"]).unwrap();
    Connections::new(limit, proxies, IntGauge::new("open", "open").unwrap(), closed)
}

fn open(connections: &Arc<Connections>, network: u8, count: usize) -> Vec<Registration> {
    let peer = IpAddr::V4(Ipv4Addr::new(192, 0, 2, network));
    (0..count).map(|_| connections.register(Some(peer))).collect()
}

fn closed(registered: &[Registration]) -> usize {
    registered.iter().filter(|one| one.link.0.is_closing.load(Ordering::Relaxed)).count()
}

fn later() -> Instant {
    Instant::now() + 2 * GRACE
}

#[test]
fn nothing_is_closed_while_there_is_room() {
    let connections = registry(32, &[]);
    let held = open(&connections, 1, 30);
    connections.make_room(later());
    assert_eq!((closed(&held), connections.is_short()), (0, false));
}

#[test]
fn network_with_most_connections_gives_way() {
    let connections = registry(32, &[]);
    let flood = open(&connections, 1, 25);
    let others: Vec<_> = (2..=8).flat_map(|network| open(&connections, network, 1)).collect();
    assert!(connections.is_short());
    connections.make_room(later());
    assert_eq!((closed(&flood), closed(&others)), (2, 0));
    connections.make_room(later());
    assert_eq!(closed(&flood), 2, "those that are closing count as closed");
}

#[test]
fn connection_closes_when_idle_only_if_requested_and_no_stream() {
    let connections = registry(32, &[]);
    let before = open(&connections, 1, 2);
    assert!(!before[0].link.closes_when_idle());
    let held = before[1].link.hold();
    connections.close_when_idle(GRACE);
    assert!(!before[0].link.closes_when_idle(), "its first request may be in flight");
    connections.close_when_idle(Duration::ZERO);
    assert!(before[0].link.closes_when_idle() && !before[1].link.closes_when_idle());
    drop(held);
    assert!(before[1].link.closes_when_idle());
    assert!(!open(&connections, 1, 1)[0].link.closes_when_idle(), "it was opened later");
}

#[test]
fn newcomers_and_answered_requests_are_spared() {
    let connections = registry(16, &[]);
    let fresh: Vec<_> = (1..=16).flat_map(|network| open(&connections, network, 1)).collect();
    connections.make_room(Instant::now());
    assert_eq!(closed(&fresh), 0, "within the grace period");
    fresh.iter().for_each(|one| one.link.received(10, Stage::Between, true));
    connections.make_room(later());
    assert_eq!(closed(&fresh), 0, "waiting for a reply");
    let _held: Vec<OpenGuard> = fresh.iter().map(|one| one.link.hold()).collect();
    fresh.iter().for_each(|one| one.link.written(Stage::Between));
    connections.make_room(later());
    assert_eq!(closed(&fresh), 0, "streams");
}

#[test]
fn idle_gives_way_before_blocked_before_slowest() {
    let connections = registry(16, &[]);
    let all = open(&connections, 1, 16);
    let links: Vec<&Link> = all.iter().map(|one| &one.link).collect();
    links[..14].iter().for_each(|link| link.received(100_000, Stage::Body, true));
    links[3].received(1, Stage::Between, true);
    links[5].written(Stage::Between);
    links[3].written(Stage::Between);
    links[3].received(10, Stage::Head, false);
    links[4].blocked();
    links[14].received(10, Stage::Between, true);
    let mut order = Vec::new();
    for limit in (10..=15).rev() {
        // Each round closes one more connection.
        let candidates = all.iter().map(|one| one.link.0.candidate(later())).collect();
        let chosen = choice::choose(candidates, 16 - limit, 1);
        order = chosen.connections.iter().map(|(index, _)| *index).collect();
    }
    assert_eq!(order[..2].iter().filter(|index| matches!(index, 5 | 15)).count(), 2, "{order:?}");
    assert_eq!(&order[2..4], [4, 3], "{order:?}");
    assert!(!order.contains(&14));
}

#[test]
fn trusted_proxy_is_closed_last_and_its_clients_count() {
    let connections = registry(32, &["192.0.2.1/32"]);
    let proxy = open(&connections, 1, 20);
    let pair = open(&connections, 2, 2);
    let rest: Vec<_> = (3..=12).flat_map(|network| open(&connections, network, 1)).collect();
    connections.make_room(later());
    assert_eq!((closed(&proxy), closed(&pair) + closed(&rest)), (0, 2));
    let connections = registry(32, &["192.0.2.1/32"]);
    let proxy = open(&connections, 1, 31);
    let client = Network::from(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9)));
    proxy[..6].iter().for_each(|one| one.link.attribute(client));
    connections.make_room(later());
    assert_eq!((closed(&proxy[..6]), closed(&proxy[6..])), (1, 0));
}

#[test]
fn line_breaks_do_not_count_as_pending_request() {
    let connections = registry(16, &[]);
    let all = open(&connections, 1, 16);
    all.iter().for_each(|one| one.link.received(2, Stage::Between, false));
    connections.make_room(later());
    assert_eq!(closed(&all), 1);
}

#[test]
fn network_with_few_connections_survives_flood_of_networks() {
    let connections = registry(1_024, &[]);
    let provider = open(&connections, 1, 8);
    provider.iter().for_each(|one| one.link.received(100_000, Stage::Body, true));
    let address = |number: usize| IpAddr::V4(Ipv4Addr::from(u32::try_from(number).unwrap()));
    let flood: Vec<_> = (0..1_016).map(|number| connections.register(Some(address(number)))).collect();
    connections.make_room(later());
    assert_eq!((closed(&provider), closed(&flood)), (0, 64));
}

/// Sets the time of the last change of state.
fn set_since(registered: &[Registration], since: Instant) {
    registered.iter().for_each(|one| one.link.progress().since = since);
}

#[test]
fn fresh_flood_never_closes_older_connection_of_another() {
    let connections = registry(1_024, &[]);
    let honest = open(&connections, 1, 1);
    honest[0].link.received(10, Stage::Body, true);
    let flood = open(&connections, 2, 1_000);
    let now = Instant::now() + Duration::from_secs(5);
    set_since(&flood, now);
    connections.make_room(now);
    assert_eq!((closed(&honest), closed(&flood)), (0, 41));
}

#[test]
fn fresh_connections_of_any_class_are_closed_oldest_first() {
    let connections = registry(32, &[]);
    let all = open(&connections, 1, 32);
    let now = later();
    set_since(&all, now - GRACE / 4);
    all[..2].iter().for_each(|one| one.link.received(10, Stage::Head, false));
    set_since(&all[..2], now - GRACE / 2);
    connections.make_room(now);
    assert_eq!((closed(&all[..2]), closed(&all[2..])), (2, 0));
}

#[test]
fn fresh_connections_of_small_networks_are_spared() {
    let connections = registry(1_024, &[]);
    let address = |number: usize| IpAddr::V4(Ipv4Addr::from(u32::try_from(number).unwrap()));
    let fresh: Vec<_> = (0..1_024).map(|number| connections.register(Some(address(number / 8)))).collect();
    connections.make_room(Instant::now());
    assert_eq!(closed(&fresh), 0);
}

#[test]
fn closed_connection_is_notified_and_place_is_released() {
    let connections = registry(16, &[]);
    let mut all = open(&connections, 1, 16);
    connections.make_room(later());
    let index = all.iter().position(|one| one.link.0.is_closing.load(Ordering::Relaxed)).unwrap();
    let context = &mut Context::from_waker(std::task::Waker::noop());
    assert!(all[index].link.stay_open(context).is_err());
    all.swap_remove(index);
    assert!(all.iter().all(|one| one.link.stay_open(context).is_ok()));
    assert!(!connections.is_short());
    drop(all);
    assert_eq!((connections.open.load(Ordering::Relaxed), connections.entries.lock().len()), (0, 0));
}

#[test]
fn first_bytes_reveal_other_protocols() {
    let rows: [(&[u8], Opening); 5] = [
        (b"POST / HTTP/1.1", Opening::Http),
        (b"", Opening::Http),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", Opening::ProxyProtocol),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x11", Opening::ProxyProtocol),
        (&[0x16, 0x03, 0x01, 0x02], Opening::Tls),
    ];
    for (bytes, expected) in rows {
        assert_eq!(Opening::of(bytes), expected, "{bytes:?}");
    }
}
