//! What `lockstep migrate` last set up each mapping as (`lockstep.definition`). Programs whose definitions are other ones
//! were not replaced yet, and leave alone what they would do otherwise.

use std::collections::BTreeMap;
use std::time::Duration;

use lockstep_mappings::Mapping;
use lockstep_mappings::postgres::literal;
use tokio_postgres::{Client, Row};

use crate::connect::{Session, Source};
use crate::error::{SourceError, within};
use crate::locks::{FILL_LOCK, SessionLock};

/// Each mapping's name, both fingerprints, and for the destination `$1` whether its rows go into a table beside the one that is
/// read, and whether the fill under way ends with a table in the place of another.
pub const RECORDED: &str = "
SELECT d.mapping_name, d.captured, d.exported, COALESCE(f.is_beside, FALSE), COALESCE(f.keep_replaced IS NOT NULL AND f.finished_at IS NULL, FALSE)
FROM lockstep.definition d
LEFT JOIN lockstep.fill f ON f.mapping_name = d.mapping_name AND f.destination = $1";

/// One text of what is captured of all mappings: what [`Known::captured`] is of the definitions that were set up last.
pub const CAPTURED: &str = "(SELECT string_agg(mapping_name || ' ' || captured, ', ' ORDER BY mapping_name COLLATE \"C\") FROM lockstep.definition)";

/// One mapping, as it was last set up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recorded {
    /// [`Mapping::capture_fingerprint`].
    pub captured: String,
    /// [`Mapping::export_fingerprint`].
    pub exported: String,
    /// Its rows go into a table beside the one that is read.
    pub is_beside: bool,
    /// The fill under way ends with a table in the place of another.
    pub replaces: bool,
}

impl Recorded {
    /// What is recorded of a mapping whose rows go into its own table.
    pub fn of(mapping: &Mapping) -> Self {
        Self {
            captured: mapping.capture_fingerprint(),
            exported: mapping.export_fingerprint(),
            is_beside: mapping.is_beside,
            replaces: mapping.is_beside,
        }
    }

    /// Whether the mapping is set up as this definition says.
    pub fn is_of(&self, mapping: &Mapping) -> bool {
        self.exported == mapping.export_fingerprint()
    }
}

/// The definitions that a program knows.
#[derive(Clone, Debug)]
pub struct Known {
    /// One text of what is captured of all of them: see [`CAPTURED`].
    pub captured: String,
    exported: BTreeMap<String, String>,
}

impl Known {
    /// Of these mappings.
    pub fn new<'a>(mappings: impl IntoIterator<Item = &'a Mapping>) -> Self {
        let (mut captured, mut exported) = (Vec::new(), BTreeMap::new());
        for mapping in mappings {
            captured.push(format!("{} {}", mapping.name, mapping.capture_fingerprint()));
            exported.insert(mapping.name.to_string(), mapping.export_fingerprint());
        }
        captured.sort();
        Self { captured: captured.join(", "), exported }
    }

    /// The fingerprint of what is exported of a mapping, as far as it is known.
    pub fn exported(&self, name: &str) -> Option<&str> {
        self.exported.get(name).map(String::as_str)
    }

    /// Whether what is captured is what the program knows.
    ///
    /// # Errors
    /// When Postgres cannot be asked.
    pub async fn are_captured(&self, client: &Client) -> Result<bool, SourceError> {
        let captured: Option<String> = client.query_one(&format!("SELECT {CAPTURED}"), &[]).await?.try_get(0)?;
        Ok(captured.unwrap_or_default() == self.captured)
    }

    /// Whether all mappings are set up as the program knows them, and no others.
    ///
    /// # Errors
    /// When Postgres cannot be asked.
    pub async fn are_set_up(&self, client: &Client) -> Result<bool, SourceError> {
        const EXPORTED: &str = "SELECT mapping_name, exported FROM lockstep.definition";
        let rows = client.query(EXPORTED, &[]).await?;
        let is_known = |row: &Row| Ok(self.exported(row.try_get(0)?) == Some(row.try_get::<_, &str>(1)?));
        let known: Vec<bool> = rows.iter().map(is_known).collect::<Result<_, SourceError>>()?;
        Ok(known.len() == self.exported.len() && known.iter().all(|is_known| *is_known))
    }
}

/// Has nobody take the tables beside those of these mappings for whole, which are about to be made anew: what was recorded of the
/// mappings holds no more, and whoever ends fills has let that go. While the connection that this returns is open, nobody begins
/// again. What was recorded is recorded anew with the fills that fill these tables.
///
/// # Errors
/// When Postgres cannot be asked, or somebody is still ending a fill after `limit`.
pub async fn end_no_fills(source: &Source, names: &[&str], limit: Duration) -> Result<Client, SourceError> {
    const HOLDS_NO_MORE: &str = "UPDATE lockstep.definition SET exported = '' WHERE mapping_name = ANY($1)";
    let client = source.connect(Session::Control).await?;
    client.execute(HOLDS_NO_MORE, &[&names]).await?;
    let mut lock = SessionLock::new(FILL_LOCK);
    let taking = async {
        while !lock.try_take(&client).await? {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok::<_, SourceError>(())
    };
    within(limit, taking).await?;
    Ok(client)
}

/// What all mappings were last set up as for a destination, by name.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn recorded(client: &Client, destination: &str) -> Result<BTreeMap<String, Recorded>, SourceError> {
    by_name(&client.query(RECORDED, &[&destination]).await?)
}

/// What [`RECORDED`] answers.
///
/// # Errors
/// When it answers something else.
pub fn by_name(rows: &[Row]) -> Result<BTreeMap<String, Recorded>, SourceError> {
    let mut recorded = BTreeMap::new();
    for row in rows {
        let found = Recorded {
            captured: row.try_get(1)?,
            exported: row.try_get(2)?,
            is_beside: row.try_get(3)?,
            replaces: row.try_get(4)?,
        };
        recorded.insert(row.try_get(0)?, found);
    }
    Ok(recorded)
}

/// The statement that writes down what a mapping is set up as.
pub(crate) fn record(mapping: &Mapping) -> String {
    format!(
        "INSERT INTO lockstep.definition AS d (mapping_name, captured, exported) VALUES ({}, {}, {})
ON CONFLICT (mapping_name) DO UPDATE SET captured = EXCLUDED.captured, exported = EXCLUDED.exported, recorded_at = clock_timestamp()",
        literal(mapping.name.as_str()),
        literal(&mapping.capture_fingerprint()),
        literal(&mapping.export_fingerprint()),
    )
}

/// The statement that forgets mappings that are gone.
pub(crate) fn forget(names: &[&str]) -> String {
    let names: Vec<_> = names.iter().map(|name| literal(name)).collect();
    format!("DELETE FROM lockstep.definition WHERE mapping_name IN ({})", names.join(", "))
}
