//! What tests of erasing and cleaning up share.

use std::time::Duration;

use lockstep_core::TenancyId;
use lockstep_destinations::ClickHouse;
use lockstep_schema::Source;
use lockstep_testkit::databases::eventually;
use lockstep_worker::{Janitor, Limits, Round};
use uuid::Uuid;

use crate::fixture::{DEADLINE, WorkerFixture};

/// A janitor that looks at every table at once.
pub(crate) fn quick() -> Limits {
    Limits { clean_up_every: Duration::ZERO, ..Limits::default() }
}

impl WorkerFixture {
    /// What was read is written within this time, and nothing of an older limit is under way.
    pub(crate) async fn limit_late_writes(&self, limit: &str) {
        let set = "UPDATE lockstep.setting SET value = $1::text::interval WHERE name = 'late_write_limit'";
        self.client.execute(set, &[&limit]).await.unwrap();
        self.run_sql("UPDATE lockstep.setting SET previous = NULL").await;
    }

    pub(crate) fn janitor(&self) -> Janitor<ClickHouse> {
        let source = Source::new(&self.settings.source_url, None).unwrap();
        Janitor::new(source, self.clickhouse.clone(), self.set.clone(), quick())
    }

    /// Rounds that wait a moment only, until all that is awaited was done; returns what all of them did. What is flushed
    /// afterwards has all the time again.
    pub(crate) async fn rounds(&self, what: &str, done: impl Fn(Round) -> bool) -> Round {
        self.limit_late_writes("1 second").await;
        let (mut janitor, mut all) = (self.janitor(), Round::default());
        eventually(what, DEADLINE, async || {
            let round = janitor.round().await?;
            all.erased += round.erased;
            all.dropped += round.dropped;
            Ok(done(all))
        })
        .await
        .unwrap();
        self.limit_late_writes("1 hour").await;
        all
    }

    /// Rows and tombstones of every version in all tables, where this holds.
    pub(crate) async fn versions(&self, condition: &str) -> i64 {
        let of = |name: &str| format!("SELECT count() AS c FROM {{raw}}.{name} WHERE {condition}");
        let each: Vec<_> = self.set.iter().map(|mapping| of(mapping.name.as_str())).collect();
        self.ask(&format!("SELECT sum(c) FROM ({})", each.join(" UNION ALL "))).await.parse().unwrap()
    }

    /// Where it is and was, as a condition on rows of ClickHouse.
    pub(crate) async fn places(&self, tenancy: TenancyId) -> String {
        let sql = "SELECT project_id, branch_id FROM lockstep.tenancy_location WHERE tenancy_id = $1";
        let rows = self.client.query(sql, &[&tenancy.as_uuid()]).await.unwrap();
        let places: Vec<_> =
            rows.iter().map(|row| format!("('{}', '{}')", row.get::<_, &str>(0), row.get::<_, &str>(1))).collect();
        assert!(!places.is_empty());
        format!("(project_id, branch_id) IN ({})", places.join(", "))
    }

    pub(crate) async fn delete_tenancy(&self, tenancy: TenancyId) {
        self.run_sql(&format!(r#"DELETE FROM "Tenancy" WHERE "id" = '{tenancy}'"#)).await;
    }

    /// Nothing anywhere: not in ClickHouse, and not in what Lockstep keeps in the source.
    pub(crate) async fn assert_forgotten(&self, tenancy: TenancyId, places: &str) {
        assert_eq!(self.versions(places).await, 0, "rows are left");
        self.assert_unknown(tenancy).await;
    }

    /// Nothing but its receipt.
    pub(crate) async fn assert_unknown(&self, tenancy: TenancyId) {
        let cursors = format!("SELECT count() FROM {{raw}}._stack_sync_metadata WHERE tenancy_id = '{tenancy}'");
        assert_eq!(self.ask(&cursors).await, "0", "cursors are left");
        for (table, column) in [
            ("lockstep.tenancy_location", "tenancy_id"),
            ("lockstep.expansion", "tenancy_id"),
            ("lockstep.quarantine", "tenancy_id"),
        ] {
            let left = self.number(&format!("SELECT count(*) FROM {table} WHERE {column} = '{tenancy}'")).await;
            assert_eq!(left, 0, "{table} knows it");
        }
    }

    /// What the receipt of a finished erasure says was removed.
    pub(crate) async fn removed(&self, tenancy: TenancyId, what: &str) -> i64 {
        let sql = "SELECT COALESCE(sum((removed ->> $2)::bigint), 0)::bigint FROM lockstep.erasure WHERE tenancy_id = $1 AND finished_at >= proven_at";
        self.client.query_one(sql, &[&tenancy.as_uuid(), &what]).await.unwrap().get(0)
    }

    pub(crate) async fn tenancies_of(&self, condition: &str) -> Vec<TenancyId> {
        let sql = format!(r#"SELECT "id" FROM "Tenancy" WHERE {condition} ORDER BY "id""#);
        let rows = self.client.query(&sql, &[]).await.unwrap();
        rows.iter().map(|row| TenancyId::new(row.get::<_, Uuid>(0))).collect()
    }
}
