//! What the `clickhouse` crate and the connection below it report, as our own errors.

use std::error::Error as StdError;
use std::io;

use clickhouse::error::Error;

use super::{error, exception};
use crate::error::{DestinationError, Failure};

/// Never passes on a text of the crate that can hold a part of an answer.
pub(super) fn from_client(found: &Error) -> DestinationError {
    match found {
        Error::BadResponse(answer) => exception::from_answer(answer),
        Error::Network(cause) => from_network(cause.as_ref()),
        Error::TimedOut => error(Failure::Unavailable, "it did not take or finish an insert in time"),
        Error::InvalidParams(cause) => error(Failure::Misconfigured, chain(cause.as_ref())),
        Error::Unsupported(what) => error(Failure::Misconfigured, what),
        // Column names and types, no values.
        Error::SchemaMismatch(what) => error(Failure::Misconfigured, what),
        Error::Decompression(_) | Error::NotEnoughData | Error::Other(_) => {
            error(Failure::Unavailable, "the answer broke off in the middle")
        }
        _ => error(Failure::Unexpected, "the answer cannot be read"),
    }
}

pub(super) fn from_network(cause: &(dyn StdError + 'static)) -> DestinationError {
    // A certificate that is not trusted today is not trusted tomorrow; everything else about a network may pass.
    let failure = if is_about_certificates(cause) { Failure::Misconfigured } else { Failure::Unavailable };
    error(failure, chain(cause))
}

fn is_about_certificates(cause: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(cause);
    while let Some(current) = next {
        if let Some(tls) = current.downcast_ref::<rustls::Error>() {
            return matches!(tls, rustls::Error::InvalidCertificate(_));
        }
        next = match current.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            // `source` of an I/O error passes over the error that it wraps.
            Some(wrapped) => Some(wrapped),
            None => current.source(),
        };
    }
    false
}

/// An error and what caused it, each said once.
fn chain(cause: &(dyn StdError + 'static)) -> String {
    let mut text = cause.to_string();
    let mut next = cause.source();
    while let Some(current) = next {
        let said = current.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        next = current.source();
    }
    text
}
