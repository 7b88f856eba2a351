//! The plain way to ship: for each tenant one read, one insert and one cursor write, with the same ClickHouse client.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use futures_util::{StreamExt, pin_mut};
use lockstep_core::{MappingName, SequenceId, TenancyId};
use lockstep_destinations::{Destination, Ended, Moment, PageStart, PageWriter, WriteLimits, WriteWindow};
use lockstep_mappings::codec::{CodecError, CopyReader, Row};
use lockstep_mappings::postgres::fetch::{PageLimits, ReadFrom, page};
use lockstep_mappings::{Mapping, MappingSet};
use lockstep_schema::{Session, Source};

use lockstep_testkit::installation::Installation;

/// Ships the users of these tenancies above `after`, one tenancy at a time; returns seconds.
pub(super) async fn ship(
    installation: &Installation,
    tenancies: &[TenancyId],
    after: SequenceId,
) -> anyhow::Result<f64> {
    let settings = installation.settings();
    let client = Source::new(&settings.source_url, None)?.connect(Session::Fetch).await?;
    let destination = installation.clickhouse()?;
    let set = MappingSet::built_in();
    let users: MappingName = "users".parse()?;
    let mapping = Arc::new(set.get(&users).context("there is no mapping users")?.clone());
    let began = Instant::now();
    for &tenancy in tenancies {
        let window = WriteWindow::new(Moment::now(), std::time::Duration::from_secs(60));
        let from = [(tenancy, after)];
        let start = PageStart { mapping: &mapping, from: &from, window, limits: WriteLimits::default() };
        let mut rows = destination.open_page(start);
        let last = read(&client, &mapping, ReadFrom { tenancy, after }, &mut rows).await?;
        let cursors = [(tenancy, users.clone(), last)];
        match rows.end(&[(tenancy, last)]).await? {
            Ended::RowsOnly => destination.advance(&cursors, window).await?,
            Ended::CursorsMoved => {}
        }
    }
    Ok(began.elapsed().as_secs_f64())
}

async fn read(
    client: &tokio_postgres::Client,
    mapping: &Mapping,
    work: ReadFrom,
    rows: &mut impl PageWriter,
) -> anyhow::Result<SequenceId> {
    let limits = PageLimits { tenancy_rows: 100_000, total_rows: 100_000 };
    let stream = client.copy_out(&page(mapping, &[work], limits)).await?;
    pin_mut!(stream);
    let (mut reader, mut last) = (CopyReader::default(), work.after);
    while let Some(message) = stream.next().await {
        reader.rows::<CodecError>(&message?, |fields| {
            let row = Row::read(fields, mapping)?;
            last = row.head.sequence;
            rows.push(&row)
        })?;
        if rows.is_full() {
            rows.send().await?;
        }
    }
    Ok(last)
}
