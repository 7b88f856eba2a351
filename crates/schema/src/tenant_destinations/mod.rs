//! Tenants' own destinations (`lockstep.tenant_destination`): who they are, and what is told of them.
//!
//! Their owner's connection string is stored sealed; what may be shown of it stands beside it. Every change to what workers go
//! by raises `revision`. Their mappings are in [`mappings`], questions about many at once in [`overview`].
//!
//! Each question fails where Postgres cannot be asked.

pub mod mappings;
pub mod overview;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Timestamptz};
use diesel_async::{AsyncConnection, RunQueryDsl};
use lockstep_core::secret_keys::{Holder, Sealed};
use lockstep_core::{DestinationId, TenancyId};
use lockstep_mappings::postgres::inbox::HEAD;
use uuid::Uuid;

use crate::connect::Control;
use crate::error::SourceError;
use crate::tables::{UTC, pause, quarantine, tenant_destination, to_char};

/// The one kind that there is.
const POSTGRES: &str = "postgres";

/// What is set about a destination.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Its id.
    pub id: Uuid,
    /// Whose it is.
    pub tenancy: TenancyId,
    /// The mappings that go there; all that there are, where it is `None`.
    pub mappings: Option<Vec<String>>,
    /// Its connection string, for [`Setup::holder`].
    pub sealed: Sealed,
    /// What may be shown of that.
    pub address: Address,
}

/// What may be shown of a connection string.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address {
    /// Host, as it was given.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Database.
    pub database: String,
    /// User.
    pub user: String,
}

/// A destination as it is written down. Times are in UTC.
#[derive(Clone, Debug)]
pub struct TenantDestination {
    /// What is set about it.
    pub setup: Setup,
    /// When it was added.
    pub added_at: String,
    /// Grows with every change to `setup`.
    pub revision: i64,
    /// How far it is.
    pub progress: Progress,
    /// Its circuit breaker.
    pub breaker: Breaker,
}

/// How far a destination is.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Progress {
    /// The highest number of a change of its tenancy that was noted.
    pub known: i64,
    /// Through which number it holds everything.
    pub passed: i64,
    /// There is work whatever the numbers say: a fill, or a first look.
    pub unfinished: bool,
    /// When something last went well there.
    pub last_success_at: Option<String>,
}

/// Failures in a row, which all workers take into account.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Breaker {
    /// How many.
    pub failures: i32,
    /// Since when; none where the last attempt went well.
    pub failing_since: Option<String>,
    /// When it may be tried again.
    pub retry_at: Option<String>,
    /// The code of the last failure.
    pub error_code: Option<String>,
    /// The last failure in words, without values.
    pub error: Option<String>,
}

impl Setup {
    /// For whom its connection string is sealed.
    pub const fn holder(&self) -> Holder {
        Holder { destination: self.id, tenancy: self.tenancy }
    }

    /// Its name in pauses, quarantine and erasures.
    pub fn destination_id(&self) -> DestinationId {
        DestinationId::tenant(self.id)
    }

    /// Whether a mapping goes there.
    pub fn takes(&self, mapping: &str) -> bool {
        self.mappings.as_ref().is_none_or(|mappings| mappings.iter().any(|name| name == mapping))
    }
}

type SetupRow = (Uuid, Uuid, Option<Vec<String>>, String, Vec<u8>, String, i32, String, String);
type ProgressRow = (i64, i64, bool, Option<String>);
type BreakerRow = (i32, Option<String>, Option<String>, Option<String>, Option<String>);
type Row = (SetupRow, String, i64, ProgressRow, BreakerRow);

/// The columns of [`Row`], in groups as the types have them.
macro_rules! columns {
    () => {
        (
            (
                tenant_destination::id,
                tenant_destination::tenancy_id,
                tenant_destination::mappings,
                tenant_destination::key_id,
                tenant_destination::connection,
                tenant_destination::host,
                tenant_destination::port,
                tenant_destination::database_name,
                tenant_destination::user_name,
            ),
            to_char(tenant_destination::added_at.nullable(), UTC).assume_not_null(),
            tenant_destination::revision,
            (
                tenant_destination::known,
                tenant_destination::passed,
                tenant_destination::unfinished,
                to_char(tenant_destination::last_success_at, UTC),
            ),
            (
                tenant_destination::failures,
                to_char(tenant_destination::failing_since, UTC),
                to_char(tenant_destination::retry_at, UTC),
                tenant_destination::error_code,
                tenant_destination::error,
            ),
        )
    };
}

impl From<Row> for TenantDestination {
    fn from((setup, added_at, revision, progress, breaker): Row) -> Self {
        let (id, tenancy, mappings, key_id, bytes, host, port, database, user) = setup;
        let (known, passed, unfinished, last_success_at) = progress;
        let (failures, failing_since, retry_at, error_code, error) = breaker;
        Self {
            setup: Setup {
                id,
                tenancy: TenancyId::new(tenancy),
                mappings,
                sealed: Sealed { key_id, bytes },
                // Only ports are written.
                address: Address { host, port: u16::try_from(port).unwrap_or_default(), database, user },
            },
            added_at,
            revision,
            progress: Progress { known, passed, unfinished, last_success_at },
            breaker: Breaker { failures, failing_since, retry_at, error_code, error },
        }
    }
}

