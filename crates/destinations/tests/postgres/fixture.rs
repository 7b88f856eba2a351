//! A database of the test's own as a tenant's, with rows of `team_member_profiles`.

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use lockstep_core::settings::DestinationTls;
use lockstep_core::{DestinationId, MappingName, SequenceId, TenancyId};
use lockstep_destinations::postgres::{
    ConnectionString, FillPage, FillPosition, MappingState, Network, Prepared, Timeouts,
};
use lockstep_destinations::{
    DestinationError, Ended, Moment, PageStart, PageWriter, Postgres, WriteLimits, WriteWindow,
};
use lockstep_mappings::codec::{CodecError, CopyReader, Row};
use lockstep_mappings::{Mapping, MappingSet};
use lockstep_testkit::databases::{TestDatabase, services};
use secrecy::SecretString;
use tokio_postgres::Client;
use uuid::Uuid;

/// What a test gets.
pub(crate) struct Fixture {
    pub(crate) database: TestDatabase,
    /// Of the server, beside Lockstep.
    pub(crate) client: Client,
    pub(crate) postgres: Postgres,
    pub(crate) mapping: Arc<Mapping>,
    pub(crate) tenancy: TenancyId,
}

/// A row: its key, its number, and what it is called; `None` makes it a tombstone.
pub(crate) type Profile<'a> = (u128, i64, Option<&'a str>);

pub(crate) fn mapping(name: &str) -> Arc<Mapping> {
    let set = MappingSet::built_in();
    Arc::new(set.get(&name.parse::<MappingName>().unwrap()).unwrap().clone())
}

