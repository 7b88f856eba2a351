//! Numbers from PostgreSQL's binary `numeric` to the integers that ClickHouse's `Decimal` is made of.
//!
//! Formats: PostgreSQL, `numeric_send` in `src/backend/utils/adt/numeric.c` (digits of base 10,000, the weight of the first,
//! sign, digits to show); ClickHouse, a two's complement integer of 4, 8, 16 or 32 bytes that counts units of the last place.

use crate::column_type::MAX_PRECISION;

/// Count of digits, weight, sign, digits to show.
const HEADER_BYTES: usize = 8;
const POSITIVE: u16 = 0x0000;
const NEGATIVE: u16 = 0x4000;

/// 256 bits, the lowest 64 first.
type Wide = [u64; 4];

/// `POWERS[n]` is ten to the power of n.
const POWERS: [Wide; MAX_PRECISION as usize + 1] = {
    let mut powers = [[1, 0, 0, 0]; MAX_PRECISION as usize + 1];
    let mut power = 1;
    while power < powers.len() {
        let (previous, mut carry, mut limb) = (powers[power - 1], 0, 0);
        while limb < 4 {
            let product = previous[limb] as u128 * 10 + carry;
            #[expect(clippy::cast_possible_truncation, reason = "the upper half is carried")]
            let low = product as u64;
            powers[power][limb] = low;
            carry = product >> 64;
            limb += 1;
        }
        power += 1;
    }
    powers
};

/// Appends the number with `scale` digits behind the point.
///
/// # Errors
/// What is wrong with the number: nothing is ever rounded.
pub(super) fn put(out: &mut Vec<u8>, numeric: &[u8], precision: u8, scale: u8) -> Result<(), &'static str> {
    const TOO_LONG: &str = "has more digits than its type";
    let (digits, weight, is_negative) = take_apart(numeric)?;
    // PostgreSQL sends no zeros at the end; the place of the last digit would not say how long the number is.
    let count = digits.iter().rposition(|digit| *digit != [0, 0]).map_or(0, |last| last + 1);
    let Some((last, others)) = digits[..count].split_last() else {
        out.resize(out.len() + bytes_of(precision), 0);
        return Ok(());
    };
    let value = |digit: &[u8; 2]| u64::from(u16::from_be_bytes(*digit));
    let mut magnitude = [0; 4];
    for digit in others {
        magnitude = multiply_add(magnitude, 10_000, value(digit)).ok_or(TOO_LONG)?;
    }
    // How many places the last digit of base 10,000 ends in front of the last place of the type, or behind it.
    let places = 4 * (i64::from(weight) + 1 - i64::try_from(count).map_err(|_| TOO_LONG)?) + i64::from(scale);
    let behind = match places {
        0.. => 1,
        -1 => 10,
        -2 => 100,
        -3 => 1000,
        _ => return Err(TOO_LONG),
    };
    if value(last) % behind != 0 {
        return Err(TOO_LONG);
    }
    magnitude = multiply_add(magnitude, 10_000 / behind, value(last) / behind).ok_or(TOO_LONG)?;
    for _ in 0..places {
        magnitude = multiply_add(magnitude, 10, 0).ok_or(TOO_LONG)?;
    }
    if magnitude.iter().rev().ge(POWERS[usize::from(precision)].iter().rev()) {
        return Err(TOO_LONG);
    }
    let signed = if is_negative { negated(magnitude) } else { magnitude };
    let bytes: [[u8; 8]; 4] = signed.map(u64::to_le_bytes);
    out.extend_from_slice(&bytes.as_flattened()[..bytes_of(precision)]);
    Ok(())
}

const fn bytes_of(precision: u8) -> usize {
    match precision {
        0..=9 => 4,
        10..=18 => 8,
        19..=38 => 16,
        _ => 32,
    }
}

/// The digits, the weight of the first, and whether the number is negative.
fn take_apart(numeric: &[u8]) -> Result<(&[[u8; 2]], i16, bool), &'static str> {
    const MALFORMED: &str = "is no number as PostgreSQL sends them";
    let (header, digits) = numeric.split_first_chunk::<HEADER_BYTES>().ok_or(MALFORMED)?;
    let [count, weight, sign, _] = [0, 2, 4, 6].map(|at| [header[at], header[at + 1]]);
    let (digits, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() || digits.len() != usize::from(u16::from_be_bytes(count)) {
        return Err(MALFORMED);
    }
    match u16::from_be_bytes(sign) {
        sign @ (POSITIVE | NEGATIVE) => Ok((digits, i16::from_be_bytes(weight), sign == NEGATIVE)),
        _ => Err("is not a number or infinite, which its type does not hold"),
    }
}

/// `None` where 256 bits do not hold the result.
fn multiply_add(wide: Wide, factor: u64, addend: u64) -> Option<Wide> {
    let mut carry = u128::from(addend);
    let product = wide.map(|limb| {
        let product = u128::from(limb) * u128::from(factor) + carry;
        carry = product >> 64;
        #[expect(clippy::cast_possible_truncation, reason = "the upper half is carried")]
        let low = product as u64;
        low
    });
    (carry == 0).then_some(product)
}

