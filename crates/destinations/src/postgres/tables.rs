//! A mapping's table in a tenant's database: looked at, made, and given what the definition has gained.

use lockstep_mappings::Mapping;
use lockstep_mappings::tenant::{self, FoundColumn, FoundTable, Shape};

use super::Postgres;
use super::connection::{Answer, Session, Trouble};
use super::failure::Doing;
use super::states::create_ours;
use crate::error::DestinationError;

/// Whether a mapping's table fits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Prepared {
    /// It is as it has to be.
    Fits,
    /// It was not there and was created.
    Created,
    /// It was given columns that the definition has gained: it has to be filled again.
    Changed,
    /// It is of another shape, which is told in words. Nothing was changed.
    Misfit(Vec<String>),
}

pub(super) async fn fit(to: &Postgres, mappings: &[&Mapping]) -> Result<Vec<bool>, DestinationError> {
    let finds: Vec<_> = mappings.iter().map(|mapping| tenant::find(mapping)).collect();
    let answers = to.transaction(&finds).await?;
    let fits = |(mapping, answer): (&&Mapping, &Answer)| {
        parse(Some(answer)).is_some_and(|found| tenant::judge(mapping, &found) == Shape::Fits)
    };
    Ok(mappings.iter().zip(&answers).map(fits).collect())
}

pub(super) async fn prepare(to: &Postgres, mapping: &Mapping) -> Result<Prepared, DestinationError> {
    let found = parse(to.transaction(&[tenant::find(mapping)]).await?.first());
    match found.as_ref().map(|found| tenant::judge(mapping, found)) {
        Some(Shape::Fits) => return Ok(Prepared::Fits),
        Some(Shape::Misfit(words)) => return Ok(Prepared::Misfit(words)),
        None | Some(Shape::Lacks(_)) => {}
    }
    create_ours(to).await?;
    Ok(to.with_session(to.inner.timeouts.whole, async |session| change(to, &session, mapping).await).await?)
}

/// Looks again, under the lock, and makes the table fit. Whoever reads of it from then on finds that it is to be filled.
async fn change(to: &Postgres, session: &Session, mapping: &Mapping) -> Result<Prepared, Trouble> {
    let found = parse(to.begin_on(session, &[tenant::lock(), tenant::find(mapping)]).await?.last());
    let (prepared, mut statements) = match found.as_ref().map(|found| tenant::judge(mapping, found)) {
        None => {
            let mut statements = tenant::create(mapping);
            statements.push(tenant::writers(mapping));
            let created = session.run(&statements, Doing::Other).await?;
            let roles =
                created.last().into_iter().flat_map(|answer| &answer.rows).filter_map(|row| row.first()?.as_ref());
            (Prepared::Created, roles.map(|role| tenant::revoke(mapping, role)).collect())
        }
        Some(Shape::Lacks(gained)) => (Prepared::Changed, vec![tenant::add_columns(mapping, &gained)]),
        Some(Shape::Fits) => (Prepared::Fits, Vec::new()),
        Some(Shape::Misfit(words)) => (Prepared::Misfit(words), Vec::new()),
    };
    if matches!(prepared, Prepared::Created | Prepared::Changed) {
        statements.push(tenant::refill(mapping));
    }
    statements.push("COMMIT".to_owned());
    session.run(&statements, Doing::Other).await?;
    Ok(prepared)
}

/// Takes the answer to [`tenant::find`] apart. Returns `None` where nothing stands in the table's place.
pub(super) fn parse(answer: Option<&Answer>) -> Option<FoundTable> {
    let rows = &answer?.rows;
    let first = rows.first()?;
    let text = |row: &[Option<String>], place: usize| row.get(place).cloned().flatten().unwrap_or_default();
    let is = |row: &[Option<String>], place: usize| text(row, place) == "t";
    let column = |row: &Vec<Option<String>>| FoundColumn {
        name: text(row, 5),
        sql_type: text(row, 6),
        needs_value: is(row, 7),
        is_generated: is(row, 8),
        key_place: text(row, 9).parse().ok(),
    };
    Some(FoundTable {
        kind: text(first, 0),
        persistence: text(first, 1),
        is_part: is(first, 2),
        is_ours: is(first, 3),
        hides_rows: is(first, 4),
        columns: rows.iter().filter(|row| row.get(5).is_some_and(Option::is_some)).map(column).collect(),
    })
}
