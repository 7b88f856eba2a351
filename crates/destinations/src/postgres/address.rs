//! Which addresses lead nowhere but into the public network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

const fn v4(a: u8, b: u8, c: u8, d: u8, bits: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), bits))
}

const fn v6(first: [u16; 3], bits: u8) -> IpNet {
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(first[0], first[1], first[2], 0, 0, 0, 0, 0), bits))
}

/// Ranges that are not public, or lead elsewhere than they say: IANA's registries of special-purpose addresses (RFC 6890 and
/// those that update it), and what clouds have made of public ones.
const REFUSED: &[(IpNet, &str)] = &[
    (v4(0, 0, 0, 0, 8), "unspecified"),
    (v4(10, 0, 0, 0, 8), "private"),
    (v4(100, 64, 0, 0, 10), "carrier-grade"),
    (v4(127, 0, 0, 0, 8), "loopback"),
    (v4(168, 63, 129, 16, 32), "metadata of a cloud"),
    (v4(169, 254, 0, 0, 16), "link-local"),
    (v4(172, 16, 0, 0, 12), "private"),
    (v4(192, 0, 0, 0, 24), "reserved"),
    (v4(192, 0, 2, 0, 24), "for documentation"),
    (v4(192, 88, 99, 0, 24), "of 6to4 relays"),
    (v4(192, 168, 0, 0, 16), "private"),
    (v4(198, 18, 0, 0, 15), "for benchmarks"),
    (v4(198, 51, 100, 0, 24), "for documentation"),
    (v4(203, 0, 113, 0, 24), "for documentation"),
    (v4(224, 0, 0, 0, 4), "multicast"),
    (v4(255, 255, 255, 255, 32), "broadcast"),
    (v4(240, 0, 0, 0, 4), "reserved"),
    (v6([0x64, 0xff9b, 0], 96), "of NAT64"),
    (v6([0x64, 0xff9b, 1], 48), "of NAT64"),
    (v6([0x2001, 0, 0], 32), "of Teredo"),
    (v6([0x2001, 0, 0], 23), "reserved"),
    (v6([0x2001, 0xdb8, 0], 32), "for documentation"),
    (v6([0x2002, 0, 0], 16), "of 6to4"),
    (v6([0x3fff, 0, 0], 20), "for documentation"),
    (v6([0xfc00, 0, 0], 7), "private"),
    (v6([0xfe80, 0, 0], 10), "link-local"),
    (v6([0xfec0, 0, 0], 10), "site-local"),
    (v6([0xff00, 0, 0], 8), "multicast"),
];

/// All that is public in IPv6 begins with these three bits (RFC 4291).
const GLOBAL_V6: IpNet = v6([0x2000, 0, 0], 3);

/// What kind of address it is, where it is not one of the public network.
pub(super) fn refused(address: IpAddr) -> Option<&'static str> {
    if let Some((_, kind)) = REFUSED.iter().find(|(range, _)| range.contains(&address)) {
        return Some(kind);
    }
    match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) if address.is_loopback() => Some("loopback"),
        IpAddr::V6(address) if address.is_unspecified() => Some("unspecified"),
        IpAddr::V6(address) if address.to_ipv4_mapped().is_some() => Some("an IPv4 address in the form of IPv6"),
        IpAddr::V6(address) if address.to_ipv4().is_some() => Some("an IPv4 address in the form of IPv6"),
        IpAddr::V6(address) if GLOBAL_V6.contains(&IpAddr::V6(address)) => None,
        IpAddr::V6(_) => Some("reserved"),
    }
}

/// The address that another form of it leads to, for comparisons: every way to the machine itself is one.
pub(super) fn plain(address: IpAddr) -> IpAddr {
    let address = address.to_canonical();
    if address.is_loopback() || address.is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { address }
}
