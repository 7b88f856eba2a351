//! Row policies: who sees which rows of a view.

use super::text::bare;
use super::{Access, BRANCH_SETTING, FoundPolicy, PROJECT_SETTING};
use crate::clickhouse::{identifier, on_cluster};

/// Whom a policy concerns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Applies {
    /// Every user and role but Lockstep's own user.
    ToAllButOwn,
    /// Lockstep's own user.
    ToOwn,
}

/// One row policy of a view.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RowPolicy<'a> {
    /// Its name, which is one of the view's.
    pub name: &'static str,
    /// The view.
    pub view: &'a str,
    /// The condition.
    pub filter: String,
    /// Whether it takes away what others give.
    pub is_restrictive: bool,
    /// Whom it concerns.
    pub applies: Applies,
}

impl Access<'_> {
    /// The row policies of a view.
    ///
    /// The restrictive one binds whoever no permissive one names, and whatever permissive ones others have made. The
    /// permissive one says the same: replacing a policy removes the old one first, and the other holds meanwhile. Lockstep's
    /// own user needs one where the server shows no row to users without a policy.
    pub fn row_policies<'a>(&self, view: &'a str) -> [RowPolicy<'a>; 3] {
        let own_place =
            format!("project_id = getSetting('{PROJECT_SETTING}') AND branch_id = getSetting('{BRANCH_SETTING}')");
        let policy = |name, filter: &str, is_restrictive, applies| RowPolicy {
            name,
            view,
            filter: filter.to_owned(),
            is_restrictive,
            applies,
        };
        [
            policy("lockstep_only_own_place", &own_place, true, Applies::ToAllButOwn),
            policy("lockstep_own_place", &own_place, false, Applies::ToAllButOwn),
            policy("lockstep_itself", "1", false, Applies::ToOwn),
        ]
    }

    /// The statements that make the policies of a view what they have to be, whatever they were.
    pub fn replace_policies(&self, view: &str) -> Vec<String> {
        self.row_policies(view).iter().map(|policy| self.replace_policy(policy)).collect()
    }

    /// The statement that makes a policy what it has to be, whatever it was.
    pub(super) fn replace_policy(&self, policy: &RowPolicy<'_>) -> String {
        let own = identifier(self.own_user);
        format!(
            "CREATE ROW POLICY OR REPLACE {name}{cluster} ON {views}.{view} AS {kind} FOR SELECT USING {filter} TO {to}",
            name = identifier(policy.name),
            cluster = on_cluster(self.databases),
            views = identifier(&self.databases.views),
            view = identifier(policy.view),
            kind = if policy.is_restrictive { "RESTRICTIVE" } else { "PERMISSIVE" },
            filter = policy.filter,
            to = match policy.applies {
                Applies::ToAllButOwn => format!("ALL EXCEPT {own}"),
                Applies::ToOwn => own,
            },
        )
    }

    /// Whether a policy of a server is this one.
    pub(super) fn is_policy(&self, policy: &RowPolicy<'_>, found: &FoundPolicy) -> bool {
        let own = [self.own_user.to_owned()];
        let (to_all, list, except): (_, &[_], &[_]) = match policy.applies {
            Applies::ToAllButOwn => (true, &[], &own),
            Applies::ToOwn => (false, &own, &[]),
        };
        found.name == policy.name
            && found.view == policy.view
            && found.is_restrictive == policy.is_restrictive
            && bare(&found.filter) == bare(&policy.filter)
            && (found.to_all, &*found.to, &*found.except) == (to_all, list, except)
    }
}
