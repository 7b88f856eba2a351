//! Destinations that cannot be compared: each is named, and counts as unfinished; the others are compared.

use std::time::Duration;

use lockstep_schema::pauses::{self, Part};
use lockstep_schema::{Session, Source};
use lockstep_testkit::databases::unique_suffix;
use lockstep_testkit::proxy::Mode;
use lockstep_verifier::{DestinationChoice, DestinationReport, Level, Report, Verdict, VerifyOptions};

use super::own::Own;
use super::{at_once, teams_of, three_tenancies, verify};
use crate::fixture::{Fixture, id};

const TEAMS: Option<&[&str]> = Some(&["teams"]);

/// Unfinished, with this among its reasons.
fn assert_unfinished(one: &DestinationReport, reason: &str) {
    let of_mappings = one.mappings.iter().filter_map(|mapping| mapping.unfinished.as_ref());
    let told: Vec<_> = one.unfinished.iter().chain(of_mappings).collect();
    assert_eq!(one.verdict, Verdict::Unfinished, "{one:?}");
    assert!(told.iter().any(|text| text.contains(reason)), "{reason}: {told:?}");
    assert!(one.mappings.iter().all(|mapping| !mapping.equal || mapping.unfinished.is_none()), "{one:?}");
}

async fn pause(fixture: &Fixture, own: &Own) {
    let source = Source::new(&fixture.settings.source_url, None).unwrap();
    let control = source.connect_diesel(Session::Control).await.unwrap();
    pauses::pause(&control, &Part::Destination(own.id.to_string()), "its owner asked for it").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn ver_tenants_those_that_cannot_be_compared_are_named_and_others_are_compared() {
    let fixture = three_tenancies().await;
    let (well, silent) = (Own::filled(&fixture, id(1), TEAMS).await, Own::filled(&fixture, id(2), TEAMS).await);
    let (gone, paused) = (Own::filled(&fixture, id(1), TEAMS).await, Own::filled(&fixture, id(1), TEAMS).await);
    let (filling, stopped) = (Own::filled(&fixture, id(1), None).await, Own::filled(&fixture, id(1), TEAMS).await);
    silent.proxy.set(Mode::HalfOpen);
    gone.proxy.set(Mode::Cut);
    pause(&fixture, &paused).await;
    filling.run("TRUNCATE public.teams").await;
    let _ = filling.begin_fill(&fixture, fixture.mapping("teams")).await;
    filling.run("DELETE FROM public.\"_stack_sync_metadata\" WHERE mapping_name = 'users'").await;
    let stop = format!(
        "UPDATE lockstep.tenant_mapping SET state = 'stopped', error = 'column id is text, not uuid' WHERE destination_id = '{}'",
        stopped.id
    );
    fixture.run(&stop).await.unwrap();

    let all = [&well, &silent, &gone, &paused, &filling, &stopped];
    let destinations = all.map(|own| DestinationChoice::Tenants(own.id)).into();
    let options = VerifyOptions { destinations, ..at_once() };
    let report = fixture.verify_with(options.clone()).await.unwrap();
    assert_eq!((report.verdict, report.exit_code()), (Verdict::Unfinished, 3), "{}", report.to_text());
    assert_eq!(well.of(&report).verdict, Verdict::Equal, "{}", report.to_text());
    assert_unfinished(silent.of(&report), "LS-0201");
    assert_unfinished(gone.of(&report), "LS-0201");
    assert_unfinished(paused.of(&report), "its owner asked for it");
    assert_unfinished(stopped.of(&report), "column id is text, not uuid");
    assert_unfinished(filling.of(&report), "it is being filled");
    assert_unfinished(filling.of(&report), "it waits for a fill");
    let compared = filling.of(&report).mappings.iter().filter(|mapping| mapping.equal);
    assert_eq!(compared.count(), 10, "the other mappings are compared");
    let text = report.to_text();
    let text = lockstep_core::output::plain(&text);
    assert!(text.contains("LS-0311: 5 destinations") && text.contains("1 of 6 destinations"), "{text}");

    // Whatever takes long there, in whichever step.
    let destinations = vec![DestinationChoice::Tenants(silent.id)];
    let hurried = VerifyOptions { destinations, destination_limit: Duration::from_secs(1), ..at_once() };
    let report = fixture.verify_with(hurried).await.unwrap();
    assert_unfinished(silent.of(&report), "given up after 1 s");

    // A difference is told whatever else is.
    well.run("DELETE FROM public.teams").await;
    let report = fixture.verify_with(options).await.unwrap();
    assert_eq!((report.verdict, report.exit_code()), (Verdict::Different, 1), "{}", report.to_text());
    assert_eq!(teams_of(&well, &report).missing, 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn ver_tenants_rows_that_a_policy_hides_are_not_taken_for_all_there_are() {
    let fixture = three_tenancies().await;
    let own = Own::filled(&fixture, id(1), None).await;
    let role = format!("reader_{}", unique_suffix());
    own.run(&format!("CREATE ROLE {role} LOGIN")).await;
    own.register_as(&fixture, &role).await;
    assert_eq!(verify(&fixture, &[&own]).await.verdict, Verdict::Equal, "everybody may read");
    // The one row that differs would be hidden.
    own.run(&format!(
        "INSERT INTO public.teams SELECT (t).* FROM (SELECT jsonb_populate_record(t, '{{\"id\": \"{}\"}}') AS t FROM public.teams t LIMIT 1) t;
         ALTER TABLE public.teams ENABLE ROW LEVEL SECURITY;
         CREATE POLICY p ON public.teams USING (id <> '{}')",
        id(99),
        id(99)
    ))
    .await;
    let report = verify(&fixture, &[&own]).await;
    own.run(&format!("DROP ROLE {role}")).await;
    assert_eq!((report.verdict, report.exit_code()), (Verdict::Unfinished, 3), "{}", report.to_text());
    assert_unfinished(own.of(&report), "LS-0204");
}

#[tokio::test(flavor = "multi_thread")]
async fn ver_tenants_an_answer_that_breaks_off_is_not_taken_for_a_whole_one() {
    let fixture = three_tenancies().await;
    let many = format!(
        r#"INSERT INTO "Team" ("tenancyId", "teamId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt")
           SELECT '{}', gen_random_uuid(), 'p1', 'main', repeat('x', 400) || n, now() FROM generate_series(1, 3000) AS n"#,
        id(1)
    );
    fixture.run(&many).await.unwrap();
    fixture.number().await.unwrap();
    let own = Own::filled(&fixture, id(1), TEAMS).await;
    assert_eq!(verify(&fixture, &[&own]).await.verdict, Verdict::Equal);
    own.proxy.set(Mode::CutAnswerOnce { after_bytes: 600_000 });
    let destinations = vec![DestinationChoice::Tenants(own.id)];
    let by_rows = VerifyOptions { destinations, level: Level::Rows, ..at_once() };
    let report = fixture.verify_with(by_rows).await.unwrap();
    assert!(own.proxy.mode() == Mode::Pass, "no answer was long enough to be cut");
    assert_unfinished(own.of(&report), "LS-0201");
    assert_eq!(verify(&fixture, &[&own]).await.verdict, Verdict::Equal);
}

#[tokio::test(flavor = "multi_thread")]
async fn ver_tenants_without_the_key_nothing_is_known() {
    let mut fixture = three_tenancies().await;
    let own = Own::filled(&fixture, id(1), TEAMS).await;
    fixture.settings.destinations.secret_key_file = None;
    assert_unfinished(own.of(&verify(&fixture, &[&own]).await), "LOCKSTEP_SECRET_KEY_FILE");
}

#[tokio::test(flavor = "multi_thread")]
async fn ver_tenants_those_that_changed_last_come_first_and_none_is_begun_after_a_difference() {
    let fixture = three_tenancies().await;
    let (one, two) = (Own::filled(&fixture, id(1), None).await, Own::filled(&fixture, id(2), None).await);
    let order = |report: &Report| report.destinations.iter().map(|found| found.id).collect::<Vec<_>>();
    let recent = VerifyOptions { recent_first: true, stop_at_first: true, ..at_once() };
    let own = VerifyOptions { skip_destinations: vec![DestinationChoice::ClickHouse], ..recent.clone() };
    for (tenancy, expected) in [(1, [one.id, two.id]), (2, [two.id, one.id]), (1, [one.id, two.id])] {
        let change =
            format!(r#"UPDATE "Team" SET "displayName" = "displayName" || '!' WHERE "tenancyId" = '{}'"#, id(tenancy));
        fixture.run(&change).await.unwrap();
        fixture.number().await.unwrap();
        let own = fixture.verify_with(own.clone()).await.unwrap();
        assert_eq!((order(&own), own.mappings.len()), (expected.to_vec(), 0), "{}", own.to_text());
    }
    // ClickHouse holds nothing, which its cursors do not say.
    fixture.advance(i64::MAX).await.unwrap();
    let report = fixture.verify_with(recent).await.unwrap();
    assert_eq!(
        (report.verdict, report.mappings[0].name.as_str()),
        (Verdict::Different, "teams"),
        "{}",
        report.to_text()
    );
    for found in [one.of(&report), two.of(&report)] {
        assert_unfinished(found, "--stop-at-first");
    }
    let skipped = VerifyOptions { skip_destinations: vec![DestinationChoice::Tenants(one.id)], ..at_once() };
    assert_eq!(order(&fixture.verify_with(skipped).await.unwrap()), [two.id]);
}
