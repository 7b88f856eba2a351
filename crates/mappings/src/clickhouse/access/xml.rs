//! The rendering as users XML, for servers that manage access in files.

use std::fmt::Write as _;

use super::name::is_plain;
use super::text::place_condition;
use super::{Access, Bounds, CEILINGS, QUOTA, QUOTA_SECONDS, TenantUser};
use crate::clickhouse::identifier;

impl Access<'_> {
    /// A file for `users.d` with one user a tenancy, and with the profile and quota that all of them share. None where the
    /// name of the views' database cannot be that of an element.
    ///
    /// Servers hold a row filter of such a file against its user alone: whoever else may read the views is not bound.
    pub fn users_xml(&self, users: &[TenantUser]) -> Option<String> {
        if !is_plain(&self.databases.views) {
            return None;
        }
        let mut xml = String::from("<clickhouse>\n");
        self.write_profile(&mut xml);
        self.write_quota(&mut xml);
        xml += "  <users>\n";
        for user in users {
            self.write_user(&mut xml, user);
        }
        xml += "  </users>\n</clickhouse>\n";
        Some(xml)
    }

    fn write_profile(&self, xml: &mut String) {
        let name = self.group();
        // An element of the same name in another file is replaced as a whole.
        let _ = writeln!(xml, "  <profiles>\n    <{name} replace=\"replace\">");
        for ceiling in CEILINGS {
            let _ = writeln!(xml, "      <{0}>{1}</{0}>", ceiling.setting, ceiling.value);
        }
        *xml += "      <constraints>\n";
        for ceiling in CEILINGS {
            let bounds = match ceiling.bounds {
                Bounds::Const => "<const/>".to_owned(),
                Bounds::UpToValue => format!("<min>1</min><max>{}</max>", ceiling.value),
            };
            let _ = writeln!(xml, "        <{0}>{bounds}</{0}>", ceiling.setting);
        }
        let _ = writeln!(xml, "      </constraints>\n    </{name}>\n  </profiles>");
    }

    fn write_quota(&self, xml: &mut String) {
        let name = self.group();
        let limits: String = QUOTA.iter().map(|(kind, most)| format!("<{kind}>{most}</{kind}>")).collect();
        let _ = writeln!(
            xml,
            "  <quotas>\n    <{name} replace=\"replace\">\n      <interval><duration>{QUOTA_SECONDS}</duration>{limits}</interval>\n    </{name}>\n  </quotas>"
        );
    }

    fn write_user(&self, xml: &mut String, user: &TenantUser) {
        let (name, group, database) = (&user.name, self.group(), &self.databases.views);
        let _ = writeln!(
            xml,
            "    <{name} replace=\"replace\">\n      <password_sha256_hex>{}</password_sha256_hex>\n      <profile>{group}</profile>\n      <quota>{group}</quota>\n      <grants>",
            user.password_sha256_hex
        );
        for view in self.views() {
            // Both are plain: identifiers need no escaping in XML.
            let _ =
                writeln!(xml, "        <query>GRANT SELECT ON {}.{}</query>", identifier(database), identifier(view));
        }
        let _ = writeln!(xml, "      </grants>\n      <databases>\n        <{database}>");
        let condition = place_condition(&user.location);
        for view in self.views() {
            let _ = writeln!(xml, "          <{view}><filter>{condition}</filter></{view}>");
        }
        let _ = writeln!(xml, "        </{database}>\n      </databases>\n    </{name}>");
    }
}
