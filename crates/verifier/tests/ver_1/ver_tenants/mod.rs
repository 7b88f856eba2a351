//! Tenants' own destinations: each is compared with the rows of its own tenancy, and whatever is wrong with one is told of that
//! one.

mod against;
mod own;
mod plans;
mod unfinished;

use std::collections::BTreeMap;
use std::time::Duration;

use lockstep_core::TenancyId;
use lockstep_testkit::data::{Shape, seed};
use lockstep_verifier::{DestinationChoice, Kind, MappingReport, Report, Verdict, VerifyError, VerifyOptions, Why};
use uuid::Uuid;

use self::own::{Own, allow_own};
use crate::fixture::{Fixture, id, teams, tenancy};

/// Without ClickHouse, which these tests do not fill, and without waiting.
async fn verify(fixture: &Fixture, of: &[&Own]) -> Report {
    let destinations = of.iter().map(|own| DestinationChoice::Tenants(own.id)).collect();
    fixture.verify_with(VerifyOptions { destinations, ..at_once() }).await.unwrap()
}

fn at_once() -> VerifyOptions {
    VerifyOptions { settle: Duration::ZERO, show: 100, ..VerifyOptions::default() }
}

/// What was found of teams in a destination; all else there is equal.
fn teams_of(own: &Own, report: &Report) -> MappingReport {
    let mut found = own.of(report).mappings.clone();
    let place = found.iter().position(|mapping| mapping.name == "teams").unwrap();
    let teams = found.remove(place);
    assert!(found.iter().all(|mapping| mapping.equal), "{}", report.to_text());
    teams
}

/// Two tenancies with teams, and a third one at the place of the second, with a team of its own.
async fn three_tenancies() -> Fixture {
    let mut fixture = Fixture::create("", None).await.unwrap();
    allow_own(&mut fixture);
    let neighbour = format!(
        r#"INSERT INTO "Tenancy" ("id", "projectId", "branchId", "organizationId", "updatedAt") VALUES ('{}', 'p2', 'main', '{}', now());"#,
        id(3),
        id(300)
    ) + &teams(2, [30]).replace(&id(2).to_string(), &id(3).to_string());
    fixture.run(&(tenancy(1) + &tenancy(2) + &teams(1, 10..17) + &teams(2, 20..23) + &neighbour)).await.unwrap();
    fixture.end_fills().await.unwrap();
    fixture.number().await.unwrap();
    fixture
}

