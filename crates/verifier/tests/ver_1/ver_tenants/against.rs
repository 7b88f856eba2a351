//! A tenant's own database against a file.

use lockstep_verifier::{DestinationChoice, SideChoice, Verdict, VerifyError, save_file};

use super::{Own, three_tenancies};
use crate::against::{CLICKHOUSE, TestFile, compared, rows_of};
use crate::fixture::id;

#[tokio::test(flavor = "multi_thread")]
async fn ver_tenants_a_file_from_any_side_is_compared_with_a_tenants_own_database() {
    let fixture = three_tenancies().await;
    fixture.ship().await.unwrap();
    let own = Own::filled(&fixture, id(2), None).await;
    let there = SideChoice::Destination(DestinationChoice::Tenants(own.id));
    let (file, of) = (TestFile::new(), rows_of("teams", id(2), there));
    let from_source = save_file(&fixture.settings, &rows_of("teams", id(2), SideChoice::Source), &file.0).await;
    assert_eq!(from_source.unwrap(), 3, "the neighbour at its place is none of it");
    let report = compared(&fixture, &of, &file.0).await.unwrap();
    assert_eq!((report.verdict, report.neighbours), (Verdict::Equal, 0), "{}", report.to_text());

    // ClickHouse shows who lives at a place together, and that is said.
    let report = compared(&fixture, &rows_of("teams", id(2), CLICKHOUSE), &file.0).await.unwrap();
    assert_eq!((report.unexpected, report.neighbours), (1, 1), "{}", report.to_text());
    assert!(report.to_text().contains("1 other tenancies live at the same place"), "{}", report.to_text());

    assert_eq!(save_file(&fixture.settings, &of, &file.0).await.unwrap(), 3);
    own.run(&format!("UPDATE public.teams SET display_name = 'x' WHERE id = '{}'", id(20))).await;
    let report = compared(&fixture, &of, &file.0).await.unwrap();
    assert_eq!((report.different, report.columns["display_name"]), (1, 1), "{}", report.to_text());

    let of_another = compared(&fixture, &rows_of("teams", id(1), there), &file.0).await.unwrap_err();
    assert!(matches!(of_another, VerifyError::UnknownDestination(_)), "{of_another}");
    let _ = own.begin_fill(&fixture, fixture.mapping("teams")).await;
    let filling = compared(&fixture, &of, &file.0).await;
    assert!(matches!(filling, Err(VerifyError::NotFilled { .. })), "{filling:?}");
}
