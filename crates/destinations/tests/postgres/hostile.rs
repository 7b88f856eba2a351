//! Servers that mean no good: each call ends within its time, with little memory, and with a clean error.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use lockstep_core::settings::DestinationTls;
use lockstep_core::{DestinationId, SequenceId, TenancyId};
use lockstep_destinations::postgres::{ConnectionString, MappingState, Network, Timeouts};
use lockstep_destinations::{Destination, Failure, PageWriter, Postgres};
use uuid::Uuid;

use crate::fixture::{Fixture, network, push, string};
use crate::hostile_server::{Behaviour, HostileServer, cutting_proxy};

/// What one may get rid of: what is allowed to come, and what the machine's own buffers hold.
const MOST_BYTES: u64 = 24 * 1024 * 1024;

fn at(port: u16) -> Postgres {
    let short = Duration::from_millis(700);
    let timeouts = Timeouts { resolve: short, connect: short, login: short, statement: short, whole: 3 * short };
    let string = string(&format!("postgres://app:hunter2@127.0.0.1:{port}/main"));
    let id = DestinationId::tenant(Uuid::from_u128(1));
    Postgres::with_timeouts(id, TenancyId::new(Uuid::from_u128(7)), string, network(), timeouts)
}

async fn meets(behaviour: Behaviour, failures: &[Failure]) {
    let server = HostileServer::start(behaviour).await;
    let postgres = at(server.port);
    for _ in 0..2 {
        let begun = Instant::now();
        let error = postgres.states(&[]).await.unwrap_err();
        assert!(failures.contains(&error.failure()), "{behaviour:?}: {error}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{behaviour:?} took {:?}", begun.elapsed());
        let text = format!("{error} {error:?}");
        assert!(text.len() < 1000 && !text.contains("hunter") && !text.chars().any(char::is_control), "{text}");
    }
    let sent = server.sent.load(Ordering::Relaxed);
    assert!(sent < MOST_BYTES, "{behaviour:?}: {sent} bytes were taken");
}

#[tokio::test]
async fn one_that_accepts_and_never_answers() {
    meets(Behaviour::Silent, &[Failure::Unavailable]).await;
    meets(Behaviour::SilentAfterwards, &[Failure::Unavailable]).await;
}

#[tokio::test]
async fn one_that_says_a_byte_from_time_to_time() {
    meets(Behaviour::Drips, &[Failure::Unavailable]).await;
}

#[tokio::test]
async fn one_with_endless_notices() {
    meets(Behaviour::NoticesAtLogin, &[Failure::TooLarge, Failure::Misconfigured]).await;
    meets(Behaviour::NoticesAfterwards, &[Failure::TooLarge]).await;
}

#[tokio::test]
async fn one_with_endless_rows() {
    meets(Behaviour::EndlessRows, &[Failure::TooLarge]).await;
}

#[tokio::test]
async fn one_with_an_error_of_a_gigabyte() {
    meets(Behaviour::HugeErrorAtLogin, &[Failure::TooLarge]).await;
    meets(Behaviour::HugeErrorAfterwards, &[Failure::TooLarge]).await;
}

#[tokio::test]
async fn one_that_is_rude_speaks_http_or_hangs_up() {
    meets(Behaviour::RudeError, &[Failure::Misconfigured]).await;
    meets(Behaviour::Http, &[Failure::Unavailable, Failure::Misconfigured]).await;
    meets(Behaviour::Closes, &[Failure::Unavailable]).await;
}

#[tokio::test]
async fn one_with_a_certificate_of_another_name() {
    let port = crate::hostile_server::with_certificate_for_localhost().await;
    let authority = crate::hostile_server::certificate("authority.pem");
    let allow = ["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
    let network = std::sync::Arc::new(Network::new(&allow, Vec::new(), Some(&authority)).unwrap());
    let strangers = crate::fixture::network();
    for (host, network, failure, said) in [
        ("127.0.0.1", &network, Failure::Misconfigured, "certificate is of another name"),
        ("localhost", &strangers, Failure::Misconfigured, "no authority that is trusted"),
        // The name is right: it goes on, and says nothing more.
        ("localhost", &network, Failure::Unavailable, "in time"),
    ] {
        let text = format!("postgres://app:hunter2@{host}:{port}/main").into();
        let string = ConnectionString::parse(&text, DestinationTls::VerifyFull).unwrap();
        let short = Duration::from_millis(700);
        let timeouts = Timeouts { login: short, whole: 3 * short, ..Timeouts::default() };
        let id = DestinationId::tenant(Uuid::from_u128(1));
        let tenancy = TenancyId::new(Uuid::from_u128(7));
        let postgres = Postgres::with_timeouts(id, tenancy, string, std::sync::Arc::clone(network), timeouts);
        let error = postgres.states(&[]).await.unwrap_err();
        assert_eq!(error.failure(), failure, "{host}: {error}");
        assert!(error.to_string().contains(said), "{host}: {error}");
    }
}

#[tokio::test]
async fn one_that_hangs_up_in_the_middle_leaves_all_of_a_page_or_nothing() {
    let fixture = Fixture::filled().await;
    let url = fixture.database.url();
    let target = url[url.rfind('@').unwrap() + 1..].split('/').next().unwrap().to_owned();
    let rows: Vec<_> = (1..=300).map(|key| (key, 5, Some("cut"))).collect();
    let mut cut = 0;
    for after_bytes in (0..40_000).step_by(1_700) {
        let before = fixture.at().await;
        let port = cutting_proxy(target.clone(), after_bytes).await;
        let through = crate::fixture::another(&url.replace(&target, &format!("127.0.0.1:{port}")), fixture.tenancy);
        let from = [(fixture.tenancy, SequenceId::new(before))];
        let mut page = through.open_page(fixture.start(&from));
        push(&mut page, &fixture.mapping, fixture.tenancy, &rows).unwrap();
        let ended = page.end(&[(fixture.tenancy, SequenceId::new(before + 1))]).await;
        if let Err(error) = &ended {
            assert_eq!(error.failure(), Failure::Unavailable, "{error}");
            cut += 1;
        }
        // Where the answer was lost, the page may be there; never a part of it.
        let (now, shown) = (fixture.at().await, fixture.shown().await.len());
        assert!(ended.is_err() || now == before + 1);
        assert_eq!(shown, if now == 1 { 0 } else { 300 }, "after {after_bytes} bytes");
    }
    assert!(cut > 3, "{cut} connections were cut");
    assert!(matches!(fixture.state().await, MappingState::At(_)));
    fixture.end().await;
}
