//! The platform's own former sync runs beside Lockstep for a whole workload: both end right, neither disturbs the other.

use anyhow::{Result, ensure};
use lockstep_testkit::installation::Installation;
use lockstep_testkit::{attached, edits};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio_postgres::Client;

use crate::stage::Stage;

const EDITS: u32 = 300;

/// What it stamps.
const TABLES: [&str; 13] = [
    "ProjectUser",
    "ContactChannel",
    "Team",
    "TeamMember",
    "TeamMemberDirectPermission",
    "ProjectUserDirectPermission",
    "UserNotificationPreference",
    "ProjectUserRefreshToken",
    "ProjectUserOAuthAccount",
    "SessionReplay",
    "VerificationCode",
    "EmailOutbox",
    "DeletedRow",
];

/// One round of its sequencer: flagged rows get the next numbers; tombstones that were fulfilled go. Returns how many rows
/// it stamped.
async fn stamp(client: &Client) -> Result<u64> {
    let mut stamped = 0;
    for table in TABLES {
        let statement = format!(
            r#"UPDATE "{table}" SET "sequenceId" = nextval('global_seq_id'), "shouldUpdateSequenceId" = FALSE
            WHERE ctid = ANY (ARRAY(SELECT ctid FROM "{table}" WHERE "shouldUpdateSequenceId" LIMIT 200 FOR UPDATE SKIP LOCKED))"#
        );
        stamped += client.execute(&statement, &[]).await?;
    }
    let fulfilled = r#"DELETE FROM "DeletedRow" WHERE ctid = ANY (ARRAY(SELECT ctid FROM "DeletedRow" WHERE NOT "shouldUpdateSequenceId" AND "startedFulfillingAt" IS NULL LIMIT 10))"#;
    client.batch_execute(fulfilled).await?;
    Ok(stamped)
}

/// The platform sets the flag in an UPDATE of its own, and writes a tombstone for what it deletes.
const OF_THE_PLATFORM: [&str; 3] = [
    r#"UPDATE "ProjectUser" SET "displayName" = 'flagged', "shouldUpdateSequenceId" = TRUE WHERE "tenancyId" = '{tenancy}' AND "projectUserId" = {user}"#,
    r#"UPDATE "ProjectUser" SET "lastActiveAt" = now(), "shouldUpdateSequenceId" = TRUE WHERE "tenancyId" = '{tenancy}' AND "projectUserId" = {user}"#,
    r#"WITH gone AS (DELETE FROM "ProjectUserRefreshToken" WHERE "tenancyId" = '{tenancy}' AND "projectUserId" = {user} RETURNING *)
        INSERT INTO "DeletedRow" ("id", "tenancyId", "tableName", "primaryKey")
        SELECT gen_random_uuid(), "tenancyId", 'ProjectUserRefreshToken', jsonb_build_object('tenancyId', "tenancyId", 'id', "id") FROM gone"#,
];

#[tokio::test]
async fn former_sync_runs_beside_for_a_whole_workload() -> Result<()> {
    let stage = Stage::of(Installation::create().await?).await?;
    attached::former_sync(&stage.client).await?;
    stage.migrate(&[]).await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    let (former, platform) = (stage.connect().await?, stage.connect().await?);
    let working = async {
        let mut rng = StdRng::seed_from_u64(2026);
        for n in 0..EDITS {
            edits::one(&platform, &mut rng).await?;
            let statement = OF_THE_PLATFORM[n as usize % OF_THE_PLATFORM.len()];
            edits::statements(&platform, &mut rng, statement).await?;
        }
        anyhow::Ok(())
    };
    let stamping = async {
        loop {
            stamp(&former).await?;
        }
        #[allow(unreachable_code, reason = "it says what the loop fails with")]
        anyhow::Ok(())
    };
    tokio::select! {
        worked = working => worked?,
        stamped = stamping => stamped?,
    }
    stage.equal().await?;
    stage.verified().await?;
    // The former sync has all its work to do, and no more than that: it comes to an end.
    while stamp(&former).await? > 0 {}
    for table in TABLES {
        let unfit = format!(r#"SELECT count(*) FROM "{table}" WHERE "shouldUpdateSequenceId""#);
        assert_eq!(stage.number(&unfit).await?, 0, "{table}");
    }
    stage.equal().await?;
    // Its work is none for Lockstep.
    let changes = stage.number("SELECT count(*) FROM lockstep.change").await?;
    stage.sql(r#"UPDATE "ProjectUser" SET "shouldUpdateSequenceId" = TRUE; UPDATE "EmailOutbox" SET "shouldUpdateSequenceId" = TRUE"#).await?;
    ensure!(stamp(&former).await? > 0, "nothing was flagged");
    while stamp(&former).await? > 0 {}
    stage.equal().await?;
    assert_eq!(stage.number("SELECT count(*) FROM lockstep.change").await?, changes);
    stage.end(programs).await
}
