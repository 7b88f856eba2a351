//! Addresses that are refused, and some that pass.

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use lockstep_core::settings::DestinationTls;
use lockstep_core::{DestinationId, TenancyId};
use lockstep_destinations::postgres::{ConnectionString, Network, Timeouts};
use lockstep_destinations::{Failure, Postgres, Retry};
use secrecy::SecretString;
use tokio::net::TcpListener;
use uuid::Uuid;

fn at(place: &str, network: &Arc<Network>) -> Postgres {
    let text = SecretString::from(format!("postgres://app:hunter2@{place}/main"));
    let string = ConnectionString::parse(&text, DestinationTls::VerifyFull).unwrap();
    let short = Duration::from_millis(300);
    let timeouts = Timeouts { connect: short, login: short, whole: Duration::from_secs(5), ..Timeouts::default() };
    let id = DestinationId::tenant(Uuid::from_u128(1));
    Postgres::with_timeouts(id, TenancyId::new(Uuid::from_u128(7)), string, Arc::clone(network), timeouts)
}

async fn failure(place: &str, network: &Arc<Network>) -> (Failure, String) {
    let error = at(place, network).states(&[]).await.unwrap_err();
    (error.failure(), error.to_string())
}

fn network(allow: &[&str], never: &[(&str, u16)]) -> Arc<Network> {
    let allow: Vec<IpNet> = allow.iter().map(|range| range.parse().unwrap()).collect();
    let never = never.iter().map(|(host, port)| ((*host).to_owned(), *port)).collect();
    Arc::new(Network::new(&allow, never, None).unwrap())
}

#[tokio::test]
async fn addresses_that_are_not_public_are_refused() {
    let network = network(&[], &[]);
    for place in [
        "127.0.0.1",
        "127.8.9.10",
        "localhost",
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "100.64.0.1",
        "100.100.100.200",
        "100.127.255.255",
        "169.254.169.254",
        "169.254.170.2",
        "168.63.129.16",
        "192.0.0.192",
        "192.0.2.1",
        "198.51.100.1",
        "203.0.113.1",
        "198.18.0.1",
        "198.19.255.255",
        "192.88.99.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "127.1",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:8.8.8.8]",
        "[::127.0.0.1]",
        "[::8.8.8.8]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b:1::1]",
        "[2002:7f00:1::1]",
        "[2001:0:1::1]",
        "[2001:db8::1]",
        "[2001:10::1]",
        "[3fff::1]",
        "[fc00::1]",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "[fec0::1]",
        "[ff02::1]",
        "[100::1]",
        "[5f00::1]",
        "[4000::1]",
    ] {
        let (failure, said) = failure(&format!("{place}:5432"), &network).await;
        assert_eq!(failure, Failure::Forbidden, "{place}: {said}");
        assert!(said.starts_with("LS-0212: ") && !said.contains("hunter2"), "{said}");
    }
    assert_eq!(Failure::Forbidden.policy().retry, Retry::Operator);
}

#[tokio::test]
async fn public_addresses_pass() {
    let network = network(&[], &[]);
    // Nothing answers there, or something does that is no PostgreSQL: they are not refused.
    for place in ["1.1.1.1:1", "9.255.255.255:1", "100.63.255.255:1", "172.32.0.1:1", "[2606:4700::1]:1"] {
        let (failure, said) = failure(place, &network).await;
        assert_ne!(failure, Failure::Forbidden, "{place}: {said}");
    }
}

#[tokio::test]
async fn a_range_that_is_allowed_is_all_that_is_allowed() {
    let network = network(&["10.1.0.0/16", "fd00:1::/32"], &[]);
    for (place, is_refused) in [
        ("10.1.2.3:1", false),
        ("10.2.0.1:1", true),
        ("[fd00:1::5]:1", false),
        ("[fd00:2::5]:1", true),
        ("127.0.0.1:1", true),
    ] {
        let (failure, said) = failure(place, &network).await;
        assert_eq!(failure == Failure::Forbidden, is_refused, "{place}: {said}");
    }
    for wrong in ["10.1.0.0", "10.1.0.0/33", "x/8", "fd00::/129", "10.0.0.0/-1", ""] {
        assert!(wrong.parse::<IpNet>().is_err(), "{wrong}");
    }
    let all: IpNet = "0.0.0.0/0".parse().unwrap();
    assert!(all.contains("1.2.3.4".parse().unwrap()) && !all.contains("::1".parse().unwrap()));
}

#[tokio::test]
async fn servers_of_our_own_are_refused_whatever_is_allowed_and_however_they_are_called() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let network = network(&["0.0.0.0/0", "::/0"], &[("localhost", port), ("Broker.Example", 5672)]);
    for host in ["127.0.0.1", "localhost", "LOCALHOST", "127.0.0.2", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]"] {
        let (failure, said) = failure(&format!("{host}:{port}"), &network).await;
        assert_eq!(failure, Failure::Forbidden, "{host}: {said}");
        assert!(said.contains("Lockstep's own"), "{said}");
    }
    let untouched = tokio::time::timeout(Duration::from_millis(10), listener.accept()).await;
    assert!(untouched.is_err(), "a connection was opened");
    // Another port of the same machine is another server.
    let (failure, said) = failure("127.0.0.1:1", &network).await;
    assert_eq!(failure, Failure::Unavailable, "{said}");
}
