//! What the verifier has proven, and what it has found (`lockstep.verification`, `verified`, `verified_except`, `finding`).
//!
//! SQL as text: rows are written from arrays that are unnested side by side, in one transaction.

pub mod latest;

use std::time::Duration;

use lockstep_core::SequenceId;
use serde::Serialize;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::error::SourceError;

/// Runs that are kept.
const KEPT_RUNS: i64 = 1000;

/// A run, as it is written down.
#[derive(Debug)]
pub struct Run {
    /// `versions`, `content` or `rows`.
    pub level: &'static str,
    /// How long ago it began, in seconds.
    pub began_ago_s: f64,
    /// What was asked for.
    pub scope: serde_json::Value,
    /// In one word.
    pub verdict: String,
    /// By destination and mapping.
    pub counts: serde_json::Value,
    /// Of each mapping of each destination that was compared.
    pub compared: Vec<Compared>,
}

/// What a run came to for one mapping of one destination.
#[derive(Debug)]
pub struct Compared {
    /// Where.
    pub destination: String,
    /// Which.
    pub mapping: String,
    /// Whether all places were looked at: then it takes the place of what was proven before.
    pub is_whole: bool,
    /// What is equal but for `except`.
    pub ranges: Vec<Range>,
    /// Places of which nothing is said.
    pub except: Vec<(String, String)>,
    /// Rows that differ.
    pub findings: Vec<Found>,
    /// Whether what was found before in what is equal now is resolved: the level sees whatever can differ.
    pub is_complete: bool,
}

/// What was looked at in one snapshot.
#[derive(Clone, Debug)]
pub struct Range {
    /// The first project.
    pub first: String,
    /// The first project behind it; none where it has no end.
    pub end: Option<String>,
    /// The branch, where it is one place: that of `first`.
    pub branch: Option<String>,
    /// The last number that the snapshot knew.
    pub through: SequenceId,
    /// When that was given out, in UTC.
    pub at: String,
}

/// A row that differs.
#[derive(Clone, Debug)]
pub struct Found {
    /// Where it is.
    pub project: String,
    /// Where it is.
    pub branch: String,
    /// Its key, as it may be shown.
    pub key: serde_json::Value,
    /// Whose it is, where that is known.
    pub tenancy: Option<Uuid>,
    /// How it came to.
    pub class: &'static str,
    /// Which columns differ.
    pub columns: Vec<String>,
}

const TABLES: &str = "SELECT has_table_privilege(to_regclass(t.name), 'INSERT, UPDATE, DELETE')
FROM unnest('{lockstep.verification,lockstep.verified,lockstep.verified_except,lockstep.finding}'::text[]) t(name)";

const BEGIN_RUN: &str = "INSERT INTO lockstep.verification (level, started_at, scope, verdict, counts)
VALUES ($1, clock_timestamp() - make_interval(secs => $2), $3, $4, $5) RETURNING id";

/// What was proven before of places of which this run says nothing stays proven: `$1` run, `$2` destination, `$3` mapping, `$4`
/// level, `$5` projects, `$6` branches.
const KEEP_BEFORE: &str = "INSERT INTO lockstep.verified (verification_id, destination, mapping_name, level, first_project, branch_id, through, through_at)
SELECT b.verification_id, $2, $3, $4, b.project, b.branch, b.through, b.through_at FROM (
SELECT DISTINCT ON (e.project, e.branch) e.project, e.branch, v.*
FROM unnest($5::text[], $6::text[]) e(project, branch)
JOIN lockstep.verified v ON v.destination = $2 AND v.mapping_name = $3 AND v.level = $4 AND v.verification_id < $1
  AND CASE WHEN v.branch_id IS NULL
    THEN e.project COLLATE \"C\" >= v.first_project AND (v.end_project IS NULL OR e.project COLLATE \"C\" < v.end_project)
      AND NOT EXISTS (SELECT 1 FROM lockstep.verified_except x WHERE x.verification_id = v.verification_id AND x.destination = $2
        AND x.mapping_name = $3 AND x.project_id = e.project AND x.branch_id = e.branch)
    ELSE v.first_project = e.project AND v.branch_id = e.branch END
ORDER BY e.project, e.branch, v.through DESC) b WHERE b.branch_id IS NULL";

