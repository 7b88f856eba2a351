//! What is on its way is not called different, and what arrives is called equal.

use std::time::Duration;

use lockstep_mappings::postgres::Target;
use lockstep_testkit::databases::eventually;
use lockstep_testkit::fills;
use lockstep_verifier::{Kind, Phase, Progress, Verdict, VerifyOptions, Why};

use crate::fixture::{Fixture, id, teams, tenancy};

const PATIENCE: Duration = Duration::from_secs(60);

async fn one_tenancy() -> Fixture {
    let fixture = Fixture::create("", None).await.unwrap();
    let user = format!(
        r#"INSERT INTO "ProjectUser" ("tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId", "isAnonymous", "restrictedByAdmin", "updatedAt", "lastActiveAt", "signedUpAt")
             VALUES ('{tenancy}', '{user}', 'p1', 'main', FALSE, FALSE, now(), now(), now());
           INSERT INTO "ContactChannel" ("tenancyId", "projectUserId", "id", "type", "isPrimary", "isVerified", "value", "updatedAt")
             VALUES ('{tenancy}', '{user}', '{channel}', 'EMAIL', 'TRUE', TRUE, 'old@example.com', now());"#,
        tenancy = id(1),
        user = id(5),
        channel = id(6),
    );
    fixture.run(&(tenancy(1) + &teams(1, 10..20) + &user)).await.unwrap();
    fixture.end_fills().await.unwrap();
    fixture.number().await.unwrap();
    fixture.ship().await.unwrap();
    fixture.expect_equal().await;
    fixture
}

