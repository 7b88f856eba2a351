//! Decimal numbers by their value, however they are written, with any number of digits.

use std::fmt;

/// Digits of an `i64`, and one more.
const MAX_INTEGER_DIGITS: i64 = 19;
/// Any number with more digits before its point lies beyond every limit that it is compared with.
const MAX_MOMENT_DIGITS: i64 = 30;

/// `digits` × 10^`exponent`; the digits have no zero at either end, and there are none in zero.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Number {
    is_negative: bool,
    digits: String,
    exponent: i64,
}

impl Number {
    /// Reads what JSON and Postgres write: `-12.50`, `1e3`, `.5`. Returns `None` for anything else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
            None => (text, 0),
        };
        let is_negative = mantissa.starts_with('-');
        let mantissa = mantissa.strip_prefix(['-', '+']).unwrap_or(mantissa);
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.len() + fraction.len() == 0 || !is_number(whole) || !is_number(fraction) {
            return None;
        }
        let all = format!("{whole}{fraction}");
        let digits = all.trim_end_matches('0');
        let cut = i64::try_from(all.len() - digits.len()).ok()?;
        let exponent = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?.checked_add(cut)?;
        let digits = digits.trim_start_matches('0').to_owned();
        let is_zero = digits.is_empty();
        Some(Self { is_negative: is_negative && !is_zero, digits, exponent: if is_zero { 0 } else { exponent } })
    }

    /// The whole number that it is; `None` where it is none, or too large.
    pub(super) fn integer(&self) -> Option<i64> {
        if !(0..MAX_INTEGER_DIGITS).contains(&self.exponent) {
            return None;
        }
        let zeros = "0".repeat(usize::try_from(self.exponent).ok()?);
        let sign = if self.is_negative { "-" } else { "" };
        format!("{sign}0{}{zeros}", self.digits).parse().ok()
    }

    /// A thousand times its value, floored; the limits of the type stand for what lies beyond them.
    pub(super) fn thousandfold(&self) -> i128 {
        let exponent = self.exponent.saturating_add(3);
        let whole_digits = exponent.saturating_add(i64::try_from(self.digits.len()).unwrap_or(i64::MAX));
        if whole_digits > MAX_MOMENT_DIGITS {
            return if self.is_negative { i128::MIN } else { i128::MAX };
        }
        let kept = usize::try_from(whole_digits).unwrap_or(0).min(self.digits.len());
        let zeros = "0".repeat(usize::try_from(exponent).unwrap_or(0));
        let magnitude: i128 = format!("0{}{}", &self.digits[..kept], if exponent > 0 { &zeros } else { "" })
            .parse()
            .expect("it is at most thirty digits");
        // Digits that are left out are not all zero: the last one never is.
        let below = i128::from(kept < self.digits.len());
        if self.is_negative { -magnitude - below } else { magnitude }
    }
}

/// One text for one value.
impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.is_negative { "-" } else { "" };
        let digits = if self.digits.is_empty() { "0" } else { &self.digits };
        write!(f, "{sign}{digits}e{}", self.exponent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Option<String> {
        Number::parse(text).map(|number| number.to_string())
    }

    #[test]
    fn a_value_has_one_text_however_it_is_written() {
        for same in ["1.5", "1.50", "15e-1", "+1.5", "0001.5", "0.15E1", "1500e-3"] {
            assert_eq!(shown(same).as_deref(), Some("15e-1"), "{same}");
        }
        for zero in ["0", "-0", "0.000", "0e99", "-0.0e-5", ".0", "0."] {
            assert_eq!(shown(zero).as_deref(), Some("0e0"), "{zero}");
        }
        let long = "123456789012345678901234567890.12345678901234567890";
        assert_ne!(shown(long), shown("123456789012345678901234567890.12345678901234567891"));
        assert_eq!(shown("1e1000000000").as_deref(), Some("1e1000000000"), "nothing is written out");
    }

    #[test]
    fn what_is_no_number_is_none() {
        let long = "1e99999999999999999999";
        for text in ["", "-", ".", "e1", "1e", "1e1.5", "1_000", "0x1", "1 ", " 1", "--1", "1-", "NaN", "٣", long] {
            assert_eq!(shown(text), None, "{text:?}");
        }
        assert_eq!(shown("0.1e-9223372036854775808"), None, "its exponent overflows");
    }

    #[test]
    fn whole_numbers_are_told_from_others() {
        let whole = |text| Number::parse(text).unwrap().integer();
        assert_eq!(["0", "-7", "1e3", "2.0", "1200"].map(whole), [0, -7, 1000, 2, 1200].map(Some));
        assert_eq!(whole("9223372036854775807"), Some(i64::MAX));
        assert_eq!(whole("-9223372036854775808"), Some(i64::MIN));
        assert_eq!(["1.5", "9223372036854775808", "1e19", "1e-1", "1e1000000000"].map(whole), [None; 5]);
    }

    #[test]
    fn a_thousandfold_is_floored() {
        let thousandfold = |text| Number::parse(text).unwrap().thousandfold();
        assert_eq!(["0", "1", "1.5", "-1", "1e2"].map(thousandfold), [0, 1000, 1500, -1000, 100_000]);
        assert_eq!(["0.0001", "-0.0001", "1.23456", "-1.23456"].map(thousandfold), [0, -1, 1234, -1235]);
        assert_eq!(["1e-99999", "-1e-99999"].map(thousandfold), [0, -1]);
        assert_eq!(["1e99999", "-1e99999"].map(thousandfold), [i128::MAX, i128::MIN]);
    }
}
