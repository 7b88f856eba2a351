//! Where cursors may go after a page, and which rows are refused on the way.

use lockstep_core::Location;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;

const LIMITS: PageLimits = PageLimits { tenancy_rows: 3, total_rows: 5 };

fn tenancy(number: u128) -> TenancyId {
    TenancyId::new(Uuid::from_u128(number))
}

fn location(number: u128) -> Location {
    Location { project_id: format!("project {number}"), branch_id: "main".to_owned() }
}

/// Tenancies 0 to 9 exist.
fn locations() -> LocationsByTenancy {
    let mut locations = LocationsByTenancy::default();
    for number in 0..10 {
        locations.add(tenancy(number), location(number), None);
    }
    locations
}

fn work(number: u128, after: i64) -> ReadFrom {
    ReadFrom { tenancy: tenancy(number), after: SequenceId::new(after) }
}

/// A row at the place of this number.
fn take(
    page: &mut PageRows<'_>,
    number: u128,
    at: u128,
    sequence: i64,
    pushed: Result<(), CodecError>,
) -> Result<bool, Violation> {
    let at = location(at);
    let head = RowHead {
        tenancy: tenancy(number),
        project_id: at.project_id.as_bytes(),
        branch_id: at.branch_id.as_bytes(),
        sequence: SequenceId::new(sequence),
        deleted: false,
    };
    page.take(&head, || pushed).map_err(|error| match error {
        ShipError::Violation(violation) => violation,
        other => panic!("{other}"),
    })
}

fn offer(page: &mut PageRows<'_>, number: u128, sequence: i64) -> Result<bool, Violation> {
    take(page, number, number, sequence, Ok(()))
}

fn forward(finished: &ReadPage) -> Vec<(TenancyId, i64)> {
    finished.cursors.iter().map(|(work, to)| (work.tenancy, to.get())).collect()
}

#[test]
fn a_tenancy_that_was_read_whole_moves_to_the_head_of_the_snapshot() {
    let locations = locations();
    let mut page = PageRows::new([work(1, 10), work(2, 90), work(3, 100)], &locations, LIMITS, &Isolation::default());
    offer(&mut page, 1, 20).unwrap();
    let finished = page.finish(SequenceId::new(100));
    // The third is there already: a cursor that does not move is not written.
    assert_eq!(forward(&finished), [(tenancy(1), 100), (tenancy(2), 100)]);
    assert_eq!(finished.more, []);
    // Stamps of a former system lie above a head that was never written.
    let mut page = PageRows::new([work(1, 0)], &locations, LIMITS, &Isolation::default());
    offer(&mut page, 1, 20).unwrap();
    assert_eq!(forward(&page.finish(SequenceId::BASE)), [(tenancy(1), 20)]);
}

#[test]
fn cur_1_a_cursor_stops_at_the_last_row_where_a_limit_cut() {
    let locations = locations();
    let mut page =
        PageRows::new([work(4, 0), work(1, 0), work(2, 0), work(3, 0)], &locations, LIMITS, &Isolation::default());
    for (number, sequence) in [(4, 1), (4, 2), (4, 3), (1, 4), (1, 5)] {
        assert_eq!(offer(&mut page, number, sequence), Ok(true));
    }
    let finished = page.finish(SequenceId::new(100));
    assert_eq!(forward(&finished), [(tenancy(4), 3), (tenancy(1), 5)]);
    // Those of which nothing was read come first: their turn is next.
    assert_eq!(finished.more, [tenancy(2), tenancy(3), tenancy(4), tenancy(1)]);
}

#[test]
fn iso_1_a_row_that_was_not_asked_for_is_refused() {
    let locations = locations();
    let mut page = PageRows::new([work(1, 0), work(2, 0), work(77, 0)], &locations, LIMITS, &Isolation::default());
    offer(&mut page, 2, 1).unwrap();
    // Unknown, not asked for, and out of turn.
    for number in [77, 3, 1] {
        let mut page = PageRows::new([work(1, 0), work(2, 0), work(77, 0)], &locations, LIMITS, &Isolation::default());
        offer(&mut page, 2, 1).unwrap();
        assert_eq!(offer(&mut page, number, 2), Err(Violation::Tenancy(tenancy(number))));
    }
    assert_eq!(take(&mut page, 2, 3, 2, Ok(())), Err(Violation::Location(tenancy(2))));
}

