//! Lockstep's own tables, schema `lockstep` in the source database, for Diesel. What each is for: `migrations/control`.

#![allow(missing_docs, reason = "the migrations document the tables")]

diesel::table! {
    lockstep.outbox (tenancy_id) {
        tenancy_id -> Uuid,
        mappings -> Array<Text>,
        generation -> BigInt,
        enqueued_at -> Timestamptz,
    }
}

diesel::table! {
    lockstep.touch (id) {
        id -> BigInt,
        target -> Text,
        tenancy_id -> Uuid,
        match_key -> Nullable<Text>,
        floor -> Nullable<BigInt>,
        recorded_at -> Timestamptz,
    }
}

diesel::table! {
    lockstep.sequence_head (singleton) {
        singleton -> Bool,
        last_sequence -> BigInt,
        stamped_at -> Timestamptz,
    }
}

diesel::table! {
    lockstep.fence (id) {
        id -> BigInt,
        requested_at -> Timestamptz,
        sequence -> Nullable<BigInt>,
    }
}

diesel::table! {
    lockstep.tenancy_location (tenancy_id, project_id, branch_id) {
        tenancy_id -> Uuid,
        project_id -> Text,
        branch_id -> Text,
        recorded_at -> Timestamptz,
        gone_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    lockstep.foreign_stamp (id) {
        id -> BigInt,
        table_name -> Text,
        application_name -> Text,
        noted_at -> Timestamptz,
    }
}

diesel::table! {
    lockstep.snapshot (mapping_name, destination) {
        mapping_name -> Text,
        destination -> Text,
        source_filenode -> Oid,
        started_at -> Timestamptz,
        finished_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    lockstep.snapshot_range (mapping_name, destination, first_block) {
        mapping_name -> Text,
        destination -> Text,
        first_block -> BigInt,
        end_block -> BigInt,
        claimed_by -> Nullable<Text>,
        claimed_until -> Nullable<Timestamptz>,
        finished_at -> Nullable<Timestamptz>,
        shipped_rows -> Nullable<BigInt>,
    }
}

diesel::table! {
    lockstep.captured_table (schema_name, table_name) {
        schema_name -> Text,
        table_name -> Text,
        since -> BigInt,
        since_at -> Timestamptz,
    }
}
