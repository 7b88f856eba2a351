//! Settings of tenants' own destinations: the key file, which addresses may be connected to, and how much TLS is asked for.

use std::path::PathBuf;

use ipnet::IpNet;

use super::check::{Check, given};
use crate::secret_keys::KeyRing;

/// Flags about tenants' own destinations.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct DestinationArgs {
    /// File with the keys that tenants' connection strings are encrypted with, one a line: ID:BASE64 of 32 bytes.
    /// The first encrypts, all decrypt
    #[arg(long, env = "LOCKSTEP_SECRET_KEY_FILE", value_name = "FILE", global = true)]
    pub(super) secret_key_file: Option<PathBuf>,
    /// Networks that tenants' destinations may be in although they are private, loopback or reserved: 10.1.0.0/16,fd00::/8
    #[arg(long, env = "LOCKSTEP_DESTINATION_ALLOW", value_name = "CIDR,…", global = true)]
    pub(super) destination_allow: Option<String>,
    /// How far a tenant's connection string may weaken TLS: verify-full (not at all), or prefer (default: verify-full)
    #[arg(long, env = "LOCKSTEP_DESTINATION_TLS", value_name = "verify-full|prefer", global = true)]
    pub(super) destination_tls: Option<String>,
}

/// What a tenant's connection string may do about TLS.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum DestinationTls {
    /// The server's certificate and name are verified; a string that asks for less is refused.
    #[default]
    VerifyFull,
    /// The string's own `sslmode` goes, down to `prefer`; without one it is verified as well.
    Prefer,
}

/// How tenants' own destinations are reached.
#[derive(Clone, Debug, Default)]
pub struct DestinationSettings {
    /// The key file, which could be read when the program started: a program loads it when it needs a key, so that a file
    /// with another key is taken up without a restart.
    pub secret_key_file: Option<PathBuf>,
    /// Networks that are allowed although their addresses are refused otherwise.
    pub allow: Vec<IpNet>,
    /// What a connection string may do about TLS.
    pub tls: DestinationTls,
}

impl DestinationArgs {
    pub(super) fn resolve(&self, check: &mut Check) -> DestinationSettings {
        const KEYS: &str = "LOCKSTEP_SECRET_KEY_FILE";
        let secret_key_file = self.secret_key_file.clone().filter(|file| !file.as_os_str().is_empty());
        if let Some(Err(error)) = secret_key_file.as_deref().map(KeyRing::load) {
            check.problem(format!("{KEYS}: {error}"));
        }
        DestinationSettings { secret_key_file, allow: self.allow(check), tls: self.tls(check) }
    }

    fn allow(&self, check: &mut Check) -> Vec<IpNet> {
        let mut networks = Vec::new();
        let texts = given(self.destination_allow.as_deref()).into_iter().flat_map(|list| list.split(','));
        for text in texts.map(str::trim).filter(|text| !text.is_empty()) {
            match text.parse::<IpNet>() {
                // A network that is written with a host's bits may be meant as that one host: it is asked, not guessed.
                Ok(network) if network == network.trunc() => networks.push(network),
                Ok(network) => check.problem(format!(
                    "LOCKSTEP_DESTINATION_ALLOW: {text} has bits beyond its prefix; write {} or {}/{}",
                    network.trunc(),
                    network.addr(),
                    network.max_prefix_len(),
                )),
                Err(_) => check.problem(format!(
                    "LOCKSTEP_DESTINATION_ALLOW must be networks such as 10.1.0.0/16,fd00::/8, which {text:?} is not"
                )),
            }
        }
        networks
    }

    fn tls(&self, check: &mut Check) -> DestinationTls {
        match given(self.destination_tls.as_deref()) {
            None | Some("verify-full") => DestinationTls::VerifyFull,
            Some("prefer") => DestinationTls::Prefer,
            Some(other) => {
                check.problem(format!("LOCKSTEP_DESTINATION_TLS must be verify-full or prefer, not {other:?}"));
                DestinationTls::VerifyFull
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(list: &str) -> (Vec<String>, Vec<String>) {
        let mut check = Check::default();
        let args = DestinationArgs { destination_allow: Some(list.to_owned()), ..DestinationArgs::default() };
        let networks = args.resolve(&mut check).allow;
        (networks.iter().map(ToString::to_string).collect(), check.problems().to_vec())
    }

    #[test]
    fn networks_are_a_list_and_one_that_is_none_is_named() {
        assert_eq!(networks(" 10.1.0.0/16, fd00::/8 ,"), (vec!["10.1.0.0/16".into(), "fd00::/8".into()], Vec::new()));
        assert_eq!(networks(" "), (Vec::new(), Vec::new()));
        let (_, problems) = networks("10.1.2.3/16,localhost,10.0.0.1");
        assert_eq!(
            problems,
            [
                "LOCKSTEP_DESTINATION_ALLOW: 10.1.2.3/16 has bits beyond its prefix; write 10.1.0.0/16 or 10.1.2.3/32",
                "LOCKSTEP_DESTINATION_ALLOW must be networks such as 10.1.0.0/16,fd00::/8, which \"localhost\" is not",
                "LOCKSTEP_DESTINATION_ALLOW must be networks such as 10.1.0.0/16,fd00::/8, which \"10.0.0.1\" is not",
            ]
        );
    }

    #[test]
    fn tls_is_verified_unless_the_operator_weakens_it() {
        let tls = |text: Option<&str>| {
            let mut check = Check::default();
            let args = DestinationArgs { destination_tls: text.map(str::to_owned), ..DestinationArgs::default() };
            (args.resolve(&mut check).tls, check.problems().len())
        };
        assert_eq!(tls(None), (DestinationTls::VerifyFull, 0));
        assert_eq!(tls(Some("prefer")), (DestinationTls::Prefer, 0));
        assert_eq!(tls(Some("disable")), (DestinationTls::VerifyFull, 1));
    }
}
