//! The crash matrix: every failpoint times every way to fail, on one installation. After each, the oracle compares.

mod cell;
mod points;
mod table;

use clap::Args;
use serde_json::json;

pub use cell::{Action, Cell, Outcome};
pub use points::{POINTS, Point, Program};

use crate::progress::Progress;
use cell::SharedInstallation;

/// Options of the matrix.
#[derive(Args, Debug)]
pub struct MatrixArgs {
    /// Print the outcome as one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the whole matrix and prints it. True when every cell is equal.
///
/// # Errors
/// When something fails that is not part of a cell.
pub async fn run(args: &MatrixArgs) -> anyhow::Result<bool> {
    let total = POINTS.len() * Action::ALL.len();
    let progress = Progress::new(Some(u64::try_from(total)?));
    let mut done = 0;
    let cells = cells(&POINTS, &Action::ALL, |cell| {
        done += 1;
        progress.done(done);
        progress.say(&format!("[{done:>2}/{total}] {cell}"));
    });
    progress.doing("cells");
    let cells = cells.await;
    progress.clear();
    let cells = cells?;
    let equal = cells.iter().all(|cell| cell.outcome == Outcome::Equal);
    if args.json {
        let cells: Vec<_> = cells.iter().map(Cell::to_json).collect();
        println!("{}", json!({ "equal": equal, "cells": cells }));
    } else {
        println!("{}", table::text(&cells));
    }
    Ok(equal)
}

/// Runs the cells of these points and actions, telling each as it is done. After one that is not equal a new installation
/// is made: none inherits what another lost. One with tenants' own databases is made for the points on the way there.
///
/// # Errors
/// As [`run`].
pub async fn cells(points: &[Point], actions: &[Action], mut tell: impl FnMut(&Cell)) -> anyhow::Result<Vec<Cell>> {
    let mut has_tenants = points.first().is_some_and(|point| point.of_tenants);
    let mut shared = SharedInstallation::begin(has_tenants).await?;
    let mut cells = Vec::new();
    for point in points {
        if point.of_tenants != has_tenants {
            has_tenants = point.of_tenants;
            shared.end().await?;
            shared = SharedInstallation::begin(has_tenants).await?;
        }
        for action in actions {
            let cell = shared.cell(point, *action).await?;
            tell(&cell);
            if cell.outcome != Outcome::Equal {
                shared.end().await?;
                shared = SharedInstallation::begin(has_tenants).await?;
            }
            cells.push(cell);
        }
    }
    shared.end().await?;
    Ok(cells)
}