/// Forgets what was proven before: all of it, but for the places `$5` and `$6`, which hold what was kept of it.
const FORGET_ALL: &str = "DELETE FROM lockstep.verified v WHERE v.destination = $2 AND v.mapping_name = $3 AND v.level = $4 AND v.verification_id < $1
  AND NOT COALESCE((v.first_project, v.branch_id) IN (SELECT * FROM unnest($5::text[], $6::text[])), FALSE)";

/// Forgets what was proven before of the places `$5` and `$6`.
const FORGET_PLACES: &str = "DELETE FROM lockstep.verified v WHERE v.destination = $2 AND v.mapping_name = $3 AND v.level = $4 AND v.verification_id < $1
  AND (v.first_project, v.branch_id) IN (SELECT * FROM unnest($5::text[], $6::text[]))";

/// Forgets what was proven before of ranges that lie within those from `$5` to `$6` of which `$7` names no branch.
const FORGET_RANGES: &str = "DELETE FROM lockstep.verified v USING unnest($5::text[], $6::text[], $7::text[]) r(first, behind, branch)
WHERE v.destination = $2 AND v.mapping_name = $3 AND v.level = $4 AND v.verification_id < $1 AND v.branch_id IS NULL AND r.branch IS NULL
  AND v.first_project >= r.first COLLATE \"C\" AND (r.behind IS NULL OR v.end_project <= r.behind COLLATE \"C\")";

