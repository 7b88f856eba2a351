//! Access managed by statements: what runs, in which order, and what is said of it afterwards.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::statements::{ByStatements, State};
use crate::custom_mapping::with_invoices;
use crate::programs::{ended, with_changed};
use crate::stage::Stage;

/// A stage, and a server before its own that manages access by statements.
struct Managed {
    stage: Stage,
    server: ByStatements,
}

struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Managed {
    async fn around(stage: Stage) -> Result<Self> {
        let server = ByStatements::before(&stage.installation.endpoint().url).await?;
        Ok(Self { stage, server })
    }

    async fn run(&self, arguments: &[&str]) -> Result<Ran> {
        let there = [("LOCKSTEP_CLICKHOUSE_URL", self.server.url())];
        let done = ended(with_changed(&self.stage, "lockstep", &there).args(arguments)).await?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Ran { code: done.status.code(), stdout: text(done.stdout), stderr: text(done.stderr) })
    }

    /// Runs `lockstep access …` for the JSON of its report.
    async fn access(&self, arguments: &[&str], code: i32) -> Result<Value> {
        let done = self.run(&[&["access"], arguments, &["--output", "json"]].concat()).await?;
        ensure!(done.code == Some(code), "{arguments:?} ended with {:?}: {}", done.code, done.stderr);
        serde_json::from_str(&done.stdout).with_context(|| format!("{arguments:?}"))
    }

    /// Is refused with this code, and changes nothing.
    async fn refused(&self, arguments: &[&str], code: &str) -> Result<()> {
        let before = self.server.with(|state| state.ran.len());
        let done = self.run(&[&["access"], arguments].concat()).await?;
        ensure!(
            done.code == Some(78) && done.stderr.starts_with(code),
            "{arguments:?}: {:?} {}",
            done.code,
            done.stderr
        );
        ensure!(self.server.with(|state| state.ran.len()) == before, "{arguments:?} changed something");
        Ok(())
    }

    async fn findings(&self) -> Result<Vec<String>> {
        let done = self.run(&["access", "check", "--output", "json"]).await?;
        let report: Value = serde_json::from_str(&done.stdout).with_context(|| done.stderr.clone())?;
        let text = |finding: &Value, field| finding[field].as_str().unwrap_or_default().to_owned();
        let findings: Vec<_> = report["findings"]
            .as_array()
            .context("findings")?
            .iter()
            .map(|finding| format!("{}: {}", text(finding, "subject"), text(finding, "detail")))
            .collect();
        ensure!(done.code == Some(i32::from(!findings.is_empty())), "{:?} with {findings:?}", done.code);
        Ok(findings)
    }

    async fn id(&self, name: &str) -> Result<String> {
        Ok(self.stage.client.query_one("SELECT id($1)::text", &[&name]).await?.get(0))
    }

    fn ran(&self) -> Vec<String> {
        self.server.with(|state| std::mem::take(&mut state.ran))
    }
}

/// Where the only statements are that begin like this and name this.
fn places(ran: &[String], beginning: &str, name: &str) -> Vec<usize> {
    let name = format!("`{name}`");
    let is_it = |statement: &String| statement.starts_with(beginning) && statement.contains(&name);
    ran.iter().enumerate().filter(|(_, statement)| is_it(statement)).map(|(place, _)| place).collect()
}

