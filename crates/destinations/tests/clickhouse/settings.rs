//! Statements mean the same whatever the profile of Lockstep's user says.

use std::time::Duration;

use lockstep_core::{SequenceId, TenancyId};
use lockstep_destinations::clickhouse::Timeouts;
use lockstep_destinations::{ClickHouse, Destination, Failure, Moment, Selection, WriteWindow};
use lockstep_mappings::clickhouse::cursor_table;
use lockstep_testkit::databases::PrivateClickHouse;
use lockstep_testkit::proxy::{Mode, Proxy};
use uuid::Uuid;

use crate::fixture::{encode_rows, insert_all, settings};

/// A profile for people, and two that cannot be left: one keeps limits, the other what statements mean.
const PROFILES: &str = "<clickhouse><profiles>
<people>
  <max_rows_to_read>1000</max_rows_to_read><read_overflow_mode>break</read_overflow_mode>
  <max_result_rows>100</max_result_rows><result_overflow_mode>break</result_overflow_mode>
  <max_execution_time>1</max_execution_time><timeout_overflow_mode>break</timeout_overflow_mode>
  <max_rows_to_group_by>10</max_rows_to_group_by><group_by_overflow_mode>any</group_by_overflow_mode>
  <limit>7</limit><offset>3</offset><final>1</final><extremes>1</extremes>
  <additional_table_filters>{'raw.rows': 'id &lt; 5', 'raw._stack_sync_metadata': '0'}</additional_table_filters>
  <additional_result_filter>1 = 0</additional_result_filter>
  <use_query_cache>1</use_query_cache><async_insert>1</async_insert><wait_for_async_insert>0</wait_for_async_insert>
  <output_format_json_quote_64bit_integers>1</output_format_json_quote_64bit_integers>
  <session_timezone>Asia/Tokyo</session_timezone>
</people>
<limited><max_result_rows>3</max_result_rows><constraints><max_result_rows><readonly/></max_result_rows></constraints></limited>
<fixed><final>1</final><limit>1</limit><constraints><final><readonly/></final></constraints></fixed>
</profiles><users>
<people><password></password><profile>people</profile><quota>default</quota></people>
<limited><password></password><profile>limited</profile><quota>default</quota></limited>
<fixed><password></password><profile>fixed</profile><quota>default</quota></fixed>
</users></clickhouse>";

const INSERT: &str = "INSERT INTO raw.rows (id, name) FORMAT RowBinary";

/// A server with these profiles, the table `raw.rows` and the one of cursors.
#[allow(clippy::print_stderr, reason = "told in the output of the test")]
async fn server() -> Option<PrivateClickHouse> {
    let server = PrivateClickHouse::start(&[PROFILES.to_owned()]).await.unwrap();
    let Some(server) = server else {
        eprintln!("There is no ClickHouse to start here: profiles are not exercised.");
        return None;
    };
    let everybody = server.client("raw", "views").unwrap();
    let mut statements = vec!["CREATE DATABASE raw".to_owned()];
    statements.push("CREATE TABLE raw.rows (id UInt64, name String) ENGINE = MergeTree ORDER BY id".to_owned());
    statements.extend(cursor_table(everybody.databases()).create());
    for statement in statements {
        everybody.execute(&statement).await.unwrap();
    }
    Some(server)
}

