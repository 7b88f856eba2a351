//! CAP-1 where writes come by other ways than statements on an ordinary table, and where values are equal without being alike.

use anyhow::{Context, Result, ensure};
use lockstep_testkit::databases::{PrivatePostgres, SOURCE_SCHEMA, TestDatabase, eventually};
use lockstep_testkit::installation::Installation;

use crate::custom_mapping::with_invoices;
use crate::stage::{DEADLINE, Stage};

/// The apply worker of a subscription fires row triggers only, and those that are ENABLE ALWAYS.
#[tokio::test]
async fn cap_1_logical_replication_into_the_source_is_noticed() -> Result<()> {
    let server = PrivatePostgres::start_with(&["wal_level=logical"]).await?;
    let published = TestDatabase::create_on(server.url()).await?;
    let publisher = published.connect().await?;
    publisher.batch_execute(SOURCE_SCHEMA).await.context("creating the publisher's schema")?;
    publisher.batch_execute(include_str!("world.sql")).await?;
    publisher.batch_execute("CREATE PUBLICATION everything FOR ALL TABLES").await?;
    publisher.batch_execute("SELECT pg_create_logical_replication_slot('stage', 'pgoutput')").await?;
    let stage = Stage::of(Installation::around(TestDatabase::create_on(server.url()).await?)?).await?;
    stage.sql(SOURCE_SCHEMA).await?;
    stage.sql("CREATE FUNCTION id(name text) RETURNS uuid IMMUTABLE LANGUAGE sql RETURN md5(name)::uuid").await?;
    stage.migrate(&[]).await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    // The slot is made beforehand: on one server, making it waits for the transaction that asks for it.
    let connection = server.url_of(published.name());
    let subscribe = format!(
        "CREATE SUBSCRIPTION stage CONNECTION '{connection}' PUBLICATION everything WITH (create_slot = false, slot_name = 'stage')"
    );
    stage.sql(&subscribe).await?;
    let copied = "SELECT count(*) FROM pg_subscription_rel WHERE srsubstate <> 'r'";
    stage.until("the first copy", copied, 0).await?;
    stage.equal().await?;
    publisher
        .batch_execute(
            r#"DELETE FROM "ContactChannel" WHERE "id" = id('lovelace'); DELETE FROM "ProjectUser" WHERE "projectUserId" = id('grace');
            INSERT INTO "ContactChannel" ("tenancyId", "projectUserId", "id", "type", "isPrimary", "isVerified", "value", "updatedAt")
            VALUES (id('engines'), id('mary'), id('mary'), 'EMAIL', 'TRUE', TRUE, 'mary@example.com', now());
            UPDATE "Team" SET "displayName" = 'replicated' WHERE "teamId" = id('analytical');
            TRUNCATE "ProjectUserRefreshToken"; UPDATE "Tenancy" SET "branchId" = 'dev' WHERE "id" = id('compilers')"#,
        )
        .await?;
    let position: String = publisher.query_one("SELECT pg_current_wal_lsn()::text", &[]).await?.try_get(0)?;
    let behind = format!(
        "SELECT (confirmed_flush_lsn < '{position}')::int::bigint FROM pg_replication_slots WHERE slot_name = 'stage'"
    );
    stage.until("the subscription to apply everything", &behind, 0).await?;
    stage.equal().await?;
    stage.sql("ALTER SUBSCRIPTION stage DISABLE; ALTER SUBSCRIPTION stage SET (slot_name = NONE)").await?;
    stage.sql("DROP SUBSCRIPTION stage").await?;
    publisher.batch_execute("SELECT pg_drop_replication_slot('stage')").await?;
    drop(publisher);
    published.remove().await?;
    stage.end(programs).await
}

