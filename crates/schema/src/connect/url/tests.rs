//! What a source URL may say, and how it is told what it may not.

use super::*;
use crate::connect::PoolerSign;

fn refusal(query: &str) -> String {
    parse(&format!("postgres://app:hunter2@db/main?{query}"), None).unwrap_err().to_string()
}

#[test]
fn sslmode_and_sslaccept_mean_what_they_mean_to_libpq_and_prisma() {
    let ca = Path::new("/ca.pem");
    for (query, ca_file, mode, verify) in [
        ("", None, SslMode::Prefer, Verify::Nothing),
        ("?sslmode=disable", Some(ca), SslMode::Disable, Verify::Nothing),
        ("?sslmode=require", None, SslMode::Require, Verify::Nothing),
        ("?sslmode=require", Some(ca), SslMode::Require, Verify::Authority),
        ("?schema=public&sslmode=verify-full&connect_timeout=5", None, SslMode::Require, Verify::AuthorityAndName),
        ("?sslaccept=strict", None, SslMode::Require, Verify::AuthorityAndName),
        ("?sslmode=require&sslaccept=strict", Some(ca), SslMode::Require, Verify::AuthorityAndName),
        ("?sslmode=require&sslaccept=accept_invalid_certs", Some(ca), SslMode::Require, Verify::Nothing),
        ("?sslmode=prefer&sslaccept=accept_invalid_certs", None, SslMode::Prefer, Verify::Nothing),
    ] {
        let parsed = parse(&format!("postgres://app:secret@db/main{query}"), ca_file).unwrap();
        assert_eq!(parsed.config.get_ssl_mode(), mode, "{query}");
        assert_eq!(parsed.verify, verify, "{query}");
    }
}

#[test]
fn a_malformed_url_is_refused_without_showing_it() {
    for url in [
        "postgres://app:hunter2@db:port/x",
        "postgres://app:hunter2@db/x?sslmode=hunter2",
        "postgres://app:hunter2@db/x?hunter2%=1",
        "postgres://app:pre?hunter2=x@db/x",
    ] {
        let said = parse(url, None).unwrap_err().to_string();
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[test]
fn a_host_without_a_name_is_refused_without_showing_the_url() {
    for url in [
        "postgres://app:hunter2@:/x",
        "postgres://app:hunter2@:5432/x",
        "postgres://app:hunter2@one,/x",
        "postgres://app:hunter2@,one/x",
    ] {
        let said = parse(url, None).unwrap_err().to_string();
        assert!(said.contains("it names no host") && !said.contains("hunter2"), "{url}: {said}");
    }
    assert!(parse("postgres://app:hunter2@/x?host=/run/postgresql", None).is_ok());
}

#[test]
fn a_wrong_port_is_said_of_every_host_and_without_showing_the_url() {
    for url in [
        "postgres://app:hunter2@db:0/x",
        "postgres://app:hunter2@db:65536/x",
        "postgres://app:hunter2@db:hunter2/x",
        "postgres://app:hunter2@one:5432,two:65536/x",
        "postgres://app:hunter2@one:5432,[::1]:0/x",
        "postgres://app:hunter2@one,two/x?port=5433",
        "postgres://app:hunter2@db:/x",
        "postgres://app:hunter2@db:+5/x",
        "postgres://app:hunter2@one:5432,[::1]:/x",
        "postgres://app:hunter2@/x?host=one&port=+5",
        "postgres://app:hunter2@/x?host=one&host=two&host=three&port=1,2",
        "postgres://app:hunter2@/x?host=/run/postgresql&port=0",
    ] {
        let said = parse(url, None).unwrap_err().to_string();
        assert!(
            said.starts_with("LS-0010") && said.contains("wrong port") && !said.contains("hunter2"),
            "{url}: {said}"
        );
    }
    for (url, ports) in [
        ("postgres://app@one:5433,two,[::1]:65535/x", &[5433, 5432, 65535][..]),
        ("postgres://app@/x?host=/run/postgresql&host=db&port=1", &[1]),
        ("postgres://app@/x?host=one&host=two&port=1,2", &[1, 2]),
        ("postgres://app@%2Frun%2Fpostgresql/x", &[5432]),
        ("postgres://app@/x?host=/run/postgresql", &[]),
    ] {
        let parsed = parse(url, None).unwrap_or_else(|error| panic!("{url}: {error}"));
        assert_eq!(parsed.config.get_ports(), ports, "{url}");
    }
}

#[test]
fn parameters_of_prisma_and_of_managed_providers_are_understood() {
    let parsed = parse(
        "postgres://app:secret@db/main?schema=public&connection_limit=5&pool_timeout=0&statement_cache_size=0\
         &socket_timeout=30&pgbouncer=false&sslmode=require&channel_binding=prefer&options=endpoint%3Dep-x\
         &application_name=app&target_session_attrs=read-write&connect_timeout=7&keepalives=1&keepalives_idle=55\
         &keepalives_interval=5&keepalives_retries=3&sslrootcert=%2Fetc%2Fca.pem",
        None,
    )
    .unwrap();
    assert_eq!(parsed.config.get_options(), Some("endpoint=ep-x"));
    assert_eq!(parsed.config.get_connect_timeout(), Some(&Duration::from_secs(7)));
    assert_eq!(parsed.config.get_keepalives_idle(), Duration::from_secs(55));
    assert_eq!(parsed.ca_file.as_deref(), Some(Path::new("/etc/ca.pem")));
}

#[test]
fn without_parameters_every_time_has_a_limit() {
    for query in ["", "?connect_timeout=0&tcp_user_timeout=0"] {
        let config = parse(&format!("postgres://db/main{query}"), None).unwrap().config;
        assert_eq!(config.get_connect_timeout(), Some(&CONNECT_TIMEOUT), "{query}");
        assert_eq!(config.get_tcp_user_timeout(), Some(&TCP_USER_TIMEOUT), "{query}");
        assert_eq!(config.get_keepalives_idle(), KEEPALIVES_IDLE, "{query}");
    }
}

#[test]
fn a_parameter_that_cannot_be_followed_is_named_and_its_value_is_not() {
    for name in [
        "sslcert",
        "sslkey",
        "sslidentity",
        "sslpassword",
        "sslmode",
        "sslaccept",
        "connect_timeout",
        "target_session_attrs",
        "channel_binding",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "keepalives",
        "port",
        "workaround",
    ] {
        let said = refusal(&format!("schema=public&{name}=hunter3"));
        assert!(said.starts_with("LS-0010") && said.contains(&format!("its parameter {name} ")), "{name}: {said}");
        assert!(!said.contains("hunter"), "{said}");
    }
}

#[test]
fn parameters_that_contradict_each_other_are_refused() {
    for query in ["sslmode=disable&sslaccept=strict", "sslmode=verify-full&sslaccept=accept_invalid_certs"] {
        let said = refusal(query);
        assert!(said.contains("its parameter sslaccept "), "{said}");
    }
}

#[test]
fn a_url_that_says_it_leads_to_a_transaction_pooler_is_refused_at_once() {
    for query in ["pgbouncer=true", "schema=public&pgbouncer=1&sslmode=require", "pgbouncer"] {
        let error = parse(&format!("postgres://app:hunter2@db/main?{query}"), None).unwrap_err();
        assert!(matches!(error, SourceError::Pooler(PoolerSign::Announced)), "{query}: {error}");
    }
}
