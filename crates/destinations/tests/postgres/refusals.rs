//! What a tenant's database refuses: rows by themselves, or everything for a while.

use lockstep_destinations::{Destination, Failure, Retry};

use crate::fixture::Fixture;

#[tokio::test]
async fn what_a_tenants_own_rules_refuse_are_rows() {
    for (rule, said) in [
        ("ALTER TABLE public.team_member_profiles ADD CONSTRAINT no_x CHECK (display_name <> 'x')", "constraint no_x"),
        ("CREATE UNIQUE INDEX names ON public.team_member_profiles (display_name)", "constraint names"),
        ("ALTER TABLE public.team_member_profiles ALTER profile_image_url SET NOT NULL", "takes no null"),
        (
            "CREATE FUNCTION public.no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'secret %', NEW.display_name; END $$;
             CREATE TRIGGER no BEFORE INSERT ON public.team_member_profiles FOR EACH ROW EXECUTE FUNCTION public.no()",
            "trigger",
        ),
        (
            "CREATE FUNCTION public.no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM 1 FROM absent; RETURN NEW; END $$;
             CREATE TRIGGER no BEFORE INSERT ON public.team_member_profiles FOR EACH ROW EXECUTE FUNCTION public.no()",
            "a trigger failed",
        ),
        (
            "CREATE TABLE public.others (team_id uuid PRIMARY KEY); ALTER TABLE public.team_member_profiles ADD FOREIGN KEY (team_id) REFERENCES public.others DEFERRABLE INITIALLY DEFERRED",
            "foreign key",
        ),
    ] {
        let fixture = Fixture::filled().await;
        fixture.run(rule).await;
        let refused = fixture.page(1, 10, &[(1, 5, Some("x")), (2, 6, Some("x"))]).await.unwrap_err();
        assert_eq!((refused.failure(), refused.retry()), (Failure::Rejected, Retry::Bisect), "{refused}");
        let text = format!("{refused} {refused:?}");
        assert!(text.contains(said) && !text.contains("secret") && !text.contains("(x)"), "{said}: {text}");
        // Nothing of it is there, and the connection goes on.
        assert_eq!(fixture.at().await, 1);
        fixture.shows(&[]).await;
        fixture.end().await;
    }
}

#[tokio::test]
async fn a_row_that_others_hang_on_is_refused_by_itself() {
    let fixture = Fixture::filled().await;
    fixture.page(1, 10, &[(1, 5, Some("one")), (2, 6, Some("two"))]).await.unwrap();
    fixture
        .run(
            "CREATE TABLE public.theirs (team_id uuid, user_id uuid, FOREIGN KEY (team_id, user_id) REFERENCES public.team_member_profiles);
             INSERT INTO public.theirs SELECT team_id, user_id FROM public.team_member_profiles WHERE display_name = 'one'",
        )
        .await;
    let refused = fixture.page(10, 20, &[(1, 15, None)]).await.unwrap_err();
    assert_eq!(refused.failure(), Failure::Rejected, "{refused}");
    fixture.page(10, 20, &[(2, 16, None)]).await.unwrap();
    fixture.shows(&[(1, "one")]).await;
    fixture.end().await;
}

#[tokio::test]
async fn a_database_that_takes_no_writes_is_tried_again() {
    let fixture = Fixture::filled().await;
    let name = fixture.database.name();
    fixture.run(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await;
    fixture.postgres.close_idle(std::time::Duration::ZERO);
    let refused = fixture.page(1, 10, &[(1, 5, Some("one"))]).await.unwrap_err();
    assert_eq!((refused.failure(), refused.retry()), (Failure::Unavailable, Retry::Later), "{refused}");
    fixture.end().await;
}

#[tokio::test]
async fn a_database_without_the_schema_of_tables_is_told() {
    let fixture = Fixture::filled().await;
    fixture.run("DROP SCHEMA public CASCADE").await;
    let findings = fixture.postgres.examine(&[&fixture.mapping]).await;
    let is_it = |what: &str| what.starts_with("there is no schema public: CREATE SCHEMA public");
    assert!(findings.iter().any(|finding| !finding.ok && is_it(&finding.what)), "{findings:?}");
    assert!(findings.iter().all(|finding| !finding.what.contains("no connection")), "{findings:?}");
    fixture.postgres.check_version().await.unwrap();
    fixture.end().await;
}

#[tokio::test]
async fn a_role_without_rights_is_told() {
    let fixture = Fixture::filled().await;
    let role = format!("weak_{}", fixture.database.name());
    fixture.run(&format!("CREATE ROLE {role} LOGIN PASSWORD 'hunter2'; GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}; REVOKE TEMPORARY ON DATABASE {} FROM PUBLIC", fixture.database.name())).await;
    let url = fixture.database.url();
    let at = url.rfind('@').map_or_else(|| url.find("://").unwrap() + 3, |at| at + 1);
    let weak = crate::fixture::another(&format!("postgres://{role}:hunter2@{}", &url[at..]), fixture.tenancy);
    let findings = weak.examine(&[&fixture.mapping]).await;
    let told = |text: &str| findings.iter().any(|finding| !finding.ok && finding.what.contains(text));
    assert!(told("may not create tables") || told("may not create temporary tables"), "{findings:?}");
    assert!(told("belongs to another role"), "{findings:?}");
    weak.check_version().await.unwrap();
    weak.close_idle(std::time::Duration::ZERO);
    fixture.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
    fixture.end().await;
}
