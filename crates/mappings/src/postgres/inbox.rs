//! The inbox: lines that triggers write, which the sequencer numbers.
//!
//! It consists of two tables that take turns, by a bit of the transaction id, and are truncated when nobody can write to
//! them any more and all is numbered. Lines are found by transaction: those of a pass are of the transactions that its
//! snapshot sees and the one before did not.

use super::erase::stands_paused;
use super::key::KEY_COLUMNS;
use super::names::{CONTROL_SCHEMA, SEQUENCE, table, tenancy_table};
use super::target::Target;
use crate::set::MappingSet;

/// So many transactions write to one of the two tables before it is the other's turn. A power of two.
pub const TURN_TRANSACTIONS: i64 = 1 << 15;

/// The two tables.
pub const INBOXES: [&str; 2] = ["inbox_0", "inbox_1"];

/// The inbox to which a transaction writes, as an index into [`INBOXES`].
pub const fn inbox_of(xid: i64) -> usize {
    if xid & TURN_TRANSACTIONS == 0 { 0 } else { 1 }
}

/// The condition that a line is of a transaction that a snapshot does not see: `$1 bigint` is the snapshot's `xmax`, `$2
/// bigint[]` its transactions that had not ended. Answered by the index, however many lines are older.
///
/// Whatever else is asked of `xid` beside it adds 0: to the planner, which does not know the parameters, a bound from above
/// yields no more lines than this, and by that bound the index would find all that are older.
const NOT_SEEN_BEFORE: &str = "(xid >= $1 OR xid = ANY($2))";

/// The line columns behind `xid`, in order.
pub(super) fn line_columns() -> String {
    format!("target, tenancy_id, project_id, branch_id, {KEY_COLUMNS}")
}

/// How far the server's log is written, in bytes (`bigint`): while that stands still, nothing is committed.
pub const WRITTEN: &str = "(pg_current_wal_insert_lsn() - '0/0')::bigint";

/// What waits, in one row: `pg_current_snapshot()` as text; transactions with lines (`bigint[]`) and how many each has
/// (`bigint[]`), of the first `$3 bigint` lines that the snapshot of `$1` and `$2` did not see, those of transactions up
/// to `$4 bigint`, not those of `$5 bigint[]`; the fences that wait (`bigint[]`); whether the sequencer is paused; and
/// the first expansion that waits (`bigint?`); whether a line is about a tenancy; [`WRITTEN`]; and how
/// many seconds ago the oldest of these transactions was committed (`float8?`), which is not known without
/// `commit_times`: Postgres must note them, or it refuses the question.
pub fn look(stopped: &str, commit_times: bool) -> String {
    let committed =
        if commit_times { "min(pg_xact_commit_timestamp(g.xid::text::xid8::xid))" } else { "NULL::timestamptz" };
    let lines = INBOXES.map(|inbox| {
        format!("SELECT xid, target FROM {CONTROL_SCHEMA}.{inbox} WHERE {NOT_SEEN_BEFORE} AND xid + 0 <= $4 AND xid <> ALL($5)")
    });
    format!(
        "SELECT pg_current_snapshot()::text, COALESCE(x.xids, '{{}}'), COALESCE(x.lines, '{{}}'),\n  ARRAY(SELECT id FROM {CONTROL_SCHEMA}.fence WHERE sequence IS NULL ORDER BY id LIMIT 1000), {stopped},\n  (SELECT min(id) FROM {CONTROL_SCHEMA}.expansion), COALESCE(x.tenancies, FALSE), {WRITTEN},\n  extract(epoch FROM clock_timestamp() - x.committed)::float8\nFROM (SELECT {committed} AS committed, array_agg(g.xid) AS xids, array_agg(g.lines) AS lines, bool_or(g.tenancies) AS tenancies FROM (\n  SELECT l.xid, count(*) AS lines, bool_or(l.target = {tenancy}) AS tenancies FROM ({lines} LIMIT $3) l GROUP BY l.xid) g) x",
        lines = lines.join("\n    UNION ALL "),
        tenancy = Target::tenancy().id(),
    )
}

/// The head, as an expression: the last number that a pass has given out.
pub const HEAD: &str = "(SELECT last_sequence FROM lockstep.pass ORDER BY id DESC LIMIT 1)";

/// Numbers the lines of the transactions that the snapshot of `$1` and `$2` did not see and another sees: its `xmax` is
/// `$3 bigint`, the transactions that had not ended in it `$4 bigint[]`; not those of `$5 bigint[]`. Returns what
/// [`number`] returns.
pub fn number_new(set: &MappingSet) -> String {
    let lines = INBOXES.map(|inbox| {
        format!(
            "SELECT {} FROM {CONTROL_SCHEMA}.{inbox} WHERE {NOT_SEEN_BEFORE} AND xid + 0 < $3 AND xid <> ALL($4) AND xid <> ALL($5)",
            line_columns()
        )
    });
    number(set, &lines.join("\n  UNION ALL "), [HEAD, "FALSE"], "0::bigint, NULL::text")
}

