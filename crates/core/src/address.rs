//! What stands for host and port in a URL. Parsers take an empty port for the usual one, and `+5` for 5, and some a missing name for
//! this machine's.

/// What is wrong with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WrongPlace {
    /// A host has no name.
    Host,
    /// A port does not consist of digits.
    Port,
}

/// Whether this is a port: digits.
pub fn is_port(port: &str) -> bool {
    !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
}

/// What is wrong with `host`, `host:port` or several of them with commas between; nothing where there is none at all.
pub fn wrong_place(hosts: &str) -> Option<WrongPlace> {
    let wrong = |host: &str| {
        // An IPv6 address has colons of its own.
        let (name, port) = match host.rsplit_once(':').filter(|(_, port)| !port.contains(']')) {
            Some((name, port)) => (name, Some(port)),
            None => (host, None),
        };
        match port {
            _ if name.is_empty() => Some(WrongPlace::Host),
            Some(port) if !is_port(port) => Some(WrongPlace::Port),
            _ => None,
        }
    };
    hosts.split(',').filter(|_| !hosts.is_empty()).find_map(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_names_and_ports_digits() {
        for fine in ["", "db", "db:5432", "[::1]", "[::1]:5432", "one:1,two"] {
            assert_eq!(wrong_place(fine), None, "{fine}");
        }
        for (hosts, wrong) in [
            (":", WrongPlace::Host),
            (":5432", WrongPlace::Host),
            ("one,", WrongPlace::Host),
            ("db:", WrongPlace::Port),
            ("db:+5", WrongPlace::Port),
            ("one:1,[::1]:", WrongPlace::Port),
        ] {
            assert_eq!(wrong_place(hosts), Some(wrong), "{hosts}");
        }
    }
}
