//! What is on its way is not called different, and what arrives is called equal.

use std::time::Duration;

use lockstep_testkit::databases::eventually;
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
    fixture.end_snapshots().await.unwrap();
    fixture.stamp().await.unwrap();
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
    assert_eq!(told("teams").await, (Kind::Different, Why::Unstamped));
    fixture.stamp().await.unwrap();
    assert_eq!(told("teams").await, (Kind::Different, Why::AboveCursor));
    fixture.ship().await.unwrap();
    fixture.expect_equal().await;
    // A new row.
    fixture.run(&teams(1, [77])).await.unwrap();
    assert_eq!(told("teams").await, (Kind::Missing, Why::Unstamped));
    fixture.stamp().await.unwrap();
    assert_eq!(told("teams").await, (Kind::Missing, Why::AboveCursor));
    fixture.ship().await.unwrap();
    // A row that left.
    fixture.run(&format!(r#"DELETE FROM "Team" WHERE "teamId" = '{}'"#, id(77))).await.unwrap();
    assert_eq!(told("teams").await, (Kind::Unexpected, Why::Unstamped));
    fixture.stamp().await.unwrap();
    assert_eq!(told("teams").await, (Kind::Unexpected, Why::AboveCursor));
    fixture.ship().await.unwrap();
    fixture.expect_equal().await;
    // It comes back before its tombstone, and is gone again after it.
    fixture.run(&teams(1, [77])).await.unwrap();
    fixture.stamp().await.unwrap();
    fixture.ship().await.unwrap();
    fixture.expect_equal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ver_1_what_depends_on_another_row_is_in_flight_while_a_touch_is_pending() {
    let fixture = one_tenancy().await;
    let change =
        "SET lockstep.stamping = 'on'; UPDATE \"ContactChannel\" SET \"isVerified\" = FALSE; RESET lockstep.stamping";
    fixture.run(change).await.unwrap();
    // Only the touch tells of the user; the channel itself was changed behind the back of its trigger.
    let report = fixture.verify().await.unwrap();
    let found = |name: &str| report.mappings.iter().find(|mapping| mapping.name == name).unwrap().findings[0].clone();
    assert_eq!(
        (found("users").in_flight, found("users").columns),
        (Some(Why::Unstamped), vec!["primary_email_verified".to_owned()])
    );
    assert_eq!((found("contact_channels").in_flight, found("contact_channels").kind), (None, Kind::Different));
    // Without the touch nothing would ever mend it.
    fixture.run("DELETE FROM lockstep.touch").await.unwrap();
    let report = fixture.verify().await.unwrap();
    let users = report.mappings.iter().find(|mapping| mapping.name == "users").unwrap();
    assert_eq!((users.different, users.in_flight), (1, 0), "{}", report.to_text());
}

#[tokio::test(flavor = "multi_thread")]
async fn ver_1_the_base_is_in_flight_until_its_snapshot_has_ended() {
    let fixture = one_tenancy().await;
    let base = "SET lockstep.stamping = 'on'; UPDATE \"Team\" SET \"shouldUpdateSequenceId\" = FALSE, \"sequenceId\" = NULL; RESET lockstep.stamping";
    fixture.run(&(teams(1, [77]) + base + "; UPDATE lockstep.snapshot SET finished_at = NULL")).await.unwrap();
    let finding = fixture.expect_one(Verdict::InFlight, "teams").await;
    assert_eq!((finding.kind, finding.in_flight), (Kind::Missing, Some(Why::BaseSnapshot)));
    fixture.end_snapshots().await.unwrap();
    assert_eq!(fixture.expect_one(Verdict::Different, "teams").await.kind, Kind::Missing);
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
        fixture.stamp().await.unwrap();
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
                fixture.stamp().await.unwrap();
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
    fixture.stamp().await.unwrap();
    fixture.ship().await.unwrap();
    fixture.expect_equal().await;
}
