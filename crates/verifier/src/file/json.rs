//! JSON by its value: blanks, the order of fields, escapes and the way of writing a number make no difference.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::number::Number;

/// Deeper than this, text is compared as it is: each level reads what is below it once more.
const MAX_DEPTH: usize = 100;

/// One text for one value. What is no JSON stays as it is. Of a field that is there twice the last counts, as in `jsonb`.
pub(super) fn by_value(text: &str) -> String {
    match serde_json::from_str::<&RawValue>(text) {
        Ok(value) => {
            let mut written = String::with_capacity(text.len());
            write(value, MAX_DEPTH, &mut written);
            written
        }
        Err(_) => text.to_owned(),
    }
}

/// Whether a text is JSON.
pub(super) fn is_json(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok()
}

fn write(value: &RawValue, depth: usize, to: &mut String) {
    let text = value.get();
    let is_written = depth > 0
        && match text.as_bytes().first() {
            Some(b'{') => write_object(text, depth, to),
            Some(b'[') => write_array(text, depth, to),
            Some(b'"') => write_string(text, to),
            Some(b't' | b'f' | b'n') => false,
            _ => Number::parse(text).is_some_and(|number| {
                to.push_str(&number.to_string());
                true
            }),
        };
    if !is_written {
        to.push_str(text);
    }
}

fn write_object(text: &str, depth: usize, to: &mut String) -> bool {
    // A name that is no Unicode text (half a surrogate pair) makes the whole object incomparable by value.
    let Ok(fields) = serde_json::from_str::<BTreeMap<Cow<'_, str>, &RawValue>>(text) else { return false };
    to.push('{');
    for (index, (name, value)) in fields.iter().enumerate() {
        to.push_str(if index > 0 { "," } else { "" });
        to.push_str(&quoted(name));
        to.push(':');
        write(value, depth - 1, to);
    }
    to.push('}');
    true
}

fn write_array(text: &str, depth: usize, to: &mut String) -> bool {
    let Ok(elements) = serde_json::from_str::<Vec<&RawValue>>(text) else { return false };
    to.push('[');
    for (index, value) in elements.iter().enumerate() {
        to.push_str(if index > 0 { "," } else { "" });
        write(value, depth - 1, to);
    }
    to.push(']');
    true
}

fn write_string(text: &str, to: &mut String) -> bool {
    let Ok(value) = serde_json::from_str::<Cow<'_, str>>(text) else { return false };
    to.push_str(&quoted(&value));
    true
}

/// A text as a string of JSON.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_the_same_value_has_the_same_text() {
        for (one, other) in [
            (r#"{"b": 1, "a": [1, null]}"#, r#"{"a":[1.0,null],"b":1e0}"#),
            (r#""\u00e9\n""#, "\"é\\u000a\""),
            (r#"{"a": 1, "a": 2}"#, r#"{"a":2}"#),
            ("\n [ true ,\tfalse ] ", "[true,false]"),
            ("-0", "0.0"),
            ("null", " null "),
            (r#"{"\u0061": {}}"#, r#"{"a":{ }}"#),
        ] {
            assert_eq!(by_value(one), by_value(other));
        }
    }

    #[test]
    fn what_differs_stays_different() {
        let long = ["123456789012345678901234567890", "123456789012345678901234567891"];
        for [one, other] in [
            long,
            ["1", "\"1\""],
            ["[1,2]", "[2,1]"],
            ["{}", "[]"],
            ["{}", "\"{}\""],
            ["null", "\"null\""],
            ["0.1", "0.10000000000000000000001"],
            ["1e400", "1e401"],
            [r#""\ud800""#, r#""\ud801""#],
            [r#"{"a":null}"#, "{}"],
        ] {
            assert_ne!(by_value(one), by_value(other));
        }
    }

    #[test]
    fn what_is_no_json_or_too_deep_is_compared_as_text() {
        assert_eq!(by_value("{not json"), "{not json");
        let deep = |blank: &str| format!("{}{blank}{}", "[".repeat(5_000), "]".repeat(5_000));
        assert_eq!(by_value(&deep("")), deep(""));
        assert_ne!(by_value(&deep(" ")), by_value(&deep("")));
    }
}