#[tokio::test]
async fn iso_1_migrate_protects_a_view_before_it_is_there_and_grants_it_last() -> Result<()> {
    let (stage, definitions) = with_invoices().await?;
    let managed = Managed::around(stage).await?;
    managed.stage.in_clickhouse("DROP VIEW {views}.users SYNC").await?;
    let done = managed.run(&["migrate"]).await?;
    ensure!(done.code == Some(0), "{:?} {} {}", done.code, done.stdout, done.stderr);
    let ran = managed.ran();
    let (policies, view) =
        (places(&ran, "CREATE ROW POLICY OR REPLACE", "users"), places(&ran, "CREATE OR REPLACE VIEW", "users"));
    ensure!(policies.len() == 3 && view.len() == 1 && policies[2] < view[0], "{ran:#?}");
    // No tenant has a user: nobody is given anything.
    ensure!(!ran.iter().any(|statement| statement.contains("GRANT") || statement.contains("ROLE")), "{ran:#?}");
    let again = managed.run(&["migrate"]).await?;
    ensure!(again.stdout.contains("Nothing to do"), "{}", again.stdout);
    managed.access(&["grant", "--tenant", &managed.id("engines").await?], 0).await?;
    let views = places(&managed.ran(), "GRANT SELECT ON", "invoices").len();
    ensure!(views == 1, "the tenants' role was given the views {views} times");

    // A mapping that comes when tenants are there: its definition was away.
    managed.stage.in_clickhouse("DROP VIEW {views}.invoices SYNC").await?;
    managed.server.with(|state| state.forget("invoices"));
    let done = managed.run(&["migrate"]).await?;
    ensure!(done.code == Some(0), "{:?} {} {}", done.code, done.stdout, done.stderr);
    let ran = managed.ran();
    let order = [
        places(&ran, "CREATE ROW POLICY OR REPLACE `lockstep_only_own_place`", "invoices"),
        places(&ran, "CREATE ROW POLICY OR REPLACE `lockstep_own_place`", "invoices"),
        places(&ran, "CREATE ROW POLICY OR REPLACE `lockstep_itself`", "invoices"),
        places(&ran, "CREATE OR REPLACE VIEW", "invoices"),
        places(&ran, "GRANT SELECT ON", "invoices"),
    ];
    assert_eq!(order.concat(), [0, 1, 2, 3, 4], "{ran:#?}");
    assert_eq!(managed.findings().await?, Vec::<String>::new());
    managed.stage.end([]).await?;
    drop(definitions);
    Ok(())
}

#[tokio::test]
async fn iso_1_a_tenancy_has_one_user_that_can_be_made_anew_and_taken_away() -> Result<()> {
    let managed = Managed::around(Stage::small().await?).await?;
    let (engines, compilers) = (managed.id("engines").await?, managed.id("compilers").await?);
    let first = managed.access(&["grant", "--tenant", &engines], 0).await?;
    let user = format!("tenant_{}", engines.replace('-', ""));
    let password = first["password"].as_str().context("a password")?.to_owned();
    ensure!(first["managed"] == "statements" && first["user"] == user && first["replaced"] == false);
    ensure!(first["users_xml"].is_null() && first["also_reads"] == json!([]) && password.len() == 32);
    let ran = managed.ran();
    ensure!(!ran.iter().any(|statement| statement.contains(&password)), "the password is in a statement");
    let made = ran.iter().find(|statement| statement.starts_with("CREATE USER ")).context("a user")?;
    for constant in [
        "SQL_project_id = 'engines' CONST",
        "SQL_branch_id = 'main' CONST",
        &format!("SQL_tenancy_id = '{engines}' CONST"),
    ] {
        ensure!(made.contains(constant), "{constant} is not in the statement");
    }
    assert_eq!(managed.findings().await?, Vec::<String>::new());
    let listed = managed.access(&["list"], 0).await?;
    let entry =
        json!({"user": user, "tenancy": engines, "project_id": "engines", "branch_id": "main", "in_file": false});
    assert_eq!(listed["users"], json!([entry]));

    let again = managed.access(&["grant", "--tenant", &engines], 0).await?;
    ensure!(again["replaced"] == true && again["password"] != first["password"]);
    let ran = managed.ran();
    ensure!(ran.len() == 3 && ran[0].starts_with("CREATE USER OR REPLACE "), "what was right is made anew: {ran:#?}");

    managed.refused(&["grant", "--tenant", &engines, "--user", "other"], "LS-0056").await?;
    managed.refused(&["grant", "--tenant", &compilers, "--user", "default"], "LS-0055").await?;
    managed.refused(&["grant", "--tenant", &compilers, "--user", &user], "LS-0055").await?;
    managed.refused(&["grant", "--tenant", "7f2c6e8a-0000-4000-8000-00000000dead"], "LS-0019").await?;
    managed.refused(&["grant", "--tenant", &compilers, "--password-file", "/dev/null"], "LS-0054").await?;
    for hostile in ["", "a`b", "a'b", "a\"b", "a\\b", "a.b", "</users>", "a b", "é", "x; DROP USER default"] {
        let done = managed.run(&["access", "grant", "--tenant", &compilers, &format!("--user={hostile}")]).await?;
        ensure!(done.code == Some(78), "{hostile:?} is taken for a name: {:?}", done.code);
    }
    managed.server.with(|state| state.custom_settings = false);
    managed.refused(&["grant", "--tenant", &compilers], "LS-0057").await?;
    managed.server.with(|state| state.custom_settings = true);

    let gone = managed.access(&["revoke", "--tenant", &engines], 0).await?;
    assert_eq!(gone["revoked"], json!([user]));
    assert_eq!(managed.ran(), [format!("DROP USER IF EXISTS `{user}`")]);
    assert_eq!(managed.access(&["list"], 0).await?["users"], json!([]));
    assert_eq!(managed.access(&["revoke", "--tenant", &engines], 0).await?["revoked"], json!([]));
    managed.stage.end([]).await
}