/// What was proven before of ranges that overlap those from `$5` to `$6` keeps the part that these do not have.
const TRIM_RANGES: [&str; 2] = [
    "UPDATE lockstep.verified v SET end_project = r.first FROM unnest($5::text[], $6::text[], $7::text[]) r(first, behind, branch)
WHERE v.destination = $2 AND v.mapping_name = $3 AND v.level = $4 AND v.verification_id < $1 AND v.branch_id IS NULL AND r.branch IS NULL
  AND v.first_project < r.first COLLATE \"C\" AND (v.end_project IS NULL OR v.end_project > r.first COLLATE \"C\")
  AND (r.behind IS NULL OR v.end_project <= r.behind COLLATE \"C\")",
    "UPDATE lockstep.verified v SET first_project = r.behind FROM unnest($5::text[], $6::text[], $7::text[]) r(first, behind, branch)
WHERE v.destination = $2 AND v.mapping_name = $3 AND v.level = $4 AND v.verification_id < $1 AND v.branch_id IS NULL AND r.branch IS NULL
  AND r.behind IS NOT NULL AND v.first_project >= r.first COLLATE \"C\" AND v.first_project < r.behind COLLATE \"C\"
  AND (v.end_project IS NULL OR v.end_project > r.behind COLLATE \"C\")",
];

const ADD_RANGES: &str = "INSERT INTO lockstep.verified (verification_id, destination, mapping_name, level, first_project, end_project, branch_id, through, through_at)
SELECT $1, $2, $3, $4, r.first, r.behind, r.branch, r.through, r.at::timestamp AT TIME ZONE 'UTC'
FROM unnest($5::text[], $6::text[], $7::text[], $8::bigint[], $9::text[]) r(first, behind, branch, through, at)";

const ADD_EXCEPT: &str =
    "INSERT INTO lockstep.verified_except (verification_id, destination, mapping_name, project_id, branch_id)
SELECT DISTINCT $1::bigint, $2, $3, e.project, e.branch FROM unnest($4::text[], $5::text[]) e(project, branch)";

const ADD_FINDING: &str = "INSERT INTO lockstep.finding AS f (verification_id, destination, mapping_name, project_id, branch_id, key, tenancy_id, class, columns)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (destination, mapping_name, project_id, branch_id, key) WHERE resolved_at IS NULL
DO UPDATE SET verification_id = EXCLUDED.verification_id, last_seen_at = clock_timestamp(), class = EXCLUDED.class, columns = EXCLUDED.columns";

/// Findings that a run has not seen again within the ranges from `$4` to `$5`, or at the places of which `$6` names the branch, and not at the
/// places `$7` and `$8`, of which it says nothing.
const RESOLVE: &str = "UPDATE lockstep.finding f SET resolved_at = clock_timestamp()
WHERE f.destination = $2 AND f.mapping_name = $3 AND f.verification_id < $1 AND f.resolved_at IS NULL
  AND EXISTS (SELECT 1 FROM unnest($4::text[], $5::text[], $6::text[]) r(first, behind, branch) WHERE CASE WHEN r.branch IS NULL
    THEN f.project_id COLLATE \"C\" >= r.first AND (r.behind IS NULL OR f.project_id COLLATE \"C\" < r.behind)
    ELSE f.project_id = r.first AND f.branch_id = r.branch END)
  AND NOT EXISTS (SELECT 1 FROM unnest($7::text[], $8::text[]) e(project, branch) WHERE e.project = f.project_id AND e.branch = f.branch_id)";

const TIDY_RUNS: [&str; 2] = [
    "DELETE FROM lockstep.verification v WHERE v.id <= $1 AND NOT EXISTS (SELECT 1 FROM lockstep.verified d WHERE d.verification_id = v.id)",
    "DELETE FROM lockstep.verified_except x WHERE x.verification_id <= $1
       AND NOT EXISTS (SELECT 1 FROM lockstep.verified d WHERE d.verification_id = x.verification_id AND d.branch_id IS NULL)",
];

const TIDY_FINDINGS: &str = "DELETE FROM lockstep.finding WHERE resolved_at < clock_timestamp() - interval '90 days'";

/// Whether the role of a connection may write down what was found.
///
/// # Errors
/// Postgres cannot be asked.
pub async fn may_record(client: &Client) -> Result<bool, SourceError> {
    let rows = client.query(TABLES, &[]).await?;
    Ok(rows.iter().all(|row| row.get::<_, Option<bool>>(0) == Some(true)))
}

/// Writes a run down, and returns its number.
///
/// # Errors
/// Postgres refused it; then nothing is written.
pub async fn record(client: &mut Client, run: &Run) -> Result<i64, SourceError> {
    let transaction = client.transaction().await?;
    let first = transaction
        .query_one(BEGIN_RUN, &[&run.level, &run.began_ago_s, &run.scope, &run.verdict, &run.counts])
        .await?;
    let id: i64 = first.get(0);
    for compared in &run.compared {
        compared.record(&transaction, id, run.level).await?;
    }
    for tidy in TIDY_RUNS {
        transaction.execute(tidy, &[&(id - KEPT_RUNS)]).await?;
    }
    transaction.execute(TIDY_FINDINGS, &[]).await?;
    transaction.commit().await?;
    Ok(id)
}

impl Compared {
    async fn record(
        &self,
        transaction: &tokio_postgres::Transaction<'_>,
        id: i64,
        level: &str,
    ) -> Result<(), SourceError> {
        let Self { destination, mapping, .. } = self;
        let (projects, branches): (Vec<_>, Vec<_>) = self.except.iter().cloned().unzip();
        let by_ranges = self.is_whole || self.ranges.iter().any(|range| range.branch.is_none());
        if by_ranges {
            transaction.execute(KEEP_BEFORE, &[&id, destination, mapping, &level, &projects, &branches]).await?;
        }
        // A run that proves nothing takes nothing away.
        if self.is_whole && !self.ranges.is_empty() {
            transaction.execute(FORGET_ALL, &[&id, destination, mapping, &level, &projects, &branches]).await?;
        }
        let of = |part: fn(&Range) -> Option<String>| self.ranges.iter().map(part).collect::<Vec<_>>();
        let (firsts, ends) = (of(|range| Some(range.first.clone())), of(|range| range.end.clone()));
        let (places, ats) = (of(|range| range.branch.clone()), of(|range| Some(range.at.clone())));
        let throughs: Vec<_> = self.ranges.iter().map(|range| range.through.get()).collect();
        if !self.is_whole {
            transaction.execute(FORGET_PLACES, &[&id, destination, mapping, &level, &firsts, &places]).await?;
            for forget in [FORGET_RANGES, TRIM_RANGES[0], TRIM_RANGES[1]] {
                transaction.execute(forget, &[&id, destination, mapping, &level, &firsts, &ends, &places]).await?;
            }
        }
        let ranges: [&(dyn tokio_postgres::types::ToSql + Sync); 9] =
            [&id, destination, mapping, &level, &firsts, &ends, &places, &throughs, &ats];
        transaction.execute(ADD_RANGES, &ranges).await?;
        transaction.execute(ADD_EXCEPT, &[&id, destination, mapping, &projects, &branches]).await?;
        for found in &self.findings {
            let Found { project, branch, key, tenancy, class, columns } = found;
            let values: [&(dyn tokio_postgres::types::ToSql + Sync); 9] =
                [&id, destination, mapping, project, branch, key, tenancy, class, columns];
            transaction.execute(ADD_FINDING, &values).await?;
        }
        if self.is_complete {
            let values: [&(dyn tokio_postgres::types::ToSql + Sync); 8] =
                [&id, destination, mapping, &firsts, &ends, &places, &projects, &branches];
            transaction.execute(RESOLVE, &values).await?;
        }
        Ok(())
    }
}

/// Through which number a mapping is proven for a tenancy.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct Proven {
    /// `clickhouse`, or the id of a tenant's own.
    pub destination: String,
    /// The mapping.
    pub mapping: String,
    /// How closely it was looked at: `versions`, `content` or `rows`.
    pub level: String,
    /// Everything that the source held when this number was given out is there.
    pub through: i64,
    /// When it was given out, in UTC.
    pub through_at: String,
    /// When it was looked at, in UTC.
    pub verified_at: String,
}

/// A range of projects that was proven.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProvenRange {
    /// The first project.
    pub first: String,
    /// The first behind it; none where it has no end.
    pub end: Option<String>,
    /// How long ago.
    pub age: Duration,
}

