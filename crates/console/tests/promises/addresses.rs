//! What addresses and forms may say.

use anyhow::Result;

use crate::fixture::{Answer, Fixture, Options};

/// Stands in everything that is sent, and in no answer.
const SENT: &str = "confidential";
const LONG: usize = 20_000;

/// What a page says that refuses something: a whole page, as all others are.
fn must_refuse(answer: &Answer, what: &str, why: &str) {
    let Answer { status, head, text } = answer;
    assert_eq!(*status, 400, "{what}: {text}");
    assert!(text.contains("<footer>") && text.contains("/style.css"), "{what}: {text}");
    assert!(text.contains(why) && !text.contains(SENT), "{what}: {text}");
    assert!(head.contains("content-security-policy: default-src 'none'"), "{what}: {head}");
    assert!(head.contains("cache-control: no-store") && head.contains("content-type: text/html"), "{what}: {head}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_text_of_postgres_holds_is_refused_wherever_it_stands() -> Result<()> {
    let fixture = Fixture::start(Options { actions: true, ..Options::default() }).await?;
    let tenant = format!("/tenants/{}", uuid::Uuid::nil());
    for (field, page) in [
        ("q", "/tenants?q="),
        ("all", "/tenants?all="),
        ("code", "/quarantine?code="),
        ("destination", "/quarantine?destination="),
        ("mapping", "/quarantine?mapping="),
        ("after", "/quarantine?after="),
        ("runs_before", "/proof?runs_before="),
        ("form", "/proof/runs/7?form="),
        ("key", &format!("{tenant}?mapping=users&key=")),
        ("name", "/actions/pause?kind=mapping&name="),
        ("code", "/actions/drop?code="),
        ("view", "/events?view="),
    ] {
        let answer = fixture.get(&format!("{page}{SENT}%00")).await?;
        must_refuse(&answer, page, &format!("The field {field} holds the character NUL"));
    }
    for page in ["/mappings/", "/tenants/", "/proof/runs/", "/proof/receipts/", "/actions/"] {
        let answer = fixture.get(&format!("{page}{SENT}%00")).await?;
        must_refuse(&answer, page, "A part of this address holds the character NUL");
    }
    // What stands there as text, and is none.
    assert_eq!(fixture.get("/tenants?q=%2500").await?.status, 200);
    fixture.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_cannot_be_used_is_refused_by_a_page_that_does_not_repeat_it() -> Result<()> {
    let fixture = Fixture::start(Options { actions: true, ..Options::default() }).await?;
    for (page, why) in [
        ("/tenants?q=confidential&q=b", "The field q is there twice"),
        ("/quarantine?mapping=a&mapping=confidential", "The field mapping is there twice"),
        ("/quarantine?after=&after=confidential", "The field after is there twice"),
        ("/actions/retry?code=confidential&code=b", "The field code is there twice"),
        ("/tenants?after=confidential", "The field after is missing, or not what is asked for"),
        ("/proof?runs_before=confidential", "The field runs_before is missing, or not what is asked for"),
        ("/proof?findings_before=9223372036854775808", "The field findings_before is missing"),
        ("/proof/runs/confidential", "A part of this address is missing, or not what is asked for"),
        ("/mappings/confidential%FF", "A part of this address is missing, or not what is asked for"),
    ] {
        must_refuse(&fixture.get(page).await?, page, why);
    }
    fixture.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_cannot_be_used_is_refused_by_a_page_that_does_not_repeat_it() -> Result<()> {
    let fixture = Fixture::start(Options { actions: true, ..Options::default() }).await?;
    let own = format!("Origin: http://{}\r\nSec-Fetch-Site: same-origin\r\n", fixture.address);
    let long = format!("token=x&reason={}", "confidential".repeat(LONG / SENT.len()));
    for (body, why) in [
        ("token=x&kind=workers&reason=confidential%00", "The field reason holds the character NUL"),
        ("token=x&kind=workers&reason=confidential\0", "The field reason holds the character NUL"),
        ("token=x&kind=workers&reason=confidential&reason=b", "The field reason is there twice"),
        ("kind=workers&reason=confidential", "A field is missing, or not what is asked for"),
        (&long, "The form is too long, or did not come whole"),
    ] {
        must_refuse(&fixture.post("/actions/pause", &own, body).await?, body, why);
    }
    let done = fixture.client.query_one("SELECT count(*) FROM lockstep.action", &[]).await?;
    assert_eq!(done.get::<_, i64>(0), 0);
    fixture.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_link_that_cannot_be_used_leads_to_no_view_of_operators() -> Result<()> {
    let fixture = Fixture::start(Options::default()).await?;
    for page in ["/t/confidential%00", "/t/x?key=confidential%00", "/t/x?key=a&key=confidential"] {
        let answer = fixture.get(page).await?;
        must_refuse(&answer, page, "This page is not shown");
        assert!(!answer.text.contains("<nav"), "{}", answer.text);
        assert!(answer.head.contains("referrer-policy: no-referrer"), "{}", answer.head);
    }
    fixture.end().await
}