/// A network in which the machine itself is allowed, as nowhere else.
pub(crate) fn network() -> Arc<Network> {
    let allow: [IpNet; 2] = ["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
    Arc::new(Network::new(&allow, Vec::new(), None).unwrap())
}

/// A server of tests has no certificate.
pub(crate) fn string(url: &str) -> ConnectionString {
    let (url, _) = url.split_once('?').unwrap_or((url, ""));
    ConnectionString::parse(&SecretString::from(format!("{url}?sslmode=prefer")), DestinationTls::Prefer).unwrap()
}

pub(crate) fn timeouts() -> Timeouts {
    Timeouts { whole: Duration::from_secs(20), ..Timeouts::default() }
}

impl Fixture {
    /// A database without anything.
    pub(crate) async fn empty() -> Self {
        let database = TestDatabase::create_on(services().unwrap().source_url).await.unwrap();
        let client = database.connect().await.unwrap();
        let tenancy = TenancyId::new(Uuid::from_u128(7));
        let postgres = another(database.url(), tenancy);
        Self { database, client, postgres, mapping: mapping("team_member_profiles"), tenancy }
    }

    /// One with the table, that was filled without a row: its cursor is at 1.
    pub(crate) async fn filled() -> Self {
        let fixture = Self::empty().await;
        assert_eq!(fixture.postgres.prepare(&fixture.mapping).await.unwrap(), Prepared::Created);
        fixture.fill(1, &[]).await;
        fixture
    }

    /// The same database by another process.
    pub(crate) fn another(&self) -> Postgres {
        another(self.database.url(), self.tenancy)
    }

    pub(crate) async fn run(&self, sql: &str) {
        self.client.batch_execute(sql).await.unwrap();
    }

    /// One number.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        self.client.query_one(sql, &[]).await.unwrap().get(0)
    }

    pub(crate) fn start<'a>(&'a self, from: &'a [(TenancyId, SequenceId)]) -> PageStart<'a> {
        PageStart { mapping: &self.mapping, from, window: fresh(), limits: WriteLimits::default() }
    }

    /// Writes a page that was read above `from` up to `until`.
    pub(crate) async fn page(&self, from: i64, until: i64, rows: &[Profile<'_>]) -> Result<(), DestinationError> {
        use lockstep_destinations::Destination;
        let from = [(self.tenancy, SequenceId::new(from))];
        let mut page = self.postgres.open_page(self.start(&from));
        push(&mut page, &self.mapping, self.tenancy, rows).unwrap();
        let ended = page.end(&[(self.tenancy, SequenceId::new(until))]).await?;
        assert_eq!(ended, Ended::CursorsMoved);
        Ok(())
    }

    pub(crate) fn fill_page(&self, from: &FillPosition, rows: &[Profile<'_>]) -> FillPage {
        let mut page = self.postgres.open_fill_page(self.start(&[]), from);
        push(&mut page, &self.mapping, self.tenancy, rows).unwrap();
        page
    }

    /// A whole fill in one page.
    pub(crate) async fn fill(&self, version: i64, rows: &[Profile<'_>]) {
        let from = self.postgres.begin_fill(&self.mapping, SequenceId::new(version)).await.unwrap();
        let mut page = self.fill_page(&from, rows);
        page.is_last();
        let _ = page.end(&[]).await.unwrap();
    }

    pub(crate) async fn state(&self) -> MappingState {
        let mut states = self.postgres.states(std::slice::from_ref(&self.mapping.name)).await.unwrap();
        states.remove(&self.mapping.name).unwrap()
    }

    pub(crate) async fn at(&self) -> i64 {
        match self.state().await {
            MappingState::At(at) => at.get(),
            other => panic!("{other:?}"),
        }
    }

    /// What a reader sees: keys and names, in order.
    pub(crate) async fn shown(&self) -> Vec<(u128, String)> {
        let rows = self.client.query(
            "SELECT user_id::text, COALESCE(display_name, '') FROM public.team_member_profiles ORDER BY user_id",
            &[],
        );
        let of = |row: tokio_postgres::Row| {
            let id: Uuid = row.get::<_, String>(0).parse().unwrap();
            (id.as_u128(), row.get(1))
        };
        rows.await.unwrap().into_iter().map(of).collect()
    }

    pub(crate) async fn shows(&self, expected: &[(u128, &str)]) {
        let expected: Vec<_> = expected.iter().map(|(key, name)| (*key, (*name).to_owned())).collect();
        assert_eq!(self.shown().await, expected);
    }

    pub(crate) async fn end(self) {
        drop(self.client);
        self.database.remove().await.unwrap();
    }
}

pub(crate) fn another(url: &str, tenancy: TenancyId) -> Postgres {
    let id = DestinationId::tenant(Uuid::from_u128(1));
    Postgres::with_timeouts(id, tenancy, string(url), network(), timeouts())
}

pub(crate) fn fresh() -> WriteWindow {
    WriteWindow::new(Moment::now(), Duration::from_secs(120))
}

/// Rows as they leave the source: fields of tenancy, project, branch, the mapping's columns, number and tombstone.
pub(crate) fn copy_of(tenancy: TenancyId, columns: &[Option<Vec<u8>>], number: i64, deleted: bool) -> Vec<u8> {
    let mut fields = vec![
        Some(tenancy.to_string().parse::<Uuid>().unwrap().as_bytes().to_vec()),
        Some(b"project".to_vec()),
        Some(b"main".to_vec()),
    ];
    fields.extend_from_slice(columns);
    fields.push(Some(number.to_be_bytes().to_vec()));
    fields.push(Some(i16::from(deleted).to_be_bytes().to_vec()));
    let mut copy = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
    copy.extend(i16::try_from(fields.len()).unwrap().to_be_bytes());
    for field in fields {
        copy.extend(field.as_ref().map_or(-1, |field| i32::try_from(field.len()).unwrap()).to_be_bytes());
        copy.extend(field.unwrap_or_default());
    }
    copy
}

fn profile(tenancy: TenancyId, (key, number, name): Profile<'_>) -> Vec<u8> {
    let id = Some(Uuid::from_u128(key).as_bytes().to_vec());
    let name_bytes = name.map(|name| name.as_bytes().to_vec());
    copy_of(tenancy, &[id.clone(), id, name_bytes, None, Some(vec![0; 8])], number, name.is_none())
}

/// Gives `each` a row.
pub(crate) fn with_row(
    mapping: &Mapping,
    copy: &[u8],
    mut each: impl FnMut(&Row<'_>) -> Result<(), CodecError>,
) -> Result<(), CodecError> {
    CopyReader::default().rows::<CodecError>(copy, |fields| each(&Row::read(fields, mapping)?))
}

pub(crate) fn push(
    page: &mut impl PageWriter,
    mapping: &Mapping,
    tenancy: TenancyId,
    rows: &[Profile<'_>],
) -> Result<(), CodecError> {
    rows.iter().try_for_each(|row| with_row(mapping, &profile(tenancy, *row), |row| page.push(row)))
}

/// Passes a row over.
pub(crate) fn pass_over(page: &mut FillPage, mapping: &Mapping, tenancy: TenancyId, row: Profile<'_>) {
    with_row(mapping, &profile(tenancy, row), |row| page.pass_over(row)).unwrap();
}
