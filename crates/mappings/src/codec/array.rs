//! Arrays of one dimension: from PostgreSQL's `array_send` to `Array` in `RowBinary`.

/// Dimensions, whether there are nulls, the type of elements.
const HEADER_BYTES: usize = 12;
/// Elements, and the number of the first.
const DIMENSION_BYTES: usize = 8;

const MALFORMED: &str = "is no array as PostgreSQL sends them";

/// The elements of an array of one dimension, in order; `None` is NULL. Where the first has another number than 1, that is
/// not kept.
pub(super) struct Elements<'a> {
    rest: &'a [u8],
    left: usize,
}

impl<'a> Elements<'a> {
    /// # Errors
    /// What is wrong with the array.
    pub(super) fn of(array: &'a [u8]) -> Result<Self, &'static str> {
        let (header, rest) = array.split_first_chunk::<HEADER_BYTES>().ok_or(MALFORMED)?;
        match i32::from_be_bytes([header[0], header[1], header[2], header[3]]) {
            0 if rest.is_empty() => Ok(Self { rest, left: 0 }),
            1 => {
                let (dimension, rest) = rest.split_first_chunk::<DIMENSION_BYTES>().ok_or(MALFORMED)?;
                let count = i32::from_be_bytes([dimension[0], dimension[1], dimension[2], dimension[3]]);
                let left = usize::try_from(count).map_err(|_| MALFORMED)?;
                Ok(Self { rest, left })
            }
            2.. => Err("is an array of more than one dimension"),
            _ => Err(MALFORMED),
        }
    }

    /// How many are left.
    pub(super) const fn left(&self) -> usize {
        self.left
    }

    /// # Errors
    /// What is wrong with the array.
    pub(super) fn next_element(&mut self) -> Result<Option<&'a [u8]>, &'static str> {
        let (length, rest) = self.rest.split_first_chunk::<4>().ok_or(MALFORMED)?;
        self.left = self.left.checked_sub(1).ok_or(MALFORMED)?;
        let length = i32::from_be_bytes(*length);
        if length == -1 {
            self.rest = rest;
            return Ok(None);
        }
        let length = usize::try_from(length).map_err(|_| MALFORMED)?;
        let (element, rest) = rest.split_at_checked(length).ok_or(MALFORMED)?;
        self.rest = rest;
        Ok(Some(element))
    }
}
