//! Tables: made, given what a definition has gained, and left alone where they are another's.

use std::sync::Arc;

use lockstep_destinations::PageWriter;
use lockstep_destinations::postgres::{MappingState, Prepared};
use lockstep_mappings::Mapping;

use crate::fixture::{Fixture, mapping};

#[tokio::test]
async fn every_mapping_has_a_table_that_everyone_reads_and_its_owner_alone_writes() {
    let fixture = Fixture::empty().await;
    // A database that gives everybody everything, as hosted ones do.
    fixture.run("ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO pg_monitor").await;
    for name in ["users", "contact_channels", "email_outboxes", "team_invitations", "project_permissions"] {
        let mapping = mapping(name);
        assert_eq!(fixture.postgres.prepare(&mapping).await.unwrap(), Prepared::Created, "{name}");
        assert_eq!(fixture.postgres.prepare(&mapping).await.unwrap(), Prepared::Fits, "{name}");
        let rights = fixture
            .client
            .query_one(
                "SELECT has_table_privilege('pg_read_all_stats', $1::text, 'SELECT'), has_table_privilege('pg_monitor', $1::text, 'INSERT, UPDATE, DELETE, TRUNCATE')",
                &[&format!("public.{name}")],
            )
            .await
            .unwrap();
        assert!(rights.get::<_, bool>(0) && !rights.get::<_, bool>(1), "{name}");
    }
    // One that was altered, though it takes what is written; one that is relaxed; one that is not there.
    fixture
        .run("ALTER TABLE public.users ALTER COLUMN display_name TYPE varchar(500); ALTER TABLE public.contact_channels ALTER COLUMN value DROP NOT NULL")
        .await;
    let all: [&Mapping; 3] = [&mapping("users"), &mapping("contact_channels"), &mapping("teams")];
    assert_eq!(fixture.postgres.fit(&all).await.unwrap(), [false, true, false]);
    fixture.end().await;
}

#[tokio::test]
async fn a_column_that_was_gained_arrives_and_the_mapping_is_filled_again() {
    let fixture = Fixture::filled().await;
    fixture.page(1, 10, &[(1, 5, Some("one"))]).await.unwrap();
    fixture.run("CREATE VIEW public.theirs AS SELECT user_id FROM public.team_member_profiles; ALTER TABLE public.team_member_profiles DROP COLUMN display_name").await;
    // A fill that is under way has read rows without it.
    fixture
        .run("INSERT INTO public._lockstep_fill VALUES ('team_member_profiles', gen_random_uuid(), 5, NULL, 0, FALSE)")
        .await;
    assert_eq!(fixture.postgres.prepare(&fixture.mapping).await.unwrap(), Prepared::Changed);
    assert_eq!(fixture.state().await, MappingState::Absent);
    assert_eq!(fixture.page(10, 11, &[]).await.unwrap_err().code(), "LS-0211");
    fixture.fill(20, &[(1, 20, Some("one"))]).await;
    fixture.shows(&[(1, "one")]).await;
    assert_eq!(fixture.number("SELECT count(*) FROM public.theirs").await, 1);
    fixture.end().await;
}

#[tokio::test]
async fn a_table_that_a_tenant_has_dropped_is_made_and_filled_again() {
    let fixture = Fixture::filled().await;
    fixture.run("DROP TABLE public.team_member_profiles").await;
    let gone = fixture.page(1, 2, &[(1, 2, Some("one"))]).await.unwrap_err();
    assert_eq!(gone.code(), "LS-0204");
    assert_eq!(fixture.postgres.prepare(&fixture.mapping).await.unwrap(), Prepared::Created);
    assert_eq!(fixture.state().await, MappingState::Absent);
    fixture.end().await;
}

#[tokio::test]
async fn what_is_another_table_is_named_and_left_alone() {
    const COLUMNS: &str = "team_id uuid, user_id uuid, display_name text, profile_image_url text, created_at timestamp";
    let fixture = Fixture::empty().await;
    let whole = format!("public.team_member_profiles ({COLUMNS}, PRIMARY KEY (team_id, user_id))");
    for (create, drop, said) in [
        (format!("CREATE UNLOGGED TABLE {whole}"), "TABLE", "unlogged"),
        (format!("CREATE TABLE {whole} PARTITION BY HASH (team_id)"), "TABLE", "partitioned"),
        ("CREATE VIEW public.team_member_profiles AS SELECT 1 AS one".to_owned(), "VIEW", "it is a view"),
        ("CREATE SEQUENCE public.team_member_profiles".to_owned(), "SEQUENCE", "it is no table"),
        (
            format!("CREATE TABLE {whole}; ALTER TABLE public.team_member_profiles ALTER display_name TYPE varchar(9)"),
            "TABLE",
            "column display_name is character varying(9), not text",
        ),
        (
            format!("CREATE TABLE public.team_member_profiles ({COLUMNS})"),
            "TABLE",
            "primary key is not (team_id, user_id)",
        ),
        (
            format!("CREATE TABLE public.team_member_profiles ({COLUMNS}, PRIMARY KEY (user_id, team_id))"),
            "TABLE",
            "primary key is not (team_id, user_id)",
        ),
        (
            format!("CREATE TABLE {whole}; ALTER TABLE public.team_member_profiles ADD COLUMN theirs int NOT NULL"),
            "TABLE",
            "column theirs is not of the mapping",
        ),
        (
            format!("CREATE TABLE {whole}; CREATE TABLE public.child () INHERITS (public.team_member_profiles)"),
            "TABLE public.child; DROP TABLE",
            "a part of another table",
        ),
    ] {
        fixture.run(&create).await;
        match fixture.postgres.prepare(&fixture.mapping).await.unwrap() {
            Prepared::Misfit(words) => assert!(words.iter().any(|word| word.contains(said)), "{said}: {words:?}"),
            other => panic!("{said}: {other:?}"),
        }
        fixture.run(&format!("DROP {drop} public.team_member_profiles")).await;
    }
    fixture.end().await;
}

