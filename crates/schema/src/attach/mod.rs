//! Attaching capture to a source database.
