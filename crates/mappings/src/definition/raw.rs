//! A definition file as TOML has it, with the place of everything a message may point at.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDefinition {
    pub(super) name: Spanned<String>,
    #[serde(default = "public")]
    pub(super) schema: String,
    pub(super) table: String,
    pub(super) tenant: Spanned<RawTenant>,
    pub(super) key: Vec<Spanned<String>>,
    #[serde(rename = "where")]
    pub(super) filter: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) joins: BTreeMap<String, Spanned<RawJoin>>,
    pub(super) columns: Vec<Spanned<RawColumn>>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTenant {
    pub(super) column: Option<String>,
    pub(super) project: Option<String>,
    pub(super) branch: Option<String>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct RawColumn {
    pub(super) name: String,
    pub(super) alias: Option<String>,
    #[serde(rename = "type")]
    pub(super) column_type: String,
    pub(super) column: Option<String>,
    pub(super) sql: Option<String>,
    pub(super) when_null: Option<String>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct RawJoin {
    #[serde(default = "public")]
    pub(super) schema: String,
    pub(super) table: String,
    #[serde(default = "tenancy_id")]
    pub(super) tenant: String,
    #[serde(rename = "match")]
    pub(super) matching: RawMatch,
    #[serde(rename = "where")]
    pub(super) filter: Option<String>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMatch {
    pub(super) here: String,
    pub(super) there: String,
    #[serde(rename = "type")]
    pub(super) match_type: String,
    #[serde(default)]
    pub(super) index: bool,
}

fn public() -> String {
    "public".to_owned()
}

fn tenancy_id() -> String {
    "tenancyId".to_owned()
}
