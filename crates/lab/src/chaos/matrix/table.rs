//! The matrix as people read it.

use comfy_table::{Table, presets};

use super::cell::{Action, Cell, Outcome};

/// A line for each point, a column for each action; below, what there is to say of cells that are not equal.
pub(super) fn text(cells: &[Cell]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(std::iter::once("point").chain(Action::ALL.iter().map(|action| action.name())));
    let mut points: Vec<_> = cells.iter().map(|cell| cell.point).collect();
    points.dedup();
    for point in points {
        let word = |action: &Action| {
            let cell = cells.iter().find(|cell| cell.point == point && cell.action == *action);
            cell.map_or("-", |cell| cell.outcome.word())
        };
        table.add_row(std::iter::once(point).chain(Action::ALL.iter().map(word)));
    }
    let mut text = table.trim_fmt();
    let mut wrong = 0;
    for cell in cells.iter().filter(|cell| cell.outcome != Outcome::Equal) {
        wrong += 1;
        text.push_str(&format!("\n\n{cell}\n{}", cell.outcome.detail()));
    }
    text.push_str(&format!("\n\n{} of {} cells are equal", cells.len() - wrong, cells.len()));
    text
}
