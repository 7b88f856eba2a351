//! What a tenant tries that is none of its business.

use anyhow::{Result, ensure};
use lockstep_destinations::ClickHouse;
use lockstep_mappings::clickhouse::access::{Bounds, CEILINGS};

use super::tenant::{DENIED, OUT_OF_BOUNDS, READONLY, TOO_MANY_ROWS, Tenant};
use crate::stage::Stage;

/// A dictionary over everybody's rows, as a platform may have one beside the views.
pub(super) async fn prepare(stage: &Stage, everybody: &ClickHouse) -> Result<()> {
    let (raw, views) = (stage.installation.raw_database(), stage.installation.view_database());
    let dictionary = format!(
        "CREATE DICTIONARY {views}.names (id UUID, display_name String) PRIMARY KEY id \
         SOURCE(CLICKHOUSE(QUERY 'SELECT id, ifNull(display_name, \\'\\') FROM {raw}.users')) LAYOUT(COMPLEX_KEY_HASHED()) LIFETIME(0)"
    );
    Ok(everybody.execute(&dictionary).await?)
}

pub(super) async fn reads_nothing_else(stage: &Stage, tenant: &Tenant<'_>) -> Result<()> {
    let (raw, views) = (stage.installation.raw_database(), stage.installation.view_database());
    for forbidden in [
        format!("SELECT count() FROM {raw}.users"),
        format!("SELECT count() FROM {raw}._stack_sync_metadata"),
        format!("SELECT * FROM remote('127.0.0.1', {raw}.users)"),
        format!("SELECT * FROM mergeTreeIndex({raw}, users)"),
        format!("SELECT * FROM loop({raw}, users) LIMIT 1"),
        format!("SELECT * FROM viewExplain('EXPLAIN', '', (SELECT * FROM {raw}.users))"),
        format!("DESCRIBE {raw}.users"),
        format!("SHOW CREATE TABLE {raw}.users"),
        // Sources.
        "SELECT * FROM url('http://169.254.169.254/', 'LineAsString')".to_owned(),
        "SELECT * FROM file('/etc/passwd', 'LineAsString')".to_owned(),
        "SELECT * FROM file('users.xml', 'LineAsString')".to_owned(),
        "SELECT * FROM s3('http://127.0.0.1/bucket/rows.csv')".to_owned(),
        "SELECT * FROM postgresql('127.0.0.1:5432', 'd', 't', 'u', 'p')".to_owned(),
        "SELECT * FROM mysql('127.0.0.1:3306', 'd', 't', 'u', 'p')".to_owned(),
        "SELECT * FROM executable('id', 'TSV', 'line String')".to_owned(),
        // Dictionaries.
        format!("SELECT dictGet('{views}.names', 'display_name', tuple(generateUUIDv4()))"),
        format!("SELECT * FROM {views}.names"),
        format!("SELECT * FROM dictionary('{views}.names')"),
        "SELECT * FROM system.dictionaries".to_owned(),
        // What the server knows of others.
        "SELECT * FROM system.processes".to_owned(),
        "SELECT * FROM system.users".to_owned(),
        "SELECT * FROM system.grants".to_owned(),
        "SELECT * FROM system.row_policies".to_owned(),
        "SELECT * FROM system.settings_profile_elements".to_owned(),
        "SELECT * FROM system.parts".to_owned(),
        "SELECT * FROM system.server_settings".to_owned(),
        "SHOW PROCESSLIST".to_owned(),
        "SHOW USERS".to_owned(),
        "SHOW ACCESS".to_owned(),
    ] {
        tenant.refused(&forbidden, &[DENIED]).await?;
    }
    for forbidden in [
        format!("INSERT INTO {raw}.teams (project_id) VALUES ('x')"),
        format!("INSERT INTO {views}.teams (project_id) VALUES ('x')"),
        format!("DROP VIEW {views}.users"),
        format!("CREATE TABLE {views}.mine (x UInt8) ENGINE = Memory"),
        "CREATE TEMPORARY TABLE mine (x UInt8)".to_owned(),
        format!("ALTER TABLE {raw}.users DELETE WHERE 1"),
        format!("SYSTEM STOP MERGES {raw}.users"),
        "KILL QUERY WHERE 1".to_owned(),
        "CREATE FUNCTION mine AS x -> x".to_owned(),
        "CREATE NAMED COLLECTION mine AS a = 1".to_owned(),
        format!("BACKUP TABLE {views}.users TO File('users')"),
        format!("GRANT SELECT ON {raw}.users TO {}", tenant.user),
        format!("DROP ROW POLICY {} ON {views}.users", tenant.user),
    ] {
        tenant.refused(&forbidden, &[DENIED, READONLY]).await?;
    }
    // No table but the views can be seen.
    let others = format!(
        "SELECT count() FROM system.tables WHERE database NOT IN ('{views}', 'system', 'information_schema', 'INFORMATION_SCHEMA')"
    );
    ensure!(tenant.ask(&others).await?.trim() == "0", "a tenant sees tables of others");
    let names = format!("SELECT count() FROM system.tables WHERE database = '{views}' AND name = 'names'");
    ensure!(tenant.ask(&names).await?.trim() == "0", "a tenant sees a dictionary");
    Ok(())
}

