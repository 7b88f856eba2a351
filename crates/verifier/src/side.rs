//! One side alone: a mapping's rows of one tenancy, as the source or a destination has them now, in the order of their keys.

use std::pin::Pin;

use futures_util::{Stream, TryStreamExt, stream};
use lockstep_core::settings::Settings;
use lockstep_core::{DestinationId, Location, TenancyId};
use lockstep_destinations::compare::{Compare, Row, Shape};
use lockstep_destinations::postgres::{MappingState, Postgres};
use lockstep_destinations::{ClickHouse, Destination};
use lockstep_mappings::postgres::compare::{Part, Scope};
use lockstep_mappings::{Mapping, MappingSet};
use lockstep_schema::tenant_destinations as registry;
use lockstep_schema::{Session, Source};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::error::VerifyError;
use crate::service::{DestinationChoice, chosen};
use crate::source_rows::SourceRows;
use crate::storage;
use crate::tenants::Opener;
use crate::whose::Whose;

/// Which rows, and from where.
#[derive(Clone, Debug)]
pub struct SideOptions {
    /// The mapping.
    pub mapping: String,
    /// Whose rows.
    pub tenant: TenancyId,
    /// From where.
    pub side: SideChoice,
}

/// Where rows are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SideChoice {
    /// As the mapping exports them.
    Source,
    /// As they arrived.
    Destination(DestinationChoice),
}

impl SideChoice {
    /// `source`, `clickhouse`, or the id of a tenant's own destination.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Source => "source".to_owned(),
            Self::Destination(DestinationChoice::ClickHouse) => DestinationId::clickhouse().to_string(),
            Self::Destination(DestinationChoice::Tenants(id)) => id.to_string(),
        }
    }
}

/// A side that was found to have all rows that it should have.
pub(crate) struct OneSide {
    pub(crate) mapping: Mapping,
    /// Other tenancies that live at the same place of `ClickHouse`: their rows cannot be told from those that were asked for.
    pub(crate) neighbours: u64,
    shape: Shape,
    tenant: TenancyId,
    source: Client,
    holder: Holder,
}

enum Holder {
    Source,
    ClickHouse(Box<ClickHouse>, [Location; 1]),
    Own(Box<Postgres>),
}

/// Rows of a side.
pub(crate) type SideRows<'a> = Pin<Box<dyn Stream<Item = Result<Row, VerifyError>> + Send + 'a>>;

impl OneSide {
    pub(crate) async fn open(settings: &Settings, options: &SideOptions) -> Result<Self, VerifyError> {
        let set = MappingSet::load(&settings.mappings)?;
        let asked = chosen(&set, std::slice::from_ref(&options.mapping), &[])?;
        let connections = Source::new(&settings.source_url, settings.tls_ca_file.as_deref())?;
        let source = connections.connect(Session::Scan).await?;
        storage::set_up_for_one_tenancy(&source).await?;
        let clickhouse = DestinationId::clickhouse();
        let mut placed = storage::placed(&source, &asked, &clickhouse).await?;
        let mapping = placed.pop().ok_or(VerifyError::OtherDefinitions("are none"))?;
        storage::refuse_row_security(&source, &[&mapping]).await?;
        let (place, neighbours) = storage::place(&source, options.tenant)
            .await?
            .ok_or_else(|| VerifyError::UnknownTenants(vec![options.tenant]))?;
        let shape = Shape::of(&mapping);
        let mut side = Self { mapping, neighbours: 0, shape, tenant: options.tenant, source, holder: Holder::Source };
        match options.side {
            SideChoice::Source => {}
            SideChoice::Destination(DestinationChoice::ClickHouse) => {
                side.is_filled(&clickhouse, Whose::Everybodys).await?;
                let held = ClickHouse::connect(&settings.clickhouse, settings.tls_ca_file.as_deref())?;
                held.check_version().await?;
                side.holder = Holder::ClickHouse(Box::new(held), [place]);
                side.neighbours = neighbours;
            }
            SideChoice::Destination(DestinationChoice::Tenants(id)) => {
                side.holder = Holder::Own(Box::new(side.own(settings, &connections, id).await?));
            }
        }
        Ok(side)
    }

    async fn own(&self, settings: &Settings, source: &Source, id: Uuid) -> Result<Postgres, VerifyError> {
        let control = source.connect_diesel(Session::Control).await?;
        let all = registry::list(&control, None).await?.into_iter().map(|one| one.setup);
        let mut found = all.filter(|setup| setup.id == id && setup.tenancy == self.tenant);
        let setup = found.next().ok_or(VerifyError::UnknownDestination(id))?;
        let name = &self.mapping.name;
        self.is_filled(&setup.destination_id(), Whose::Own(self.tenant)).await?;
        let held = Opener::new(settings).open(&setup).map_err(VerifyError::NotOpened)?;
        let states = held.found_states(std::slice::from_ref(name)).await?;
        match states.get(name) {
            Some(MappingState::At(_)) if setup.takes(name.as_str()) => Ok(held),
            _ => Err(VerifyError::NotFilled { mapping: name.to_string(), destination: id.to_string() }),
        }
    }

    async fn is_filled(&self, destination: &DestinationId, whose: Whose) -> Result<(), VerifyError> {
        if storage::is_filled(&self.source, &self.mapping, destination, whose).await? {
            return Ok(());
        }
        let (mapping, destination) = (self.mapping.name.to_string(), destination.to_string());
        Err(VerifyError::NotFilled { mapping, destination })
    }

    /// Every row, in the order of the bytes of its key.
    pub(crate) fn rows(&self) -> SideRows<'_> {
        match &self.holder {
            Holder::Source => {
                let sql = Whose::Own(self.tenant).rows(&self.mapping, Scope::All, Part::Without(&[]));
                let opening = async move { SourceRows::open(&self.source, &sql, &self.shape).await };
                Box::pin(stream::once(opening).map_ok(streamed).try_flatten())
            }
            Holder::ClickHouse(held, places) => {
                Box::pin(held.rows(&self.mapping, Scope::Locations(places)).map_err(VerifyError::from))
            }
            Holder::Own(held) => Box::pin(held.rows(&self.mapping, Scope::All).map_err(VerifyError::from)),
        }
    }
}

fn streamed<'s>(rows: SourceRows<'s>) -> impl Stream<Item = Result<Row, VerifyError>> + Send + 's {
    stream::try_unfold(rows, |mut rows| async move { Ok(rows.next().await?.map(|row| (row, rows))) })
}
