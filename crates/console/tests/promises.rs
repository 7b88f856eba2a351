//! What the console promises, without a browser: who is let in, what is refused, and what a look costs the source.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "promises/addresses.rs"]
mod addresses;
#[path = "promises/explained.rs"]
mod explained;
#[path = "promises/fixture.rs"]
mod fixture;
#[path = "promises/seen.rs"]
mod seen;

use anyhow::Result;
use lockstep_operations::{Deployment, Part, pause};
use lockstep_testkit::databases::eventually;

use crate::fixture::{DEADLINE, Fixture, Options};

/// Every page, and some that are none.
const PAGES: [&str; 8] =
    ["/", "/mappings", "/mappings/users", "/tenants", "/tenants?all=1", "/quarantine", "/proof", "/operations"];

#[tokio::test(flavor = "multi_thread")]
async fn sessions_of_the_console_cannot_write() -> Result<()> {
    let fixture = Fixture::start(Options::default()).await?;
    let deployment = Deployment::connect(fixture.reading, fixture.mappings).await?;
    let refused = pause(&deployment, &Part::Workers, "a test").await.unwrap_err().to_string();
    assert!(refused.contains("ReadOnlyTransaction"), "{refused}");
    let paused = fixture.client.query_one("SELECT count(*) FROM lockstep.pause", &[]).await?;
    assert_eq!(paused.get::<_, i64>(0), 0);
    fixture.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_shown_where_nothing_runs_and_says_so() -> Result<()> {
    let fixture = Fixture::start(Options::default()).await?;
    eventually("the first sample", DEADLINE, async || {
        Ok(fixture.get("/").await?.text.contains("no sequencer leads, so changes get no numbers"))
    })
    .await?;
    for page in PAGES {
        let answer = fixture.get(page).await?;
        assert_eq!(answer.status, 200, "{page}: {}", answer.text);
        assert!(answer.text.contains("read-only") && !answer.text.contains("<form class=\"act\""), "{page}");
        assert!(answer.head.contains("content-security-policy: default-src 'none'; script-src 'self'"), "{page}");
    }
    for nothing in ["/nothing", "/mappings/nothing", "/tenants/nothing", "/proof/runs/7", "/t/nothing"] {
        assert_eq!(fixture.get(nothing).await?.status, 404, "{nothing}");
    }
    fixture.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_is_refused_where_actions_are_not_allowed_and_where_no_form_of_ours_sent_it() -> Result<()> {
    let own = |fixture: &Fixture| format!("Origin: http://{}\r\nSec-Fetch-Site: same-origin\r\n", fixture.address);
    let fixture = Fixture::start(Options::default()).await?;
    for page in PAGES.into_iter().chain(["/actions/pause", "/nothing"]) {
        assert_eq!(fixture.post(page, &own(&fixture), "").await?.status, 403, "{page}");
    }
    fixture.end().await?;
    let fixture = Fixture::start(Options { actions: true, ..Options::default() }).await?;
    let body = "token=1.x&kind=workers&name=&reason=a+test";
    for headers in ["", "Origin: http://evil.example\r\n", "Sec-Fetch-Site: cross-site\r\n", &own(&fixture)] {
        assert_eq!(fixture.post("/actions/pause", headers, body).await?.status, 403, "{headers}");
    }
    let paused = fixture.client.query_one("SELECT count(*) FROM lockstep.pause", &[]).await?;
    assert_eq!(paused.get::<_, i64>(0), 0);
    fixture.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_password_it_answers_to_no_other_name_and_with_one_it_asks_for_it() -> Result<()> {
    let fixture = Fixture::start(Options::default()).await?;
    let other = fixture.send("GET", "/", "evil.example", "", "").await?;
    assert_eq!(other.status, 421);
    assert!(!other.text.contains("Overview"), "{}", other.text);
    fixture.end().await?;
    let fixture = Fixture::start(Options { password: true, ..Options::default() }).await?;
    for page in PAGES.into_iter().chain(["/style.css", "/events?view=overview"]) {
        assert_eq!(fixture.get(page).await?.status, 401, "{page}");
    }
    // "me:correct horse battery staple", and the same with another password.
    let right = "Authorization: Basic bWU6Y29ycmVjdCBob3JzZSBiYXR0ZXJ5IHN0YXBsZQ==\r\n";
    assert_eq!(fixture.send("GET", "/mappings", "console.example", right, "").await?.status, 200);
    let wrong = "Authorization: Basic bWU6Y29ycmVjdCBob3JzZSBiYXR0ZXJ5IHN0YXBsIQ==\r\n";
    assert_eq!(fixture.send("GET", "/mappings", "console.example", wrong, "").await?.status, 401);
    // Whoever has signed in need not be looked at again.
    let first = fixture.send("GET", "/", "console.example", right, "").await?;
    let cookie = first.head.split("set-cookie: ").nth(1).and_then(|rest| rest.split(';').next()).unwrap().to_owned();
    let kept = format!("Cookie: {cookie}\r\n");
    let again = fixture.send("GET", "/", "console.example", &kept, "").await?;
    assert_eq!(again.status, 200);
    assert!(!again.head.contains("set-cookie"), "{}", again.head);
    // A tenant has no password, and its link is enough; this one is none.
    assert_eq!(fixture.get("/t/nothing").await?.status, 404);
    fixture.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_many_tenants_is_read_a_page_at_a_time() -> Result<()> {
    const TENANTS: usize = 120;
    let fixture = Fixture::start(Options::default()).await?;
    let many = format!(
        r#"INSERT INTO "Project" ("id", "displayName", "isProductionMode", "updatedAt") VALUES ('many', 'Many', TRUE, now());
INSERT INTO "Tenancy" ("id", "projectId", "branchId", "hasNoOrganization", "updatedAt")
SELECT md5(n::text)::uuid, 'many', n::text, 'TRUE', now() FROM generate_series(1, {TENANTS}) n"#
    );
    fixture.client.batch_execute(&many).await?;
    let mut seen = std::collections::BTreeSet::new();
    for first in ["/tenants?all=1", "/tenants?q=many"] {
        let (mut next, mut pages) = (Some(first.to_owned()), 0);
        while let Some(page) = next {
            let text = fixture.get(&page).await?.text;
            seen.extend(
                text.split("href=\"/tenants/").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())),
            );
            next = text.split("rel=\"next\" href=\"").nth(1).and_then(|rest| Some(rest.split_once('"')?.0.to_owned()));
            next = next.map(|address| address.replace("&#38;", "&").replace("&amp;", "&"));
            pages += 1;
            assert!(pages <= 3, "{first} has no end");
        }
        assert_eq!((pages, seen.len()), (3, TENANTS), "{first}");
        seen.clear();
    }
    fixture.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_are_tried_a_bounded_number_of_times() -> Result<()> {
    let fixture = Fixture::start(Options { password: true, ..Options::default() }).await?;
    let wrong = "Authorization: Basic bWU6Y29ycmVjdCBob3JzZSBiYXR0ZXJ5IHN0YXBsIQ==\r\n";
    let mut tried = 0;
    let refused = loop {
        let answer = fixture.send("GET", "/", "console.example", wrong, "").await?;
        if answer.status != 401 {
            break answer;
        }
        tried += 1;
        // The minute in which they are counted may turn meanwhile.
        assert!(tried <= 20, "nobody counts");
    };
    assert_eq!(refused.status, 429);
    let seconds = refused.head.split("retry-after: ").nth(1).and_then(|rest| rest.split("\r\n").next()).unwrap();
    assert!((1..=60).contains(&seconds.parse::<u64>()?), "{seconds}");
    fixture.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_whom_a_trusted_proxy_names_and_what_is_done_is_written_down_as_theirs() -> Result<()> {
    let named = "X-User: ada@example.com\r\n";
    let fixture = Fixture::start(Options { proxies: Some("10.0.0.0/8"), ..Options::default() }).await?;
    assert_eq!(fixture.send("GET", "/", "console.example", named, "").await?.status, 403, "no proxy of ours");
    assert_eq!(fixture.send("GET", "/", "console.example", "", "").await?.status, 403, "nobody was named");
    assert_eq!(fixture.send("GET", "/", "127.0.0.1", "", "").await?.status, 403, "here neither");
    assert_eq!(fixture.get("/t/nothing").await?.status, 404, "a tenant's link is enough");
    fixture.end().await?;
    let trusting = Options { actions: true, proxies: Some("127.0.0.0/8"), ..Options::default() };
    let fixture = Fixture::start(trusting).await?;
    assert_eq!(fixture.send("GET", "/", "console.example", "", "").await?.status, 403);
    let twice = format!("{named}X-User: grace@example.com\r\n");
    assert_eq!(fixture.send("GET", "/", "console.example", &twice, "").await?.status, 403);
    let page = "/actions/pause?kind=mapping&name=users";
    let form = fixture.send("GET", page, "console.example", named, "").await?;
    assert_eq!(form.status, 200, "{}", form.text);
    let token = form.text.split("name=\"token\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let headers =
        format!("{named}Origin: https://console.example\r\nContent-Type: application/x-www-form-urlencoded\r\n");
    let body = format!("token={token}&kind=mapping&name=users&reason=a+test");
    let done = fixture.send("POST", "/actions/pause", "console.example", &headers, &body).await?;
    assert_eq!(done.status, 303, "{}", done.text);
    let entry = fixture.client.query_one("SELECT who, outcome FROM lockstep.action", &[]).await?;
    let (who, outcome): (String, String) = (entry.get(0), entry.get(1));
    assert!(who.ends_with(" (console, 127.0.0.1, ada@example.com)"), "{who}");
    assert_eq!(outcome, "changed");
    fixture.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_in_quarantine_are_read_a_page_at_a_time_and_by_their_error() -> Result<()> {
    const ROWS: usize = 120;
    let fixture = Fixture::start(Options::default()).await?;
    let many = format!(
        "INSERT INTO lockstep.quarantine (destination, mapping_name, tenancy_id, sequence, code, error, uuid_1)
SELECT 'clickhouse', (ARRAY['users', 'teams'])[1 + n % 2], md5((n / 7)::text)::uuid, n, 'LS-020' || n % 3, 'of kind ' || n % 3, md5(n::text)::uuid
FROM generate_series(1, {ROWS}) n"
    );
    fixture.client.batch_execute(&many).await?;
    for (first, rows) in
        [("/quarantine", ROWS), ("/quarantine?code=LS-0201", ROWS / 3), ("/quarantine?mapping=users", ROWS / 2)]
    {
        let (mut next, mut pages, mut seen) = (Some(first.to_owned()), 0, std::collections::BTreeSet::new());
        while let Some(page) = next {
            let text = fixture.get(&page).await?.text;
            let of = |text: &str| Some(text.split_once("<td class=\"id\">id=")?.1.split_once('<')?.0.to_owned());
            let keys: Vec<_> = text.split("<tr>").filter_map(of).collect();
            assert!(!keys.is_empty() && keys.len() <= 50, "{page}: {}", keys.len());
            pages += 1;
            let before = seen.len();
            seen.extend(keys.iter().cloned());
            assert_eq!(seen.len(), before + keys.len(), "{page}: no row is shown twice");
            next = text.split("rel=\"next\" href=\"").nth(1).and_then(|rest| Some(rest.split_once('"')?.0.to_owned()));
            next = next.map(|address| address.replace("&#38;", "&").replace("&amp;", "&"));
        }
        assert_eq!((seen.len(), pages), (rows, rows.div_ceil(50)), "{first}");
    }
    let text = fixture.get("/quarantine").await?.text;
    let groups = text.split_once("Their keys").unwrap().0;
    assert_eq!(groups.matches("of kind ").count(), 6, "by mapping and error, before the rows");
    assert!(groups.contains("code=LS-0201#rows"), "{groups}");
    assert_eq!(fixture.get("/quarantine?after=nothing").await?.status, 400);
    fixture.end().await
}