/// Neither by a statement, nor in a query, nor in the address.
pub(super) async fn changes_no_setting(tenant: &Tenant<'_>) -> Result<()> {
    for setting in ["SQL_project_id = 'compilers'", "SQL_branch_id = 'x'", "readonly = 0", "readonly = 2", "final = 1"]
    {
        // A server that knows no custom settings says so.
        let codes = if setting.starts_with("SQL_") { &[READONLY, 115][..] } else { &[READONLY] };
        tenant.refused(&format!("SET {setting}"), codes).await?;
        tenant.refused(&format!("SELECT 1 SETTINGS {setting}"), codes).await?;
    }
    for ceiling in CEILINGS {
        let (setting, other) = (ceiling.setting, if ceiling.value.parse::<u64>().is_ok() { "0" } else { "'break'" });
        tenant.refused(&format!("SET {setting} = {other}"), &[READONLY]).await?;
        tenant.refused(&format!("SELECT 1 SETTINGS {setting} = {other}"), &[READONLY]).await?;
        tenant.refused_with(&format!("{setting}={}", other.trim_matches('\'')), "SELECT 1", &[READONLY]).await?;
        let has = tenant.ask(&format!("SELECT toString(getSetting('{setting}'))")).await?;
        ensure!(has.trim() == ceiling.value, "{setting} is {has}");
    }
    // Another profile takes no setting back: the values stay, and with them `readonly`.
    tenant.ask("SET profile = 'default'").await?;
    tenant.refused("SELECT 1 SETTINGS profile = 'default', max_threads = 0", &[READONLY]).await?;
    tenant.refused("SELECT 1 SETTINGS profile = 'loosened'", &[READONLY]).await?;
    tenant.refused("SELECT number FROM numbers(1000001)", &[TOO_MANY_ROWS]).await
}

/// Where a session may change settings after all, none leaves its bounds: 0 would mean without limit.
pub(super) async fn stays_within_bounds(tenant: &Tenant<'_>) -> Result<()> {
    ensure!(tenant.ask("SELECT getSetting('readonly')").await?.trim() == "2", "it was to be allowed settings");
    for ceiling in CEILINGS.iter().filter(|ceiling| ceiling.bounds == Bounds::UpToValue) {
        let setting = ceiling.setting;
        // 0 threads are as many as the machine has processors, and bounded as such.
        let none = (setting != "max_threads").then(|| "0".to_owned());
        for beyond in none.into_iter().chain([format!("{}0", ceiling.value)]) {
            tenant.refused(&format!("SELECT 1 SETTINGS {setting} = {beyond}"), &[OUT_OF_BOUNDS]).await?;
            tenant
                .refused(&format!("SELECT 1 SETTINGS profile = 'default', {setting} = {beyond}"), &[OUT_OF_BOUNDS])
                .await?;
        }
        tenant.ask(&format!("SELECT 1 SETTINGS {setting} = {}", ceiling.value)).await?;
    }
    for fixed in ["result_overflow_mode = 'break'", "timeout_overflow_mode = 'break'", "readonly = 0", "readonly = 1"] {
        tenant.refused(&format!("SELECT 1 SETTINGS {fixed}"), &[OUT_OF_BOUNDS, READONLY]).await?;
    }
    Ok(())
}

/// A condition that fails for rows of others would tell about them: it must never meet one.
pub(super) async fn learns_nothing_from_errors(stage: &Stage, tenant: &Tenant<'_>, project: &str) -> Result<()> {
    let users = format!("{}.users", stage.installation.view_database());
    let own = tenant.ask(&format!("SELECT count() FROM {users}")).await?;
    for condition in [
        format!("NOT throwIf(project_id <> '{project}')"),
        format!("intDiv(1, project_id = '{project}') = 1"),
        format!("id IN (SELECT id FROM {users} WHERE NOT throwIf(project_id <> '{project}'))"),
        format!("(SELECT max(throwIf(project_id <> '{project}')) FROM {users}) = 0"),
    ] {
        let seen = tenant.ask(&format!("SELECT count() FROM {users} WHERE {condition}")).await?;
        ensure!(seen == own, "{condition} shows {seen} rows, not {own}");
    }
    Ok(())
}
