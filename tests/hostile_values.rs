//! Hostile values arrive unchanged: as the base, in the stream, and after a change.

use anyhow::Result;
use lockstep_testkit::data::{Shape, hostile, seed};
use uuid::Uuid;

use crate::stage::Stage;

/// The platform's columns hold milliseconds. These hold microseconds, which both sides cut off, before 1970 too.
const MICROSECONDS: &str = r#"
ALTER TABLE "ProjectUser" ALTER "signedUpAt" TYPE timestamp(6), ALTER "createdAt" TYPE timestamp(6);
ALTER TABLE "SessionReplay" ALTER "startedAt" TYPE timestamp(6), ALTER "lastEventAt" TYPE timestamp(6), ALTER "createdAt" TYPE timestamp(6);
ALTER TABLE "ProjectUserRefreshToken" ALTER "expiresAt" TYPE timestamp(6), ALTER "lastActiveAt" TYPE timestamp(6);
ALTER TABLE "VerificationCode" ALTER "expiresAt" TYPE timestamp(6), ALTER "createdAt" TYPE timestamp(6);"#;

/// Columns that are moved by so many microseconds, in rows where that is within what a timestamp holds.
const SHIFTS: [(&str, &str, i32); 7] = [
    ("ProjectUser", "signedUpAt", -1),
    ("ProjectUser", "createdAt", 999),
    ("SessionReplay", "startedAt", 500),
    ("SessionReplay", "lastEventAt", -1),
    ("ProjectUserRefreshToken", "expiresAt", -1),
    ("ProjectUserRefreshToken", "lastActiveAt", 999),
    ("VerificationCode", "expiresAt", -1),
];

async fn shift(stage: &Stage) -> Result<()> {
    for (table, column, microseconds) in SHIFTS {
        let update = format!(
            r#"UPDATE "{table}" SET "{column}" = "{column}" + interval '{microseconds} microseconds' WHERE "{column}" BETWEEN '1000-01-01' AND '3000-01-01'"#
        );
        stage.sql(&update).await?;
    }
    Ok(())
}

#[tokio::test]
async fn hostile_values_arrive_unchanged() -> Result<()> {
    let stage = Stage::before_capture().await?;
    stage.sql(MICROSECONDS).await?;
    seed(&stage.client, Shape { tenants: 3, rows: 2, seed: 12 }).await?;
    let tenancies = stage.client.query(r#"SELECT "id" FROM "Tenancy" ORDER BY "id""#, &[]).await?;
    let tenancies: Vec<Uuid> = tenancies.iter().map(|row| row.get(0)).collect();
    hostile(&stage.client, tenancies[0]).await?;
    shift(&stage).await?;
    stage.migrate(&[]).await?;
    hostile(&stage.client, tenancies[1]).await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    stage.verified().await?;
    shift(&stage).await?;
    stage.equal().await?;
    let long = "SELECT count() FROM {views}.users WHERE length(display_name) = 1000000";
    assert_eq!(stage.seen(long).await?, "2");
    // They can go, too.
    stage.sql(r#"TRUNCATE "ProjectUser", "Team", "VerificationCode", "EmailOutbox" CASCADE"#).await?;
    stage.equal().await?;
    stage.end(programs).await
}

/// What the contract says about the odd cases, said once more in ClickHouse's own words.
#[tokio::test]
async fn hostile_values_are_what_the_contract_says() -> Result<()> {
    let stage = Stage::before_capture().await?;
    stage.sql(MICROSECONDS).await?;
    stage.migrate(&[]).await?;
    stage.sql(include_str!("world.sql")).await?;
    stage
        .sql(
            r#"UPDATE "ProjectUser" SET "clientMetadata" = NULL, "clientReadOnlyMetadata" = 'null', "serverMetadata" = '{"a": {"b": null}}', "signedUpAt" = '1969-12-31 23:59:59.999999' WHERE "projectUserId" = id('ada');
               UPDATE "ProjectUser" SET "signedUpAt" = 'infinity', "displayName" = '' WHERE "projectUserId" = id('charles');
               UPDATE "ProjectUser" SET "signedUpAt" = '-infinity', "displayName" = NULL WHERE "projectUserId" = id('mary');
               UPDATE "ProjectUser" SET "signedUpAt" = '2299-12-31 23:59:59.999999', "displayName" = E'\t\n\\N''"' WHERE "projectUserId" = id('grace');
               UPDATE "VerificationCode" SET "expiresAt" = 'infinity', "data" = '{"team_id": 7}', "method" = '{"email": 7}' WHERE "id" = id('invitation');
               UPDATE "VerificationCode" SET "expiresAt" = '1969-12-31 23:59:59.999999', "data" = '[]', "method" = 'null' WHERE "id" = id('other invitation');
               UPDATE "EmailOutbox" SET "skippedReason" = 'USER_HAS_NO_PRIMARY_EMAIL', "skippedDetails" = 'null' WHERE "id" = id('letter')"#,
        )
        .await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    let users = "SELECT toUnixTimestamp64Milli(signed_up_at), display_name, client_metadata, client_read_only_metadata, server_metadata
        FROM {views}.users ORDER BY signed_up_at FORMAT TSV";
    let expected = [
        "-2208988800000\t\\N\t{}\t{}\t{}",
        "-1\tada\t{}\tnull\t{\"a\": {\"b\": null}}",
        "10413791999999\t\t{}\t{}\t{}",
        "10413791999999\t\\t\\n\\\\N\\'\"\t{}\t{}\t{}",
    ];
    let seen = stage.seen(users).await?;
    let mut seen: Vec<_> = seen.lines().collect();
    seen[2..].sort_unstable();
    assert_eq!(seen, expected);
    let invitations =
        "SELECT team_id, team_display_name, recipient_email, expires_at_millis FROM {views}.team_invitations
        WHERE project_id = 'engines' ORDER BY expires_at_millis";
    let nil = "00000000-0000-0000-0000-000000000000";
    assert_eq!(stage.seen(invitations).await?, format!("{nil}\t\t\t-1\n{nil}\t\t\t10413791999999"));
    let letter = "SELECT status, simple_status, created_with, skipped_reason, skipped_details FROM {views}.email_outboxes WHERE status = 'skipped'";
    assert_eq!(stage.seen(letter).await?, "skipped\tok\tdraft\tuser-has-no-primary-email\tnull");
    stage.end(programs).await
}