#[tokio::test]
async fn what_a_tenant_adds_to_a_table_stays() {
    let fixture = Fixture::filled().await;
    fixture
        .run(
            "ALTER TABLE public.team_member_profiles ADD COLUMN note text, ADD COLUMN seen int NOT NULL DEFAULT 0;
             CREATE INDEX theirs ON public.team_member_profiles (display_name)",
        )
        .await;
    assert_eq!(fixture.postgres.prepare(&fixture.mapping).await.unwrap(), Prepared::Fits);
    fixture.page(1, 10, &[(1, 5, Some("one"))]).await.unwrap();
    fixture.run("UPDATE public.team_member_profiles SET note = 'theirs'").await;
    fixture.page(10, 20, &[(1, 15, Some("uno"))]).await.unwrap();
    fixture.fill(30, &[(1, 30, Some("uno"))]).await;
    let kept = "SELECT count(*) FROM public.team_member_profiles WHERE note = 'theirs' AND display_name = 'uno'";
    assert_eq!(fixture.number(kept).await, 1);
    fixture.end().await;
}

#[tokio::test]
async fn nothing_in_a_search_path_takes_the_place_of_ours() {
    let fixture = Fixture::filled().await;
    let name = fixture.database.name();
    // An operator and tables of the same names, and settings by which they would be found first.
    fixture
        .run(&format!(
            "CREATE SCHEMA evil; CREATE TABLE evil.team_member_profiles (LIKE public.team_member_profiles);
             CREATE FUNCTION evil.never(uuid, uuid) RETURNS bool LANGUAGE sql AS 'SELECT false';
             CREATE OPERATOR evil.= (LEFTARG = uuid, RIGHTARG = uuid, FUNCTION = evil.never);
             ALTER DATABASE {name} SET search_path = evil, public, pg_catalog;
             ALTER DATABASE {name} SET standard_conforming_strings = off;
             ALTER DATABASE {name} SET default_transaction_isolation = serializable;
             ALTER DATABASE {name} SET datestyle = 'German, DMY'"
        ))
        .await;
    fixture.postgres.close_idle(std::time::Duration::ZERO);
    fixture.page(1, 10, &[(1, 5, Some("one")), (2, 6, Some("two"))]).await.unwrap();
    fixture.page(10, 20, &[(1, 11, None)]).await.unwrap();
    fixture.shows(&[(2, "two")]).await;
    assert_eq!(fixture.number("SELECT count(*) FROM evil.team_member_profiles").await, 0);
    fixture.end().await;
}

#[tokio::test]
async fn clearing_removes_rows_and_cursors_and_perhaps_tables() {
    let fixture = Fixture::filled().await;
    let rows: Vec<_> = (1..=50).map(|key| (key, 5, Some("one"))).collect();
    fixture.page(1, 10, &rows).await.unwrap();
    let late = {
        use lockstep_destinations::Destination;
        let from = [(fixture.tenancy, lockstep_core::SequenceId::new(10))];
        let mut page = fixture.postgres.open_page(fixture.start(&from));
        crate::fixture::push(&mut page, &fixture.mapping, fixture.tenancy, &[(1, 11, Some("late"))]).unwrap();
        page
    };
    let mapping: &Mapping = &Arc::clone(&fixture.mapping);
    let removed = fixture.postgres.clear(&[mapping], false).await.unwrap();
    assert_eq!(removed[&mapping.name], 50);
    let to = [(fixture.tenancy, lockstep_core::SequenceId::new(12))];
    assert_eq!(late.end(&to).await.unwrap_err().code(), "LS-0211");
    assert_eq!(fixture.state().await, MappingState::Absent);
    fixture.shows(&[]).await;
    fixture.postgres.clear(&[mapping], true).await.unwrap();
    let left = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace";
    assert_eq!(fixture.number(left).await, 0);
    fixture.end().await;
}

#[tokio::test]
async fn an_examination_says_what_is_well_and_what_is_not() {
    let fixture = Fixture::empty().await;
    fixture.run("CREATE VIEW public.users AS SELECT 1 AS one").await;
    let (users, teams) = (mapping("users"), mapping("teams"));
    let findings = fixture.postgres.examine(&[&users, &teams]).await;
    let all: Vec<_> = findings.iter().map(|finding| format!("{} {}", finding.ok, finding.what)).collect();
    let text = all.join("\n");
    assert!(text.contains("true it takes writes") && text.contains("false table users: it is a view"), "{text}");
    assert!(text.contains("true table teams will be created") && text.contains("encrypted"), "{text}");
    fixture.end().await;
}