async fn count(clickhouse: &ClickHouse) -> u64 {
    clickhouse.fetch_rows::<(u64,)>("SELECT count() FROM raw.rows").await.unwrap()[0].0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_for_people_cuts_nothing_short_and_filters_nothing() {
    let Some(server) = server().await else { return };
    let people = server.client_as("people", "raw", "views").unwrap();
    insert_all(&people, INSERT, [encode_rows(0..5000, "a name")]).await.unwrap();
    assert_eq!(count(&people).await, 5000);
    let ids: Vec<(u64,)> = people.fetch_rows("SELECT id FROM raw.rows ORDER BY id").await.unwrap();
    assert_eq!(ids.len(), 5000);
    people.execute("TRUNCATE TABLE raw.rows").await.unwrap();
    assert_eq!(count(&people).await, 0, "an answer from a cache");
    let tenancies: Vec<_> = (0..300).map(|number| TenancyId::new(Uuid::from_u128(number))).collect();
    let cursors: Vec<_> = tenancies.iter().map(|id| (*id, "users".parse().unwrap(), SequenceId::new(7))).collect();
    let window = WriteWindow::new(Moment::now(), Duration::from_secs(600));
    people.advance(&cursors, window).await.unwrap();
    let found = people.cursors(Selection::These(&tenancies), Selection::All).await.unwrap();
    assert_eq!(found.len(), 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_insert_that_reaches_its_deadline_is_no_success_with_some_rows() {
    let Some(server) = server().await else { return };
    let (proxy, url) = Proxy::before(server.url()).await.unwrap();
    let mut through = settings(&url, "raw");
    "people".clone_into(&mut through.user);
    let impatient = Timeouts { insert_end: Duration::from_secs(2), ..Timeouts::default() };
    let people = ClickHouse::connect(&through, None).unwrap().with_timeouts(impatient);
    people.ping().await.unwrap();
    proxy.set(Mode::Delay(Duration::from_millis(100)));
    // 2 s of the proxy's, and the deadline is one.
    let rows = encode_rows(0..2500, &"x".repeat(120));
    let chunks = (0..20).map(|number| rows.slice(number * (rows.len() / 20)..(number + 1) * (rows.len() / 20)));
    let ended = insert_all(&people, INSERT, chunks).await;
    proxy.set(Mode::Pass);
    let rows = count(&server.client("raw", "views").unwrap()).await;
    assert!(rows == 2500 || rows == 0 && ended.is_err(), "{ended:?} with {rows} rows");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_profile_keeps_is_named_before_anything_is_asked() {
    let Some(server) = server().await else { return };
    let limited = server.client_as("limited", "raw", "views").unwrap();
    assert_eq!(limited.kept_limits().await.unwrap(), [("max_result_rows".to_owned(), "3".to_owned())]);
    let too_many = limited.fetch_text("SELECT number FROM numbers(10)").await.unwrap_err();
    assert_eq!(too_many.server_code(), Some(396), "a limit that is reached fails: {too_many}");
    let fixed = server.client_as("fixed", "raw", "views").unwrap();
    let refused = fixed.fetch_text("SELECT 1").await.unwrap_err();
    assert_eq!((refused.failure(), refused.code()), (Failure::Constrained, "LS-0210"));
    let said = refused.to_string();
    assert!(said.contains("final (is 1, has to be 0)"), "{said}");
    assert!(fixed.check_version().await.is_err_and(|error| error.failure() == Failure::Constrained));
}

/// Somebody changes the profile while programs run.
#[tokio::test(flavor = "multi_thread")]
async fn a_profile_that_is_changed_later_is_noticed() {
    let Some(mut server) = server().await else { return };
    let user = "<users><later><password></password><profile>later</profile><quota>default</quota></later></users>";
    let with = |profile: &str| {
        let later = format!("<clickhouse><profiles><later>{profile}</later></profiles>{user}</clickhouse>");
        [PROFILES.to_owned(), later]
    };
    server.restart(&with("")).await.unwrap();
    let later = server.client_as("later", "raw", "views").unwrap();
    assert_eq!(count(&later).await, 0);
    // A limit that is kept: one statement may find out by failing.
    let limited =
        "<max_result_rows>3</max_result_rows><constraints><max_result_rows><readonly/></max_result_rows></constraints>";
    server.restart(&with(limited)).await.unwrap();
    let first = later.execute("SELECT 1").await;
    assert!(first.is_err_and(|error| error.failure() == Failure::Misconfigured));
    assert_eq!(count(&later).await, 0);
    assert_eq!(later.kept_limits().await.unwrap(), [("max_result_rows".to_owned(), "3".to_owned())]);
    // What changes meanings is named, by whatever is asked next.
    server.restart(&with("<final>1</final><constraints><final><readonly/></final></constraints>")).await.unwrap();
    assert!(later.execute("SELECT 1").await.is_err());
    let refused = later.fetch_text("SELECT 1").await.unwrap_err();
    assert_eq!(refused.code(), "LS-0210", "{refused}");
    assert!(refused.to_string().contains("final (is 1, has to be 0)"), "{refused}");
    server.restart(&with("")).await.unwrap();
    assert_eq!(count(&later).await, 0);
}
