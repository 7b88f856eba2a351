//! What `lockstep migrate` has done, or would do.

use lockstep_core::exit;
use lockstep_core::output::{Tone, toned};
use lockstep_destinations::{TableAction, TableChange, WentBack};
use lockstep_mappings::MappingSet;
use lockstep_operations::shown::counted;
use lockstep_schema::migrations;
use lockstep_schema::pauses::RESTART;
use serde::Serialize;

use super::Plans;
use crate::output::{Page, Report, say};

/// One thing to do.
#[derive(Serialize, Debug)]
struct StepReport {
    what: String,
    statements: Vec<String>,
}

/// What was done, or would be.
#[derive(Serialize, Debug)]
pub(crate) struct MigrateReport {
    /// Nothing was done.
    dry_run: bool,
    /// Mappings that are captured.
    mappings: usize,
    /// Tables in ClickHouse that differ from their definitions.
    tables: Vec<TableChange>,
    /// In Postgres.
    source: Vec<StepReport>,
    clickhouse: Vec<StepReport>,
    /// Why `lockstep rewind` has to follow: ClickHouse is ahead of the source.
    ahead: Option<String>,
    /// Whether what is to be done makes the exit code.
    #[serde(skip)]
    is_check: bool,
    /// Whether programs that run hold other definitions.
    #[serde(skip)]
    is_to_restart: bool,
}

impl MigrateReport {
    /// The same, as an answer to whether anything is to be done.
    pub(super) fn checked(self, is_check: bool) -> Self {
        Self { is_check, ..self }
    }

    /// The same, after definitions have changed that programs may hold.
    pub(super) fn with_restart(self, is_to_restart: bool) -> Self {
        Self { is_to_restart, ..self }
    }

    /// The same, where ClickHouse may be ahead of the source.
    pub(super) fn with_went_back(self, went_back: Option<WentBack>) -> Self {
        Self { ahead: went_back.map(|found| found.to_string()), ..self }
    }

    pub(super) fn new(dry_run: bool, mappings: &MappingSet, plans: &Plans) -> Self {
        let step =
            |what: &String, statements: &Vec<String>| StepReport { what: what.clone(), statements: statements.clone() };
        Self {
            dry_run,
            mappings: mappings.iter().count(),
            tables: plans.clickhouse.changes.clone(),
            source: plans.source.iter().map(|of| step(&of.what, &of.statements)).collect(),
            clickhouse: plans.clickhouse.steps.iter().map(|of| step(&of.what, &of.statements)).collect(),
            ahead: None,
            is_check: false,
            is_to_restart: false,
        }
    }

    /// Only the source tables can be said before they are there.
    pub(super) fn of_source_tables(pending: &[String]) -> Self {
        let step = |name: &String| StepReport {
            what: format!(
                "create the source tables: migration {name}; run without --dry-run first to see what captures them"
            ),
            statements: vec![migrations::text(name)],
        };
        let source = pending.iter().map(step).collect();
        Self {
            dry_run: true,
            mappings: 0,
            tables: Vec::new(),
            source,
            clickhouse: Vec::new(),
            ahead: None,
            is_check: false,
            is_to_restart: false,
        }
    }

    fn nothing(&self) -> String {
        let need = counted(self.mappings, "mapping needs", "mappings need");
        format!("Nothing to do: capture and ClickHouse are as {need} them.")
    }

    /// Whether everything is as it has to be.
    pub(super) const fn is_nothing(&self) -> bool {
        self.source.is_empty() && self.clickhouse.is_empty()
    }
}

impl Report for MigrateReport {
    fn print(&self, page: &mut Page) {
        if self.is_check {
            self.source.iter().for_each(|step| say!(page, "to do in Postgres: {}", step.what));
            self.clickhouse.iter().for_each(|step| say!(page, "to do in ClickHouse: {}", step.what));
            if self.is_nothing() && self.ahead.is_none() {
                say!(page, "{}", self.nothing());
            }
        } else if self.dry_run {
            print_steps(page, "Postgres", &self.source);
            print_steps(page, "ClickHouse", &self.clickhouse);
        } else if self.is_nothing() {
            say!(page, "{}", self.nothing());
        } else {
            say!(
                page,
                "Done: {} steps in Postgres, {} in ClickHouse; {} captured.",
                self.source.len(),
                self.clickhouse.len(),
                counted(self.mappings, "mapping is", "mappings are")
            );
        }
        if self.is_to_restart && !self.is_check && !self.dry_run {
            say!(page, "Now {RESTART}.");
        }
        if let Some(ahead) = &self.ahead {
            let then = toned("`lockstep rewind`", Tone::Attention);
            say!(
                page,
                "{ahead}. Nothing is numbered until {then} has run, after this; where this ClickHouse belongs to another source, set \
                 the right one instead."
            );
        }
        for change in &self.tables {
            say!(page, "{} ({} rows): {}", change.table, change.rows, sentence(change.action));
            change.differences.iter().for_each(|difference| say!(page, "  - {difference}"));
        }
    }

    fn exit_code(&self) -> u8 {
        if self.is_check && !(self.is_nothing() && self.ahead.is_none()) { exit::DIFFERENT } else { exit::OK }
    }
}

fn print_steps(page: &mut Page, side: &str, steps: &[StepReport]) {
    for step in steps {
        say!(page, "-- {side}: {}", step.what);
        step.statements.iter().for_each(|statement| say!(page, "{statement};"));
        say!(page, "");
    }
}

/// What happens to a table, for people.
pub(crate) const fn sentence(action: TableAction) -> &'static str {
    match action {
        TableAction::ColumnsAdded => "columns are added, and empty until all rows are exported again",
        TableAction::ColumnsKept => "columns that no definition has any more stay until `lockstep migrate --drop`",
        TableAction::ColumnsDropped => "columns are dropped",
        TableAction::BuiltBeside => {
            "the right table is built beside this one, and takes its place when workers have filled it; this one stands still \
             until then, and is dropped"
        }
        TableAction::BuiltBesideAndKept => {
            "the right table is built beside this one, and takes its place when workers have filled it; this one stands still \
             until then, and is kept as NAME_lockstep_old"
        }
        TableAction::BeingBuilt => {
            "the right table is being built beside this one, which stands still until it is filled"
        }
    }
}
