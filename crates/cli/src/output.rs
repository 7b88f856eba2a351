//! How reports are shown: as text for people, or as JSON for programs.

use clap::Args;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{CellAlignment, ColumnConstraint, Table, Width};
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
    fitted(table)
}

/// A table whose longest texts take several lines where the terminal would break all of its lines. What is no terminal gets each
/// row as one line.
pub(crate) fn fitted(mut table: Table) -> Table {
    if let Some(columns) = output::terminal_columns() {
        fit(&mut table, columns);
    }
    table
}

/// Bounds the widest columns, all by one width, so that the table has so many characters a line; words are kept together.
fn fit(table: &mut Table, columns: u16) {
    let widths = table.column_max_content_widths();
    let fits = |most: &u16| {
        let needed = widths.iter().map(|width| u32::from(*width.min(most)) + u32::from(PADDING)).sum::<u32>();
        // A blank stands between two columns.
        needed + u32::try_from(widths.len()).unwrap_or(u32::MAX) <= u32::from(columns) + 1
    };
    let widest = widths.iter().copied().max().unwrap_or_default();
    let most = (LEAST_WIDTH..=widest).rev().find(fits).unwrap_or(LEAST_WIDTH);
    for (column, width) in table.column_iter_mut().zip(widths) {
        if width > most {
            column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(most + PADDING)));
        }
    }
}

/// Blanks on both sides of a column.
const PADDING: u16 = 2;
/// No column is made narrower: states and the codes of their colours are not torn apart.
const LEAST_WIDTH: u16 = 30;

/// Aligns columns of numbers.
pub(crate) fn align_right(table: &mut Table, columns: &[usize]) {
    for index in columns {
        if let Some(column) = table.column_mut(*index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_takes_several_lines_where_a_line_has_no_room_and_is_whole() {
        let why = "the server was away and nobody could tell why that was so until it came back ".repeat(4);
        let told = ["clickhouse".to_owned(), why.clone(), "lockstep doctor".to_owned()];
        let of = |columns: Option<u16>| {
            let mut table = table(["check", "result", "remedy"], [told.clone()]);
            columns.into_iter().for_each(|columns| fit(&mut table, columns));
            table.to_string()
        };
        let widest = |text: &str| text.lines().map(|line| line.chars().count()).max().unwrap();
        let words = |text: &str| text.split_whitespace().filter(|word| why.contains(*word)).count();
        let (wide, narrow) = (of(None), of(Some(100)));
        assert!(widest(&wide) > 300 && widest(&narrow) <= 100, "{narrow}");
        assert_eq!(words(&wide), words(&narrow), "{narrow}");
        assert_eq!(of(Some(1000)), wide);
    }
}
