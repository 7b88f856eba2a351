//! Who changed what: an entry in `lockstep.action` for each command that changes something.
//!
//! It says what a command was given in ids, names and switches. Free text, keys, passwords and connection strings are not part
//! of it.

use lockstep_core::output;
use lockstep_core::settings::Settings;
use lockstep_operations::ActionRecord;
use lockstep_schema::{Control, Session, Source, SourceError, actions};

use crate::CliError;

/// The entry of a command that runs.
pub(crate) struct Entry {
    control: Control,
    change: ActionRecord,
    /// None where it could not be written: before the first `migrate` there is no table.
    id: Option<i64>,
}

impl Entry {
    /// Writes down that a command begins. Returns `None` where the source cannot be reached: the command says so itself.
    pub(crate) async fn begin(change: ActionRecord, settings: &Settings) -> Option<Self> {
        let source = Source::new(&settings.source_url, settings.tls_ca_file.as_deref()).ok()?;
        let control = source.connect_diesel(Session::Control).await.ok()?;
        let id = write(&control, &change).await.ok();
        Some(Self { control, change, id })
    }

    /// Writes down what came of it. A command that has done its work does not fail for this: it says so.
    pub(crate) async fn end(self, outcome: &Result<u8, CliError>) {
        let text = match outcome {
            Ok(code) => format!("ended with {code}"),
            Err(error) => format!("failed with {}", error.exit_code()),
        };
        let written = async {
            let id = match self.id {
                Some(id) => id,
                None => write(&self.control, &self.change).await?,
            };
            actions::end(&self.control, id, &text).await
        };
        if let Err(error) = written.await
            && outcome.is_ok()
        {
            output::write_aside(&format!("lockstep.action does not say that this was done: {error}\n"));
        }
    }
}

async fn write(control: &Control, change: &ActionRecord) -> Result<i64, SourceError> {
    let user = std::env::var("USER").ok().filter(|user| !user.is_empty());
    actions::begin(control, user.as_deref(), change.what, &change.arguments).await
}
