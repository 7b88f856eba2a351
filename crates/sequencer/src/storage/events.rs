//! Events: what is so now, what was written down, and what is forgotten.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use lockstep_mappings::postgres::passes::first_beyond;
use lockstep_schema::events::{self, SinkState};
use lockstep_schema::verifications::latest::latest;
use lockstep_schema::{Session, Source, SourceError};
use serde_json::json;
use tokio_postgres::{Client, Row};

use crate::plan::events::{Condition, News, Topic};
use crate::upkeep::is_due;

/// Conditions of a kind that are looked at.
pub(crate) const LIMIT: usize = 1000;
/// Rows in quarantine are counted as far as that, of each mapping at each destination.
const COUNTED: i64 = 10_000;
/// How often that is looked at whose cost grows with rows.
const SLOWLY: Duration = Duration::from_secs(10);
const PRUNE_EVERY: Duration = Duration::from_secs(60);
/// How often it is counted what sinks do not have.
const COUNT_EVERY: Duration = Duration::from_secs(5);

/// What is so now: kind, subject, whether it lasts, and a body. `$1`: at most so many of a kind. A tenant's database is down once it
/// has failed for half a minute, a task fails once it has for a minute (one that never ran well, once its program has run for as long), and a pause is told of after an hour, or at once where
/// Lockstep has paused something by itself. Of a task that is not tried at the moment only the time counts in which it was: what was told
/// stays so until it is tried and does not fail, and one failure before a pause is not taken for a minute of them. ClickHouse is down where workers' sweep has not got through to it for half a minute, or
/// a worker is kept by it for as long and none sweeps: then what else fails for that is not told beside it. A sweep that has nothing to do is
/// written down every 20 seconds. Of programs of a role the one is told of that has been held up for longest; that no worker runs, once a
/// change has waited for half a minute. Texts of errors are left out: a code is enough.
const NOW: &str = "
WITH sweep AS (SELECT * FROM lockstep.task WHERE program = 'worker' AND name = 'sweep'),
lately AS (SELECT * FROM lockstep.instance WHERE seen_at > clock_timestamp() - interval '30 seconds'),
alive AS (SELECT * FROM lately WHERE NOT state ? 'stopped'),
held AS (SELECT id, role, seen_at, state #>> '{held_up,why}' AS why, (state #>> '{held_up,for_s}')::bigint AS for_s
  FROM alive WHERE (state #>> '{held_up,for_s}')::bigint >= 30),
away AS ((SELECT failed_at, last_run, error FROM sweep WHERE failed_at > COALESCE(last_run, '-infinity')
    AND COALESCE(last_run, '-infinity') < CASE WHEN waits_for IS NULL THEN clock_timestamp() ELSE failed_at END - interval '30 seconds'
    AND error ~ 'LS-020[124]: clickhouse ')
  UNION ALL (SELECT h.seen_at, (SELECT last_run FROM sweep), h.why FROM held h WHERE h.role = 'worker' AND h.why ~ 'LS-020[124]: clickhouse '
    AND NOT EXISTS (SELECT FROM sweep WHERE last_run > clock_timestamp() - interval '45 seconds') ORDER BY h.seen_at)
  LIMIT 1)
(SELECT 'destination_down', id::text, TRUE, jsonb_build_object('destination', id, 'tenancy', tenancy_id, 'code', error_code,
    'since', failing_since, 'failures', failures, 'means', 'shipping to it waits until it is back; nothing is lost',
    'look', 'lockstep destination show ' || id)
  FROM lockstep.tenant_destination WHERE failing_since < clock_timestamp() - interval '30 seconds' ORDER BY id LIMIT $1)
UNION ALL (SELECT 'destination_down', 'clickhouse', TRUE, jsonb_build_object('destination', 'clickhouse', 'failed_at', failed_at,
    'last_run', last_run, 'code', substring(error FROM 'LS-020[124]'), 'means', 'shipping to it waits until it is back; nothing is lost',
    'look', 'lockstep status') FROM away)
UNION ALL (SELECT 'program_held_up', role, TRUE, jsonb_build_object('program', role, 'instance', id,
    'since', seen_at - make_interval(secs => for_s), 'code', substring(why FROM 'LS-[0-9]{4}'),
    'means', 'what it does waits, unless others of its kind do it; nothing is lost', 'look', 'lockstep status')
  FROM (SELECT DISTINCT ON (role) * FROM held WHERE NOT (EXISTS (SELECT FROM away) AND why ~ 'LS-020[124]: clickhouse ')
    ORDER BY role, for_s DESC) longest)
UNION ALL (SELECT 'messages_put_off', 'worker', TRUE, jsonb_build_object('program', 'worker', 'instance', id,
    'code', substring(p->>'why' FROM 'LS-[0-9]{4}'),
    'means', 'rows of some tenants wait until what keeps them is mended; others are shipped', 'look', 'lockstep status')
  FROM alive, jsonb_array_elements(CASE jsonb_typeof(state->'put_off') WHEN 'array' THEN state->'put_off' END) p
  WHERE (p->>'through')::bigint > (SELECT passed FROM lockstep.destination WHERE name = 'clickhouse')
  ORDER BY (p->>'ago_s')::bigint LIMIT 1)
UNION ALL (SELECT 'no_worker', 'worker', TRUE, jsonb_build_object('program', 'worker', 'since', p.passed_at,
    'means', 'what has changed since is not shipped; nothing is lost', 'look', 'lockstep status')
  FROM (SELECT COALESCE(max(passed), 0) AS passed FROM lockstep.destination WHERE name = 'clickhouse') d, LATERAL {first_beyond} p
  WHERE p.passed_at < clock_timestamp() - interval '30 seconds' AND NOT EXISTS (SELECT FROM lately WHERE role = 'worker'))
UNION ALL (SELECT 'mapping_stopped', destination_id || ' ' || mapping_name, TRUE, jsonb_build_object('destination', destination_id,
    'mapping', mapping_name, 'code', error_code, 'look', 'lockstep destination show ' || destination_id)
  FROM lockstep.tenant_mapping WHERE state = 'stopped' ORDER BY destination_id, mapping_name LIMIT $1)
UNION ALL (SELECT 'erasure_done', id::text, FALSE, jsonb_build_object('erasure', id, 'tenancy', tenancy_id, 'destination', destination,
    'requested_at', requested_at, 'proven_at', proven_at, 'finished_at', finished_at, 'look', 'lockstep console')
  FROM lockstep.erasure e WHERE finished_at > clock_timestamp() - interval '1 day'
    AND NOT EXISTS (SELECT FROM lockstep.event v WHERE v.kind = 'erasure_done' AND v.subject = e.id::text) ORDER BY id LIMIT $1)
UNION ALL (SELECT 'needs_refill', name, TRUE, jsonb_build_object('destination', name, 'code', 'LS-0513', 'since', needs_refill_since,
    'look', 'lockstep status')
  FROM lockstep.destination WHERE needs_refill_since IS NOT NULL ORDER BY name LIMIT $1)
UNION ALL (SELECT 'paused', rtrim(kind || ' ' || name), TRUE, jsonb_build_object('part', kind, 'name', name, 'since', paused_at,
    'automatic', automatic, 'code', CASE WHEN automatic THEN substring(reason FROM '^LS-[0-9]{4}') END, 'look', 'lockstep paused')
  FROM lockstep.pause WHERE automatic OR paused_at < clock_timestamp() - interval '1 hour' ORDER BY kind, name LIMIT $1)
UNION ALL (SELECT 'task_failing', program || ' ' || name, TRUE, jsonb_build_object('program', program, 'task', name,
    'failed_at', failed_at, 'last_run', last_run, 'code', substring(error FROM 'LS-[0-9]{4}'), 'look', 'lockstep status')
  FROM lockstep.task WHERE failed_at > COALESCE(last_run, '-infinity')
    AND COALESCE(last_run, (SELECT min(started_at) FROM lockstep.instance WHERE role = program), '-infinity')
      < CASE WHEN waits_for IS NULL THEN clock_timestamp() ELSE failed_at END - interval '1 minute'
    AND NOT (EXISTS (SELECT FROM away) AND error ~ 'LS-020[124]: clickhouse ') ORDER BY program, name LIMIT $1)";

fn now() -> String {
    NOW.replace("{first_beyond}", &first_beyond("d.passed"))
}

/// The same of quarantine: the next mapping at a destination that has rows there, and again, each by one step in the primary key.
/// `$2`: how far its rows are counted.
const QUARANTINE: &str = "
WITH RECURSIVE of AS (
  (SELECT destination, mapping_name FROM lockstep.quarantine ORDER BY destination, mapping_name LIMIT 1)
  UNION ALL SELECT n.* FROM of, LATERAL (SELECT q.destination, q.mapping_name FROM lockstep.quarantine q
    WHERE (q.destination, q.mapping_name) > (of.destination, of.mapping_name) ORDER BY q.destination, q.mapping_name LIMIT 1) n)
SELECT 'quarantine', of.destination || ' ' || of.mapping_name, TRUE, jsonb_build_object('destination', of.destination,
    'mapping', of.mapping_name, 'code', r.code, 'since', r.since, 'rows', r.rows,
    'look', 'lockstep quarantine list --mapping ' || of.mapping_name)
  FROM (SELECT * FROM of LIMIT $1) of, LATERAL (SELECT min(c.code) AS code, min(c.first_refused_at) AS since, count(*) AS rows
    FROM (SELECT q.code, q.first_refused_at FROM lockstep.quarantine q
      WHERE q.destination = of.destination AND q.mapping_name = of.mapping_name LIMIT $2) c) r";

const VERIFICATION_DIFFERS: &str = "verification_differs";

const OPEN: &str = "SELECT kind, subject FROM lockstep.event WHERE open";

/// What is older than 30 days, and the oldest beyond 10,000. What is open stays; and what happened once stays for so long that it is
/// not taken for news again. Answers how many are gone, and how many of them a sink did not have.
const PRUNE: &str = "
WITH gone AS (DELETE FROM lockstep.event WHERE NOT open AND (at < clock_timestamp() - interval '30 days'
  OR id <= (SELECT id FROM lockstep.event ORDER BY id DESC OFFSET 10000 LIMIT 1)
    AND (state <> 'told' OR at < clock_timestamp() - interval '2 days')) RETURNING id)
SELECT count(*), count(*) FILTER (WHERE EXISTS (SELECT FROM lockstep.event_delivery d
    WHERE d.event_id = gone.id AND d.delivered_at IS NULL)) FROM gone";

/// Events that were forgotten.
pub(crate) struct Forgotten {
    pub(crate) all: i64,
    /// Those that a sink did not have.
    pub(crate) untold: i64,
}

/// The connection for events.
pub(crate) struct EventSession {
    pub(super) client: Client,
    /// What was so when it was looked at slowly.
    slow: Vec<Condition>,
    looked_slowly: Option<Instant>,
    pruned: Option<Instant>,
    counted: Option<Instant>,
}

impl EventSession {
    pub(crate) async fn open(source: &Source) -> Result<Self, SourceError> {
        let client = source.connect(Session::Control).await?;
        Ok(Self { client, slow: Vec::new(), looked_slowly: None, pruned: None, counted: None })
    }

    /// How far every sink is, where it is time to look.
    pub(crate) async fn sinks(&mut self) -> Result<Option<Vec<SinkState>>, SourceError> {
        Ok(if is_due(&mut self.counted, COUNT_EVERY) { Some(events::sinks(&self.client).await?) } else { None })
    }

    /// Everything that is so now.
    pub(crate) async fn now(&mut self) -> Result<Vec<Condition>, SourceError> {
        let limit = i64::try_from(LIMIT).unwrap_or(i64::MAX);
        let mut all = conditions(&self.client.query(&now(), &[&limit]).await?)?;
        if is_due(&mut self.looked_slowly, SLOWLY) {
            self.slow = conditions(&self.client.query(QUARANTINE, &[&limit, &COUNTED]).await?)?;
            let differs = latest(&self.client).await?.into_iter().filter(|latest| latest.verdict == "different");
            self.slow.extend(differs.map(|latest| Condition {
                topic: (VERIFICATION_DIFFERS.to_owned(), latest.mapping.clone()),
                lasts: true,
                body: json!({ "mapping": latest.mapping, "missing": latest.rows[0], "unexpected": latest.rows[1],
                    "different": latest.rows[2], "look": "lockstep verified" }),
            }));
        }
        all.extend(self.slow.iter().cloned());
        Ok(all)
    }

    /// What was told as raised, and not as resolved.
    pub(crate) async fn open_topics(&self) -> Result<BTreeSet<Topic>, SourceError> {
        let rows = self.client.query(OPEN, &[]).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    /// Writes events; returns the kinds of those that nobody else had written.
    pub(crate) async fn write(&self, news: &News) -> Result<Vec<String>, SourceError> {
        let mut written = Vec::new();
        for Condition { topic: (kind, subject), lasts, body } in &news.begun {
            if events::begin(&self.client, (kind, subject), *lasts, body).await?.is_some() {
                written.push(kind.clone());
            }
        }
        for (kind, subject) in &news.over {
            if events::end(&self.client, (kind, subject)).await? {
                written.push(kind.clone());
            }
        }
        Ok(written)
    }

    /// Forgets old events, now and then.
    pub(crate) async fn prune(&mut self) -> Result<Forgotten, SourceError> {
        if !is_due(&mut self.pruned, PRUNE_EVERY) {
            return Ok(Forgotten { all: 0, untold: 0 });
        }
        let row = self.client.query_one(PRUNE, &[]).await?;
        Ok(Forgotten { all: row.try_get(0)?, untold: row.try_get(1)? })
    }
}

fn conditions(rows: &[Row]) -> Result<Vec<Condition>, SourceError> {
    let condition = |row: &Row| {
        let topic = (row.try_get::<_, &str>(0)?.to_owned(), row.try_get(1)?);
        Ok(Condition { topic, lasts: row.try_get(2)?, body: row.try_get(3)? })
    };
    rows.iter().map(condition).collect()
}

#[cfg(test)]
mod tests {
    use lockstep_core::secret::SecretUrl;
    use lockstep_schema::events::KINDS;
    use lockstep_schema::migrations::{self, Migrations};
    use lockstep_testkit::databases::TestDatabase;

    use super::*;

    /// Commands refuse other kinds.
    #[test]
    fn every_kind_that_is_written_is_known() {
        let of_statement = |sql: &'static str| sql.split("SELECT '").skip(1).filter_map(|rest| rest.split('\'').next());
        let mut written: BTreeSet<_> = of_statement(NOW).chain(of_statement(QUARANTINE)).collect();
        // One comes of verifications, the other of a command.
        written.extend([VERIFICATION_DIFFERS, "test"]);
        assert_eq!(written, BTreeSet::from(KINDS));
    }

    /// A database with Lockstep's own tables.
    async fn set_up() -> (TestDatabase, Client) {
        let database = TestDatabase::create().await.unwrap();
        let source = Source::new(&SecretUrl::new(database.url()), None).unwrap();
        migrations::run(&source, Migrations::Control).await.unwrap();
        let client = database.connect().await.unwrap();
        (database, client)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn clickhouse_is_down_where_the_sweep_does_not_get_through_and_nothing_else_is_told_of_that() {
        let (database, client) = set_up().await;
        let told = async |tasks: &str| {
            let columns = "program, name, last_run, did, failed_at, error";
            told_of(&client, &format!("({columns}) SELECT program, name, now() - past, 0, now(), error FROM (VALUES {tasks}) t (program, name, past, error)")).await
        };
        let away = "interval '1 hour', 'LS-0201: clickhouse is not available: connection refused'";
        let other = "('worker', 'fill', interval '1 hour', 'LS-0012: Postgres: no')";
        let all = format!("('worker', 'sweep', {away}), ('worker', 'janitor', {away}), {other}");
        assert_eq!(told(&all).await, ["destination_down clickhouse", "task_failing worker fill"]);
        let janitor = format!("('worker', 'janitor', {away})");
        assert_eq!(told(&janitor).await, ["task_failing worker janitor"], "the sweep gets through");
        assert!(told(&format!("('worker', 'sweep', -{away})")).await.is_empty(), "it has got through since");
        drop(client);
        database.remove().await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_program_that_is_kept_from_its_work_is_told_of_after_half_a_minute_and_while_it_lives() {
        let (database, client) = set_up().await;
        let told = async |role: &str, seen_s: i32, why: &str, for_s: i32| {
            let state = json!({ "leads": role == "sequencer", "held_up": { "why": why, "for_s": for_s } });
            let instance =
                "TRUNCATE lockstep.instance; INSERT INTO lockstep.instance (id, role, version, seen_at, state) VALUES
                (gen_random_uuid(), '{role}', '', now() - make_interval(secs => {seen}), '{state}')";
            let instance = instance.replace("{role}", role).replace("{seen}", &seen_s.to_string());
            client.batch_execute(&instance.replace("{state}", &state.to_string())).await.unwrap();
            told_of(&client, "(program, name, last_run, did) VALUES ('worker', 'sweep', now() - interval '1 hour', 0)")
                .await
        };
        let away = "clickhouse: LS-0201: clickhouse is not available: connection refused";
        assert_eq!(told("worker", 5, away, 31).await, ["destination_down clickhouse"]);
        assert_eq!(told("sequencer", 5, "source: LS-0510: ahead", 31).await, ["program_held_up sequencer"]);
        assert_eq!(told("worker", 5, "queue: LS-0101: away", 99).await, ["program_held_up worker"]);
        for (role, seen_s, why, for_s) in
            [("worker", 5, away, 29), ("worker", 60, away, 99), ("sequencer", 60, "source: LS-0012: away", 99)]
        {
            assert!(told(role, seen_s, why, for_s).await.is_empty(), "{role} {why}, {for_s} s, seen before {seen_s} s");
        }
        drop(client);
        database.remove().await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_workers_put_off_and_that_none_is_there_is_told_while_changes_wait_for_it() {
        let (database, client) = set_up().await;
        let swept = "(program, name, last_run, did) VALUES ('worker', 'sweep', now(), 0)";
        let told = async |(passed, waits_s): (i64, i32), seen_s: i32, through: i64| {
            let state = json!({ "held_up": null, "put_off": [{ "why": "users: LS-0430: many", "through": through, "ago_s": 9 }] });
            let sql = "TRUNCATE lockstep.instance; INSERT INTO lockstep.destination (name, passed)
                VALUES ('clickhouse', {passed}) ON CONFLICT (name) DO UPDATE SET passed = excluded.passed;
                INSERT INTO lockstep.pass (last_sequence, consumed, passed_at) VALUES (20, '1:1:', now() - make_interval(secs => {waits}));
                INSERT INTO lockstep.instance (id, role, version, seen_at, state) VALUES
                (gen_random_uuid(), 'worker', '', now() - make_interval(secs => {seen}), '{state}')";
            let given =
                [("{passed}", passed.to_string()), ("{waits}", waits_s.to_string()), ("{seen}", seen_s.to_string())];
            let sql = given.iter().fold(sql.to_owned(), |sql, (name, value)| sql.replace(name, value));
            client.batch_execute("DELETE FROM lockstep.pass WHERE last_sequence = 20").await.unwrap();
            client.batch_execute(&sql.replace("{state}", &state.to_string())).await.unwrap();
            told_of(&client, swept).await
        };
        assert_eq!(told((19, 60), 5, 20).await, ["messages_put_off worker"]);
        assert!(told((19, 60), 5, 19).await.is_empty(), "that is passed");
        assert_eq!(told((19, 60), 60, 20).await, ["no_worker worker"], "what a silent one said is old");
        let stopped = r#"UPDATE lockstep.instance SET seen_at = now(), state = state || '{"stopped": true}'"#;
        client.batch_execute(stopped).await.unwrap();
        assert!(
            told_of(&client, swept).await.is_empty(),
            "it may be started again, and has put off what another does now"
        );
        for waits in [(20, 60), (19, 9)] {
            assert!(told(waits, 60, 20).await.is_empty(), "{waits:?}");
        }
        drop(client);
        database.remove().await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_task_that_never_ran_well_is_told_of_once_its_program_has_run_for_a_minute() {
        let (database, client) = set_up().await;
        for (ran_s, told) in [(20, &[][..]), (61, &["task_failing worker fill"])] {
            let instance =
                "TRUNCATE lockstep.instance; INSERT INTO lockstep.instance (id, role, version, started_at, state)
                VALUES (gen_random_uuid(), 'worker', '', now() - make_interval(secs => {ran_s}), '{}')";
            client.batch_execute(&instance.replace("{ran_s}", &ran_s.to_string())).await.unwrap();
            let failing =
                "(program, name, did, failed_at, error) VALUES ('worker', 'fill', 0, now(), 'LS-0012: Postgres: no')";
            assert_eq!(told_of(&client, failing).await, told, "after {ran_s} s");
        }
        drop(client);
        database.remove().await.unwrap();
    }

    /// A failure is not over because nobody tries again, and does not last longer for it either.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_task_that_is_not_tried_is_told_of_as_it_was_when_it_was() {
        let (database, client) = set_up().await;
        let told = async |(ran, failed): (i32, i32), error: &str| {
            let columns = "program, name, did, last_run, failed_at, error, waits_for";
            let ago = |seconds: i32| format!("now() - make_interval(secs => {seconds})");
            let (ran, failed) = (ago(ran), ago(failed));
            told_of(
                &client,
                &format!("({columns}) VALUES ('worker', 'sweep', 0, {ran}, {failed}, '{error}', 'paused')"),
            )
            .await
        };
        let (other, away) = ("LS-0012: Postgres: no", "LS-0201: clickhouse is not available: connection refused");
        assert_eq!(told((7300, 7200), other).await, ["task_failing worker sweep"], "it failed for more than a minute");
        assert_eq!(told((7300, 7200), away).await, ["destination_down clickhouse"]);
        for error in [other, away] {
            assert!(told((7201, 7200), error).await.is_empty(), "it failed once, and was not tried since: {error}");
        }
        drop(client);
        database.remove().await.unwrap();
    }

    /// What a sink has is not looked at.
    #[tokio::test(flavor = "multi_thread")]
    async fn how_far_sinks_are_is_counted_up_to_a_limit_by_what_they_lack() {
        let database = TestDatabase::create().await.unwrap();
        let source = Source::new(&SecretUrl::new(database.url()), None).unwrap();
        migrations::run(&source, Migrations::Control).await.unwrap();
        let mut client = database.connect().await.unwrap();
        let fill = "INSERT INTO lockstep.event_sink (sink, begun_at) SELECT unnest(ARRAY['chat', 'file', 'pager']), now() - interval '1 day';
            INSERT INTO lockstep.event (at, kind, subject, state, open, body)
              SELECT now() - make_interval(secs => 6000 - n), 'paused', n::text, 'resolved', FALSE, '{}' FROM generate_series(1, 5000) n;
            INSERT INTO lockstep.event_delivery (event_id, sink, delivered_at, next_at) SELECT id, sink,
              CASE WHEN sink = 'file' AND id <= 4990 THEN now() END, CASE WHEN sink = 'chat' THEN now() END FROM lockstep.event, lockstep.event_sink;
            ANALYZE lockstep.event_delivery";
        client.batch_execute(fill).await.unwrap();
        let transaction = client.transaction().await.unwrap();
        let sinks = events::sinks(transaction.client()).await.unwrap();
        let read = "SELECT (SELECT seq_tup_read FROM pg_stat_xact_user_tables WHERE relid = i.indrelid) + sum(pg_stat_get_xact_tuples_returned(i.indexrelid))
            FROM pg_index i WHERE i.indrelid = 'lockstep.event_delivery'::regclass GROUP BY i.indrelid";
        let read: String = transaction.query_one(&format!("SELECT ({read})::text"), &[]).await.unwrap().get(0);
        let far: Vec<_> =
            sinks.iter().map(|of| (&*of.sink, of.waiting, of.given_up, of.oldest_waiting_s.is_some())).collect();
        let counted = events::COUNTED;
        assert_eq!(far, [("chat", counted, 0, true), ("file", 0, 10, false), ("pager", 0, counted, false)]);
        let oldest = sinks[0].oldest_waiting_s.unwrap();
        assert!((5999.0..6060.0).contains(&oldest), "since the first event: {oldest}");
        assert!(read.parse::<i64>().unwrap() <= 10_010, "what the sinks have was read, too: {read} rows");
        transaction.rollback().await.unwrap();
        drop(client);
        database.remove().await.unwrap();
    }

    /// What is told where these tasks are all there are.
    async fn told_of(client: &Client, tasks: &str) -> Vec<String> {
        client.batch_execute(&format!("TRUNCATE lockstep.task; INSERT INTO lockstep.task {tasks}")).await.unwrap();
        let now = conditions(&client.query(&now(), &[&1000_i64]).await.unwrap()).unwrap();
        now.into_iter().map(|condition| format!("{} {}", condition.topic.0, condition.topic.1)).collect()
    }
}
