//! How tenants' own databases are with each mapping.

use std::collections::BTreeMap;

use serde::Serialize;
use tokio_postgres::Row;

use crate::DESTINATION;
use crate::deployment::Deployment;
use crate::error::OperationError;
use crate::limit::COUNT_LIMIT;
use crate::quarantine::QuarantineGroup;

/// How many tenants' own databases a mapping goes to, and how it is there. Each counts once: as the first that it is of `paused`,
/// `failing`, `stopped`, `refused`, `filling` and `holding`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Serialize, Debug)]
pub struct OwnDatabases {
    /// All of them.
    pub total: i64,
    /// They, or their tenancies, are paused.
    pub paused: i64,
    /// The last attempt to reach them failed.
    pub failing: i64,
    /// Its table there does not fit.
    pub stopped: i64,
    /// Rows of it were refused there.
    pub refused: i64,
    /// Its rows are being read, or are to be.
    pub filling: i64,
    /// They hold it, and follow changes.
    pub holding: i64,
    /// Only the first 10,000 databases were looked through: the numbers are "at least".
    pub is_cut: bool,
}

/// `$1 text[]` names of mappings, `$2 bigint` databases at most; `$3` and `$4 text[]`: at which of them rows of which mapping are
/// in quarantine. One that no worker has looked at has no rows of `tenant_mapping` yet.
const OWN: &str = "WITH d AS MATERIALIZED (
  SELECT d.id, d.mappings, d.failing_since IS NOT NULL AS fails, (d.id::text IN (SELECT name FROM lockstep.pause WHERE kind = 'destination')
    OR d.tenancy_id::text IN (SELECT name FROM lockstep.pause WHERE kind = 'tenancy')) AS is_paused
  FROM lockstep.tenant_destination d ORDER BY d.id LIMIT $2)
SELECT s.name, s.state, count(*), (SELECT count(*) FROM d) >= $2 FROM (
  SELECT n.name, CASE WHEN d.is_paused THEN 'paused' WHEN d.fails THEN 'failing' WHEN m.state = 'stopped' THEN 'stopped'
    WHEN (d.id::text, n.name) IN (SELECT * FROM unnest($3::text[], $4::text[])) THEN 'refused'
    WHEN m.state = 'streaming' AND m.refill_requested_at IS NULL THEN 'holding' ELSE 'filling' END AS state
  FROM unnest($1::text[]) n(name) JOIN d ON d.mappings IS NULL OR n.name = ANY (d.mappings)
  LEFT JOIN lockstep.tenant_mapping m ON m.destination_id = d.id AND m.mapping_name = n.name) s
GROUP BY 1, 2";

/// By the names of mappings; one that goes to none is left out.
pub(super) async fn own_databases(
    deployment: &Deployment<'_>,
    quarantine: &[QuarantineGroup],
) -> Result<BTreeMap<String, OwnDatabases>, OperationError> {
    let names: Vec<_> = deployment.mappings.iter().map(|mapping| mapping.name.as_str()).collect();
    let refused = quarantine.iter().filter(|group| group.destination != DESTINATION);
    let (at, of): (Vec<_>, Vec<_>) = refused.map(|group| (group.destination.as_str(), group.mapping.as_str())).unzip();
    let rows = deployment.client.query(OWN, &[&names, &COUNT_LIMIT, &at, &of]).await?;
    let mut own: BTreeMap<String, OwnDatabases> = BTreeMap::new();
    for row in &rows {
        own.entry(row.get(0)).or_default().add(row);
    }
    Ok(own)
}

impl OwnDatabases {
    fn add(&mut self, row: &Row) {
        let count: i64 = row.get(2);
        self.total += count;
        self.is_cut |= row.get::<_, bool>(3);
        *match row.get(1) {
            "paused" => &mut self.paused,
            "failing" => &mut self.failing,
            "stopped" => &mut self.stopped,
            "refused" => &mut self.refused,
            "holding" => &mut self.holding,
            _ => &mut self.filling,
        } += count;
    }
}
