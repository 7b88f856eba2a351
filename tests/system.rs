//! Whole-system tests: one binary, one module for each promise.

mod attached;
mod base_snapshot;
mod cap_1;
mod cap_2;
mod cap_3;
mod configuration;
mod cur_1_idem_1;
mod del_1;
mod deploy;
mod editing;
mod fair_1;
mod iso_1;
mod launch;
mod main_job;
mod model;
mod moved_tenancy;
mod noticed;
mod out_1;
mod reconnect;
mod seq_1;
mod seq_2;
mod stage;
mod thin_line;
mod thirteenth_mapping;
mod values_that_hurt;
mod ver_1;
