//! SQL with named holes: `{column}` is a column of the source row, `{join.column}` one of a joined row.
//!
//! Because columns are named in holes, what an expression reads is known without parsing SQL: triggers, checks and
//! queries all learn it from here. `{{` and `}}` stand for braces.

use std::collections::BTreeSet;

/// A column that an expression reads.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ColumnRef {
    /// Of the source row.
    Source(String),
    /// Of the row that the join of this alias found.
    Joined(String, String),
    /// The expression of another column of the same mapping, before its `when_null`: `{=name}`.
    Exported(String),
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Part {
    Text(String),
    Column(ColumnRef),
}

/// A parsed expression.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Template {
    parts: Vec<Part>,
}

impl Template {
    /// A template that is one column.
    pub fn column(name: &str) -> Self {
        Self { parts: vec![Part::Column(ColumnRef::Source(name.to_owned()))] }
    }

    /// The column of the source row that this is, if it is nothing else.
    pub(crate) fn as_column(&self) -> Option<&String> {
        match &self.parts[..] {
            [Part::Column(ColumnRef::Source(name))] => Some(name),
            _ => None,
        }
    }

    /// Parses the text of an expression.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the braces.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            let after = &rest[at + 1..];
            if let Some(after) = after.strip_prefix(brace) {
                plain.push_str(brace);
                rest = after;
            } else if brace == "}" {
                return Err(format!("`}}` without `{{` in {text:?}; write `}}}}` for a brace"));
            } else {
                let end = after
                    .find('}')
                    .ok_or_else(|| format!("`{{` is not closed in {text:?}; write `{{{{` for a brace"))?;
                parts.push(Part::Text(std::mem::take(&mut plain)));
                parts.push(Part::Column(Self::hole(&after[..end], text)?));
                rest = &after[end + 1..];
            }
        }
        plain.push_str(rest);
        parts.push(Part::Text(plain));
        parts.retain(|part| *part != Part::Text(String::new()));
        Ok(Self { parts })
    }

    fn hole(name: &str, text: &str) -> Result<ColumnRef, String> {
        let valid = |name: &str| !name.is_empty() && !name.contains(['"', '{', ' ', '\0']);
        let found = if let Some(exported) = name.strip_prefix('=') {
            valid(exported).then(|| ColumnRef::Exported(exported.to_owned()))
        } else if let Some((alias, column)) = name.split_once('.') {
            (valid(alias) && valid(column)).then(|| ColumnRef::Joined(alias.to_owned(), column.to_owned()))
        } else {
            valid(name).then(|| ColumnRef::Source(name.to_owned()))
        };
        found.ok_or_else(|| {
            format!("{{{name}}} in {text:?} is no column: write {{column}}, {{join.column}} or {{=name}}")
        })
    }

    /// The columns that this reads, in order of first use.
    pub fn reads(&self) -> Vec<&ColumnRef> {
        let mut seen = BTreeSet::new();
        let columns = self.parts.iter().filter_map(|part| match part {
            Part::Column(column) => Some(column),
            Part::Text(_) => None,
        });
        columns.filter(|column| seen.insert(*column)).collect()
    }

    /// The text with every hole filled by `fill`.
    pub fn render(&self, fill: impl Fn(&ColumnRef) -> String) -> String {
        self.parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.clone(),
                Part::Column(column) => fill(column),
            })
            .collect()
    }

    /// Replaces holes by whole templates, in parentheses; `None` keeps the hole.
    pub fn expand(&self, replacement: impl Fn(&ColumnRef) -> Option<Self>) -> Self {
        let mut parts = Vec::new();
        for part in &self.parts {
            match part {
                Part::Column(column) => match replacement(column) {
                    Some(template) => {
                        parts.push(Part::Text("(".to_owned()));
                        parts.extend(template.parts);
                        parts.push(Part::Text(")".to_owned()));
                    }
                    None => parts.push(part.clone()),
                },
                Part::Text(_) => parts.push(part.clone()),
            }
        }
        Self { parts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_columns_and_doubled_braces_are_braces() {
        let template = Template::parse("COALESCE({a}, {join.b}, {a}, '{{}}', {=c})").unwrap();
        let source = ColumnRef::Source("a".into());
        let joined = ColumnRef::Joined("join".into(), "b".into());
        let exported = ColumnRef::Exported("c".into());
        assert_eq!(template.reads(), [&source, &joined, &exported]);
        let rendered = template.render(|column| match column {
            ColumnRef::Source(name) => format!("s.{name}"),
            ColumnRef::Joined(alias, name) => format!("{alias}.{name}"),
            ColumnRef::Exported(name) => format!("<{name}>"),
        });
        assert_eq!(rendered, "COALESCE(s.a, join.b, s.a, '{}', <c>)");
    }

    #[test]
    fn broken_braces_are_refused_with_a_sentence() {
        for (text, said) in [("{a", "not closed"), ("a}", "without"), ("{}", "no column"), ("{a b}", "no column")] {
            let error = Template::parse(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
