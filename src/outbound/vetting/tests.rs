//! The address rules: a table of well-known addresses, and properties of every address in a
//! network.

use proptest::prelude::*;

use super::*;

fn verdict(address: &str) -> Result<(), &'static str> {
    vet(address.parse().unwrap(), &[]).map_err(|forbidden| forbidden.reason)
}

#[test]
fn public_addresses_are_allowed() {
    let public = [
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "93.184.216.34",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "168.63.129.15",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2001:4860:4860::8888",
        "2606:4700::1111",
        "2a00:1450:4001::1",
        "2003::1",
        "3ffd:ffff::1",
        // Public addresses through a translator or relay.
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
        "2002:808:808::1",
        "2001:0:808:808::f7f7:f7f7",
    ];
    for address in public {
        assert_eq!(verdict(address), Ok(()), "{address}");
    }
}

#[test]
fn non_public_addresses_are_rejected_with_reason() {
    let rows = [
        ("0.0.0.0", UNSPECIFIED),
        ("0.1.2.3", UNSPECIFIED),
        ("10.0.0.1", PRIVATE),
        ("100.64.0.1", "shared between carrier and customer"),
        ("100.100.100.200", METADATA),
        ("127.0.0.1", LOOPBACK),
        ("127.255.255.254", LOOPBACK),
        ("168.63.129.16", METADATA),
        ("169.254.1.1", LINK_LOCAL),
        ("169.254.169.254", METADATA),
        ("169.254.170.2", LINK_LOCAL),
        ("172.31.255.255", PRIVATE),
        ("192.0.0.192", PROTOCOL),
        ("192.0.2.1", DOCUMENTATION),
        ("192.168.1.1", PRIVATE),
        ("198.19.255.255", BENCHMARKING),
        ("203.0.113.9", DOCUMENTATION),
        ("239.255.255.250", MULTICAST),
        ("255.255.255.255", RESERVED),
        ("::", UNSPECIFIED),
        ("::1", LOOPBACK),
        ("::8.8.8.8", RETIRED),
        ("::ffff:0:8.8.8.8", RESERVED), // RFC 2765's "translated"
        ("::ffff:10.0.0.1", PRIVATE),
        ("64:ff9b::169.254.169.254", METADATA),
        ("64:ff9b:1::8.8.8.8", TRANSLATOR),
        ("100::1", DISCARD),
        ("2001:0:808:808::80ff:fffe", LOOPBACK), // client 127.0.0.1 of a public server
        ("2001:0:a00:1::f7f7:f7f7", PRIVATE),    // public client of the server 10.0.0.1
        ("2001:10::1", "an ORCHID"),
        ("2001:db8::1", DOCUMENTATION),
        ("2002:7f00:1::1", LOOPBACK),
        ("2002:a9fe:a9fe::", METADATA),
        ("3fff:fff::1", DOCUMENTATION),
        ("4000::1", RESERVED),
        ("fc00::1", PRIVATE),
        ("fd00:ec2::254", METADATA),
        ("fd20:ce::254", METADATA),
        ("fe80::1", LINK_LOCAL),
        ("fec0::1", PRIVATE),
        ("ff02::1", MULTICAST),
    ];
    for (address, reason) in rows {
        assert_eq!(verdict(address), Err(reason), "{address}");
    }
}

#[test]
fn both_ends_of_forbidden_networks_are_rejected() {
    for (network, reason) in FORBIDDEN_V4 {
        for address in [network.network(), network.broadcast()] {
            assert!(vet(address.into(), &[]).is_err(), "{address}: {reason}");
        }
    }
    for (network, reason) in FORBIDDEN_V6 {
        for address in [network.network(), network.broadcast()] {
            assert!(vet(address.into(), &[]).is_err(), "{address}: {reason}");
        }
    }
}

