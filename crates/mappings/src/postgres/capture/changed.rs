//! Whether an update changed anything that is exported, filtered by or keyed by.

use std::collections::BTreeSet;

use super::subject::Subject;
use crate::postgres::facts::TableFacts;
use crate::postgres::quote::identifier;

/// The conditions of the update triggers.
pub(super) struct Changed {
    /// For every update.
    pub(super) narrow: String,
    /// For updates whose statement names one of some columns.
    pub(super) wide: Option<Wide>,
}

pub(super) struct Wide {
    pub(super) columns: Vec<String>,
    pub(super) condition: String,
}

/// Wide columns (JSON) are compared only where the statement names them, unless another trigger may change them on the way
/// or Postgres computes them: comparing takes them out of storage.
pub(super) fn of(subject: &Subject<'_>, live: Option<&TableFacts>) -> Changed {
    let is_wide = |column: &&String| {
        live.and_then(|live| live.columns.get(*column))
            .is_some_and(|facts| matches!(facts.typname.as_str(), "json" | "jsonb") && !facts.is_generated)
    };
    let is_rewritten_on_the_way = live.is_some_and(|live| live.has_before_update);
    let (wide, narrow): (BTreeSet<_>, BTreeSet<_>) =
        subject.watched.iter().partition(|column| !is_rewritten_on_the_way && is_wide(column));
    let wide = (!wide.is_empty()).then(|| Wide {
        columns: wide.iter().map(|column| (*column).clone()).collect(),
        condition: images_differ(&wide),
    });
    Changed { narrow: differ(&narrow, live), wide }
}

/// What is exported is the image of a value: 1.5 and 1.50, `Ada` and `ada` in citext, -0.0 and 0.0 differ. Where equality
/// means the same image, it is asked for directly, which costs less.
fn differ(columns: &BTreeSet<&String>, live: Option<&TableFacts>) -> String {
    let equality_is_identity = |column: &&String| {
        live.and_then(|live| live.columns.get(*column)).is_some_and(|facts| facts.equality_is_identity)
    };
    let (plain, images): (BTreeSet<_>, BTreeSet<_>) = columns.iter().copied().partition(equality_is_identity);
    let mut terms: Vec<_> =
        plain.into_iter().map(|column| format!("OLD.{0} IS DISTINCT FROM NEW.{0}", identifier(column))).collect();
    if !images.is_empty() {
        terms.push(images_differ(&images));
    }
    if terms.is_empty() { "FALSE".to_owned() } else { terms.join(" OR ") }
}

fn images_differ(columns: &BTreeSet<&String>) -> String {
    let row = |alias: &str| {
        let values: Vec<_> = columns.iter().map(|column| format!("{alias}.{}", identifier(column))).collect();
        format!("ROW({})::record", values.join(", "))
    };
    format!("{} OPERATOR(pg_catalog.*<>) {}", row("OLD"), row("NEW"))
}
