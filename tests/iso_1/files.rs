//! Access managed in files: what `lockstep access grant` prints is put in place, and exercised by tenants.

use anyhow::{Context, Result, ensure};
use lockstep_destinations::ClickHouse;
use lockstep_mappings::MappingSet;
use lockstep_testkit::databases::PrivateClickHouse;
use serde_json::Value;

use super::hostile;
use super::tenant::{Tenant, WRONG_PASSWORD};
use crate::programs::{ended, secret_file, with_changed};
use crate::stage::Stage;

const PASSWORD: &str = "tenant-password";

/// Runs `lockstep access …` for the JSON of its report.
async fn access(stage: &Stage, server: &PrivateClickHouse, arguments: &[&str], code: i32) -> Result<Value> {
    let arguments = [&["access"], arguments, &["--output", "json"]].concat();
    let done = ended(with_changed(stage, "lockstep", &server.settings()).args(&arguments)).await?;
    ensure!(done.status.code() == Some(code), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).with_context(|| format!("{arguments:?}"))
}

/// The file that makes the user of a project's tenancy.
async fn granted(stage: &Stage, server: &PrivateClickHouse, project: &str) -> Result<String> {
    let tenancy: String = stage.client.query_one("SELECT id($1)::text", &[&project]).await?.get(0);
    let file = secret_file(&std::env::temp_dir(), "tenant", PASSWORD)?;
    let user = format!("tenant_{project}");
    let grant = ["grant", "--tenant", &tenancy, "--user", &user, "--password-file", &file];
    let report = access(stage, server, &grant, 0).await;
    std::fs::remove_file(&file)?;
    let report = report?;
    ensure!(report["managed"] == "files" && report["password"].is_null(), "{}", report["managed"]);
    Ok(report["users_xml"].as_str().context("a file")?.to_owned())
}

/// A whole Lockstep with a ClickHouse of its own, whose users come from files.
#[tokio::test]
async fn iso_1_a_tenant_reads_its_own_rows_and_nothing_else() -> Result<()> {
    let stage = Stage::small().await?;
    let Some(mut server) = PrivateClickHouse::start(&[]).await? else {
        eprintln!("There is no ClickHouse to start here: access in files is not exercised.");
        return stage.end([]).await;
    };
    let files = [granted(&stage, &server, "engines").await?, granted(&stage, &server, "compilers").await?];
    // Somebody gives a user another `readonly` than the profile's.
    let loosened = "<clickhouse><profiles><loosened><profile>PROFILE</profile><readonly>2</readonly></loosened></profiles>
<users><loosened><password>loosened</password><profile>loosened</profile><quota>default</quota><grants><query>GRANT SELECT ON system.one</query></grants></loosened></users></clickhouse>";
    let loosened = loosened.replace("PROFILE", &format!("lockstep_tenants_{}", stage.installation.view_database()));
    server.restart(&[files.as_slice(), &[loosened]].concat()).await?;

    let there = server.settings();
    let daemons = [stage.start_with("lockstep-sequencer", &there)?, stage.start_with("lockstep-worker", &there)?];
    for arguments in [&["migrate"][..], &["wait", "--all"]] {
        let done = ended(with_changed(&stage, "lockstep", &there).args(arguments)).await?;
        ensure!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    }
    let everybody = server.client(&stage.installation.raw_database(), &stage.installation.view_database())?;
    hostile::prepare(&stage, &everybody).await?;
    for project in ["engines", "compilers"] {
        let user = format!("tenant_{project}");
        let tenant = Tenant { url: server.url(), user: &user, password: PASSWORD };
        for mapping in MappingSet::built_in().iter() {
            reads_its_own(&stage, &everybody, &tenant, project, mapping.name.as_str()).await?;
        }
        hostile::reads_nothing_else(&stage, &tenant).await?;
        hostile::changes_no_setting(&tenant).await?;
        hostile::learns_nothing_from_errors(&stage, &tenant, project).await?;
        let guess = Tenant { password: "another-password", ..tenant };
        guess.refused("SELECT 1", &[WRONG_PASSWORD]).await?;
    }
    hostile::stays_within_bounds(&Tenant { url: server.url(), user: "loosened", password: "loosened" }).await?;
    for daemon in daemons {
        daemon.stop().await?;
    }
    server.kill().await?;
    stage.end([]).await
}

