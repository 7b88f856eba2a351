//! Timestamps as every destination shows them.

/// Microseconds from 1970-01-01 to 2000-01-01, where PostgreSQL's timestamps start.
const POSTGRES_EPOCH_US: i64 = 946_684_800_000_000;
/// 1900-01-01 00:00:00.000 and 2299-12-31 23:59:59.999, in ms since 1970: what ClickHouse's `DateTime64(3)` holds, and the
/// limits in every destination, so that all show the same.
const MIN_TIMESTAMP_MS: i64 = -2_208_988_800_000;
const MAX_TIMESTAMP_MS: i64 = 10_413_791_999_999;

/// Microseconds since 2000 to milliseconds since 1970, floored and clamped. PostgreSQL sends the infinities as the
/// limits of the type, so they are clamped with everything else.
pub fn timestamp_millis(microseconds: i64) -> i64 {
    microseconds.saturating_add(POSTGRES_EPOCH_US).div_euclid(1000).clamp(MIN_TIMESTAMP_MS, MAX_TIMESTAMP_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_floored_to_milliseconds_and_clamped_to_what_clickhouse_holds() {
        let at = |microseconds_since_1970: i64| timestamp_millis(microseconds_since_1970 - POSTGRES_EPOCH_US);
        assert_eq!(at(0), 0);
        assert_eq!(at(1_999), 1);
        assert_eq!(at(-1), -1, "floored, not cut");
        assert_eq!(at(-1_001), -2);
        assert_eq!(timestamp_millis(i64::MAX), MAX_TIMESTAMP_MS);
        assert_eq!(timestamp_millis(i64::MIN), MIN_TIMESTAMP_MS);
        assert_eq!(at(MAX_TIMESTAMP_MS * 1000 + 999), MAX_TIMESTAMP_MS);
        assert_eq!(at((MAX_TIMESTAMP_MS + 1) * 1000), MAX_TIMESTAMP_MS);
        assert_eq!(at(MIN_TIMESTAMP_MS * 1000 - 1), MIN_TIMESTAMP_MS);
    }
}