const RANGES: &str =
    "SELECT v.first_project, v.end_project, extract(epoch FROM clock_timestamp() - r.finished_at)::float8
FROM lockstep.verified v JOIN lockstep.verification r ON r.id = v.verification_id
WHERE v.destination = $1 AND v.mapping_name = $2 AND v.level = $3 AND v.branch_id IS NULL";

/// Ranges of a mapping that were proven at a level, places of which nothing is said included.
///
/// # Errors
/// Postgres cannot be asked.
pub async fn proven_ranges(
    client: &Client,
    destination: &str,
    mapping: &str,
    level: &str,
) -> Result<Vec<ProvenRange>, SourceError> {
    let rows = client.query(RANGES, &[&destination, &mapping, &level]).await?;
    let range = |row: &tokio_postgres::Row| ProvenRange {
        first: row.get(0),
        end: row.get(1),
        age: Duration::from_secs_f64(row.get::<_, f64>(2).max(0.0)),
    };
    Ok(rows.iter().map(range).collect())
}

/// A row that differed.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct OpenFinding {
    /// Where.
    pub destination: String,
    /// The mapping.
    pub mapping: String,
    /// Its key, by column: ids, numbers and days as they are, of a text its hash.
    pub key: serde_json::Value,
    /// How it came to.
    pub class: String,
    /// Which columns differ.
    pub columns: Vec<String>,
    /// When it was found first, in UTC.
    pub first_seen_at: String,
    /// When it was found last, in UTC.
    pub last_seen_at: String,
}

/// What is proven of a tenancy `$1 uuid`: in ClickHouse of the place where it lives, since it came there; in its own destinations. Of a table that is
/// filled anew nothing is proven before that has ended.
///
/// That it came there, and that a fill has ended, is known by the number of a proof, or by when its run began: where nothing has changed
/// since `lockstep migrate` noted the place, or since a fill drew its number, no pass has given out a higher one. What was noted before
/// a run began had been committed in the source before, so all of its snapshots saw it.
const PROVEN: &str = r#"WITH place AS (SELECT t."projectId" AS project, t."branchId" AS branch, COALESCE(l.recorded_at, '-infinity') AS since
  FROM "public"."Tenancy" t LEFT JOIN lockstep.tenancy_location l
    ON l.tenancy_id = t."id" AND l.project_id = t."projectId" AND l.branch_id = t."branchId" WHERE t."id" = $1),
