//! The derived statements, whole.

use insta::assert_snapshot;

use super::*;
use crate::postgres::fetch::ReadFrom;
use crate::{MappingSet, clickhouse};
use lockstep_core::{DestinationId, SequenceId, TenancyId};

fn mapping(name: &str) -> Mapping {
    MappingSet::built_in().get(&name.parse().unwrap()).unwrap().clone()
}

fn keys() -> Vec<Key> {
    let location = Location { project_id: "it's".to_owned(), branch_id: "main".to_owned() };
    vec![Key { location, values: vec!["00000000-0000-4000-8000-000000000001".to_owned()] }]
}

fn owner() -> TenancyId {
    "00000000-0000-4000-8000-000000000009".parse().unwrap()
}

#[test]
fn all_rows() {
    assert_snapshot!("rows_postgres", rows(&mapping("refresh_tokens"), Scope::All));
    assert_snapshot!("rows_postgres_joined", rows(&mapping("team_invitations"), Scope::All));
    let databases =
        clickhouse::Databases { raw: "raw".to_owned(), views: "views".to_owned(), cluster: None, fsync: false };
    let of = |scope, after| clickhouse::compare_rows(&mapping("refresh_tokens"), &databases, scope, after);
    assert_snapshot!("rows_clickhouse", of(Scope::All, None));
    assert_snapshot!("rows_clickhouse_after", of(Scope::All, keys().first()));
}

#[test]
fn rows_of_some_locations_and_keys() {
    let locations = [keys()[0].location.clone()];
    assert_snapshot!("locations_postgres", rows(&mapping("team_permissions"), Scope::Locations(&locations)));
    assert_snapshot!("keys_postgres", rows(&mapping("team_invitations"), Scope::Keys(&keys())));
    let databases =
        clickhouse::Databases { raw: "raw".to_owned(), views: "views".to_owned(), cluster: None, fsync: false };
    let of = |scope| clickhouse::compare_rows(&mapping("refresh_tokens"), &databases, scope, None);
    assert_snapshot!("locations_clickhouse", of(Scope::Locations(&locations)));
    assert_snapshot!("keys_clickhouse", of(Scope::Keys(&keys())));
}

#[test]
fn rows_of_a_part_of_a_table() {
    let (invitations, locations) = (mapping("team_invitations"), [keys()[0].location.clone()]);
    let parts = Positions::of_blocks(2).split(2);
    assert_snapshot!("range_postgres", rows_of(&invitations, Scope::Locations(&locations), Part::Range(&parts[1])));
    let single = Positions::of_blocks(1).split(2048);
    assert_snapshot!("without_postgres", rows_of(&invitations, Scope::All, Part::Without(&single[3..5])));
    assert_snapshot!("keys_at_postgres", keys_at(&invitations, &single[3]));
}

#[test]
fn claims_on_keys() {
    let after = ReadFrom { tenancy: owner(), after: SequenceId::new(7) };
    let (invitations, to) = (mapping("team_invitations"), DestinationId::clickhouse());
    assert_snapshot!(claims(&invitations, &to, &keys(), &[after]));
    assert_snapshot!("own_claims_on_keys", own_claims(&invitations, &to, &keys(), after));
}

#[test]
fn rows_of_one_tenancy() {
    let (invitations, all) = (mapping("team_invitations"), Part::Without(&[]));
    assert_snapshot!("own_rows", own_rows(&mapping("team_permissions"), owner(), Scope::All, all));
    assert_snapshot!("own_rows_by_place", own_rows(&invitations, owner(), Scope::All, all));
    assert_snapshot!("own_rows_of_keys", own_rows(&invitations, owner(), Scope::Keys(&keys()), all));
    let part = &Positions::of_blocks(2).split(2)[1];
    assert_snapshot!("own_rows_range", own_rows(&invitations, owner(), Scope::All, Part::Range(part)));
}
