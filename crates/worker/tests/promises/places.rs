//! DEL-1, ISO-1: several tenancies at one place, and places that change hands. Whoever left, came or took over, a place shows
//! what lives there now.

use lockstep_core::TenancyId;
use lockstep_testkit::data::{Shape, seed};
use uuid::Uuid;

use crate::fixture::WorkerFixture;

impl WorkerFixture {
    /// Flushes these, one after the other.
    async fn flush_in_turn(&self, tenancies: &[TenancyId]) {
        let mut flusher = self.flusher(lockstep_worker::Limits::default());
        for tenancy in tenancies {
            let flushed = flusher.flush(&self.hints(&[*tenancy])).await;
            assert!(flushed.failed.is_empty() && flushed.retry.is_empty(), "{flushed:?}");
        }
    }

    async fn names_seen(&self) -> String {
        self.ask("SELECT arrayStringConcat(arraySort(groupArray(ifNull(display_name, ''))), ',') FROM {views}.users")
            .await
    }

    async fn set_place(&self, tenancy: TenancyId, branch: &str) {
        self.run_sql(&format!(r#"UPDATE "Tenancy" SET "branchId" = '{branch}' WHERE "id" = '{tenancy}'"#)).await;
    }

    async fn move_user(&self, user: Uuid, to: TenancyId) {
        self.run_sql(&format!(r#"UPDATE "ProjectUser" SET "tenancyId" = '{to}' WHERE "projectUserId" = '{user}'"#))
            .await;
    }

    async fn delete_user(&self, tenancy: TenancyId, user: Uuid) {
        let sql =
            format!(r#"DELETE FROM "ProjectUser" WHERE "tenancyId" = '{tenancy}' AND "projectUserId" = '{user}'"#);
        assert_eq!(self.client.execute(&sql, &[]).await.unwrap(), 1);
    }

    /// Two tenancies of one place.
    async fn neighbours(&self) -> [TenancyId; 2] {
        let first = self.tenancy().await;
        let second = self.organisation(first).await;
        self.pass_and_flush(&[first, second]).await;
        [first, second]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn del_1_a_user_that_moves_to_another_organisation_of_its_place_stays_visible() {
    let fixture = WorkerFixture::new().await;
    let [first, second] = fixture.neighbours().await;
    // Enough of them that either number is the lower one for some.
    fixture.users(first, 20).await;
    fixture.pass_and_flush(&[first, second]).await;
    for (to, order) in [(second, [first, second]), (first, [first, second]), (second, [second, first])] {
        fixture.run_sql(&format!(r#"UPDATE "ProjectUser" SET "tenancyId" = '{to}'"#)).await;
        fixture.pass().await;
        for tenancy in order {
            fixture.flush_in_turn(&[tenancy]).await;
            assert_eq!(fixture.ask("SELECT count() FROM {views}.users").await, "20");
        }
        fixture.assert_equal().await;
    }
    fixture.change("OPTIMIZE TABLE {raw}.users FINAL").await;
    fixture.assert_equal().await;
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn del_1_a_user_that_is_copied_to_another_organisation_and_then_deleted_stays_visible_in_every_order() {
    for copied_first in [true, false] {
        for flushed_first in [0, 1] {
            let fixture = WorkerFixture::new().await;
            let [first, second] = fixture.neighbours().await;
            let id = fixture.user(first, "of the first").await;
            fixture.pass_and_flush(&[first, second]).await;
            if copied_first {
                fixture.user_of_id(second, id, "of the second").await;
                fixture.pass_once().await;
                fixture.delete_user(first, id).await;
            } else {
                fixture.delete_user(first, id).await;
                fixture.pass_once().await;
                fixture.user_of_id(second, id, "of the second").await;
            }
            fixture.pass().await;
            let order = if flushed_first == 0 { [first, second] } else { [second, first] };
            fixture.flush_in_turn(&order).await;
            assert_eq!(fixture.names_seen().await, "of the second");
            fixture.assert_equal().await;
            // And it goes for good.
            fixture.delete_user(second, id).await;
            fixture.pass_and_flush(&[first, second]).await;
            assert_eq!(fixture.names_seen().await, "");
            fixture.remove().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn del_1_when_a_key_leaves_one_tenancy_the_place_shows_the_row_of_the_other() {
    let fixture = WorkerFixture::new().await;
    let [first, second] = fixture.neighbours().await;
    let id = fixture.user(first, "of the first").await;
    fixture.pass_and_flush(&[first, second]).await;
    fixture.user_of_id(second, id, "of the second").await;
    fixture.pass_and_flush(&[second]).await;
    // Two rows of one key at one place: the later change is shown.
    assert_eq!(fixture.names_seen().await, "of the second");
    fixture.delete_user(second, id).await;
    fixture.pass_and_flush(&[second]).await;
    assert_eq!(fixture.names_seen().await, "of the first");
    fixture.assert_equal().await;
    fixture.move_user(id, second).await;
    fixture.pass_and_flush(&[second, first]).await;
    assert_eq!(fixture.names_seen().await, "of the first");
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn del_1_invitations_stay_when_another_tenancy_becomes_the_one_without_organisation() {
    for later_first in [true, false] {
        let fixture = WorkerFixture::new().await;
        seed(&fixture.client, Shape { tenants: 5, rows: 40, seed: 17 }).await.unwrap();
        let tenancies = fixture.tenancies().await;
        fixture.pass_and_flush(&tenancies).await;
        fixture.assert_equal().await;
        let organisation = fixture.tenancies_of(r#""organizationId" IS NOT NULL"#).await[0];
        let place = format!(
            r#"("projectId", "branchId") = (SELECT "projectId", "branchId" FROM "Tenancy" WHERE "id" = '{organisation}')"#
        );
        let without = fixture.tenancies_of(&format!(r#"{place} AND "hasNoOrganization" = 'TRUE'"#)).await[0];
        let seen =
            format!("SELECT count() FROM {{views}}.team_invitations WHERE {}", fixture.places(organisation).await);
        let before: i64 = fixture.ask(&seen).await.parse().unwrap();
        assert!(before > 0, "no invitations to lose");
        let pass_on = format!(
            r#"BEGIN; UPDATE "Tenancy" SET "hasNoOrganization" = NULL, "organizationId" = gen_random_uuid() WHERE "id" = '{without}';
               UPDATE "Tenancy" SET "hasNoOrganization" = 'TRUE', "organizationId" = NULL WHERE "id" = '{organisation}'; COMMIT"#
        );
        fixture.run_sql(&pass_on).await;
        fixture.pass().await;
        let order = if later_first { [organisation, without] } else { [without, organisation] };
        for tenancy in order {
            fixture.flush_in_turn(&[tenancy]).await;
            assert_eq!(fixture.ask(&seen).await, before.to_string());
        }
        fixture.assert_equal().await;
        fixture.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn iso_1_what_a_tenancy_does_elsewhere_does_not_touch_who_took_its_place() {
    let fixture = WorkerFixture::new().await;
    let earlier = fixture.tenancy().await;
    let (one, two) = (fixture.user(earlier, "earlier one").await, fixture.user(earlier, "earlier two").await);
    fixture.pass_and_flush(&[earlier]).await;
    fixture.set_place(earlier, "elsewhere").await;
    fixture.pass_and_flush(&[earlier]).await;
    let here = Uuid::new_v4();
    fixture
        .run_sql(&format!(
            r#"INSERT INTO "Tenancy" ("id", "projectId", "branchId", "hasNoOrganization", "updatedAt")
               SELECT '{here}', "projectId", 'main', 'TRUE', now() FROM "Tenancy" WHERE "id" = '{earlier}'"#
        ))
        .await;
    let here = TenancyId::new(here);
    fixture.user_of_id(here, one, "here one").await;
    fixture.user_of_id(here, two, "here two").await;
    fixture.pass_and_flush(&[earlier, here]).await;
    let at_main = "SELECT arrayStringConcat(arraySort(groupArray(ifNull(display_name, ''))), ',') FROM {views}.users WHERE branch_id = 'main'";
    assert_eq!(fixture.ask(at_main).await, "here one,here two");
    fixture.run_sql(&format!(r#"UPDATE "ProjectUser" SET "displayName" = 'earlier changed' WHERE "tenancyId" = '{earlier}' AND "projectUserId" = '{one}'"#)).await;
    fixture.delete_user(earlier, two).await;
    fixture.pass_and_flush(&[earlier]).await;
    assert_eq!(fixture.ask(at_main).await, "here one,here two");
    fixture.assert_equal().await;
    // And when it is deleted as a whole.
    fixture.delete_tenancy(earlier).await;
    fixture.pass_and_flush(&[earlier]).await;
    assert_eq!(fixture.ask(at_main).await, "here one,here two");
    fixture.rounds("the erasure", |done| done.erased == 1).await;
    assert_eq!(fixture.ask(at_main).await, "here one,here two");
    fixture.assert_equal().await;
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn iso_1_two_branches_that_swap_show_each_the_rows_of_whoever_is_there() {
    for first_comes_first in [true, false] {
        let fixture = WorkerFixture::new().await;
        let first = fixture.tenancy().await;
        let second = TenancyId::new(Uuid::new_v4());
        fixture
            .run_sql(&format!(
                r#"INSERT INTO "Tenancy" ("id", "projectId", "branchId", "hasNoOrganization", "updatedAt")
                   SELECT '{second}', "projectId", 'other', 'TRUE', now() FROM "Tenancy""#
            ))
            .await;
        let same = fixture.user(first, "first").await;
        fixture.user_of_id(second, same, "second").await;
        fixture.user(first, "first alone").await;
        fixture.user(second, "second alone").await;
        fixture.pass_and_flush(&[first, second]).await;
        fixture.assert_equal().await;
        let swap = |branch: &str, tenancy| {
            format!(r#"UPDATE "Tenancy" SET "branchId" = '{branch}' WHERE "id" = '{tenancy}';"#)
        };
        fixture
            .run_sql(&format!(
                "BEGIN; {}{}{}COMMIT",
                swap("between", first),
                swap("main", second),
                swap("other", first)
            ))
            .await;
        fixture.pass().await;
        fixture.flush_in_turn(&if first_comes_first { [first, second] } else { [second, first] }).await;
        fixture.assert_equal().await;
        fixture.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn iso_1_a_place_that_is_left_and_taken_by_a_tenancy_with_the_same_ids_shows_what_the_living_one_has() {
    let fixture = WorkerFixture::new().await;
    let earlier = fixture.tenancy().await;
    let mut ids = Vec::new();
    for name in ["earlier one", "earlier two", "earlier three"] {
        ids.push(fixture.user(earlier, name).await);
    }
    fixture.pass_and_flush(&[earlier]).await;
    // Deleted and made anew in one transaction: the place is never without a tenancy.
    let later = TenancyId::new(Uuid::new_v4());
    fixture
        .run_sql(&format!(
            r#"BEGIN; DELETE FROM "Tenancy" WHERE "id" = '{earlier}';
               INSERT INTO "Tenancy" ("id", "projectId", "branchId", "hasNoOrganization", "updatedAt") VALUES ('{later}', 'project {earlier}', 'main', 'TRUE', now());
               COMMIT"#
        ))
        .await;
    fixture.user_of_id(later, ids[0], "later one").await;
    fixture.pass_and_flush(&[later]).await;
    fixture.pass_and_flush(&[earlier]).await;
    assert_eq!(fixture.names_seen().await, "later one", "whoever takes a place reads its predecessor's rows");
    fixture.assert_equal().await;
    fixture.rounds("the erasure", |done| done.erased == 1).await;
    assert_eq!(fixture.names_seen().await, "later one");
    assert_eq!(fixture.ask("SELECT uniq(id) FROM {raw}.users").await, "1");
    fixture.assert_equal().await;
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn erase_1_a_deleted_tenancy_at_a_shared_place_is_hidden_by_key_by_one_flush_and_the_receipt_says_it_then() {
    let fixture = WorkerFixture::new().await;
    let [stays, goes] = fixture.neighbours().await;
    fixture.user(stays, "stays").await;
    fixture.users(goes, 10).await;
    fixture.pass_and_flush(&[stays, goes]).await;
    fixture.limit_late_writes("1 hour").await;
    fixture.delete_tenancy(goes).await;
    let hidden = "SELECT count(*) FROM lockstep.erasure WHERE hidden_at IS NOT NULL";
    let mut janitor = fixture.janitor();
    janitor.round().await.unwrap();
    assert_eq!(fixture.number(hidden).await, 0, "the deletion has no number yet");
    fixture.pass_once().await;
    janitor.round().await.unwrap();
    assert_eq!(fixture.number(hidden).await, 0, "its rows were not searched yet");
    fixture.pass().await;
    janitor.round().await.unwrap();
    assert_eq!(fixture.number(hidden).await, 0, "its rows are shown");
    fixture.flush_in_turn(&[goes]).await;
    assert_eq!(fixture.names_seen().await, "stays");
    janitor.round().await.unwrap();
    assert_eq!(fixture.number(hidden).await, 1);
    fixture.assert_equal().await;
    fixture.remove().await;
}
