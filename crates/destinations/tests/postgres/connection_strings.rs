//! What a connection string may say, and how it is told what it may not.

use lockstep_core::settings::DestinationTls;
use lockstep_destinations::postgres::ConnectionString;
use secrecy::SecretString;

fn parse(text: &str, tls: DestinationTls) -> Result<ConnectionString, String> {
    ConnectionString::parse(&SecretString::from(text.to_owned()), tls).map_err(|error| format!("{error} {error:?}"))
}

#[test]
fn a_url_is_taken_apart() {
    let string = parse(
        "postgresql://ada%40x:p%2Fa%3Ass@DB.Example:6432/my%20db?sslmode=verify-full&channel_binding=require",
        DestinationTls::VerifyFull,
    )
    .unwrap();
    assert_eq!(
        (string.host(), string.port(), string.database(), string.user()),
        ("db.example", 6432, "my db", "ada@x")
    );
    let string = parse("postgres://app@[2606:4700::1]/main", DestinationTls::VerifyFull).unwrap();
    assert_eq!((string.host(), string.port()), ("2606:4700::1", 5432));
}

#[test]
fn what_reads_files_or_sets_parameters_is_refused_by_name() {
    for name in [
        "host",
        "hostaddr",
        "port",
        "user",
        "password",
        "dbname",
        "service",
        "servicefile",
        "passfile",
        "sslkey",
        "sslcert",
        "sslrootcert",
        "sslcrl",
        "sslpassword",
        "options",
        "target_session_attrs",
        "application_name",
        "load_balance_hosts",
        "replication",
        "client_encoding",
        "connect_timeout",
        "keepalives",
        "sslnegotiation",
        "gssencmode",
        "krbsrvname",
        "require_auth",
        "unheard_of",
    ] {
        for tls in [DestinationTls::VerifyFull, DestinationTls::Prefer] {
            let said = parse(&format!("postgres://app:hunter2@db/main?{name}=hunter3"), tls).unwrap_err();
            assert!(said.contains(name) && !said.contains("hunter"), "{name}: {said}");
        }
    }
}

#[test]
fn what_is_no_url_of_one_host_is_refused_without_showing_it() {
    for text in [
        "",
        "host=db password=hunter2",
        "http://app:hunter2@db/main",
        "postgres://app:hunter2@/main",
        "postgres://app:hunter2@a,b/main",
        "postgres://app:hunter2@a:1,b:2/main",
        "postgres://app:hunter2@%2Ftmp/main",
        "postgres://app:hunter2@/tmp/main",
        "postgres:///main?host=/tmp",
        "postgres://app:hunter2@db:0/main",
        "postgres://app:hunter2@db:port/main",
        "postgres://app:hunter2@db:99999/main",
        "postgres://app:hunter2@db",
        "postgres://app:hunter2@db/",
        "postgres://db/main",
        "postgres://:hunter2@db/main",
        "postgres://app:hunter2@db/main#hunter3",
        "postgres://app:hun?ter2@db/main",
        "postgres://app:hunter2@[::1/main",
        "postgres://app:hunter2@::1/main",
        "postgres://app:%ff@db/main",
        "postgres://app:%00hunter2@db/main",
        "postgres://app:hunter2@d b/main",
        "postgres://app:hunter2@[fe80::1%25eth0]/main",
        "postgres://app:hunter2@db/main?hunter2%=1",
        "postgres://app:hunter2@db/main?sslmode=hunter2",
        "postgres://app:hunter2@db/main?channel_binding=disable",
    ] {
        let said = parse(text, DestinationTls::Prefer).unwrap_err();
        assert!(!said.contains("hunter") && !said.contains("ter2"), "{text}: {said}");
    }
}

#[test]
fn only_the_operator_weakens_tls() {
    for (mode, strict, weak) in [
        ("verify-full", true, true),
        ("verify-ca", false, true),
        ("require", false, true),
        ("prefer", false, true),
        ("allow", false, false),
        ("disable", false, false),
    ] {
        let text = format!("postgres://app:hunter2@db/main?sslmode={mode}");
        assert_eq!(parse(&text, DestinationTls::VerifyFull).is_ok(), strict, "{mode}");
        assert_eq!(parse(&text, DestinationTls::Prefer).is_ok(), weak, "{mode}");
    }
}

#[test]
fn no_password_is_printed() {
    let string = parse("postgres://app:hunter2@db/main", DestinationTls::VerifyFull).unwrap();
    let shown = format!("{string:?} {string:#?}");
    assert!(shown.contains("app") && shown.contains("main") && !shown.contains("hunter2"), "{shown}");
}