#[tokio::test(flavor = "multi_thread")]
async fn ver_1_in_flight_is_not_called_different() {
    let fixture = one_tenancy().await;
    let told = async |mapping: &str| {
        let finding = fixture.expect_one(Verdict::InFlight, mapping).await;
        (finding.kind, finding.in_flight.unwrap())
    };
    // A change.
    fixture.run(&format!(r#"UPDATE "Team" SET "displayName" = 'New' WHERE "teamId" = '{}'"#, id(10))).await.unwrap();
    assert_eq!(told("teams").await, (Kind::Different, Why::Unnumbered));
    fixture.number().await.unwrap();
    assert_eq!(told("teams").await, (Kind::Different, Why::AboveCursor));
    fixture.ship().await.unwrap();
    fixture.expect_equal().await;
    // A new row.
    fixture.run(&teams(1, [77])).await.unwrap();
    assert_eq!(told("teams").await, (Kind::Missing, Why::Unnumbered));
    fixture.number().await.unwrap();
    assert_eq!(told("teams").await, (Kind::Missing, Why::AboveCursor));
    fixture.ship().await.unwrap();
    // A row that left.
    fixture.run(&format!(r#"DELETE FROM "Team" WHERE "teamId" = '{}'"#, id(77))).await.unwrap();
    assert_eq!(told("teams").await, (Kind::Unexpected, Why::Unnumbered));
    fixture.number().await.unwrap();
    assert_eq!(told("teams").await, (Kind::Unexpected, Why::AboveCursor));
    fixture.ship().await.unwrap();
    fixture.expect_equal().await;
    // It comes back before its tombstone, and is gone again after it.
    fixture.run(&teams(1, [77])).await.unwrap();
    fixture.number().await.unwrap();
    fixture.ship().await.unwrap();
    fixture.expect_equal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ver_1_what_depends_on_another_row_is_in_flight_while_its_line_waits() {
    let fixture = one_tenancy().await;
    fixture.run("UPDATE \"ContactChannel\" SET \"isVerified\" = FALSE").await.unwrap();
    let user = async || {
        let report = fixture.verify().await.unwrap();
        report.mappings.iter().find(|mapping| mapping.name == "users").unwrap().findings[0].clone()
    };
    let found = user().await;
    assert_eq!((found.in_flight, found.columns), (Some(Why::Unnumbered), vec!["primary_email_verified".to_owned()]));
    // Without the line nothing would ever mend it.
    fixture.forget_lines().await.unwrap();
    assert_eq!(user().await.in_flight, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn ver_1_what_has_to_be_searched_is_in_flight_until_it_was_found_and_numbered() {
    let fixture = one_tenancy().await;
    let invitation = format!(
        r#"INSERT INTO "VerificationCode" ("projectId", "branchId", "id", "type", "code", "data", "expiresAt", "updatedAt")
             VALUES ('p1', 'main', '{}', 'TEAM_INVITATION', 'code', '{{"team_id": "{}"}}', now(), now())"#,
        id(8),
        id(10)
    );
    fixture.run(&invitation).await.unwrap();
    fixture.number().await.unwrap();
    fixture.ship().await.unwrap();
    let found = async || {
        let report = fixture.verify().await.unwrap();
        report.mappings.iter().find(|mapping| mapping.name == "team_invitations").unwrap().findings[0].clone()
    };
    let rename = |name: &str| format!(r#"UPDATE "Team" SET "displayName" = '{name}' WHERE "teamId" = '{}'"#, id(10));
    fixture.run(&rename("New")).await.unwrap();
    assert_eq!((found().await.kind, found().await.in_flight), (Kind::Different, Some(Why::Unnumbered)));
    fixture.pass().await.unwrap();
    assert_eq!(found().await.in_flight, Some(Why::Unnumbered), "to be searched");
    fixture.number().await.unwrap();
    assert_eq!(found().await.in_flight, Some(Why::AboveCursor));
    fixture.ship().await.unwrap();
    fixture.expect_equal().await;
    // Without the search nothing would ever mend it.
    fixture.run(&rename("Newer")).await.unwrap();
    fixture.pass().await.unwrap();
    fixture.run("DELETE FROM lockstep.expansion").await.unwrap();
    assert_eq!((found().await.kind, found().await.in_flight), (Kind::Different, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn ver_1_what_capture_has_missed_is_in_flight_until_a_fill_has_ended() {
    let fixture = one_tenancy().await;
    fixture.run(&teams(1, [77])).await.unwrap();
    fixture.forget_lines().await.unwrap();
    let told = async || {
        let finding = fixture.expect_one(Verdict::InFlight, "teams").await;
        (finding.kind, finding.in_flight.unwrap())
    };
    let mapping = fixture.mapping("teams");
    // A trigger says that it could not tell; the sequencer asks for a fill; the fill begins.
    let line =
        format!("INSERT INTO lockstep.inbox_0 (xid, target) VALUES (txid_current(), {})", Target::refill(mapping).id());
    fixture.run(&line).await.unwrap();
    assert_eq!(told().await, (Kind::Missing, Why::Unnumbered));
    let asked = "INSERT INTO lockstep.refill (mapping_name, reason) VALUES ('teams', 'a test')";
    fixture.run(asked).await.unwrap();
    fixture.forget_lines().await.unwrap();
    assert_eq!(told().await, (Kind::Missing, Why::Filling));
    fills::begin(&fixture.client, mapping).await.unwrap();
    fixture.run("DELETE FROM lockstep.refill").await.unwrap();
    assert_eq!(told().await, (Kind::Missing, Why::Filling));
    fixture.end_fills().await.unwrap();
    assert_eq!(fixture.expect_one(Verdict::Different, "teams").await.kind, Kind::Missing);
    // A destination that lost changes is filled again.
    let lost = "INSERT INTO lockstep.destination (name, needs_refill_since) VALUES ('clickhouse', now())
        ON CONFLICT (name) DO UPDATE SET needs_refill_since = now()";
    fixture.run(lost).await.unwrap();
    assert_eq!(told().await, (Kind::Missing, Why::Filling));
}

#[tokio::test(flavor = "multi_thread")]
async fn ver_1_a_row_that_arrives_while_it_is_looked_at_settles() {
    let fixture = one_tenancy().await;
    fixture.run(&teams(1, [77])).await.unwrap();
    let progress = Progress::default();
    let options = VerifyOptions { settle: PATIENCE, progress: progress.clone(), ..VerifyOptions::default() };
    let (report, ()) = tokio::join!(fixture.verify_with(options), async {
        eventually("a second look at what differed", PATIENCE, async || {
            Ok(matches!(progress.phase(), Phase::Settling { round: 2.., .. }))
        })
        .await
        .unwrap();
        fixture.number().await.unwrap();
        fixture.ship().await.unwrap();
    });
    let report = report.unwrap();
    assert_eq!(report.verdict, Verdict::Equal, "{}", report.to_text());
    let teams = report.mappings.iter().find(|mapping| mapping.name == "teams").unwrap();
    assert_eq!((teams.source_rows, teams.destination_rows, teams.equal_rows), (11, 10, 11));
}

#[tokio::test(flavor = "multi_thread")]
async fn ver_1_under_constant_change_nothing_is_called_different() {
    let fixture = one_tenancy().await;
    let busy = async {
        for n in 0_u128.. {
            let (team, other) = (id(10 + n % 10), id(10 + (n + 5) % 10));
            let change = match n % 4 {
                0 => {
                    format!(r#"UPDATE "Team" SET "displayName" = 'Change {n}' WHERE "teamId" IN ('{team}', '{other}')"#)
                }
                1 => format!(r#"DELETE FROM "Team" WHERE "teamId" = '{team}'"#),
                2 => teams(1, [1000 + n]) + &format!(r#"UPDATE "ContactChannel" SET "value" = '{n}@example.com'"#),
                _ => format!(r#"DELETE FROM "Team" WHERE "teamId" = '{team}'; "#) + &teams(1, [10 + n % 10]),
            };
            fixture.run(&change).await.unwrap();
            if n % 3 > 0 {
                fixture.number().await.unwrap();
                fixture.ship().await.unwrap();
            }
        }
    };
    let watching = async {
        for _ in 0..25 {
            let report =
                fixture.verify_with(VerifyOptions { settle: Duration::from_millis(500), ..VerifyOptions::default() });
            let report = report.await.unwrap();
            assert_ne!(report.verdict, Verdict::Different, "{}", report.to_text());
        }
    };
    tokio::select! {
        () = busy => {}
        () = watching => {}
    }
    fixture.number().await.unwrap();
    fixture.ship().await.unwrap();
    fixture.expect_equal().await;
}
