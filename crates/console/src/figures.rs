//! Numbers and times as people read them, and small pictures of numbers. Pure.

use std::time::{SystemTime, UNIX_EPOCH};

/// A whole number with commas between its thousands.
pub fn whole(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if number < 0 {
        text.push('-');
    }
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number that was counted up to a limit: "≥ 10,000" where it was reached.
pub fn at_least(number: i64, limit: i64) -> String {
    cut(number, number >= limit)
}

/// The same where it is known otherwise whether there may be more.
pub fn cut(number: i64, is_cut: bool) -> String {
    if is_cut { format!("≥ {}", whole(number)) } else { whole(number) }
}

/// A rate or another number that need not be whole: three digits that count.
pub fn rounded(number: f64) -> String {
    match number {
        number if !number.is_finite() => "unknown".to_owned(),
        number if number.abs() >= 100.0 || number == number.trunc() =>
        {
            #[expect(clippy::cast_possible_truncation, reason = "a number that is shown")]
            whole(number.round() as i64)
        }
        number if number.abs() >= 10.0 => format!("{number:.1}"),
        number => format!("{number:.2}"),
    }
}

/// A duration in the unit that fits.
pub fn duration(seconds: f64) -> String {
    match seconds {
        s if !s.is_finite() || s < 0.0 => "unknown".to_owned(),
        s if s < 10.0 => format!("{s:.1} s"),
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.0} h", s / 3600.0),
        s => format!("{:.0} days", s / 86_400.0),
    }
}

/// A moment as reports have it: `2026-11-27T01:02:03Z`.
pub(crate) fn utc(at: SystemTime) -> String {
    let seconds = at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(i64::try_from(days).unwrap_or(0));
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

/// The date of a day since 1970-01-01, in the Gregorian calendar (Howard Hinnant, "chrono-compatible low-level date algorithms").
const fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + if month <= 2 { 1 } else { 0 }, month, day)
}

/// Singular or plural behind a number.
pub(crate) fn counted(number: i64, one: &str, many: &str) -> String {
    format!("{} {}", whole(number), if number == 1 { one } else { many })
}

/// Width and height of a picture, in its own units.
const SPARK: (f64, f64) = (160.0, 28.0);
/// Room for the line at both edges.
const MARGIN: f64 = 2.0;

/// Polylines of points from left to right: one wherever neighbours are known. The highest is at the top, 0 at the bottom.
pub(crate) fn sparkline(values: &[f64]) -> Vec<String> {
    let highest = values.iter().copied().filter(|value| value.is_finite()).fold(0.0_f64, f64::max);
    let scale = if highest > 0.0 { (SPARK.1 - 2.0 * MARGIN) / highest } else { 0.0 };
    #[expect(clippy::cast_precision_loss, reason = "a few hundred points")]
    let step = SPARK.0 / values.len().saturating_sub(1).max(1) as f64;
    let (mut lines, mut line, mut at) = (Vec::new(), Vec::new(), 0.0);
    for value in values {
        if value.is_finite() {
            line.push(format!("{at:.1},{:.1}", SPARK.1 - MARGIN - value.max(0.0) * scale));
        } else if !line.is_empty() {
            lines.push(std::mem::take(&mut line).join(" "));
        }
        at += step;
    }
    if !line.is_empty() {
        lines.push(line.join(" "));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_people_read_them() {
        assert_eq!([0, 999, 1000, 998_412, -1_234_567].map(whole), ["0", "999", "1,000", "998,412", "-1,234,567"]);
        assert_eq!((at_least(9_999, 10_000), at_least(10_000, 10_000)), ("9,999".to_owned(), "≥ 10,000".to_owned()));
        assert_eq!([0.0, 1.25, 12.34, 1234.5, f64::NAN].map(rounded), ["0", "1.25", "12.3", "1,235", "unknown"]);
        assert_eq!([1.34, 59.0, 240.0, 7200.0, 864_000.0].map(duration), ["1.3 s", "59 s", "4 min", "2 h", "10 days"]);
        assert_eq!((counted(1, "row", "rows"), counted(2, "row", "rows")), ("1 row".to_owned(), "2 rows".to_owned()));
    }

    #[test]
    fn a_moment_is_told_in_utc() {
        let at = |seconds| utc(UNIX_EPOCH + std::time::Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(at(1_795_741_323), "2026-11-27T01:02:03Z");
    }

    #[test]
    fn a_sparkline_is_broken_where_nothing_is_known_and_rests_on_zero() {
        assert_eq!(sparkline(&[0.0, 10.0, f64::NAN, 5.0]), ["0.0,26.0 53.3,2.0", "160.0,14.0"]);
        assert_eq!(sparkline(&[0.0, 0.0]), ["0.0,26.0 160.0,26.0"]);
        assert!(sparkline(&[]).is_empty() && sparkline(&[f64::NAN]).is_empty());
    }
}