async fn reads_its_own(
    stage: &Stage,
    everybody: &ClickHouse,
    tenant: &Tenant<'_>,
    project: &str,
    mapping: &str,
) -> Result<()> {
    let view = format!("{}.{mapping}", stage.installation.view_database());
    let its_own = format!("SELECT * FROM {view} WHERE project_id = '{project}' ORDER BY ALL");
    let expected = everybody.fetch_text(&its_own).await?;
    ensure!(!expected.is_empty(), "{project} has no {mapping}");
    for query in [
        format!("SELECT * FROM {view} ORDER BY ALL"),
        // Whoever asks chooses conditions; the policy stays.
        format!("SELECT * FROM {view} WHERE project_id <> '{project}' OR 1 = 1 ORDER BY ALL"),
        format!("WITH all_rows AS (SELECT * FROM {view}) SELECT * FROM all_rows ORDER BY ALL"),
        // Whatever has that name and can be seen.
        format!("SELECT * FROM merge(REGEXP('.*'), '^{mapping}$') ORDER BY ALL"),
        format!("SELECT * FROM merge('{}', '^{mapping}$') ORDER BY ALL", stage.installation.view_database()),
    ] {
        let seen = tenant.ask(&query).await?;
        ensure!(seen == expected, "{project} sees other rows than its own: {query}\n{seen}");
    }
    Ok(())
}

/// `list`, `check` and `doctor` say what the server has, and everything that is not as it should be.
#[tokio::test]
async fn iso_1_access_in_files_is_listed_and_checked() -> Result<()> {
    let stage = Stage::small().await?;
    let Some(mut server) = PrivateClickHouse::start(&[]).await? else {
        eprintln!("There is no ClickHouse to start here: access in files is not exercised.");
        return stage.end([]).await;
    };
    let none = access(&stage, &server, &["check"], 0).await?;
    ensure!(none["clean"] == true && none["users"] == 0, "{none}");
    let [engines, compilers] =
        [granted(&stage, &server, "engines").await?, granted(&stage, &server, "compilers").await?];
    server.restart(&[engines.clone(), compilers.clone()]).await?;
    let done = ended(with_changed(&stage, "lockstep", &server.settings()).arg("migrate")).await?;
    ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let listed = access(&stage, &server, &["list"], 0).await?;
    ensure!(
        listed["managed"] == "files" && listed["users"].as_array().is_some_and(|users| users.len() == 2),
        "{listed}"
    );
    ensure!(listed["users"][1]["project_id"] == "engines" && listed["users"][1]["branch_id"] == "main", "{listed}");
    let sound = access(&stage, &server, &["check"], 0).await?;
    ensure!(sound["clean"] == true && sound["users"] == 2, "{sound}");

    damages_are_found(&stage, &mut server, &engines, compilers).await?;
    // Taking a user away is for whoever keeps the files.
    let tenancy: String = stage.client.query_one("SELECT id('engines')::text", &[]).await?.get(0);
    let revoked = access(&stage, &server, &["revoke", "--tenant", &tenancy], 1).await?;
    ensure!(revoked["revoked"] == serde_json::json!([]), "{revoked}");
    ensure!(revoked["in_files"] == serde_json::json!(["tenant_engines"]), "{revoked}");
    server.kill().await?;
    stage.end([]).await
}

/// What operators do to files is told, by `check` and by `doctor`.
async fn damages_are_found(
    stage: &Stage,
    server: &mut PrivateClickHouse,
    engines: &str,
    compilers: String,
) -> Result<()> {
    let views = stage.installation.view_database();
    let filter = r"<users><filter>project_id = 'engines' AND branch_id = 'main'</filter></users>";
    let damaged = engines
        .replace("<max_execution_time><min>1</min>", "<max_execution_time>")
        .replace(filter, "")
        .replace("</grants>", "<query>GRANT READ ON URL</query></grants>");
    let others = format!(
        "<clickhouse><users><bi><password>x</password><grants><query>GRANT SELECT ON {views}.*</query></grants></bi></users></clickhouse>"
    );
    server.restart(&[compilers, damaged, others]).await?;
    stage.sql(r#"UPDATE "Tenancy" SET "branchId" = 'moved' WHERE "id" = id('compilers')"#).await?;
    let found = access(stage, server, &["check"], 1).await?;
    let findings = found["findings"].as_array().context("findings")?;
    let findings: Vec<_> = findings
        .iter()
        .map(|finding| {
            format!(
                "{}: {}",
                finding["subject"].as_str().unwrap_or_default(),
                finding["detail"].as_str().unwrap_or_default()
            )
        })
        .collect();
    let group = format!("lockstep_tenants_{views}");
    assert_eq!(
        findings,
        [
            "bi: was given the views, and no row filter binds it: it reads the rows of all tenants".to_owned(),
            format!("{group}: the profile's ceilings are not what they should be"),
            "tenant_compilers: nobody lives at the project and branch that it reads".to_owned(),
            "tenant_engines: has no row filter for users".to_owned(),
            "tenant_engines: has the right READ ON *.*, which is not to read a view".to_owned(),
        ]
    );
    let doctor =
        ended(with_changed(stage, "lockstep", &server.settings()).args(["doctor", "--output", "json"])).await?;
    let doctor: Value = serde_json::from_slice(&doctor.stdout)?;
    let told = doctor["checks"].as_array().context("checks")?;
    let told = told.iter().filter(|check| check["check"] == "access" && check["outcome"] == "finding").count();
    assert_eq!(told, findings.len());
    Ok(())
}
