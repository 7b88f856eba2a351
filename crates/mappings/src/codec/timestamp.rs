//! Timestamps and days as every destination shows them.

/// Microseconds from 1970-01-01 to 2000-01-01, where PostgreSQL's timestamps start.
pub(crate) const POSTGRES_EPOCH_US: i64 = 946_684_800_000_000;
/// Days from 1970-01-01 to 2000-01-01, where PostgreSQL's days start.
const POSTGRES_EPOCH_DAYS: i32 = 10_957;
/// 1900-01-01 00:00:00.000 and 2299-12-31 23:59:59.999, in ms since 1970: what ClickHouse's `DateTime64(3)` holds, and the
/// limits in every destination, so that all show the same.
const MIN_TIMESTAMP_MS: i64 = -2_208_988_800_000;
const MAX_TIMESTAMP_MS: i64 = 10_413_791_999_999;
/// The same days, in days since 1970: what ClickHouse's `Date32` holds.
const MIN_DAY: i32 = -25_567;
const MAX_DAY: i32 = 120_529;

/// Microseconds since 2000 to milliseconds since 1970, floored and clamped. PostgreSQL sends the infinities as the
/// limits of the type, so they are clamped with everything else.
pub fn timestamp_millis(microseconds: i64) -> i64 {
    microseconds.saturating_add(POSTGRES_EPOCH_US).div_euclid(1000).clamp(MIN_TIMESTAMP_MS, MAX_TIMESTAMP_MS)
}

/// The same, to microseconds.
pub(super) fn timestamp_micros(microseconds: i64) -> i64 {
    microseconds.saturating_add(POSTGRES_EPOCH_US).clamp(MIN_TIMESTAMP_MS * 1000, MAX_TIMESTAMP_MS * 1000 + 999)
}

/// A timestamp as a tenant's own Postgres is given it, in microseconds since 2000: floored to milliseconds and clamped.
pub(super) fn postgres_millis(microseconds: i64) -> i64 {
    timestamp_millis(microseconds) * 1000 - POSTGRES_EPOCH_US
}

/// The same, to microseconds.
pub(super) fn postgres_micros(microseconds: i64) -> i64 {
    timestamp_micros(microseconds) - POSTGRES_EPOCH_US
}

/// A day as a tenant's own Postgres is given it, in days since 2000: as it is, or clamped.
pub(super) fn postgres_day(days: i32) -> Result<i32, i32> {
    day(days).map(|_| days).map_err(|clamped| clamped - POSTGRES_EPOCH_DAYS)
}

/// Days since 2000 to days since 1970: as they are, or clamped, where they are beyond the limits or infinite.
pub(super) fn day(days: i32) -> Result<i32, i32> {
    let since_1970 = days.saturating_add(POSTGRES_EPOCH_DAYS);
    let clamped = since_1970.clamp(MIN_DAY, MAX_DAY);
    if clamped == since_1970 { Ok(since_1970) } else { Err(clamped) }
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

    #[test]
    fn microseconds_are_kept_within_the_same_limits() {
        let at = |microseconds_since_1970: i64| timestamp_micros(microseconds_since_1970 - POSTGRES_EPOCH_US);
        assert_eq!((at(-1), at(1_999)), (-1, 1_999));
        assert_eq!(timestamp_micros(i64::MAX), MAX_TIMESTAMP_MS * 1000 + 999);
        assert_eq!(timestamp_micros(i64::MIN), MIN_TIMESTAMP_MS * 1000);
    }

    #[test]
    fn days_beyond_the_limits_are_told_from_those_within() {
        assert_eq!(day(0), Ok(POSTGRES_EPOCH_DAYS));
        assert_eq!(
            (day(MIN_DAY - POSTGRES_EPOCH_DAYS), day(MAX_DAY - POSTGRES_EPOCH_DAYS)),
            (Ok(MIN_DAY), Ok(MAX_DAY))
        );
        assert_eq!((day(i32::MIN), day(i32::MAX)), (Err(MIN_DAY), Err(MAX_DAY)));
        assert_eq!(day(MAX_DAY - POSTGRES_EPOCH_DAYS + 1), Err(MAX_DAY));
    }
}
