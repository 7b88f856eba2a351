//! Planting defects, and taking them away again.

use anyhow::{Context, Result};
use lockstep_core::destination_id::CLICKHOUSE;
use uuid::Uuid;

use super::defect::{Defect, Side, TARGETS, Target, What};
use crate::own_databases::OwnDatabase;
use crate::stage::Stage;

/// Where the rows of a round are and were, for a destination.
pub(super) struct Field<'a> {
    pub(super) stage: &'a Stage,
    pub(super) own: Option<&'a OwnDatabase>,
}

/// As a list of SQL, for either kind of server. Never empty: no row has the last of them.
fn list<'a>(ids: impl IntoIterator<Item = &'a Uuid>) -> String {
    ids.into_iter().copied().chain([Uuid::nil()]).map(|id| format!("'{id}'")).collect::<Vec<_>>().join(", ")
}

fn of<'a>(defects: &'a [Defect], target: &Target) -> Vec<&'a Defect> {
    defects.iter().filter(|defect| defect.target == target).collect()
}

fn ids<'a>(defects: &[&'a Defect], wanted: impl Fn(&Defect) -> bool) -> Vec<&'a Uuid> {
    defects.iter().filter(|defect| wanted(defect)).map(|defect| &defect.id).collect()
}

impl Field<'_> {
    /// Inserts the rows that are to be wrong, and for each orphan one that it is copied from.
    pub(super) async fn insert(&self, defects: &mut [Defect]) -> Result<()> {
        for defect in defects {
            let Target { table, key, .. } = defect.target;
            let id = if defect.has_row() { defect.id } else { template(defect.id) };
            let insert = format!(
                r#"INSERT INTO "{table}" ("tenancyId", "{key}", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt")
                   VALUES ($1, $2, $3, $4, 'As it was', now()) RETURNING xmin::text"#
            );
            let place = &defect.place;
            let row =
                self.stage.client.query_one(&insert, &[&place.tenancy, &id, &place.project, &place.branch]).await?;
            defect.written = Some(row.get(0));
        }
        Ok(())
    }

    /// Keeps what destinations hold of them, and then removes from the source those whose tombstone is to be lost.
    pub(super) async fn keep(&self, defects: &[Defect]) -> Result<()> {
        for target in &TARGETS {
            let Target { mapping, table, key } = target;
            let all = of(defects, target);
            let kept = with_templates(&all);
            self.stage
                .in_clickhouse(&format!(
                    "CREATE TABLE {{raw}}.kept_{mapping} ENGINE = MergeTree ORDER BY id AS SELECT * FROM {{raw}}.{mapping} FINAL WHERE id IN ({kept})"
                ))
                .await?;
            if let Some(own) = self.own {
                let keep =
                    format!("CREATE TEMP TABLE kept_{mapping} AS SELECT * FROM public.{mapping} WHERE id IN ({kept})");
                own.sql(&keep).await?;
            }
            let gone = list(ids(&all, |defect| defect.what == What::LostTombstone));
            self.stage.sql(&format!(r#"DELETE FROM "{table}" WHERE "{key}" IN ({gone})"#)).await?;
        }
        Ok(())
    }

    /// Makes them wrong.
    pub(super) async fn plant(&self, defects: &[Defect]) -> Result<()> {
        for target in &TARGETS {
            self.plant_in_clickhouse(target, &of(defects, target)).await?;
            if let Some(own) = self.own {
                plant_in_own(own, target, &of(defects, target)).await?;
            }
        }
        for defect in defects.iter().filter(|defect| defect.side == Side::Source) {
            self.past_capture(defect).await?;
        }
        Ok(())
    }

    async fn plant_in_clickhouse(&self, target: &Target, all: &[&Defect]) -> Result<()> {
        let mapping = target.mapping;
        let is = |what: What| move |defect: &Defect| defect.side == Side::ClickHouse && defect.what == what;
        let removed = |defect: &Defect| {
            defect.side == Side::ClickHouse && matches!(defect.what, What::Lost | What::Stale | What::LostTombstone)
        };
        let removed = list(ids(all, removed));
        self.stage.in_clickhouse(&format!("DELETE FROM {{raw}}.{mapping} WHERE id IN ({removed})")).await?;
        let mut copies = Vec::new();
        for (what, replaced) in [
            (What::Stale, "sync_sequence_id - 1 AS sync_sequence_id, 'Old' AS display_name"),
            (What::LostTombstone, "'As it was' AS display_name"),
            (What::Corrupt, "'Tampered' AS display_name"),
            (What::Ahead, "sync_sequence_id + 1000000 AS sync_sequence_id"),
        ] {
            copies.push((replaced.to_owned(), list(ids(all, is(what)))));
        }
        for defect in all.iter().filter(|defect| defect.side == Side::ClickHouse) {
            let other = &defect.elsewhere;
            match defect.what {
                What::Foreign => copies.push((
                    format!("'{}' AS project_id, '{}' AS branch_id", other.project, other.branch),
                    list([&defect.id]),
                )),
                What::Orphan => {
                    copies.push((format!("toUUID('{}') AS id", defect.id), list([&template(defect.id)])));
                }
                _ => {}
            }
        }
        let none = list([]);
        for (replaced, kept) in copies.into_iter().filter(|(_, kept)| *kept != none) {
            // What is replaced must not be what is looked for.
            let insert = format!(
                "INSERT INTO {{raw}}.{mapping} SELECT * REPLACE ({replaced}) FROM (SELECT * FROM {{raw}}.kept_{mapping} WHERE id IN ({kept}))"
            );
            self.stage.in_clickhouse(&insert).await?;
        }
        Ok(())
    }

    /// Writes the row in a transaction whose line is gone before anybody has seen it. Lines for other mappings stay.
    async fn past_capture(&self, defect: &Defect) -> Result<()> {
        let Target { mapping, table, key } = defect.target;
        let (id, place) = (defect.id, &defect.place);
        let write = match defect.what {
            What::Changed => format!(r#"UPDATE "{table}" SET "displayName" = 'Unmarked' WHERE "{key}" = '{id}'"#),
            What::Removed => format!(r#"DELETE FROM "{table}" WHERE "{key}" = '{id}'"#),
            _ => format!(
                r#"INSERT INTO "{table}" ("tenancyId", "{key}", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt")
                   VALUES ('{}', '{id}', '{}', '{}', 'Unmarked', now())"#,
                place.tenancy, place.project, place.branch
            ),
        };
        let forget = [0, 1].map(|inbox| {
            format!("DELETE FROM lockstep.inbox_{inbox} WHERE xid = txid_current() AND uuid_1 = '{id}' AND target = (SELECT t.id FROM lockstep.target t WHERE t.name = '{mapping}')")
        });
        self.stage.sql(&format!("{write}; {}; {}", forget[0], forget[1])).await
    }

    /// Takes away all that was planted, and the rows too.
    pub(super) async fn clear(&self, defects: &[Defect]) -> Result<()> {
        for target in &TARGETS {
            let Target { table, key, .. } = target;
            let all = with_templates(&of(defects, target));
            self.stage.sql(&format!(r#"DELETE FROM "{table}" WHERE "{key}" IN ({all})"#)).await?;
        }
        self.stage.in_step().await?;
        for target in &TARGETS {
            let (mapping, all) = (target.mapping, with_templates(&of(defects, target)));
            self.stage.in_clickhouse(&format!("DELETE FROM {{raw}}.{mapping} WHERE id IN ({all})")).await?;
            self.stage.in_clickhouse(&format!("DROP TABLE {{raw}}.kept_{mapping} SYNC")).await?;
            if let Some(own) = self.own {
                own.sql(&format!("DELETE FROM public.{mapping} WHERE id IN ({all}); DROP TABLE kept_{mapping}"))
                    .await?;
            }
        }
        Ok(())
    }

    /// Whether nobody but the test has written the row.
    pub(super) async fn is_untouched(&self, defect: &Defect) -> Result<bool> {
        let Target { mapping, table, key } = defect.target;
        let query = format!(
            r#"SELECT (SELECT count(*) FROM lockstep.change c JOIN lockstep.target t ON t.id = c.mapping WHERE t.name = '{mapping}' AND c.uuid_1 = $1),
                (SELECT min(xmin::text) FROM "{table}" WHERE "{key}" = $1)"#
        );
        let row = self.stage.client.query_one(&query, &[&defect.id]).await.context("looking for other writers")?;
        let (changes, written): (i64, Option<String>) = (row.get(0), row.get(1));
        Ok(changes == defect.changes() && (!defect.depends_on_writer() || written == defect.written))
    }

    /// The destinations where a defect shows, by what reports call them.
    pub(super) fn shows(&self, defect: &Defect) -> Result<Vec<(String, lockstep_verifier::Class)>> {
        let mut shown: Vec<_> =
            defect.class_in_clickhouse().into_iter().map(|class| (CLICKHOUSE.to_owned(), class)).collect();
        if let Some(own) = self.own {
            let class = defect.class_in_own(own.tenancy.parse()?);
            shown.extend(class.map(|class| (own.id.clone(), class)));
        }
        Ok(shown)
    }
}

/// These rows, and those that ones were copied from.
fn with_templates(defects: &[&Defect]) -> String {
    let templates: Vec<_> = defects.iter().map(|defect| template(defect.id)).collect();
    list(defects.iter().map(|defect| &defect.id).chain(&templates))
}

/// The row that one is copied from which never was.
fn template(id: Uuid) -> Uuid {
    Uuid::from_u128(!id.as_u128())
}

async fn plant_in_own(own: &OwnDatabase, target: &Target, all: &[&Defect]) -> Result<()> {
    let mapping = target.mapping;
    let of = |what: What| list(ids(all, |defect| defect.side == Side::Own && defect.what == what));
    own.sql(&format!(
        "DELETE FROM public.{mapping} WHERE id IN ({}); UPDATE public.{mapping} SET display_name = 'Tampered' WHERE id IN ({});
         INSERT INTO public.{mapping} SELECT * FROM kept_{mapping} WHERE id IN ({})",
        of(What::Lost),
        of(What::Corrupt),
        of(What::LostTombstone)
    ))
    .await?;
    let made_up = |defect: &&&Defect| defect.side == Side::Own && matches!(defect.what, What::Foreign | What::Orphan);
    for defect in all.iter().filter(made_up) {
        // Any row there serves as one of somebody else's.
        own.sql(&format!(
            "CREATE TEMP TABLE made_up AS SELECT * FROM public.{mapping} LIMIT 1; UPDATE made_up SET id = '{}';
             INSERT INTO public.{mapping} SELECT * FROM made_up; DROP TABLE made_up",
            defect.id
        ))
        .await?;
    }
    Ok(())
}
