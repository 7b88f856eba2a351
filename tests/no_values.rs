//! What a row holds comes into no log, no error, no table of Lockstep's and no report, whatever Postgres says about it.

use anyhow::{Context, Result, ensure};
use lockstep_testkit::databases::SOURCE_SCHEMA;

use crate::custom_mapping::Definitions;
use crate::stage::Stage;

/// It stands in every row that something is wrong with.
const CANARY: &str = "hunter2canary";

const DEFINITION: &str = r#"
name = "papers"
table = "Paper"
tenant = { column = "tenancyId" }
key = ["id"]
[[columns]]
name = "id"
type = "uuid"
column = "id"
[[columns]]
name = "pages"
type = "int64"
sql = "public.pages({kind}, {title})"
when_null = "0"
"#;

/// Every way in which a message of Postgres quotes a value: the server's own, and whatever a function of the platform's says.
const SOURCE: &str = r#"
CREATE FUNCTION public.pages(kind text, title text) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF kind = 'raised' THEN RAISE EXCEPTION 'no pages in %', title USING DETAIL = title, HINT = title; END IF;
    IF kind = 'raised with a code' THEN RAISE EXCEPTION 'no pages in %', title USING ERRCODE = 'UQ001'; END IF;
    IF kind = 'raised as a check' THEN RAISE EXCEPTION 'no pages in %', title USING ERRCODE = '23514'; END IF;
    IF kind = 'cast' THEN RETURN title::bigint; END IF;
    IF kind = 'date' THEN RETURN extract(year FROM title::date); END IF;
    IF kind = 'json' THEN RETURN title::jsonb ->> 'pages'; END IF;
    IF kind = 'notice' THEN RAISE WARNING 'looking at %', title; RAISE NOTICE 'looking at %', title; END IF;
    RETURN 1;
END
$$;
CREATE TABLE "Paper" ("tenancyId" uuid NOT NULL, "id" uuid NOT NULL, "kind" text NOT NULL, "title" text NOT NULL, PRIMARY KEY ("tenancyId", "id"));
"#;

const KINDS: [&str; 7] = ["raised", "raised with a code", "raised as a check", "cast", "date", "json", "notice"];

async fn papers(stage: &Stage, round: &str) -> Result<()> {
    for kind in KINDS {
        stage
            .sql(&format!(
                r#"INSERT INTO "Paper" VALUES (id('engines'), id('{round} {kind}'), '{kind}', '{{"{CANARY}": {CANARY}'), (id('compilers'), id('{round} sound {kind}'), '', 'sound')"#
            ))
            .await?;
    }
    Ok(())
}

#[tokio::test]
async fn no_values_of_rows_are_told_anywhere() -> Result<()> {
    let definitions = Definitions::new(&[("papers.toml", DEFINITION)])?;
    let stage = definitions.stage().await?;
    for sql in [SOURCE_SCHEMA, include_str!("world.sql"), SOURCE] {
        stage.sql(sql).await?;
    }
    papers(&stage, "base").await?;
    stage.migrate(&[]).await?;
    let logging = [("LOCKSTEP_LOG", "debug")];
    let programs = [stage.start_with("lockstep-sequencer", &logging)?, stage.start_with("lockstep-worker", &logging)?];
    papers(&stage, "stream").await?;
    let refused = i64::try_from((KINDS.len() - 1) * 2)?;
    stage.until("all of them to be set aside", "SELECT count(*) FROM lockstep.quarantine", refused).await?;
    let sound = (KINDS.len() * 2 + 2).to_string();
    stage.until_seen("all others", "SELECT count() FROM {views}.papers", &sound).await?;
    let mut told = Vec::new();
    for arguments in [
        &["quarantine", "list", "--output", "json"][..],
        &["quarantine", "list"],
        &["status", "--output", "json"],
        &["doctor", "--output", "json"],
        &["wait", "--all", "--timeout", "30", "--output", "json"],
    ] {
        told.push((arguments.join(" "), stage.installation.run("lockstep", arguments).await?));
    }
    for arguments in [&[][..], &["--output", "json"]] {
        told.push((format!("verifier {}", arguments.join(" ")), stage.verifier(arguments).await?));
    }
    for (what, finished) in &told {
        ensure!(!finished.stdout.contains(CANARY), "{what} tells a value: {}", finished.stdout);
        ensure!(!finished.stderr.contains(CANARY), "{what} tells a value: {}", finished.stderr);
    }
    let listed = &told[0].1.stdout;
    ensure!(listed.contains("SQLSTATE UQ001") && listed.contains("SQLSTATE 22P02"), "{listed}");
    for program in &programs {
        let logged = program.logged()?;
        let line = logged.lines().find(|line| line.contains(CANARY));
        ensure!(line.is_none(), "{}: {}", program.log().display(), line.context("a line")?);
        ensure!(logged.contains("DEBUG"), "nothing much is logged");
    }
    let kept = "SELECT (SELECT count(*) FROM lockstep.quarantine q WHERE q::text LIKE '%hunter2canary%')
        + (SELECT count(*) FROM lockstep.task t WHERE t::text LIKE '%hunter2canary%')";
    assert_eq!(stage.number(kept).await?, 0);
    stage.end(programs).await
}
