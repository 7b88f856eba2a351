//! A server's access as it should be is not complained about; each way in which it can be otherwise is.

use super::*;

/// A server after `lockstep access grant`, as it shows itself.
#[derive(Clone)]
struct Shown {
    by_statements: bool,
    policies: Vec<FoundPolicy>,
    group: FoundGroup,
    users: Vec<FoundUser>,
    readers: Vec<String>,
}

fn grant(table: &str) -> FoundGrant {
    FoundGrant {
        right: "SELECT".into(),
        database: "default".into(),
        table: table.into(),
        column: String::new(),
        is_special: false,
    }
}

fn element(setting: &str, value: &str, writability: &str) -> FoundElement {
    let [min, max, profile] = [const { String::new() }; 3];
    FoundElement { setting: setting.into(), value: value.into(), min, max, writability: writability.into(), profile }
}

fn profile(name: &str) -> FoundElement {
    FoundElement { profile: name.into(), ..element("", "", "") }
}

fn ceilings() -> Vec<FoundElement> {
    let shown = |ceiling: Ceiling| match ceiling.bounds {
        Bounds::Const => element(ceiling.setting, ceiling.value, "CONST"),
        Bounds::UpToValue => {
            FoundElement { min: "1".into(), max: ceiling.value.into(), ..element(ceiling.setting, ceiling.value, "") }
        }
    };
    CEILINGS.map(shown).to_vec()
}

fn group(has_role: bool, quota_of: &str) -> FoundGroup {
    let quota = FoundQuota {
        keys: vec!["user_name".into()],
        to: vec![quota_of.into()],
        duration: QUOTA_SECONDS,
        limits: QUOTA.map(|(_, most)| most).to_vec(),
    };
    let grants = if has_role { vec![grant("users"), grant("teams")] } else { Vec::new() };
    FoundGroup { has_role, grants, profile: ceilings(), quota: vec![quota] }
}

fn by_statements(access: &Access<'_>) -> Shown {
    let policies = ["users", "teams"].into_iter().flat_map(|view| {
        access.row_policies(view).map(|policy| FoundPolicy {
            name: policy.name.into(),
            view: view.into(),
            // The server sets parentheses.
            filter: if policy.filter == "1" {
                policy.filter
            } else {
                format!("({})", policy.filter.replace(" AND ", ") AND ("))
            },
            is_restrictive: policy.is_restrictive,
            to_all: policy.applies == Applies::ToAllButOwn,
            to: if policy.applies == Applies::ToOwn { vec!["lockstep".into()] } else { Vec::new() },
            except: if policy.applies == Applies::ToOwn { Vec::new() } else { vec!["lockstep".into()] },
        })
    });
    let user = FoundUser {
        name: "acme".into(),
        in_file: false,
        elements: vec![
            profile("lockstep_tenants_default"),
            element("SQL_project_id", "'p'", "CONST"),
            element("SQL_branch_id", "'main'", "CONST"),
            element("SQL_tenancy_id", &format!("'{TENANCY}'"), "CONST"),
        ],
        grants: Vec::new(),
        roles: vec!["lockstep_tenants_default".into()],
    };
    Shown {
        by_statements: true,
        policies: policies.collect(),
        group: group(true, "lockstep_tenants_default"),
        users: vec![user],
        readers: Vec::new(),
    }
}

fn in_files() -> Shown {
    let place = Location { project_id: "p".into(), branch_id: "main".into() };
    let policies = ["users", "teams"].map(|view| FoundPolicy {
        name: "acme".into(),
        view: view.into(),
        filter: place_condition(&place),
        is_restrictive: false,
        to_all: false,
        to: vec!["acme".into()],
        except: Vec::new(),
    });
    let user = FoundUser {
        name: "acme".into(),
        in_file: true,
        elements: vec![profile("lockstep_tenants_default")],
        grants: vec![grant("users"), grant("teams")],
        roles: Vec::new(),
    };
    Shown {
        by_statements: false,
        policies: policies.to_vec(),
        group: group(false, "acme"),
        users: vec![user],
        readers: vec!["acme".into()],
    }
}

