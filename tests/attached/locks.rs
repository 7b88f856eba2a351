//! A table that somebody else holds is asked for in short attempts, so that nobody queues up behind; the last one says who has it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lockstep_mappings::MappingSet;
use lockstep_schema::Source;
use lockstep_schema::attach::{self, ApplyEvent, Applying, Wishes};

use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn attached_a_table_that_is_held_lets_nobody_queue_up_and_its_holder_is_named() -> Result<()> {
    let stage = Stage::empty().await?;
    let source = Source::new(&stage.installation.settings().source_url, None)?;
    let set = MappingSet::built_in();
    stage.sql(r#"DROP TRIGGER lockstep_teams_deleted ON "Team""#).await?;
    let live = attach::inspect(&source, &set).await?;
    let steps = attach::plan(&set, &live, &Wishes::default()).ok().context("a plan")?;
    let holder = stage.connect().await?;
    holder
        .batch_execute(r#"SET application_name = 'an import'; BEGIN; LOCK TABLE "Team" IN ROW EXCLUSIVE MODE"#)
        .await?;
    let process: i32 = holder.query_one("SELECT pg_backend_pid()", &[]).await?.get(0);

    let mut applying = Applying::begin(&source).await?.with_attempts(4);
    let steps: Vec<_> = steps.iter().collect();
    let mut busy = 0;
    let tell = |event: ApplyEvent<'_>| busy += u32::from(matches!(event, ApplyEvent::LockBusy(..)));
    let migrating = applying.run(&steps, tell);
    // Whoever reads or writes the table meanwhile waits for one attempt at most.
    let using = async {
        let mut longest = Duration::ZERO;
        for _ in 0..40 {
            let began = Instant::now();
            stage.sql(r#"UPDATE "Team" SET "displayName" = "displayName" WHERE FALSE"#).await?;
            longest = longest.max(began.elapsed());
        }
        anyhow::Ok(longest)
    };
    let (outcome, longest) = tokio::join!(migrating, using);
    let said = outcome.err().context("it got a table that is held")?.to_string();
    let named = format!("process {process} (\"an import\")");
    ensure!(said.starts_with("LS-0026") && said.contains(&named), "{said}");
    assert_eq!(busy, 3, "attempts that were told");
    ensure!(longest? < Duration::from_secs(2), "somebody queued up");
    holder.batch_execute("COMMIT").await?;
    applying.run(&steps, |_| {}).await?;
    stage.end([]).await
}