/// Two's complement.
fn negated(wide: Wide) -> Wide {
    let mut carry = true;
    wide.map(|limb| {
        let (sum, overflows) = (!limb).overflowing_add(u64::from(carry));
        carry = overflows;
        sum
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numeric(digits: &[u16], weight: i16, sign: u16) -> Vec<u8> {
        let count = u16::try_from(digits.len()).unwrap();
        let header = [count.to_be_bytes(), weight.to_be_bytes(), sign.to_be_bytes(), [0, 0]];
        [header.as_flattened(), digits.iter().map(|digit| digit.to_be_bytes()).collect::<Vec<_>>().as_flattened()]
            .concat()
    }

    fn written(digits: &[u16], weight: i16, sign: u16, precision: u8, scale: u8) -> Result<Vec<u8>, &'static str> {
        let mut out = Vec::new();
        put(&mut out, &numeric(digits, weight, sign), precision, scale).map(|()| out)
    }

    #[test]
    fn numbers_become_units_of_the_last_place() {
        // 12345.678
        assert_eq!(written(&[1, 2345, 6780], 1, POSITIVE, 9, 3), Ok(12_345_678_i32.to_le_bytes().into()));
        assert_eq!(written(&[1, 2345, 6780], 1, NEGATIVE, 18, 4), Ok((-123_456_780_i64).to_le_bytes().into()));
        // 0.0001, and 10,000,000,000
        assert_eq!(written(&[1], -1, POSITIVE, 38, 10), Ok(1_000_000_i128.to_le_bytes().into()));
        assert_eq!(written(&[100], 2, POSITIVE, 38, 0), Ok(10_000_000_000_i128.to_le_bytes().into()));
        assert_eq!(written(&[], 0, POSITIVE, 76, 38), Ok(vec![0; 32]));
        assert_eq!(written(&[1], 0, NEGATIVE, 76, 0), Ok(vec![0xff; 32]));
        // 76 nines with the point in their middle: the digits of base 10,000 reach beyond both ends.
        let nines = [&[99][..], &[9999; 18], &[9900]].concat();
        let most = (0..76).try_fold([0; 4], |most, _| multiply_add(most, 10, 9)).unwrap();
        assert_eq!(written(&nines, 9, POSITIVE, 76, 38), Ok(most.map(u64::to_le_bytes).concat()));
    }

    #[test]
    fn nothing_is_rounded_and_nothing_cut() {
        assert_eq!(written(&[9], 0, POSITIVE, 1, 0), Ok(9_i32.to_le_bytes().into()));
        for (digits, weight, sign, precision, scale, said) in [
            (&[10][..], 0, POSITIVE, 1, 0, "more digits"),
            (&[1, 2345, 6780], 1, POSITIVE, 9, 2, "more digits"),
            (&[1], i16::MAX, POSITIVE, 76, 0, "more digits"),
            (&[1], i16::MIN, POSITIVE, 76, 76, "more digits"),
            (&[9999; 40], 39, POSITIVE, 76, 0, "more digits"),
            (&[], 0, 0xc000, 76, 0, "not a number or infinite"),
            (&[], 0, 0xd000, 76, 0, "not a number or infinite"),
            (&[], 0, 0xf000, 76, 0, "not a number or infinite"),
        ] {
            let error = written(digits, weight, sign, precision, scale).unwrap_err();
            assert!(error.contains(said), "{digits:?}: {error}");
        }
        for cut in [&[][..], &[0; 7], &[0, 1, 0, 0, 0, 0, 0, 0], &[0; 9]] {
            assert!(put(&mut Vec::new(), cut, 9, 0).unwrap_err().contains("no number"));
        }
    }

    proptest! {
        #[test]
        fn every_number_of_38_digits_is_itself(value in -(10_i128.pow(38) - 1)..10_i128.pow(38), scale in 0_u8..=38) {
            // The digits of base 10,000 with the point behind `scale` decimal digits.
            let text = format!("{:0width$}", value.unsigned_abs(), width = usize::from(scale) + 1);
            let (whole, fraction) = text.split_at(text.len() - usize::from(scale));
            let (whole, fraction) = (format!("{whole:0>width$}", width = whole.len().next_multiple_of(4)),
                format!("{fraction:0<width$}", width = fraction.len().next_multiple_of(4)));
            let digits: Vec<u16> = (whole.clone() + &fraction).as_bytes().chunks(4)
                .map(|four| std::str::from_utf8(four).unwrap().parse().unwrap()).collect();
            let weight = i16::try_from(whole.len() / 4).unwrap() - 1;
            let sign = if value < 0 { NEGATIVE } else { POSITIVE };
            prop_assert_eq!(written(&digits, weight, sign, 38, scale), Ok(value.to_le_bytes().into()));
            let wider = written(&digits, weight, sign, 76, scale).unwrap();
            prop_assert_eq!(&wider[..16], &value.to_le_bytes());
            let sign = if value < 0 { 0xff } else { 0 };
            prop_assert!(wider[16..].iter().all(|&byte| byte == sign));
        }
    }
}
