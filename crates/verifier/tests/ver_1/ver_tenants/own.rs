//! A tenant's own database for one test, registered, and the hands that fill it and keep it in step.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use lockstep_core::secret_keys::{Holder, KeyRing};
use lockstep_core::settings::{DestinationSettings, DestinationTls};
use lockstep_core::{DestinationId, SequenceId, TenancyId};
use lockstep_destinations::postgres::{ConnectionString, Postgres, TlsPolicy, reach};
use lockstep_destinations::{Moment, PageStart, PageWriter, WriteLimits, WriteWindow};
use lockstep_mappings::Mapping;
use lockstep_mappings::codec::{CodecError, CopyReader, Row};
use lockstep_mappings::postgres::fetch::{PageLimits, ReadFrom, own_page};
use lockstep_mappings::postgres::tenant_fill::{self, TenantPage};
use lockstep_schema::tenant_destinations::{self as registry, Address, Setup};
use lockstep_schema::{Session, Source};
use lockstep_testkit::databases::{TestDatabase, unique_suffix};
use lockstep_testkit::proxy::Proxy;
use lockstep_verifier::DestinationReport;
use secrecy::SecretString;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::fixture::Fixture;

const HEAD: &str = "SELECT last_sequence FROM lockstep.pass ORDER BY id DESC LIMIT 1";

/// A database of one tenancy, behind a proxy: the server that the source is on is never connected to directly.
pub(super) struct Own {
    pub(super) id: Uuid,
    pub(super) database: TestDatabase,
    pub(super) client: Client,
    pub(super) proxy: Proxy,
    tenancy: TenancyId,
    postgres: Postgres,
}

