//! Values of a file, by the type of their column: into canonical text ([`lockstep_mappings::postgres::compare`]), and back.
//!
//! Decimals, numbers and JSON are compared by their values: what a file comes from seldom keeps how Postgres prints them. So the
//! other side's text goes through [`by_value`] before it is compared.

use std::borrow::Cow;

use lockstep_mappings::{BaseType, ColumnType};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::number::Number;
use super::{json, moment};

/// What a value has to be, where it is not.
pub(crate) type Expected = &'static str;

/// How infinities and no number are written, in files and by Postgres.
const SPECIAL: [(&str, f64); 7] = [
    ("NaN", f64::NAN),
    ("Infinity", f64::INFINITY),
    ("-Infinity", f64::NEG_INFINITY),
    ("nan", f64::NAN),
    ("inf", f64::INFINITY),
    ("+inf", f64::INFINITY),
    ("-inf", f64::NEG_INFINITY),
];

/// A value as text to compare; `None` is NULL.
pub(super) fn canonical(of: ColumnType, value: &RawValue) -> Result<Option<String>, Expected> {
    let text = value.get();
    let Some(elements) = of.array else { return one(of, text) };
    if text == "null" {
        return Ok(None);
    }
    let of_element = ColumnType { array: None, nullable: elements.nullable, ..of };
    let values: Vec<&RawValue> = serde_json::from_str(text).map_err(|_| "an array")?;
    let values = values.into_iter().map(|value| one(of_element, value.get()));
    Ok(Some(list(&values.collect::<Result<Vec<_>, _>>()?)))
}

/// What both sides are compared by, from canonical text.
pub(super) fn by_value(of: ColumnType, text: &str) -> Option<Cow<'_, str>> {
    if !matches!(of.base, BaseType::Json | BaseType::Decimal { .. } | BaseType::Numeric) {
        return Some(Cow::Borrowed(text));
    }
    let Some(elements) = of.array else { return one_by_value(of, text).map(Cow::Owned) };
    let of_element = ColumnType { array: None, nullable: elements.nullable, ..of };
    // What is no list as Postgres makes it (several dimensions) is like nothing in a file.
    let Some(values) = split(text) else { return Some(Cow::Borrowed(text)) };
    let values: Vec<_> = values.into_iter().map(|value| one_by_value(of_element, value?)).collect();
    Some(Cow::Owned(list(&values)))
}

/// In a column that can be null, JSON's null is NULL: a file does not tell them apart.
fn one_by_value(of: ColumnType, text: &str) -> Option<String> {
    match of.base {
        BaseType::Json => Some(json::by_value(text)).filter(|value| !(of.nullable && value == "null")),
        _ => Some(Number::parse(text).map_or_else(|| text.to_owned(), |number| number.to_string())),
    }
}

fn one(of: ColumnType, text: &str) -> Result<Option<String>, Expected> {
    if of.base == BaseType::Json {
        return Ok(one_by_value(of, text));
    }
    if text == "null" {
        return Ok(None);
    }
    let found = match of.base {
        BaseType::Uuid => {
            (string(text).and_then(|text| Uuid::parse_str(&text).ok()).map(|id| id.to_string()), "a uuid")
        }
        BaseType::Bool => (boolean(text), "true or false"),
        BaseType::Int16 => (integer(text, i16::MIN.into(), i16::MAX.into()), "a whole number of 16 bits"),
        BaseType::Int32 => (integer(text, i32::MIN.into(), i32::MAX.into()), "a whole number of 32 bits"),
        BaseType::Int64 => (integer(text, i64::MIN, i64::MAX), "a whole number of 64 bits"),
        BaseType::Float32 => (float32(text), "a number of 32 bits"),
        BaseType::Float64 => (float64(text), "a number of 64 bits"),
        BaseType::Decimal { .. } => (number(text).map(|number| number.to_string()), "a number"),
        BaseType::Numeric => (numeric(text), "a number"),
        BaseType::Timestamp => (micros(text).map(|at| moment::millis(at).to_string()), "a moment"),
        BaseType::TimestampMicros => (micros(text).map(|at| moment::micros(at).to_string()), "a moment"),
        BaseType::Date => (string(text).and_then(|text| moment::day(moment::parse(&text)?)), "a day"),
        BaseType::Bytes => (bytes(text), "bytes as \\x and hexadecimal digits"),
        BaseType::Text
        | BaseType::LowCardinality
        | BaseType::Time
        | BaseType::Interval
        | BaseType::Inet
        | BaseType::Json => (string(text), "a text"),
    };
    found.0.map(Some).ok_or(found.1)
}

fn string(text: &str) -> Option<String> {
    serde_json::from_str(text).ok()
}

/// A number, or a string with one: JavaScript has no large ones.
fn number_text(text: &str) -> Option<Cow<'_, str>> {
    if text.starts_with('"') { string(text).map(Cow::Owned) } else { Some(Cow::Borrowed(text)) }
}

fn number(text: &str) -> Option<Number> {
    Number::parse(&number_text(text)?)
}

