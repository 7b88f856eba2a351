//! The settings that the meaning of a statement depends on, each with the value that our statements are written for.
//!
//! Every statement is sent with [`READING`], what writes with [`WRITING`] too: the profile of Lockstep's user, which is often
//! made for people, and the server's defaults change nothing then. A view has [`IN_VIEW`] in its text, since whoever reads it
//! brings settings of his own. All of them are known to ClickHouse 25.5, the oldest that is let in.

/// What happens where a profile does not let a setting be changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Need {
    /// Statements would mean something else: none is sent.
    Meaning,
    /// A limit of the operator's. A statement that reaches it fails, since no overflow mode is left that would cut it short.
    Limit,
}

/// One setting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Setting {
    /// As ClickHouse calls it.
    pub name: &'static str,
    /// As ClickHouse writes it.
    pub value: &'static str,
    /// What follows where it cannot be had.
    pub need: Need,
}

const fn must(name: &'static str, value: &'static str) -> Setting {
    Setting { name, value, need: Need::Meaning }
}

const fn unlimited(name: &'static str) -> Setting {
    Setting { name, value: "0", need: Need::Limit }
}

/// For every statement.
pub const READING: &[Setting] = &[
    // What is cut short by a limit must not look whole: `break` ends a query, or an insert, as if its input had run out.
    must("read_overflow_mode", "throw"),
    must("read_overflow_mode_leaf", "throw"),
    must("timeout_overflow_mode", "throw"),
    must("timeout_overflow_mode_leaf", "throw"),
    must("result_overflow_mode", "throw"),
    must("group_by_overflow_mode", "throw"),
    must("sort_overflow_mode", "throw"),
    must("distinct_overflow_mode", "throw"),
    must("set_overflow_mode", "throw"),
    must("join_overflow_mode", "throw"),
    must("transfer_overflow_mode", "throw"),
    // Limits that are meant for people: a comparison reads everything there is.
    unlimited("max_rows_to_read"),
    unlimited("max_rows_to_read_leaf"),
    unlimited("max_bytes_to_read"),
    unlimited("max_bytes_to_read_leaf"),
    unlimited("max_result_rows"),
    unlimited("max_result_bytes"),
    unlimited("max_execution_time"),
    unlimited("max_execution_time_leaf"),
    unlimited("max_estimated_execution_time"),
    unlimited("max_rows_to_group_by"),
    unlimited("max_rows_to_sort"),
    unlimited("max_bytes_to_sort"),
    unlimited("max_rows_in_distinct"),
    unlimited("max_bytes_in_distinct"),
    unlimited("max_rows_in_set"),
    unlimited("max_bytes_in_set"),
    unlimited("max_rows_to_transfer"),
    unlimited("max_bytes_to_transfer"),
    // What was true a moment ago is no answer: cursors, counts and comparisons read what is there now.
    must("use_query_cache", "0"),
    must("use_query_condition_cache", "0"),
    // Replicas answer with everything that a quorum has acknowledged, or not at all. A server without replicas knows
    // nothing else, and ignores it.
    must("select_sequential_consistency", "1"),
    must("fallback_to_stale_replicas_for_distributed_queries", "0"),
    // A shard that is away is an error, not a part without rows.
    must("skip_unavailable_shards", "0"),
    // Each row is read once, and by one server of its shard.
    must("enable_parallel_replicas", "0"),
    must("max_parallel_replicas", "1"),
    must("distributed_group_by_no_merge", "0"),
    must("optimize_skip_unused_shards", "0"),
    // Old versions are counted where a statement has no FINAL, and hidden where it has: a deleted row comes back where a
    // condition is evaluated before versions are compared.
    must("final", "0"),
    must("do_not_merge_across_partitions_select_final", "0"),
    must("optimize_move_to_prewhere_if_final", "0"),
    must("apply_deleted_mask", "1"),
    // Rows that nobody asked to leave out, or to add.
    must("limit", "0"),
    must("offset", "0"),
    must("additional_table_filters", "{}"),
    must("additional_result_filter", ""),
    must("extremes", "0"),
    must("implicit_transaction", "0"),
    // What expressions mean.
    must("session_timezone", "UTC"),
    must("join_use_nulls", "0"),
    must("group_by_use_nulls", "0"),
    must("transform_null_in", "0"),
    must("cast_keep_nullable", "0"),
    must("aggregate_functions_null_for_empty", "0"),
    must("empty_result_for_aggregation_by_empty_set", "0"),
    must("prefer_column_name_to_alias", "0"),
    // How answers are written.
    must("output_format_decimal_trailing_zeros", "0"),
    must("output_format_json_quote_64bit_integers", "0"),
    must("output_format_tsv_crlf_end_of_line", "0"),
    must("output_format_write_statistics", "0"),
    must("http_write_exception_in_output_format", "0"),
];

/// For whatever is not read as a stream, beside [`READING`].
pub const WRITING: &[Setting] = &[
    // On by default since 26.x. Its buffers would answer before the rows are a part, or join them with others.
    must("async_insert", "0"),
    // Rows that return after a deletion may make a block like an earlier one: it must not be dropped as a duplicate. The
    // switch is ignored by 26.x, so an insert has a token of its own as well.
    must("insert_deduplicate", "0"),
    // Merging the block's rows before writing it costs more than all the rest: 6.2 s instead of 2.6 s for 1,000,000 rows
    // in random order. FINAL and merges do the same work when it is needed.
    must("optimize_on_insert", "0"),
    // A row that cannot be read is refused, not left out.
    must("input_format_allow_errors_num", "0"),
    must("input_format_allow_errors_ratio", "0"),
    // An insert into a distributed table is done when every shard has its rows, not when the first server has a file.
    must("distributed_foreground_insert", "1"),
    must("insert_shard_id", "0"),
    must("parallel_distributed_insert_select", "0"),
    // Replicas: done when most of them have it. One after another, since only then a replica knows what a quorum has, as
    // `select_sequential_consistency` asks. A server without replicas ignores both.
    must("insert_quorum", "auto"),
    must("insert_quorum_parallel", "0"),
    // On a cluster, done when every server has done it, within the time that whoever asks waits for parts to be rewritten.
    must("distributed_ddl_output_mode", "throw"),
    must("distributed_ddl_task_timeout", "900"),
];

/// In the text of a view, above what its reader has set. Other settings change nothing there, or are the reader's own
/// question: a limit, a filter on the view, a time after which he wants what there is.
pub const IN_VIEW: &[Setting] = &[
    // With `break`, what is read last is missing: perhaps the version of a row that counts.
    must("read_overflow_mode", "'throw'"),
    must("read_overflow_mode_leaf", "'throw'"),
    // One on the raw table would be applied to every version, before the latest is known.
    must("additional_table_filters", "{}"),
    must("do_not_merge_across_partitions_select_final", "0"),
    must("optimize_move_to_prewhere_if_final", "0"),
];

/// `a = 1, b = 2`: what follows `SETTINGS`.
pub(super) fn clause(settings: &[Setting]) -> String {
    let each: Vec<_> = settings.iter().map(|setting| format!("{} = {}", setting.name, setting.value)).collect();
    each.join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_setting_has_one_value() {
        let mut seen = BTreeSet::new();
        for setting in READING.iter().chain(WRITING) {
            assert!(seen.insert(setting.name), "{} stands there twice", setting.name);
        }
        for in_view in IN_VIEW {
            let everywhere = READING.iter().find(|setting| setting.name == in_view.name);
            assert_eq!(everywhere.map(|setting| setting.value), Some(in_view.value.trim_matches('\'')));
        }
    }
}
