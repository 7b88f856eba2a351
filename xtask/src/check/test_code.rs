//! Which lines of a source file are compiled for tests only.

/// For each line, whether it belongs to an item marked `#[cfg(test)]`. Relies on rustfmt: an item ends with a brace
/// as far to the left as it began.
pub(super) fn marked(text: &str) -> Vec<bool> {
    let mut marked = Vec::new();
    // Indentation of the item that is being skipped.
    let mut inside: Option<usize> = None;
    // The attribute was seen, the item's own first line not yet.
    let mut pending = false;
    for line in text.lines() {
        let (indent, code) = (line.len() - line.trim_start().len(), line.trim());
        if inside.is_none() && code == "#[cfg(test)]" {
            inside = Some(indent);
            pending = true;
            marked.push(true);
            continue;
        }
        marked.push(inside.is_some());
        if inside != Some(indent) {
            continue;
        }
        let attribute = code.starts_with("#[") || code.starts_with("//");
        let ends = if pending { code.ends_with(';') || code.ends_with("{}") } else { code.starts_with('}') };
        if ends {
            inside = None;
        }
        pending = pending && attribute;
    }
    marked
}

/// Names of the modules that a file declares for tests only, each in a file of its own.
pub(super) fn modules(text: &str) -> Vec<&str> {
    let lines = text.lines().zip(marked(text)).filter(|(_, marked)| *marked).map(|(line, _)| line.trim());
    lines.filter_map(|line| line.split("mod ").nth(1)?.strip_suffix(';')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_ends_where_it_began() {
        let text = "fn a() {}\n#[cfg(test)]\n#[allow(x)]\nmod tests {\n    fn b() {\n    }\n}\nfn c() {}\n";
        assert_eq!(marked(text), [false, true, true, true, true, true, true, false]);
    }

    #[test]
    fn a_declaration_is_one_line() {
        let text = "mod a;\n#[cfg(test)]\npub(crate) mod oracle;\nmod b;\n    #[cfg(test)]\n    use x::Y;\nfn c() {}\n";
        assert_eq!(marked(text), [false, true, true, false, true, true, false]);
        assert_eq!(modules(text), ["oracle"]);
    }
}
