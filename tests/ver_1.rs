//! VER-1: the verifier never calls equal what differs, and never calls different what is merely in flight.

use anyhow::{Context, Result, ensure};
use lockstep_testkit::data::Shape;
use serde_json::Value;

use crate::background_edits::BackgroundEdits;
use crate::stage::Stage;

/// What is done by hand, in which mapping, and what is found there.
const BY_HAND: [(&str, &str, &str, &str); 6] = [
    (
        "a row is removed",
        "session_replays",
        "missing",
        "ALTER TABLE {raw}.session_replays DELETE WHERE id = UUIDNumToString(MD5('replay of ada')) SETTINGS mutations_sync = 2",
    ),
    (
        "a row is hidden under a tombstone",
        "teams",
        "missing",
        "INSERT INTO {raw}.teams SELECT * REPLACE (sync_sequence_id + 1000000 AS sync_sequence_id, 1 AS sync_is_deleted) FROM {raw}.teams FINAL WHERE display_name = 'cobol'",
    ),
    (
        "a row is made up",
        "project_permissions",
        "unexpected",
        "INSERT INTO {raw}.project_permissions SELECT * REPLACE ('admin' AS permission_id) FROM {raw}.project_permissions FINAL WHERE project_id = 'engines' LIMIT 1",
    ),
    (
        "a row is made up for a project that nobody has",
        "refresh_tokens",
        "unexpected",
        "INSERT INTO {raw}.refresh_tokens SELECT * REPLACE ('nobody' AS project_id) FROM {raw}.refresh_tokens FINAL LIMIT 1",
    ),
    (
        "a value is changed",
        "email_outboxes",
        "different",
        "INSERT INTO {raw}.email_outboxes SELECT * REPLACE (1 AS is_paused, now64(3) AS sync_created_at) FROM {raw}.email_outboxes FINAL WHERE id = UUIDNumToString(MD5('letter'))",
    ),
    (
        "a null becomes an empty text",
        "users",
        "different",
        "INSERT INTO {raw}.users SELECT * REPLACE ('' AS profile_image_url) FROM {raw}.users FINAL WHERE display_name = 'mary'",
    ),
];

/// Writes that capture cannot see: whoever may switch triggers off may do anything.
const UNSEEN: [(&str, &str, &str); 3] = [
    (
        "contact_channels",
        "different",
        r#"ALTER TABLE "ContactChannel" DISABLE TRIGGER USER; UPDATE "ContactChannel" SET "usedForAuth" = 'TRUE' WHERE "id" = id('ada'); ALTER TABLE "ContactChannel" ENABLE TRIGGER USER"#,
    ),
    (
        "notification_preferences",
        "unexpected",
        r#"ALTER TABLE "UserNotificationPreference" DISABLE TRIGGER USER; DELETE FROM "UserNotificationPreference" WHERE "projectUserId" = id('ada'); ALTER TABLE "UserNotificationPreference" ENABLE TRIGGER USER"#,
    ),
    // A row that never had a change, as those of the first fill, after that had ended.
    (
        "connected_accounts",
        "missing",
        r#"ALTER TABLE "ProjectUserOAuthAccount" DISABLE TRIGGER USER;
           INSERT INTO "ProjectUserOAuthAccount" ("tenancyId", "id", "projectUserId", "configOAuthProviderId", "providerAccountId", "updatedAt")
           VALUES (id('engines'), id('unseen'), id('ada'), 'github', 'unseen', now()); ALTER TABLE "ProjectUserOAuthAccount" ENABLE TRIGGER USER"#,
    ),
];

/// Runs the verifier, which has to end with this code; returns what it printed.
async fn verify(stage: &Stage, arguments: &[&str], code: i32) -> Result<Value> {
    let verified = stage.verifier(&[&["--output", "json"], arguments].concat()).await?;
    ensure!(verified.code == Some(code), "{arguments:?}: it ended with {:?}:\n{}", verified.code, verified.stdout);
    serde_json::from_str(&verified.stdout).context("the verifier's JSON")
}

