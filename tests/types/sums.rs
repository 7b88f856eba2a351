//! Both sides come to the same sums of hashes, so that what is equal is never looked at row by row.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result};
use lockstep_core::settings::MappingSources;
use lockstep_destinations::compare::{Compare, Group, Totals};
use lockstep_mappings::MappingSet;
use lockstep_mappings::clickhouse::Measure;
use lockstep_mappings::postgres::compare::{Grouping, Part, Scope, content};
use lockstep_mappings::row_hash::HashSeed;

use crate::stage::Stage;

/// Expects equal sums in each bucket of keys, and more than one of them.
pub(crate) async fn agree(stage: &Stage, definitions: &Path) -> Result<()> {
    let set =
        MappingSet::load(&MappingSources { directory: Some(definitions.to_owned()), ..MappingSources::default() })?;
    let mapping = set.iter().find(|mapping| mapping.name.as_str() == "everything").context("the mapping")?;
    let seed = HashSeed(rand::random());
    let sql = content(mapping, Scope::All, Part::Without(&[]), seed, Grouping::Bucket);
    let mut source = HashMap::new();
    // Not on the stage's own session, which prints values in other styles.
    for row in stage.connect().await?.query(&sql, &[]).await? {
        let location = lockstep_core::Location { project_id: row.get(0), branch_id: row.get(1) };
        let group = Group { location, bucket: u8::try_from(row.get::<_, i32>(2))? };
        let totals = Totals { rows: u64::try_from(row.get::<_, i64>(3))?, sum: row.get::<_, String>(4).parse()? };
        source.insert(group, totals);
    }
    let clickhouse = stage.installation.clickhouse()?;
    let there = clickhouse.totals(mapping, Scope::All, Measure::Content(seed), Grouping::Bucket).await?;
    assert_eq!(there, source);
    assert!(there.len() > 1, "one bucket");
    Ok(())
}
