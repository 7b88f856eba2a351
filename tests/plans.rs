//! Plans of derived statements do not depend on luck: on skewed data, with bloated indexes of the application's, in the
//! settings of the sessions that run them.

use anyhow::{Context, Result, ensure};
use lockstep_core::secret::SecretUrl;
use lockstep_core::{DestinationId, Location, SequenceId, TenancyId};
use lockstep_mappings::postgres::compare::{Key, Part, Scope, claims, own_rows, query, rows};
use lockstep_mappings::postgres::fetch::{PageLimits, ReadFrom, former_locations, page};
use lockstep_mappings::postgres::fill::{BlockRange, range};
use lockstep_mappings::postgres::{expand, explain, quarantine};
use lockstep_mappings::{Mapping, MappingSet};
use lockstep_schema::{Session, Source};
use serde_json::Value;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::stage::Stage;

/// What a look-up may read in vain, for one row that it finds.
const IN_VAIN: f64 = 5.0;
const SOURCE_TABLES: [&str; 5] = ["ProjectUser", "ContactChannel", "Team", "VerificationCode", "Tenancy"];

/// The statement that `COPY` runs.
fn inner(copy: &str) -> &str {
    copy.trim_start_matches("COPY (").trim_end_matches(") TO STDOUT (FORMAT binary)")
}

/// What is wrong with a plan that was run, if anything. A table that is read whole on purpose is `but`.
fn faults(plan: &Value, but: &str, found: &mut Vec<String>) {
    let number = |name: &str| plan[name].as_f64().unwrap_or_default();
    let relation = plan["Relation Name"].as_str().unwrap_or_default();
    if number("Actual Loops") > 0.0 {
        let kind = plan["Node Type"].as_str().unwrap_or_default();
        if kind == "Seq Scan" && SOURCE_TABLES.contains(&relation) && relation != but {
            found.push(format!("{relation} is read whole"));
        }
        for removed in ["Rows Removed by Filter", "Rows Removed by Join Filter", "Rows Removed by Index Recheck"] {
            // Expansions are taken some hundred at a time, whatever their targets.
            if number(removed) > IN_VAIN && ![but, "expansion"].contains(&relation) {
                found.push(format!(
                    "{kind} {relation}: {removed}: {} in each of {} loops",
                    number(removed),
                    number("Actual Loops")
                ));
            }
        }
    }
    for below in plan["Plans"].as_array().into_iter().flatten() {
        faults(below, but, found);
    }
}

async fn judge(client: &Client, what: &str, statement: &str, but: &str) -> Result<()> {
    client.batch_execute("BEGIN").await?;
    let explained = client.query_one(&format!("EXPLAIN (ANALYZE, FORMAT JSON) {statement}"), &[]).await;
    let explained = explained.with_context(|| format!("{what}: {statement}"))?;
    client.batch_execute("ROLLBACK").await?;
    let plan: Value = serde_json::from_str(&explained.try_get::<_, JsonText>(0)?.0)?;
    let mut found = Vec::new();
    faults(&plan[0]["Plan"], but, &mut found);
    ensure!(found.is_empty(), "{what}: {found:#?}\n{plan:#}");
    Ok(())
}

/// JSON as Postgres prints it.
struct JsonText(String);

impl<'a> tokio_postgres::types::FromSql<'a> for JsonText {
    fn from_sql(
        _: &tokio_postgres::types::Type,
        raw: &'a [u8],
    ) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(std::str::from_utf8(raw)?.to_owned()))
    }

    fn accepts(kind: &tokio_postgres::types::Type) -> bool {
        *kind == tokio_postgres::types::Type::JSON
    }
}

async fn id_of(stage: &Stage, name: &str) -> Result<Uuid> {
    Ok(stage.client.query_one("SELECT md5($1)::uuid", &[&name]).await?.try_get(0)?)
}

fn mapping<'a>(set: &'a MappingSet, name: &str) -> Result<&'a Mapping> {
    set.get(&name.parse()?).with_context(|| format!("there is no mapping {name}"))
}