#[tokio::test]
async fn ver_1_every_difference_made_by_hand_is_found() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    verify(&stage, &[], 0).await?;
    for (.., statement) in BY_HAND {
        stage.in_clickhouse(statement).await?;
    }
    for (.., statements) in UNSEEN {
        stage.sql(statements).await?;
    }
    let report = verify(&stage, &[], 1).await?;
    let made = BY_HAND.map(|(what, mapping, kind, _)| (what, mapping, kind));
    let made =
        made.into_iter().chain(UNSEEN.map(|(mapping, kind, _)| ("a write that capture cannot see", mapping, kind)));
    for (what, mapping, kind) in made {
        let mappings = report["mappings"].as_array().context("mappings")?;
        let found = mappings.iter().find(|found| found["name"] == mapping).context("a mapping is not reported")?;
        assert_eq!((&found[kind], &found["equal"]), (&Value::from(1), &Value::from(false)), "{what}: {found}");
        assert_eq!(found["findings"][0]["kind"], kind, "{what}: {found}");
    }
    let equal = report["mappings"].as_array().context("mappings")?.iter().filter(|found| found["equal"] == true);
    assert_eq!(equal.count(), 12 - BY_HAND.len() - UNSEEN.len(), "{report}");
    // Told apart by mapping and by tenant.
    verify(&stage, &["--mapping", "contact_channels"], 1).await?;
    verify(&stage, &["--mapping", "team_invitations", "--mapping", "team_permissions"], 0).await?;
    let tenant = stage.client.query_one("SELECT id('compilers')::text", &[]).await?.get::<_, String>(0);
    let of_tenant = verify(&stage, &["--tenant", &tenant], 1).await?;
    let different =
        of_tenant["mappings"].as_array().context("mappings")?.iter().filter(|found| found["equal"] == false);
    assert_eq!(different.map(|found| found["name"].to_string()).collect::<Vec<_>>(), ["\"teams\""], "{of_tenant}");
    stage.end(programs).await
}

#[tokio::test]
async fn ver_1_what_is_in_flight_is_never_called_different() -> Result<()> {
    let stage = Stage::seeded(Shape { tenants: 8, rows: 40, seed: 13 }).await?;
    let (sequencer, worker) = (stage.sequencer()?, stage.worker()?);
    stage.in_step().await?;
    let editors = [BackgroundEdits::start(&stage, 131).await?, BackgroundEdits::start(&stage, 132).await?];
    for settle in ["0", "1", "3"] {
        editors[0].go_on(5).await?;
        let verified = stage.verifier(&["--settle", settle]).await?;
        ensure!(matches!(verified.code, Some(0 | 2)), "it ended with {:?}:\n{}", verified.code, verified.stdout);
    }
    // Nothing arrives any more: what was written since is in flight, whether numbered or not, and nothing else.
    worker.signal("STOP").await?;
    editors[0].go_on(20).await?;
    sequencer.signal("STOP").await?;
    editors[0].go_on(20).await?;
    for editor in editors {
        editor.stop().await?;
    }
    let report = verify(&stage, &["--settle", "1"], 2).await?;
    assert_eq!(report["verdict"], "in_flight");
    for program in [&sequencer, &worker] {
        program.signal("CONT").await?;
    }
    stage.equal().await?;
    verify(&stage, &[], 0).await?;
    stage.end([sequencer, worker]).await
}

/// It says when it could not finish, and never "equal" then.
#[tokio::test]
async fn ver_1_what_cannot_be_compared_is_not_called_equal() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    let refused = async |arguments: &[&str]| {
        let refused = stage.verifier(&[&["--output", "json"], arguments].concat()).await?;
        ensure!(refused.code == Some(3) && refused.stdout.is_empty(), "{refused:?}");
        serde_json::from_str::<Value>(&refused.stderr).with_context(|| refused.stderr.clone())
    };
    let nobody = refused(&["--tenant", "00000000-0000-4000-8000-000000000000"]).await?;
    assert_eq!(nobody["code"], "LS-0302", "{nobody}");
    stage.in_clickhouse("DROP TABLE {raw}.session_replays SYNC").await?;
    let gone = refused(&[]).await?;
    ensure!(gone["code"].as_str().is_some_and(|code| code.starts_with("LS-02")), "{gone}");
    stage.end(programs).await
}
