//! What a message says: some tenancies have changes. Encoding, decoding and the limits of both.

use lockstep_core::freshness::ChangeTimes;
use lockstep_core::{MappingName, SequenceId, TenancyId};
use prost::Message;
use uuid::Uuid;

#[allow(missing_docs, unreachable_pub, reason = "generated from proto/lockstep/v1")]
mod proto {
    include!(concat!(env!("OUT_DIR"), "/lockstep.v1.rs"));
}

/// The most tenancies in one message.
pub const MAX_TENANTS: usize = 1_000;

/// The most bytes in one message.
pub const MAX_BYTES: usize = 1 << 20;

/// A tenancy that names more mappings than this is announced as "any of them": a message must not grow without bound.
const MAX_MAPPINGS: usize = 256;

/// One tenancy has changes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TenantHint {
    /// Whose rows.
    pub tenancy: TenancyId,
    /// Which mappings; none means that any of them may have changes.
    pub mappings: Vec<MappingName>,
    /// The changes have numbers up to this one; [`SequenceId::BASE`] where that is not known.
    pub sequence: SequenceId,
    /// For each of the mappings, the last change that was announced before these; empty where that is not known.
    pub previous: Vec<SequenceId>,
    /// When the first of the changes was committed and got its number, as far as that is known.
    pub times: ChangeTimes,
}

/// Some tenancies have changes. A hint only: the truth is the sequence in the source and the cursor in the destination.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TenantBatch {
    /// In no particular order; a tenancy may occur twice.
    pub tenants: Vec<TenantHint>,
}

/// The payload is no batch. Says why without repeating what the payload holds; `index` counts tenancies from 0.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeError {
    /// Longer than [`MAX_BYTES`].
    #[error("the payload has {bytes} bytes, more than {MAX_BYTES}")]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// Not this protobuf message.
    #[error("the payload is no lockstep.v1.TenantBatch: {0}")]
    Garbage(prost::DecodeError),
    /// More than [`MAX_TENANTS`].
    #[error("the batch names {tenants} tenancies, more than {MAX_TENANTS}")]
    TooManyTenants {
        /// How many.
        tenants: usize,
    },
    /// A tenancy's id is not 16 bytes.
    #[error("tenancy {index} of the batch has an id of {bytes} bytes instead of 16")]
    IdLength {
        /// Which tenancy.
        index: usize,
        /// How long its id is.
        bytes: usize,
    },
    /// A mapping's name breaks the rules of [`MappingName`].
    #[error("tenancy {index} of the batch names a mapping ({bytes} bytes) that breaks the rules for names")]
    InvalidMapping {
        /// Which tenancy.
        index: usize,
        /// How long the name is.
        bytes: usize,
    },
}

impl TenantBatch {
    /// The payloads that say all of this: as many as [`MAX_TENANTS`] and [`MAX_BYTES`] demand, none for an empty batch.
    pub fn encode(&self) -> Vec<Vec<u8>> {
        let mut payloads = Vec::new();
        let mut current = proto::TenantBatch::default();
        let mut bytes = 0;
        for hint in &self.tenants {
            let hint = to_proto(hint);
            // One byte for the tag, and the hint with its length in front.
            let more = 1 + prost::length_delimiter_len(hint.encoded_len()) + hint.encoded_len();
            if current.tenants.len() == MAX_TENANTS || bytes + more > MAX_BYTES {
                payloads.push(std::mem::take(&mut current).encode_to_vec());
                bytes = 0;
            }
            bytes += more;
            current.tenants.push(hint);
        }
        if !current.tenants.is_empty() {
            payloads.push(current.encode_to_vec());
        }
        payloads
    }

    /// Reads one payload. Fields that this version does not know are skipped.
    ///
    /// # Errors
    /// [`DecodeError`] says what is wrong with it.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        if payload.len() > MAX_BYTES {
            return Err(DecodeError::TooLarge { bytes: payload.len() });
        }
        let batch = proto::TenantBatch::decode(payload).map_err(DecodeError::Garbage)?;
        if batch.tenants.len() > MAX_TENANTS {
            return Err(DecodeError::TooManyTenants { tenants: batch.tenants.len() });
        }
        let tenants = batch.tenants.iter().enumerate().map(|(index, hint)| from_proto(index, hint));
        Ok(Self { tenants: tenants.collect::<Result<_, _>>()? })
    }
}

impl FromIterator<TenantHint> for TenantBatch {
    fn from_iter<T: IntoIterator<Item = TenantHint>>(tenants: T) -> Self {
        Self { tenants: tenants.into_iter().collect() }
    }
}

fn to_proto(hint: &TenantHint) -> proto::TenantHint {
    let named = if hint.mappings.len() > MAX_MAPPINGS { &[] } else { hint.mappings.as_slice() };
    let previous = if hint.previous.len() == named.len() { hint.previous.as_slice() } else { &[] };
    proto::TenantHint {
        tenancy_id: hint.tenancy.as_uuid().as_bytes().to_vec(),
        mappings: named.iter().map(ToString::to_string).collect(),
        sequence: hint.sequence.get(),
        previous: previous.iter().map(|sequence| sequence.get()).collect(),
        stamped_at_micros: hint.times.stamped_at_micros,
        committed_at_micros: hint.times.committed_at_micros,
    }
}

fn from_proto(index: usize, hint: &proto::TenantHint) -> Result<TenantHint, DecodeError> {
    let id = Uuid::from_slice(&hint.tenancy_id)
        .map_err(|_| DecodeError::IdLength { index, bytes: hint.tenancy_id.len() })?;
    let mappings = hint.mappings.iter().map(|name| {
        // The parser's own error repeats the name, which may be anything.
        name.parse().map_err(|_| DecodeError::InvalidMapping { index, bytes: name.len() })
    });
    let mappings: Vec<_> = mappings.collect::<Result<_, _>>()?;
    // No number of ours is below zero: one that is says nothing.
    let number = |sequence: i64| SequenceId::new(sequence.max(SequenceId::BASE.get()));
    let is_known = hint.previous.len() == mappings.len() && hint.previous.iter().all(|sequence| *sequence >= 0);
    let previous = if is_known { hint.previous.iter().copied().map(number).collect() } else { Vec::new() };
    let times = ChangeTimes {
        stamped_at_micros: hint.stamped_at_micros.max(0),
        committed_at_micros: hint.committed_at_micros.max(0),
    };
    Ok(TenantHint { tenancy: TenancyId::new(id), mappings, sequence: number(hint.sequence), previous, times })
}

#[cfg(test)]
mod tests;
