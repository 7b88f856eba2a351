//! A password is in nothing that is printed.

use lockstep_core::settings::DestinationTls;
use lockstep_core::{DestinationId, TenancyId};
use lockstep_destinations::Postgres;
use lockstep_destinations::postgres::{ConnectionString, Network};
use lockstep_testkit::databases::services;
use secrecy::SecretString;
use uuid::Uuid;

#[tokio::test]
async fn a_password_is_in_no_error_and_no_debug_form() {
    let source = services().unwrap().source_url;
    let after = &source[source.find("://").unwrap() + 3..];
    let place = after.rsplit('@').next().unwrap().split('/').next().unwrap();
    let allow = ["127.0.0.0/8".parse().unwrap()];
    let network = std::sync::Arc::new(Network::new(&allow, Vec::new(), None).unwrap());
    for (login, database, mode) in [
        ("nobody_here:hunter2", "main", "prefer"),
        ("nobody_here:hunter2", "main", "require"),
        ("hunter2_user:hunter2", "absent", "prefer"),
    ] {
        let text = SecretString::from(format!("postgres://{login}@{place}/{database}?sslmode={mode}"));
        let string = ConnectionString::parse(&text, DestinationTls::Prefer).unwrap();
        let id = DestinationId::tenant(Uuid::from_u128(1));
        let postgres = Postgres::new(id, TenancyId::new(Uuid::from_u128(7)), string, std::sync::Arc::clone(&network));
        let error = postgres.states(&[]).await.unwrap_err();
        let findings = postgres.examine(&[]).await;
        let text = format!("{error} {error:?} {findings:?} {network:?}").replace("hunter2_user", "");
        assert!(!text.contains("hunter2"), "{text}");
        assert!(!format!("{postgres:?}").replace("hunter2_user", "").contains("hunter2"));
    }
}
