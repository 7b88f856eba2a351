//! What a command ends with when it fails.

pub use lockstep_operations::OperationError as CliError;
