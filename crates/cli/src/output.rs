//! How reports are shown: as text for people, or as JSON for programs.

use clap::Args;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{CellAlignment, Table};
use lockstep_core::exit;
use lockstep_core::output::{self, Form};
use serde::Serialize;

/// Adds a line to what a report prints on standard output.
macro_rules! say {
    ($page:expr, $($what:tt)*) => { $page.say(&format!($($what)*)) };
}
/// Adds a line to what a report prints on standard error.
macro_rules! aside {
    ($page:expr, $($what:tt)*) => { $page.aside(&format!($($what)*)) };
}
pub(crate) use {aside, say};

/// The arguments of a command that ends with a report.
#[derive(Args, Debug)]
pub(crate) struct Reporting<A: Args> {
    #[command(flatten)]
    pub(crate) args: A,
}

/// The arguments of a command that has none.
#[derive(Args, Debug)]
pub(crate) struct NoArgs {}

/// What a report prints for people.
#[derive(Default, Debug)]
pub(crate) struct Page {
    out: String,
    aside: String,
}

impl Page {
    pub(crate) fn say(&mut self, line: &str) {
        self.out.push_str(line);
        self.out.push('\n');
    }

    pub(crate) fn aside(&mut self, line: &str) {
        self.aside.push_str(line);
        self.aside.push('\n');
    }

    /// Text that ends its lines itself.
    pub(crate) fn text(&mut self, text: &str) {
        self.out.push_str(text);
    }

    /// All of it, for a screen that has one stream.
    pub(crate) fn whole(&self) -> String {
        format!("{}{}", self.out, self.aside)
    }
}

/// What a command ends with.
pub(crate) trait Report: Serialize {
    /// Prints it for people.
    fn print(&self, page: &mut Page);

    fn exit_code(&self) -> u8 {
        exit::OK
    }

    /// The field whose items are the lines of `--output jsonl`; the report itself is the one line where there is none.
    fn list(&self) -> Option<&'static str> {
        None
    }
}

impl<A: Args> Reporting<A> {
    /// Prints the report as it was asked for. Returns the exit code.
    #[expect(clippy::unused_self, reason = "it reads as: this command shows its report")]
    pub(crate) fn show(&self, report: &impl Report) -> u8 {
        show(report)
    }
}

/// Prints a report as it was asked for. Returns the exit code.
pub(crate) fn show(report: &impl Report) -> u8 {
    let text = match (output::chosen().form(), report.list()) {
        (Form::Table, _) => {
            let mut page = Page::default();
            report.print(&mut page);
            output::write_aside(&page.aside);
            page.out
        }
        (Form::Jsonl, Some(list)) => lines(report, list),
        (Form::Json | Form::Jsonl, _) => line(report),
    };
    output::print(&text, report.exit_code())
}

/// A report as one line of JSON.
pub(crate) fn line(report: &impl Report) -> String {
    format!("{}\n", serde_json::to_string(report).expect("a report is JSON"))
}

fn lines(report: &impl Report, list: &str) -> String {
    let whole = serde_json::to_value(report).expect("a report is JSON");
    whole[list].as_array().into_iter().flatten().map(|item| format!("{item}\n")).collect()
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
