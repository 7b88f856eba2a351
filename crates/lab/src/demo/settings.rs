//! The settings of the demo's installation, in a file for a shell: whoever watches can ask it himself.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use lockstep_testkit::databases::checkout;
use lockstep_testkit::installation::Installation;
use uuid::Uuid;

/// Below the checkout.
const FILE: &str = ".lockstep/demo.env";

/// The file. It holds passwords: only its owner reads it, and it goes when the demo ends, however it ends.
pub(super) struct SettingsFile(Option<PathBuf>);

impl SettingsFile {
    pub(super) fn write(installation: &Installation) -> anyhow::Result<Self> {
        Self::write_to(checkout().join(FILE), &installation.environment())
    }

    fn write_to(path: PathBuf, variables: &[(&str, String)]) -> anyhow::Result<Self> {
        let lines = variables.iter().map(|(name, value)| format!("export {name}={}\n", quoted(value)));
        let text: String = lines.collect();
        // One that a killed demo left may be readable by others.
        if path.exists() {
            fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
        }
        let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        written
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .with_context(|| format!("writing {}", path.display()))?;
        Ok(Self(Some(path)))
    }

    /// A line to copy, which explains a row of the first tenant in a shell at the checkout's root. It leaves nothing in that shell.
    pub(super) async fn explain(&self, installation: &Installation) -> anyhow::Result<String> {
        let client = installation.database().connect().await?;
        let sql =
            r#"SELECT "tenancyId", "projectUserId" FROM "ProjectUser" ORDER BY "tenancyId", "projectUserId" LIMIT 1"#;
        let row = client.query_one(sql, &[]).await.context("choosing a row to explain")?;
        let (tenancy, user): (Uuid, Uuid) = (row.get(0), row.get(1));
        let program = installation.program("lockstep");
        let program = program.strip_prefix(checkout()).unwrap_or(&program);
        Ok(format!(
            "( . {FILE}; {} explain --tenant {tenancy} --mapping users --key {user} )",
            quoted(&program.display().to_string())
        ))
    }

    /// Removes it, and says where that fails.
    pub(super) fn remove(mut self) -> anyhow::Result<()> {
        self.0.take().map_or(Ok(()), |path| remove(&path))
    }
}

/// Where the demo fails.
impl Drop for SettingsFile {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.0.take().map(|path| remove(&path)) {
            eprintln!("the demo's settings stay: {error:#}");
        }
    }
}

fn remove(path: &Path) -> anyhow::Result<()> {
    fs::remove_file(path).with_context(|| format!("removing {}", path.display()))
}

/// As a shell reads it: as it is where nothing in it means anything to a shell.
fn quoted(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_shell_reads_back_what_was_written_and_nobody_else_reads_it() {
        let path = std::env::temp_dir().join(format!("demo-{}.env", Uuid::new_v4()));
        let hostile = r#"a'b"c $HOME `id` \ d"#;
        fs::write(&path, "of a demo that was killed").unwrap();
        let file =
            SettingsFile::write_to(path.clone(), &[("ONE", hostile.to_owned()), ("TWO", String::new())]).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let script = format!(". {}; printf '%s|%s' \"$ONE\" \"$TWO\"", path.display());
        let said = Command::new("sh").args(["-euc", &script]).output().unwrap();
        assert_eq!(String::from_utf8(said.stdout).unwrap(), format!("{hostile}|"));
        drop(file);
        assert!(!path.exists());
    }
}
