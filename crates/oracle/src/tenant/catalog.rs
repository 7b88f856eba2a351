//! What a tenant's table looks like: its columns, its key, and who may read and write it.

use anyhow::Context;
use tokio_postgres::Client;

use crate::view::View;

/// Names that Lockstep's own columns have elsewhere, and that none has here. What a tenant adds is the tenant's.
const OURS_ELSEWHERE: [&str; 5] = ["project_id", "branch_id", "sync_sequence_id", "sync_is_deleted", "sync_created_at"];

const IS_THERE: &str = "SELECT to_regclass(format('public.%I', $1::text)) IS NOT NULL";

const COLUMNS: &str = "SELECT attname::text, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute
    WHERE attrelid = to_regclass(format('public.%I', $1::text)) AND attnum > 0 AND NOT attisdropped ORDER BY attnum";

/// The columns of the primary key, in its order.
const KEY: &str =
    "SELECT a.attname::text FROM pg_index i, unnest(i.indkey) WITH ORDINALITY AS k (attnum, place), pg_attribute a
    WHERE i.indrelid = to_regclass(format('public.%I', $1::text)) AND i.indisprimary
        AND a.attrelid = i.indrelid AND a.attnum = k.attnum ORDER BY k.place";

/// What everybody may do with the table, by the name of the right.
const RIGHTS_OF_ALL: &str = "SELECT r.privilege_type FROM pg_class c, aclexplode(c.relacl) r
    WHERE c.oid = to_regclass(format('public.%I', $1::text)) AND r.grantee = 0 ORDER BY 1";

pub(super) async fn is_there(own: &Client, view: &View) -> anyhow::Result<bool> {
    let row = own.query_one(IS_THERE, &[&view.name]).await;
    Ok(row.with_context(|| format!("looking for the table {}", view.name))?.get(0))
}

/// What is wrong with its columns, in words.
pub(super) async fn wrong_columns(own: &Client, view: &View) -> anyhow::Result<Vec<String>> {
    let rows =
        own.query(COLUMNS, &[&view.name]).await.with_context(|| format!("describing the table {}", view.name))?;
    let present: Vec<(String, String, bool)> = rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    let mut wrong = Vec::new();
    for (name, kind) in view.own_columns() {
        let Some((_, found, is_not_null)) = present.iter().find(|(of, ..)| of == name) else {
            wrong.push(format!("{name} is missing"));
            continue;
        };
        if found != kind.postgres {
            wrong.push(format!("{name} is {found}, not {}", kind.postgres));
        }
        // The other way is no fault: a column that came later can be null, and its values are compared.
        if *is_not_null && kind.is_nullable {
            wrong.push(format!("{name} cannot hold NULL"));
        }
    }
    let ours = present.iter().filter(|(name, ..)| OURS_ELSEWHERE.contains(&name.as_str()));
    wrong.extend(ours.map(|(name, ..)| format!("{name} should not be there")));
    Ok(wrong)
}

/// What is wrong with its key and its rights, in words.
pub(super) async fn wrong_table(own: &Client, view: &View) -> anyhow::Result<Vec<String>> {
    let mut wrong = Vec::new();
    let key = names(own, KEY, view).await?;
    let wanted: Vec<_> = view.own_columns()[..view.own_key()].iter().map(|(name, _)| *name).collect();
    if key != wanted {
        wrong.push(format!("has the key ({}), not ({})", key.join(", "), wanted.join(", ")));
    }
    let rights = names(own, RIGHTS_OF_ALL, view).await?;
    if rights != ["SELECT"] {
        wrong.push(format!(
            "lets everybody {}, not SELECT alone",
            if rights.is_empty() { "nothing".to_owned() } else { rights.join(", ") }
        ));
    }
    Ok(wrong)
}

async fn names(own: &Client, query: &str, view: &View) -> anyhow::Result<Vec<String>> {
    let rows = own.query(query, &[&view.name]).await;
    Ok(rows.with_context(|| format!("describing the table {}", view.name))?.iter().map(|row| row.get(0)).collect())
}