fn found(access: &Access<'_>, shown: &Shown) -> Vec<String> {
    let Shown { by_statements, policies, group, users, readers } = shown;
    let findings = audit(access, *by_statements, policies, group, users, readers);
    findings.into_iter().map(|finding| format!("{}: {}", finding.subject, finding.detail)).collect()
}

/// What is said, and what was done to the server.
type Fault<'a> = (&'a str, fn(&mut Shown));

/// Breaks a server in each of these ways; each has to be found, and to be the only thing that is.
fn each_is_found(access: &Access<'_>, sound: &Shown, faults: &[Fault]) {
    assert_eq!(found(access, sound), Vec::<String>::new());
    for (said, damage) in faults {
        let mut damaged = sound.clone();
        damage(&mut damaged);
        assert_eq!(found(access, &damaged), [*said]);
    }
}

const OTHERS_POLICIES: &str = "users: its row policies are missing, or others than they should be";
const CEILINGS_DIFFER: &str = "lockstep_tenants_default: to do: set the tenants' ceilings";
const MORE_THAN_VIEWS: &str = "lockstep_tenants_default: to do: let tenants read the views, and nothing else";
const NO_QUOTA: &str = "acme: has not the tenants' quota";

#[test]
fn iso_1_every_difference_on_a_server_with_statements_is_found() {
    let (mappings, databases) = (two_views(), databases());
    let access = Access { mappings: &mappings, databases: &databases, own_user: "lockstep" };
    let user_policies = |shown: &mut Shown| shown.policies.retain(|policy| policy.view != "users");
    each_is_found(
        &access,
        &by_statements(&access),
        &[
            (OTHERS_POLICIES, user_policies),
            // The two that the field met: a policy that holds for one role only, and one that is not restrictive.
            (OTHERS_POLICIES, |shown| {
                let policy = shown.policies.iter_mut().find(|policy| policy.view == "users").unwrap();
                (policy.to_all, policy.to, policy.except) = (false, vec!["role_a".into()], Vec::new());
            }),
            (OTHERS_POLICIES, |shown| {
                shown.policies.iter_mut().find(|policy| policy.view == "users").unwrap().is_restrictive = false
            }),
            (OTHERS_POLICIES, |shown| {
                shown.policies.iter_mut().find(|policy| policy.view == "users").unwrap().except.push("bi".into())
            }),
            (OTHERS_POLICIES, |shown| {
                shown.policies.iter_mut().find(|policy| policy.view == "users").unwrap().filter = "1".into()
            }),
            (CEILINGS_DIFFER, |shown| shown.group.profile.clear()),
            (CEILINGS_DIFFER, |shown| shown.group.profile[1].min.clear()),
            (CEILINGS_DIFFER, |shown| shown.group.profile[2].value = "0".into()),
            (CEILINGS_DIFFER, |shown| shown.group.profile[0].writability.clear()),
            (CEILINGS_DIFFER, |shown| shown.group.profile.push(element("allow_ddl", "1", ""))),
            (MORE_THAN_VIEWS, |shown| shown.group.grants.push(grant("events"))),
            (MORE_THAN_VIEWS, |shown| shown.group.grants.push(FoundGrant { table: String::new(), ..grant("") })),
            (MORE_THAN_VIEWS, |shown| shown.group.grants[0].is_special = true),
            ("acme: has another role, admin", |shown| shown.users[0].roles.push("admin".into())),
            ("acme: has the right READ ON *.*, which is not to read a view", |shown| {
                let sources = FoundGrant { right: "READ".into(), database: String::new(), ..grant("") };
                shown.users[0].grants.push(sources);
            }),
            ("acme: has the right SELECT ON analytics_internal.users, which is not to read a view", |shown| {
                shown.users[0].grants.push(FoundGrant { database: "analytics_internal".into(), ..grant("users") });
            }),
            ("acme: has the right dictGet ON default.*, which is not to read a view", |shown| {
                shown.users[0].grants.push(FoundGrant { right: "dictGet".into(), ..grant("") });
            }),
            ("acme: has a setting of its own, readonly, beside the tenants' profile", |shown| {
                shown.users[0].elements.push(element("readonly", "2", ""));
            }),
            ("acme2: is the second user of its tenancy", |shown| {
                let second = FoundUser { name: "acme2".into(), ..shown.users[0].clone() };
                shown.users.push(second);
            }),
            ("acme: has another profile, default", |shown| shown.users[0].elements.push(profile("default"))),
        ],
    );
    let mut shown = by_statements(&access);
    shown.users[0].elements[1].writability.clear();
    let loose = "acme: its setting SQL_project_id is missing, or a session can change it";
    assert_eq!(found(&access, &shown), [loose, "acme: is not bound to one project and branch"]);
    shown = by_statements(&access);
    shown.users[0].roles.clear();
    assert_eq!(found(&access, &shown), ["acme: cannot read teams", "acme: cannot read users"]);
    shown = by_statements(&access);
    shown.group.quota.clear();
    assert_eq!(found(&access, &shown), ["lockstep_tenants_default: to do: set the tenants' quota", NO_QUOTA]);
}

