//! What is seen of the source, however much there is of it.

use anyhow::Result;
use lockstep_operations::{Deployment, OwnDatabases, freshness, mappings};
use lockstep_testkit::databases::eventually;

use crate::fixture::{DEADLINE, Fixture, Options};

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_news_is_found_behind_any_number_of_passes() -> Result<()> {
    const PASSES: u32 = 12_000;
    let fixture = Fixture::start(Options::default()).await?;
    // One a second, each with a change: of users the first half, of teams the others. Most were thinned out since.
    let many = format!(
        "INSERT INTO lockstep.pass (last_sequence, consumed, passed_at)
SELECT n, '1:1:', clock_timestamp() - make_interval(secs => 2 * {PASSES} - n) FROM generate_series(1, {PASSES}) n;
INSERT INTO lockstep.change (sequence, tenancy_id, mapping, uuid_1)
SELECT n, md5(n::text)::uuid, (SELECT id FROM lockstep.target WHERE name = CASE WHEN n <= 6000 THEN 'users' ELSE 'teams' END), md5(n::text)::uuid
FROM generate_series(1, {PASSES}) n;
DELETE FROM lockstep.pass WHERE last_sequence BETWEEN 101 AND 3000 AND last_sequence % 60 <> 0"
    );
    fixture.client.batch_execute(&many).await?;
    let deployment = Deployment::connect(fixture.reading, fixture.mappings).await?;
    let is = |age: Option<f64>, about_s: u32| {
        let about_s = f64::from(about_s);
        age.is_some_and(|age| (about_s..about_s + DEADLINE.as_secs_f64()).contains(&age))
    };
    let seen = freshness(&deployment).await?;
    assert!(is(seen.oldest_news_s, 2 * PASSES - 1), "{seen:?}");
    let all = mappings(&deployment).await?.mappings;
    let oldest = |name: &str| all.iter().find(|mapping| mapping.name == name).and_then(|mapping| mapping.oldest_s);
    assert!(is(oldest("users"), 2 * PASSES - 1), "{:?}", oldest("users"));
    assert!(is(oldest("teams"), 2 * PASSES - 6001), "{:?}", oldest("teams"));
    fixture.client.batch_execute("INSERT INTO lockstep.destination (name, passed) VALUES ('clickhouse', 150) ON CONFLICT (name) DO UPDATE SET passed = 150").await?;
    let seen = freshness(&deployment).await?;
    assert!(is(seen.oldest_news_s, 2 * PASSES - 180), "the next pass that is kept: {seen:?}");
    fixture.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_mapping_tells_how_tenants_own_databases_are_with_it() -> Result<()> {
    let fixture = Fixture::start(Options::default()).await?;
    let id = |n: u8| format!("00000000-0000-4000-8000-00000000000{n}");
    for n in 1..=7 {
        // The last takes teams alone.
        let mappings = if n == 7 { "ARRAY['teams']" } else { "NULL" };
        let add = format!(
            "INSERT INTO lockstep.tenant_destination (id, tenancy_id, kind, mappings, key_id, connection, host, port, database_name, user_name)
VALUES ('{}', md5('{n}')::uuid, 'postgres', {mappings}, 'k', '', 'db.example.com', 5432, 'app', 'lockstep')",
            id(n)
        );
        fixture.client.batch_execute(&add).await?;
    }
    let states = format!(
        "INSERT INTO lockstep.tenant_mapping (destination_id, mapping_name, state) SELECT id, 'users', 'streaming' FROM lockstep.tenant_destination WHERE id <> '{new}' AND mappings IS NULL;
UPDATE lockstep.tenant_mapping SET state = 'stopped' WHERE destination_id = '{stopped}';
UPDATE lockstep.tenant_destination SET failing_since = now() WHERE id IN ('{failing}', '{paused}');
INSERT INTO lockstep.pause (kind, name, reason) VALUES ('tenancy', (SELECT tenancy_id::text FROM lockstep.tenant_destination WHERE id = '{paused}'), 'a test');
INSERT INTO lockstep.quarantine (destination, mapping_name, tenancy_id, sequence, code, error, uuid_1) VALUES
  ('{refused}', 'users', md5('4')::uuid, 1, 'LS-0203', 'no', md5('1')::uuid), ('clickhouse', 'users', md5('1')::uuid, 1, 'LS-0203', 'no', md5('1')::uuid)",
        new = id(1),
        stopped = id(2),
        failing = id(3),
        refused = id(4),
        paused = id(5),
    );
    fixture.client.batch_execute(&states).await?;
    let deployment = Deployment::connect(fixture.reading, fixture.mappings).await?;
    let all = mappings(&deployment).await?.mappings;
    let own = |name: &str| all.iter().find(|mapping| mapping.name == name).map(|mapping| mapping.own_databases);
    let one_each =
        OwnDatabases { total: 6, paused: 1, failing: 1, stopped: 1, refused: 1, filling: 1, holding: 1, is_cut: false };
    assert_eq!(own("users"), Some(one_each));
    let none_there = OwnDatabases { total: 7, paused: 1, failing: 1, filling: 5, ..OwnDatabases::default() };
    assert_eq!(own("teams"), Some(none_there));
    fixture.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_show_what_holds_what_was_and_who_was_told() -> Result<()> {
    let fixture = Fixture::start(Options::default()).await?;
    let is_shown = async |what: &str| {
        eventually(what, DEADLINE, async || Ok(fixture.get("/operations").await?.text.contains(what))).await
    };
    is_shown("LOCKSTEP_EVENTS_TO").await?;
    // What holds began before everything else.
    let many = r#"INSERT INTO lockstep.event_sink (sink, stopped_at) VALUES ('chat', NULL), ('gone', now()), ('<b>log</b>', NULL), ('pager', NULL);
INSERT INTO lockstep.event (kind, subject, state, open, body) VALUES ('destination_down', '<script>x</script>', 'raised', TRUE, '{"look": "lockstep destination show ID"}');
INSERT INTO lockstep.event (kind, subject, state, open, body) SELECT 'paused', 'mapping m' || n, 'raised', FALSE, '{}' FROM generate_series(2, 30) n;
INSERT INTO lockstep.event (kind, subject, state, open, body) VALUES ('paused', 'mapping m30', 'resolved', FALSE, '{"raised_by": 30}');
INSERT INTO lockstep.event_delivery (event_id, sink, delivered_at, next_at) SELECT e.id, 'chat', '2026-01-02 03:04:05Z', NULL FROM lockstep.event e;
INSERT INTO lockstep.event_delivery (event_id, sink) SELECT e.id, 'gone' FROM lockstep.event e WHERE id > 29;
INSERT INTO lockstep.event_delivery (event_id, sink, attempts, last_error, next_at) VALUES (31, '<b>log</b>', 2, 'disk', '2026-01-02 04:04:05Z');
INSERT INTO lockstep.event_delivery (event_id, sink, attempts, last_error, next_at) VALUES (31, 'pager', 8, 'http_503', NULL)"#;
    fixture.client.batch_execute(many).await?;
    // A sample asks for sinks before it asks for events: one that was under way may have one of both.
    is_shown("lockstep events resume gone").await?;
    is_shown("mapping m30").await?;
    let page = fixture.get("/operations").await?.text;
    let (_, events) = page.split_once("<div id=\"events\">").unwrap();
    let (events, sinks) = events.split_once("Who is told").unwrap();
    let rows: Vec<_> = events.split("<tr>").skip(2).collect();
    assert_eq!(rows.len(), 21, "what holds, and the last 20: {events}");
    let open = rows[0];
    assert!(open.contains("<td class=\"n\">1</td>") && open.contains("holds since then"), "{open}");
    assert!(open.contains("&#60;script&#62;") && open.contains("<code>lockstep destination show ID</code>"), "{open}");
    assert!(
        rows[1].contains("ended, what began with 30") && rows[1].contains("&#60;b&#62;log&#60;/b&#62;, gone, pager"),
        "{}",
        rows[1]
    );
    assert!(rows[2].contains("began, and is over") && events.contains("lockstep events list"), "{events}");
    let row =
        |sink: &str| sinks.split("<tr>").find(|row| row.starts_with(&format!("<th scope=\"row\">{sink}<"))).unwrap();
    assert!(
        row("chat").contains("has everything")
            && row("chat").contains("event 31, <time datetime=\"2026-01-02T03:04:05Z\""),
        "{sinks}"
    );
    assert!(row("gone").contains("410") && row("gone").contains("<code>lockstep events resume gone</code>"), "{sinks}");
    assert!(row("gone").contains("nothing") && row("gone").contains("<td class=\"n\">2, for "), "{sinks}");
    let log = row("&#60;b&#62;log&#60;/b&#62;");
    assert!(
        log.contains("(disk); the next is at 2026-01-02T04:04:05Z") && log.contains("events retry --sink &#39;"),
        "{log}"
    );
    assert!(
        row("pager").contains("(http_503)") && row("pager").contains("<code>lockstep events retry --sink pager</code>"),
        "{sinks}"
    );
    fixture.end().await
}
