//! The metrics that the programs describe: what an alert or a dashboard may ask for.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result};

use crate::check::sources;
use crate::workspace::Workspace;

/// What a metric is; a histogram is scraped as several series.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Counter,
    Gauge,
    /// Rendered with quantiles, unless it is given buckets.
    Histogram {
        buckets: bool,
    },
}

/// How the page begins.
const PAGE: &str = "# Metrics

Every daemon serves its metrics for Prometheus at `/metrics` of the address in `LOCKSTEP_LISTEN`. The alerts that ask for them are in
[deploy/alerts](../../deploy/alerts/lockstep.yaml), each with a [runbook](../runbooks/README.md); a dashboard for Grafana is in
[deploy/grafana](../../deploy/grafana/lockstep.json). No label holds a tenant's id. This page is made from what the programs
say of their metrics: `cargo xtask generate`.

| metric | type | unit | labels | what it says |
|---|---|---|---|---|
";

const MACROS: [(&str, Kind); 3] = [
    ("describe_counter!(", Kind::Counter),
    ("describe_gauge!(", Kind::Gauge),
    ("describe_histogram!(", Kind::Histogram { buckets: false }),
];

/// Metrics by name.
#[derive(Default, Debug)]
pub(super) struct Described {
    metrics: BTreeMap<String, Kind>,
    /// The names of constants that stand for them, where they are described.
    constants: BTreeMap<String, String>,
    /// What each is for people: its unit and meaning.
    meanings: BTreeMap<String, (String, String)>,
    /// The labels that it is counted with.
    labels: BTreeMap<String, BTreeSet<String>>,
}

/// The page `docs/reference/metrics.md`.
pub(crate) fn page(workspace: &Workspace) -> Result<String> {
    let described = Described::in_sources(workspace)?;
    let mut page = String::from(PAGE);
    for (name, kind) in &described.metrics {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram { buckets: true } => "histogram",
            Kind::Histogram { buckets: false } => "summary",
        };
        let labels = described.labels.get(name).into_iter().flatten().map(|label| format!("`{label}`"));
        let labels = labels.collect::<Vec<_>>().join(", ");
        let (unit, meaning) = described.meanings.get(name).map_or(("", ""), |(unit, meaning)| (unit, meaning));
        let meaning = meaning.replace('|', "\\|");
        writeln!(page, "| `{name}` | {kind} | {} | {labels} | {meaning} |", unit.to_lowercase())?;
    }
    Ok(page)
}

impl Described {
    /// Reads every description in the programs' sources.
    pub(super) fn in_sources(workspace: &Workspace) -> Result<Self> {
        let (mut described, mut with_buckets, mut constants) = (Self::default(), String::new(), BTreeMap::new());
        for path in sources::files(workspace, &["crates"], &["rs"])? {
            let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            if text.contains("set_buckets_for_metric") {
                with_buckets.push_str(&text);
            }
            // Two crates may give one name to two constants: labels are looked for in the file that describes.
            described.constants.clear();
            described.add(&text);
            described.add_labels(&text);
            constants.append(&mut described.constants);
        }
        described.constants = constants;
        described.give_buckets(&with_buckets);
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
                    self.metrics.insert(name.to_owned(), kind);
                    if let Some(meaning) = meaning(after) {
                        self.meanings.insert(name.to_owned(), meaning);
                    }
                    self.constants.insert(argument.to_owned(), name.to_owned());
                }
            }
        }
    }

    /// Adds the labels with which one file counts what it has a constant for.
    fn add_labels(&mut self, text: &str) {
        for call in ["counter!(", "gauge!(", "histogram!("] {
            for (at, _) in text.match_indices(call).filter(|(at, _)| !text[..*at].ends_with('_')) {
                let arguments = text[at + call.len()..].split(';').next().unwrap_or_default();
                let constant = arguments.split([',', ')']).next().unwrap_or_default().trim();
                let Some(name) = self.constants.get(constant) else { continue };
                let labels = arguments.split(" =>").filter_map(|before| before.strip_suffix('"')?.rsplit('"').next());
                self.labels.entry(name.clone()).or_default().extend(labels.map(str::to_owned));
            }
        }
    }

    /// Takes note of the histograms that have buckets: their constants are named where these are set.
    fn give_buckets(&mut self, text: &str) {
        for after in text.split("Matcher::Full(").skip(1) {
            let constant = after.split(['.', ')']).next().unwrap_or_default();
            if let Some(Kind::Histogram { buckets }) =
                self.constants.get(constant).and_then(|name| self.metrics.get_mut(name))
            {
                *buckets = true;
            }
        }
    }

    /// Whether a program exports series of that name.
    pub(super) fn has(&self, series: &str) -> bool {
        let histogram = |suffix| match self.metrics.get(series.strip_suffix(suffix)?) {
            Some(Kind::Histogram { buckets }) => Some(suffix != "_bucket" || *buckets),
            _ => None,
        };
        let of_histogram = ["_sum", "_count", "_bucket"].into_iter().find_map(histogram);
        self.metrics.contains_key(series) || of_histogram == Some(true)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.metrics.is_empty()
    }
}

/// Unit and meaning in the arguments of a description.
fn meaning(arguments: &str) -> Option<(String, String)> {
    let (unit, rest) = arguments.split_once("Unit::")?.1.split_once(',')?;
    let meaning = rest.split_once('"')?.1.split_once('"')?.0;
    Some((unit.to_owned(), meaning.to_owned()))
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
        assert!(!described.has("lockstep_a_seconds_bucket"), "it has quantiles");
        described.give_buckets("builder.set_buckets_for_metric(Matcher::Full(A.to_owned()), &BUCKETS)");
        assert!(described.has("lockstep_a_seconds_bucket"));
        for series in ["lockstep_rows", "lockstep_rows_total_sum", "lockstep_rows_total_bucket", "lockstep_c"] {
            assert!(!described.has(series), "{series}");
        }
    }
}
