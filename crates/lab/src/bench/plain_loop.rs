//! The plain way to ship: for each tenant one read, one insert and one cursor write, with the same ClickHouse client.

use std::time::Instant;

use anyhow::Context;
use bytes::Bytes;
use futures_util::{StreamExt, pin_mut};
use lockstep_core::{MappingName, SequenceId, TenancyId};
use lockstep_destinations::Destination;
use lockstep_mappings::codec::{CodecError, CopyReader, RowTranscoder};
use lockstep_mappings::postgres::fetch::{PageLimits, Work, page};
use lockstep_mappings::{Mapping, MappingSet, clickhouse};
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
    let set = MappingSet::load(None)?;
    let users: MappingName = "users".parse()?;
    let mapping = set.get(&users).context("there is no mapping users")?;
    let databases =
        clickhouse::Databases { raw: installation.raw_database(), views: installation.view_database(), cluster: None };
    let insert = clickhouse::insert(mapping, &databases);
    let began = Instant::now();
    for &tenancy in tenancies {
        let (rows, last) = read(&client, mapping, Work { tenancy, after }).await?;
        let mut sink = destination.begin_write(&insert).await?;
        sink.send(Bytes::from(rows)).await?;
        sink.end().await?;
        destination.advance(&[(tenancy, users.clone(), last)]).await?;
    }
    Ok(began.elapsed().as_secs_f64())
}

async fn read(client: &tokio_postgres::Client, mapping: &Mapping, work: Work) -> anyhow::Result<(Vec<u8>, SequenceId)> {
    let limits = PageLimits { tenancy_rows: 100_000, total_rows: 100_000 };
    let stream = client.copy_out(&page(mapping, &[work], limits)).await?;
    pin_mut!(stream);
    let (transcoder, mut reader) = (RowTranscoder::new(mapping), CopyReader::default());
    let (mut rows, mut last) = (Vec::new(), work.after);
    while let Some(message) = stream.next().await {
        reader.rows::<CodecError>(&message?, |fields| {
            last = transcoder.transcode(fields, &mut rows)?.sequence;
            Ok(())
        })?;
    }
    Ok((rows, last))
}
