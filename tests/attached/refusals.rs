//! What does not fit is told as one list, before anything is changed.

use anyhow::Result;

use super::{Platform, catalog, clickhouse, platform};

#[tokio::test]
async fn attached_a_source_that_does_not_fit_is_told_in_one_list_before_anything_is_changed() -> Result<()> {
    let stage = platform(Platform::Bare).await?;
    stage
        .sql(
            r#"ALTER TABLE "ProjectUser" DROP COLUMN "isAnonymous";
               ALTER TABLE "Team" ALTER COLUMN "displayName" DROP NOT NULL;
               ALTER TABLE "SessionReplay" ALTER COLUMN "refreshTokenId" TYPE text;
               ALTER TABLE "ContactChannel" RENAME COLUMN "isVerified" TO "verified";
               DROP TABLE "UserNotificationPreference";
               DROP TABLE "ProjectUserDirectPermission";
               CREATE TABLE "ProjectUserDirectPermission" ("id" uuid, "tenancyId" uuid) PARTITION BY HASH ("tenancyId");
               ALTER TABLE "Tenancy" RENAME COLUMN "branchId" TO "branch""#,
        )
        .await?;
    let before = catalog::lines(&stage.client).await?;
    for arguments in [&["migrate"][..], &["migrate", "--dry-run"]] {
        let refused = stage.installation.run("lockstep", arguments).await?;
        assert_eq!(refused.code, Some(78), "{}", refused.stderr);
        assert!(refused.stderr.starts_with("LS-0015"), "{}", refused.stderr);
        for misfit in [
            ("users", r#""ProjectUser"."isAnonymous""#),
            ("teams", r#""Team"."displayName""#),
            ("session_replays", r#""SessionReplay"."refreshTokenId""#),
            ("contact_channels", r#""ContactChannel"."isVerified""#),
            ("users", r#""ContactChannel"."isVerified""#),
            ("notification_preferences", r#""UserNotificationPreference""#),
            ("project_permissions", r#""ProjectUserDirectPermission""#),
            ("Lockstep itself", r#""Tenancy"."branchId""#),
        ] {
            let told = refused.stderr.lines().any(|line| line.contains(misfit.0) && line.contains(misfit.1));
            assert!(told, "{misfit:?} is not in\n{}", refused.stderr);
        }
        assert_eq!(catalog::lines(&stage.client).await?, before, "something was changed");
        assert_eq!(clickhouse::databases(&stage).await?, 0, "a database was made in ClickHouse");
    }
    stage.end([]).await
}

#[tokio::test]
async fn attached_standalone_refuses_tables_of_somebody_else() -> Result<()> {
    let stage = platform(Platform::Bare).await?;
    let before = catalog::lines(&stage.client).await?;
    let refused = stage.installation.run("lockstep", &["migrate", "--standalone"]).await?;
    assert_eq!(refused.code, Some(78), "{}", refused.stderr);
    assert!(refused.stderr.starts_with("LS-0018"), "{}", refused.stderr);
    assert_eq!(catalog::lines(&stage.client).await?, before);
    stage.end([]).await
}

/// Postgres has one row of two texts that are equal to it; ClickHouse would keep both.
#[tokio::test]
async fn attached_a_key_whose_collation_takes_different_texts_for_equal_is_refused() -> Result<()> {
    let stage = platform(Platform::Bare).await?;
    stage
        .sql(
            r#"CREATE COLLATION blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
               ALTER TABLE "ProjectUserDirectPermission" ALTER COLUMN "permissionId" TYPE text COLLATE blind"#,
        )
        .await?;
    let said = r#"column "ProjectUserDirectPermission"."permissionId": is a key, and has a collation"#;
    let refused = stage.installation.run("lockstep", &["migrate"]).await?;
    assert_eq!(refused.code, Some(78), "{refused:?}");
    assert!(refused.stderr.contains("LS-0015") && refused.stderr.contains(said), "{}", refused.stderr);
    for command in [&["mapping", "check"][..], &["doctor"]] {
        let told = stage.installation.run("lockstep", command).await?;
        assert!(told.code == Some(1) && told.stdout.contains(said), "{told:?}");
    }
    stage.sql(r#"ALTER TABLE "ProjectUserDirectPermission" ALTER COLUMN "permissionId" TYPE text COLLATE "C""#).await?;
    stage.migrate(&[]).await?;
    stage.end([]).await
}
