//! The metrics that the programs describe: what an alert or a dashboard may ask for.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};

use crate::check::sources;
use crate::workspace::Workspace;

/// What a metric is; a histogram is scraped as several series.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Counter,
    Gauge,
    /// Rendered with quantiles, until it is given buckets.
    Histogram {
        buckets: bool,
    },
}

const MACROS: [(&str, Kind); 3] = [
    ("describe_counter!(", Kind::Counter),
    ("describe_gauge!(", Kind::Gauge),
    ("describe_histogram!(", Kind::Histogram { buckets: false }),
];

/// Metrics by name.
#[derive(Default, Debug)]
pub(super) struct Described(BTreeMap<String, Kind>);

impl Described {
    /// Reads every description in the programs' sources.
    pub(super) fn in_sources(workspace: &Workspace) -> Result<Self> {
        let mut described = Self::default();
        let mut has_buckets = false;
        for path in sources::files(workspace, &["crates"], &["rs"])? {
            let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            has_buckets |= text.contains("set_buckets");
            described.add(&text);
        }
        for kind in described.0.values_mut() {
            if let Kind::Histogram { buckets } = kind {
                *buckets = has_buckets;
            }
        }
        Ok(described)
    }

    /// Adds what one file describes, by a name that is written there or a constant of that file.
    fn add(&mut self, text: &str) {
        for (call, kind) in MACROS {
            for after in text.split(call).skip(1) {
                let argument = after.split(',').next().unwrap_or_default().trim();
                let name = quoted(argument).or_else(|| {
                    let (_, value) = text.split_once(&format!("const {argument}: &str ="))?;
                    quoted(value.split(';').next()?.trim())
                });
                if let Some(name) = name {
                    self.0.insert(name.to_owned(), kind);
                }
            }
        }
    }

    /// Whether a program exports series of that name.
    pub(super) fn has(&self, series: &str) -> bool {
        let histogram = |suffix| match self.0.get(series.strip_suffix(suffix)?) {
            Some(Kind::Histogram { buckets }) => Some(suffix != "_bucket" || *buckets),
            _ => None,
        };
        let of_histogram = ["_sum", "_count", "_bucket"].into_iter().find_map(histogram);
        self.0.contains_key(series) || of_histogram == Some(true)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn quoted(text: &str) -> Option<&str> {
    text.strip_prefix('"')?.strip_suffix('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_found_by_constant_and_by_name_with_the_series_of_histograms() {
        let mut described = Described::default();
        described.add(
            "const ROWS: &str = \"lockstep_rows_total\";\npub(crate) const A: &str =\n    \"lockstep_a_seconds\";\n\
             fn f() {\n    describe_counter!(\n        ROWS,\n        Unit::Count,\n        \"Rows\");\n    \
             describe_histogram!(A, Unit::Seconds, \"A\");\n    describe_gauge!(\"lockstep_b\", \"B\");\n}",
        );
        for series in ["lockstep_rows_total", "lockstep_a_seconds", "lockstep_a_seconds_sum", "lockstep_b"] {
            assert!(described.has(series), "{series}");
        }
        for series in ["lockstep_rows", "lockstep_rows_total_sum", "lockstep_a_seconds_bucket", "lockstep_c"] {
            assert!(!described.has(series), "{series}");
        }
    }
}