#[test]
fn allowed_network_is_reachable_in_every_notation_and_no_other() {
    let allowed = ["10.1.0.0/16".parse().unwrap(), "fd12::/16".parse().unwrap()];
    let reached = |address: &str| vet(address.parse().unwrap(), &allowed).is_ok();
    for address in
        ["10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::10.1.2.3", "2002:a01:203::", "fd12::1", "8.8.8.8"]
    {
        assert!(reached(address), "{address}");
    }
    for address in
        ["10.2.0.1", "::ffff:10.2.0.1", "64:ff9b::10.2.0.1", "2002:a02:1::", "::10.1.2.3", "fd13::1"]
    {
        assert!(!reached(address), "{address}");
    }
    // An IPv6 network allows no IPv4 address, even if it contains mapped addresses.
    assert!(vet("::ffff:10.0.0.1".parse().unwrap(), &["::/0".parse().unwrap()]).is_err());
}

#[test]
fn error_contains_address_and_reason() {
    let error = vet("::ffff:169.254.169.254".parse().unwrap(), &[]).unwrap_err();
    assert_eq!(error.to_string(), "the address ::ffff:169.254.169.254 is a cloud's own service");
}

/// Returns the address of the network with these host bits.
fn inside_v4(network: Ipv4Net, bits: u32) -> Ipv4Addr {
    let mask = network.netmask().to_bits();
    Ipv4Addr::from_bits(network.network().to_bits() & mask | bits & !mask)
}

fn inside_v6(network: Ipv6Net, bits: u128) -> Ipv6Addr {
    let mask = network.netmask().to_bits();
    Ipv6Addr::from_bits(network.network().to_bits() & mask | bits & !mask)
}

/// Returns all IPv6 notations of this address.
fn ipv6_notations(address: Ipv4Addr) -> [Ipv6Addr; 4] {
    let bits = u128::from(address.to_bits());
    let public = u128::from(Ipv4Addr::new(8, 8, 8, 8).to_bits());
    [
        address.to_ipv6_mapped(),
        inside_v6(NAT64, bits),
        inside_v6(SIX_TO_FOUR, bits << 80 | 1),
        inside_v6(TEREDO, public << 64 | bits ^ u128::from(u32::MAX)),
    ]
}

proptest! {
    #[test]
    fn every_address_in_a_forbidden_network_is_rejected(bits: u128) {
        for (network, reason) in FORBIDDEN_V4 {
            let address = inside_v4(network, bits as u32);
            prop_assert!(vet(address.into(), &[]).is_err(), "{address}: {reason}");
        }
        for (network, reason) in FORBIDDEN_V6 {
            let address = inside_v6(network, bits);
            prop_assert!(vet(address.into(), &[]).is_err(), "{address}: {reason}");
        }
    }

    #[test]
    fn embedded_ipv4_address_is_checked_as_ipv4(
        address in prop_oneof![
            any::<u32>().prop_map(Ipv4Addr::from_bits),
            (0..FORBIDDEN_V4.len(), any::<u32>()).prop_map(|(at, bits)| inside_v4(FORBIDDEN_V4[at].0, bits)),
        ],
    ) {
        let plain = vet(address.into(), &[]).map_err(|forbidden| forbidden.reason);
        for form in ipv6_notations(address) {
            prop_assert_eq!(vet(form.into(), &[]).map_err(|forbidden| forbidden.reason), plain, "{}", form);
        }
    }

    #[test]
    fn every_public_ipv6_address_is_global_unicast(bits: u128) {
        let address = Ipv6Addr::from_bits(bits);
        let is_carried = address.to_ipv4_mapped().is_some() || carried(address).is_some();
        if vet(address.into(), &[]).is_ok() && !is_carried {
            prop_assert!(GLOBAL_UNICAST.contains(&address));
        }
    }

    #[test]
    fn allowed_network_allows_every_address_in_it(at in 0..FORBIDDEN_V4.len(), bits: u32) {
        let (network, _) = FORBIDDEN_V4[at];
        let address = inside_v4(network, bits);
        prop_assert_eq!(vet(address.into(), &[network.into()]), Ok(()));
        prop_assert_eq!(vet(address.to_ipv6_mapped().into(), &[network.into()]), Ok(()));
    }
}