/// Whose place is whose changes in the source; users are bound to places.
#[tokio::test]
async fn iso_1_a_user_at_a_place_that_is_not_its_tenancys_is_said() -> Result<()> {
    let managed = Managed::around(Stage::small().await?).await?;
    managed
        .stage
        .sql(
            r#"INSERT INTO "Tenancy" ("id", "projectId", "branchId", "organizationId", "updatedAt") VALUES (id('organisation'), 'engines', 'main', id('of engines'), now());
               INSERT INTO "Project" ("id", "displayName", "isProductionMode", "updatedAt") VALUES ('it''s `${x}`', '', TRUE, now())"#,
        )
        .await?;
    let (engines, organisation) = (managed.id("engines").await?, managed.id("organisation").await?);
    let granted = managed.access(&["grant", "--tenant", &engines, "--user", "acme"], 0).await?;
    assert_eq!(granted["also_reads"], json!([organisation]));
    let said = managed.run(&["access", "grant", "--tenant", &engines, "--user", "acme"]).await?;
    ensure!(said.stderr.contains(&organisation) && said.stdout.matches("Password").count() == 1, "{}", said.stderr);

    managed.stage.sql(r#"UPDATE "Tenancy" SET "projectId" = 'it''s `${x}`' WHERE "id" = id('engines')"#).await?;
    let moved = "acme: its tenancy has moved to another project or branch, and it reads whoever lives at the old one";
    assert_eq!(managed.findings().await?, [moved]);
    let doctor = managed.run(&["doctor"]).await?;
    ensure!(doctor.code == Some(1) && doctor.stdout.contains("acme: its tenancy has moved"), "{}", doctor.stdout);
    managed.access(&["grant", "--tenant", &engines, "--user", "acme"], 0).await?;
    assert_eq!(managed.findings().await?, Vec::<String>::new());
    assert_eq!(managed.access(&["list"], 0).await?["users"][0]["project_id"], "it's `${x}`");

    managed.stage.sql(r#"DELETE FROM "Tenancy" WHERE "id" = id('engines')"#).await?;
    assert_eq!(managed.findings().await?, ["acme: its tenancy is gone"]);
    assert_eq!(managed.access(&["revoke", "--tenant", &engines], 0).await?["revoked"], json!(["acme"]));
    assert_eq!(managed.findings().await?, Vec::<String>::new());
    managed.stage.end([]).await
}

/// Whichever statement is the last: nobody reads what is not protected (the server refuses to let it happen), and the same
/// command goes on from there.
#[tokio::test]
async fn iso_1_a_grant_that_is_broken_off_leaves_nobody_with_too_much() -> Result<()> {
    let managed = Managed::around(Stage::small().await?).await?;
    let engines = managed.id("engines").await?;
    let grant = ["grant", "--tenant", &*engines];
    managed.access(&grant, 0).await?;
    let ran = managed.ran();
    let grants = ran.iter().position(|statement| statement.starts_with("GRANT SELECT")).context("a grant")?;
    for allowed in [0, 1, grants - 3, grants - 2, grants - 1, grants, grants + 1, grants + 2, grants + 3] {
        managed.server.with(|state| {
            *state = State::fresh();
            state.allowed = Some(allowed);
        });
        let done = managed.run(&[&["access"], grant.as_slice()].concat()).await?;
        ensure!(
            done.code == Some(1) && done.stderr.starts_with("LS-0204"),
            "after {allowed}: {:?} {}",
            done.code,
            done.stderr
        );
        ensure!(!done.stdout.contains("Password"), "a password is printed that opens nothing");
        managed.server.with(|state| state.allowed = None);
        if allowed < grants {
            ensure!(!managed.findings().await?.is_empty(), "after {allowed} all is said to be well");
        }
        managed.access(&grant, 0).await?;
        assert_eq!(managed.findings().await?, Vec::<String>::new(), "after {allowed}");
    }
    managed.stage.end([]).await
}