#[tokio::test]
async fn plans_look_rows_up_by_key_whatever_the_data_and_the_indexes() -> Result<()> {
    let stage = Stage::before_capture().await?;
    stage.sql(include_str!("plans/skewed.sql")).await?;
    stage.sql("ANALYZE").await?;
    stage.migrate(&[]).await?;
    stage.sql(include_str!("plans/changes.sql")).await?;
    let set = MappingSet::built_in();
    let source = Source::new(&SecretUrl::new(stage.installation.database().url()), None)?;
    let (users, invitations) = (mapping(&set, "users")?, mapping(&set, "team_invitations")?);
    let mut work = Vec::new();
    for n in 0..300 {
        work.push(ReadFrom {
            tenancy: TenancyId::new(id_of(&stage, &format!("t{n}")).await?),
            after: SequenceId::new(10),
        });
    }
    let up_to: Vec<_> = work.iter().map(|work| (*work, SequenceId::new(5_000))).collect();

    let fetch = source.connect(Session::Fetch).await?;
    let limits = PageLimits { tenancy_rows: 1_000, total_rows: 10_000 };
    for mapping in [users, invitations] {
        let name = mapping.name.as_str();
        judge(&fetch, &format!("a page of {name}"), inner(&page(mapping, &work, limits)), "").await?;
        judge(&fetch, &format!("former places of {name}"), inner(&former_locations(mapping, &up_to)), "").await?;
    }
    let scan = source.connect(Session::Scan).await?;
    let blocks = BlockRange { first: 0, end: 64 };
    for mapping in [users, invitations] {
        // Many rows of many tenancies: reading all tenancies once may be the best way.
        let statement = range(mapping, blocks, SequenceId::new(1));
        judge(&scan, &format!("a range of {}", mapping.name), inner(&statement), "Tenancy").await?;
    }

    // As the sequencer's second connection sets it.
    let control = source.connect(Session::Control).await?;
    control.batch_execute("SET enable_seqscan = off; SET jit = off").await?;
    let ids = "SELECT quote_literal(array_agg(id)::text) || '::bigint[]' FROM lockstep.expansion";
    let ids: String = stage.client.query_one(ids, &[]).await?.try_get(0)?;
    for expansion in expand::statements(&set, 0) {
        let asked = stage
            .number(&format!("SELECT count(*) FROM lockstep.expansion WHERE target = {}", expansion.target))
            .await?;
        if asked > 0 {
            let what = format!("an expansion of {} to {}", expansion.target, expansion.mapping.name);
            judge(&control, &what, &expansion.sql.replace("$1", &ids), "").await?;
        }
    }

    let mut keys = Vec::new();
    for n in 1..=200 {
        let location = Location { project_id: "p".to_owned(), branch_id: "b0".to_owned() };
        keys.push(Key { location, values: vec![id_of(&stage, &format!("u{n}")).await?.to_string()] });
    }
    judge(&scan, "claims", &claims(users, &DestinationId::clickhouse(), &keys, &work), "").await?;

    of_quarantine(&stage, &source).await?;
    of_explaining(&stage, &source, &set).await?;
    stage.end([]).await
}

/// A user and an invitation of the largest tenancy, in the settings of `lockstep explain`.
async fn of_explaining(stage: &Stage, source: &Source, set: &MappingSet) -> Result<()> {
    let client = source.connect(Session::Control).await?;
    client.batch_execute("SET enable_seqscan = off").await?;
    let tenancy = TenancyId::new(id_of(stage, "t0").await?);
    for (name, row) in [("users", "u77"), ("team_invitations", "c77")] {
        let (mapping, key) = (mapping(set, name)?, [id_of(stage, row).await?.to_string()]);
        let location = Location { project_id: "p".to_owned(), branch_id: "b0".to_owned() };
        let keys = [Key { location, values: key.to_vec() }];
        let of_keys = Scope::Keys(&keys);
        for (what, statement, but) in [
            // Each tenancy is asked for the key.
            ("owners", explain::owners(mapping, &key, 21), "Tenancy"),
            ("named", explain::named(mapping, &key, 21), ""),
            ("is there", explain::is_there(mapping, tenancy, &key), ""),
            ("waiting", explain::waiting(mapping, tenancy, &key), ""),
            ("changes", explain::changes(mapping, tenancy, &key), ""),
            ("refused", explain::refused(mapping, tenancy, &key), ""),
            ("own row", query(&own_rows(mapping, tenancy, of_keys, Part::Without(&[]))).to_owned(), ""),
            ("row at its place", query(&rows(mapping, of_keys)).to_owned(), ""),
        ] {
            judge(&client, &format!("explaining {name}: {what}"), &statement, but).await?;
        }
    }
    Ok(())
}

async fn of_quarantine(stage: &Stage, source: &Source) -> Result<()> {
    let control = source.connect(Session::Control).await?;
    control
        .batch_execute(&format!(
            "PREPARE keep AS {}; PREPARE forget AS {}",
            quarantine::record(),
            quarantine::forget_superseded()
        ))
        .await?;
    let target = stage.number("SELECT id::bigint FROM lockstep.target WHERE name = 'users'").await?;
    let keep = format!(
        "EXECUTE keep('clickhouse', ARRAY['users', 'users'], ARRAY[md5('t0')::uuid, md5('t1')::uuid], ARRAY[77, 78]::bigint[], ARRAY['c', 'c'], ARRAY['e', 'e'], 1000, ARRAY[{target}, {target}])"
    );
    judge(&control, "keeping refused rows", &keep, "").await?;
    let forget = format!(
        "EXECUTE forget('clickhouse', ARRAY['users'], ARRAY[{target}], ARRAY[md5('t0')::uuid], ARRAY[5000]::bigint[])"
    );
    judge(&control, "forgetting them", &forget, "").await
}
