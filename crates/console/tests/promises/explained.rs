//! A row explained, from a page that is there: nobody has to know a key.

use anyhow::{Context, Result};

use crate::fixture::{Fixture, Options};

const TENANT: &str = "00000000-0000-4000-8000-000000000007";

/// Fourteen users of which the first changed last, and before all of them a permission, whose key has a text in it.
async fn with_changes() -> Result<Fixture> {
    let fixture = Fixture::start(Options::default()).await?;
    let changed = format!(
        r#"INSERT INTO "Project" ("id", "displayName", "description", "isProductionMode", "updatedAt") VALUES ('p', '', '', FALSE, now());
INSERT INTO "Tenancy" ("id", "projectId", "branchId", "hasNoOrganization", "updatedAt") VALUES ('{TENANT}', 'p', 'main', 'TRUE', now());
INSERT INTO lockstep.tenancy_location (tenancy_id, project_id, branch_id) VALUES ('{TENANT}', 'p', 'main') ON CONFLICT DO NOTHING;
INSERT INTO lockstep.change (sequence, tenancy_id, mapping, uuid_1)
SELECT n, '{TENANT}', (SELECT id FROM lockstep.target WHERE name = 'users'), md5((n % 14)::text)::uuid FROM generate_series(101, 140) n;
INSERT INTO lockstep.change (sequence, tenancy_id, mapping, uuid_1, text_1)
SELECT 141, '{TENANT}', (SELECT id FROM lockstep.target WHERE name = 'project_permissions'), md5('1')::uuid, 'hunter2'"#
    );
    fixture.client.batch_execute(&changed).await?;
    Ok(fixture)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_page_offers_its_latest_changed_rows_to_be_explained() -> Result<()> {
    let fixture = with_changes().await?;
    let page = format!("/tenants/{TENANT}");
    let text = fixture.get(&page).await?.text;
    let (_, latest) = text.split_once("id=\"latest\"").with_context(|| text.clone())?;
    let (latest, _) = latest.split_once("</ul>").context("a list")?;
    assert_eq!(latest.matches("<li>").count(), 10, "{latest}");
    assert!(latest.contains("project_permissions user_id=") && latest.contains("permission_id=sha256:"), "{latest}");
    assert!(!text.contains("hunter2"), "{text}");
    let links: Vec<_> = latest.split("href=\"").skip(1).filter_map(|rest| rest.split_once('"')).collect();
    assert_eq!(links.len(), 9, "one of the key with a text in it leads nowhere: {latest}");
    let last: String =
        fixture.client.query_one("SELECT uuid_1::text FROM lockstep.change WHERE sequence = 140", &[]).await?.get(0);
    let link = links[0].0.replace("&amp;", "&").replace("&#38;", "&");
    assert!(link.contains("mapping=users") && link.contains(&last), "{link}");
    let story = fixture.get(link.split('#').next().unwrap_or_default()).await?;
    assert!(story.status == 200 && story.text.contains(&format!("users id={last}")), "{}", story.text);
    fixture.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_key_is_not_called_a_row_that_is_missing() -> Result<()> {
    let fixture = with_changes().await?;
    let said = async |mapping: &str, key: &str| {
        anyhow::Ok(fixture.get(&format!("/tenants/{TENANT}?mapping={mapping}&key={key}")).await?.text)
    };
    let text = said("users", "nonsense").await?;
    assert!(text.contains("<strong>This is no key:</strong> LS-0046") && !text.contains("No such row"), "{text}");
    let text = said("nothing", "1").await?;
    assert!(text.contains("<strong>No such mapping:</strong> LS-0040"), "{text}");
    let text = said("users", "00000000-0000-4000-8000-00000000ffff").await?;
    assert!(text.contains("<strong>Never seen:</strong>"), "{text}");
    fixture.end().await
}
