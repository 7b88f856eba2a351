//! The names of series in a PromQL expression. Promtool says whether it is well-formed; this only says what it asks for.

/// Words of the language that could be taken for a series.
const WORDS: [&str; 13] = [
    "and",
    "or",
    "unless",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "offset",
    "bool",
    "inf",
    "nan",
];
/// Of these, what labels follow in parentheses.
const BEFORE_LABELS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

/// Names of series, as often as they occur. Grafana's variables are none.
pub(super) fn series(expression: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        if is_word(first) || first == '$' {
            let end = rest[1..].find(|c| !is_word(c)).map_or(rest.len(), |end| end + 1);
            let (word, after) = rest.split_at(end);
            let next = after.trim_start();
            rest = after;
            let keyword = word.to_ascii_lowercase();
            if BEFORE_LABELS.contains(&keyword.as_str()) && next.starts_with('(') {
                rest = next.split_once(')').map_or("", |(_, behind)| behind);
            } else if is_name(word) && !WORDS.contains(&keyword.as_str()) && !is_call(next) {
                names.push(word);
            }
        } else {
            rest = match first {
                '{' => behind(rest, '}'),
                '[' => behind(rest, ']'),
                '"' | '\'' => behind(&rest[1..], first),
                _ => &rest[first.len_utf8()..],
            };
        }
    }
    names
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

/// Whether what follows a word makes it a function, or an aggregation with its labels in front.
fn is_call(next: &str) -> bool {
    let word = next.split(|c| !is_word(c)).next().unwrap_or_default();
    next.starts_with('(') || word.eq_ignore_ascii_case("by") || word.eq_ignore_ascii_case("without")
}

/// Numbers and durations begin with a digit, variables of Grafana with `$`.
fn is_name(word: &str) -> bool {
    !word.starts_with(|c: char| c.is_ascii_digit() || c == '$')
}

/// What follows that character; inside of strings it does not count.
fn behind(text: &str, end: char) -> &str {
    let mut string = None;
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match string {
            Some(quote) if c == quote => string = None,
            Some(_) if c == '\\' => drop(characters.next()),
            Some(_) => {}
            None if c == end => return &text[at + c.len_utf8()..],
            None if c == '"' || c == '\'' => string = Some(c),
            None => {}
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_told_from_functions_labels_words_and_variables() {
        let expression = "sum by (job, kind) (increase(a_total{kind=~\"LS-.*}\", job=~'$job'}[10m] offset 5m)) > 1e3\n\
                          and on (instance) (b == bool 1 or absent(c:d)) unless time() - $x * 60 / rate(e_sum[$__rate_interval])";
        assert_eq!(series(expression), ["a_total", "b", "c:d", "e_sum"]);
        assert_eq!(series("label_replace(f, \"to\", \"g\", \"from\", \".*\")"), ["f"]);
        assert_eq!(series("max without(a) (b) > sum(c) by (d)"), ["b", "c"]);
        assert!(series("vector(0) + 5 {").is_empty());
    }
}
