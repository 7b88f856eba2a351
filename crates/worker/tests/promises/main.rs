//! What a worker promises, each promise shown with real services.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod consumer_timeout;
mod cur_1;
mod del_1;
mod erase_1;
mod erase_many;
mod fair_1;
mod fill;
mod fill_end;
mod fixture;
mod idem_1;
mod iso_1;
mod janitor;
mod late_writes;
mod moves;
mod outage;
mod places;
mod quarantine;
mod quarantined_fill;
mod replica;
mod rows;
mod stream;
mod sweep;
mod values;