/// Where the lines of the transaction `$1 bigint`, which has ended, lie in an inbox: a position before the first and that of
/// the last (`text?`, as `ctid`), and whether one of them is about a tenancy.
pub fn bounds_of_transaction(inbox: usize) -> String {
    let table = format!("{CONTROL_SCHEMA}.{}", INBOXES[inbox]);
    format!(
        "SELECT format('(%s,0)', (min(ctid)::text::point)[0]::bigint), max(ctid)::text, COALESCE(bool_or(target = {tenancy}), FALSE) FROM {table} WHERE xid = $1",
        tenancy = Target::tenancy().id()
    )
}

/// Numbers the next `$3 bigint` lines of the transaction `$1 bigint` behind the position `$2 text` up to `$4 text` in one
/// inbox; `$5 bigint` was the last number when it was written down where its tenancies are. Returns what [`number`] returns: how many lines there were, and the position of the last.
///
/// The lines of a transaction that has ended do not change, and a scan of a range of positions goes in their order.
/// Adding 0 keeps the index on transactions out of it, which would start at the beginning for every share.
pub fn number_share(set: &MappingSet, inbox: usize) -> String {
    let table = format!("{CONTROL_SCHEMA}.{}", INBOXES[inbox]);
    let share = format!(
        "SELECT ctid AS line_position, {} FROM {table} WHERE ctid > $2::text::tid AND ctid <= $4::text::tid AND xid + 0 = $1 LIMIT $3",
        line_columns(),
    );
    let sql = number(
        set,
        &format!("SELECT {} FROM share", line_columns()),
        ["$5::bigint", &format!("target = {}", Target::tenancy().id())],
        "(SELECT count(*) FROM share), (SELECT max(line_position)::text FROM share)",
    );
    sql.replacen("WITH ", &format!("WITH share AS MATERIALIZED ({share}),\n"), 1)
}

/// Sees to it that an inbox stays in the file that holds it, until the transaction ends.
pub fn keep_file(inbox: usize) -> String {
    format!("LOCK TABLE {CONTROL_SCHEMA}.{} IN ACCESS SHARE MODE", INBOXES[inbox])
}

/// The file that holds an inbox: `oid`.
pub fn file_of(inbox: usize) -> String {
    format!("SELECT pg_relation_filenode('{CONTROL_SCHEMA}.{}'::regclass)", INBOXES[inbox])
}

