//! Tables of schema `lockstep`, typed, with the columns that are asked for here: what they hold is said in `migrations/control`.
//!
//! A connection is either typed ([`Control`](crate::Control)) or takes SQL as text; none is opened beside another for the sake
//! of types. What operators ask, what the watch writes and what periodic tasks report is typed. SQL as text, in the `storage`
//! of the program that makes it, are
//! - statements of the sessions that read a flush, make a pass, announce, sweep, erase and clean up, keep Lockstep's tables
//!   small, or ship a fill: these share their session, and often a transaction, with `COPY`, `LATERAL`, arrays that are unnested
//!   side by side, advisory locks, `SKIP LOCKED`, snapshots, or data definition;
//! - what is derived from a mapping, names tables of the application or of the catalog, or counts up to a limit (a derived
//!   table), also in `attach` and in what operators ask;
//! - changing a setting: its SQLSTATE tells a value that is none from other failures, and Diesel does not pass that on.

use diesel::sql_types::{Interval, Nullable, Numeric, SingleValue, SqlType, Text, Timestamptz, Uuid};

diesel::table! {
    lockstep.pass (id) { id -> Int8, last_sequence -> Int8, }
}

diesel::table! {
    lockstep.tenancy_location (tenancy_id, project_id, branch_id) {
        tenancy_id -> Uuid, project_id -> Text, branch_id -> Text, gone_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    lockstep.announced (sequence) { sequence -> Int8, }
}

diesel::table! {
    lockstep.fence (id) { id -> Int8, sequence -> Nullable<Int8>, }
}

diesel::table! {
    lockstep.destination (name) { name -> Text, passed -> Int8, needs_refill_since -> Nullable<Timestamptz>, ship_again_after -> Nullable<Int8> }
}

diesel::table! {
    lockstep.fill (mapping_name, destination) {
        mapping_name -> Text, destination -> Text, reason -> Text, started_at -> Timestamptz, fence_id -> Nullable<Int8>,
        finished_at -> Nullable<Timestamptz>, stale_rows -> Nullable<Int8>,
    }
}

diesel::table! {
    lockstep.fill_range (mapping_name, destination, first_block) {
        mapping_name -> Text, destination -> Text, first_block -> Int8, finished_at -> Nullable<Timestamptz>,
        shipped_rows -> Nullable<Int8>,
    }
}

diesel::table! {
    lockstep.refill (mapping_name) { mapping_name -> Text, reason -> Text, }
}

diesel::table! {
    lockstep.quarantine (destination, mapping_name, tenancy_id, sequence) {
        destination -> Text, mapping_name -> Text, tenancy_id -> Uuid, sequence -> Int8, code -> Text,
    }
}

diesel::table! {
    lockstep.pause (kind, name) { kind -> Text, name -> Text, paused_at -> Timestamptz, reason -> Text, automatic -> Bool, }
}

diesel::table! {
    lockstep.resumed (singleton) { singleton -> Bool, times -> Int8, }
}

diesel::table! {
    lockstep.resync (id) {
        id -> Int8, purpose -> Text, destination -> Text, tenancies -> Nullable<Array<Uuid>>,
        mappings -> Nullable<Array<Text>>, floor -> Int8, finished_at -> Nullable<Timestamptz>,
        stale_rows -> Nullable<Int8>,
    }
}

diesel::table! {
    lockstep.setting (name) { name -> Text, value -> Interval, }
}

diesel::table! {
    lockstep.erasure (id) {
        id -> Int8, tenancy_id -> Uuid, destination -> Text, reason -> Text, paused -> Bool, requested_at -> Timestamptz,
        up_to -> Int8, removed -> Jsonb, proven_at -> Nullable<Timestamptz>, finished_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    lockstep.task (program, name) {
        program -> Text, name -> Text, last_run -> Nullable<Timestamptz>, took_ms -> Nullable<Int8>, did -> Int8,
        failed_at -> Nullable<Timestamptz>, error -> Nullable<Text>, waits_for -> Nullable<Text>,
    }
}

diesel::table! {
    lockstep.instance (id) {
        id -> Uuid, role -> Text, version -> Text, started_at -> Timestamptz, seen_at -> Timestamptz, state -> Jsonb,
    }
}

diesel::table! {
    lockstep.action (id) { id -> Int8, who -> Text, what -> Text, arguments -> Jsonb, outcome -> Nullable<Text>, }
}

diesel::table! {
    lockstep.tenant_destination (id) {
        id -> Uuid, tenancy_id -> Uuid, kind -> Text, mappings -> Nullable<Array<Text>>, key_id -> Text, connection -> Bytea,
        host -> Text, port -> Int4, database_name -> Text, user_name -> Text, added_at -> Timestamptz, revision -> Int8,
        known -> Int8, passed -> Int8, unfinished -> Bool, last_success_at -> Nullable<Timestamptz>, failures -> Int4,
        failing_since -> Nullable<Timestamptz>, retry_at -> Nullable<Timestamptz>, error_code -> Nullable<Text>,
        error -> Nullable<Text>,
    }
}

diesel::table! {
    lockstep.tenant_mapping (destination_id, mapping_name) {
        destination_id -> Uuid, mapping_name -> Text, state -> Text, fill_reason -> Nullable<Text>, filled_rows -> Int8,
        total_rows -> Nullable<Int8>, filled_at -> Nullable<Timestamptz>, error_code -> Nullable<Text>,
        error -> Nullable<Text>, refill_requested_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    lockstep.tenant_sweep (singleton) { singleton -> Bool, through -> Int8, }
}

diesel::allow_tables_to_appear_in_same_query!(pause, resumed);
diesel::allow_tables_to_appear_in_same_query!(tenant_destination, tenant_mapping, tenant_sweep, pause);
diesel::allow_tables_to_appear_in_same_query!(fill, fill_range, refill, destination);
diesel::allow_tables_to_appear_in_same_query!(erasure, pass);

diesel::define_sql_function! {
    /// A moment as people read it; every session of ours is in UTC.
    fn to_char(at: Nullable<Timestamptz>, format: Text) -> Nullable<Text>;
}

diesel::define_sql_function! {
    /// A duration as Postgres prints it.
    #[sql_name = "text"]
    fn interval_text(duration: Interval) -> Text;
}

diesel::define_sql_function! {
    /// An id as text, as pauses have it.
    #[sql_name = "text"]
    fn uuid_text(id: Uuid) -> Text;
}

diesel::define_sql_function! {
    /// A sum of whole numbers, which Postgres makes a numeric.
    #[sql_name = "int8"]
    fn whole(sum: Nullable<Numeric>) -> Nullable<BigInt>;
}

diesel::define_sql_function! {
    /// The first of the two that is not null.
    fn coalesce<T: SqlType + SingleValue>(one: Nullable<T>, other: Nullable<T>) -> Nullable<T>;
}

/// How reports have it.
pub(crate) const UTC: &str = r#"YYYY-MM-DD"T"HH24:MI:SS"Z""#;