#[test]
fn rows_must_come_in_the_order_of_their_sequence() {
    let locations = locations();
    let mut page = PageRows::new([work(1, 10)], &locations, LIMITS, &Isolation::default());
    assert!(offer(&mut page, 1, 10).is_err(), "it is not above the cursor");
    offer(&mut page, 1, 12).unwrap();
    for sequence in [12, 11] {
        let violation = Violation::Order { tenancy: tenancy(1), sequence: SequenceId::new(sequence) };
        assert_eq!(offer(&mut page, 1, sequence), Err(violation));
    }
}

fn refuse(page: &mut PageRows<'_>, number: u128, sequence: i64) -> Result<(), Violation> {
    let error = CodecError::Value { column: "c".to_owned(), problem: "is wrong" };
    take(page, number, number, sequence, Err(error)).map(|_| ())
}

fn refused(finished: &ReadPage) -> Vec<(TenancyId, i64)> {
    finished.refusals.iter().map(|refusal| (refusal.tenancy, refusal.sequence.get())).collect()
}

#[test]
fn fair_1_a_row_that_cannot_be_written_is_set_aside_and_its_tenancy_goes_on() {
    let locations = locations();
    let mut page = PageRows::new([work(1, 0), work(2, 0)], &locations, LIMITS, &Isolation::default());
    assert_eq!(offer(&mut page, 1, 1), Ok(true));
    refuse(&mut page, 1, 2).unwrap();
    assert_eq!(offer(&mut page, 2, 4), Ok(true));
    assert_eq!(refuse(&mut page, 2, 4), Err(Violation::Order { tenancy: tenancy(2), sequence: SequenceId::new(4) }));
    assert_eq!(refuse(&mut page, 3, 5), Err(Violation::Tenancy(tenancy(3))), "set aside under another tenancy");
    let finished = page.finish(SequenceId::new(100));
    assert_eq!(forward(&finished), [(tenancy(1), 100), (tenancy(2), 100)]);
    assert_eq!(refused(&finished), [(tenancy(1), 2)]);
    assert_eq!((finished.refusals[0].code, finished.more.len()), ("LS-0407", 0));
    let mut streaks = Isolation::default().streaks([tenancy(1), tenancy(2)].into_iter());
    streaks.refused(0);
    streaks.accepted(1);
    assert_eq!(finished.streaks, streaks);
}

const MANY: PageLimits = PageLimits { tenancy_rows: 10_000, total_rows: 10_000 };

#[test]
fn a_tenancy_whose_rows_are_all_refused_stops_and_the_others_go_on() {
    let locations = locations();
    let mut page = PageRows::new([work(1, 0), work(2, 0)], &locations, MANY, &Isolation::default());
    for sequence in 1..=300 {
        refuse(&mut page, 1, sequence).unwrap();
    }
    assert_eq!(offer(&mut page, 1, 301), Ok(false), "it comes after one that was not set aside");
    assert_eq!(offer(&mut page, 2, 400), Ok(true));
    let finished = page.finish(SequenceId::new(1000));
    assert_eq!(forward(&finished), [(tenancy(1), 100), (tenancy(2), 1000)]);
    assert_eq!((finished.refusals.len(), finished.more.len()), (100, 0));
    assert_eq!(finished.stuck.iter().map(|(tenancy, _)| *tenancy).collect::<Vec<_>>(), [tenancy(1)]);
}

#[test]
fn a_mapping_whose_rows_are_all_refused_stops_for_all() {
    let locations = locations();
    let mut page = PageRows::new((0..10).map(|number| work(number, 0)), &locations, MANY, &Isolation::default());
    for (number, sequence) in (0..10).zip((0..10).map(|number| number * 1000)) {
        (1..=30).for_each(|more| refuse(&mut page, number, sequence + more).unwrap());
    }
    let finished = page.finish(SequenceId::new(100_000));
    assert_eq!((finished.refusals.len(), finished.stuck.len()), (100, 7));
}

