//! Access as it is derived, and every way in which a server's can differ from it.

use proptest::prelude::*;

use super::text::{place_condition, place_of_condition, setting_value};
use super::*;
use crate::clickhouse::literal;

mod differences;

const TENANCY: &str = "7f2c6e8a-0000-4000-8000-000000000001";

fn databases() -> Databases {
    Databases { raw: "analytics_internal".into(), views: "default".into(), cluster: None, fsync: false }
}

/// Two mappings are enough to see what is said for each.
fn two_views() -> MappingSet {
    let files = [
        ("teams.toml".to_owned(), include_str!("../../../definitions/teams.toml").to_owned()),
        ("users.toml".to_owned(), include_str!("../../../definitions/users.toml").to_owned()),
    ];
    MappingSet::from_texts(&files).unwrap()
}

fn user(name: &str, project: &str, branch: &str) -> TenantUser {
    TenantUser {
        name: name.parse().unwrap(),
        password_sha256_hex: "00".repeat(32),
        tenancy: TENANCY.parse().unwrap(),
        location: Location { project_id: project.into(), branch_id: branch.into() },
    }
}

/// Every statement on a server where nothing was done yet, in order.
fn statements(access: &Access<'_>, user: &TenantUser) -> Vec<String> {
    let Repair { protect, allow } = access.repair(&[], &FoundGroup::default(), true);
    let protect = protect.into_iter().map(|(_, statement)| statement);
    let allow = allow.into_iter().flat_map(|(_, statements)| statements);
    protect.chain(allow).chain(access.create_user(user, false)).collect()
}