/// Gives each row that `lines` name the next number, once, and writes down what has to be searched. Returns one row:
/// the last number (`bigint?`), how many rows were numbered, how many expansions were written, the targets that are not
/// numbered (`int[]`), and the two values of `position`. `searched` says what the columns `numbered_after` and `of_share` of
/// an expansion are to be.
///
/// A row that is found by project and branch belongs to the tenancy there that has no organisation, or else to whoever
/// was there before: somebody must see to it that it vanishes.
fn number(set: &MappingSet, lines: &str, [numbered_after, of_share]: [&str; 2], position: &str) -> String {
    let ids = |targets: &[Target]| targets.iter().map(|target| target.id().to_string()).collect::<Vec<_>>().join(", ");
    let rows: Vec<_> = set.iter().map(Target::row).collect();
    let searched: Vec<_> = set
        .iter()
        .flat_map(|mapping| {
            mapping.joins.iter().map(move |join| Target::dependents(mapping, join)).chain([Target::all_rows(mapping)])
        })
        .chain([Target::tenancy()])
        .collect();
    format!(
        "WITH lines AS MATERIALIZED (SELECT {columns} FROM (\n  {lines}) l),
searched AS (INSERT INTO {CONTROL_SCHEMA}.expansion ({columns}, numbered_after, of_share)
  SELECT DISTINCT {columns}, {numbered_after}, {of_share} FROM lines WHERE target IN ({searched}) RETURNING 1),
numbered AS (INSERT INTO {CONTROL_SCHEMA}.change (sequence, tenancy_id, mapping, {KEY_COLUMNS})
  SELECT nextval('{SEQUENCE}'), n.* FROM (
    SELECT l.tenancy_id, l.target, {keys} FROM lines l WHERE l.tenancy_id IS NOT NULL AND l.target IN ({rows})
    UNION SELECT COALESCE(t.\"id\", f.tenancy_id), l.target, {keys} FROM lines l
      LEFT JOIN {tenancies} t ON t.\"projectId\" = l.project_id AND t.\"branchId\" = l.branch_id AND t.\"hasNoOrganization\" = 'TRUE'
      LEFT JOIN LATERAL (SELECT p.tenancy_id FROM {CONTROL_SCHEMA}.tenancy_location p WHERE p.project_id = l.project_id AND p.branch_id = l.branch_id ORDER BY p.gone_at DESC NULLS FIRST LIMIT 1) f ON t.\"id\" IS NULL
      WHERE l.tenancy_id IS NULL AND l.target IN ({rows}) AND COALESCE(t.\"id\", f.tenancy_id) IS NOT NULL) n
  RETURNING sequence)
SELECT (SELECT max(sequence) FROM numbered), (SELECT count(*) FROM numbered), (SELECT count(*) FROM searched),
  ARRAY(SELECT DISTINCT target FROM lines WHERE target NOT IN ({rows}, {searched})), {position}",
        columns = line_columns(),
        searched = ids(&searched),
        rows = ids(&rows),
        keys = KEY_COLUMNS.split(", ").map(|key| format!("l.{key}")).collect::<Vec<_>>().join(", "),
        tenancies = table(&tenancy_table()),
    )
}

/// Writes down where the tenancies are that the lines of a pass are about (parameters as for [`number_new`]), and which of
/// them are gone. One that is back at a place counts as having come there now: what was proven there before is of others' rows. The
/// erasure of one that came back, whether it is there or has gone again, is dropped: what was shipped since is hidden
/// first, and noticed and erased anew.
pub fn note_tenancies() -> [String; 3] {
    let lines = INBOXES.map(|inbox| {
        format!(
            "SELECT tenancy_id, project_id, branch_id FROM {CONTROL_SCHEMA}.{inbox} WHERE {NOT_SEEN_BEFORE} AND xid + 0 < $3 AND xid <> ALL($4) AND target = {}",
            Target::tenancy().id()
        )
    });
    note_tenancies_of(&lines.join(" UNION "))
}

/// The same for all lines of the transaction `$1 bigint` in one inbox.
pub fn note_tenancies_of_transaction(inbox: usize) -> [String; 3] {
    note_tenancies_of(&format!(
        "SELECT DISTINCT tenancy_id, project_id, branch_id FROM {CONTROL_SCHEMA}.{} WHERE xid = $1 AND target = {}",
        INBOXES[inbox],
        Target::tenancy().id()
    ))
}

fn note_tenancies_of(lines: &str) -> [String; 3] {
    let tenancies = table(&tenancy_table());
    [
        // First, as whoever ends an erasure locks it before the places. Mostly none is open: then no line is read for it.
        format!(
            "DELETE FROM {CONTROL_SCHEMA}.erasure e USING ({lines}) l\nWHERE EXISTS (SELECT 1 FROM {CONTROL_SCHEMA}.erasure WHERE finished_at IS NULL)\n  AND e.tenancy_id = l.tenancy_id AND e.finished_at IS NULL AND NOT ({paused})\n  AND (EXISTS (SELECT 1 FROM {tenancies} t WHERE t.\"id\" = l.tenancy_id) OR EXISTS (SELECT 1 FROM {CONTROL_SCHEMA}.tenancy_location x WHERE x.tenancy_id = l.tenancy_id AND x.gone_at IS NOT NULL))",
            paused = stands_paused("e")
        ),
        format!(
            "INSERT INTO {CONTROL_SCHEMA}.tenancy_location AS x (tenancy_id, project_id, branch_id)\nSELECT l.tenancy_id, l.project_id, l.branch_id FROM ({lines}) l WHERE l.project_id IS NOT NULL\nON CONFLICT (tenancy_id, project_id, branch_id) DO UPDATE SET recorded_at = EXCLUDED.recorded_at\nWHERE EXISTS (SELECT 1 FROM {tenancies} t WHERE t.\"id\" = x.tenancy_id AND t.\"projectId\" = x.project_id AND t.\"branchId\" = x.branch_id)"
        ),
        format!(
            "UPDATE {CONTROL_SCHEMA}.tenancy_location x SET gone_at = CASE WHEN a.is_gone THEN now() END\nFROM (SELECT l.tenancy_id, NOT EXISTS (SELECT 1 FROM {tenancies} t WHERE t.\"id\" = l.tenancy_id) AS is_gone FROM ({lines}) l) a\nWHERE x.tenancy_id = a.tenancy_id AND (x.gone_at IS NOT NULL) <> a.is_gone"
        ),
    ]
}

/// Writes lines about tenancies that are elsewhere than written down, or have come or gone unseen: after a dump was loaded, lines
/// about them may be lost. To be run in one transaction.
pub fn find_tenancies() -> [String; 2] {
    let (tenancies, target) = (table(&tenancy_table()), Target::tenancy().id());
    [0, 1].map(|inbox| {
        format!(
            "INSERT INTO {CONTROL_SCHEMA}.{} (target, tenancy_id, project_id, branch_id)
SELECT {target}, COALESCE(t.\"id\", l.tenancy_id), t.\"projectId\", t.\"branchId\"
FROM {tenancies} t FULL JOIN (SELECT DISTINCT tenancy_id FROM {CONTROL_SCHEMA}.tenancy_location WHERE gone_at IS NULL) l ON l.tenancy_id = t.\"id\"
WHERE (txid_current() & {TURN_TRANSACTIONS} = 0) = {} AND (t.\"id\" IS NULL OR l.tenancy_id IS NULL
  OR NOT EXISTS (SELECT 1 FROM {CONTROL_SCHEMA}.tenancy_location p WHERE p.tenancy_id = t.\"id\" AND p.project_id = t.\"projectId\" AND p.branch_id = t.\"branchId\"))",
            INBOXES[inbox],
            inbox == 0
        )
    })
}

/// Writes a line for every row that has a change above `$1 bigint` and up to `$2 bigint`, and no later one: it gets another, which no
/// cursor has passed. To be run in one transaction.
pub fn change_again() -> [String; 2] {
    [0, 1].map(|inbox| {
        format!(
            "INSERT INTO {CONTROL_SCHEMA}.{} (target, tenancy_id, {KEY_COLUMNS})
SELECT mapping, tenancy_id, {KEY_COLUMNS} FROM {CONTROL_SCHEMA}.change
WHERE sequence > $1 AND sequence <= $2 AND (txid_current() & {TURN_TRANSACTIONS} = 0) = {}
EXCEPT SELECT mapping, tenancy_id, {KEY_COLUMNS} FROM {CONTROL_SCHEMA}.change WHERE sequence > $2",
            INBOXES[inbox],
            inbox == 0
        )
    })
}

/// Whether an inbox holds a line of a transaction that the snapshot of `$1` and `$2` did not see.
pub fn has_unseen(inbox: usize) -> String {
    format!("SELECT EXISTS (SELECT 1 FROM {CONTROL_SCHEMA}.{} WHERE {NOT_SEEN_BEFORE})", INBOXES[inbox])
}

/// The condition that a line has no number yet: the last pass did not see its transaction, or has taken only a share of it.
fn has_no_number(xid: &str) -> String {
    let last = |column: &str| format!("(SELECT {column} FROM {CONTROL_SCHEMA}.pass ORDER BY id DESC LIMIT 1) p");
    format!(
        "{xid} >= (SELECT pg_snapshot_xmax(p.consumed)::text::bigint FROM {CONTROL_SCHEMA}.pass p ORDER BY p.id DESC LIMIT 1)\n    OR {xid} = ANY (ARRAY(SELECT pg_snapshot_xip(p.consumed)::text::bigint FROM {consumed}))\n    OR {xid} = ANY (ARRAY(SELECT (f ->> 'xid')::bigint FROM {unfinished}, jsonb_array_elements(p.unfinished) f))",
        consumed = last("consumed"),
        unfinished = last("unfinished"),
    )
}

/// A query for the lines that have no number yet, with all their columns.
pub fn unseen() -> String {
    format!("SELECT i.* FROM {CONTROL_SCHEMA}.inbox i\n  WHERE {}", has_no_number("i.xid"))
}

/// The last blocks of an inbox, where most lines without a number are: of usual lines, some 40,000.
const LAST_BLOCKS: i64 = 512;

/// How many lines have no number yet, up to a limit (`bigint`).
///
/// The last blocks of both inboxes are looked at first. Where they hold as many as are counted, nothing else is read: the index
/// on transactions does not cover the newest lines, so that a scan by it reads all of those that have numbers before it comes to
/// the others. Adding 0 keeps that index out of the first look.
pub fn count_unseen(limit: i64) -> String {
    let last = INBOXES.map(|inbox| {
        format!(
            "SELECT 1 FROM {CONTROL_SCHEMA}.{inbox} i WHERE i.ctid >= (SELECT format('(%s,0)', greatest(0, pg_relation_size('{CONTROL_SCHEMA}.{inbox}') / current_setting('block_size')::bigint - {LAST_BLOCKS}))::tid)\n    AND ({})",
            has_no_number("i.xid + 0")
        )
    });
    format!(
        "SELECT CASE WHEN l.lines < {limit} THEN (SELECT count(*) FROM ({all} LIMIT {limit}) a) ELSE l.lines END\nFROM (SELECT count(*) AS lines FROM ({last} LIMIT {limit}) l) l",
        all = unseen(),
        last = last.join("\n  UNION ALL "),
    )
}
