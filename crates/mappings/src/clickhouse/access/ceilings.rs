//! How much of the server one tenant can take.

/// Between which values a session may choose.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bounds {
    /// It cannot choose.
    Const,
    /// From one to the value itself: for these settings 0 means unlimited, so a maximum alone is no ceiling.
    UpToValue,
}

/// One setting of the tenants' profile.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ceiling {
    /// The setting.
    pub setting: &'static str,
    /// What it is, as ClickHouse writes it.
    pub value: &'static str,
    /// What else it may be.
    pub bounds: Bounds,
}

const fn up_to(setting: &'static str, value: &'static str) -> Ceiling {
    Ceiling { setting, value, bounds: Bounds::UpToValue }
}

const fn fixed(setting: &'static str, value: &'static str) -> Ceiling {
    Ceiling { setting, value, bounds: Bounds::Const }
}

/// The tenants' profile: seconds, bytes, threads, rows and queries. `readonly` 1 lets a session change no setting at all; the
/// bounds hold where somebody gives a user another value of it.
pub const CEILINGS: [Ceiling; 11] = [
    fixed("readonly", "1"),
    up_to("max_execution_time", "60"),
    up_to("max_memory_usage", "2147483648"),
    up_to("max_memory_usage_for_user", "4294967296"),
    up_to("max_temporary_data_on_disk_size_for_user", "4294967296"),
    up_to("max_threads", "4"),
    up_to("max_concurrent_queries_for_user", "8"),
    up_to("max_result_rows", "1000000"),
    up_to("max_result_bytes", "268435456"),
    // An answer that reaches a ceiling is an error, never a part of the rows.
    fixed("result_overflow_mode", "throw"),
    fixed("timeout_overflow_mode", "throw"),
];

/// The interval of the quota.
pub const QUOTA_SECONDS: u32 = 3600;

/// What one user may use up in an interval: queries, and seconds of time of execution.
pub const QUOTA: [(&str, u32); 2] = [("queries", 10_000), ("execution_time", 3600)];
