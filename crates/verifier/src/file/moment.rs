//! Moments and days as files write them (ISO 8601), and as destinations hold them: clamped, in UTC.

/// Microseconds of a day.
const DAY_US: i128 = 86_400_000_000;
/// What `DateTime64(3)` holds, in milliseconds since 1970: 1900-01-01 00:00:00.000 to 2299-12-31 23:59:59.999.
const MIN_MS: i128 = -2_208_988_800_000;
const MAX_MS: i128 = 10_413_791_999_999;
/// Clamped to the limits of every destination in any case.
const BEFORE_ALL: i128 = i128::MIN;
const AFTER_ALL: i128 = i128::MAX;

/// Milliseconds since 1970 as destinations hold them.
pub(super) fn millis(micros: i128) -> i128 {
    micros.div_euclid(1000).clamp(MIN_MS, MAX_MS)
}

/// Microseconds since 1970 as destinations hold them.
pub(super) fn micros(micros: i128) -> i128 {
    micros.clamp(MIN_MS * 1000, MAX_MS * 1000 + 999)
}

/// The day as destinations hold it; `None` where it is no midnight.
pub(super) fn day(micros: i128) -> Option<String> {
    let clamped = self::micros(micros);
    let is_midnight = clamped != micros || micros.rem_euclid(DAY_US) == 0;
    is_midnight.then(|| date(clamped.div_euclid(DAY_US)))
}

/// ISO 8601 of microseconds since 1970, with so many digits behind the second.
pub(super) fn iso(micros: i128, digits: usize) -> String {
    let (days, rest) = (micros.div_euclid(DAY_US), micros.rem_euclid(DAY_US));
    let (seconds, fraction) = (rest / 1_000_000, format!("{:06}", rest % 1_000_000));
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{}T{hour:02}:{minute:02}:{second:02}.{}Z", date(days), &fraction[..digits])
}

/// Microseconds since 1970, floored; without a zone it is UTC.
///
/// Reads `2024-02-29`, `2024-02-29T12:34:56.789Z`, `2024-02-29 12:34+02`, years of up to six digits with a sign or ` BC`, and the
/// infinities of Postgres.
pub(super) fn parse(text: &str) -> Option<i128> {
    match text {
        "infinity" => return Some(AFTER_ALL),
        "-infinity" => return Some(BEFORE_ALL),
        _ => {}
    }
    let (text, is_bc) = text.strip_suffix(" BC").map_or((text, false), |text| (text, true));
    let (text, is_negative) = match text.strip_prefix('-') {
        Some(rest) => (rest, true),
        None => (text.strip_prefix('+').unwrap_or(text), false),
    };
    let (day, clock) = match text.split_once(['T', 't', ' ']) {
        Some((day, clock)) => (day, Some(clock)),
        None => (text, None),
    };
    let days = days(day)?;
    let within = clock.map_or(Some(0), of_day)?;
    Some(if is_bc || is_negative { BEFORE_ALL } else { days * DAY_US + within })
}

/// Days since 1970 of `YYYY-MM-DD`.
fn days(text: &str) -> Option<i128> {
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || !(4..=6).contains(&year.len()) {
        return None;
    }
    let (year, month, day) = (number(year)?, two(month)?, two(day)?);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let longest = match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => return None,
    };
    (1..=longest).contains(&day).then(|| days_from_civil(year, month, day))
}

/// Microseconds since midnight in UTC of `HH:MM[:SS[.fraction]][zone]`; more than a day, or less than none, where the zone says so.
fn of_day(text: &str) -> Option<i128> {
    let zone_at = text.find(['Z', 'z', '+', '-']).unwrap_or(text.len());
    let (clock, zone) = text.split_at(zone_at);
    let mut parts = clock.trim_end_matches(' ').split(':');
    let (hour, minute, seconds) = (two(parts.next()?)?, two(parts.next()?)?, parts.next().unwrap_or("00"));
    let (second, fraction) = seconds.split_once(['.', ',']).unwrap_or((seconds, "0"));
    let (second, fraction) = (two(second)?, fraction_us(fraction)?);
    let is_end = hour == 24 && minute == 0 && second == 0 && fraction == 0;
    // Second 60 is the next minute, as Postgres has it.
    if parts.next().is_some() || !(hour < 24 || is_end) || minute > 59 || second > 60 {
        return None;
    }
    Some(((hour * 60 + minute) * 60 + second - offset_seconds(zone)?) * 1_000_000 + fraction)
}

fn offset_seconds(zone: &str) -> Option<i128> {
    let (sign, rest) = match zone.split_at_checked(1) {
        None => return Some(0),
        Some(("Z" | "z", "")) => return Some(0),
        Some(("+", rest)) => (1, rest),
        Some(("-", rest)) => (-1, rest),
        Some(_) => return None,
    };
    let digits = rest.replace(':', "");
    let mut parts = [0; 3];
    if !matches!(digits.len(), 2 | 4 | 6) {
        return None;
    }
    for (part, at) in parts.iter_mut().zip((0..digits.len()).step_by(2)) {
        *part = two(digits.get(at..at + 2)?)?;
    }
    let [hours, minutes, seconds] = parts;
    (hours < 24 && minutes < 60 && seconds < 60).then_some(sign * ((hours * 60 + minutes) * 60 + seconds))
}

