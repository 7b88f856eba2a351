//! What people see. Progress goes to stderr; stdout belongs to the outcome.

use std::time::Instant;

use comfy_table::{CellAlignment, Table};
use comfy_table::{LineStyle, TableStyle};

use super::report::Outcome;
use crate::progress::Progress;

pub(super) struct Screen {
    progress: Progress,
    json: bool,
    began: Instant,
}

impl Screen {
    pub(super) fn new(json: bool) -> Self {
        Self { progress: Progress::new(None), json, began: Instant::now() }
    }

    /// What is being done from now on.
    pub(super) fn step(&self, what: &str) {
        self.progress.doing(what);
        if !self.progress.is_live() {
            self.say(what);
        }
    }

    /// A line that stays.
    pub(super) fn say(&self, line: &str) {
        self.progress.say(&format!("[{:>6.1} s] {line}", self.began.elapsed().as_secs_f64()));
    }

    pub(super) fn clear(&self) {
        self.progress.clear();
    }

    /// The state so far, while edits go on.
    pub(super) fn refresh(&self, outcome: &Outcome) {
        self.say(&format!("{} live edits so far\n{}", outcome.edits, table(outcome, "same count")));
    }

    /// The end.
    pub(super) fn outcome(&self, outcome: &Outcome) -> anyhow::Result<()> {
        if self.json {
            println!("{}", serde_json::to_string(outcome)?);
            return Ok(());
        }
        println!("{}", table(outcome, "equal"));
        for tenant in &outcome.tenants {
            let verdict = if tenant.equal { "equal" } else { "DIFFERENT" };
            println!(
                "Tenant {} has its own Postgres, {}: {} rows of {} in twelve tables, {verdict}.",
                tenant.tenancy, tenant.database, tenant.destination_rows, tenant.source_rows
            );
        }
        let verdict = if outcome.equal { "equal, column by column" } else { "DIFFERENT" };
        println!(
            "{} live edits of {} kinds; both sides are {verdict}.\nLag from commit to visible in ClickHouse: p50 {:.1} ms, p99 {:.1} ms ({} measured).",
            outcome.edits, outcome.kinds, outcome.lag_ms.p50, outcome.lag_ms.p99, outcome.lags
        );
        Ok(())
    }
}

fn table(outcome: &Outcome, verdict: &str) -> Table {
    let line = LineStyle::none().fill('─').junction('─');
    let mut table = Table::new();
    table.load_style(TableStyle::new().top_border(line).header_separator(line).bottom_border(line)).set_header([
        "mapping",
        "rows in Postgres",
        "rows in ClickHouse",
        verdict,
        "lag p50",
        "lag p99",
    ]);
    for (index, mapping) in outcome.mappings.iter().enumerate() {
        let equal = if mapping.equal { "yes" } else { "NO" };
        // The lag is measured on one mapping; all of them take the same way.
        let (p50, p99) = if index == 0 {
            (format!("{:.1} ms", outcome.lag_ms.p50), format!("{:.1} ms", outcome.lag_ms.p99))
        } else {
            (String::new(), String::new())
        };
        let counts = [mapping.source_rows.to_string(), mapping.destination_rows.to_string()];
        let [source, destination] = counts;
        table.add_row([mapping.name.clone(), source, destination, equal.to_owned(), p50, p99]);
    }
    for index in [1, 2, 4, 5] {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
