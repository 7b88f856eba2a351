//! Entries for people, and for programs.

use comfy_table::Table;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;

use super::storage::Entry;

pub(super) fn print(entries: &[Entry], json: bool) {
    if json {
        entries.iter().for_each(|entry| println!("{}", serde_json::to_string(entry).unwrap_or_default()));
        return;
    }
    if entries.is_empty() {
        println!("The quarantine is empty.");
        return;
    }
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_header([
        "mapping",
        "tenancy",
        "change",
        "key",
        "refused (UTC)",
        "error",
    ]);
    for entry in entries {
        let (change, key) = (entry.sequence.to_string(), entry.key.to_string());
        let cells = [&entry.mapping, &entry.tenancy, &change, &key, &entry.last_refused_at, &entry.error];
        table.add_row(cells);
    }
    println!("{table}");
    println!(
        "{} rows. Mend them in the source, or the destination and then `lockstep quarantine retry`.",
        entries.len()
    );
}