#[test]
fn iso_1_every_difference_on_a_server_with_files_is_found() {
    let (mappings, databases) = (two_views(), databases());
    let access = Access { mappings: &mappings, databases: &databases, own_user: "lockstep" };
    each_is_found(
        &access,
        &in_files(),
        &[
            ("lockstep_tenants_default: the profile's ceilings are not what they should be", |shown| {
                shown.group.profile[3].max.clear();
            }),
            ("bi: was given the views, and no row filter binds it: it reads the rows of all tenants", |shown| {
                shown.readers.push("bi".into());
            }),
            ("acme: has no row filter for users", |shown| shown.policies.retain(|policy| policy.view != "users")),
            ("acme: is not bound to one project and branch", |shown| shown.policies[0].filter = "1".into()),
            ("acme: is not bound to one project and branch", |shown| {
                shown.policies[1].filter = shown.policies[1].filter.replace("'p'", "'q'");
            }),
            ("acme: cannot read users", |shown| drop(shown.users[0].grants.remove(0))),
            (NO_QUOTA, |shown| shown.group.quota[0].limits[0] = 0),
            (NO_QUOTA, |shown| shown.group.quota[0].keys = vec!["ip_address".into()]),
        ],
    );
}

/// What is there stays; what differs is mended, and nothing is allowed before it is protected.
#[test]
fn iso_1_only_what_differs_is_mended() {
    let (mappings, databases) = (two_views(), databases());
    let access = Access { mappings: &mappings, databases: &databases, own_user: "lockstep" };
    let shown = by_statements(&access);
    assert_eq!(access.repair(&shown.policies, &shown.group, true), Repair::default());
    // Without tenants' users nobody is given anything, but every view is protected.
    let without = access.repair(&[], &FoundGroup::default(), false);
    assert_eq!((without.protect.len(), without.allow.len()), (6, 0));
    // Another user of Lockstep's own: all policies name it.
    let moved = Access { own_user: "lockstep2", ..access };
    let repair = moved.repair(&shown.policies, &shown.group, false);
    assert!(repair.protect.len() == 6 && repair.protect.iter().all(|(_, policy)| policy.ends_with("`lockstep2`")));
    assert_eq!(repair.allow, []);
}

/// A thirteenth mapping is protected and granted by the next migration, in this order.
#[test]
fn iso_1_a_new_mapping_is_protected_before_it_is_granted() {
    let (few, all, databases) = (two_views(), MappingSet::built_in(), databases());
    let access = Access { mappings: &few, databases: &databases, own_user: "lockstep" };
    let shown = by_statements(&access);
    let repair = Access { mappings: &all, ..access }.repair(&shown.policies, &shown.group, false);
    assert_eq!(repair.protect.len(), 3 * (all.iter().count() - 2));
    let [(_, granting)] = &*repair.allow else { panic!("{:?}", repair.allow) };
    assert!(
        granting[0].contains("SELECT ON `default`.`session_replays`") && granting[0].ends_with("WITH REPLACE OPTION")
    );
}