fn boolean(text: &str) -> Option<String> {
    match text {
        "true" | "1" => Some("1".to_owned()),
        "false" | "0" => Some("0".to_owned()),
        _ => None,
    }
}

fn integer(text: &str, min: i64, max: i64) -> Option<String> {
    let number = number(text)?.integer()?;
    (min..=max).contains(&number).then(|| number.to_string())
}

fn special(text: &str) -> Option<f64> {
    SPECIAL.iter().find(|(name, _)| *name == text).map(|(_, value)| *value)
}

fn float32(text: &str) -> Option<String> {
    let text = number_text(text)?;
    let value = match special(&text) {
        #[allow(clippy::cast_possible_truncation, reason = "they have no digits")]
        Some(value) => value as f32,
        None => Number::parse(&text).and_then(|_| text.parse::<f32>().ok()).filter(|value| value.is_finite())?,
    };
    Some(format!("{:08x}", value.to_bits()))
}

fn float64(text: &str) -> Option<String> {
    let text = number_text(text)?;
    let value = match special(&text) {
        Some(value) => value,
        None => Number::parse(&text).and_then(|_| text.parse::<f64>().ok()).filter(|value| value.is_finite())?,
    };
    Some(format!("{:016x}", value.to_bits()))
}

fn numeric(text: &str) -> Option<String> {
    let text = number_text(text)?;
    let is_special = SPECIAL[..3].iter().any(|(name, _)| *name == text);
    if is_special { Some(text.into_owned()) } else { Number::parse(&text).map(|number| number.to_string()) }
}

/// Microseconds since 1970, of ISO 8601 or of milliseconds since 1970.
fn micros(text: &str) -> Option<i128> {
    if text.starts_with('"') { moment::parse(&string(text)?) } else { Some(Number::parse(text)?.thousandfold()) }
}

fn bytes(text: &str) -> Option<String> {
    let digits = string(text)?.strip_prefix("\\x")?.to_ascii_lowercase();
    (digits.len() % 2 == 0 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(digits)
}

/// The canonical text of an array.
fn list(values: &[Option<String>]) -> String {
    let one =
        |value: &Option<String>| value.as_ref().map_or_else(|| "n".to_owned(), |text| format!("{}:{text}", text.len()));
    values.iter().map(one).collect()
}

/// The elements of the canonical text of an array; `None` where it is none of one dimension.
pub(super) fn split(mut rest: &str) -> Option<Vec<Option<&str>>> {
    let mut values = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('n') {
            values.push(None);
            rest = after;
            continue;
        }
        let (length, after) = rest.split_once(':')?;
        let (value, after) = after.split_at_checked(length.parse().ok()?)?;
        values.push(Some(value));
        rest = after;
    }
    Some(values)
}

/// A value of JSON from canonical text; `None` where that is not what a column of this type can hold.
pub(super) fn to_json(of: ColumnType, text: &str) -> Option<String> {
    if of.array.is_none() {
        return one_to_json(of.base, text);
    }
    let values = split(text)?.into_iter();
    let values = values.map(|value| value.map_or_else(|| Some("null".to_owned()), |text| one_to_json(of.base, text)));
    Some(format!("[{}]", values.collect::<Option<Vec<_>>>()?.join(",")))
}

fn one_to_json(base: BaseType, text: &str) -> Option<String> {
    match base {
        BaseType::Bool => match text {
            "0" => Some("false".to_owned()),
            "1" => Some("true".to_owned()),
            _ => None,
        },
        BaseType::Int16 | BaseType::Int32 | BaseType::Int64 => text.parse::<i64>().ok().map(|_| text.to_owned()),
        BaseType::Decimal { .. } | BaseType::Numeric => {
            Some(if json::is_json(text) { text.to_owned() } else { json::quoted(text) })
        }
        BaseType::Float32 => {
            let value = f32::from_bits(u32::from_str_radix(text, 16).ok()?);
            Some(if value.is_finite() { format!("{value:?}") } else { json::quoted(name(f64::from(value))) })
        }
        BaseType::Float64 => {
            let value = f64::from_bits(u64::from_str_radix(text, 16).ok()?);
            Some(if value.is_finite() { format!("{value:?}") } else { json::quoted(name(value)) })
        }
        BaseType::Timestamp => Some(json::quoted(&moment::iso(text.parse::<i64>().map(i128::from).ok()? * 1000, 3))),
        BaseType::TimestampMicros => Some(json::quoted(&moment::iso(text.parse::<i64>().ok()?.into(), 6))),
        // A line ends where its row does. Within strings JSON has no ends of lines.
        BaseType::Json => json::is_json(text).then(|| text.replace(['\n', '\r'], " ")),
        BaseType::Bytes => Some(json::quoted(&format!("\\x{text}"))),
        BaseType::Uuid
        | BaseType::Text
        | BaseType::LowCardinality
        | BaseType::Date
        | BaseType::Time
        | BaseType::Interval
        | BaseType::Inet => Some(json::quoted(text)),
    }
}

fn name(value: f64) -> &'static str {
    match value {
        _ if value.is_nan() => "NaN",
        _ if value > 0.0 => "Infinity",
        _ => "-Infinity",
    }
}

#[cfg(test)]
mod tests;
