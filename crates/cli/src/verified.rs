//! `lockstep verified`: what the verifier has proven of a tenancy, and certificates of it.

use std::path::{Path, PathBuf};

use clap::Args;
use lockstep_core::settings::Settings;
use lockstep_core::{TenancyId, exit, small_file};
use lockstep_mappings::MappingSet;
use lockstep_operations::{Certificate, Deployment, Proven, SigningKey, VerifiedReport, VerifyingKey, verified};
use secrecy::zeroize::Zeroizing;
use serde::Serialize;

use crate::error::CliError;
use crate::output::{Page, Report, align_right, aside, say, table};

/// A certificate names what is proven of each mapping of one tenancy; keys are shorter.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

#[derive(Args, Debug)]
pub(crate) struct VerifiedArgs {
    /// Of whom ("Tenancy"."id")
    #[arg(long, value_name = "ID", required_unless_present = "check")]
    tenant: Option<TenancyId>,
    /// Print a certificate: JSON, signed with an Ed25519 key in PEM (openssl genpkey -algorithm ed25519)
    #[arg(long, requires = "signing_key")]
    certificate: bool,
    /// The file with that key
    #[arg(long, value_name = "FILE", requires = "certificate")]
    signing_key: Option<PathBuf>,
    /// Check a certificate instead, with the public key (openssl pkey -pubout); nothing is connected to
    #[arg(long, value_name = "FILE", conflicts_with_all = ["tenant", "certificate"], requires = "public_key")]
    check: Option<PathBuf>,
    /// The file with the public key
    #[arg(long, value_name = "FILE", requires = "check")]
    public_key: Option<PathBuf>,
}

impl VerifiedArgs {
    pub(crate) const fn needs_source(&self) -> bool {
        self.check.is_none()
    }
}

/// What the command comes to.
#[derive(Serialize, Debug)]
#[serde(untagged)]
pub(crate) enum Told {
    Verified(VerifiedReport),
    Certificate(Certificate),
    Statement(serde_json::Value),
}

pub(crate) async fn run(args: &VerifiedArgs, settings: &Settings, mappings: &MappingSet) -> Result<Told, CliError> {
    if let (Some(file), Some(key)) = (&args.check, &args.public_key) {
        let key = VerifyingKey::from_pem(&read(key)?)?;
        return Ok(Told::Statement(Certificate::check(&read(file)?, &key)?));
    }
    let Some(tenant) = args.tenant else { return Ok(Told::Statement(serde_json::Value::Null)) };
    // A key that is none is told before anything is asked.
    let key =
        args.signing_key.as_deref().map(|file| Ok::<_, CliError>(SigningKey::from_pem(&read(file)?)?)).transpose()?;
    let report = verified(&Deployment::connect(settings, mappings).await?, tenant).await?;
    Ok(match key {
        Some(key) => Told::Certificate(Certificate::sign(&report, &key)),
        None => Told::Verified(report),
    })
}

fn read(file: &Path) -> Result<Zeroizing<String>, CliError> {
    small_file::read_text(file, MAX_BYTES)
        .map_err(|error| CliError::CertificateFile { file: file.to_owned(), why: error.to_string() })
}

impl Report for Told {
    fn print(&self, page: &mut Page) {
        match self {
            Self::Verified(report) => print(page, report),
            Self::Certificate(certificate) => {
                say!(page, "{}", serde_json::to_string_pretty(certificate).expect("a certificate is JSON"));
            }
            Self::Statement(statement) => {
                aside!(page, "The certificate holds: this key has signed what follows.");
                say!(page, "{}", serde_json::to_string_pretty(statement).expect("a statement is JSON"));
            }
        }
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::Verified(report) if !report.findings.is_empty() => exit::DIFFERENT,
            Self::Verified(report) if !report.unproven.is_empty() => exit::UNFINISHED,
            _ => exit::OK,
        }
    }
}

fn print(page: &mut Page, report: &VerifiedReport) {
    let rows = report.proven.iter().map(|one| {
        let Proven { destination, mapping, level, through, through_at, verified_at } = one;
        [
            destination.clone(),
            mapping.clone(),
            level.clone(),
            through.to_string(),
            through_at.clone(),
            verified_at.clone(),
        ]
    });
    let mut proven = table(["destination", "mapping", "level", "equal through", "which was at", "looked at"], rows);
    align_right(&mut proven, &[3]);
    say!(page, "{proven}");
    if !report.unproven.is_empty() {
        aside!(
            page,
            "Nothing is proven in ClickHouse of: {}. lockstep-verifier --tenant {} proves it.",
            report.unproven.join(", "),
            report.tenancy
        );
    }
    for finding in &report.findings {
        say!(
            page,
            "{} in {}: {} {}, since {}",
            finding.mapping,
            finding.destination,
            finding.class,
            finding.key,
            finding.first_seen_at
        );
    }
}