candidate AS (
  SELECT v.* FROM lockstep.verified v LEFT JOIN lockstep.verification b ON b.id = v.verification_id
  JOIN place p ON v.destination = 'clickhouse' AND (v.through_at >= p.since OR b.started_at >= p.since) AND CASE WHEN v.branch_id IS NULL
    THEN p.project COLLATE "C" >= v.first_project AND (v.end_project IS NULL OR p.project COLLATE "C" < v.end_project)
      AND NOT EXISTS (SELECT 1 FROM lockstep.verified_except x WHERE x.verification_id = v.verification_id AND x.destination = v.destination
        AND x.mapping_name = v.mapping_name AND x.project_id = p.project AND x.branch_id = p.branch)
    ELSE v.first_project = p.project AND v.branch_id = p.branch END
  JOIN lockstep.fill f ON f.mapping_name = v.mapping_name AND f.destination = v.destination AND f.finished_at IS NOT NULL
    AND (v.through >= f.floor OR b.started_at >= f.finished_at)
  WHERE NOT EXISTS (SELECT 1 FROM lockstep.refill r WHERE r.mapping_name = v.mapping_name)
    AND NOT EXISTS (SELECT 1 FROM lockstep.destination d WHERE d.name = v.destination AND d.needs_refill_since IS NOT NULL)
  UNION ALL
  SELECT v.* FROM lockstep.verified v JOIN lockstep.tenant_destination o ON o.tenancy_id = $1 AND o.id::text = v.destination
  JOIN lockstep.tenant_mapping m ON m.destination_id = o.id AND m.mapping_name = v.mapping_name AND m.state = 'streaming'
    AND m.refill_requested_at IS NULL)
SELECT DISTINCT ON (c.destination, c.mapping_name, c.level) c.destination, c.mapping_name, c.level, c.through,
  to_char(c.through_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), COALESCE(to_char(r.finished_at, 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), '')
FROM candidate c LEFT JOIN lockstep.verification r ON r.id = c.verification_id
ORDER BY c.destination, c.mapping_name, c.level, c.through DESC"#;

/// Rows that differ at the place of a tenancy `$1 uuid`, whoever's they are, or in its own destinations.
const OPEN: &str = r#"SELECT f.destination, f.mapping_name, f.key, f.class, f.columns, to_char(f.first_seen_at, 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
  to_char(f.last_seen_at, 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
FROM lockstep.finding f WHERE f.resolved_at IS NULL AND (f.tenancy_id = $1
  OR f.destination IN (SELECT o.id::text FROM lockstep.tenant_destination o WHERE o.tenancy_id = $1)
  OR f.destination = 'clickhouse' AND f.tenancy_id IS NULL
    AND (f.project_id, f.branch_id) IN (SELECT t."projectId", t."branchId" FROM "public"."Tenancy" t WHERE t."id" = $1))
ORDER BY f.destination, f.mapping_name, f.id LIMIT 1000"#;

/// Mappings that go to a tenancy's own destinations (`$1 uuid`), each with its destination.
const OWN: &str = "SELECT m.destination_id::text, m.mapping_name FROM lockstep.tenant_mapping m
JOIN lockstep.tenant_destination o ON o.id = m.destination_id WHERE o.tenancy_id = $1 ORDER BY 1, 2";

/// Mappings that go to a tenancy's own destinations, each with its destination.
///
/// # Errors
/// Postgres cannot be asked.
pub async fn own_mappings(client: &Client, tenancy: Uuid) -> Result<Vec<(String, String)>, SourceError> {
    let rows = client.query(OWN, &[&tenancy]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// What is proven of a tenancy, by destination, mapping and level.
///
/// # Errors
/// Postgres cannot be asked.
pub async fn proven(client: &Client, tenancy: Uuid) -> Result<Vec<Proven>, SourceError> {
    let rows = client.query(PROVEN, &[&tenancy]).await?;
    let proven = rows.iter().map(|row| Proven {
        destination: row.get(0),
        mapping: row.get(1),
        level: row.get(2),
        through: row.get(3),
        through_at: row.get(4),
        verified_at: row.get(5),
    });
    Ok(proven.collect())
}

/// Rows of a tenancy that differed when they were looked at last, a thousand at most.
///
/// # Errors
/// Postgres cannot be asked.
pub async fn open_findings(client: &Client, tenancy: Uuid) -> Result<Vec<OpenFinding>, SourceError> {
    let rows = client.query(OPEN, &[&tenancy]).await?;
    let findings = rows.iter().map(|row| OpenFinding {
        destination: row.get(0),
        mapping: row.get(1),
        key: row.get(2),
        class: row.get(3),
        columns: row.get(4),
        first_seen_at: row.get(5),
        last_seen_at: row.get(6),
    });
    Ok(findings.collect())
}
