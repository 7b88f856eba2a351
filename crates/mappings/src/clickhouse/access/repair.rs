//! What is missing from what all tenants share, and the statements that mend it.

use super::{Access, Bounds, CEILINGS, FoundElement, FoundGrant, FoundGroup, FoundPolicy, QUOTA, QUOTA_SECONDS};

/// Statements in the order in which they have to run: those that protect come before those that allow.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Repair {
    /// Row policies, with the view that each protects.
    pub protect: Vec<(String, String)>,
    /// Role, profile and quota, then the role's rights; each with what it is about.
    pub allow: Vec<(&'static str, Vec<String>)>,
}

impl Access<'_> {
    /// What differs from what has to be. Nobody is allowed anything unless tenants are to have access, or have it already.
    pub fn repair(&self, policies: &[FoundPolicy], group: &FoundGroup, is_wanted: bool) -> Repair {
        let mut repair = Repair::default();
        for view in self.views() {
            for policy in self.row_policies(view) {
                if !policies.iter().any(|found| self.is_policy(&policy, found)) {
                    repair.protect.push((view.to_owned(), self.replace_policy(&policy)));
                }
            }
        }
        if !is_wanted && !group.has_role {
            return repair;
        }
        if !group.has_role {
            repair.allow.push(("create the tenants' role", vec![self.create_role()]));
        }
        if !has_ceilings(&group.profile) {
            repair.allow.push(("set the tenants' ceilings", self.set_ceilings().to_vec()));
        }
        if !self.has_quota(group, &self.group()) {
            repair.allow.push(("set the tenants' quota", vec![self.set_quota()]));
        }
        if !self.has_views_alone(&group.grants) {
            repair.allow.push(("let tenants read the views, and nothing else", vec![self.grant_views()]));
        }
        repair
    }

    /// Whether these rights are to read the views, and no other.
    pub(super) fn has_views_alone(&self, grants: &[FoundGrant]) -> bool {
        grants.iter().all(|grant| self.is_of_a_view(grant)) && self.views().all(|view| reads(grants, view))
    }

    /// Whether this right is to read one of the views.
    pub(super) fn is_of_a_view(&self, grant: &FoundGrant) -> bool {
        grant.right == "SELECT"
            && grant.database == self.databases.views
            && grant.column.is_empty()
            && !grant.is_special
            && self.views().any(|view| view == grant.table)
    }

    /// Whether the quota has its limits, counts each user by itself, and is that of a user or role.
    pub(super) fn has_quota(&self, group: &FoundGroup, whose: &str) -> bool {
        let [interval] = &*group.quota else { return false };
        interval.keys == ["user_name"]
            && interval.duration == QUOTA_SECONDS
            && interval.limits == QUOTA.map(|(_, most)| most)
            && interval.to.iter().any(|name| name == whose)
    }
}

/// Whether a view is among what is granted.
pub(super) fn reads(grants: &[FoundGrant], view: &str) -> bool {
    grants.iter().any(|grant| grant.table == view)
}

/// Whether a profile has all ceilings, and nothing else.
pub(super) fn has_ceilings(profile: &[FoundElement]) -> bool {
    let has = |setting: &str, value: &str, bounds: Bounds| {
        profile.iter().any(|found| {
            let (min, max, writability) = match bounds {
                Bounds::Const => ("", "", "CONST"),
                Bounds::UpToValue => ("1", value, ""),
            };
            let is_writable =
                found.writability == writability || (writability.is_empty() && found.writability == "WRITABLE");
            found.setting == setting && found.value == value && (&*found.min, &*found.max) == (min, max) && is_writable
        })
    };
    profile.len() == CEILINGS.len()
        && CEILINGS.iter().all(|ceiling| has(ceiling.setting, ceiling.value, ceiling.bounds))
}
