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
    lockstep.fuse (kind, name) {
        kind -> Text,
        name -> Text,
        blown_at -> Timestamptz,
        reason -> Text,
    }
}

diesel::table! {
    lockstep.fuse_mended (singleton) {
        singleton -> Bool,
        times -> BigInt,
    }
}

diesel::table! {
    lockstep.resync (id) {
        id -> BigInt,
        purpose -> Text,
        destination -> Text,
        tenancies -> Nullable<Array<Uuid>>,
        mappings -> Nullable<Array<Text>>,
        floor -> BigInt,
        requested_at -> Timestamptz,
        finished_at -> Nullable<Timestamptz>,
        stale_rows -> Nullable<BigInt>,
    }
}

diesel::table! {
    lockstep.quarantine (destination, mapping_name, tenancy_id, sequence) {
        destination -> Text,
        mapping_name -> Text,
        tenancy_id -> Uuid,
        sequence -> BigInt,
        code -> Text,
        error -> Text,
        first_refused_at -> Timestamptz,
        last_refused_at -> Timestamptz,
        attempts -> BigInt,
    }
}

diesel::table! {
    lockstep.setting (name) {
        name -> Text,
        value -> Interval,
        changed_at -> Timestamptz,
        previous -> Nullable<Interval>,
    }
}

diesel::table! {
    lockstep.erasure (id) {
        id -> BigInt,
        tenancy_id -> Uuid,
        destination -> Text,
        reason -> Text,
        stopped -> Bool,
        requested_at -> Timestamptz,
        up_to -> BigInt,
        hidden_at -> Nullable<Timestamptz>,
        removed -> Jsonb,
        proven_at -> Nullable<Timestamptz>,
        finished_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    lockstep.clean_up (mapping_name, destination) {
        mapping_name -> Text,
        destination -> Text,
        cleaned_at -> Timestamptz,
        dropped_rows -> BigInt,
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
