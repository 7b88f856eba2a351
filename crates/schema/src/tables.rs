//! Tables of schema `lockstep`, typed: what they hold is said in `migrations/control`.
//!
//! What operators ask and what periodic tasks report goes through these. Statements of a pass, a flush or a fill share a
//! session and a transaction with `COPY`, lock, search, or are derived from a mapping: those are SQL, in the `storage` of the
//! program that makes them.

use diesel::sql_types::{Nullable, SingleValue, SqlType, Text, Timestamptz};

diesel::table! {
    lockstep.pause (kind, name) {
        kind -> Text,
        name -> Text,
        paused_at -> Timestamptz,
        reason -> Text,
    }
}

diesel::table! {
    lockstep.resumed (singleton) {
        singleton -> Bool,
        times -> Int8,
    }
}

diesel::allow_tables_to_appear_in_same_query!(pause, resumed);

diesel::table! {
    lockstep.task (program, name) {
        program -> Text,
        name -> Text,
        last_run -> Nullable<Timestamptz>,
        took_ms -> Nullable<Int8>,
        did -> Int8,
        failed_at -> Nullable<Timestamptz>,
        error -> Nullable<Text>,
    }
}

diesel::table! {
    lockstep.fence (id) {
        id -> Int8,
        sequence -> Nullable<Int8>,
    }
}

diesel::table! {
    lockstep.announced (sequence) {
        sequence -> Int8,
    }
}

diesel::table! {
    lockstep.destination (name) {
        name -> Text,
        passed -> Int8,
        needs_refill_since -> Nullable<Timestamptz>,
    }
}

diesel::define_sql_function! {
    /// A moment as people read it; every session of ours is in UTC.
    fn to_char(at: Nullable<Timestamptz>, format: Text) -> Nullable<Text>;
}

diesel::define_sql_function! {
    /// The first of the two that is not null.
    fn coalesce<T: SqlType + SingleValue>(one: Nullable<T>, other: Nullable<T>) -> Nullable<T>;
}

/// How reports have it.
pub(crate) const UTC: &str = r#"YYYY-MM-DD"T"HH24:MI:SS"Z""#;
