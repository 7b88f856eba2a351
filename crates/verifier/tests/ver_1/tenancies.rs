//! Tenancies that share a location, move, and go.

use std::time::Duration;

use lockstep_core::TenancyId;
use lockstep_verifier::{Kind, Verdict, VerifyError, VerifyOptions, Why};

use crate::fixture::{Fixture, id, teams, tenancy};

fn only(tenants: &[u128]) -> VerifyOptions {
    let tenants = tenants.iter().map(|&n| TenancyId::new(id(n))).collect();
    VerifyOptions { tenants, settle: Duration::ZERO, ..VerifyOptions::default() }
}

/// Two tenancies of two teams each, equal on both sides.
async fn two_tenancies() -> Fixture {
    let fixture = Fixture::create("", None).await.unwrap();
    fixture.run(&(tenancy(1) + &tenancy(2) + &teams(1, 10..12) + &teams(2, 20..22))).await.unwrap();
    fixture.end_fills().await.unwrap();
    fixture.number().await.unwrap();
    fixture.ship().await.unwrap();
    fixture.expect_equal().await;
    fixture
}

#[tokio::test(flavor = "multi_thread")]
async fn ver_1_rows_of_a_tenancy_that_is_gone_are_found() {
    let fixture = two_tenancies().await;
    fixture.run(&format!(r#"DELETE FROM "Tenancy" WHERE "id" = '{}'"#, id(2))).await.unwrap();
    let leaving = fixture.expect(Verdict::InFlight, "teams").await;
    assert_eq!(leaving.in_flight, 2);
    assert!(leaving.findings.iter().all(|finding| finding.in_flight == Some(Why::TenantGone)), "{leaving:?}");
    // Known, and still to be erased.
    fixture.number().await.unwrap();
    assert_eq!(fixture.expect(Verdict::InFlight, "teams").await.in_flight, 2);
    let long_gone =
        "UPDATE lockstep.tenancy_location SET gone_at = now() - interval '1 hour' WHERE gone_at IS NOT NULL";
    let noticed = format!(
        "INSERT INTO lockstep.erasure (tenancy_id, destination, reason, up_to) VALUES ('{}', 'clickhouse', 'automatic', 1)",
        id(2)
    );
    fixture.run(&format!("{long_gone}; {noticed}")).await.unwrap();
    assert_eq!(fixture.expect(Verdict::InFlight, "teams").await.in_flight, 2, "it was noticed late");
    // Nobody erases it, and the rows are there all the same.
    fixture.run("UPDATE lockstep.erasure SET requested_at = now() - interval '1 hour'").await.unwrap();
    assert_eq!(fixture.expect(Verdict::Different, "teams").await.unexpected, 2);
    // Asked for by its id, it is still known; its neighbour has nothing to do with it.
    assert_eq!(fixture.verify_with(only(&[2])).await.unwrap().verdict, Verdict::Different);
    assert_eq!(fixture.verify_with(only(&[1])).await.unwrap().verdict, Verdict::Equal);
    fixture.in_clickhouse("teams", "DELETE FROM {t} WHERE project_id = 'p2'").await.unwrap();
    assert_eq!(fixture.verify_with(only(&[2])).await.unwrap().verdict, Verdict::Equal);
    fixture.expect_equal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ver_1_rows_at_a_former_location_are_found() {
    let fixture = two_tenancies().await;
    fixture.run(&format!(r#"UPDATE "Tenancy" SET "branchId" = 'moved' WHERE "id" = '{}'"#, id(2))).await.unwrap();
    let moving = |found: lockstep_verifier::MappingReport| {
        let kinds: Vec<_> = found.findings.iter().map(|finding| (finding.kind, finding.branch_id.clone())).collect();
        let expected = [
            (Kind::Unexpected, "main"),
            (Kind::Unexpected, "main"),
            (Kind::Missing, "moved"),
            (Kind::Missing, "moved"),
        ];
        assert_eq!(kinds, expected.map(|(kind, branch)| (kind, branch.to_owned())));
        found.findings.iter().map(|finding| finding.in_flight).collect::<Vec<_>>()
    };
    let found = moving(fixture.expect(Verdict::InFlight, "teams").await);
    assert_eq!(found, [Some(Why::Unnumbered); 4], "written down");
    // Its rows are still to be searched.
    fixture.pass().await.unwrap();
    let found = moving(fixture.expect(Verdict::InFlight, "teams").await);
    assert_eq!(found, [Some(Why::Unnumbered); 4], "to be searched");
    fixture.number().await.unwrap();
    let found = moving(fixture.expect(Verdict::InFlight, "teams").await);
    assert_eq!(found, [Some(Why::AboveCursor); 4], "numbered");
    // The rows arrive at the new place; nobody takes them away from the old one.
    fixture.ship().await.unwrap();
    let left = fixture.expect(Verdict::Different, "teams").await;
    assert_eq!((left.unexpected, left.missing, left.in_flight), (2, 0, 0));
    assert_eq!(fixture.verify_with(only(&[2])).await.unwrap().verdict, Verdict::Different, "both places are compared");
    fixture.ship_former_locations().await.unwrap();
    fixture.expect_equal().await;
}

/// Another organisation, with the id of `number`, at the place of the second tenancy.
fn organisation(number: u128) -> String {
    format!(
        r#"INSERT INTO "Tenancy" ("id", "projectId", "branchId", "organizationId", "updatedAt") VALUES ('{}', 'p2', 'main', '{}', now());"#,
        id(number),
        id(100 * number)
    )
}

/// One key, whichever tenancy has it.
fn token(tenancy: u128) -> String {
    format!(
        r#"INSERT INTO "ProjectUserRefreshToken" ("tenancyId", "id", "projectUserId", "refreshToken", "isImpersonation", "createdAt", "updatedAt", "lastActiveAt")
           VALUES ('{0}', '{1}', '{0}', 'secret {tenancy}', FALSE, '2024-02-29', '2024-02-29', '2024-02-29');"#,
        id(tenancy),
        id(50),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn ver_1_tenancies_that_share_a_location_are_compared_together() {
    let fixture = two_tenancies().await;
    let team = teams(2, [30]).replace(&id(2).to_string(), &id(3).to_string());
    fixture.run(&(organisation(3) + &team)).await.unwrap();
    fixture.number().await.unwrap();
    fixture.ship().await.unwrap();
    let report = fixture.verify_with(only(&[3])).await.unwrap();
    let teams = report.mappings.iter().find(|mapping| mapping.name == "teams").unwrap();
    assert_eq!((report.verdict, teams.equal_rows), (Verdict::Equal, 3), "{}", report.to_text());

    // One key in both: ClickHouse can hold only one of the two rows, which is a difference that nothing mends.
    fixture.run(&(token(2) + &token(3))).await.unwrap();
    fixture.number().await.unwrap();
    fixture.ship().await.unwrap();
    let twice = fixture.expect_one(Verdict::Different, "refresh_tokens").await;
    assert_eq!((twice.kind, twice.key.get("id").unwrap().to_owned()), (Kind::Missing, id(50).to_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn ver_1_a_key_that_another_tenancy_of_the_place_has_is_in_flight_until_both_have_arrived() {
    let fixture = two_tenancies().await;
    fixture.run(&(organisation(3) + &token(2))).await.unwrap();
    fixture.number().await.unwrap();
    fixture.ship().await.unwrap();
    fixture.expect_equal().await;
    // The key goes from one to the other: the place shows the new row, whose tenancy alone is told.
    let taken = format!(r#"DELETE FROM "ProjectUserRefreshToken" WHERE "tenancyId" = '{}';"#, id(2)) + &token(3);
    fixture.run(&taken).await.unwrap();
    let found = fixture.expect_one(Verdict::InFlight, "refresh_tokens").await;
    assert_eq!((found.kind, found.in_flight, found.tenancy_id), (Kind::Different, Some(Why::Unnumbered), Some(id(3))));
    fixture.number().await.unwrap();
    // Of one of the two everything has arrived, it is said; of the other not.
    for arrived in [2, 3] {
        fixture.advance_of(&[TenancyId::new(id(arrived))], i64::MAX).await.unwrap();
        let verdict = if arrived == 2 { Verdict::InFlight } else { Verdict::Different };
        assert_eq!(fixture.expect_one(verdict, "refresh_tokens").await.kind, Kind::Different);
    }
    fixture.ship().await.unwrap();
    fixture.expect_equal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ver_1_rows_of_a_tenancy_that_no_pass_has_noted_are_in_flight() {
    let fixture = two_tenancies().await;
    fixture.run(&(organisation(3) + &token(3))).await.unwrap();
    // A fill does not ship it before the sequencer has heard of its tenancy.
    fixture.ship_base().await.unwrap();
    let found = fixture.expect_one(Verdict::InFlight, "refresh_tokens").await;
    assert_eq!((found.kind, found.in_flight), (Kind::Missing, Some(Why::Unnumbered)));
    fixture.number().await.unwrap();
    let found = fixture.expect_one(Verdict::InFlight, "refresh_tokens").await;
    assert_eq!((found.kind, found.in_flight), (Kind::Missing, Some(Why::AboveCursor)));
    fixture.ship().await.unwrap();
    fixture.expect_equal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ver_1_a_tenancy_that_nobody_knows_is_an_error() {
    let fixture = two_tenancies().await;
    let error = fixture.verify_with(only(&[1, 77])).await.unwrap_err();
    assert!(matches!(&error, VerifyError::UnknownTenants(unknown) if *unknown == [TenancyId::new(id(77))]), "{error}");
    assert_eq!(error.exit_code(), 3);
}
