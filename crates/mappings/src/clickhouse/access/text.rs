//! Literals and conditions as servers show them.

use lockstep_core::Location;

/// A condition without what a server's formatting adds or leaves out: spaces, parentheses and the quotes of names.
pub(super) fn bare(condition: &str) -> String {
    condition.chars().filter(|c| !c.is_whitespace() && !matches!(c, '(' | ')' | '`')).collect()
}

/// The condition that a row lives at this place, for users XML: whatever XML, or the server's expansion of `${…}`, could take
/// for something else is written as the bytes that it is.
pub(super) fn place_condition(location: &Location) -> String {
    format!("project_id = {} AND branch_id = {}", byte_literal(&location.project_id), byte_literal(&location.branch_id))
}

/// The place that such a condition names.
pub(super) fn place_of_condition(condition: &str) -> Option<Location> {
    let (project_id, rest) = leading_literal(condition.strip_prefix("project_id = ")?)?;
    let (branch_id, rest) = leading_literal(rest.strip_prefix(" AND branch_id = ")?)?;
    rest.is_empty().then_some(Location { project_id, branch_id })
}

/// A setting's value: servers show those of custom settings as literals.
pub(super) fn setting_value(shown: &str) -> String {
    match leading_literal(shown) {
        Some((value, "")) => value,
        _ => shown.to_owned(),
    }
}

fn byte_literal(text: &str) -> String {
    let mut literal = String::from("'");
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':' | b'/' | b'@') {
            literal.push(char::from(byte));
        } else {
            literal += &format!("\\x{byte:02X}");
        }
    }
    literal + "'"
}

/// The value of the string literal that a text begins with, and what comes after it.
fn leading_literal(text: &str) -> Option<(String, &str)> {
    let mut value = Vec::new();
    let mut rest = text.strip_prefix('\'')?.as_bytes();
    loop {
        match rest {
            [b'\'', ..] => break,
            [b'\\', b'x', high, low, after @ ..] => {
                let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                value.push(digit(*high)? * 16 + digit(*low)?);
                rest = after;
            }
            [b'\\', escaped, after @ ..] => {
                value.push(match escaped {
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'r' => b'\r',
                    b'0' => 0,
                    b'b' => 8,
                    b'f' => 12,
                    other => *other,
                });
                rest = after;
            }
            [byte, after @ ..] => {
                value.push(*byte);
                rest = after;
            }
            [] => return None,
        }
    }
    let after = text.len() - rest.len() + 1;
    Some((String::from_utf8(value).ok()?, text.get(after..)?))
}
