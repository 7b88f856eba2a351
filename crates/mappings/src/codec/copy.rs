//! Reading binary `COPY`.

use super::CodecError;

/// Signature, flags and length of the header extension, which PostgreSQL leaves empty.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
const HEADER_BYTES: usize = 19;

/// Splits messages of a binary `COPY` stream into rows.
///
/// PostgreSQL sends one message a row, the header glued to the first and the trailer by itself; this also accepts
/// several rows in a message, but no row that is split over two.
#[derive(Debug, Default)]
pub struct CopyReader {
    header_seen: bool,
    ended: bool,
}

impl CopyReader {
    /// Calls `each` with the fields of every row in `message`.
    ///
    /// # Errors
    /// [`CodecError::Stream`] when the message is no `COPY` data, or whatever `each` returns.
    pub fn rows<E: From<CodecError>>(
        &mut self,
        message: &[u8],
        mut each: impl FnMut(Fields<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rest = message;
        if !self.header_seen {
            let header = rest.get(..HEADER_BYTES).ok_or(CodecError::Stream("the header is cut"))?;
            if !header.starts_with(SIGNATURE) || header[SIGNATURE.len()..] != [0; 8] {
                return Err(CodecError::Stream("the header is unknown").into());
            }
            self.header_seen = true;
            rest = &rest[HEADER_BYTES..];
        }
        while !rest.is_empty() {
            if self.ended {
                return Err(CodecError::Stream("there is data after the trailer").into());
            }
            let (count, after) = rest.split_first_chunk::<2>().ok_or(CodecError::Stream("a row is cut"))?;
            let count = i16::from_be_bytes(*count);
            if count == -1 {
                self.ended = true;
                rest = after;
                continue;
            }
            let count = usize::try_from(count).map_err(|_| CodecError::Stream("a field count is negative"))?;
            let mut fields = Fields { rest: after, left: count };
            rest = fields.skip_all()?;
            each(Fields { rest: after, left: count })?;
        }
        Ok(())
    }

    /// Whether the trailer was seen: only then the stream was whole.
    pub const fn is_complete(&self) -> bool {
        self.ended
    }
}

/// The fields of one row, in order; `None` is NULL.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
    left: usize,
}

impl<'a> Fields<'a> {
    /// How many fields are left.
    pub const fn left(&self) -> usize {
        self.left
    }

    /// The next field.
    ///
    /// # Errors
    /// [`CodecError::Stream`] when the row is cut or has no more fields.
    pub fn next_field(&mut self) -> Result<Option<&'a [u8]>, CodecError> {
        if self.left == 0 {
            return Err(CodecError::Stream("a row has too few fields"));
        }
        self.left -= 1;
        let (length, rest) = self.rest.split_first_chunk::<4>().ok_or(CodecError::Stream("a row is cut"))?;
        let length = i32::from_be_bytes(*length);
        if length == -1 {
            self.rest = rest;
            return Ok(None);
        }
        let length = usize::try_from(length).map_err(|_| CodecError::Stream("a field length is negative"))?;
        let (field, rest) = rest.split_at_checked(length).ok_or(CodecError::Stream("a field is cut"))?;
        self.rest = rest;
        Ok(Some(field))
    }

    fn skip_all(&mut self) -> Result<&'a [u8], CodecError> {
        while self.left > 0 {
            self.next_field()?;
        }
        Ok(self.rest)
    }
}