/// One destination, if it is there.
pub async fn find(control: &Control, id: Uuid) -> Result<Option<TenantDestination>, SourceError> {
    let row = tenant_destination::table.find(id).select(columns!());
    let row: Option<Row> = row.first(&mut &*control).await.optional()?;
    Ok(row.map(TenantDestination::from))
}

/// Those of these that are there.
pub async fn find_all(control: &Control, ids: &[Uuid]) -> Result<Vec<TenantDestination>, SourceError> {
    let rows = tenant_destination::table.filter(tenant_destination::id.eq_any(ids)).select(columns!());
    let rows: Vec<Row> = rows.load(&mut &*control).await?;
    Ok(rows.into_iter().map(TenantDestination::from).collect())
}

/// All destinations, or those of a tenancy, in the order in which they were added.
pub async fn list(control: &Control, of: Option<TenancyId>) -> Result<Vec<TenantDestination>, SourceError> {
    let order = (tenant_destination::added_at, tenant_destination::id);
    let mut rows = tenant_destination::table.select(columns!()).order(order).into_boxed();
    if let Some(tenancy) = of {
        rows = rows.filter(tenant_destination::tenancy_id.eq(tenancy.as_uuid()));
    }
    let rows: Vec<Row> = rows.load(&mut &*control).await?;
    Ok(rows.into_iter().map(TenantDestination::from).collect())
}

/// Adds a destination. Changes before the present head are not kept for it: its first fill begins after them.
pub async fn add(control: &Control, setup: &Setup) -> Result<(), SourceError> {
    let row = (
        tenant_destination::id.eq(setup.id),
        tenant_destination::tenancy_id.eq(setup.tenancy.as_uuid()),
        tenant_destination::kind.eq(POSTGRES),
        tenant_destination::mappings.eq(setup.mappings.as_ref()),
        Connection::of(setup),
        tenant_destination::passed.eq(sql::<BigInt>(HEAD)),
    );
    diesel::insert_into(tenant_destination::table).values(row).execute(&mut &*control).await?;
    Ok(())
}

/// The columns that a connection string and what may be shown of it are in.
#[derive(Insertable, AsChangeset)]
#[diesel(table_name = tenant_destination)]
struct Connection<'a> {
    key_id: &'a str,
    connection: &'a [u8],
    host: &'a str,
    port: i32,
    database_name: &'a str,
    user_name: &'a str,
}

impl<'a> Connection<'a> {
    fn of(setup: &'a Setup) -> Self {
        let Setup { sealed, address, .. } = setup;
        Self {
            key_id: &sealed.key_id,
            connection: &sealed.bytes,
            host: &address.host,
            port: i32::from(address.port),
            database_name: &address.database,
            user_name: &address.user,
        }
    }
}

/// Changes mappings and connection of a destination to those of `setup`. What failed before is forgotten, so that it is tried
/// at once. Returns whether it is there.
pub async fn change(control: &Control, setup: &Setup) -> Result<bool, SourceError> {
    let changes = (
        tenant_destination::mappings.eq(setup.mappings.as_ref()),
        Connection::of(setup),
        tenant_destination::revision.eq(tenant_destination::revision + 1),
        tenant_destination::unfinished.eq(true),
        tenant_destination::failures.eq(0),
        tenant_destination::failing_since.eq(sql::<Nullable<Timestamptz>>("NULL")),
        tenant_destination::retry_at.eq(sql::<Nullable<Timestamptz>>("NULL")),
    );
    let row = tenant_destination::table.find(setup.id);
    Ok(diesel::update(row).set(changes).execute(&mut &*control).await? == 1)
}

/// Stores the same connection string sealed with another key, unless it was changed since `revision`. Workers go on with what
/// they have. Returns whether it was stored.
pub async fn reseal(control: &Control, id: Uuid, revision: i64, sealed: &Sealed) -> Result<bool, SourceError> {
    let row = tenant_destination::table.find(id).filter(tenant_destination::revision.eq(revision));
    let changes = (tenant_destination::key_id.eq(&sealed.key_id), tenant_destination::connection.eq(&sealed.bytes));
    Ok(diesel::update(row).set(changes).execute(&mut &*control).await? == 1)
}

/// Takes a destination out, with its pause and what it has refused. Returns whether it was there.
pub async fn remove(control: &mut Control, id: Uuid) -> Result<bool, SourceError> {
    let name = id.to_string();
    let removed = control.transaction(async |control| {
        diesel::delete(pause::table.find(("destination", &name))).execute(control).await?;
        diesel::delete(quarantine::table.filter(quarantine::destination.eq(&name))).execute(control).await?;
        diesel::delete(tenant_destination::table.find(id)).execute(control).await
    });
    let removed: Result<usize, diesel::result::Error> = removed.await;
    Ok(removed? == 1)
}
