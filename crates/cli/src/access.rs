//! `lockstep access`: who reads what in ClickHouse.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use lockstep_core::{TenancyId, exit};
use lockstep_mappings::clickhouse::access::UserName;
use lockstep_operations::{
    AccessCheckReport, AccessReport, ActionRecord, Deployment, GrantReport, GrantRequest, Password, RevokeReport,
    access_check, access_list, grant_access, revoke_access,
};
use secrecy::ExposeSecret;
use serde_json::json;

use crate::error::CliError;
use crate::output::{Page, Report, Reporting, aside, say, table};

#[derive(Args, Debug)]
pub(crate) struct AccessArgs {
    #[command(subcommand)]
    action: Action,
}

impl AccessArgs {
    /// As it is written down.
    pub(crate) fn change(&self) -> Option<ActionRecord> {
        let (what, tenant) = match &self.action {
            Action::Grant { tenant, .. } => ("access grant", tenant),
            Action::Revoke { tenant } => ("access revoke", tenant),
            Action::List | Action::Check => return None,
        };
        Some(ActionRecord::new(what, json!({ "tenant": tenant.to_string() })))
    }
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Give a tenancy its one ClickHouse user, or make it anew; the password is printed once
    Grant {
        /// Whose user ("Tenancy"."id")
        #[arg(long, value_name = "ID")]
        tenant: TenancyId,
        /// The user's name (default: `tenant_` and the tenancy's id)
        #[arg(long, value_name = "NAME")]
        user: Option<UserName>,
        /// Take the password from this file instead of making one
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Take away the users of a tenancy
    Revoke {
        /// Whose users ("Tenancy"."id"), whether it exists or not
        #[arg(long, value_name = "ID")]
        tenant: TenancyId,
    },
    /// Show tenants' users, and whose rows they read
    List,
    /// Compare row policies, rights, ceilings and tenants' users with what should be; exit 1 if anything is not
    Check,
}

pub(crate) async fn run(command: &Reporting<AccessArgs>, deployment: &Deployment<'_>) -> Result<u8, CliError> {
    Ok(match &command.args.action {
        Action::Grant { tenant, user, password_file } => {
            let password = password_file.as_deref().map(Password::from_file).transpose()?;
            let request = GrantRequest { tenancy: *tenant, user: user.clone(), password };
            command.show(&grant_access(deployment, &request).await?)
        }
        Action::Revoke { tenant } => command.show(&revoke_access(deployment, *tenant).await?),
        Action::List => command.show(&access_list(deployment).await?),
        Action::Check => command.show(&access_check(deployment).await?),
    })
}

impl Report for GrantReport {
    /// In files mode standard output holds the file alone, so that it can be redirected; the rest is said beside it.
    fn print(&self, page: &mut Page) {
        let password = self.password.as_ref().map(ExposeSecret::expose_secret);
        let place = format!("the rows of project {:?}, branch {:?}", self.project_id, self.branch_id);
        if let Some(users_xml) = &self.users_xml {
            page.text(users_xml);
            aside!(
                page,
                "This ClickHouse manages access in files. Put the text above into a file of its own in users.d;"
            );
            aside!(page, "user {} of tenancy {} then reads {place}, and nothing else.", self.user, self.tenancy);
            if let Some(password) = password {
                aside!(page, "Password, which is shown this once: {password}");
            }
        } else {
            let again = if self.replaced { ", which was made anew," } else { "" };
            say!(page, "User {}{again} reads {place}, and nothing else.", self.user);
            if let Some(password) = password {
                say!(page, "Password, which is shown this once: {password}");
            }
        }
        if !self.also_reads.is_empty() {
            aside!(
                page,
                "{} other tenancies live at the same project and branch, and it reads their rows too: {}",
                self.also_reads.len(),
                self.also_reads.join(", ")
            );
        }
    }
}

impl Report for RevokeReport {
    fn print(&self, page: &mut Page) {
        for user in &self.revoked {
            say!(page, "User {user} is gone.");
        }
        for user in &self.in_files {
            say!(page, "User {user} stands in a file, and reads this tenancy's project and branch: take it out there.");
        }
        if self.revoked.is_empty() && self.in_files.is_empty() {
            say!(page, "Tenancy {} has no user.", self.tenancy);
        }
    }

    fn exit_code(&self) -> u8 {
        if self.in_files.is_empty() { exit::OK } else { exit::DIFFERENT }
    }
}

impl Report for AccessReport {
    fn print(&self, page: &mut Page) {
        if self.users.is_empty() {
            say!(page, "No tenant has a user.");
            return;
        }
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "not known".to_owned());
        let rows = self.users.iter().map(|entry| {
            let made = if entry.in_file { "in a file" } else { "by statements" };
            [entry.user.clone(), text(&entry.tenancy), text(&entry.project_id), text(&entry.branch_id), made.to_owned()]
        });
        say!(page, "{}", table(["user", "tenancy", "project", "branch", "made"], rows));
    }

    fn list(&self) -> Option<&'static str> {
        Some("users")
    }
}

impl Report for AccessCheckReport {
    fn print(&self, page: &mut Page) {
        if self.clean {
            say!(page, "Access is as it should be; {} tenants have users.", self.users);
            return;
        }
        let rows = self.findings.iter().map(|found| [&*found.subject, &*found.detail, found.remedy].map(str::to_owned));
        say!(page, "{}", table(["what", "finding", "remedy"], rows));
    }

    fn exit_code(&self) -> u8 {
        if self.clean { exit::OK } else { exit::DIFFERENT }
    }

    fn list(&self) -> Option<&'static str> {
        Some("findings")
    }
}
