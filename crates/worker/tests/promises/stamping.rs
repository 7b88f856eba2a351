//! Stamping by hand, in whatever order a test needs: what the sequencer does, without it.

use lockstep_mappings::postgres::{stamp, touch};
use tokio_postgres::Client;

use crate::fixture::House;

/// The test's own tables have a unique index on the sequence.
const LOCK: stamp::RowLock = stamp::RowLock::Update;
/// More than any test has.
const ALL: i64 = 10_000_000;

async fn open(client: &Client) {
    client.batch_execute("BEGIN").await.unwrap();
    for statement in stamp::open() {
        client.batch_execute(&statement).await.unwrap();
    }
}

/// The head is written in the same transaction, so whoever sees it sees all that was stamped (SEQ-1).
async fn commit(client: &Client) {
    let head = "UPDATE lockstep.sequence_head SET last_sequence = GREATEST(last_sequence, (SELECT last_value FROM global_seq_id)); COMMIT";
    client.batch_execute(head).await.unwrap();
}

impl House {
    /// Everything that is flagged, tombstones first, and what depends on other rows.
    pub(crate) async fn stamp(&self) {
        self.stamp_tombstones().await;
        self.stamp_rows().await;
        self.stamp_touched().await;
    }

    pub(crate) async fn stamp_tombstones(&self) {
        open(&self.client).await;
        self.client.query(&stamp::tombstones(stamp::Pick::Any, LOCK), &[&ALL]).await.unwrap();
        commit(&self.client).await;
    }

    pub(crate) async fn stamp_rows(&self) {
        open(&self.client).await;
        for mappings in self.set.by_source().values() {
            self.client.query(&stamp::rows(mappings, stamp::Pick::Any, LOCK), &[&ALL]).await.unwrap();
        }
        commit(&self.client).await;
    }

    async fn stamp_touched(&self) {
        open(&self.client).await;
        let touched = "UPDATE lockstep.touch SET floor = nextval('global_seq_id') RETURNING id";
        let ids: Vec<i64> = self.client.query(touched, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
        for mappings in self.set.by_source().values() {
            self.client
                .query(&touch::stamp_tenancy(mappings, LOCK), &[&of(self, "tenancy", &ids).await, &ALL])
                .await
                .unwrap();
            for mapping in mappings {
                for join in &mapping.joins {
                    let ids = of(self, &touch::target(mapping, join), &ids).await;
                    let sql = touch::stamp_dependents(mappings, mapping, join, LOCK);
                    self.client.query(&sql, &[&ids, &ALL]).await.unwrap();
                }
            }
        }
        self.client.execute("DELETE FROM lockstep.touch WHERE id = ANY($1)", &[&ids]).await.unwrap();
        commit(&self.client).await;
    }
}

async fn of(house: &House, target: &str, ids: &[i64]) -> Vec<i64> {
    let sql = "SELECT id FROM lockstep.touch WHERE target = $1 AND id = ANY($2)";
    house.client.query(sql, &[&target, &ids]).await.unwrap().iter().map(|row| row.get(0)).collect()
}