#[test]
fn iso_1_the_statements_protect_before_they_allow() {
    let (mappings, databases) = (two_views(), databases());
    let access = Access { mappings: &mappings, databases: &databases, own_user: "lockstep" };
    insta::assert_snapshot!(statements(&access, &user("acme", "it's", "a\\b")).join(";\n"), @r#"
    CREATE ROW POLICY OR REPLACE `lockstep_only_own_place` ON `default`.`teams` AS RESTRICTIVE FOR SELECT USING project_id = getSetting('SQL_project_id') AND branch_id = getSetting('SQL_branch_id') TO ALL EXCEPT `lockstep`;
    CREATE ROW POLICY OR REPLACE `lockstep_own_place` ON `default`.`teams` AS PERMISSIVE FOR SELECT USING project_id = getSetting('SQL_project_id') AND branch_id = getSetting('SQL_branch_id') TO ALL EXCEPT `lockstep`;
    CREATE ROW POLICY OR REPLACE `lockstep_itself` ON `default`.`teams` AS PERMISSIVE FOR SELECT USING 1 TO `lockstep`;
    CREATE ROW POLICY OR REPLACE `lockstep_only_own_place` ON `default`.`users` AS RESTRICTIVE FOR SELECT USING project_id = getSetting('SQL_project_id') AND branch_id = getSetting('SQL_branch_id') TO ALL EXCEPT `lockstep`;
    CREATE ROW POLICY OR REPLACE `lockstep_own_place` ON `default`.`users` AS PERMISSIVE FOR SELECT USING project_id = getSetting('SQL_project_id') AND branch_id = getSetting('SQL_branch_id') TO ALL EXCEPT `lockstep`;
    CREATE ROW POLICY OR REPLACE `lockstep_itself` ON `default`.`users` AS PERMISSIVE FOR SELECT USING 1 TO `lockstep`;
    CREATE ROLE IF NOT EXISTS `lockstep_tenants_default`;
    CREATE SETTINGS PROFILE IF NOT EXISTS `lockstep_tenants_default`;
    ALTER SETTINGS PROFILE `lockstep_tenants_default` SETTINGS readonly = 1 CONST, max_execution_time = 60 MIN 1 MAX 60, max_memory_usage = 2147483648 MIN 1 MAX 2147483648, max_memory_usage_for_user = 4294967296 MIN 1 MAX 4294967296, max_temporary_data_on_disk_size_for_user = 4294967296 MIN 1 MAX 4294967296, max_threads = 4 MIN 1 MAX 4, max_concurrent_queries_for_user = 8 MIN 1 MAX 8, max_result_rows = 1000000 MIN 1 MAX 1000000, max_result_bytes = 268435456 MIN 1 MAX 268435456, result_overflow_mode = 'throw' CONST, timeout_overflow_mode = 'throw' CONST;
    CREATE QUOTA OR REPLACE `lockstep_tenants_default` KEYED BY user_name FOR INTERVAL 3600 second MAX queries = 10000, execution_time = 3600 TO `lockstep_tenants_default`;
    GRANT SELECT ON `default`.`teams`, SELECT ON `default`.`users` TO `lockstep_tenants_default` WITH REPLACE OPTION;
    CREATE USER `acme` IDENTIFIED WITH sha256_hash BY '0000000000000000000000000000000000000000000000000000000000000000' SETTINGS PROFILE 'lockstep_tenants_default', SQL_project_id = 'it\'s' CONST, SQL_branch_id = 'a\\b' CONST, SQL_tenancy_id = '7f2c6e8a-0000-4000-8000-000000000001' CONST;
    REVOKE ALL ON *.* FROM `acme`;
    GRANT `lockstep_tenants_default` TO `acme`
    "#);
}

#[test]
fn iso_1_on_a_cluster_every_statement_runs_everywhere() {
    let mappings = two_views();
    let databases = Databases { cluster: Some("main".into()), ..databases() };
    let access = Access { mappings: &mappings, databases: &databases, own_user: "lockstep" };
    let mut all = statements(&access, &user("acme", "p", "main"));
    all.push(access.drop_user(&"acme".parse().unwrap()));
    for statement in all {
        assert!(statement.contains(" ON CLUSTER `main`"), "{statement}");
    }
}

/// At no moment of a migration is a view granted that its policies do not protect, wherever it is broken off.
#[test]
fn iso_1_policies_are_there_before_anything_is_granted_and_are_replaced() {
    let (mappings, databases) = (MappingSet::built_in(), databases());
    let access = Access { mappings: &mappings, databases: &databases, own_user: "lockstep" };
    let statements = statements(&access, &user("acme", "p", "main"));
    let first_grant = statements.iter().position(|statement| statement.starts_with("GRANT")).unwrap();
    let policies: Vec<_> = statements.iter().filter(|statement| statement.contains("ROW POLICY")).collect();
    assert_eq!(policies.len(), 3 * mappings.iter().count());
    assert!(policies.iter().all(|policy| policy.starts_with("CREATE ROW POLICY OR REPLACE ")));
    assert!(statements[first_grant..].iter().all(|statement| !statement.contains("ROW POLICY")));
    // What lets the user read is the very last statement, and before it nobody has the role.
    let role = format!("GRANT `{}` TO `acme`", access.group());
    assert_eq!(statements.iter().filter(|statement| statement.contains("TO `acme`")).collect::<Vec<_>>(), [&role]);
    assert_eq!(statements.last(), Some(&role));
    assert!(!statements.iter().any(|statement| statement.contains("analytics_internal")));
}

#[test]
fn iso_1_users_xml_says_the_same() {
    let (mappings, databases) = (two_views(), databases());
    let access = Access { mappings: &mappings, databases: &databases, own_user: "lockstep" };
    insta::assert_snapshot!(access.users_xml(&[user("acme", "</filter>it's ${users}", "a\\b")]).unwrap(), @r#"
    <clickhouse>
      <profiles>
        <lockstep_tenants_default replace="replace">
          <readonly>1</readonly>
          <max_execution_time>60</max_execution_time>
          <max_memory_usage>2147483648</max_memory_usage>
          <max_memory_usage_for_user>4294967296</max_memory_usage_for_user>
          <max_temporary_data_on_disk_size_for_user>4294967296</max_temporary_data_on_disk_size_for_user>
          <max_threads>4</max_threads>
          <max_concurrent_queries_for_user>8</max_concurrent_queries_for_user>
          <max_result_rows>1000000</max_result_rows>
          <max_result_bytes>268435456</max_result_bytes>
          <result_overflow_mode>throw</result_overflow_mode>
          <timeout_overflow_mode>throw</timeout_overflow_mode>
          <constraints>
            <readonly><const/></readonly>
            <max_execution_time><min>1</min><max>60</max></max_execution_time>
            <max_memory_usage><min>1</min><max>2147483648</max></max_memory_usage>
            <max_memory_usage_for_user><min>1</min><max>4294967296</max></max_memory_usage_for_user>
            <max_temporary_data_on_disk_size_for_user><min>1</min><max>4294967296</max></max_temporary_data_on_disk_size_for_user>
            <max_threads><min>1</min><max>4</max></max_threads>
            <max_concurrent_queries_for_user><min>1</min><max>8</max></max_concurrent_queries_for_user>
            <max_result_rows><min>1</min><max>1000000</max></max_result_rows>
            <max_result_bytes><min>1</min><max>268435456</max></max_result_bytes>
            <result_overflow_mode><const/></result_overflow_mode>
            <timeout_overflow_mode><const/></timeout_overflow_mode>
          </constraints>
        </lockstep_tenants_default>
      </profiles>
      <quotas>
        <lockstep_tenants_default replace="replace">
          <interval><duration>3600</duration><queries>10000</queries><execution_time>3600</execution_time></interval>
        </lockstep_tenants_default>
      </quotas>
      <users>
        <acme replace="replace">
          <password_sha256_hex>0000000000000000000000000000000000000000000000000000000000000000</password_sha256_hex>
          <profile>lockstep_tenants_default</profile>
          <quota>lockstep_tenants_default</quota>
          <grants>
            <query>GRANT SELECT ON `default`.`teams`</query>
            <query>GRANT SELECT ON `default`.`users`</query>
          </grants>
          <databases>
            <default>
              <teams><filter>project_id = '\x3C/filter\x3Eit\x27s\x20\x24\x7Busers\x7D' AND branch_id = 'a\x5Cb'</filter></teams>
              <users><filter>project_id = '\x3C/filter\x3Eit\x27s\x20\x24\x7Busers\x7D' AND branch_id = 'a\x5Cb'</filter></users>
            </default>
          </databases>
        </acme>
      </users>
    </clickhouse>
    "#);
}

/// Names that an element cannot have would make other elements.
#[test]
fn iso_1_users_xml_names_nothing_that_xml_takes_for_something_else() {
    let mappings = two_views();
    for views in ["a.b", "a b", "1a", "<a/>", "", "é"] {
        let databases = Databases { views: views.into(), ..databases() };
        let access = Access { mappings: &mappings, databases: &databases, own_user: "lockstep" };
        assert_eq!(access.users_xml(&[user("acme", "p", "main")]), None, "{views:?}");
    }
}

#[test]
fn a_users_name_means_the_same_everywhere() {
    for good in ["acme", "_", "tenant_1", "A-b", &"x".repeat(64)] {
        assert_eq!(good.parse::<UserName>().unwrap().as_str(), good);
    }
    let hostile =
        ["", "1a", "-a", "a b", "a`b", "a'b", "a\"b", "a\\b", "a.b", "a[1]", "<a/>", "a\0", "é", "a;DROP USER b"];
    for bad in hostile.into_iter().chain([&*"x".repeat(65)]) {
        assert!(bad.parse::<UserName>().is_err(), "{bad:?} was accepted");
    }
    assert_eq!(UserName::of(TENANCY.parse().unwrap()).as_str(), "tenant_7f2c6e8a000040008000000000000001");
}

/// A maximum alone is no ceiling: 0 means unlimited.
#[test]
fn iso_1_every_ceiling_has_a_minimum_or_is_constant() {
    let ceilings = CEILINGS.map(|ceiling| ceiling.setting);
    for wanted in ["execution_time", "memory_usage", "threads", "result_rows", "result_bytes", "concurrent_queries"] {
        assert!(ceilings.iter().any(|setting| setting.contains(wanted)), "{wanted} has no ceiling");
    }
    for ceiling in CEILINGS {
        let is_number = ceiling.value.parse::<u64>().is_ok_and(|value| value > 0);
        assert!(ceiling.bounds == Bounds::Const || is_number, "{}", ceiling.setting);
    }
}

proptest! {
    /// Whatever an id holds, the condition names that place and no other, in characters that neither XML nor the expansion
    /// of `${…}` takes for something else.
    #[test]
    fn iso_1_a_place_in_a_file_is_that_place(project_id in ".*", branch_id in "\\PC*|[\\x00-\\x7f]*") {
        let place = Location { project_id, branch_id };
        let condition = place_condition(&place);
        prop_assert!(condition.bytes().all(|byte| matches!(byte, b' '..=b'~') && !b"<>&$\"".contains(&byte)));
        prop_assert_eq!(place_of_condition(&condition), Some(place));
    }

    /// Servers show the value of a custom setting as a literal.
    #[test]
    fn iso_1_a_setting_is_read_as_it_was_written(value in ".*") {
        prop_assert_eq!(setting_value(&literal(&value)), value);
    }
}