/// The first six digits; what is behind them is less than any destination holds.
fn fraction_us(text: &str) -> Option<i128> {
    number(text)?;
    number(&format!("{text:0<6}")[..6])
}

fn two(text: &str) -> Option<i128> {
    (text.len() == 2).then(|| number(text)).flatten()
}

fn number(text: &str) -> Option<i128> {
    let is_number = !text.is_empty() && text.len() <= 30 && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

/// Howard Hinnant's `days_from_civil` (<https://howardhinnant.github.io/date_algorithms.html>), for years from 0 on.
const fn days_from_civil(year: i128, month: i128, day: i128) -> i128 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The day so many days after 1970-01-01: `civil_from_days` of the same.
fn date(days: i128) -> String {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let (month, day) = ((shifted + 2) % 12 + 1, day_of_year - (153 * shifted + 2) / 5 + 1);
    let year = year_of_era + era * 400 + i128::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso_8601_is_read_in_all_its_forms() {
        let expected = Some(1_709_210_096_789_000);
        for text in [
            "2024-02-29T12:34:56.789Z",
            "2024-02-29 12:34:56.789",
            "2024-02-29t12:34:56,789000999z",
            "2024-02-29T14:34:56.789+02:00",
            "2024-02-29 14:34:56.789+02",
            "2024-02-29 07:04:56.789-0530",
            "2024-02-29 12:34:56.789 +00",
            "+002024-02-29T12:34:56.789Z",
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
        assert_eq!(parse("1970-01-01"), Some(0));
        assert_eq!(parse("1970-01-01T00:01"), Some(60_000_000));
        assert_eq!(parse("1969-12-31T23:59:59.9999999Z"), Some(-1));
        assert_eq!((parse("1970-01-01T24:00"), parse("1970-01-01T00:00:60")), (Some(DAY_US), Some(60_000_000)));
    }

    #[test]
    fn what_is_no_moment_is_none() {
        for text in [
            "",
            "now",
            "2023-02-29",
            "1900-02-29",
            "2024-13-01",
            "2024-00-01",
            "2024-01-00",
            "2024-1-1",
            "24-01-01",
            "20240101",
            "2024-01-01T",
            "2024-01-01T1:00",
            "2024-01-01T24:00:01",
            "2024-01-01T12:60",
            "2024-01-01T12:00:61",
            "2024-01-01T12:00:00.",
            "2024-01-01T12:00:00+",
            "2024-01-01T12:00:00+25",
            "2024-01-01T12:00:00+1",
            "2024-01-01T12:00:00Zulu",
            "2024-01-01T12:00:00:00",
            "2024-01-01T12:00:00+é",
            "2024-01-01-01",
            "1700000000000",
            "٢٠٢٤-01-01",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn moments_beyond_the_limits_become_the_limits() {
        let at = |text| parse(text).map(|found| (millis(found), micros(found)));
        let (low, high) = (Some((MIN_MS, MIN_MS * 1000)), Some((10_413_791_999_999, 10_413_791_999_999_999)));
        for text in [
            "-infinity",
            "1899-12-31T23:59:59.999999",
            "-004713-01-01T00:00:00Z",
            "0044-03-15 00:00:00 BC",
            "0001-01-01",
        ] {
            assert_eq!(at(text), low, "{text}");
        }
        for text in ["infinity", "2300-01-01", "12345-01-01 00:00:00", "+275760-09-13T00:00:00.000Z"] {
            assert_eq!(at(text), high, "{text}");
        }
        assert_eq!(at("1969-12-31T23:59:59.999999Z"), Some((-1, -1)), "floored, not cut");
    }

    #[test]
    fn days_are_days_whatever_is_behind_them() {
        let of = |text| parse(text).and_then(day);
        assert_eq!(of("2024-02-29").as_deref(), Some("2024-02-29"));
        assert_eq!(of("2024-02-29T00:00:00.000Z").as_deref(), Some("2024-02-29"));
        assert_eq!(of("2024-02-29T00:00:01Z"), None, "it is no day");
        assert_eq!((of("0001-01-01").as_deref(), of("infinity").as_deref()), (Some("1900-01-01"), Some("2299-12-31")));
    }

    #[test]
    fn what_is_written_is_read_again() {
        for micros in [0, -1, 1, 951_782_399_999_999, 1_709_210_096_789_000, MIN_MS * 1000, MAX_MS * 1000 + 999] {
            assert_eq!(parse(&iso(micros, 6)), Some(micros));
            let millis = micros.div_euclid(1000);
            assert_eq!(parse(&iso(millis * 1000, 3)), Some(millis * 1000));
        }
        assert_eq!(iso(1_709_210_096_789_000, 3), "2024-02-29T12:34:56.789Z");
    }
}
