//! Which addresses lead nowhere but into the public network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A range of addresses, such as `10.0.0.0/8` or `fd00::/8`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cidr {
    address: IpAddr,
    bits: u8,
}

impl Cidr {
    const fn v4(a: u8, b: u8, c: u8, d: u8, bits: u8) -> Self {
        Self { address: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), bits }
    }

    const fn v6(first: [u16; 3], bits: u8) -> Self {
        Self { address: IpAddr::V6(Ipv6Addr::new(first[0], first[1], first[2], 0, 0, 0, 0, 0)), bits }
    }

    /// Whether the address is in the range. One of the other family never is.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(range), IpAddr::V4(address)) => {
                let shift = 32 - u32::from(self.bits);
                u32::from(range).checked_shr(shift) == u32::from(address).checked_shr(shift)
            }
            (IpAddr::V6(range), IpAddr::V6(address)) => {
                let shift = 128 - u32::from(self.bits);
                u128::from(range).checked_shr(shift) == u128::from(address).checked_shr(shift)
            }
            _ => false,
        }
    }
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("{text:?} is no range of addresses; write one like 10.20.0.0/16");
        let (address, bits) = text.trim().split_once('/').ok_or_else(wrong)?;
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let bits: u8 = bits.parse().map_err(|_| wrong())?;
        if bits > if address.is_ipv4() { 32 } else { 128 } {
            return Err(wrong());
        }
        Ok(Self { address, bits })
    }
}

/// Ranges that are not public, or lead elsewhere than they say: IANA's registries of special-purpose addresses (RFC 6890 and
/// those that update it), and what clouds have made of public ones.
const REFUSED: &[(Cidr, &str)] = &[
    (Cidr::v4(0, 0, 0, 0, 8), "unspecified"),
    (Cidr::v4(10, 0, 0, 0, 8), "private"),
    (Cidr::v4(100, 64, 0, 0, 10), "carrier-grade"),
    (Cidr::v4(127, 0, 0, 0, 8), "loopback"),
    (Cidr::v4(168, 63, 129, 16, 32), "metadata of a cloud"),
    (Cidr::v4(169, 254, 0, 0, 16), "link-local"),
    (Cidr::v4(172, 16, 0, 0, 12), "private"),
    (Cidr::v4(192, 0, 0, 0, 24), "reserved"),
    (Cidr::v4(192, 0, 2, 0, 24), "for documentation"),
    (Cidr::v4(192, 88, 99, 0, 24), "of 6to4 relays"),
    (Cidr::v4(192, 168, 0, 0, 16), "private"),
    (Cidr::v4(198, 18, 0, 0, 15), "for benchmarks"),
    (Cidr::v4(198, 51, 100, 0, 24), "for documentation"),
    (Cidr::v4(203, 0, 113, 0, 24), "for documentation"),
    (Cidr::v4(224, 0, 0, 0, 4), "multicast"),
    (Cidr::v4(255, 255, 255, 255, 32), "broadcast"),
    (Cidr::v4(240, 0, 0, 0, 4), "reserved"),
    (Cidr::v6([0x64, 0xff9b, 0], 96), "of NAT64"),
    (Cidr::v6([0x64, 0xff9b, 1], 48), "of NAT64"),
    (Cidr::v6([0x2001, 0, 0], 32), "of Teredo"),
    (Cidr::v6([0x2001, 0, 0], 23), "reserved"),
    (Cidr::v6([0x2001, 0xdb8, 0], 32), "for documentation"),
    (Cidr::v6([0x2002, 0, 0], 16), "of 6to4"),
    (Cidr::v6([0x3fff, 0, 0], 20), "for documentation"),
    (Cidr::v6([0xfc00, 0, 0], 7), "private"),
    (Cidr::v6([0xfe80, 0, 0], 10), "link-local"),
    (Cidr::v6([0xfec0, 0, 0], 10), "site-local"),
    (Cidr::v6([0xff00, 0, 0], 8), "multicast"),
];

/// All that is public in IPv6 begins with these three bits (RFC 4291).
const GLOBAL_V6: Cidr = Cidr::v6([0x2000, 0, 0], 3);

/// What kind of address it is, where it is not one of the public network.
pub(super) fn refused(address: IpAddr) -> Option<&'static str> {
    if let Some((_, kind)) = REFUSED.iter().find(|(range, _)| range.contains(address)) {
        return Some(kind);
    }
    match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) if address.is_loopback() => Some("loopback"),
        IpAddr::V6(address) if address.is_unspecified() => Some("unspecified"),
        IpAddr::V6(address) if address.to_ipv4_mapped().is_some() => Some("an IPv4 address in the form of IPv6"),
        IpAddr::V6(address) if address.to_ipv4().is_some() => Some("an IPv4 address in the form of IPv6"),
        IpAddr::V6(_) if GLOBAL_V6.contains(address) => None,
        IpAddr::V6(_) => Some("reserved"),
    }
}

/// The address that another form of it leads to, for comparisons: every way to the machine itself is one.
pub(super) fn plain(address: IpAddr) -> IpAddr {
    let address = address.to_canonical();
    if address.is_loopback() || address.is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { address }
}