#[tokio::test(flavor = "multi_thread")]
async fn ver_tenants_own_destinations_that_hold_their_rows_and_no_others_are_equal() {
    let mut fixture = Fixture::create("", None).await.unwrap();
    allow_own(&mut fixture);
    seed(&fixture.client, Shape { tenants: 3, rows: 20, seed: 5 }).await.unwrap();
    fixture.end_fills().await.unwrap();
    fixture.number().await.unwrap();
    fixture.ship().await.unwrap();
    let rows = fixture.client.query(r#"SELECT "id" FROM "Tenancy" ORDER BY "id""#, &[]).await.unwrap();
    let tenancies: Vec<Uuid> = rows.iter().map(|row| row.get(0)).collect();
    let one = Own::filled(&fixture, tenancies[0], None).await;
    let again = Own::filled(&fixture, tenancies[0], Some(&["users", "teams"])).await;
    let other = Own::filled(&fixture, tenancies[1], None).await;

    let report = fixture.verify_with(at_once()).await.unwrap();
    assert_eq!(report.verdict, Verdict::Equal, "{}", report.to_text());
    assert_eq!((report.mappings.len(), report.exit_code()), (12, 0));
    assert!(report.to_text().contains("3 of 3 destinations of tenants are equal."), "{}", report.to_text());
    let told: Vec<_> = report.destinations.iter().map(|of| (of.id, of.tenancy_id, of.mappings.len())).collect();
    let expected = [(one.id, tenancies[0], 12), (again.id, tenancies[0], 2), (other.id, tenancies[1], 12)];
    assert_eq!(told, expected);
    let rows = |own: &Own| own.of(&report).mappings.iter().map(|of| of.equal_rows).sum::<u64>();
    let all: u64 = report.mappings.iter().map(|mapping| mapping.equal_rows).sum();
    assert!(rows(&one) > 0 && rows(&other) > 0 && rows(&one) + rows(&other) < all, "{}", report.to_text());

    // Restricted to a tenancy, a mapping, a destination.
    let tenants = vec![TenancyId::new(tenancies[1])];
    let report = fixture.verify_with(VerifyOptions { tenants, ..at_once() }).await.unwrap();
    assert_eq!(report.destinations.iter().map(|of| of.id).collect::<Vec<_>>(), [other.id]);
    let mappings = vec!["contact_channels".to_owned()];
    let report = fixture.verify_with(VerifyOptions { mappings, ..at_once() }).await.unwrap();
    assert_eq!(report.destinations.iter().map(|of| of.id).collect::<Vec<_>>(), [one.id, other.id]);
    let only = |choice| VerifyOptions { destinations: vec![choice], ..at_once() };
    let report = fixture.verify_with(only(DestinationChoice::ClickHouse)).await.unwrap();
    assert_eq!((report.mappings.len(), report.destinations.len()), (12, 0));
    let report = fixture.verify_with(only(DestinationChoice::Tenants(again.id))).await.unwrap();
    assert_eq!((report.mappings.len(), report.destinations.len()), (0, 1));
    let error = fixture.verify_with(only(DestinationChoice::Tenants(id(77)))).await.unwrap_err();
    assert!(matches!(error, VerifyError::UnknownDestination(unknown) if unknown == id(77)), "{error}");
    assert_eq!(error.exit_code(), 78);
}

#[tokio::test(flavor = "multi_thread")]
async fn ver_tenants_every_defect_is_found_and_told_of_its_destination() {
    let fixture = three_tenancies().await;
    let (one, other) = (Own::filled(&fixture, id(1), None).await, Own::filled(&fixture, id(2), None).await);
    let report = verify(&fixture, &[&one, &other]).await;
    assert_eq!(report.verdict, Verdict::Equal, "{}", report.to_text());
    assert_eq!((teams_of(&one, &report).equal_rows, teams_of(&other, &report).equal_rows), (7, 3));

    // Lost, corrupt, made up, and of another tenancy.
    let copy = |of: u128, to: u128| {
        format!(
            "CREATE TEMP TABLE c AS SELECT * FROM public.teams WHERE id = '{}'; UPDATE c SET id = '{}';
             INSERT INTO public.teams SELECT * FROM c; DROP TABLE c;",
            id(of),
            id(to)
        )
    };
    one.run(&format!("DELETE FROM public.teams WHERE id = '{}'", id(10))).await;
    one.run(&format!("UPDATE public.teams SET display_name = 'Tampered' WHERE id = '{}'", id(11))).await;
    one.run(&(copy(12, 99) + &copy(13, 20))).await;
    // Of an older version, and a tombstone that is lost: the cursor says that both arrived.
    let renamed = format!(r#"UPDATE "Team" SET "displayName" = 'Renamed' WHERE "teamId" = '{}'"#, id(14));
    let deleted = format!(r#"DELETE FROM "Team" WHERE "teamId" = '{}'"#, id(15));
    fixture.run(&format!("{renamed}; {deleted}")).await.unwrap();
    fixture.number().await.unwrap();
    one.pretend(&fixture).await;

    let report = verify(&fixture, &[&one, &other]).await;
    assert_eq!((report.verdict, report.exit_code()), (Verdict::Different, 1), "{}", report.to_text());
    assert_eq!(other.of(&report).verdict, Verdict::Equal);
    let found = teams_of(&one, &report);
    assert_eq!((found.missing, found.unexpected, found.different, found.in_flight), (1, 3, 2, 0), "{found:?}");
    let name = || vec!["display_name".to_owned()];
    let expected: BTreeMap<_, _> = [
        (10, (Kind::Missing, Vec::new())),
        (11, (Kind::Different, name())),
        (14, (Kind::Different, name())),
        (15, (Kind::Unexpected, Vec::new())),
        (20, (Kind::Unexpected, Vec::new())),
        (99, (Kind::Unexpected, Vec::new())),
    ]
    .map(|(n, what)| (id(n).to_string(), what))
    .into();
    let told = found.findings.iter().map(|finding| {
        assert_eq!((finding.destination.as_str(), finding.tenancy_id), (one.id.to_string().as_str(), Some(id(1))));
        assert_eq!((finding.project_id.as_str(), finding.in_flight), ("", None));
        (finding.key.get("id").unwrap().to_owned(), (finding.kind, finding.columns.clone()))
    });
    assert_eq!(told.collect::<BTreeMap<_, _>>(), expected);
    let text = report.to_text();
    assert!(text.contains(&format!("{}: teams", one.id)) && text.contains("missing there (lost): id="), "{text}");
    assert!(!text.contains("Tampered") && !text.contains("Renamed") && !report.to_json().contains("Team 1"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ver_tenants_what_is_in_flight_is_not_called_different() {
    let fixture = three_tenancies().await;
    let own = Own::filled(&fixture, id(2), None).await;
    let renamed = format!(r#"UPDATE "Team" SET "displayName" = 'Renamed' WHERE "teamId" = '{}'"#, id(20));
    let deleted = format!(r#"DELETE FROM "Team" WHERE "teamId" = '{}'"#, id(21));
    fixture.run(&format!("{renamed}; {deleted}; {}", teams(2, [24]))).await.unwrap();
    for why in [Why::Unnumbered, Why::AboveCursor] {
        let report = verify(&fixture, &[&own]).await;
        assert_eq!((report.verdict, report.exit_code()), (Verdict::InFlight, 2), "{}", report.to_text());
        let found = teams_of(&own, &report);
        assert_eq!((found.in_flight, found.differences()), (3, 0), "{found:?}");
        assert!(found.findings.iter().all(|finding| finding.in_flight == Some(why)), "{found:?}");
        fixture.number().await.unwrap();
    }
    own.ship(&fixture, fixture.mapping("teams")).await;
    let report = verify(&fixture, &[&own]).await;
    assert_eq!(report.verdict, Verdict::Equal, "{}", report.to_text());
    // A change of the neighbour at the same place is none of it, whether it waits or not.
    fixture.run(&format!(r#"DELETE FROM "Team" WHERE "teamId" = '{}'"#, id(30))).await.unwrap();
    assert_eq!(verify(&fixture, &[&own]).await.verdict, Verdict::Equal);
}

#[tokio::test(flavor = "multi_thread")]
async fn ver_tenants_a_row_in_quarantine_is_named_as_such_and_is_not_equal() {
    let fixture = three_tenancies().await;
    let (own, again) = (Own::filled(&fixture, id(1), None).await, Own::filled(&fixture, id(1), None).await);
    for one in [&own, &again] {
        one.run(&format!("DELETE FROM public.teams WHERE id = '{}'", id(10))).await;
    }
    let refused = format!(
        "INSERT INTO lockstep.quarantine (destination, mapping_name, tenancy_id, sequence, code, error, uuid_1)
         VALUES ('{}', 'teams', '{}', 1, 'LS-0203', 'refused', '{}')",
        own.id,
        id(1),
        id(10)
    );
    fixture.run(&refused).await.unwrap();
    let report = verify(&fixture, &[&own, &again]).await;
    assert_eq!(report.verdict, Verdict::Different, "{}", report.to_text());
    for (one, quarantined) in [(&own, true), (&again, false)] {
        let found = teams_of(one, &report);
        assert_eq!((found.missing, found.quarantined), (1, u64::from(quarantined)), "{found:?}");
        assert_eq!(found.findings[0].quarantined, quarantined);
    }
    assert!(report.to_text().contains("missing there (lost, in quarantine): id="), "{}", report.to_text());
}

#[tokio::test(flavor = "multi_thread")]
async fn ver_tenants_rows_of_a_tenancy_that_is_gone_are_in_flight_until_its_erasure_is_overdue() {
    let fixture = three_tenancies().await;
    let own = Own::filled(&fixture, id(2), None).await;
    fixture.run(&format!(r#"DELETE FROM "Tenancy" WHERE "id" = '{}'"#, id(2))).await.unwrap();
    fixture.number().await.unwrap();
    let found = teams_of(&own, &verify(&fixture, &[&own]).await);
    assert_eq!((found.source_rows, found.in_flight, found.differences()), (0, 3, 0), "{found:?}");
    assert!(found.findings.iter().all(|finding| finding.in_flight == Some(Why::TenantGone)), "{found:?}");
    let long_gone =
        "UPDATE lockstep.tenancy_location SET gone_at = now() - interval '1 hour' WHERE gone_at IS NOT NULL";
    fixture.run(long_gone).await.unwrap();
    let found = teams_of(&own, &verify(&fixture, &[&own]).await);
    assert_eq!((found.unexpected, found.in_flight), (3, 0), "the place of the neighbour is not its own: {found:?}");
}
