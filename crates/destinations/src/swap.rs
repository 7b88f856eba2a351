//! A table that is built beside another, and takes its place when it is whole.

use lockstep_mappings::Mapping;

use crate::error::DestinationError;

/// A destination in which a table can take another's place while it is read.
pub trait Swap: Send + Sync {
    /// Whether the table beside a mapping's has taken its place.
    ///
    /// # Errors
    /// When the destination cannot be asked.
    fn is_in_place(&self, mapping: &Mapping) -> impl Future<Output = Result<bool, DestinationError>> + Send;

    /// Gives the table beside a mapping's its place. Whoever reads the mapping, by whatever name, finds one of the two whole at
    /// every moment. From then on nothing can be written into the one that was replaced. Doing it again changes nothing.
    ///
    /// # Errors
    /// When it is not certain that it was done.
    fn take_place(&self, mapping: &Mapping) -> impl Future<Output = Result<(), DestinationError>> + Send;

    /// Drops the table that was replaced, or keeps it under another name. Doing it again changes nothing.
    ///
    /// # Errors
    /// When it is not certain that it was done.
    fn retire_replaced(
        &self,
        mapping: &Mapping,
        keep: bool,
    ) -> impl Future<Output = Result<(), DestinationError>> + Send;
}