#[test]
fn a_page_sets_a_limited_number_of_rows_aside_and_the_next_begins_with_the_rest() {
    let locations = locations();
    let mut page = PageRows::new([work(1, 0), work(2, 0)], &locations, MANY, &Isolation::default());
    for sequence in 1..=1500 {
        refuse(&mut page, 1, sequence * 2).unwrap();
        offer(&mut page, 1, sequence * 2 + 1).unwrap();
    }
    assert_eq!(offer(&mut page, 2, 5000), Ok(false));
    let finished = page.finish(SequenceId::new(9000));
    assert_eq!(finished.refusals.len(), 1000);
    assert_eq!(forward(&finished), [(tenancy(1), 2001)], "the row behind the thousandth is the last that was taken");
    assert_eq!(finished.more, [tenancy(2), tenancy(1)]);
}

/// Reads pages of `rows` (tenancy, sequence) as Postgres would, until nobody is to be continued.
fn read_all(rows: &[(u128, i64)], limits: PageLimits, head: i64) -> Result<Vec<(u128, i64)>, TestCaseError> {
    let locations = locations();
    let mut turn: Vec<u128> = (0..10).collect();
    let mut cursors = [0_i64; 10];
    let mut shipped = Vec::new();
    while !turn.is_empty() {
        let asked = turn.iter().map(|number| work(*number, cursors[*number as usize]));
        let mut page = PageRows::new(asked, &locations, limits, &Isolation::default());
        let each = turn.iter().flat_map(|number| {
            let above = cursors[*number as usize];
            let mut own: Vec<_> = rows.iter().filter(|row| row.0 == *number && row.1 > above).copied().collect();
            own.sort_by_key(|row| row.1);
            own.truncate(limits.tenancy_rows as usize);
            own
        });
        let sent: Vec<_> = each.take(limits.total_rows as usize).collect();
        for (number, sequence) in &sent {
            prop_assert_eq!(offer(&mut page, *number, *sequence), Ok(true));
        }
        shipped.extend(sent);
        let finished = page.finish(SequenceId::new(head));
        for (work, to) in &finished.cursors {
            let number = work.tenancy.as_uuid().as_u128();
            prop_assert!(to.get() > cursors[number as usize]);
            cursors[number as usize] = to.get();
            // CUR-1: whatever the cursor has passed was shipped.
            for row in rows.iter().filter(|row| row.0 == number && row.1 <= to.get()) {
                prop_assert!(shipped.contains(row), "{:?} was passed", row);
            }
        }
        turn = finished.more.iter().map(|tenancy| tenancy.as_uuid().as_u128()).collect();
    }
    Ok(shipped)
}

proptest! {
    #[test]
    fn cur_1_pages_of_any_size_ship_every_row_once(
        owners in prop::collection::vec(0..10_u128, 0..60),
        tenancy_rows in 1..8_u32,
        total_rows in 1..20_u32,
    ) {
        let rows: Vec<_> = owners.iter().zip(1..).map(|(owner, sequence)| (*owner, sequence)).collect();
        let mut shipped = read_all(&rows, PageLimits { tenancy_rows, total_rows }, rows.len() as i64)?;
        shipped.sort_by_key(|row| row.1);
        prop_assert_eq!(shipped, rows);
    }
}

#[test]
fn a_row_that_cannot_be_read_comes_behind_those_that_came() {
    let locations = locations();
    let asked = [work(1, 0), work(2, 0), work(3, 0)];
    let among = |expected: &[(u128, u64)]| -> PageContent {
        expected.iter().map(|(number, rows)| (tenancy(*number), TenantRows::among(*rows))).collect()
    };
    let mut page = PageRows::new(asked, &locations, MANY, &Isolation::default());
    assert_eq!(
        page.suspects(),
        among(&[(1, 2), (2, 2), (3, 2)]),
        "nothing came: the first row may have more behind it"
    );
    (1..=4).for_each(|sequence| assert_eq!(offer(&mut page, 2, sequence), Ok(true)));
    refuse(&mut page, 2, 5).unwrap();
    assert_eq!(page.suspects(), among(&[(2, 6), (3, 2)]), "refused rows have come, too");
}