#[tokio::test]
async fn cap_1_values_that_are_equal_without_being_alike_are_noticed() -> Result<()> {
    let stage = Stage::before_capture().await?;
    stage.sql(include_str!("world.sql")).await?;
    stage
        .sql(
            r#"CREATE EXTENSION citext; ALTER TABLE "ContactChannel" ALTER COLUMN "value" TYPE citext;
            CREATE COLLATION blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
            ALTER TABLE "Team" ALTER COLUMN "displayName" TYPE text COLLATE blind;
            ALTER TABLE "ProjectUserDirectPermission" ALTER COLUMN "permissionId" TYPE citext;
            CREATE FUNCTION later() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW."displayName" := upper(NEW."displayName"); RETURN NEW; END $$;
            CREATE TRIGGER "~later" BEFORE UPDATE ON "TeamMember" FOR EACH ROW EXECUTE FUNCTION later();
            UPDATE "ProjectUser" SET "clientMetadata" = '{"price": 1.5}'"#,
        )
        .await?;
    stage.migrate(&[]).await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.in_step().await?;
    stage
        .sql(
            r#"UPDATE "ProjectUser" SET "clientMetadata" = '{"price": 1.50}' WHERE "projectUserId" = id('ada');
            UPDATE "ContactChannel" SET "value" = 'ADA@example.com' WHERE "id" = id('ada');
            UPDATE "Team" SET "displayName" = 'COBOL' WHERE "teamId" = id('cobol');
            UPDATE "ProjectUserDirectPermission" SET "permissionId" = 'PUBLISH' WHERE "projectUserId" = id('ada');
            UPDATE "TeamMember" SET "updatedAt" = now() WHERE "projectUserId" = id('grace')"#,
        )
        .await?;
    stage.in_step().await?;
    for (query, expected) in [
        ("SELECT client_metadata FROM {views}.users WHERE display_name = 'ada'", r#"{"price": 1.50}"#),
        ("SELECT primary_email FROM {views}.users WHERE display_name = 'ada'", "ADA@example.com"),
        ("SELECT count() FROM {views}.contact_channels WHERE value = 'ADA@example.com'", "1"),
        ("SELECT display_name FROM {views}.teams WHERE project_id = 'compilers'", "COBOL"),
        ("SELECT team_display_name FROM {views}.team_invitations WHERE project_id = 'compilers'", "COBOL"),
        // The key changed its letter case: one row, under its new key.
        (
            "SELECT arraySort(groupArray(permission_id)) FROM {views}.project_permissions WHERE project_id = 'engines'",
            "['PUBLISH','publish']",
        ),
        ("SELECT display_name FROM {views}.team_member_profiles WHERE project_id = 'compilers'", "GRACE OF COBOL"),
    ] {
        assert_eq!(stage.seen(query).await?, expected, "{query}");
    }
    stage.end(programs).await
}

#[tokio::test]
async fn cap_1_minus_zero_is_noticed() -> Result<()> {
    let (stage, _definitions) = with_invoices().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    for rate in ["0", "-0", "0"] {
        stage.sql(&format!(r#"UPDATE billing."Invoice" SET "rate" = '{rate}'"#)).await?;
        stage.in_step().await?;
        assert_eq!(stage.seen("SELECT DISTINCT toString(rate) FROM {views}.invoices").await?, rate);
    }
    stage.end(programs).await
}

/// Rows come and go through the other table, past the triggers of this one.
#[tokio::test]
async fn cap_1_partitions_children_and_parents_are_refused_and_told() -> Result<()> {
    let made = [
        r#"CREATE TABLE everything (LIKE "SessionReplay" INCLUDING ALL) PARTITION BY LIST ("tenancyId"); ALTER TABLE everything ATTACH PARTITION "SessionReplay" DEFAULT"#,
        r#"CREATE TABLE child () INHERITS ("SessionReplay")"#,
        r#"CREATE TABLE parent (LIKE "SessionReplay"); ALTER TABLE "SessionReplay" INHERIT parent"#,
    ];
    let undone = [
        r#"ALTER TABLE everything DETACH PARTITION "SessionReplay"; DROP TABLE everything"#,
        "DROP TABLE child",
        r#"ALTER TABLE "SessionReplay" NO INHERIT parent; DROP TABLE parent"#,
    ];
    let stage = Stage::before_capture().await?;
    for (make, undo) in made.iter().zip(undone) {
        stage.sql(make).await?;
        let refused = stage.installation.run("lockstep", &["migrate"]).await?;
        ensure!(refused.code == Some(78) && refused.stderr.contains("SessionReplay"), "{make}: {}", refused.stderr);
        stage.sql(undo).await?;
    }
    stage.migrate(&[]).await?;
    stage.sql(include_str!("world.sql")).await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    for (make, undo) in made.iter().zip(undone) {
        stage.sql(make).await.with_context(|| (*make).to_owned())?;
        let found = stage.installation.run("lockstep", &["doctor"]).await?;
        ensure!(found.code == Some(1) && found.stdout.contains("SessionReplay"), "{make}: {}", found.stdout);
        let reason = "SELECT reason FROM lockstep.pause WHERE kind = 'mapping' AND name = 'session_replays'";
        eventually("the mapping to be stopped alone", DEADLINE, async || {
            let row = stage.client.query_opt(reason, &[]).await?;
            Ok(row.is_some_and(|row| row.get::<_, String>(0).starts_with("LS-0508")))
        })
        .await?;
        stage.sql(undo).await?;
        stage.until("it to go on", "SELECT count(*) FROM lockstep.pause", 0).await?;
    }
    stage.equal().await?;
    stage.end(programs).await
}
