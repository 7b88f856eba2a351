//! Words of a shell, for commands that people copy.

/// One word for a shell, whatever is in it.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The same, as it is where a shell would not take it for anything else.
pub fn word(text: &str) -> String {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte));
    if is_plain && !text.is_empty() { text.to_owned() } else { quoted(text) }
}