/// Lets a fixture have destinations on this machine, whose connection strings are encrypted with a key of its own.
pub(super) fn allow_own(fixture: &mut Fixture) {
    let file = std::env::temp_dir().join(format!("lockstep-keys-{}", unique_suffix()));
    std::fs::write(&file, "1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let (allow, tls) = (vec!["127.0.0.0/8".parse().unwrap()], DestinationTls::Prefer);
    fixture.settings.destinations = DestinationSettings { secret_key_file: Some(file), allow, tls };
}

impl Own {
    /// Registered for all mappings, or these, and filled with what the source holds.
    pub(super) async fn filled(fixture: &Fixture, tenancy: Uuid, mappings: Option<&[&str]>) -> Self {
        let own = Self::registered(fixture, tenancy, mappings, "postgres").await;
        for mapping in fixture.set.iter().filter(|of| mappings.is_none_or(|names| names.contains(&of.name.as_str()))) {
            own.fill(fixture, mapping).await;
        }
        own
    }

    /// Registered, with a user of this name, and empty.
    async fn registered(fixture: &Fixture, tenancy: Uuid, mappings: Option<&[&str]>, user: &str) -> Self {
        let database = TestDatabase::create().await.unwrap();
        let (proxy, url) = Proxy::before(database.url()).await.unwrap();
        let id = Uuid::from_u128(u128::from_str_radix(&unique_suffix(), 16).unwrap());
        let tenancy = TenancyId::new(tenancy);
        let connection = as_user(fixture, &Self::address(id, tenancy, mappings), &url, user, true).await;
        let network = Arc::new(reach(&fixture.settings).unwrap().0);
        let postgres = Postgres::new(DestinationId::tenant(id), tenancy, connection, network);
        let client = database.connect().await.unwrap();
        Self { id, database, client, proxy, tenancy, postgres }
    }

    fn address(id: Uuid, tenancy: TenancyId, mappings: Option<&[&str]>) -> (Uuid, TenancyId, Option<Vec<String>>) {
        (id, tenancy, mappings.map(|names| names.iter().map(ToString::to_string).collect()))
    }

    /// From now on it is registered with another user of its server.
    pub(super) async fn register_as(&self, fixture: &Fixture, user: &str) {
        let url = self.proxy.url(self.database.url());
        as_user(fixture, &Self::address(self.id, self.tenancy, None), &url, user, false).await;
    }

    /// The first fill, whole.
    pub(super) async fn fill(&self, fixture: &Fixture, mapping: &Mapping) {
        let from = self.begin_fill(fixture, mapping).await;
        let page = TenantPage { tenancy: self.tenancy, after: None, rows: 100_000, version: from.version };
        let shared = Arc::new(mapping.clone());
        let mut writer = self.postgres.open_fill_page(start(&shared, &[]), &from);
        push(fixture, mapping, &tenant_fill::page(mapping, page), &mut writer).await;
        writer.is_last();
        let _ = writer.end(&[]).await.unwrap();
        let streams = format!(
            "INSERT INTO lockstep.tenant_mapping (destination_id, mapping_name, state) VALUES ('{}', '{}', 'streaming')
             ON CONFLICT (destination_id, mapping_name) DO UPDATE SET state = 'streaming'",
            self.id, mapping.name
        );
        fixture.run(&streams).await.unwrap();
    }

    pub(super) async fn begin_fill(
        &self,
        fixture: &Fixture,
        mapping: &Mapping,
    ) -> lockstep_destinations::postgres::FillPosition {
        self.postgres.prepare(mapping).await.unwrap();
        let head: i64 = fixture.client.query_one(HEAD, &[]).await.unwrap().get(0);
        self.postgres.begin_fill(mapping, SequenceId::new(head)).await.unwrap()
    }

    /// What a worker does with changes of a mapping: all of them, then the cursor.
    pub(super) async fn ship(&self, fixture: &Fixture, mapping: &Mapping) {
        let states = self.postgres.states(std::slice::from_ref(&mapping.name)).await.unwrap();
        let lockstep_destinations::postgres::MappingState::At(after) = states[&mapping.name] else {
            panic!("{} does not stream: {states:?}", mapping.name)
        };
        let head: i64 = fixture.client.query_one(HEAD, &[]).await.unwrap().get(0);
        let (from, shared) = ([(self.tenancy, after)], Arc::new(mapping.clone()));
        let mut writer = lockstep_destinations::Destination::open_page(&self.postgres, start(&shared, &from));
        let limits = PageLimits { tenancy_rows: 100_000, total_rows: 100_000 };
        let sql = own_page(mapping, &[ReadFrom { tenancy: self.tenancy, after }], limits);
        push(fixture, mapping, &sql, &mut writer).await;
        let _ = writer.end(&[(self.tenancy, SequenceId::new(head))]).await.unwrap();
    }

    /// As if everything had arrived.
    pub(super) async fn pretend(&self, fixture: &Fixture) {
        let head: i64 = fixture.client.query_one(HEAD, &[]).await.unwrap().get(0);
        self.run(&format!(r#"UPDATE public."_stack_sync_metadata" SET last_synced_sequence_id = {head}"#)).await;
    }

    pub(super) async fn run(&self, sql: &str) {
        self.client.batch_execute(sql).await.unwrap();
    }

    /// What was found of it.
    pub(super) fn of<'r>(&self, report: &'r lockstep_verifier::Report) -> &'r DestinationReport {
        report.destinations.iter().find(|one| one.id == self.id).unwrap()
    }
}

fn start<'a>(mapping: &'a Arc<Mapping>, from: &'a [(TenancyId, SequenceId)]) -> PageStart<'a> {
    let window = WriteWindow::new(Moment::now(), Duration::from_secs(3600));
    PageStart { mapping, from, window, limits: WriteLimits::default() }
}

/// Writes into the registry how a destination is reached, for the first time or anew.
async fn as_user(
    fixture: &Fixture,
    (id, tenancy, mappings): &(Uuid, TenancyId, Option<Vec<String>>),
    url: &str,
    user: &str,
    is_new: bool,
) -> ConnectionString {
    let (_, place) = url.rsplit_once('@').unwrap();
    let text = SecretString::from(format!("postgres://{user}@{place}?sslmode=prefer"));
    let keys = KeyRing::load(fixture.settings.destinations.secret_key_file.as_deref().unwrap()).unwrap();
    let sealed = keys.seal(&text, Holder { destination: *id, tenancy: *tenancy }).unwrap();
    let connection = ConnectionString::parse(&text, TlsPolicy::Prefer).unwrap();
    let address = Address {
        host: connection.host().to_owned(),
        port: connection.port(),
        database: connection.database().to_owned(),
        user: connection.user().to_owned(),
    };
    let setup = Setup { id: *id, tenancy: *tenancy, mappings: mappings.clone(), sealed, address };
    let source = Source::new(&fixture.settings.source_url, None).unwrap();
    let control = source.connect_diesel(Session::Control).await.unwrap();
    if is_new {
        registry::add(&control, &setup).await.unwrap();
    } else {
        assert!(registry::change(&control, &setup).await.unwrap());
    }
    connection
}

/// Reads rows of the source, and pushes them.
async fn push(fixture: &Fixture, mapping: &Mapping, sql: &str, writer: &mut impl PageWriter) {
    let mut stream = Box::pin(fixture.client.copy_out(sql).await.unwrap());
    let mut reader = CopyReader::default();
    while let Some(message) = stream.try_next().await.unwrap() {
        let pushed = reader.rows(&message, |fields| writer.push(&Row::read(fields, mapping)?));
        pushed.map_err(|error: CodecError| error).unwrap();
    }
    writer.send().await.unwrap();
}
