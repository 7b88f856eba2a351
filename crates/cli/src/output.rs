//! How reports are shown: as text for people, or as JSON for programs.

use clap::{Args, ValueEnum};
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{CellAlignment, Table};
use lockstep_core::exit;
use serde::Serialize;

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum Output {
    /// Text for people
    Table,
    /// One JSON object on standard output, as docs/json.md describes it
    Json,
}

/// The arguments of a command that ends with a report.
#[derive(Args, Debug)]
pub(crate) struct Reporting<A: Args> {
    #[command(flatten)]
    pub(crate) args: A,
    /// How the outcome is printed
    #[arg(long, value_enum, default_value_t = Output::Table, value_name = "FORM", global = true)]
    output: Output,
    /// The same as --output json
    #[arg(long, hide = true, global = true)]
    json: bool,
}

/// The arguments of a command that has none.
#[derive(Args, Debug)]
pub(crate) struct NoArgs {}

/// What a command ends with.
pub(crate) trait Report: Serialize {
    /// Prints it for people.
    fn print(&self);

    fn exit_code(&self) -> u8 {
        exit::OK
    }
}

impl<A: Args> Reporting<A> {
    /// Prints the report as it was asked for. Returns the exit code.
    pub(crate) fn show(&self, report: &impl Report) -> u8 {
        if self.json || self.output == Output::Json {
            println!("{}", serde_json::to_string(report).unwrap_or_default());
        } else {
            report.print();
        }
        report.exit_code()
    }
}

/// A table with lines between header and rows.
pub(crate) fn table<const N: usize>(header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_header(header).add_rows(rows);
    table
}

/// Aligns columns of numbers.
pub(crate) fn align_right(table: &mut Table, columns: &[usize]) {
    for index in columns {
        if let Some(column) = table.column_mut(*index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}
