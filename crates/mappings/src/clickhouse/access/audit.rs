//! Comparing the access that a server has with what it should be. Changes nothing.

use std::collections::BTreeSet;

use super::repair::{has_ceilings, reads};
use super::{Access, BRANCH_SETTING, FoundGroup, FoundPolicy, FoundUser, PROJECT_SETTING, TENANCY_SETTING};

/// Something about access that is not as it should be.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct AccessFinding {
    /// A user, a view, or what all tenants share.
    pub subject: String,
    /// In a sentence.
    pub detail: String,
    /// What to do about it.
    pub remedy: &'static str,
}

impl AccessFinding {
    /// A finding about a subject.
    pub fn new(subject: impl Into<String>, detail: impl Into<String>, remedy: &'static str) -> Self {
        Self { subject: subject.into(), detail: detail.into(), remedy }
    }

    /// Whether `lockstep migrate` mends it.
    pub fn is_mended_by_migrate(&self) -> bool {
        self.remedy == MIGRATE
    }
}

const MIGRATE: &str = "`lockstep migrate`";
const GRANT_AGAIN: &str = "`lockstep access grant` for its tenancy makes it anew";
const FILE_AGAIN: &str = "put the file that `lockstep access grant` prints in its place";

/// Compares what all tenants share, and these users.
///
/// `by_statements`: the server manages access by statements. `readers`: who else was given something in the views'
/// database.
pub fn audit(
    access: &Access<'_>,
    by_statements: bool,
    policies: &[FoundPolicy],
    group: &FoundGroup,
    users: &[FoundUser],
    readers: &[String],
) -> Vec<AccessFinding> {
    let mut findings = shared(access, by_statements, policies, group, users);
    if !by_statements {
        findings.extend(unbound_readers(access, policies, users, readers));
    }
    for user in users {
        findings.extend(of_user(access, policies, group, user));
    }
    findings.extend(second_users(users));
    findings
}

/// Two grants at the same moment can give a tenancy two users.
fn second_users(users: &[FoundUser]) -> impl Iterator<Item = AccessFinding> {
    let mut seen = BTreeSet::new();
    let second = users.iter().filter(move |user| user.tenancy().is_some_and(|tenancy| !seen.insert(tenancy)));
    second.map(|user| {
        let detail = "is the second user of its tenancy";
        AccessFinding::new(&*user.name, detail, "`lockstep access revoke`, then `grant`, for its tenancy")
    })
}

fn shared(
    access: &Access<'_>,
    by_statements: bool,
    policies: &[FoundPolicy],
    group: &FoundGroup,
    users: &[FoundUser],
) -> Vec<AccessFinding> {
    if !by_statements {
        let is_wrong = !users.is_empty() && !has_ceilings(&group.profile);
        let other =
            || AccessFinding::new(access.group(), "the profile's ceilings are not what they should be", FILE_AGAIN);
        return is_wrong.then(other).into_iter().collect();
    }
    let repair = access.repair(policies, group, !users.is_empty());
    let mut views: Vec<_> = repair.protect.into_iter().map(|(view, _)| view).collect();
    views.dedup();
    let unprotected = views
        .into_iter()
        .map(|view| AccessFinding::new(view, "its row policies are missing, or others than they should be", MIGRATE));
    let group = access.group();
    let missing =
        repair.allow.into_iter().map(|(what, _)| AccessFinding::new(&*group, format!("to do: {what}"), MIGRATE));
    unprotected.chain(missing).collect()
}

/// On servers with files a row filter binds its user alone, so whoever has none reads every tenant's rows.
fn unbound_readers(
    access: &Access<'_>,
    policies: &[FoundPolicy],
    users: &[FoundUser],
    readers: &[String],
) -> Vec<AccessFinding> {
    let is_tenant = |name: &String| users.iter().any(|user| user.name == *name);
    let is_bound = |name: &String| {
        access.views().all(|view| {
            policies.iter().any(|policy| policy.view == view && (policy.to_all || policy.to.contains(name)))
        })
    };
    let unbound = readers.iter().filter(|name| !is_tenant(name) && !is_bound(name));
    unbound
        .map(|name| {
            let detail = "was given the views, and no row filter binds it: it reads the rows of all tenants";
            AccessFinding::new(name, detail, "take the grant away, or give it a row filter for every view")
        })
        .collect()
}

fn of_user(access: &Access<'_>, policies: &[FoundPolicy], group: &FoundGroup, user: &FoundUser) -> Vec<AccessFinding> {
    let remedy = if user.in_file { FILE_AGAIN } else { GRANT_AGAIN };
    let mut details = Vec::new();
    let more = user.grants.iter().filter(|grant| !access.is_of_a_view(grant));
    details.extend(more.map(|grant| {
        let on = [&grant.database, &grant.table].map(|name| if name.is_empty() { "*" } else { name });
        format!("has the right {} ON {}.{}, which is not to read a view", grant.right, on[0], on[1])
    }));
    let role = access.group();
    details.extend(user.roles.iter().filter(|name| **name != role).map(|name| format!("has another role, {name}")));
    let by_role = user.roles.contains(&role);
    let can_read = |view: &str| reads(&user.grants, view) || (by_role && reads(&group.grants, view));
    let unread = access.views().filter(|view| !can_read(view));
    details.extend(unread.map(|view| format!("cannot read {view}")));
    details.extend(settings(access, user));
    if user.in_file {
        let is_bound = |view: &str| policies.iter().any(|policy| policy.view == view && policy.to.contains(&user.name));
        details
            .extend(access.views().filter(|view| !is_bound(view)).map(|view| format!("has no row filter for {view}")));
    }
    if user.location(policies).is_none() {
        details.push("is not bound to one project and branch".to_owned());
    }
    if !access.has_quota(group, if user.in_file { &user.name } else { &role }) {
        details.push("has not the tenants' quota".to_owned());
    }
    details.into_iter().map(|detail| AccessFinding::new(&*user.name, detail, remedy)).collect()
}

/// What a user's own settings loosen, or leave open.
fn settings(access: &Access<'_>, user: &FoundUser) -> Vec<String> {
    let pinned: &[&str] = if user.in_file { &[] } else { &[PROJECT_SETTING, BRANCH_SETTING, TENANCY_SETTING] };
    let loose = pinned.iter().filter(|setting| user.constant(setting).is_none());
    let loose = loose.map(|setting| format!("its setting {setting} is missing, or a session can change it"));
    let group = access.group();
    let other = user.elements.iter().filter_map(|element| match (&*element.setting, &*element.profile) {
        ("", profile) if profile != group => Some(format!("has another profile, {profile}")),
        ("", _) => None,
        (setting, _) if pinned.contains(&setting) => None,
        (setting, _) => Some(format!("has a setting of its own, {setting}, beside the tenants' profile")),
    });
    loose.chain(other).collect()
}
