//! CAP-1: whatever is done to an exported row, by whomever, is written down, and nothing else is.

use std::collections::BTreeMap;

use futures_util::{SinkExt, TryStreamExt, pin_mut};
use lockstep_mappings::MappingSet;
use lockstep_testkit::data::{Shape, seed};

use super::fixture::{Fixture, drain};

/// A captured table: its mapping, what counts of it, an update of an exported column, and one of another.
struct Captured {
    mapping: &'static str,
    table: &'static str,
    filter: &'static str,
    exported: &'static str,
    other: &'static str,
}

const fn captured(mapping: &'static str, table: &'static str, exported: &'static str, other: &'static str) -> Captured {
    Captured { mapping, table, filter: "TRUE", exported, other }
}

const TOUCHED: &str = r#""updatedAt" = "updatedAt" + interval '1 day'"#;
const CAPTURED: [Captured; 12] = [
    captured(
        "users",
        "ProjectUser",
        r#""displayName" = COALESCE("displayName", '') || 'x'"#,
        r#""lastActiveAt" = now() + interval '1 day'"#,
    ),
    captured("contact_channels", "ContactChannel", r#""isVerified" = NOT "isVerified""#, TOUCHED),
    captured("teams", "Team", r#""displayName" = "displayName" || 'x'"#, TOUCHED),
    captured("team_member_profiles", "TeamMember", r#""displayName" = COALESCE("displayName", '') || 'x'"#, TOUCHED),
    captured(
        "team_permissions",
        "TeamMemberDirectPermission",
        r#""createdAt" = "createdAt" + interval '1 day'"#,
        TOUCHED,
    ),
    captured(
        "project_permissions",
        "ProjectUserDirectPermission",
        r#""createdAt" = "createdAt" + interval '1 day'"#,
        TOUCHED,
    ),
    captured(
        "notification_preferences",
        "UserNotificationPreference",
        r#""enabled" = NOT "enabled""#,
        r#""enabled" = "enabled""#,
    ),
    captured(
        "refresh_tokens",
        "ProjectUserRefreshToken",
        r#""lastActiveAt" = "lastActiveAt" + interval '1 day'"#,
        r#""refreshToken" = "refreshToken" || 'x'"#,
    ),
    Captured {
        filter: r#""projectUserId" IS NOT NULL"#,
        ..captured(
            "connected_accounts",
            "ProjectUserOAuthAccount",
            r#""email" = COALESCE("email", '') || 'x'"#,
            TOUCHED,
        )
    },
    captured("session_replays", "SessionReplay", r#""lastEventAt" = "lastEventAt" + interval '1 day'"#, TOUCHED),
    Captured {
        filter: r#""type" = 'TEAM_INVITATION'"#,
        ..captured(
            "team_invitations",
            "VerificationCode",
            r#""expiresAt" = "expiresAt" + interval '1 day'"#,
            r#""attemptCount" = "attemptCount" + 1"#,
        )
    },
    captured(
        "email_outboxes",
        "EmailOutbox",
        r#""isPaused" = NOT "isPaused""#,
        r#""shouldSkipDeliverabilityCheck" = NOT "shouldSkipDeliverabilityCheck""#,
    ),
];

impl Captured {
    async fn rows(&self, fixture: &Fixture) -> i64 {
        let rows = fixture.number(&format!(r#"SELECT count(*) FROM "{}" WHERE {}"#, self.table, self.filter)).await;
        assert!(rows > 0, "{} has no rows", self.table);
        rows
    }
}

async fn seeded() -> Fixture {
    let fixture = Fixture::new().await;
    seed(&fixture.client, Shape { tenants: 3, rows: 25, seed: 7 }).await.unwrap();
    fixture
}

/// The different lines of the transaction at hand, by target.
const LINES: &str = "SELECT t.name, count(DISTINCT to_jsonb(i)) FROM lockstep.inbox i JOIN lockstep.target t ON t.id = i.target WHERE i.xid = txid_current() GROUP BY 1";

/// The lines that statements write, which are undone.
async fn lines(fixture: &Fixture, statements: &str) -> BTreeMap<String, i64> {
    fixture.execute(&format!("BEGIN; {statements}; RESET ROLE")).await;
    let lines = written(fixture).await;
    fixture.execute("ROLLBACK").await;
    lines
}

async fn written(fixture: &Fixture) -> BTreeMap<String, i64> {
    fixture.client.query(LINES, &[]).await.unwrap().iter().map(|row| (row.get(0), row.get(1))).collect()
}

fn of(lines: &BTreeMap<String, i64>, target: &str) -> i64 {
    lines.get(target).copied().unwrap_or_default()
}

#[tokio::test]
async fn cap_1_inserts_updates_deletes_and_truncates_of_every_table_are_written_down() {
    let fixture = seeded().await;
    drain(&mut fixture.numbering()).await;
    for table in &CAPTURED {
        let Captured { mapping, table: name, exported, other, .. } = table;
        let rows = table.rows(&fixture).await;
        let inserted = format!(
            "SELECT count(DISTINCT (c.uuid_1, c.uuid_2, c.text_1, c.text_2, c.tenancy_id)) FROM lockstep.change c JOIN lockstep.target t ON t.id = c.mapping WHERE t.name = '{mapping}'"
        );
        assert!(fixture.number(&inserted).await >= rows, "{name} was inserted");
        let lines = |statements: String| {
            let fixture = &fixture;
            async move { lines(fixture, &statements).await }
        };
        let updated = lines(format!(r#"UPDATE "{name}" SET {exported}"#)).await;
        assert_eq!(of(&updated, mapping), rows, "{name} was updated: {updated:?}");
        let nothing = lines(format!(r#"UPDATE "{name}" SET {other}"#)).await;
        assert_eq!(nothing, BTreeMap::new(), "{name}: a column that is not exported");
        let deleted = lines(format!(r#"DELETE FROM "{name}""#)).await;
        assert_eq!(of(&deleted, mapping), rows, "{name} was deleted");
        let truncated = lines(format!(r#"TRUNCATE "{name}" CASCADE"#)).await;
        assert!(of(&truncated, mapping) >= rows, "{name} was truncated");
        assert_eq!(of(&truncated, &format!("{mapping}!")), 0, "{name} was truncated");
        let replicated = lines(format!(
            r#"SET LOCAL session_replication_role = replica; UPDATE "{name}" SET {exported}; DELETE FROM "{name}""#
        ))
        .await;
        assert_eq!(of(&replicated, mapping), rows, "{name}, as an apply worker does it");
        let copied = lines_of_copy(&fixture, name).await;
        assert_eq!(of(&copied, mapping), rows, "{name} was copied");
    }
    fixture.remove().await;
}

/// Takes all rows out of a table and copies them in again.
async fn lines_of_copy(fixture: &Fixture, table: &str) -> BTreeMap<String, i64> {
    let copied: Vec<_> =
        fixture.client.copy_out(&format!(r#"COPY "{table}" TO STDOUT"#)).await.unwrap().try_collect().await.unwrap();
    // Foreign keys take no part, as where an apply worker copies.
    fixture.execute(&format!(r#"SET session_replication_role = replica; DELETE FROM "{table}""#)).await;
    fixture.execute("BEGIN").await;
    let sink = fixture.client.copy_in(&format!(r#"COPY "{table}" FROM STDIN"#)).await.unwrap();
    pin_mut!(sink);
    for piece in copied {
        sink.send(piece).await.unwrap();
    }
    sink.finish().await.unwrap();
    let lines = written(fixture).await;
    fixture.execute("COMMIT; SET session_replication_role = origin").await;
    lines
}

#[tokio::test]
async fn cap_1_cascades_are_written_down() {
    let fixture = seeded().await;
    let deleted = lines(&fixture, r#"DELETE FROM "ProjectUser""#).await;
    for mapping in [
        "users",
        "contact_channels",
        "team_member_profiles",
        "team_permissions",
        "project_permissions",
        "notification_preferences",
        "connected_accounts",
        "session_replays",
    ] {
        let table = CAPTURED.iter().find(|table| table.mapping == mapping).unwrap();
        assert_eq!(of(&deleted, mapping), table.rows(&fixture).await, "{mapping}: {deleted:?}");
    }
    let gone = lines(&fixture, r#"DELETE FROM "Project""#).await;
    assert_eq!(of(&gone, "tenancy"), fixture.number(r#"SELECT count(*) FROM "Tenancy""#).await);
    assert_eq!(of(&gone, "email_outboxes"), CAPTURED[11].rows(&fixture).await);
    fixture.remove().await;
}

#[tokio::test]
async fn cap_1_merge_and_upserts_are_written_down() {
    let fixture = seeded().await;
    let teams = CAPTURED[2].rows(&fixture).await;
    let upsert = r#"INSERT INTO "Team" SELECT * FROM "Team" ON CONFLICT ("tenancyId", "teamId") DO UPDATE SET "displayName" = 'upserted'"#;
    assert_eq!(of(&lines(&fixture, upsert).await, "teams"), teams);
    let nothing = r#"INSERT INTO "Team" SELECT * FROM "Team" ON CONFLICT DO NOTHING"#;
    assert_eq!(lines(&fixture, nothing).await, BTreeMap::new());
    if fixture.number("SELECT current_setting('server_version_num')::bigint").await >= 150_000 {
        for action in ["UPDATE SET \"displayName\" = 'merged'", "DELETE"] {
            let merge = format!(
                r#"MERGE INTO "Team" t USING (SELECT * FROM "Team") s ON t."teamId" = s."teamId" AND t."tenancyId" = s."tenancyId" WHEN MATCHED THEN {action}"#
            );
            assert_eq!(of(&lines(&fixture, &merge).await, "teams"), teams, "{action}");
        }
    }
    let view = r#"CREATE VIEW teams AS SELECT * FROM "Team"; UPDATE teams SET "displayName" = 'through a view'"#;
    assert_eq!(of(&lines(&fixture, view).await, "teams"), teams);
    fixture.remove().await;
}

#[tokio::test]
async fn cap_1_a_key_that_changes_is_written_down_as_it_was_and_as_it_is() {
    let fixture = seeded().await;
    let teams = CAPTURED[2].rows(&fixture).await;
    let moved = r#"SET LOCAL session_replication_role = replica; UPDATE "Team" SET "teamId" = gen_random_uuid()"#;
    let written = lines(&fixture, moved).await;
    assert_eq!((of(&written, "teams"), of(&written, "team_invitations.team")), (2 * teams, 2 * teams));
    let elsewhere =
        r#"SET LOCAL session_replication_role = replica; UPDATE "Team" SET "tenancyId" = gen_random_uuid()"#;
    assert_eq!(of(&lines(&fixture, elsewhere).await, "teams"), 2 * teams);
    let tenancies = fixture.number(r#"SELECT count(*) FROM "Tenancy""#).await;
    assert_eq!(
        of(&lines(&fixture, r#"UPDATE "Tenancy" SET "branchId" = "branchId" || 'x'"#).await, "tenancy"),
        2 * tenancies
    );
    fixture.remove().await;
}

#[tokio::test]
async fn cap_1_a_row_that_leaves_or_enters_the_filter_is_written_down() {
    let fixture = seeded().await;
    let invitations = CAPTURED[10].rows(&fixture).await;
    let leaving = r#"UPDATE "VerificationCode" SET "type" = 'PASSWORD_RESET'"#;
    assert_eq!(of(&lines(&fixture, leaving).await, "team_invitations"), invitations);
    let all = fixture.number(r#"SELECT count(*) FROM "VerificationCode""#).await;
    let entering = r#"UPDATE "VerificationCode" SET "type" = 'TEAM_INVITATION'"#;
    assert_eq!(of(&lines(&fixture, entering).await, "team_invitations"), all - invitations);
    assert!(all > invitations);
    let never = r#"UPDATE "VerificationCode" SET "expiresAt" = now() WHERE "type" <> 'TEAM_INVITATION'"#;
    assert_eq!(lines(&fixture, never).await, BTreeMap::new());
    fixture.remove().await;
}

#[tokio::test]
async fn cap_1_a_truncate_under_an_old_snapshot_has_the_mapping_filled_again() {
    let fixture = seeded().await;
    let statements = r#"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; TRUNCATE "Team" CASCADE"#;
    let written = lines(&fixture, statements).await;
    assert_eq!((of(&written, "teams!"), of(&written, "team_invitations!")), (1, 1), "{written:?}");
    assert_eq!(of(&written, "teams"), CAPTURED[2].rows(&fixture).await);
    fixture.remove().await;
}

#[tokio::test]
async fn cap_1_a_before_trigger_of_a_later_name_does_not_hide_what_it_changes() {
    let fixture = seeded().await;
    fixture
        .execute(
            r#"CREATE FUNCTION zzz() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW."displayName" := ''by a trigger''; RETURN NEW; END';
            CREATE TRIGGER zzz BEFORE UPDATE ON "ProjectUser" FOR EACH ROW EXECUTE FUNCTION zzz()"#,
        )
        .await;
    // One that came after ours is noticed by the daemon, or by `migrate`.
    fixture.migrate().await;
    let other = format!(r#"UPDATE "ProjectUser" SET {}"#, CAPTURED[0].other);
    assert_eq!(of(&lines(&fixture, &other).await, "users"), CAPTURED[0].rows(&fixture).await);
    fixture.remove().await;
}

#[tokio::test]
async fn cap_1_a_role_without_any_right_on_our_schema_writes_as_ever() {
    let fixture = seeded().await;
    let role = format!("r_{}", fixture.database.name());
    let as_role = format!(
        "CREATE ROLE {role}; GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}; SET LOCAL search_path = ''; SET LOCAL ROLE {role}"
    );
    for table in &CAPTURED {
        let Captured { mapping, table: name, exported, .. } = table;
        let rows = table.rows(&fixture).await;
        let updated = lines(&fixture, &format!(r#"{as_role}; UPDATE public."{name}" SET {exported}"#)).await;
        assert_eq!(of(&updated, mapping), rows, "{name}");
        let deleted = lines(&fixture, &format!(r#"{as_role}; DELETE FROM public."{name}""#)).await;
        assert_eq!(of(&deleted, mapping), rows, "{name}");
        let truncated = lines(&fixture, &format!(r#"{as_role}; TRUNCATE public."{name}" CASCADE"#)).await;
        assert!(of(&truncated, mapping) >= rows, "{name}");
    }
    fixture.remove().await;
}

const IMAGES: &str = r#"
name = "things"
table = "Thing"
tenant = { column = "tenancyId" }
key = ["id"]
columns = [
  { name = "id", type = "text", column = "id" },
  { name = "name", type = "text", sql = "{name}::text", when_null = "''" },
  { name = "data", type = "json?", column = "data" },
  { name = "computed", type = "json?", column = "computed" },
  { name = "ratio", type = "float64?", column = "ratio" },
  { name = "amount", type = "text?", sql = "{amount}::text" },
]
"#;

#[tokio::test]
async fn cap_1_what_is_equal_and_looks_different_is_written_down() {
    let set = MappingSet::from_texts(&[("things.toml".into(), IMAGES.into())]).unwrap();
    let table = r#"CREATE EXTENSION IF NOT EXISTS citext;
        CREATE TABLE "Thing" ("tenancyId" uuid NOT NULL, "id" citext PRIMARY KEY, "name" citext, "data" jsonb, "source" jsonb, "ratio" float8, "amount" numeric,
          "computed" jsonb GENERATED ALWAYS AS ("source" -> 'x') STORED)"#;
    let fixture = Fixture::with(set, table).await;
    let tenancy = fixture.tenancy(1).await;
    fixture
        .execute(&format!(r#"INSERT INTO "Thing" VALUES ('{tenancy}', 'k', 'ada', '1.5', '{{"x": 1.5}}', 0.0, 1.5)"#))
        .await;
    for (set, count) in [
        ("\"name\" = 'Ada'", 1),
        ("\"id\" = 'K'", 2),
        ("\"data\" = '1.50'", 1),
        ("\"source\" = '{\"x\": 1.50}'", 1),
        ("\"ratio\" = '-0.0'", 1),
        ("\"amount\" = 1.50", 1),
        ("\"name\" = 'ada', \"data\" = '1.5', \"ratio\" = 0.0, \"amount\" = 1.5", 0),
    ] {
        let written = lines(&fixture, &format!(r#"UPDATE "Thing" SET {set}"#)).await;
        assert_eq!(of(&written, "things"), count, "{set}: {written:?}");
    }
    fixture.remove().await;
}

#[tokio::test]
async fn touch_writes_what_it_is_told() {
    let fixture = seeded().await;
    let one =
        r#"SELECT lockstep.touch('Team', "tenancyId", jsonb_build_object('teamId', "teamId")) FROM "Team" LIMIT 1"#;
    assert_eq!(lines(&fixture, one).await, BTreeMap::from([("teams".to_owned(), 1)]));
    let all = r#"SELECT lockstep.touch('ProjectUser', "id") FROM "Tenancy" LIMIT 1"#;
    assert_eq!(lines(&fixture, all).await, BTreeMap::from([("users.*".to_owned(), 1)]));
    for (call, code) in [("'Nothing', gen_random_uuid()", "LS-0021"), ("'Team', gen_random_uuid(), '{}'", "LS-0022")] {
        let error = fixture.client.batch_execute(&format!("SELECT lockstep.touch({call})")).await.unwrap_err();
        assert!(error.as_db_error().unwrap().message().starts_with(code), "{error:?}");
    }
    fixture.remove().await;
}
