//! DEST-1: a tenant's database that is down, hangs, is slow, read-only or full is that tenant's matter; it is tried again by
//! itself, and catches up.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lockstep_testkit::proxy::Mode;

use super::hostile_server::{HostileServer, Manner};
use super::scene::Scene;

#[tokio::test]
async fn dest_1_a_database_that_is_down_catches_up_when_it_is_back() -> Result<()> {
    let mut scene = Scene::begin().await?;
    scene.troubled.database.proxy().set(Mode::Cut);
    scene.until_failing("LS-0201").await?;
    scene.troubled.database.proxy().set(Mode::Pass);
    scene.until_recovered().await?;
    // Every session ends, as with a server that is started again: the next one is opened at once.
    scene.troubled.database.end_sessions().await?;
    scene.edit().await?;
    scene.until_recovered().await?;
    scene.end().await
}

/// It accepts connections, keeps those that there are, and never says anything.
#[tokio::test]
async fn dest_1_a_database_that_hangs_is_given_up_and_catches_up() -> Result<()> {
    let mut scene = Scene::begin().await?;
    scene.troubled.database.proxy().set(Mode::HalfOpen);
    scene.until_failing("LS-0201").await?;
    scene.others_go_on().await?;
    scene.troubled.database.proxy().set(Mode::Pass);
    scene.until_recovered().await?;
    scene.end().await
}

/// What was asked is done, and the answer never comes: the page is there, and is not written twice.
#[tokio::test]
async fn dest_1_answers_that_are_lost_leave_nothing_half_done() -> Result<()> {
    let mut scene = Scene::begin().await?;
    scene.troubled.database.proxy().set(Mode::DropResponse);
    scene.until_failing("LS-0201").await?;
    scene.troubled.database.proxy().set(Mode::Pass);
    for bytes in [400, 700, 1_500, 3_000] {
        scene.troubled.database.proxy().set(Mode::CutAnswerOnce { after_bytes: bytes });
        scene.edit().await?;
        scene.until_recovered().await?;
    }
    scene.end().await
}

/// Slow is no failure: it is in step later than the others, and nobody waits for it.
#[tokio::test]
async fn dest_1_a_database_that_is_slow_is_in_step_after_the_others() -> Result<()> {
    let mut scene = Scene::begin().await?;
    scene.troubled.database.proxy().set(Mode::Delay(Duration::from_millis(150)));
    scene.edit().await?;
    scene.stage.until_equal(&[&scene.healthy]).await?;
    ensure!(!scene.stage.judged(&scene.troubled).await?.equal(), "what is slow was waited for");
    scene.stage.all_equal(&[&scene.troubled, &scene.healthy]).await?;
    let failures =
        format!("SELECT failures::bigint FROM lockstep.tenant_destination WHERE id = '{}'", scene.troubled.id);
    ensure!(scene.stage.number(&failures).await? == 0, "slow is no failure");
    scene.troubled.database.proxy().set(Mode::Pass);
    scene.end().await
}

#[tokio::test]
async fn dest_1_a_database_that_takes_no_writes_catches_up_when_it_does() -> Result<()> {
    let mut scene = Scene::begin().await?;
    let name = scene.troubled.database.name().to_owned();
    let read_only = format!("ALTER DATABASE {name} SET default_transaction_read_only");
    scene.troubled.sql(&format!("{read_only} = on")).await?;
    scene.troubled.database.end_sessions().await?;
    scene.until_failing("LS-0201").await?;
    scene
        .troubled
        .sql(&format!(
            "SET default_transaction_read_only = off; ALTER DATABASE {name} RESET default_transaction_read_only"
        ))
        .await?;
    scene.troubled.database.end_sessions().await?;
    scene.until_recovered().await?;
    scene.end().await
}

/// The code that a full disk has is nothing that a row could be blamed for.
#[tokio::test]
async fn dest_1_a_database_that_is_full_sets_no_row_aside() -> Result<()> {
    let mut scene = Scene::begin().await?;
    scene
        .troubled
        .sql(
            "CREATE FUNCTION at_its_limit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no space left on device' USING ERRCODE = '53100'; END $$;
             CREATE TRIGGER at_its_limit BEFORE INSERT OR UPDATE ON users FOR EACH ROW EXECUTE FUNCTION at_its_limit()",
        )
        .await?;
    scene.until_failing("LS-0202").await?;
    ensure!(scene.stage.number("SELECT count(*) FROM lockstep.quarantine").await? == 0, "rows were blamed");
    scene.troubled.sql("DROP TRIGGER at_its_limit ON users").await?;
    scene.until_recovered().await?;
    scene.end().await
}

#[tokio::test]
async fn dest_1_a_right_that_is_missing_stops_the_destination_until_it_is_given() -> Result<()> {
    let mut scene = Scene::begin().await?;
    let role = scene.troubled.database.role().to_owned();
    scene.troubled.sql(&format!("ALTER TABLE users OWNER TO CURRENT_USER; REVOKE ALL ON users FROM {role}")).await?;
    scene.others_go_on().await?;
    let noticed = "failures > 0 AND error_code = 'LS-0204' OR EXISTS (SELECT FROM lockstep.tenant_mapping m WHERE m.destination_id = d.id AND m.state = 'stopped')";
    scene.stage.until_registered(&scene.troubled, "the missing right to be noticed", noticed).await?;
    ensure!(!scene.stage.judged(&scene.troubled).await?.equal(), "it was written without a right");
    scene.others_go_on().await?;
    scene.troubled.sql(&format!("ALTER TABLE users OWNER TO {role}")).await?;
    scene.edit().await?;
    scene.until_recovered().await?;
    scene.end().await
}

#[tokio::test]
async fn dest_1_a_server_that_drips_or_hangs_up_is_its_tenants_trouble() -> Result<()> {
    means_ill(&[Manner::Drips, Manner::HangsUp]).await
}

#[tokio::test]
async fn dest_1_a_server_that_sends_without_end_is_its_tenants_trouble() -> Result<()> {
    means_ill(&[Manner::SendsNotices, Manner::SendsAnEndlessError]).await
}

#[tokio::test]
async fn dest_1_a_server_that_is_no_postgresql_is_its_tenants_trouble() -> Result<()> {
    means_ill(&[Manner::SpeaksAnotherProtocol, Manner::LiesAboutLengths]).await
}

/// Whatever a tenant has put in the place of a PostgreSQL: it fails, holds nobody up, and none of what it says is repeated.
async fn means_ill(manners: &[Manner]) -> Result<()> {
    let mut scene = Scene::begin().await?;
    for manner in manners {
        let server = HostileServer::start(*manner).await?;
        let before = scene.troubled.database.proxy().lead_to(&server.address);
        scene.others_go_on().await?;
        let failing = "failures > 0 AND retry_at IS NOT NULL AND error_code LIKE 'LS-02%' AND length(error) < 500 AND error NOT LIKE '%xxx%'";
        let failed = scene.stage.until_registered(&scene.troubled, "it to fail", failing).await;
        failed.with_context(|| format!("{manner:?}"))?;
        scene.others_go_on().await?;
        scene.troubled.database.proxy().lead_to(&before);
        scene.until_recovered().await.with_context(|| format!("after {manner:?}"))?;
    }
    ensure!(!scene.stage.installation.said()?.contains("xxx"), "what a server has said is repeated");
    scene.end().await
}
