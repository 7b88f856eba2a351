//! Making a link to a tenant's page, for whoever has the secret: the platform, or an operator.

use clap::Args;
use lockstep_core::TenancyId;
use serde::Serialize;

use crate::error::ConsoleError;
use crate::options::ConsoleArgs;
use crate::tokens::{LinkKey, MAX_LINK_S, now_s};

/// Flags of `lockstep console link`.
#[derive(Args, Clone, Debug)]
pub struct LinkArgs {
    /// Whose page ("Tenancy"."id")
    #[arg(long, value_name = "ID")]
    tenant: TenancyId,
    /// How long it opens, 15 minutes at most
    #[arg(long, value_name = "MINUTES", default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=MAX_LINK_S / 60))]
    minutes: u64,
    /// What it begins with: the console as its reader reaches it
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9465")]
    base_url: String,
}

/// A link.
#[derive(Serialize, Debug)]
pub struct TenantLink {
    /// To be opened by a browser.
    pub url: String,
    /// How long it opens, in seconds.
    pub valid_s: u64,
}

impl TenantLink {
    /// Signs one. Nothing is connected to, and nobody is asked whether there is such a tenancy.
    ///
    /// # Errors
    /// When there is no secret, or it cannot be used.
    pub fn make(console: &ConsoleArgs, link: &LinkArgs) -> Result<Self, ConsoleError> {
        let secret = console.link_secret()?.ok_or_else(|| ConsoleError::Setting {
            name: "LOCKSTEP_CONSOLE_LINK_SECRET_FILE",
            why: "is missing: links are signed with it (openssl rand -base64 32 makes one)".to_owned(),
        })?;
        let valid_s = link.minutes * 60;
        let text = LinkKey::new(&secret).link(link.tenant.as_uuid(), now_s() + valid_s);
        Ok(Self { url: format!("{}/t/{text}", link.base_url.trim_end_matches('/')), valid_s })
    }
}
