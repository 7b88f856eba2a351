//! What the application's role needs, and what it gains: nothing.

use anyhow::{Context, Result, ensure};

use super::{WAYS, ways};
use crate::stage::Stage;

/// Roles are of the whole server.
fn role_of(stage: &Stage, name: &str) -> String {
    format!("{}_{name}", stage.installation.database().name())
}

async fn created(stage: &Stage, name: &str) -> Result<String> {
    let role = role_of(stage, name);
    let create = format!(
        "CREATE ROLE {role}; GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA public TO {role}"
    );
    stage.sql(&create).await?;
    Ok(role)
}

async fn dropped(stage: &Stage, role: &str) -> Result<()> {
    stage.sql(&format!("RESET ROLE; DROP OWNED BY {role} CASCADE; DROP ROLE {role}")).await
}

#[tokio::test]
async fn app_1_a_role_without_rights_in_our_schema_writes_in_every_way() -> Result<()> {
    let stage = Stage::small().await?;
    let role = created(&stage, "application").await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    let application = stage.connect().await?;
    application.batch_execute(&format!("SET ROLE {role}")).await?;
    ensure!(application.batch_execute("SELECT * FROM lockstep.inbox").await.is_err(), "it may read the inbox");
    ensure!(application.batch_execute("SELECT lockstep.touch('Team', NULL)").await.is_err(), "it may touch");
    for way in ways(&stage).await? {
        application.batch_execute(way).await.with_context(|| way.to_owned())?;
        stage.equal().await.with_context(|| way.to_owned())?;
    }
    drop(application);
    dropped(&stage, &role).await?;
    stage.end(programs).await
}

/// Functions and operators that fit our calls better than those of `pg_catalog`, or as well.
const TRAPS: &str = r#"
CREATE TABLE public.trapped (what text, who name DEFAULT current_user, as_application text DEFAULT current_setting('application_name'));
GRANT INSERT ON public.trapped TO PUBLIC;
DO $$ DECLARE f text; arguments text; result text; operator text; BEGIN
    FOR f, arguments, result IN VALUES ('txid_current', '', 'bigint'), ('current_setting', 'text', 'text'), ('md5', 'text', 'text'), ('lower', 'text', 'text'),
        ('replace', 'text, text, text', 'text'), ('jsonb_typeof', 'jsonb', 'text'), ('txid_current_snapshot', '', 'txid_snapshot'), ('pg_current_snapshot', '', 'pg_snapshot'),
        ('to_regclass', 'text', 'regclass'), ('unnest', 'uuid[]', 'uuid'), ('clock_timestamp', '', 'timestamptz'), ('jsonb_build_object', 'text, uuid, text, uuid', 'jsonb'),
        ('format', 'text, bigint, bigint, bigint', 'text'), ('row_security_active', 'oid', 'boolean'), ('greatest', 'bigint, bigint', 'bigint'), ('floor', 'numeric', 'numeric') LOOP
        EXECUTE format('CREATE FUNCTION public.%I(%s) RETURNS %s LANGUAGE plpgsql AS %L', f, arguments, result, format('BEGIN INSERT INTO public.trapped VALUES (%L); RETURN NULL; END', f));
    END LOOP;
    FOR arguments IN VALUES ('uuid'), ('text'), ('bigint'), ('boolean'), ('jsonb'), ('"ContactChannelType"'), ('"BooleanTrue"'), ('"VerificationCodeType"'), ('"EmailOutboxStatus"'), ('record') LOOP
        FOREACH operator IN ARRAY ARRAY['=', '<>', '*<>', '<', '>', '||', '&'] LOOP
            EXECUTE format('CREATE FUNCTION public.%I(%s, %2$s) RETURNS boolean LANGUAGE plpgsql AS %L', 'op ' || operator || arguments, arguments,
                format('BEGIN INSERT INTO public.trapped VALUES (%L); RETURN FALSE; END', operator || arguments));
            EXECUTE format('CREATE OPERATOR public.%s (LEFTARG = %s, RIGHTARG = %2$s, FUNCTION = public.%I)', operator, arguments, 'op ' || operator || arguments);
        END LOOP;
    END LOOP;
END $$"#;

#[tokio::test]
async fn app_1_a_role_with_create_on_public_gains_nothing() -> Result<()> {
    let stage = Stage::before_capture().await?;
    stage.sql(include_str!("../world.sql")).await?;
    let role = created(&stage, "attacker").await?;
    stage.sql(&format!("GRANT USAGE, CREATE ON SCHEMA public TO {role}")).await?;
    let attacker = stage.connect().await?;
    attacker.batch_execute(&format!("SET application_name = 'the application'; SET ROLE {role}")).await?;
    attacker.batch_execute(TRAPS).await?;
    stage.migrate(&[]).await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.in_step().await?;
    for way in WAYS.split("\n\n").filter(|way| !way.contains("MERGE") && !way.contains("WITH gone")) {
        attacker.batch_execute(way).await.with_context(|| way.to_owned())?;
    }
    // What it made is found before anything of pg_catalog.
    attacker.batch_execute("SET search_path = public, pg_catalog").await?;
    for write in [
        r#"UPDATE "ProjectUser" SET "displayName" = 'on another path'"#,
        r#"UPDATE "VerificationCode" SET "expiresAt" = '2030-01-01'"#,
        r#"INSERT INTO "Team" SELECT * FROM "Team" ON CONFLICT DO NOTHING"#,
        r#"DELETE FROM "TeamMember""#,
    ] {
        attacker.batch_execute(write).await.context(write)?;
    }
    stage.in_step().await?;
    stage.installation.succeed("lockstep", &["resync", "--mapping", "users"]).await?;
    stage.in_step().await?;
    for arguments in [&["status"][..], &["migrate", "--relax"], &["migrate"]] {
        stage.installation.succeed("lockstep", arguments).await?;
    }
    stage.installation.run("lockstep", &["doctor"]).await?;
    let ours = format!(
        "SELECT count(*) FROM trapped WHERE as_application LIKE 'lockstep%' OR as_application = 'the application' AND who <> '{role}'"
    );
    let sprung = stage.number(&ours).await?;
    let what = "SELECT string_agg(DISTINCT what || ' as ' || who || ' in ' || as_application, ', ') FROM trapped";
    let what: Option<String> = stage.client.query_one(what, &[]).await?.try_get(0)?;
    assert_eq!(sprung, 0, "{what:?}");
    // Nor does anybody else become somebody by what it made.
    drop(attacker);
    dropped(&stage, &role).await?;
    stage.equal().await?;
    stage.end(programs).await
}
