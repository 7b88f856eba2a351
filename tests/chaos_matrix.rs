//! The crash matrix (SEQ-1, OUT-1, CUR-1, IDEM-1): whatever step a program aborts, fails or hangs at, nothing is lost.

use anyhow::{Result, ensure};
use lockstep_lab::chaos::matrix::{self, Action, Outcome, POINTS, Point};

/// Every cell of these points is equal, and every point was reached.
async fn all_equal(points: impl Fn(&Point) -> bool) -> Result<()> {
    let points: Vec<_> = POINTS.into_iter().filter(points).collect();
    ensure!(!points.is_empty(), "there are no such points");
    let cells = matrix::cells(&points, &Action::ALL, |_| {}).await?;
    for cell in &cells {
        ensure!(cell.outcome == Outcome::Equal, "{cell}\n{}", cell.outcome.detail());
    }
    ensure!(cells.len() == points.len() * Action::ALL.len());
    Ok(())
}

fn is_one_of(point: &Point, steps: &[&str]) -> bool {
    steps.iter().any(|step| point.name.contains(step))
}

#[tokio::test]
async fn chaos_matrix_of_numbering_and_expanding() -> Result<()> {
    all_equal(|point| is_one_of(point, &["pass_commit", "expansion_commit"])).await
}

#[tokio::test]
async fn chaos_matrix_of_announcing() -> Result<()> {
    all_equal(|point| is_one_of(point, &["publish", "announced"])).await
}

#[tokio::test]
async fn chaos_matrix_of_confirming() -> Result<()> {
    all_equal(|point| is_one_of(point, &["confirm"])).await
}

#[tokio::test]
async fn chaos_matrix_of_reading() -> Result<()> {
    all_equal(|point| is_one_of(point, &["cursor_read", "copy_read"])).await
}

#[tokio::test]
async fn chaos_matrix_of_writing() -> Result<()> {
    all_equal(|point| is_one_of(point, &["insert", "cursor_write"])).await
}

#[tokio::test]
async fn chaos_matrix_of_acknowledging_and_sweeping() -> Result<()> {
    all_equal(|point| is_one_of(point, &["ack", "passed"])).await
}

#[tokio::test]
async fn chaos_matrix_of_filling() -> Result<()> {
    all_equal(|point| is_one_of(point, &["fill_range"])).await
}

#[tokio::test]
async fn chaos_matrix_of_ending_fills() -> Result<()> {
    all_equal(|point| is_one_of(point, &["fill_catch_up", "fill_end"])).await
}

#[tokio::test]
async fn chaos_matrix_of_tenants_before_a_page() -> Result<()> {
    all_equal(|point| is_one_of(point, &["tenants::page_commit::before"])).await
}

#[tokio::test]
async fn chaos_matrix_of_tenants_after_a_page() -> Result<()> {
    all_equal(|point| is_one_of(point, &["tenants::page_commit::after"])).await
}

#[tokio::test]
async fn chaos_matrix_of_tenants_before_a_page_of_a_fill() -> Result<()> {
    all_equal(|point| is_one_of(point, &["tenants::fill_commit::before"])).await
}

#[tokio::test]
async fn chaos_matrix_of_tenants_after_a_page_of_a_fill() -> Result<()> {
    all_equal(|point| is_one_of(point, &["tenants::fill_commit::after"])).await
}

#[tokio::test]
async fn chaos_matrix_of_tenants_before_a_visit_is_written_down() -> Result<()> {
    all_equal(|point| is_one_of(point, &["tenants::recorded::before"])).await
}

#[tokio::test]
async fn chaos_matrix_of_tenants_after_a_visit_is_written_down() -> Result<()> {
    all_equal(|point| is_one_of(point, &["tenants::recorded::after"])).await
}
