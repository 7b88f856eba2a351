//! How often a password may be tried. Pure.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

/// Attempts are counted for so long, then anew.
const WINDOW_S: u64 = 60;
/// Wrong passwords from one address.
const OF_ONE: u32 = 10;
/// Wrong passwords from all addresses together, so that many addresses are no way around the other limit.
const OF_ALL: u32 = 100;

/// Attempts of the current minute that have failed, or are under way. There are never more addresses than [`OF_ALL`].
#[derive(Default)]
pub(crate) struct Attempts {
    window: u64,
    all: u32,
    by_address: HashMap<IpAddr, u32>,
}

impl Attempts {
    /// One more, at a time in seconds.
    ///
    /// # Errors
    /// After how many seconds it may be tried again.
    pub(crate) fn begin(&mut self, from: IpAddr, now_s: u64) -> Result<(), u64> {
        let window = now_s / WINDOW_S;
        if window != self.window {
            *self = Self { window, ..Self::default() };
        }
        let failed = self.by_address.get(&network(from)).copied().unwrap_or(0);
        if failed >= OF_ONE || self.all >= OF_ALL {
            return Err(WINDOW_S - now_s % WINDOW_S);
        }
        self.by_address.insert(network(from), failed + 1);
        self.all += 1;
        Ok(())
    }

    /// The one from there was right, and does not count.
    pub(crate) fn succeeded(&mut self, from: IpAddr) {
        if let Some(failed) = self.by_address.get_mut(&network(from)) {
            *failed = failed.saturating_sub(1);
            self.all = self.all.saturating_sub(1);
        }
    }
}

/// What counts as one address: whoever has one of IPv6 has 2^64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn wrong_passwords_of_one_address_are_few_and_others_do_not_notice() {
        let mut attempts = Attempts::default();
        let one = address("192.0.2.1");
        assert!((0..OF_ONE).all(|_| attempts.begin(one, 600).is_ok()));
        assert_eq!(attempts.begin(one, 615), Err(45), "it says when");
        assert_eq!(attempts.begin(address("::ffff:192.0.2.1"), 615), Err(45), "the same written otherwise");
        assert_eq!(attempts.begin(address("192.0.2.2"), 615), Ok(()));
        assert_eq!(attempts.begin(one, 660), Ok(()));
    }

    #[test]
    fn all_together_are_bounded_and_a_network_of_ipv6_is_one_address() {
        let mut attempts = Attempts::default();
        let from = |number: u32| IpAddr::from(number.to_be_bytes());
        assert!((0..OF_ALL).all(|number| attempts.begin(from(number), 0).is_ok()));
        assert_eq!(attempts.begin(address("203.0.113.7"), 59), Err(1));
        assert_eq!(attempts.by_address.len(), 100);
        let mut attempts = Attempts::default();
        let of_one_network = |number: u32| address(&format!("2001:db8::{number:x}"));
        assert!((0..OF_ONE).all(|number| attempts.begin(of_one_network(number), 0).is_ok()));
        assert!(attempts.begin(address("2001:db8::ffff:1"), 0).is_err());
        assert!(attempts.begin(address("2001:db8:0:1::1"), 0).is_ok());
    }

    #[test]
    fn right_passwords_do_not_count() {
        let mut attempts = Attempts::default();
        for _ in 0..3 * OF_ALL {
            attempts.begin(address("192.0.2.1"), 7).unwrap();
            attempts.succeeded(address("192.0.2.1"));
        }
        attempts.begin(address("192.0.2.1"), 7).unwrap();
        attempts.begin(address("192.0.2.1"), 67).unwrap();
        // What was begun a minute ago is not counted any more, and takes nothing away.
        attempts.succeeded(address("192.0.2.9"));
        assert_eq!(attempts.all, 1);
    }
}
