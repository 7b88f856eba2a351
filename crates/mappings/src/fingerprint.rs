//! What programs have to agree on about a mapping, as short texts that can be compared. While an installation is being
//! upgraded, some of its programs have the definitions of before: they leave alone what they would do otherwise than it is
//! done now.

use crate::mapping::Mapping;
use crate::postgres::stable_hash;

impl Mapping {
    /// Of what the sequencer does with the mapping: whose rows are lines, by which key, and which are searched.
    pub fn capture_fingerprint(&self) -> String {
        let key: Vec<_> = self.key_sources().map(|(column, source)| (source, column.column_type.to_string())).collect();
        let Self { source, tenant, filter, joins, .. } = self;
        fingerprint(&format!("{source:?} {tenant:?} {filter:?} {key:?} {joins:?}"))
    }

    /// Of what stands in a destination: the rows, their key and columns. It covers what is captured.
    pub fn export_fingerprint(&self) -> String {
        let columns: Vec<_> = self.columns.iter().map(|c| (&c.name, c.column_type.to_string(), &c.value)).collect();
        let key: Vec<_> = self.key_columns().map(|column| &column.name).collect();
        fingerprint(&format!("{} {key:?} {columns:?}", self.capture_fingerprint()))
    }
}

fn fingerprint(text: &str) -> String {
    format!("{:016x}", stable_hash(text))
}

#[cfg(test)]
mod tests {
    use crate::{Mapping, MappingSet};

    fn changed(from: &str, to: &str) -> [Mapping; 2] {
        let text = include_str!("../definitions/connected_accounts.toml");
        assert!(text.contains(from), "{from}");
        [text.to_owned(), text.replace(from, to)].map(|text| {
            let set = MappingSet::from_texts(&[("connected_accounts.toml".to_owned(), text)]).unwrap();
            set.iter().next().unwrap().clone()
        })
    }

    fn same(from: &str, to: &str) -> (bool, bool) {
        let [before, after] = changed(from, to);
        (
            before.capture_fingerprint() == after.capture_fingerprint(),
            before.export_fingerprint() == after.export_fingerprint(),
        )
    }

    #[test]
    fn what_is_captured_and_what_is_exported_are_told_apart() {
        let email = "[[columns]]\nname = \"email\"\ntype = \"text?\"\ncolumn = \"email\"\n";
        assert_eq!(same("# One row", "# A row"), (true, true));
        assert_eq!(same("name = \"email\"", "name = \"email\"\nalias = \"address\""), (true, true), "of views alone");
        assert_eq!(same(email, ""), (true, false));
        assert_eq!(same("name = \"provider\"\ntype = \"text\"", "name = \"provider\"\ntype = \"lc\""), (false, false));
        assert_eq!(same("key = [\"user_id\", \"provider\"", "key = [\"provider\", \"user_id\""), (false, false));
        assert_eq!(same("IS NOT NULL\"", "IS NULL\""), (false, false));
    }
}
